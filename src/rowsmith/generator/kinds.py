"""The shapes of rows: what one example is, how it is asked for, and what stands in its row.

Every row has `messages` (OpenAI's chat format), `topic`, `topic_path`, `model_id` and `metadata`, and of its kind:

- `instruction`: `question` and `answer`.
- `conversation`: nothing more; `messages` has several turns. `prompt` is the first.
- `chain_of_thought`: `question`, `reasoning` (a list of steps) and `final_answer`.
- `structured`: the fields of the user's own model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, Field, create_model

from rowsmith.errors import ConfigError
from rowsmith.generator.arithmetic import false_equation, number_in
from rowsmith.generator.config import GeneratorConfig
from rowsmith.llm.structured.output import ListOutput
from rowsmith.quality.gates import Rejection, Row
from rowsmith.recipes.outputs import RowFacts, in_words, output_model, sources_of

PLACE = "number_of_topic"
"""The field by which an answer about several topics says which one an entry is about."""
OWN_FIELDS = frozenset({"messages", "topic", "topic_path", PLACE})


class InstructionEntry(BaseModel):
    """A question with its answer."""

    question: str = Field(min_length=1, description="what is asked, complete in itself")
    answer: str = Field(min_length=1, description="the whole answer")


class Exchange(BaseModel):
    """One turn of a conversation."""

    message: str = Field(min_length=1, description="what the person says")
    reply: str = Field(min_length=1, description="what the assistant answers")


class ConversationEntry(BaseModel):
    """A conversation."""

    turns: list[Exchange] = Field(min_length=2, max_length=12, description="the conversation from its first message on")


class ReasoningEntry(BaseModel):
    """A problem that is solved step by step."""

    question: str = Field(min_length=1, description="the problem, complete in itself")
    reasoning: list[str] = Field(min_length=1, description="the steps of the solution, one after the other")
    final_answer: str = Field(min_length=1, description="the answer alone, without the way to it")


class Kind(ABC):
    """One shape of rows.

    Attributes:
        model: of one entry of an answer.
        one: an answer about one topic.
        several: an answer about several, whose entries say which.
        text_fields: the row's texts; two rows are duplicates if all of these are alike.
    """

    what: ClassVar[str]
    """What is asked for, in the plural."""
    text_fields: tuple[str, ...] = ("question",)
    checked_fields: tuple[str, ...] = ()
    """Further texts that must not be empty."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.one: ListOutput[BaseModel] = ListOutput(model)
        described = Field(default=0, description="the number of the topic that it is about, as the list has it")
        numbered = create_model(f"{model.__name__}OnTopic", __base__=model, **{PLACE: (int, described)})  # type: ignore[call-overload]  # the name of a field that is made here
        self.several: ListOutput[BaseModel] = ListOutput(numbered)

    @property
    def in_words(self) -> str:
        """What an entry has, for models that do not see the schema; empty where `what` says it."""
        return ""

    @abstractmethod
    def fields(self, entry: Any) -> Row | Rejection:
        """The kind's own fields of a row."""

    @abstractmethod
    def said(self, fields: Row, asked: str) -> list[tuple[str, str]]:
        """The conversation that the row is, as (role, content), without a system message.

        Args:
            fields: the kind's own.
            asked: the prompt about the topic, for a kind that has no question of its own.
        """

    def content(self, row: Mapping[str, Any]) -> str:
        """All that the model wrote for a row, as one text: what content filters look at."""
        return "\n\n".join(message["content"] for message in row["messages"] if message["role"] != "system")


class Instruction(Kind):
    """A question with its answer."""

    what = "questions with their answers"
    checked_fields = ("answer",)

    def __init__(self) -> None:
        super().__init__(InstructionEntry)

    def fields(self, entry: Any) -> Row | Rejection:
        return {"question": entry.question, "answer": entry.answer}

    def said(self, fields: Row, asked: str) -> list[tuple[str, str]]:  # noqa: ARG002  # the contract's
        return [("user", fields["question"]), ("assistant", fields["answer"])]


class Conversation(Kind):
    """A conversation of several turns."""

    what = "conversations of two to four turns between a person and an assistant"
    text_fields = ("prompt",)

    def __init__(self) -> None:
        super().__init__(ConversationEntry)

    def fields(self, entry: Any) -> Row | Rejection:
        if any(not text.strip() for turn in entry.turns for text in (turn.message, turn.reply)):
            return Rejection("empty", "a message of the conversation is empty")
        said = [
            (role, text) for turn in entry.turns for role, text in (("user", turn.message), ("assistant", turn.reply))
        ]
        return {"prompt": entry.turns[0].message, "messages": said}

    def said(self, fields: Row, asked: str) -> list[tuple[str, str]]:  # noqa: ARG002  # the contract's
        told: list[tuple[str, str]] = fields["messages"]
        return told


class ChainOfThought(Kind):
    """A problem, the steps of its solution, and the final answer.

    Sums that are written out in the steps are worked out: a step in which `12 * 3 = 35` stands is refused.

    Args:
        numeric: the final answer must be a number.
    """

    what = "problems, each with the single steps of its solution and the final answer"
    checked_fields = ("final_answer",)

    def __init__(self, *, numeric: bool) -> None:
        self._numeric = numeric
        super().__init__(ReasoningEntry)

    @property
    def in_words(self) -> str:
        return "Every final answer is a number and nothing else." if self._numeric else ""

    def fields(self, entry: Any) -> Row | Rejection:
        steps = [step for step in entry.reasoning if step.strip()]
        if not steps:
            return Rejection("empty", "reasoning is empty")
        wrong = false_equation("\n".join((*steps, entry.final_answer)))
        if wrong:
            return Rejection("arithmetic", wrong)
        if self._numeric and number_in(entry.final_answer) is None:
            return Rejection("not_a_number", f"final_answer must be a number alone, and is {entry.final_answer[:60]!r}")
        return {"question": entry.question, "reasoning": steps, "final_answer": entry.final_answer}

    def said(self, fields: Row, asked: str) -> list[tuple[str, str]]:  # noqa: ARG002  # the contract's
        solution = "\n".join((*fields["reasoning"], "", f"Answer: {fields['final_answer']}"))
        return [("user", fields["question"]), ("assistant", solution)]


class Structured(Kind):
    """Entries of the user's own model.

    Args:
        given: the model, as `output_model` takes it.

    Raises:
        ConfigError: it is none, has no text to compare rows by, or a field that every row has already.
    """

    what = "entries"

    def __init__(self, given: Any) -> None:
        model = output_model(given)
        facts = RowFacts(model)
        self.text_fields = facts.texts()
        if not self.text_fields:
            raise ConfigError(f"{model.__name__} has no field of free text, by which rows could be told apart")
        if clash := sorted((OWN_FIELDS - {"topic"}) & facts.fields.keys()):
            raise ConfigError(f"{model.__name__} has a field {clash[0]!r}, and every row has one already: rename it")
        super().__init__(model)

    @property
    def in_words(self) -> str:
        return in_words(self.model)

    def fields(self, entry: Any) -> Row | Rejection:
        written: Row = entry.model_dump(mode="json", by_alias=True)
        written.pop(PLACE, None)
        return written

    def said(self, fields: Row, asked: str) -> list[tuple[str, str]]:
        return [("user", asked), ("assistant", orjson.dumps(fields).decode())]

    def content(self, row: Mapping[str, Any]) -> str:
        return "\n\n".join(str(row[name]) for name in self.text_fields)

    def sources(self) -> Mapping[str, str]:
        """The text of the model's classes: their validators decide what a row is."""
        return sources_of(self.model)


def kind_of(config: GeneratorConfig) -> Kind:
    """The kind that a configuration names.

    Raises:
        ConfigError: the output model cannot be used.
    """
    if config.conversation_type == "structured":
        return Structured(config.output_model)
    if config.conversation_type == "chain_of_thought":
        return ChainOfThought(numeric=config.numeric_answers)
    return Conversation() if config.conversation_type == "conversation" else Instruction()


def messages_of(said: Sequence[tuple[str, str]], system: str | None) -> list[dict[str, str]]:
    """A conversation in OpenAI's chat format, behind a system message if there is one."""
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, *({"role": role, "content": content} for role, content in said)]
