"""Conversations in which an assistant calls tools: a request, rounds of calls with their results, the answer.

The request comes with its first calls, several requests to an answer as with every kind; all that follows is asked for
each by itself. What is called is checked against the tool's schema when it comes; what does not fit is asked for again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, Field, create_model, field_validator

from rowsmith.engine.asking import Prompt
from rowsmith.engine.context import Question
from rowsmith.errors import did_you_mean
from rowsmith.generator.call_schema import CallSchema, without_added_nulls
from rowsmith.generator.config import GeneratorConfig
from rowsmith.generator.kind import Asking, Kind, Made, turn
from rowsmith.generator.tool_wording import ANSWER, CALLS, EITHER, how_to_begin, listed, rounds, simulation, transcript
from rowsmith.llm.structured.outcome import Outcome, Reading
from rowsmith.llm.structured.output import Output
from rowsmith.llm.structured.shape import shortened
from rowsmith.llm.structured.text_output import TextOutput
from rowsmith.llm.values import Completion, Message, OutputSchema, Rung
from rowsmith.quality.gates import Rejection, Row
from rowsmith.tools.result import ToolResult, tool_request
from rowsmith.tools.tool import Tool
from rowsmith.tools.toolbox import Toolbox

EXECUTOR, SIMULATOR = "tool", "simulator"
"""Roles: who carries calls out, and who makes their results up."""
BAD_CALL, TOOL_ERROR = "tool_call", "tool_error"
"""Gates: a call that does not fit its tool's schema, and one that failed."""

_SETTINGS = {
    "tool_results",
    "max_tool_steps",
    "max_parallel_calls",
    "only_used_tools",
    "tool_errors",
    "tool_failure_rate",
}
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ID_LENGTH = 9
"""What Mistral's chat templates ask of a call's id; everybody else takes any."""


class ToolCall(BaseModel):
    """One call, before it is held against its tool."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @field_validator("arguments", mode="before")
    @classmethod
    def _written_as_text(cls, given: Any) -> Any:
        """Arguments that are JSON in a text, as OpenAI's format has them."""
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except ValueError:
            return given


class FinalAnswer(BaseModel):
    """What the assistant says in the end."""

    answer: str = Field(min_length=1, description="the assistant's answer to the user")


class Call(NamedTuple):
    """A call that fits its tool.

    Attributes:
        id: tells it from all others of its conversation.
        tool: what is called.
        arguments: as JSON.
        values: the arguments themselves.
    """

    id: str
    tool: Tool
    arguments: str
    values: Mapping[str, Any]

    def openai(self) -> dict[str, Any]:
        """The call as OpenAI's chat format has it."""
        function = {"name": self.tool.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


class Result(NamedTuple):
    """What came of a call.

    Attributes:
        content: the text that the assistant gets.
        error: what kind of error it is; None if it is none.
        why: the error in words.
    """

    content: str
    error: str | None = None
    why: str = ""


@dataclass(slots=True)
class Talk:
    """A conversation on its way."""

    messages: list[dict[str, Any]]
    used: dict[str, None] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)
    steps: int = 0
    calls: int = 0

    def add(self, calls: Sequence[Call], results: Sequence[Result]) -> None:
        """Add a round of calls with their results."""
        self.steps += 1
        self.calls += len(calls)
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call.openai() for call in calls]})
        for call, result in zip(calls, results, strict=True):
            self.used[call.tool.name] = None
            told = {"role": "tool", "tool_call_id": call.id, "name": call.tool.name, "content": result.content}
            self.messages.append(told)
            if result.error is not None:
                self.errors.append({"tool_call_id": call.id, "name": call.tool.name, "kind": result.error})


class ToolCalling(Kind):
    """A request, the calls that it takes, and the answer.

    Args:
        toolbox: what may be called; all of it is known.
        config: the settings of the generator.
    """

    what: ClassVar[str] = "requests of a user to an assistant that has tools, each with the assistant's first calls"
    checked_fields = ("answer",)

    def __init__(self, toolbox: Toolbox, config: GeneratorConfig) -> None:
        tools = toolbox.tools
        self._tools = {tool.name: tool for tool in tools}
        self._toolbox = toolbox
        self._config = config
        self._least, self._most = config.least_tool_steps, config.max_tool_steps
        schema = CallSchema(tools)

        def refined(written: dict[str, Any]) -> Mapping[str, Any]:
            return schema.put_into(written, ToolCall.__name__)

        many = Field(min_length=1, max_length=config.max_parallel_calls, description="calls that are made at once")
        asked = Field(min_length=1, description="what the user asks for, complete in itself")
        request: type[BaseModel] = create_model("ToolRequest", question=(str, asked), calls=(list[ToolCall], many))
        calls: type[BaseModel] = create_model("ToolCalls", calls=(list[ToolCall], many))
        next_step: Any = calls | FinalAnswer
        following: type[BaseModel] = create_model("NextStep", next=(next_step, ...))
        super().__init__(request, refined)
        self.calls: Output[BaseModel] = Output(calls, refined)
        self.either: Output[BaseModel] = Output(following, refined)
        self.answer: Output[FinalAnswer] = Output(FinalAnswer)

    @property
    def in_words(self) -> str:
        tools = list(self._tools.values())
        return how_to_begin(tools, self._least, self._most, self._config.max_parallel_calls)

    def fields(self, entry: Any) -> Made:
        fault = self._fault(entry.calls)
        return {"question": entry.question} if fault is None else Rejection(BAD_CALL, fault)

    def go_on(self, entry: Any, asking: Asking) -> Awaitable[Made]:
        return self._conversation(entry, asking)

    def said(self, fields: Row, asked: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the contract's
        told: list[dict[str, Any]] = fields["messages"]
        return told

    def content(self, row: Mapping[str, Any]) -> str:
        """All that stands in the conversation: calls and results too."""
        return "\n\n".join(
            part for message in row["messages"] if message["role"] != "system" for part in _parts(message)
        )

    def describe(self) -> Mapping[str, Any]:
        """The settings of the calls, and the tools: with their code where it is run."""
        described = self._config.model_dump(mode="json", include=_SETTINGS)
        tools = (
            self._toolbox.describe() if self._executes else [tool.openai()["function"] for tool in self._tools.values()]
        )
        return {**described, "min_tool_steps": self._least, "tools": tools}

    # -- the conversation ---------------------------------------------------------------------------------------------

    async def _conversation(self, entry: Any, asking: Asking) -> Made:
        made = self.fields(entry)
        if isinstance(made, Rejection):
            return made
        question: str = entry.question
        talk = Talk([turn("user", question)])
        drawn = asking.draft.random
        found: Sequence[ToolCall] = entry.calls
        while True:
            calls = [self._call(one, f"{question}\0{talk.steps}\0{place}") for place, one in enumerate(found)]
            results = await self._results(calls, talk, asking, drawn)
            if self._refuses_errors and (failed := _first_error(calls, results)):
                return Rejection(TOOL_ERROR, failed)
            talk.add(calls, results)
            following = await self._following(talk, asking)
            if isinstance(following, str):
                talk.messages.append(turn("assistant", following))
                return self._row(question, following, talk, asking)
            found = following

    def _row(self, question: str, answer: str, talk: Talk, asking: Asking) -> Row:
        names = talk.used if self._config.only_used_tools else self._tools
        metadata: dict[str, Any] = {
            "tool_steps": talk.steps,
            "tool_calls": talk.calls,
            "tool_results": self._config.tool_results,
            "tool_errors": talk.errors,
        }
        if not self._executes:
            metadata["tool_model_id"] = asking.draft.model(SIMULATOR)
        return {
            "question": question,
            "answer": answer,
            "messages": talk.messages,
            "tools": [tool.openai() for name, tool in self._tools.items() if name in names],
            "metadata": metadata,
        }

    async def _following(self, talk: Talk, asking: Asking) -> str | Sequence[ToolCall]:
        """What the assistant does next: its answer, or further calls."""
        if talk.steps == self._most:
            said: Any = await self._ask(talk, asking, ANSWER, self.answer)
        elif talk.steps < self._least:
            said = await self._ask(talk, asking, CALLS.format(rounds=rounds(self._least)), self.calls)
        else:
            step: Any = await self._ask(talk, asking, EITHER, self.either)
            said = step.next
        following: str | Sequence[ToolCall] = said.answer if isinstance(said, FinalAnswer) else said.calls
        return following

    async def _ask(self, talk: Talk, asking: Asking, task: str, output: Output[Any]) -> Any:
        tools = (
            "" if output is self.answer else f"The assistant has these tools:\n{listed([*self._tools.values()])}\n\n"
        )
        text = (
            f"A conversation between a user and an assistant that has tools is being written.\n\n{asking.asked}\n\n"
            f"{tools}The conversation so far:\n\n{transcript(talk.messages)}\n\n{task}"
        )
        prompt = Prompt((*asking.system, Message.user(text)), asking.hints)
        return await asking.draft.ask("writer", prompt, output, self._step_fault)

    def _step_fault(self, said: Any) -> str | None:
        step = getattr(said, "next", said)
        if isinstance(step, FinalAnswer):
            return None if step.answer.strip() else "answer is empty"
        return self._fault(step.calls)

    # -- calls and their results --------------------------------------------------------------------------------------

    def _fault(self, calls: Sequence[ToolCall]) -> str | None:
        """What is wrong with calls, or None."""
        if not calls:
            return "calls is empty: at least one tool must be called"
        if len(calls) > self._config.max_parallel_calls:
            return f"there are {len(calls)} calls at once, and may be {self._config.max_parallel_calls}"
        for call in calls:
            tool = self._tools.get(call.name)
            if tool is None:
                return f"there is no tool {call.name!r}. {did_you_mean(call.name, self._tools)}"
            values = without_added_nulls(tool.parameters, call.arguments)
            fault = tool.fault(values)
            if fault is None and _as_json(values) is None:
                fault = "a number is infinite or none"
            if fault is not None:
                return f"the call of {call.name} does not fit: {fault}"
        return None

    def _call(self, found: ToolCall, place: str) -> Call:
        tool = self._tools[found.name]
        values = without_added_nulls(tool.parameters, found.arguments)
        arguments = _as_json(values) or "{}"
        return Call(_id_of(f"{place}\0{tool.name}\0{arguments}"), tool, arguments, values)

    async def _results(self, calls: Sequence[Call], talk: Talk, asking: Asking, drawn: Random) -> Sequence[Result]:
        if self._executes:
            found = await asking.draft.ask_at_once(
                [Question(EXECUTOR, Prompt(tool_request(call.tool.name, call.values), {}), EXECUTION) for call in calls]
            )
            return [_result_of(one) for one in found]
        fails = [drawn.random() < self._config.tool_failure_rate for _ in calls]
        texts = [
            simulation(call.tool, call.arguments, talk.messages, fails=failing)
            for call, failing in zip(calls, fails, strict=True)
        ]
        written = await asking.draft.ask_at_once(
            [Question(SIMULATOR, Prompt((Message.user(text),), asking.hints), SIMULATION) for text in texts]
        )
        pairs = zip(written, fails, strict=True)
        return [Result(unfenced(text), SIMULATED if failing else None) for text, failing in pairs]

    @property
    def _executes(self) -> bool:
        return self._config.tool_results == "executed"

    @property
    def _refuses_errors(self) -> bool:
        return self._executes and self._config.tool_errors == "reject"


class Execution:
    """What a `ToolRunner` answers."""

    again: ClassVar[str] = ""

    @property
    def schema(self) -> OutputSchema:
        """Of a call that succeeds: what an estimate, in which nothing is carried out, makes up."""
        return _SUCCESS

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        del rung
        return messages

    def read(self, completion: Completion) -> Reading[ToolResult]:
        return Reading(ToolResult.of(completion.text), Outcome.OK)


_SUCCESS = OutputSchema(
    "tool_result",
    {
        "type": "object",
        "properties": {"ok": {"const": True}, "result": {"type": "string"}},
        "required": ["ok", "result"],
        "additionalProperties": False,
    },
)
EXECUTION, SIMULATION = Execution(), TextOutput()
SIMULATED = "simulated"
_FENCED = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)


def unfenced(text: str) -> str:
    """A text without the fence that a model has put around all of it."""
    found = _FENCED.fullmatch(text.strip())
    return found[1] if found else text


def _result_of(found: ToolResult) -> Result:
    if found.ok:
        return Result(found.result)
    return Result(json.dumps({"error": found.error}, ensure_ascii=False), found.kind, found.error)


def _first_error(calls: Sequence[Call], results: Sequence[Result]) -> str | None:
    for call, result in zip(calls, results, strict=True):
        if result.error is not None:
            return f"{call.tool.name} failed ({result.error}): {shortened(result.why, 300)}"
    return None


def _parts(message: Mapping[str, Any]) -> Iterator[str]:
    if message.get("content"):
        yield message["content"]
    for call in message.get("tool_calls") or ():
        yield f"{call['function']['name']} {call['function']['arguments']}"


def _as_json(values: Mapping[str, Any]) -> str | None:
    """Arguments as JSON; None if it has no words for them."""
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return None


def _id_of(text: str) -> str:
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
