"""A small configuration of every kind, and a model that notes what it is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rowsmith import OfflineProvider
from rowsmith.datasets.base import GeneratedDataset
from rowsmith.datasets.loading import kind_of
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

TEXT = (
    "A canal is a river that people have dug. Locks carry its boats uphill and down, and a towpath runs beside it for "
    "the horses that used to draw them. The oldest one in the county is 212 years old."
)

KINDS: Mapping[str, dict[str, Any]] = {
    "classification": {
        "classes": [{"name": "pleased", "description": "is glad"}, {"name": "cross", "description": "is angry"}]
    },
    "regression": {"quantity": "how wet it is", "grades": {"dry": 0.0, "wet": 1.0}},
    "token_labels": {"labels": [{"name": "PER", "description": "a person"}, {"name": "LOC", "description": "a place"}]},
    "raw": {"document_types": ["letter"], "topics": ["canals", "locks"]},
    "ultrachat": {
        "topics_and_subtopics": {"canals": ["locks", "towpaths"]},
        "personas": ["a lock keeper"],
        "domain": "waterways",
        "max_turns": 2,
    },
    "mcq": {"documents": [TEXT]},
    "qa": {"documents": [TEXT]},
    "preference": {"documents": [TEXT]},
    "labels": {
        "documents": [TEXT],
        "tasks": {
            "subject": {
                "classes": [{"name": "water", "description": "rivers"}, {"name": "air", "description": "winds"}],
            }
        },
    },
    "generic": {
        "documents": [{"title": "Canals", "body": TEXT}],
        "input_columns": ["title", "body"],
        "prompts": ["Write {num_samples} summaries of {title}: {body}"],
    },
    "generator": {
        "topics": {"topic_prompt": "canals", "topic_system_prompt": "Be terse.", "degree": 2, "depth": 1},
        "instructions": "Explain to bargees.",
        "variables": {"audience": "lock keepers"},
        "template": "Of {topic}, in English, for {audience}.",
        "num_steps": 2,
    },
    "task": {
        "description": "You write signs for boats.",
        "output": {"text": "the sign", "tone": {"choices": ["stern", "kind"]}},
        "axes": [{"name": "tone", "values": ["stern", "kind"]}, {"name": "craft", "values": ["barge", "punt"]}],
    },
}


def made(kind: str, folder: Path, **fields: Any) -> GeneratedDataset[Any]:
    """A dataset of a kind, of few rows."""
    config, face = kind_of(kind, "a test")
    few = {"num_samples_per_prompt": 1} if "num_samples_per_prompt" in config.model_fields else {}
    return face(config(**{"output_file": str(folder / f"{kind}.jsonl"), **KINDS[kind], **few, **fields}))


@dataclass(frozen=True)
class Noting(OfflineProvider):
    """The offline model, which remembers the messages of each request."""

    noted: list[list[dict[str, str]]] = field(default_factory=list, compare=False)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self.noted.append(json.loads(body)["messages"])
        return await super().complete(body, transport)

    @property
    def words(self) -> str:
        """All that was said to it."""
        return "\n".join(message["content"] for messages in self.noted for message in messages)
