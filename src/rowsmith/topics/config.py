"""What a tree or graph of topics can be told."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.llm.embedding import EmbeddingSpec, checked_threshold
from rowsmith.topics.topic import cleaned


class TopicsConfig(Config):
    """A tree of topics that a model is to write.

    Attributes:
        topic_prompt: the root: what all topics are about. It stands in every prompt, as do the topics above.
        topic_system_prompt: a system message before every prompt; empty for none.
        degree: how many topics right below each.
        depth: levels below the root.
        output_file: where the topics go as they are made, one JSON object a line; the run's folder is made beside it.
            None keeps them in a folder that is deleted with the object: such a build cannot be gone on with later.
        near_duplicates: also refuse a topic whose words are nearly those of another: the similarity from which on they
            are, 0.5 to 1. Topics that differ in case, spaces and signs at their ends alone are always refused.
        embeddings: the model whose vectors tell which topics are nearly the same, such as `ollama/nomic-embed-text`:
            also those that say the same in other words. `near_duplicates` is then the cosine of two vectors, 0.3 to 1.
        seed: of everything that is drawn.
        max_rounds: how often topics that are lacking below one are asked for again.
    """

    topic_prompt: str
    topic_system_prompt: str = ""
    degree: int = Field(default=10, ge=1)
    depth: int = Field(default=3, ge=1)
    output_file: str | None = None
    near_duplicates: float | None = Field(default=None, ge=0.3, le=1)
    embeddings: EmbeddingSpec = None
    seed: int = Field(default=0, ge=0)
    max_rounds: int = Field(default=5, ge=0)

    @field_validator("topic_prompt")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty: it names what all topics are about, such as 'Machine learning'")
        return cleaned(text)

    @model_validator(mode="after")
    def _threshold_fits(self) -> Self:
        checked_threshold(self.near_duplicates, self.embeddings)
        return self


class GraphConfig(TopicsConfig):
    """A tree of topics with links across it.

    Attributes:
        max_links: how many links from each topic to topics elsewhere a model may propose; 0 for none.
    """

    max_links: int = Field(default=2, ge=0, le=20)

    @model_validator(mode="after")
    def _output_is_lines(self) -> Self:
        if self.output_file is not None and not self.output_file.endswith(".jsonl"):
            raise ValueError(
                f"output_file is where topics are written line by line and ends in .jsonl; {self.output_file!r} does "
                "not. A graph is written as JSON by save('graph.json')"
            )
        return self


def planned_topics(degree: int, depth: int) -> int:
    """How many topics a tree has below its root."""
    return sum(degree**level for level in range(1, depth + 1))


def lowest_topics(degree: int, depth: int) -> int:
    """How many topics a tree has on its last level."""
    lowest: int = degree**depth
    return lowest
