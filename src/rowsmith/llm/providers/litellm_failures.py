"""What LiteLLM raises, turned into the one error that fits.

LiteLLM maps the errors of a hundred services to classes of its own, but not evenly: a connection that broke comes as
`InternalServerError`, a missing package as `APIConnectionError`. So what is beneath an error is looked at too, and the
service's own words, status and headers are read as those of any service, in `failures`.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
)
from rowsmith.llm import failures
from rowsmith.llm.failures import Caller

_WRAPPING = re.compile(r"^(?:litellm\.)?[A-Za-z]*(?:Error|Exception|Timeout)\b(?:: | - | )")
_KEY_VARIABLE = re.compile(r"(?:_KEY|_TOKEN|_SECRET|_PASSWORD|_CREDENTIALS)$|^AWS_")
_PREFIX = "llm_provider-"
_BROKEN = frozenset(
    {"ConnectError", "ReadError", "WriteError", "RemoteProtocolError", "ClientConnectionError", "ClientPayloadError"}
    | {"EndpointConnectionError", "ConnectionClosedError"}
)
_UNREADABLE = re.compile(r"invalid response|unable to (?:get|parse|decode) json|codec can't decode", re.IGNORECASE)
_NO_KEY = re.compile(r"credentials|api[ _-]?key", re.IGNORECASE)
_INSTALL = "Install what https://docs.litellm.ai/docs/providers names for it"
_ONE_REQUEST = frozenset({"ContextWindowExceededError", "ContentPolicyViolationError"})


def translate(error: BaseException, timeout: float, caller: Caller) -> ProviderError:
    """The error of the tree for what `acompletion` raised.

    Args:
        error: that.
        timeout: seconds that the call might have taken.
        caller: who called.
    """
    chain = list(_chain(error))
    kinds = {base.__name__ for base in type(error).__mro__}
    beneath = {base.__name__ for link in chain for base in type(link).__mro__}
    caller = replace(caller, secrets=(*caller.secrets, *_of_environment()))
    text = _unwrapped(str(getattr(error, "message", "") or error))
    shown = failures.shorten(failures.scrub(text, caller.secrets)).rstrip(".") or type(error).__name__

    def made(kind: type[ProviderError], message: str = shown, hint: str | None = None) -> ProviderError:
        return kind(message, provider=caller.provider, model=caller.model, hint=hint)

    package = next((link.name for link in chain if isinstance(link, ModuleNotFoundError)), None)
    if package:
        return made(BadRequestError, f"LiteLLM needs the package {package!r} for this service", _INSTALL)
    if kinds & {"Timeout", "TimeoutError"}:
        return made(ProviderTimeoutError, f"no answer within {timeout:g} s", "Raise `timeout` if it is slow")
    if "BudgetExceededError" in kinds:
        return made(QuotaError)
    if "LLM Provider NOT provided" in text:
        return made(ModelNotFoundError, "LiteLLM does not know the service", caller.no_model)
    headers, answered = _headers(chain)
    if not answered:
        if beneath & _BROKEN or any(isinstance(link, OSError) for link in chain):
            return made(ConnectionFailedError, _deepest(chain, caller), caller.no_server)
        if _UNREADABLE.search(text) or beneath & {"JSONDecodeError", "UnicodeDecodeError"}:
            return made(MalformedReplyError)
        if _NO_KEY.search(text) or beneath & {
            "NoCredentialsError",
            "PartialCredentialsError",
            "DefaultCredentialsError",
        }:
            return made(AuthenticationError, hint="Check the variables that LiteLLM names for this service")
    status = getattr(error, "status_code", None)
    failed = failures.from_reply(status if isinstance(status, int) else 500, headers, _body(error, text), caller)
    if isinstance(failed, BadRequestError) and kinds & _ONE_REQUEST:
        failed.fatal = False
    if not answered:
        failed.status = None if status == 500 else failed.status
    return failed


def headers_of(answer: Any) -> dict[str, str]:
    """The headers of the service's reply, names in lower case; none where LiteLLM kept none."""
    told = getattr(answer, "_response_headers", None)
    if not told:
        hidden = getattr(answer, "_hidden_params", None)
        told = hidden.get("additional_headers") if isinstance(hidden, Mapping) else None
    return _lower(told)


def _lower(headers: object) -> dict[str, str]:
    if not headers or not hasattr(headers, "items"):
        return {}
    return {str(name).lower().removeprefix(_PREFIX): str(value) for name, value in headers.items()}


def _headers(chain: list[BaseException]) -> tuple[dict[str, str], bool]:
    """The headers of the reply that an error is from, and whether there was one: LiteLLM makes replies up, too."""
    for link in chain:
        response = getattr(link, "response", None)
        for headers in (getattr(link, "litellm_response_headers", None), getattr(response, "headers", None)):
            found = _lower(headers)
            if found:
                return found, True
    return {}, False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _unwrapped(text: str) -> str:
    """The service's own words: without the names of classes before them, and without a traceback after."""
    text = text.partition("\nTraceback")[0].strip()
    while found := _WRAPPING.match(text):
        text = text[found.end() :]
    return text


def _body(error: BaseException, text: str) -> bytes:
    """A body such as the service may have sent: LiteLLM keeps it as it was, or only the words."""
    kept = getattr(error, "body", None)
    if isinstance(kept, dict) and kept:
        try:
            return orjson.dumps(kept if "error" in kept else {"error": kept})
        except orjson.JSONEncodeError:
            kept = None
    if text.startswith(("b'", 'b"')):
        with suppress(ValueError, SyntaxError):
            text = ast.literal_eval(text).decode("utf-8", "replace")
    return (
        text.encode("utf-8", "replace")
        if text.startswith(("{", "[", "<"))
        else orjson.dumps({"error": {"message": text}})
    )


def _deepest(chain: list[BaseException], caller: Caller) -> str:
    """What the system said of a connection."""
    system = next((link for link in reversed(chain) if isinstance(link, OSError) and link.errno), None)
    if system is not None and system.errno and system.errno > 0:
        words = os.strerror(system.errno)
    else:
        words = next((str(link) for link in reversed(chain) if str(link)), "") or type(chain[0]).__name__
    return failures.shorten(failures.scrub(f"no connection, or it broke: {words}", caller.secrets)).rstrip(".")


def _of_environment() -> list[str]:
    """Values of variables that may be keys: LiteLLM looks them up itself."""
    return [value for name, value in os.environ.items() if _KEY_VARIABLE.search(name) and len(value) >= 8]
