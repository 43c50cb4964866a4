"""What can go wrong, as values: a fault turns the reply that would have been sent into another one.

A fault is pure: it looks at the call and the reply and at nothing else, so a run meets the same faults in the same
places whatever the order in which its calls arrive.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from math import ceil
from typing import Any, Literal

import orjson

from rowsmith.llm.values import Finish, Rung
from rowsmith.testing.answers import default_answer
from rowsmith.testing.calls import Call, Reply


class Fault:
    """The base of all faults. One of your own needs `change` and nothing else."""

    __slots__ = ()

    def change(self, call: Call, reply: Reply, /) -> Reply:
        """The reply to send in place of `reply`; `reply` itself where the fault does not concern this call."""
        raise NotImplementedError


def _error(status: int, message: str, code: str | None = None, param: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, error=message, code=code, param=param, headers=named)


@dataclass(frozen=True, slots=True)
class RateLimited(Fault):
    """429: too many requests.

    Args:
        retry_after: seconds in the `Retry-After` header; `date` writes it as an HTTP date; None leaves it out.
        seconds: how far ahead the date is, at least; a date has whole seconds.
    """

    retry_after: float | Literal["date"] | None = None
    seconds: float = 1.0

    def change(self, _call: Call, _reply: Reply, /) -> Reply:
        failed = _error(429, "Rate limit reached for requests. Please try again later.", "rate_limit_exceeded")
        if self.retry_after is None:
            return failed
        if self.retry_after == "date":
            value = formatdate(ceil(time.time() + self.seconds), usegmt=True)
        else:
            value = f"{self.retry_after:g}"
        return replace(failed, headers={"Retry-After": value})


@dataclass(frozen=True, slots=True)
class QuotaUsedUp(Fault):
    """429 as services send it when the account has no credit left: waiting does not help."""

    def change(self, _call: Call, _reply: Reply, /) -> Reply:
        return _error(429, "You exceeded your current quota, please check your plan.", "insufficient_quota")


@dataclass(frozen=True, slots=True)
class ServerError(Fault):
    """The service fails.

    Args:
        status: 500, 502, 503, 529...
    """

    status: int = 500

    def change(self, _call: Call, _reply: Reply, /) -> Reply:
        return _error(self.status, "The server had an error while processing your request.", "server_error")


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """The connection is reset.

    Args:
        when: `before` any byte of the reply, or in the `middle` of its body.
    """

    when: Literal["before", "middle"] = "before"

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, cut=self.when)


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """No answer comes; the connection is reset after a time, if nobody hangs up before.

    Args:
        seconds: how long it is held open.
    """

    seconds: float = 3600.0

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, delay=reply.delay + self.seconds, cut="before")


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """The right answer, late.

    Args:
        seconds: added to the server's latency.
    """

    seconds: float

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, delay=reply.delay + self.seconds)


@dataclass(frozen=True, slots=True)
class CutOff(Fault):
    """The answer ends at a limit of tokens: `length`, and JSON without its end.

    Args:
        at: characters that are left; a number below 1 is a share of the answer.
    """

    at: float = 0.5

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        left = int(self.at if self.at >= 1 else len(reply.text) * self.at)
        return replace(reply, text=reply.text[: min(left, len(reply.text) - 1)], finish=Finish.LENGTH)


@dataclass(frozen=True, slots=True)
class Refusal(Fault):
    """The model declines to answer.

    Args:
        text: what it says.
        filtered: it was the service's filter, and nothing is said.
    """

    text: str = "I'm sorry, I can't help with that."
    filtered: bool = False

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, text="" if self.filtered else self.text, finish=Finish.REFUSED)


@dataclass(frozen=True, slots=True)
class Empty(Fault):
    """The answer is the empty text."""

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, text="")


@dataclass(frozen=True, slots=True)
class BadJSON(Fault):
    """The answer is not JSON.

    Args:
        repairable: the right answer with a model's usual slips (a fence, talk around it, a comma too many), which a
            lenient parser mends; else prose, which none does.
    """

    repairable: bool = False

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        if not self.repairable:
            return replace(reply, text="Sure! I thought about it for a while, and here is what I would say about it.")
        text = reply.text
        if text[-1:] in ("}", "]"):
            text = f"{text[:-1]},{text[-1]}"
        return replace(reply, text=f"Sure! Here it is:\n```json\n{text}\n```\nI hope that helps.")


@dataclass(frozen=True, slots=True)
class WrongSchema(Fault):
    """Valid JSON of which some entries do not fit the schema.

    Args:
        entries: how many entries of the answer's first list are spoilt, from its start; None spoils every other one,
            and at least one. An answer without a list is spoilt in its first value.
    """

    entries: int | None = None

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        try:
            value = orjson.loads(reply.text)
        except orjson.JSONDecodeError:
            return replace(reply, text="[]")
        return replace(reply, text=orjson.dumps(self._spoilt(value)).decode())

    def _spoilt(self, value: Any) -> Any:
        if isinstance(value, dict):
            name = next((name for name, part in value.items() if isinstance(part, list)), None)
            return {**value, name: self._spoilt(value[name])} if name is not None else _wrong(value)
        if not isinstance(value, list):
            return _wrong(value)
        chosen = range(0, len(value), 2) if self.entries is None else range(min(self.entries, len(value)))
        return [_wrong(entry) if at in chosen else entry for at, entry in enumerate(value)]


def _wrong(entry: Any) -> Any:
    """An entry whose first value has another type than before."""
    spoilt: Any = {"not": ["what", "was", "asked"]}
    if isinstance(entry, dict) and entry:
        first = next(iter(entry))
        return {**entry, first: 7 if isinstance(entry[first], dict) else spoilt}
    return 7 if isinstance(entry, dict) else spoilt


@dataclass(frozen=True, slots=True)
class Duplicates(Fault):
    """The answer to another question: every call that meets this fault with the same schema gets the same texts.

    The first of them is therefore new, and all after it repeat it.
    """

    def change(self, call: Call, reply: Reply, /) -> Reply:
        return replace(reply, text=default_answer(call, question=b"the same for everyone"))


@dataclass(frozen=True, slots=True)
class WrongKey(Fault):
    """401: the key is wrong."""

    def change(self, _call: Call, _reply: Reply, /) -> Reply:
        return _error(401, "Incorrect API key provided.", "invalid_api_key")


@dataclass(frozen=True, slots=True)
class UnknownModel(Fault):
    """404: there is no such model."""

    def change(self, call: Call, _reply: Reply, /) -> Reply:
        return _error(404, f"The model '{call.asked.model}' does not exist.", "model_not_found", "model")


@dataclass(frozen=True, slots=True)
class BadRequest(Fault):
    """The service refuses the request itself.

    Args:
        message: what it says.
        status: 400, 413, 422...
        code: the error's code.
    """

    message: str = "The request is malformed."
    status: int = 400
    code: str | None = "invalid_request"

    def change(self, _call: Call, _reply: Reply, /) -> Reply:
        return _error(self.status, self.message, self.code)


@dataclass(frozen=True, slots=True)
class UnsupportedSchema(Fault):
    """400 to a body that asks for a JSON Schema, as models have it that know none.

    Args:
        json_too: JSON mode is refused as well.
    """

    json_too: bool = False

    def change(self, call: Call, reply: Reply, /) -> Reply:
        if call.asked.rung is Rung.PROMPT or (call.asked.rung is Rung.JSON and not self.json_too):
            return reply
        kind = "json_schema" if call.asked.rung is Rung.SCHEMA else "json_object"
        message = f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this model."
        return _error(400, message, "unsupported_value", "response_format")


@dataclass(frozen=True, slots=True)
class UnsupportedParameter(Fault):
    """400 to a body that has a certain parameter, as reasoning models refuse `temperature`.

    Args:
        name: the parameter's name in the body, also inside Ollama's `options` and Gemini's `generationConfig`.
    """

    name: str

    def change(self, call: Call, reply: Reply, /) -> Reply:
        within = (call.body, call.body.get("options") or {}, call.body.get("generationConfig") or {})
        if not any(self.name in part for part in within):
            return reply
        message = f"Unsupported parameter: '{self.name}' is not supported with this model."
        return _error(400, message, "unsupported_parameter", self.name)


@dataclass(frozen=True, slots=True)
class HtmlPage(Fault):
    """A proxy's error page in place of the service's reply.

    Args:
        status: the HTTP status; 200 does happen.
    """

    status: int = 502

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        page = f"<html><head><title>{self.status}</title></head><body><h1>Bad Gateway</h1></body></html>"
        return Reply(status=self.status, raw=page.encode(), content_type="text/html", delay=reply.delay)


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Status 200 with a body that is not in the service's format.

    Args:
        body: the body; not JSON where nothing else is given.
    """

    body: bytes = b'{"choices": [{"message": \x00\xff'

    def change(self, _call: Call, reply: Reply, /) -> Reply:
        return replace(reply, raw=self.body)
