"""What goes to a model and what comes back: plain values, equal by content, never changed once made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from rowsmith.llm.written import to_bytes

Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Speaker
    content: str

    @classmethod
    def system(cls, content: str) -> Message:
        return cls("system", content)

    @classmethod
    def user(cls, content: str) -> Message:
        return cls("user", content)

    @classmethod
    def assistant(cls, content: str) -> Message:
        return cls("assistant", content)


class Rung(StrEnum):
    """How a structured answer is asked for, from the surest way down."""

    SCHEMA = "schema"
    """The service constrains the answer to the JSON Schema itself."""
    JSON = "json"
    """The service promises JSON; the schema is described in the prompt."""
    PROMPT = "prompt"
    """Nothing but the prompt asks for JSON."""


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON Schema of an answer.

    Attributes:
        name: letters, digits, `_` and `-`, at most 64: services refuse others.
        json: the schema (draft 2020-12) as Pydantic writes it.
    """

    name: str
    json: Mapping[str, Any]
    _written: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def written(self) -> bytes:
        """The schema as JSON. Written once: every request of a run has it."""
        written = self._written
        if written is None:
            written = to_bytes(dict(self.json))
            object.__setattr__(self, "_written", written)
        return written


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one model. Sampling parameters belong to the provider, not to the request.

    Attributes:
        messages: the whole conversation so far.
        schema: what the answer must fit, or None for free text.
        rung: how the schema is asked for; without a schema it has no effect.
        hints: the cell's values by name. They are sent to no service: the offline provider writes from them.
        seed: a number drawn from the run's seed, the cell and the call; the offline provider answers by it.
        omit: parameters of the provider's that the model refuses, by their names in the wire format: they are not sent.
    """

    messages: tuple[Message, ...]
    schema: OutputSchema | None = None
    rung: Rung = Rung.SCHEMA
    hints: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    omit: frozenset[str] = frozenset()


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    """The answer was cut off at a limit of tokens."""
    REFUSED = "refused"
    """The model or the service's filter declined to answer."""


class Usage(NamedTuple):
    """Tokens of one call, as the service counted them; 0 where it said nothing.

    Attributes:
        input_tokens: all tokens of the request, cached ones included.
        output_tokens: all tokens of the answer, reasoning included.
        cached_tokens: the part of `input_tokens` read from the service's cache.
        reasoning_tokens: the part of `output_tokens` that is not in the text.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer as it came, before anything is made of it.

    Attributes:
        text: the answer's text; the refusal's text where `finish` is `refused`.
        finish: why the model stopped.
        usage: the tokens.
        model: the model that answered, in the service's words (often a dated version of what was asked).
        request_id: the service's id of the request, or None.
        headers: the reply's headers as they came, looked up without regard to case: what the service says of its limits
            is read from them. They are no part of the answer.
    """

    text: str
    finish: Finish = Finish.STOP
    usage: Usage = _NO_USAGE
    model: str = ""
    request_id: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False, compare=False)
