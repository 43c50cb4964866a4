"""A run's events as OpenTelemetry traces, in the semantic conventions for generative AI.

    dataset.generate("openai/gpt-5-mini", listeners=[OpenTelemetry()])

A run is a span, with a span for each cell below it and, below that, one of kind CLIENT for each request to a model:
`chat <model>`, with the attributes `gen_ai.*` that the conventions name (those of 2026, status: development) and
`rowsmith.*` for what they do not: the cell, the role, the cost in US dollars. Retries, rejected rows and answers from
the ledger are events of these spans. No span holds a key; prompts, answers, and messages that may quote them only where
they are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from rowsmith.engine.events import (
    CallFailed,
    CallMade,
    CallStarted,
    CellFinished,
    CellParked,
    CellStarted,
    Event,
    Retry,
    RowAccepted,
    RowRejected,
    RunFinished,
    RunStarted,
)
from rowsmith.engine.plan import Cell
from rowsmith.errors import MissingDependencyError
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Completion, Message

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Providers that the conventions know by another name than ours."""

_SETTINGS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
}
_CallKey = tuple[int, str, str]


class OpenTelemetry:
    """A listener that makes traces of a run. One run at a time; each of several at once needs its own.

    Args:
        tracer_provider: where spans go; the global one if not given, as `opentelemetry-instrument` or the program sets
            it up. Without any, nothing is recorded.
        content: put prompts, answers and error messages into the spans as well.

    Raises:
        MissingDependencyError: `opentelemetry-api` is not installed.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, *, content: bool = False) -> None:
        try:
            from opentelemetry import context, trace
        except ModuleNotFoundError as exc:
            raise MissingDependencyError("Tracing with OpenTelemetry", "otel") from exc
        self._trace = trace
        self._tracer = trace.get_tracer("rowsmith", version("rowsmith"), tracer_provider)
        self._content = content
        # What surrounds the run: it may go on in another thread, which knows nothing of it.
        self._around = context.get_current()
        self._run: Span | None = None
        self._cells: dict[int, Span] = {}
        self._rows: dict[int, int] = {}
        self._calls: dict[_CallKey, _Call] = {}
        self._by_type: dict[type[Any], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            CellStarted: self._cell_started,
            CallStarted: self._call_started,
            Retry: self._retry,
            CallMade: self._call_made,
            CallFailed: self._call_failed,
            RowAccepted: self._row_accepted,
            RowRejected: self._row_rejected,
            CellParked: self._cell_parked,
            CellFinished: self._cell_finished,
            RunFinished: self._run_finished,
        }

    def __call__(self, event: Event) -> None:
        take = self._by_type.get(type(event))
        if take is not None:
            take(event)

    # -- the run and its cells -------------------------------------------------------------------------------------

    def _run_started(self, event: RunStarted) -> None:
        self._cells, self._rows, self._calls = {}, {}, {}
        self._run = self._tracer.start_span(
            "rowsmith.run",
            self._around,
            attributes={
                "rowsmith.output": event.output,
                "rowsmith.cells": event.cells,
                "rowsmith.rows.expected": event.rows,
                "rowsmith.rows.before": event.rows_before,
                "rowsmith.models": list(event.models),
            },
        )

    def _run_finished(self, event: RunFinished) -> None:
        report, run = event.report, self._run
        if run is None:
            return
        for key in list(self._calls):
            self._end_call(key, self._trace.StatusCode.UNSET, {"rowsmith.stopped": True})
        for number in list(self._cells):
            self._end_cell(number, "stopped")
        run.set_attributes(
            {
                "rowsmith.ended": report.ended,
                "rowsmith.rows": report.rows,
                "rowsmith.calls": report.calls,
                "rowsmith.calls.replayed": report.replayed,
                "rowsmith.retries": report.retries,
                "rowsmith.cost.total": report.total.cost,
            }
        )
        run.end()
        self._run = None

    def _cell_started(self, event: CellStarted) -> None:
        if self._run is None:  # a sample: its calls are traced by themselves
            return
        number = event.cell.number
        if number in self._cells:
            self._cells[number].add_event("rowsmith.cell.again")
            self._rows[number] = 0
            return
        self._rows[number] = 0
        self._cells[number] = self._tracer.start_span(
            "rowsmith.cell",
            self._trace.set_span_in_context(self._run, self._around),
            attributes={
                "rowsmith.cell": event.cell.name,
                "rowsmith.cell.number": number,
                "rowsmith.rows.wanted": event.cell.want,
            },
        )

    def _row_accepted(self, event: RowAccepted) -> None:
        if event.cell.number in self._rows:
            self._rows[event.cell.number] += 1

    def _row_rejected(self, event: RowRejected) -> None:
        cell = self._cells.get(event.cell.number)
        if cell is not None:
            reason = {"rowsmith.reason": event.reason} if self._content else {}
            cell.add_event("rowsmith.rejected", {"rowsmith.gate": str(event.gate), **reason})

    def _cell_parked(self, event: CellParked) -> None:
        self._end_cell(event.cell.number, "parked")

    def _cell_finished(self, event: CellFinished) -> None:
        self._rows[event.cell.number] = event.rows
        self._end_cell(event.cell.number, event.status)

    def _end_cell(self, number: int, status: str) -> None:
        cell = self._cells.pop(number, None)
        if cell is None:
            return
        cell.set_attributes({"rowsmith.cell.status": status, "rowsmith.rows": self._rows.pop(number, 0)})
        if status == "failed":
            cell.set_status(self._trace.StatusCode.ERROR)
        cell.end()

    # -- its calls -------------------------------------------------------------------------------------------------

    def _call_started(self, event: CallStarted) -> None:
        provider = event.provider
        attributes = {**_request(provider), **_whose(event.cell, event.ordinal, event.role)}
        if self._content:
            attributes |= _said(event.messages)
        self._calls[event.cell.number, event.ordinal, event.model] = _Call(
            f"chat {provider.model_id}", attributes, time.time_ns()
        )

    def _retry(self, event: Retry) -> None:
        if event.cell is None:
            return
        call = self._calls.get((event.cell.number, event.ordinal, event.model))
        if call is not None:
            error = {"rowsmith.error": event.error} if self._content else {}
            told = {"rowsmith.attempt": event.attempt, "rowsmith.retry.seconds": event.seconds, **error}
            call.events.append(("rowsmith.retry", told, time.time_ns()))

    def _call_made(self, event: CallMade) -> None:
        cell = self._cells.get(event.cell.number)
        if event.replayed:
            if cell is not None:
                told = {"rowsmith.model": event.model, "rowsmith.role": event.role, "rowsmith.call": event.ordinal}
                cell.add_event("rowsmith.replayed", told)
            return
        attributes = {**_response(event), "rowsmith.seconds": event.seconds}
        if event.cost is not None:
            attributes["rowsmith.cost"] = event.cost
        if self._content:
            attributes["gen_ai.output.messages"] = _answer(event.completion)
        key = (event.cell.number, event.ordinal, event.model)
        # It was sent when limits let it, which is when its answer came less what that took.
        sent = time.time_ns() - round(event.seconds * 1e9)
        call = self._calls.get(key)
        if call is None:
            self._calls[key] = _from_batch(event, sent)
        elif not call.events:
            call.sent(sent)
        self._end_call(key, self._trace.StatusCode.UNSET, attributes, event.cell)

    def _call_failed(self, event: CallFailed) -> None:
        attributes: dict[str, Any] = {"error.type": type(event.error).__name__}
        if event.error.status is not None:
            attributes["http.response.status_code"] = event.error.status
        key = (event.cell.number, event.ordinal, event.model)
        self._end_call(key, self._trace.StatusCode.ERROR, attributes, event.cell, str(event.error))

    def _end_call(
        self, key: _CallKey, code: Any, attributes: Mapping[str, Any], cell: Cell | None = None, why: str = ""
    ) -> None:
        """Make the span of a call that is over, with all that was noted of it."""
        call = self._calls.pop(key, None)
        if call is None:
            return
        parent = self._cells.get(key[0] if cell is None else cell.number)
        span = self._tracer.start_span(
            call.name,
            self._around if parent is None else self._trace.set_span_in_context(parent, self._around),
            kind=self._trace.SpanKind.CLIENT,
            attributes={**call.attributes, **attributes},
            start_time=call.started,
        )
        for name, told, at in call.events:
            span.add_event(name, told, at)
        if code is not self._trace.StatusCode.UNSET:
            span.set_status(code, why if self._content else None)
        span.end()


class _Call:
    """A call under way: its span is made when it is over, for only then it is known when it was really sent."""

    __slots__ = ("attributes", "events", "name", "started")

    def __init__(self, name: str, attributes: dict[str, Any], started: int) -> None:
        self.name = name
        self.attributes = attributes
        self.started = started
        self.events: list[tuple[str, dict[str, Any], int]] = []

    def sent(self, at: int) -> None:
        self.attributes["rowsmith.waited"] = max(0, at - self.started) / 1e9
        self.started = max(self.started, at)


def _request(provider: Provider) -> dict[str, Any]:
    """What is known of a request before it is sent."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider.name, provider.name),
        "gen_ai.request.model": provider.model_id,
    }
    for setting, name in _SETTINGS.items():
        value = getattr(provider, setting, None)
        if isinstance(value, int | float):
            attributes[name] = value
    address = urlsplit(provider.endpoint)
    if address.hostname:
        attributes["server.address"] = address.hostname
        attributes["server.port"] = address.port or (80 if address.scheme == "http" else 443)
    return attributes


def _whose(cell: Cell, ordinal: str, role: str) -> dict[str, Any]:
    return {"rowsmith.cell": cell.name, "rowsmith.call": ordinal, "rowsmith.role": role}


def _from_batch(event: CallMade, sent: int) -> _Call:
    """A call that was handed in with a batch, perhaps by an earlier start: nobody told of its beginning."""
    name, _, model = event.model.partition("/")
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(name, name),
        "gen_ai.request.model": model or name,
        **_whose(event.cell, event.ordinal, event.role),
        "rowsmith.batch": True,
    }
    return _Call(f"chat {model or name}", attributes, sent)


def _response(event: CallMade) -> dict[str, Any]:
    """What is known of an answer; a number that the service did not tell is left out."""
    usage, completion = event.usage, event.completion
    told: dict[str, Any] = {
        "gen_ai.response.finish_reasons": [str(completion.finish)],
        "gen_ai.response.model": completion.model or None,
        "rowsmith.request_id": completion.request_id,
        "gen_ai.usage.input_tokens": usage.input_tokens or None,
        "gen_ai.usage.output_tokens": usage.output_tokens or None,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _said(messages: Sequence[Message]) -> dict[str, str]:
    """The conversation as the conventions write it."""
    system = [_part(message.content) for message in messages if message.role == "system"]
    others = [
        {"role": message.role, "parts": [_part(message.content)]} for message in messages if message.role != "system"
    ]
    said = {"gen_ai.input.messages": orjson.dumps(others).decode()}
    if system:
        said["gen_ai.system_instructions"] = orjson.dumps(system).decode()
    return said


def _answer(completion: Completion) -> str:
    parts = [_part(completion.text)]
    return orjson.dumps([{"role": "assistant", "parts": parts, "finish_reason": str(completion.finish)}]).decode()


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}
