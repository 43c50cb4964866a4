"""Which parameter a model refuses, in each service's own words, and what is left out then."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from rowsmith.errors import BadRequestError, LedgerError
from rowsmith.llm.failures import Caller, from_reply
from rowsmith.llm.parameters import LIMIT_NAMES, Omissions, Parametrised, refusal, refused, sent
from rowsmith.llm.providers.compatible import GroqProvider
from rowsmith.llm.providers.ollama import OllamaProvider
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.structured.rungs import looks_like_unsupported
from rowsmith.llm.values import Message, Request

ALL = ("temperature", "top_p", "frequency_penalty", "max_tokens", "reasoning_effort")


def error(body: Any, status: int = 400) -> BadRequestError:
    """What a service's reply becomes."""
    content = body.encode() if isinstance(body, str) else orjson.dumps(body)
    made = from_reply(status, CIMultiDict(), content, Caller("p", "m"))
    assert isinstance(made, BadRequestError)
    return made


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def forbidden(name: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                "instead.",
                "max_tokens",
                "unsupported_parameter",
            ),
            "max_tokens",
        ),
        (
            openai(
                "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
                "supported.",
                "temperature",
                "unsupported_value",
            ),
            "temperature",
        ),
        (openai("Unknown parameter: 'reasoning_effort'.", "reasoning_effort", "unknown_parameter"), "reasoning_effort"),
        (
            openai(
                "Invalid value: 'none'. Supported values are: 'low' and 'high'.", "reasoning_effort", "invalid_value"
            ),
            "reasoning_effort",
        ),
        (openai("Unrecognized request argument supplied: reasoning_effort"), "reasoning_effort"),
        ({"type": "error", "error": {"message": "`temperature` is deprecated for this model."}}, "temperature"),
        (
            {
                "error": {
                    "message": "`temperature` and `top_p` cannot both be specified for this model. Please use one."
                }
            },
            "top_p",
        ),
        ({"error": {"message": "`temperature` may only be set to 1 when thinking is enabled."}}, "temperature"),
        (
            {"error": {"code": 400, "message": "Penalty is not enabled for this model", "status": "INVALID_ARGUMENT"}},
            "frequency_penalty",
        ),
        ([{"error": {"message": 'Unknown name "frequency_penalty": Cannot find field.'}}], "frequency_penalty"),
        ({"object": "error", "message": {"detail": [forbidden("max_tokens")]}, "param": None}, "max_tokens"),
        ({"detail": [forbidden("store"), forbidden("top_p")]}, "top_p"),
        (
            {
                "object": "error",
                "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_tokens'), 'msg': 'Extra inputs are not "
                "permitted', 'input': 800}]",
                "code": 400,
            },
            "max_tokens",
        ),
        (
            {
                "message": "[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), "
                "'msg': \"Input should be 'low', 'medium' or 'high'\"}]"
            },
            "reasoning_effort",
        ),
        (openai("property 'reasoning_effort' is unsupported, did you mean 'reasoning_format'?"), "reasoning_effort"),
        (openai("`reasoning_effort` must be one of `none` or `default`"), "reasoning_effort"),
        (openai("reasoning_effort is not supported with this model"), "reasoning_effort"),
        (
            {"message": "property 'frequency_penalty' is unsupported", "param": "validation_error"},
            "frequency_penalty",
        ),
        (
            {"code": "invalid-argument", "error": "Model grok-4 does not support parameter reasoningEffort."},
            "reasoning_effort",
        ),
        ({"code": "x", "error": "Argument not supported on this model: frequencyPenalty"}, "frequency_penalty"),
        (
            openai(
                "litellm.UnsupportedParamsError: gemini does not support parameters: ['frequency_penalty'], for "
                "model=gemini-2.5-pro. To drop these, set `litellm.drop_params=True`"
            ),
            "frequency_penalty",
        ),
        (openai("invalid temperature: only 1 is allowed for this model"), "temperature"),
        ({"error": {"message": 'think value "medium" is not supported for this model'}}, "reasoning_effort"),
    ],
)
def test_a_refused_parameter_is_found_in_the_words_of(body: Any, name: str) -> None:
    status = 422 if "detail" in str(body) else 400
    assert refused(error(body, status), ALL) == name
    assert refused(error(body, status), [other for other in ALL if other != name]) != name


def test_ollama_calls_it_thinking() -> None:
    assert refused(error({"error": '"gemma3:4b" does not support thinking'}), ["options", "think"]) == "think"


@pytest.mark.parametrize(
    "body",
    [
        openai("max_tokens is too large: 100000. This model supports at most 16384.", "max_tokens", "invalid_value"),
        openai("The context length is 8192: max_tokens is not supported.", "messages", "context_length_exceeded"),
        openai("Invalid parameter: 'response_format' of type 'json_schema' is not supported.", "response_format"),
        openai(
            "Invalid schema for response_format 'Weather': In context=('properties', 'temperature'), 'minimum' is not "
            "permitted.",
            "response_format",
        ),
        openai("The request is malformed: temperature"),
        openai("Unsupported parameter: 'tools' is not supported with this model.", "tools", "unsupported_parameter"),
        openai("The response was filtered: temperature is not allowed", None, "content_filter"),
        "Bad Request",
    ],
)  # fmt: skip
def test_other_refusals_are_of_no_parameter(body: Any) -> None:
    assert refused(error(body), ALL) is None


def test_a_field_within_another_is_not_that_other() -> None:
    words = {"error": {"message": "output_config.format: Extra inputs are not permitted"}}
    assert refused(error(words), ["output_config", "effort"]) is None
    assert refused(error({"error": {"message": "output_config.effort: not supported"}}), ["effort"]) == "effort"


def test_a_404_for_what_nobody_behind_a_router_takes_is_a_refused_request() -> None:
    body = {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}
    assert looks_like_unsupported(error(body, 404))


def test_a_key_in_the_field_that_is_complained_of_is_not_kept() -> None:
    body = openai("Unsupported parameter", "sk-1234567890abcdef", "unsupported_parameter")
    assert "sk-1234" not in f"{vars(error(body))}"


# What goes out then


@given(
    st.dictionaries(st.sampled_from(ALL), st.integers()),
    st.sets(st.sampled_from((*ALL, "max_completion_tokens"))),
)
def test_nothing_that_is_refused_goes_out_and_nothing_else_is_lost(made: dict[str, int], omit: set[str]) -> None:
    out = sent(made, frozenset(omit))
    assert not omit & out.keys()
    for name, value in made.items():
        kept = next((one for one in (name, LIMIT_NAMES.get(name, "")) if one and one not in omit), None)
        assert kept is None or out[kept] == value


def test_the_limit_of_tokens_is_sent_by_its_other_name_before_it_is_left_out() -> None:
    asked = Request((Message.user("x"),))
    made = OpenAIProvider("m", api_base="http://localhost/v1", max_completion_tokens=5)

    def body(*omit: str) -> Any:
        return orjson.loads(made.encode(Request(asked.messages, omit=frozenset(omit))))

    assert body()["max_tokens"] == 5
    assert body("max_tokens") == {"model": "m", "messages": body()["messages"], "max_completion_tokens": 5}
    assert body("max_tokens", "max_completion_tokens").keys() == {"model", "messages"}


def test_without_omissions_the_bytes_are_as_ever() -> None:
    made = GroqProvider(api_key="k", temperature=0.5, top_p=0.9)
    assert made.encode(Request((Message.user("x"),), omit=frozenset({"other"}))) == made.encode(
        Request((Message.user("x"),))
    )


def test_every_remote_provider_can_leave_out() -> None:
    made = OllamaProvider(think=True)
    assert isinstance(made, Parametrised)
    assert "think" in made.parameters
    assert b"think" not in made.encode(Request((Message.user("x"),), omit=frozenset({"think"})))


def test_with_strict_params_the_refusal_is_the_error_and_names_the_parameter() -> None:
    made = GroqProvider(api_key="k", temperature=0.5, max_completion_tokens=5, strict_params=True)
    told = error(openai("Unsupported parameter: 'temperature'", "temperature", "unsupported_parameter"))
    with pytest.raises(BadRequestError) as caught:
        refusal(made, told, frozenset())
    assert caught.value is told
    assert "`temperature`" in str(told)
    # The other name is no loss, and so no error.
    limit = error(openai("Unsupported parameter", "max_completion_tokens", "unsupported_parameter"))
    assert refusal(made, limit, frozenset()) == ("max_completion_tokens", "max_tokens")
    last = error(openai("Unsupported parameter", "max_tokens", "unsupported_parameter"))
    with pytest.raises(BadRequestError):
        refusal(made, last, frozenset({"max_completion_tokens"}))


# What is remembered


def test_what_was_found_out_is_kept_in_order_and_by_model() -> None:
    one, two = GroqProvider("a", api_key="k"), GroqProvider("b", api_key="k")
    kept = Omissions()
    assert kept.add(one, "top_p")
    assert kept.add(one, "temperature")
    assert not kept.add(one, "top_p")
    again = Omissions.from_json(kept.to_json())
    assert again.current(one) == {"temperature", "top_p"}
    assert again.stages(one) == [{"temperature", "top_p"}, {"top_p"}, frozenset()]
    assert again.current(two) == frozenset()
    assert again.stages(two) == [frozenset()]
    assert again.to_json() == kept.to_json()


@pytest.mark.parametrize("text", ["", "{}1", "[1]", '[["a"]]', "null"])
def test_a_note_that_is_none_is_an_error_of_the_ledger(text: str) -> None:
    with pytest.raises(LedgerError, match="refused parameters"):
        Omissions.from_json(text)
