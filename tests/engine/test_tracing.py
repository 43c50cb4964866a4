"""Traces of a run, as OpenTelemetry's own SDK receives them."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rowsmith import AuthenticationError, Fallback, MissingDependencyError, OpenAIProvider, ServiceError
from rowsmith.engine.tracing import OpenTelemetry
from rowsmith.llm.values import Completion, Finish, Usage
from rowsmith.testing import RateLimited, ScriptedServer, ServerError

from .harness import QUICK, Model, Question, classes, dataset, new_texts

KEY = "sk-a-key-that-nobody-may-see"


class Traces:
    """What the SDK has received."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def listener(self, **settings: Any) -> OpenTelemetry:
        return OpenTelemetry(self.provider, **settings)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name.startswith(start)]

    @property
    def text(self) -> str:
        return "".join(span.to_json() for span in self.all)


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.provider.shutdown()


def of(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def length(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_run_has_cells_and_cells_have_calls_whatever_the_concurrency(tmp_path: Path, traces: Traces) -> None:
    model = Model(seconds=lambda question: 0.002 + question.digest % 5 / 1000)
    dataset(tmp_path, classes=classes(*"abcdefgh")).generate(model, options=QUICK, listeners=[traces.listener()])
    (run,), cells, calls = traces.named("rowsmith.run"), traces.named("rowsmith.cell"), traces.named("chat ")
    assert (len(cells), len(calls)) == (16, 16)
    assert parent_of(run) is None
    assert {parent_of(cell) for cell in cells} == {id_of(run)}
    by_id = {id_of(cell): cell for cell in cells}
    for call in calls:
        cell = by_id[parent_of(call) or 0]
        assert of(call)["rowsmith.cell"] == of(cell)["rowsmith.cell"]
        assert (cell.start_time or 0) <= (call.start_time or 0) <= (call.end_time or 0) <= (cell.end_time or 0)
        assert 0.002 <= length(call) < length(run)
    assert {(of(cell)["rowsmith.rows"], of(cell)["rowsmith.cell.status"]) for cell in cells} == {(5, "done")}
    assert (of(run)["rowsmith.ended"], of(run)["rowsmith.rows"], of(run)["rowsmith.calls"]) == ("complete", 80, 16)


def test_a_call_bears_the_attributes_of_the_conventions(tmp_path: Path, traces: Traces) -> None:
    with ScriptedServer() as server:
        settings: dict[str, Any] = {"input_cost_per_million": 1_000_000.0, "output_cost_per_million": 0.0}
        model = OpenAIProvider("gpt-4.1-mini", api_key=KEY, api_base=server.base_url, temperature=0.5, **settings)
        dataset(tmp_path).generate(model, options=QUICK, listeners=[traces.listener()])
        call, port = traces.named("chat ")[0], int(server.url.rpartition(":")[2])
    found = dict(of(call))
    assert (call.name, call.kind, call.status.status_code) == ("chat gpt-4.1-mini", SpanKind.CLIENT, StatusCode.UNSET)
    tokens = found.pop("gen_ai.usage.input_tokens")
    assert tokens > 0
    assert found.pop("gen_ai.usage.output_tokens") > 0
    assert found.pop("rowsmith.cost") == tokens
    assert found.pop("rowsmith.seconds") == pytest.approx(length(call), abs=0.05)
    assert found.pop("rowsmith.waited") >= 0
    assert len(found.pop("rowsmith.cell")) == 16
    assert found.pop("rowsmith.request_id").startswith("req_")
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "gpt-4.1-mini",
        "rowsmith.call": "0",
        "rowsmith.role": "writer",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


def test_cached_and_reasoning_tokens_are_told(tmp_path: Path, traces: Traces) -> None:
    def answer(question: Question) -> Completion:
        return Completion(new_texts(question), Finish.STOP, Usage(100, 50, 30, 20), "model-2026", "id")

    dataset(tmp_path).generate(Model(answer), options=QUICK, listeners=[traces.listener()])
    found = of(traces.named("chat ")[0])
    assert found["gen_ai.usage.cache_read.input_tokens"] == 30
    assert found["gen_ai.usage.reasoning.output_tokens"] == 20
    assert found["gen_ai.response.model"] == "model-2026"


def test_retries_and_failures_are_told_at_the_call_that_they_befell(tmp_path: Path, traces: Traces) -> None:
    faults = [None, ServerError(), RateLimited(retry_after=0.01), None, None, None]
    with ScriptedServer(faults=faults) as server:
        model = OpenAIProvider("model", api_key=KEY, api_base=server.base_url)
        dataset(tmp_path).generate(model, options=replace(QUICK, max_concurrency=1), listeners=[traces.listener()])
    retried = [[event.name for event in call.events] for call in traces.named("chat ")]
    assert sorted(retried) == [[], [], [], ["rowsmith.retry", "rowsmith.retry"]]


def test_a_model_that_failed_and_the_one_that_stood_in_are_both_to_be_seen(tmp_path: Path, traces: Traces) -> None:
    def fail(question: Question) -> str:
        raise AuthenticationError("wrong key", status=401)

    models = Fallback([Model(fail, model_id="a"), Model(model_id="b")])
    dataset(tmp_path).generate(models, options=replace(QUICK, max_concurrency=1), listeners=[traces.listener()])
    failed, made = traces.named("chat a"), traces.named("chat b")
    assert [span.status.status_code for span in failed] == [StatusCode.ERROR] * len(failed)
    assert of(failed[0])["error.type"] == "AuthenticationError"
    assert of(failed[0])["http.response.status_code"] == 401
    assert len(made) == 4
    assert parent_of(failed[0]) in {parent_of(span) for span in made}


def test_a_cell_that_failed_is_an_error(tmp_path: Path, traces: Traces) -> None:
    def fail(question: Question) -> str:
        raise ServiceError("down")

    dataset(tmp_path).generate(Model(fail), options=QUICK, listeners=[traces.listener()])
    assert {cell.status.status_code for cell in traces.named("rowsmith.cell")} == {StatusCode.ERROR}
    assert {of(cell)["rowsmith.cell.status"] for cell in traces.named("rowsmith.cell")} == {"failed"}


def test_answers_from_the_ledger_are_no_calls(tmp_path: Path, traces: Traces) -> None:
    dataset(tmp_path).generate(Model(), options=QUICK)
    dataset(tmp_path, gates={"min_length": 2}).generate(Model(), options=QUICK, listeners=[traces.listener()])
    assert traces.named("chat ") == []
    cells = traces.named("rowsmith.cell")
    assert [[event.name for event in cell.events] for cell in cells] == [["rowsmith.replayed"]] * 4


def test_a_stopped_run_leaves_no_span_open(tmp_path: Path, traces: Traces) -> None:
    listener = traces.listener()
    dataset(tmp_path).generate(Model(), options=replace(QUICK, max_requests=2), listeners=[listener])
    assert of(traces.named("rowsmith.run")[0])["rowsmith.ended"] == "stopped"
    assert [of(cell)["rowsmith.cell.status"] for cell in traces.named("rowsmith.cell")].count("stopped") >= 1
    dataset(tmp_path).generate(Model(), options=QUICK, listeners=[listener])
    assert len(traces.named("rowsmith.run")) == 2


def test_a_sample_is_traced_call_by_call(tmp_path: Path, traces: Traces) -> None:
    dataset(tmp_path).generate_sample(Model(), 2, options=QUICK, listeners=[traces.listener()])
    assert [(span.name, parent_of(span)) for span in traces.all] == [("chat model", None)] * 2


def test_a_run_lies_below_the_span_around_it(tmp_path: Path, traces: Traces) -> None:
    with traces.provider.get_tracer("mine").start_as_current_span("my pipeline") as around:
        listener = traces.listener()
    dataset(tmp_path).generate(Model(), options=QUICK, listeners=[listener])
    assert parent_of(traces.named("rowsmith.run")[0]) == around.get_span_context().span_id


def test_no_text_is_told_unless_it_is_asked_for(tmp_path: Path, traces: Traces) -> None:
    def answer(question: Question) -> Completion:
        if "dry" in question.prompt and question.number == 0:
            raise ServiceError("the service quotes Write 5 dry texts")
        return Completion(new_texts(question).replace("text 1", "text "), Finish.STOP, Usage(1, 1))

    settings: dict[str, Any] = {"system_prompt": "Be brief.", "gates": {"blocklist": ["number 3"]}, "max_rounds": 0}
    dataset(tmp_path, **settings).generate(Model(answer), options=QUICK, listeners=[traces.listener()])
    assert "Write" not in traces.text
    assert "number" not in traces.text.replace("rowsmith.cell.number", "")
    assert "Be brief" not in traces.text


def test_prompts_and_answers_are_told_where_they_are_asked_for_and_keys_never(tmp_path: Path, traces: Traces) -> None:
    with ScriptedServer(faults=[None, ServerError(), None]) as server:
        model = OpenAIProvider("model", api_key=KEY, api_base=server.base_url)
        settings: dict[str, Any] = {"system_prompt": "Be brief."}
        listeners = [traces.listener(content=True)]
        dataset(tmp_path, **settings).generate(model, options=QUICK, listeners=listeners)
    found = of(traces.named("chat ")[0])
    (message,) = json.loads(found["gen_ai.input.messages"])
    assert message["role"] == "user"
    assert message["parts"][0]["content"].startswith("Write 5")
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    (answer,) = json.loads(found["gen_ai.output.messages"])
    assert json.loads(answer["parts"][0]["content"])["entries"]
    assert (answer["role"], answer["finish_reason"]) == ("assistant", "stop")
    assert "The server had an error" in traces.text
    assert KEY not in traces.text


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rowsmith\[otel\]'"):
        OpenTelemetry()
