"""Conversations in which an assistant calls tools: a request, rounds of calls with their results, the answer.

The request comes with its first calls, several requests to an answer as with every kind; all that follows is asked for
each by itself. What is called is checked against the tool's schema when it comes; what does not fit is asked for again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, Field, create_model

from rowsmith.engine.asking import Prompt
from rowsmith.engine.draft import Question
from rowsmith.errors import did_you_mean
from rowsmith.generator.config import GeneratorConfig
from rowsmith.generator.kind import Asking, Kind, Made, turn
from rowsmith.generator.tool_calling.call_schema import CallSchema, without_added_nulls
from rowsmith.generator.tool_calling.results import EXECUTION, SIMULATED, SIMULATION, first_error, result_of, unfenced
from rowsmith.generator.tool_calling.talk import Call, FinalAnswer, Result, Talk, ToolCall, as_json, id_of, parts_of
from rowsmith.generator.tool_calling.wording import (
    ANSWER,
    CALLS,
    EITHER,
    how_to_begin,
    listed,
    rounds,
    simulation,
    transcript,
)
from rowsmith.llm.structured.output import Output
from rowsmith.llm.values import Message
from rowsmith.quality.gates import Rejection, Row
from rowsmith.tools.result import tool_request
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


def _compared(entry: Any) -> Row:
    return {"question": entry.question}


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

        def many() -> Any:
            most = config.max_parallel_calls
            return Field(min_length=1, max_length=most, description="calls that are made at once")

        asked = Field(min_length=1, description="what the user asks for, complete in itself")
        request: type[BaseModel] = create_model("ToolRequest", question=(str, asked), calls=(list[ToolCall], many()))
        calls: type[BaseModel] = create_model("ToolCalls", calls=(list[ToolCall], many()))
        next_step: Any = calls | FinalAnswer
        following: type[BaseModel] = create_model("NextStep", next=(next_step, ...))
        super().__init__(request, refined)
        self.compared = _compared
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
            part for message in row["messages"] if message["role"] != "system" for part in parts_of(message)
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
            if self._refuses_errors and (failed := first_error(calls, results)):
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
            if fault is None and as_json(values) is None:
                fault = "it holds a number or a character that JSON has not"
            if fault is not None:
                return f"the call of {call.name} does not fit: {fault}"
        return None

    def _call(self, found: ToolCall, place: str) -> Call:
        tool = self._tools[found.name]
        values = without_added_nulls(tool.parameters, found.arguments)
        arguments = as_json(values) or "{}"
        return Call(id_of(f"{place}\0{tool.name}\0{arguments}"), tool, arguments, values)

    async def _results(self, calls: Sequence[Call], talk: Talk, asking: Asking, drawn: Random) -> Sequence[Result]:
        if self._executes:
            found = await asking.draft.ask_at_once(
                [Question(EXECUTOR, Prompt(tool_request(call.tool.name, call.values), {}), EXECUTION) for call in calls]
            )
            return [result_of(one) for one in found]
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
