"""Which error a reply becomes, and that none shows a secret."""

from __future__ import annotations

import time
from email.utils import formatdate
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ModelNotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.failures import MESSAGE_LENGTH, Caller, from_reply, malformed, retry_after, scrub, shorten

CALLER = Caller("openai", "gpt-x", ("the-secret-key",), key_variable="OPENAI_API_KEY", no_model="Look at the name")


def failed(status: int, body: object = b"", caller: Caller = CALLER, **headers: str) -> ProviderError:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return from_reply(status, named, content, caller)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, ModelNotFoundError),
        (307, ModelNotFoundError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, QuotaError),
        (403, AuthenticationError),
        (404, ModelNotFoundError),
        (405, ModelNotFoundError),
        (408, ServiceError),
        (409, ServiceError),
        (410, ModelNotFoundError),
        (413, BadRequestError),
        (418, BadRequestError),
        (422, BadRequestError),
        (425, ServiceError),
        (429, RateLimitError),
        (500, ServiceError),
        (502, ServiceError),
        (503, ServiceError),
        (504, ServiceError),
        (529, ServiceError),
        (599, ServiceError),
    ],
)
def test_a_status_alone_decides_the_class(status: int, kind: type[ProviderError]) -> None:
    error = failed(status)
    assert type(error) is kind
    assert (error.provider, error.model, error.status) == ("openai", "gpt-x", status)
    assert error.message


@given(st.integers(300, 599), st.binary(max_size=200) | st.recursive(st.none() | st.text(), lambda x: st.lists(x)))
def test_any_reply_becomes_an_error_of_the_tree(status: int, body: object) -> None:
    error = failed(status, body)
    assert isinstance(error, ProviderError)
    assert 0 < len(error.message) <= MESSAGE_LENGTH
    assert "\n" not in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "details", "detail", "metadata", "raw", "loc", "retryDelay", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(400, 599), JSON)
def test_a_body_of_the_usual_names_in_any_unusual_shape_becomes_an_error(status: int, body: object) -> None:
    assert failed(status, body).message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            429,
            {"error": {"message": "You exceeded…", "type": "insufficient_quota", "code": "insufficient_quota"}},
            QuotaError,
        ),
        (429, {"error": {"message": "x", "code": "billing_hard_limit_reached"}}, QuotaError),
        (
            429,
            {"error": {"message": "Limit reached on requests per day (RPD): Limit 200", "code": "rate_limit_exceeded"}},
            QuotaError,
        ),
        (
            429,
            {"error": {"message": "Limit reached on tokens per min (TPM): Limit 30000", "code": "rate_limit_exceeded"}},
            RateLimitError,
        ),
        (429, {"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}, QuotaError),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
            QuotaError,
        ),
        (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}, QuotaError),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, ServiceError),
        (
            400,
            {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
            AuthenticationError,
        ),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided: xai"}, AuthenticationError),
        (403, {"error": {"message": "Project has no access to it", "code": "model_not_found"}}, ModelNotFoundError),
        (400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}}, ModelNotFoundError),
        (404, {"error": "model 'gemma3:4b' not found"}, ModelNotFoundError),
        (400, {"error": {"message": "Invalid model name passed in model=x.", "type": "None"}}, ModelNotFoundError),
        (400, {"error": {"message": "No connected db.", "type": "no_db_connection"}}, AuthenticationError),
        (400, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, ModelNotFoundError),
        (
            400,
            {"error": {"message": "Invalid schema: reference to '#/$defs/Model' not found", "code": None}},
            BadRequestError,
        ),
    ],
)
def test_the_services_own_words_correct_the_status(status: int, body: object, kind: type[ProviderError]) -> None:
    assert type(failed(status, body)) is kind


def gemini(quota_id: str) -> dict[str, object]:
    return {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing details.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
            ],
        }
    }


def test_gemini_tells_the_day_from_the_minute_in_the_id_of_the_quota() -> None:
    minute = failed(429, gemini("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"))
    day = failed(429, gemini("GenerateRequestsPerDayPerProjectPerModel-FreeTier"))
    assert (type(minute), minute.retry_after) == (RateLimitError, 34.5)
    assert (type(day), day.fatal) == (QuotaError, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "No such thing.", "type": "t", "code": "c", "param": None}}, "No such thing"),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too big"}},
            "max_tokens: too big",
        ),
        ([{"error": {"code": 400, "message": "From Gemini's stream"}}], "From Gemini's stream"),
        ({"error": "model requires more system memory"}, "model requires more system memory"),
        ({"error": {"code": 400, "message": "From llama.cpp", "type": "invalid_request_error"}}, "From llama.cpp"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "n"], "msg": "Input should be >= 1", "type": "x"}]},
            "body.n: Input should be >= 1",
        ),
        (
            {
                "object": "error",
                "message": {"detail": [{"loc": ["body", "x"], "msg": "Extra inputs are not permitted"}]},
            },
            "body.x: Extra inputs are not permitted",
        ),
        ({"errors": [{"code": 7003, "message": "No route"}]}, "No route"),
        ({"message": "no Route matched with those values"}, "no Route matched with those values"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error":{"message":"too hot"}}'}}},
            "Provider returned error; too hot",
        ),
        (b"upstream   connect\n error", "upstream connect error"),
        (b"<html><head><title>413 Too Large</title></head><body>x</body></html>", "413 Too Large"),
        (b"<!DOCTYPE html><style>b{}</style><p>Be right <b>back</b> &amp; soon</p>", "Be right back & soon"),
        (b"", "unprocessable entity"),
        ({}, "unprocessable entity"),
        (b"\xff\xfe\xff", "\ufffd\ufffd\ufffd"),
    ],
)
def test_the_message_is_what_the_service_said(body: object, message: str) -> None:
    expected = message if message != "unprocessable entity" else "unprocessable"
    assert failed(422, body).message.startswith(expected)


def test_a_long_message_is_cut() -> None:
    message = failed(400, {"error": {"message": "word " * 1000}}).message
    assert len(message) <= MESSAGE_LENGTH
    assert message.endswith("…")


def test_hints_say_what_to_do() -> None:
    assert "OPENAI_API_KEY" in (failed(401).hint or "")
    assert "may use" in (failed(403).hint or "")
    assert failed(404).hint == "Look at the name"
    assert "credit" in (failed(402).hint or "")
    assert failed(500).hint is None
    refused = {"error": {"message": "m", "param": "temperature", "code": "unsupported_value"}}
    assert failed(400, refused).hint == "This model refuses `temperature`: leave it out"


def test_a_redirect_names_where_the_service_went() -> None:
    error = failed(308, location="https://new.example/v1")
    assert "https://new.example/v1" in str(error)
    assert "api_base" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m", "code": "context_length_exceeded"}},
        {"error": {"message": "This model's maximum context length is 8192 tokens", "code": None}},
        {"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}},
        {"error": {"message": "m", "code": "content_filter"}},
        {"error": {"message": "m", "code": "invalid_prompt"}},
    ],
)
def test_a_refusal_of_this_one_request_does_not_stop_the_run(body: object) -> None:
    error = failed(400, body)
    assert isinstance(error, BadRequestError)
    assert (error.fatal, error.retryable) == (False, False)
    assert failed(400, {"error": {"message": "bad"}}).fatal


def test_the_request_id_is_found_under_both_names() -> None:
    assert failed(500, x_request_id="req_1").request_id == "req_1"
    assert failed(500, request_id="req_2").request_id == "req_2"
    assert failed(500).request_id is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("3", 3.0), (" 0.25 ", 0.25), ("0", 0.0), ("-5", 0.0), ("", None), ("soon", None), ("nan", None), ("inf", None)],
)
def test_retry_after_in_seconds(written: str, seconds: float | None) -> None:
    assert retry_after(CIMultiDict({"Retry-After": written})) == seconds


def test_retry_after_as_a_date_is_taken_against_the_servers_own_clock() -> None:
    there = time.time() - 86_400
    headers = {"Retry-After": formatdate(there + 30, usegmt=True), "Date": formatdate(there, usegmt=True)}
    assert retry_after(CIMultiDict(headers)) == 30
    passed = {"Retry-After": formatdate(there - 30, usegmt=True), "Date": formatdate(there, usegmt=True)}
    assert retry_after(CIMultiDict(passed)) == 0


def test_retry_after_as_a_date_without_a_server_clock_is_taken_against_ours() -> None:
    seconds = retry_after(CIMultiDict({"Retry-After": formatdate(time.time() + 60, usegmt=True)}))
    assert seconds is not None
    assert 57 < seconds <= 60


def test_a_header_wins_over_the_delay_in_the_body() -> None:
    assert failed(429, gemini("PerMinute"), retry_after="2").retry_after == 2


SECRET = "pa/ss word+123"


@pytest.mark.parametrize("echo", [SECRET, quote(SECRET, safe=""), f"http://h/?key={quote(SECRET, safe='')}&a=1"])
@pytest.mark.parametrize("place", ["message", "text", "html", "param", "request id", "location"])
def test_a_secret_is_never_in_an_error(echo: str, place: str) -> None:
    caller = Caller("p", "m", (SECRET,))
    error = {
        "message": lambda: failed(400, {"error": {"message": f"no {echo} here"}}, caller),
        "text": lambda: failed(502, f"no {echo} here".encode(), caller),
        "html": lambda: failed(502, f"<title>{echo}</title>".encode(), caller),
        "param": lambda: failed(400, {"error": {"message": "m", "param": echo, "code": "unsupported_value"}}, caller),
        "request id": lambda: failed(500, b"", caller, x_request_id=echo),
        "location": lambda: failed(302, b"", caller, location=echo),
    }[place]()
    everything = f"{error} {error!r} {vars(error)} {caller!r}"
    assert SECRET not in everything
    assert quote(SECRET, safe="") not in everything
    assert "***" in everything


def test_a_secret_at_the_cut_is_scrubbed_before_the_cut() -> None:
    secret = "abcdefghijklmnop"
    body = "x" * (MESSAGE_LENGTH - 8) + secret
    assert "abcd" not in failed(500, body.encode(), Caller("p", "m", (secret,))).message


def test_what_has_the_shape_of_a_key_is_scrubbed_unasked() -> None:
    text = "Incorrect API key provided: sk-proj-****************wxyz. See https://task-management-system.example"
    assert scrub(text, ()) == "Incorrect API key provided: ***. See https://task-management-system.example"
    assert (
        scrub("the field 'sk-learn-estimator' is not permitted", ())
        == "the field 'sk-learn-estimator' is not permitted"
    )


@given(st.text(min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives_scrubbing(secret: str, before: str, after: str) -> None:
    if secret in "***" or "*" in secret:
        return
    assert secret not in scrub(before + secret + after, (secret,)).replace("***", "\0")


def test_a_malformed_reply_shows_its_beginning() -> None:
    error = malformed("the reply is not JSON", {}, b"<html><title>Log in to the-secret-key</title>", CALLER)
    assert error.message == "the reply is not JSON: 'Log in to ***'"
    assert error.retryable
    assert "empty" in malformed("the reply is not JSON", {}, b"", CALLER).message


def test_shortened_text_is_one_line() -> None:
    assert shorten(" a\n b\t c ") == "a b c"
    assert shorten("abcdef", 4) == "abc…"
