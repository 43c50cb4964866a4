"""Whole runs on a model in Anthropic's format, with all that can go wrong there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith import AnthropicProvider, ClassificationDataset, ClassificationDatasetConfig, PromptExpansionConfig
from rowsmith.engine.events import Event
from rowsmith.engine.options import Options
from rowsmith.errors import AuthenticationError, BadRequestError, ProviderError
from rowsmith.llm import parameters
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.structured.rungs import looks_like_unsupported
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    CutOff,
    Fault,
    RateLimited,
    Refusal,
    Reset,
    ScriptedServer,
    ServerError,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
    WrongSchema,
)

Start = Callable[..., ScriptedServer]

SECRET = "sk-ant-api03-planted-and-never-to-be-seen"
QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01), grace=5.0)
FAULTS: tuple[Fault, ...] = (
    RateLimited(retry_after=0.01),
    ServerError(529),
    Refusal(),
    CutOff(),
    WrongSchema(),
    BadJSON(),
    Reset("middle"),
)


def dataset(folder: Path) -> ClassificationDataset:
    """Two classes in two tones: 20 rows."""
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    return ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes,
            num_samples_per_prompt=5,
            max_rounds=10,
            output_file=str(folder / "rows.jsonl"),
            prompts=["Write {num_samples} {{tone}} texts in {language_name}, {label_name}: {label_description}."],
            expansion=PromptExpansionConfig(placeholders={"tone": ["dry", "warm"]}),
        )
    )


def model(server: ScriptedServer, **settings: Any) -> AnthropicProvider:
    return AnthropicProvider("claude-haiku-4-5", api_base=server.url, api_key=SECRET, **settings)


def must_be_whole(made: ClassificationDataset) -> None:
    rows = made.to_list()
    assert Counter(row["label"] for row in rows) == {"good": 10, "bad": 10}
    assert len({row["text"] for row in rows}) == 20
    assert all(row["metadata"]["provider"] == "anthropic" for row in rows)


def test_the_count_is_exact_under_all_faults_and_the_key_is_nowhere(
    tmp_path: Path, scripted_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    server = scripted_server(faults=FAULTS, api_key=SECRET)
    llm = model(server, temperature=0.9, input_cost_per_million=1.0, output_cost_per_million=5.0)
    with caplog.at_level(logging.DEBUG):
        made = dataset(tmp_path).generate(llm, options=QUICK, listeners=[events.append])
    must_be_whole(made)
    assert {call.fault for call in server.calls} == {None, *(type(fault).__name__ for fault in FAULTS)}
    assert made.report is not None
    assert made.report.total.cost is not None
    assert made.report.total.cost > 0
    assert SECRET not in caplog.text
    assert SECRET not in repr(events)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_model_without_structured_outputs_is_asked_by_a_tool(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=UnsupportedSchema())
    must_be_whole(dataset(tmp_path).generate(model(server), options=QUICK))
    asked = ["tool" if "tools" in call.body else "format" for call in server.calls if call.status == 200]
    assert set(asked) == {"tool"}
    assert "output_config" in server.calls[0].body


def test_a_model_without_both_is_asked_by_the_prompt(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=UnsupportedSchema(json_too=True))
    must_be_whole(dataset(tmp_path).generate(model(server), options=QUICK))
    refused = [call for call in server.calls if call.status == 400]
    assert {"tools" in call.body for call in refused} == {True, False}
    for call in server.calls:
        if call.status == 200:
            assert call.body.keys() == {"model", "max_tokens", "messages"}
            assert "JSON Schema" in call.prompt


def test_a_parameter_that_it_refuses_is_left_out_from_then_on(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=UnsupportedParameter("temperature"))
    must_be_whole(dataset(tmp_path).generate(model(server, temperature=0.9, extra_body={"top_k": 5}), options=QUICK))
    assert "temperature" in server.calls[0].body
    answered = [call.body for call in server.calls if call.status == 200]
    assert answered
    assert all("temperature" not in body and body["top_k"] == 5 for body in answered)


def test_a_wrong_key_stops_the_run_and_is_not_told(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=WrongKey())
    with pytest.raises(AuthenticationError, match="ANTHROPIC_API_KEY") as caught:
        dataset(tmp_path).generate(model(server), options=QUICK)
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert server.count == 1


@pytest.mark.parametrize(
    ("said", "settings", "refused"),
    [
        ("`temperature` is deprecated for this model.", {"temperature": 0.5}, "temperature"),
        ("top_p: Extra inputs are not permitted", {"top_p": 0.5}, "top_p"),
        ("This model does not support the effort parameter.", {"reasoning_effort": "low"}, "effort"),
        ("adaptive thinking is not supported on this model", {"reasoning_effort": "low"}, "thinking"),
        ("top_k: Extra inputs are not permitted", {"extra_body": {"top_k": 5}}, "top_k"),
        ("prompt is too long: 210000 tokens > 200000 maximum", {"temperature": 0.5}, None),
        ("max_tokens: 200000 > 128000, which is the maximum", {"max_completion_tokens": 200_000}, None),
        ("Schema is too complex for compilation.", {"temperature": 0.5}, None),
    ],
)
async def test_the_services_own_words_name_the_parameter_that_it_refuses(
    scripted_server: Start, said: str, settings: dict[str, Any], refused: str | None
) -> None:
    server = scripted_server(faults=BadRequest(said))
    made = AnthropicProvider("claude-sonnet-4-6", api_base=server.url, api_key=SECRET, **settings)
    async with Transport() as transport:
        with pytest.raises(ProviderError) as caught:
            await made.complete(made.encode(Request((Message.user("Write."),))), transport)
    assert isinstance(caught.value, BadRequestError)
    assert parameters.refused(caught.value, made.parameters) == refused


@pytest.mark.parametrize(
    ("said", "steps_down"),
    [
        ("Schema is too complex for compilation.", True),
        ("Schemas contains too many optional parameters (41), which would make grammar compilation inefficient.", True),
        ("output_config.format.schema: For 'object' type, 'additionalProperties' must be false", True),
        ("output_config.format: Extra inputs are not permitted", True),
        ('tool_choice: type "tool" and "any" are not supported for this model.', True),
        ("Thinking may not be enabled when tool_choice forces tool use.", True),
        ("prompt is too long: 210000 tokens > 200000 maximum", False),
        ("`temperature` is deprecated for this model.", False),
    ],
)
def test_the_services_own_words_tell_when_to_step_down(said: str, steps_down: bool) -> None:
    assert looks_like_unsupported(BadRequestError(said, status=400)) is steps_down
