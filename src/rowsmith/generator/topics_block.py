"""What a generator's dataset is about: topics that are given, or a block that says how they are built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, WithJsonSchema, model_validator

from rowsmith.errors import ConfigError
from rowsmith.generator.schedule import topics_in
from rowsmith.llm.naming import named
from rowsmith.llm.sharing import Choice, Spec
from rowsmith.topics.collection import TopicCollection
from rowsmith.topics.config import GraphConfig
from rowsmith.topics.loading import KINDS, load_topics
from rowsmith.topics.model import TopicModel
from rowsmith.topics.readers import leaves_in
from rowsmith.topics.topic import Topic

Llm = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "object"}]})]


class TopicsBlock(GraphConfig):
    """Topics that are built before the rows, in a run of their own; or those of a file.

    Attributes:
        file: a file with topics, in whatever form `rowsmith topics` reads; nothing is built then.
        kind: `tree`, or `graph`, which also has links across it.
        topic_prompt: the root: what all topics are about. With `file`: the root above topics that have none.
        output_file: where the topics go; `<rows>.topics.jsonl` beside the rows if None.
        llm: the model that writes the topics; that of the rows if None.
        model_name: another way to name it: `provider/model`, or the model's name with `provider` beside it.
        provider: of the model that `model_name` names.
        temperature: of the model, for topics; its own default if None.
        max_concurrency: requests in flight that are never passed, for topics; as for the rows if None.
        max_cost: US dollars that the topics may cost, of those that all may.
        max_requests: requests that they may take, of those that all may.
        max_tokens: tokens that they may take, of those that all may.
        incomplete: `stop` makes no rows as long as topics lack; `go_on` makes them about those that there are.
    """

    file: str | None = None
    kind: Literal["tree", "graph"] = "tree"
    topic_prompt: str = ""
    llm: Llm = None
    model_name: str | None = None
    provider: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_concurrency: int | None = Field(default=None, ge=1)
    max_cost: float | None = Field(default=None, ge=0)
    max_requests: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    incomplete: Literal["stop", "go_on"] = "stop"

    @model_validator(mode="after")
    def _says_what_to_build(self) -> Self:
        if self.file is not None:
            if unknown := sorted(self.model_fields_set - {"file", "topic_prompt"}):
                raise ConfigError(f"topics of a file are not built; leave out {', '.join(map(repr, unknown))}")
        elif not self.topic_prompt:
            raise ConfigError("topic_prompt is missing: it names what all topics are about, such as 'Physics'")
        if self.kind == "tree" and "max_links" in self.model_fields_set:
            raise ConfigError("max_links is for kind: graph")
        self.spec  # noqa: B018  # what is wrong with the model's name is said now
        return self

    @property
    def spec(self) -> Spec | None:
        """The model that the block names, without its temperature; None if it names none.

        Raises:
            ConfigError: it names two.
        """
        return named(self.provider, model_name=self.model_name, llm=self.llm)

    def model(self, llm: Choice, rows: str) -> TopicModel:
        """What is to be built.

        Args:
            llm: who is asked.
            rows: the rows file.
        """
        kind = KINDS[self.kind]
        settings = self.model_dump(include=set(kind.config_class.model_fields) - {"output_file"})
        return kind(**settings, llm=llm, output_file=self.output_file or topics_beside(rows))

    def describe(self) -> dict[str, Any]:
        """What the topics depend on, as a fingerprint's fields."""
        asked = set(KINDS[self.kind].config_class.model_fields) - {"output_file", "max_rounds"}
        return {f"topics.{name}": value for name, value in self.model_dump(include=asked | {"kind"}).items()}


def _form(given: Any) -> str:
    """The name of the type that is meant: a mapping is a block if it has one of a block's keys."""
    if isinstance(given, TopicsBlock):
        return "TopicsBlock"
    if isinstance(given, Mapping):
        return "TopicsBlock" if TopicsBlock.model_fields.keys() & given.keys() else "dict"
    return "list"


Outline = dict[str, list[str | dict[str, Any]] | dict[str, Any] | None]
Listed = list[str | list[str] | dict[str, Any]]
Topics = Annotated[
    Annotated[TopicsBlock, Tag("TopicsBlock")] | Annotated[Outline, Tag("dict")] | Annotated[Listed, Tag("list")],
    Discriminator(_form),
]
"""A block; an outline of mappings and lists; or a list of names, of paths, or of such mappings."""


def told(given: Any) -> Any:
    """What `Topics` takes, of what a user gives in Python.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    if isinstance(given, TopicsBlock | Mapping):
        return given
    if isinstance(given, TopicCollection) and not len(given):
        raise ConfigError("these topics are not built yet: build them first, or give a block with topic_prompt, degree")
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(
            "topics are a block with topic_prompt, degree and depth, or with file; an outline; or a list of topics"
        )
    return [list(one.path) if isinstance(one, Topic) else one for one in given]


def topics_of(given: TopicsBlock | Outline | Listed) -> list[Topic] | None:
    """The topics that are given; None of a block that has them built.

    Raises:
        ConfigError: the file cannot be read, or there are none.
    """
    if isinstance(given, TopicsBlock):
        return list(load_topics(given.file, topic_prompt=given.topic_prompt or None)) if given.file else None
    if isinstance(given, list) and not any(isinstance(one, Mapping) for one in given):
        return topics_in(given)
    return leaves_in(given)


def topics_beside(rows: str) -> str:
    """Where the topics of some rows go if nothing is said of it."""
    path = Path(rows)
    return str(path.with_name(f"{path.name.removesuffix('.jsonl')}.topics.jsonl"))
