"""What the scripted server is asked and what it says, apart from any wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rowsmith.llm.values import Finish, Message, Rung, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The part of a request's body that every wire format has in some form.

    Attributes:
        model: the model's id.
        messages: the conversation.
        schema: the JSON Schema that the body asks the answer to fit, or None.
        rung: how the body asks for structure: `SCHEMA`, `JSON`, or `PROMPT` where nothing but the prompt may.
        seed: the sampling seed in the body, or None.
        embedding: vectors are asked for; the messages are the texts.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    rung: Rung = Rung.PROMPT
    seed: int | None = None
    embedding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request for an answer, as it came.

    Attributes:
        number: how many calls came before it; in order of arrival.
        format: the wire format's name, such as `openai`.
        path: the path of the address.
        body: the decoded body.
        headers: by lower-case name; the key is among them.
        asked: what the body means.
        key: a hash of path and body: equal requests, equal keys.
        attempt: 1 for the first call with this body that was let in, 2 for the second, and so on.
        time: seconds since the epoch when it came.
        in_flight: calls being worked on when it came, itself included.
        hints: what an answer that is not scripted writes about, by the server's `hints`.
        status: the HTTP status that it got; None while it has none, or where the connection was reset or given up.
        fault: the name of the fault that it met, or None.
        ended: seconds since the epoch when it got its status; 0 as long as it has none.
    """

    number: int
    format: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    asked: Asked
    key: str
    attempt: int = 0
    time: float = 0.0
    in_flight: int = 1
    hints: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    fault: str | None = None
    ended: float = 0.0

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return self.asked.messages[-1].content if self.asked.messages else ""


NO_CALL = Call(number=0, format="", path="", body={}, headers={}, asked=Asked(model="", messages=()), key="")
"""What a fault is shown that a request meets which asks for no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back, before a wire format makes bytes of it.

    Attributes:
        text: the answer, or the refusal's text.
        finish: why the model stopped.
        usage: the tokens; None counts a token for every four characters.
        status: other than 200 makes it an error with `error`, `code` and `param` in the format's own error body.
        error: the error's message.
        code: the error's code, such as `rate_limit_exceeded`.
        param: the parameter that the error is about.
        headers: added to the reply's headers.
        raw: sent as the body in place of everything above.
        content_type: the type of `raw`.
        delay: seconds before anything is sent, on top of the server's latency.
        marred: in the body, the first text is replaced by the second: for what no JSON may hold, such as NaN.
        cut: `before`: the connection is reset in place of a reply; `middle`: after half of the body.
    """

    text: str = ""
    finish: Finish = Finish.STOP
    usage: Usage | None = None
    status: int = 200
    error: str = ""
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"
    delay: float = 0.0
    marred: tuple[str, str] | None = None
    cut: Literal["", "before", "middle"] = ""

    def tokens(self, asked: Asked) -> Usage:
        """The usage to report."""
        if self.usage is not None:
            return self.usage
        answered = 0 if asked.embedding else len(self.text) // 4 + 1
        return Usage(sum(len(m.content) for m in asked.messages) // 4 + 1, answered)
