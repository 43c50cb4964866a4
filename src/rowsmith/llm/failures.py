"""Replies that are no answer, turned into the one error that fits.

Services word their failures differently (an object under `error`, a string under `error`, `detail`, plain text, a
proxy's page). Here they are read once: the status and the service's own code decide the class, the service's own
words become the message, and whatever is secret becomes `***` before anything else sees it.
"""

from __future__ import annotations

import html
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm import secrecy

MESSAGE_LENGTH = 300
"""Characters of a service's message that are kept."""

_KEY_SHAPED = re.compile(
    r"\b(?:sk|gsk|xai|hf|nvapi|csk|tgp|fw)[-_](?=[\w.-]*[\d*])[\w.*-]{8,}[\w*]|\bAIza[\w*-]{10,}", re.ASCII
)
_RETRIED = frozenset({408, 409, 425, 498, 499})

_DAY = re.compile(r"per[ _-]?day|\b[rt]pd\b|\bdaily\b", re.IGNORECASE)
_UNPAID_CODE = re.compile(
    r"insufficient_quota|billing|insufficient_(?:balance|credit|funds)|payment_required|spend_limit_reached"
)
_UNPAID = re.compile(
    r"credit balance|insufficient (?:balance|credit|funds)|out of credit|credits are depleted"
    r"|reached your specified [\w ]*usage limit",
    re.IGNORECASE,
)
# LiteLLM's proxy looks for a key that is not its own in a database, and says so if there is none.
_WRONG_KEY = re.compile(
    r"api[ _-]?key(?: is)? (?:not valid|invalid)|(?:invalid|incorrect|wrong) api[ _-]?key|api_key_invalid"
    r"|no_db_connection",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"not a valid model|invalid model name"
    r"|\bmodel [`'\"]?[\w./:@-]+[`'\"]? (?:does not exist|(?:is |was )?not found)",
    re.IGNORECASE,
)
# OpenRouter: the model is there, but nobody who serves it takes what the request has in it.
_NO_SUCH_ROUTE = re.compile(r"(?:handle|support) the requested parameters", re.IGNORECASE)
_ONE_REQUEST_CODE = re.compile(
    r"context_length_exceeded|exceed_context_size|string_above_max_length|request_too_large"
    r"|content_filter|content_policy|invalid_prompt|responsible_ai"
)
_ONE_REQUEST = re.compile(
    r"context (?:length|window|size)|prompt is too long|too many (?:input )?tokens|request too large"
    r"|token count .{0,40}exceeds the maximum"
    r"|content management policy",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: what an error must name, and what it must never show.

    Attributes:
        provider: the provider's name in the registry.
        model: the model's id at the service.
        secrets: texts that no error may hold: the key, and the values of headers that may be keys.
        key_variable: the environment variable the key is looked up in, for the hint on a wrong key.
        no_model: the hint where the service knows no such model.
        no_server: the hint where nobody listens at the address.
    """

    provider: str
    model: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    key_variable: str = ""
    no_model: str = "Check the model's name and `api_base`"
    no_server: str = "Check that the server runs, and `api_base`"


class _Told(NamedTuple):
    """What a service said of its failure: its words, its codes in lower case, and the field it complains of."""

    message: str
    codes: str = ""
    param: str = ""
    wait: float | None = None


def from_reply(status: int, headers: Mapping[str, str], body: bytes, caller: Caller) -> ProviderError:
    """The error that a reply stands for.

    The class follows from the status, corrected by the service's own code where that says more: 429 for an unpaid
    bill or a used-up day is a `QuotaError`, 400 for a wrong key an `AuthenticationError`. A request that fails for
    what it alone holds (too long, or filtered) is a `BadRequestError` with `fatal` False: others may succeed.

    Args:
        status: the HTTP status; for an error inside a reply of status 200, the status it stands for.
        headers: the reply's headers, looked up without regard to case.
        body: the reply's body, of whatever kind.
        caller: who called.
    """
    told = _read(body)
    kind = _kind(status, told)
    message = told.message or _phrase(status)
    hint = _hint(kind, status, told, caller)
    if 300 <= status < 400:
        target = headers.get("location", "")
        message, hint = f"the service redirects to {target or 'nowhere'}", "Set `api_base` to the address that answers"
    wait = retry_after(headers)
    error = kind(
        shorten(scrub(message, caller.secrets)).rstrip(".") or "no explanation came with the refusal",
        provider=caller.provider,
        model=caller.model,
        status=status,
        request_id=request_id(headers, caller),
        hint=hint,
        retry_after=told.wait if wait is None else wait,
    )
    if isinstance(error, BadRequestError):
        error.param = shorten(scrub(told.param, caller.secrets), 60)
        error.codes = shorten(scrub(told.codes, caller.secrets), 100)
        if _ONE_REQUEST_CODE.search(told.codes) or _ONE_REQUEST.search(told.message):
            error.fatal = False
    return error


def malformed(reason: str, headers: Mapping[str, str], body: bytes, caller: Caller) -> MalformedReplyError:
    """The error for a reply of status 200 that is not in the service's format.

    Args:
        reason: what is wrong with it, as a clause: `the reply has no choices`.
        headers: the reply's headers.
        body: the reply's body; its beginning is shown.
        caller: who called.
    """
    excerpt = shorten(scrub(_plain(body), caller.secrets), 120)
    return MalformedReplyError(
        f"{reason}: {excerpt!r}" if excerpt else f"{reason}: it is empty",
        provider=caller.provider,
        model=caller.model,
        status=200,
        request_id=request_id(headers, caller),
        hint="Check `api_base`, and what stands on the way to it",
    )


def request_id(headers: Mapping[str, str], caller: Caller) -> str | None:
    """The service's own id of a request, from `x-request-id` (OpenAI and most) or `request-id` (Anthropic)."""
    found = headers.get("x-request-id") or headers.get("request-id")
    return shorten(scrub(found, caller.secrets), 100) if found else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the `Retry-After` header (RFC 9110, 10.2.3), or None where it is absent or senseless.

    A date is taken against the reply's own `Date`, so that a wrong clock here does no harm.
    """
    written = headers.get("retry-after", "").strip()
    if not written:
        return None
    try:
        seconds = float(written)
    except ValueError:
        until = _timestamp(written)
        if until is None:
            return None
        now = _timestamp(headers.get("date", ""))
        seconds = until - (time.time() if now is None else now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret, in whatever way it is written, and all that has the shape of a key, as `***`."""
    return _KEY_SHAPED.sub(secrecy.HIDDEN, secrecy.without(text, secrets))


def cleaned(text: object, caller: Caller) -> str:
    """A name that a service gives something, of a model or a request, as it may be kept; empty for what is no text."""
    return secrecy.without(text, caller.secrets) if isinstance(text, str) else ""


@lru_cache(maxsize=256)
def known_name(text: object, secrets: tuple[str, ...]) -> str:
    """As `cleaned`, for names that come again and again: of models."""
    return secrecy.without(text, secrets) if isinstance(text, str) else ""


def shorten(text: str, length: int = MESSAGE_LENGTH) -> str:
    """The text on one line, cut at `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _kind(status: int, told: _Told) -> type[ProviderError]:
    if status == 402 or (status == 429 and _used_up(told)):
        return QuotaError
    if status == 429:
        return RateLimitError
    if status in {400, 403} and _UNPAID.search(told.message):
        return QuotaError
    if "model_not_found" in told.codes or (status == 400 and _NO_MODEL.search(told.message)):
        return ModelNotFoundError
    if status in {401, 403} or (status == 400 and _WRONG_KEY.search(f"{told.message} {told.codes}")):
        return AuthenticationError
    if status == 404 and _NO_SUCH_ROUTE.search(told.message):
        return BadRequestError
    if status in {404, 405, 410} or 300 <= status < 400:
        return ModelNotFoundError
    if status >= 500 or status in _RETRIED:
        return ServiceError
    return BadRequestError


def _used_up(told: _Told) -> bool:
    """Whether a 429 is for the bill or the day. Gemini words both kinds alike and tells them apart in `quotaId`."""
    return bool(
        _UNPAID_CODE.search(told.codes) or _UNPAID.search(told.message) or _DAY.search(told.message + told.codes)
    )


def _hint(kind: type[ProviderError], status: int, told: _Told, caller: Caller) -> str | None:
    if kind is AuthenticationError:
        where = f"the key in {caller.key_variable} or `api_key`" if caller.key_variable else "`api_key`"
        return f"Check {where}" if status != 403 else f"Check that {where} may use this model"
    if kind is ModelNotFoundError:
        return caller.no_model
    if kind is QuotaError:
        return "Add credit or wait until the quota is renewed; the run can then go on where it stopped"
    if kind is BadRequestError and told.param and "unsupported" in told.codes:
        return f"This model refuses `{shorten(scrub(told.param, caller.secrets), 60)}`: leave it out"
    return None


def _read(body: bytes) -> _Told:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Told(_plain(body))
    if isinstance(data, list):
        data = data[0] if data else None
    if isinstance(data, str):
        return _Told(data)
    if not isinstance(data, dict):
        return _Told("")
    error = data.get("error")
    if not isinstance(error, dict):
        told = error or data.get("detail") or data.get("message") or data.get("errors") or data.get("Message")
        return _Told(_words(told), _codes(data), _word(data.get("param")))
    # Anthropic's details are one object, Gemini's a list of them.
    told = error.get("details")
    parts = told if isinstance(told, list) else [told]
    details = [part for part in parts if isinstance(part, dict)]
    # OpenRouter's own words are "Provider returned error"; what that provider said is in `metadata.raw`.
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    beneath = _read(raw.encode()).message if isinstance(raw, str) else ""
    message = "; ".join(filter(None, (_words(error.get("message") or error.get("detail")), beneath)))
    codes = " ".join((_codes(error), *(_codes(part) for part in _walk(details))))
    return _Told(message, codes, _word(error.get("param")), _delay(details))


def _words(told: object) -> str:
    """The readable part of whatever stands where a message should: FastAPI and Mistral put lists of objects there."""
    if isinstance(told, list):
        return "; ".join(filter(None, map(_words, told[:3])))
    if isinstance(told, dict):
        place = ".".join(str(part) for part in told["loc"]) if isinstance(told.get("loc"), list) else ""
        words = _words(told.get("msg") or told.get("message") or told.get("detail") or told.get("error"))
        return f"{place}: {words}" if place and words else words
    return told if isinstance(told, str) else ""


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _codes(error: Mapping[str, Any]) -> str:
    names = ("type", "code", "status", "reason", "quotaId", "error_code")
    return " ".join(filter(None, (_word(error.get(name)) for name in names))).lower()


def _walk(details: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in details:
        yield part
        yield from (inner for inner in part.get("violations") or () if isinstance(inner, dict))


def _delay(details: list[dict[str, Any]]) -> float | None:
    """Gemini's `RetryInfo`: seconds as `34.07s`."""
    for part in details:
        written = part.get("retryDelay")
        if isinstance(written, str) and re.fullmatch(r"\d+(?:\.\d+)?s", written):
            return float(written[:-1])
    return None


def _plain(body: bytes) -> str:
    """The body as text; of a page, its title or else its words."""
    text = body[:20_000].decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    words = (
        title[1]
        if title and title[1].strip()
        else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    )
    return html.unescape(words).strip()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "the service failed without a word" if status >= 500 else "the service refused without a word"


def _timestamp(written: str) -> float | None:
    try:
        return parsedate_to_datetime(written).timestamp()
    except (ValueError, TypeError):
        return None
