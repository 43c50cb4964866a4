"""The shapes of rows: what one example is, how it is asked for, and what stands in its row.

Every row has `messages` (OpenAI's chat format), `topic`, `topic_path`, `model_id` and `metadata`, and of its kind:

- `instruction`: `question` and `answer`.
- `conversation`: nothing more; `messages` has several turns. `prompt` is the first.
- `chain_of_thought`: `question`, `reasoning` (a list of steps) and `final_answer`.
- `structured`: the fields of the user's own model.
- `tool_calling`: `question`, `answer` and `tools` (OpenAI's schemas); `messages` has the calls and their results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel, Field

from rowsmith.errors import ConfigError
from rowsmith.generator.arithmetic import false_equation, number_in
from rowsmith.generator.config import GeneratorConfig
from rowsmith.generator.kind import PLACE, Kind, turn
from rowsmith.generator.tool_calling.kind import ToolCalling
from rowsmith.quality.gates import Rejection, Row
from rowsmith.recipes.outputs import RowFacts, in_words, output_model, sources_of
from rowsmith.tools.toolbox import Toolbox

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


class Instruction(Kind):
    """A question with its answer."""

    what = "questions with their answers"
    checked_fields = ("answer",)

    def __init__(self) -> None:
        super().__init__(InstructionEntry)

    def fields(self, entry: Any) -> Row | Rejection:
        return {"question": entry.question, "answer": entry.answer}

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the contract's
        return [turn("user", fields["question"]), turn("assistant", fields["answer"])]


class Conversation(Kind):
    """A conversation of several turns."""

    what = "conversations of two to four turns between a person and an assistant"
    text_fields = ("prompt",)

    def __init__(self) -> None:
        super().__init__(ConversationEntry)

    def fields(self, entry: Any) -> Row | Rejection:
        if any(not text.strip() for one in entry.turns for text in (one.message, one.reply)):
            return Rejection("empty", "a message of the conversation is empty")
        said = [
            turn(role, text)
            for exchange in entry.turns
            for role, text in (("user", exchange.message), ("assistant", exchange.reply))
        ]
        return {"prompt": entry.turns[0].message, "messages": said}

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the contract's
        told: list[dict[str, Any]] = fields["messages"]
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

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the contract's
        solution = "\n".join((*fields["reasoning"], "", f"Answer: {fields['final_answer']}"))
        return [turn("user", fields["question"]), turn("assistant", solution)]


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

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:
        return [turn("user", asked), turn("assistant", orjson.dumps(fields).decode())]

    def content(self, row: Mapping[str, Any]) -> str:
        return "\n\n".join(str(row[name]) for name in self.text_fields)

    def sources(self) -> Mapping[str, str]:
        """The text of the model's classes: their validators decide what a row is."""
        return sources_of(self.model)


class _Unwritten(BaseModel):
    """What an entry has is not known yet."""


class Unlisted(Kind):
    """Conversations that call tools which nobody has listed yet: what does not depend on the tools can be asked of it.

    Args:
        toolbox: with an MCP server that has not been asked.
    """

    what = ToolCalling.what
    text_fields = ToolCalling.text_fields
    checked_fields = ToolCalling.checked_fields

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        super().__init__(_Unwritten)

    @property
    def in_words(self) -> str:
        self._refuse()

    def fields(self, entry: Any) -> Row | Rejection:  # noqa: ARG002  # the contract's
        self._refuse()

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the contract's
        self._refuse()

    def describe(self) -> Mapping[str, Any]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        names = ", ".join(self._toolbox.unlisted)
        raise ConfigError(f"the tools of {names} are not known yet: it has to be asked for them first")


def kind_of(config: GeneratorConfig, toolbox: Toolbox | None = None) -> Kind:
    """The kind that a configuration names.

    Args:
        config: the configuration.
        toolbox: for `tool_calling`: what may be called.

    Raises:
        ConfigError: the output model cannot be used.
    """
    if toolbox is not None:
        return Unlisted(toolbox) if toolbox.needs_listing else ToolCalling(toolbox, config)
    if config.conversation_type == "structured":
        return Structured(config.output_model)
    if config.conversation_type == "chain_of_thought":
        return ChainOfThought(numeric=config.numeric_answers)
    return Conversation() if config.conversation_type == "conversation" else Instruction()


def messages_of(said: Sequence[dict[str, Any]], system: str | None) -> list[dict[str, Any]]:
    """A conversation behind a system message, if there is one."""
    return [turn("system", system), *said] if system else list(said)
