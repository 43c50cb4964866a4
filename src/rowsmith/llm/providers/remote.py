"""What every provider of a model behind HTTP takes and checks, whatever its wire format."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from base64 import b64decode
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard
from urllib.parse import urlsplit

import orjson

from rowsmith.errors import ConfigError
from rowsmith.llm import failures, secrecy
from rowsmith.llm.failures import Caller
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.secrecy import Secret
from rowsmith.llm.written import mended

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport
    from rowsmith.llm.values import Request

_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class RemoteModel:
    """The arguments that providers of remote models share. It is the base of their classes and no provider itself.

    None always means that the service's own default holds. A subclass works out `endpoint` and the fields after it
    from the arguments, once, and sets them with `_settle`.

    Attributes:
        model_id: the model's id at the service.
        api_key: the key; it is in no repr, error or log.
        api_base: the address of the service, as its own client takes it.
        temperature: 0 to 2.
        top_p: 0 to 1.
        frequency_penalty: -2 to 2.
        max_completion_tokens: the most tokens of one answer, reasoning included; at least 1.
        strict_params: a parameter that the model refuses is an error; otherwise it is left out from then on, with one
            warning that names it.
        timeout: seconds that one request may take in all.
        rpm_limit: requests per minute to keep to.
        tpm_limit: tokens per minute to keep to, input and output together.
        rpd_limit: requests per day to keep to.
        max_concurrency: the most requests in flight at once.
        input_cost_per_million: US dollars per million tokens of requests, where the list of prices is wrong or lacks
            the model; needs the next one too. Both 0 for a server of your own.
        output_cost_per_million: US dollars per million tokens of answers.
        cached_input_cost_per_million: US dollars per million tokens read from the service's cache; the price of other
            input where it is not given.
        endpoint: the address that answers, without any key in it.
    """

    name: ClassVar[str]

    model_id: str = ""
    _: KW_ONLY
    api_key: str | None = field(default=None, repr=False)
    api_base: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    max_completion_tokens: int | None = None
    strict_params: bool = False
    timeout: float = 300.0
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    rpd_limit: int | None = None
    max_concurrency: int | None = None
    input_cost_per_million: float | None = None
    output_cost_per_million: float | None = None
    cached_input_cost_per_million: float | None = None

    endpoint: str = field(init=False, repr=False, compare=False)
    _headers: dict[str, str] = field(init=False, repr=False, compare=False)
    _caller: Caller = field(init=False, repr=False, compare=False)
    _parameters: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = self.model_id
        if not isinstance(given, str) or not given or given != given.strip() or not given.isprintable():
            raise ConfigError(f"model_id must be the name of a model, such as 'gpt-5-mini'; it is {self.model_id!r}.")
        check_number("temperature", self.temperature, 0, 2)
        check_number("top_p", self.top_p, 0, 1)
        check_number("frequency_penalty", self.frequency_penalty, -2, 2)
        for name in ("max_completion_tokens", "rpm_limit", "tpm_limit", "rpd_limit", "max_concurrency"):
            check_count(name, getattr(self, name))
        self._given_prices()
        if not _is_number(self.timeout) or not 0 < self.timeout < math.inf:
            raise ConfigError(f"timeout must be a number of seconds above 0; it is {self.timeout!r}.")

    @property
    def limits(self) -> KnownLimits:
        """The limits as the arguments gave them."""
        return KnownLimits(
            rpm=self.rpm_limit, tpm=self.tpm_limit, rpd=self.rpd_limit, max_concurrency=self.max_concurrency
        )

    @property
    def token_prices(self) -> TokenPrices | None:
        """The prices as the arguments gave them; None if they did not."""
        return self._given_prices()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the conversation and the schema, by the names that `Request.omit` takes."""
        return self._parameters

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and every parameter that is sent."""
        return {
            "provider": self.name,
            "model": self.model_id,
            "endpoint": self.endpoint,
            "parameters": self._parameters,
        }

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Itself: it never changes, and a copy of its key would not be the key."""
        return self

    def _given_prices(self) -> TokenPrices | None:
        return TokenPrices.given(
            self.input_cost_per_million, self.output_cost_per_million, self.cached_input_cost_per_million
        )

    def _post(self, body: bytes, transport: Transport) -> Coroutine[Any, Any, Reply]:
        return transport.post(self.endpoint, body, self._headers, timeout=self.timeout, caller=self._caller)

    def _settle(self, **values: Any) -> None:
        """Set what is worked out from the arguments, while the object is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raise ConfigError unless the value is None or a number from `low` to `high`."""
    if value is not None and not (_is_number(value) and low <= value <= high):
        raise ConfigError(f"{name} must be a number from {low} to {high}; it is {value!r}.")


def check_count(name: str, value: object) -> None:
    """Raise ConfigError unless the value is None or a whole number of at least 1."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigError(f"{name} must be a whole number of at least 1; it is {value!r}.")


def check_key(key: str, source: str) -> str:
    """The key without surrounding blanks.

    Args:
        key: as it was given.
        source: where it came from, for the error.

    Raises:
        ConfigError: it cannot be sent in a header. The message does not show it.
    """
    if not isinstance(key, str) or not key.strip():
        raise ConfigError(f"{source} must be a key; it is empty or no text.")
    key = Secret(key.strip())
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{source} holds a blank or a character that no key has: copy it again, in one piece.")
    return key


def check_base(value: object, source: str = "api_base") -> str:
    """The address without a slash at its end.

    Raises:
        ConfigError: it is no http(s) address, or holds a password, a query or a fragment.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{source} must be an address such as 'https://host/v1'; it is {value!r}.")
    try:
        parts = urlsplit(value.strip())
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        shown = failures.scrub(secrecy.address(value), ())
        raise ConfigError(f"{source} must be an address such as 'http://localhost:8080/v1'; it is {shown!r}.")
    if "@" in parts.netloc:
        raise ConfigError(f"{source} for {parts.hostname} must not hold a name or password: pass `api_key` instead.")
    if parts.query or parts.fragment:
        raise ConfigError(f"{source} for {parts.hostname} must end with its path; it has a query or fragment.")
    return parts.geturl().rstrip("/")


def is_local(base: str) -> bool:
    """Whether an address is on this machine or a private network, where servers seldom want a key."""
    host = urlsplit(base).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))


def check_body(extra: Mapping[str, Any] | None, reserved: frozenset[str]) -> dict[str, Any] | None:
    """A copy of fields that the user adds, so that a later change of theirs changes no request.

    Raises:
        ConfigError: one is `reserved`, or they are not JSON.
    """
    if not extra:
        return None
    taken = sorted(reserved & set(extra))
    if taken:
        raise ConfigError(f"extra_body must not set {', '.join(map(repr, taken))}: Rowsmith sets it for each request.")
    try:
        copied: dict[str, Any] = orjson.loads(orjson.dumps(dict(extra)))
    except orjson.JSONEncodeError as exc:
        raise ConfigError(f"extra_body must be JSON: {exc}.") from exc
    return copied


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of headers that the user adds.

    Raises:
        ConfigError: a name or a value cannot be sent. The message shows no value.
    """
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"extra_headers: {name!r} is no name of a header.")
        if not isinstance(value, str) or not value.isprintable():
            raise ConfigError(f"extra_headers: the value of {name!r} must be text on one line.")
    return {name: Secret(value) for name, value in (headers or {}).items()}


def carries_key(headers: Mapping[str, str]) -> bool:
    """Whether one of the user's own headers is a key by its name."""
    return any(name.lower() in _KEY_HEADERS for name in headers)


def merged_headers(key: str | None, extra: Mapping[str, str], key_header: str = "Authorization") -> dict[str, str]:
    """The headers of a JSON request, where the user's own win over ours.

    Args:
        key: the key, if there is one.
        extra: the user's own.
        key_header: the header of the key; but for `Authorization`, it is the key alone.
    """
    ours = {"Content-Type": "application/json", "Accept": "application/json"}
    if key is not None:
        ours[key_header] = Secret(f"Bearer {key}" if key_header == "Authorization" else key)
    overridden = {name.lower() for name in extra}
    return {name: value for name, value in ours.items() if name.lower() not in overridden} | dict(extra)


def secrets_of(key: str | None, extra: Mapping[str, str]) -> tuple[str, ...]:
    """All that must not be seen in an error: the key, and the user's headers with the last word of each.

    Of a name and password in base64 (RFC 7617), the password too.
    """
    words = [value.rpartition(" ")[2] for value in extra.values()]
    values = [key or "", *extra.values(), *words, *map(_password, words)]
    return tuple(Secret(value) for value in dict.fromkeys(values) if len(value) >= 8 or value == key)


def messages_of(request: Request) -> list[dict[str, str]]:
    """The conversation as OpenAI and Ollama write it."""
    return [{"role": message.role, "content": message.content} for message in request.messages]


def from_bytes(reply: Reply, caller: Caller) -> Any:
    """What a reply says.

    Half of a surrogate pair in it, which strict JSON forbids, becomes U+FFFD: the answer is paid for.

    Raises:
        MalformedReplyError: it is not JSON.
    """
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        with suppress(ValueError):
            return mended(json.loads(reply.body))
    # Raised out here: what a decoder raises holds the whole body, and would be chained.
    raise failures.malformed("the reply is not JSON", reply.headers, reply.body, caller)


def tokens(counts: object, name: str) -> int:
    """A count of tokens; 0 where it is missing or senseless, for that is no reason to lose a paid answer."""
    count = counts.get(name) if isinstance(counts, dict) else None
    return count if isinstance(count, int) else 0


def _password(word: str) -> str:
    try:
        return b64decode(word, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
