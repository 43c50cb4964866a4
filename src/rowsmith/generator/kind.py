"""The contract of a shape of rows: what is asked for, and what an entry of an answer becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, Field, create_model

from rowsmith.engine.draft import Draft
from rowsmith.llm.structured.output import ListOutput, Refine
from rowsmith.llm.values import Message
from rowsmith.quality.gates import Rejection, Row

PLACE = "number_of_topic"
"""The field by which an answer about several topics says which one an entry is about."""

Made = Row | Rejection


class Asking(NamedTuple):
    """What a kind asks further with, about one entry.

    Attributes:
        draft: asks.
        asked: what was asked about the topic, with the instructions.
        system: the system message that goes before every prompt, if there is one.
        hints: for the offline provider.
    """

    draft: Draft[Any]
    asked: str
    system: tuple[Message, ...]
    hints: Mapping[str, Any]


class Kind(ABC):
    """One shape of rows.

    Args:
        model: of one entry of an answer.
        refine: makes the schema of answers narrower than the model, see `Output`.

    Attributes:
        model: of one entry of an answer.
        one: an answer about one topic.
        several: an answer about several, whose entries say which.
        text_fields: the row's texts; two rows are duplicates if all of these are alike.
        compared: for a kind that asks further: what an entry says of them, see `Context.collect`; else None.
    """

    what: ClassVar[str]
    """What is asked for, in the plural."""
    text_fields: tuple[str, ...] = ("question",)
    checked_fields: tuple[str, ...] = ()
    """Further texts that must not be empty."""
    compared: Callable[[Any], Row] | None = None

    def __init__(self, model: type[BaseModel], refine: Refine | None = None) -> None:
        self.model = model
        self.one: ListOutput[BaseModel] = ListOutput(model, refine)
        described = Field(default=0, description="the number of the topic that it is about, as the list has it")
        numbered = create_model(f"{model.__name__}OnTopic", __base__=model, **{PLACE: (int, described)})  # type: ignore[call-overload]  # the name of a field that is made here
        self.several: ListOutput[BaseModel] = ListOutput(numbered, refine)

    @property
    def in_words(self) -> str:
        """What an entry has, for models that do not see the schema; empty where `what` says it."""
        return ""

    @abstractmethod
    def fields(self, entry: Any) -> Row | Rejection:
        """The kind's own fields of a row."""

    def go_on(self, entry: Any, asking: Asking) -> Made | Awaitable[Made]:  # noqa: ARG002  # for kinds that ask
        """As `fields`, for a kind that asks further: then of every entry, and `metadata` may be among the fields.

        Args:
            entry: of the answer.
            asking: how to ask.
        """
        return self.fields(entry)

    @abstractmethod
    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:
        """The conversation that the row is, in OpenAI's chat format, without a system message.

        Args:
            fields: the kind's own.
            asked: the prompt about the topic, for a kind that has no question of its own.
        """

    def describe(self) -> Mapping[str, Any]:
        """Further settings that decide what rows are, as JSON, for the run's fingerprint."""
        return {}

    def content(self, row: Mapping[str, Any]) -> str:
        """All that the model wrote for a row, as one text: what content filters look at."""
        return "\n\n".join(message["content"] for message in row["messages"] if message["role"] != "system")


def turn(role: str, content: str) -> dict[str, Any]:
    """A message in OpenAI's chat format."""
    return {"role": role, "content": content}
