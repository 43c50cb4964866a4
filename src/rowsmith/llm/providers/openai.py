"""OpenAI, and every server that speaks its chat-completions format."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import orjson

from rowsmith import settings
from rowsmith.errors import ConfigError, ProviderError
from rowsmith.llm import failures
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import remote
from rowsmith.llm.providers.openai_schema import strict
from rowsmith.llm.values import Completion, Finish, Rung, Usage

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport
    from rowsmith.llm.values import OutputSchema, Request

KEY_VARIABLE = "OPENAI_API_KEY"
BASE_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_BASE = "https://api.openai.com/v1"

_SAMPLING = ("temperature", "top_p", "frequency_penalty")
_RESERVED = frozenset({"model", "messages", "response_format", "stream", "n"})
_JSON_FORMAT = orjson.Fragment(b'{"type":"json_object"}')
_BROKEN_OFF = ("error", "insufficient_system_resource")
_FINISHES = {"length": Finish.LENGTH, "max_tokens": Finish.LENGTH, "content_filter": Finish.REFUSED}

_log = logging.getLogger("rowsmith.llm")


@dataclass(frozen=True)
class OpenAIProvider(remote.RemoteModel):
    """One model in OpenAI's chat-completions format: at OpenAI, or at any server that speaks it.

    The key is looked up in `OPENAI_API_KEY` and the address in `OPENAI_BASE_URL` where they are not given. A server on
    this machine or a private network needs no key.

    Reasoning models refuse sampling parameters: one that is set for such a model is left out, with one warning.
    The arguments that are not named here are those of `RemoteModel`.

    Attributes:
        model_id: such as `gpt-5-mini`.
        api_base: ends in `/v1` for most servers; the path `/chat/completions` is added.
        extra_body: further fields of the request, such as `{"reasoning_effort": "low"}`.
        extra_headers: further headers; they win over ours.

    Raises:
        ConfigError: a value is out of its range, or there is no key where one is needed.
    """

    name: ClassVar[str] = "openai"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)

    model_id: str = field(default="gpt-5-mini", kw_only=False)
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False, kw_only=True)
    extra_headers: Mapping[str, str] | None = field(default=None, hash=False, repr=False, kw_only=True)

    _constraints: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.api_base is not None:
            base = remote.check_base(self.api_base)
        else:
            base = remote.check_base(settings.lookup(BASE_VARIABLE) or DEFAULT_BASE, BASE_VARIABLE)
        headers = remote.check_headers(self.extra_headers)
        key = self._key(base, headers)
        owner = _is_openai(base)
        self._settle(
            api_key=key,
            api_base=base,
            extra_body=_checked_body(self.extra_body),
            extra_headers=headers or None,
            endpoint=f"{base}/chat/completions",
            _headers=remote.merged_headers(key, headers),
            _caller=Caller(
                self.name,
                self.model_id,
                remote.secrets_of(key, headers),
                key_variable=KEY_VARIABLE,
                no_server="Check the network" if owner else "Check that the server runs, and `api_base`",
                no_model="Check the model's name" if owner else "Check the model's name, and how `api_base` must end",
            ),
            _constraints=(owner or remote.is_local(base)) and not self.model_id.startswith("ft:"),
        )
        self._settle(_parameters=self._sent(owner))

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and every parameter that is sent; of extra headers only the names."""
        names = sorted(name.lower() for name in self.extra_headers or ())
        return {**super().describe(), **({"headers": names} if names else {})}

    def encode(self, request: Request) -> bytes:
        """The body: `model`, `messages`, `response_format`, then the parameters, always in this order."""
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": remote.messages_of(request),
        }
        if request.schema is not None and request.rung is not Rung.PROMPT:
            body["response_format"] = _JSON_FORMAT if request.rung is Rung.JSON else self._format(request.schema)
        body.update(self._parameters)
        return remote.to_bytes(body)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits.
        """
        return _completion(await self._post(body, transport), self._caller)

    def _format(self, schema: OutputSchema) -> orjson.Fragment:
        return _schema_format(schema.name, remote.to_bytes(dict(schema.json)), self._constraints)

    def _key(self, base: str, headers: Mapping[str, str]) -> str | None:
        if self.api_key is not None:
            return remote.check_key(self.api_key, "api_key")
        found = settings.lookup(KEY_VARIABLE)
        if found is not None:
            return remote.check_key(found, KEY_VARIABLE)
        if remote.is_local(base) or remote.carries_key(headers):
            return None
        raise ConfigError(
            f"openai/{self.model_id} needs a key for {urlsplit(base).hostname}: set {KEY_VARIABLE} (in the environment "
            "or in a .env file here), or pass api_key. For a server of your own, pass its address as api_base."
        )

    def _sent(self, owner: bool) -> dict[str, Any]:
        """The parameters of every request. What the model is known to refuse is left out, with a warning."""
        sampling = {name: getattr(self, name) for name in _SAMPLING if getattr(self, name) is not None}
        extra = dict(self.extra_body or {})
        if sampling and not takes_sampling(self.model_id, extra.get("reasoning_effort")):
            _log.warning(
                "%s refuses %s while it reasons: left out.",
                self.model_id,
                " and ".join(f"`{name}`" for name in sampling),
            )
            sampling = {}
        if self.max_completion_tokens is not None:
            # OpenAI refuses the old name for its reasoning models. Elsewhere the old name is the one that is known:
            # Ollama and llama.cpp before 2026 ignore the new one (and write on without end), Mistral refuses it.
            sampling["max_completion_tokens" if owner else "max_tokens"] = self.max_completion_tokens
        return sampling | extra


def takes_sampling(model_id: str, effort: object = None) -> bool:
    """Whether a model takes `temperature` and its like. OpenAI's models do so only while they do not reason.

    The o-series and GPT-5 always reason, GPT-5.1 to 5.4 only when asked to, later ones unless told not to, and variants
    called `pro` or `codex` always. A model by any other name is somebody else's and taken to accept them.

    Args:
        model_id: the model's id; a maker's name before the last slash has no effect.
        effort: the `reasoning_effort` that is sent, if any.
    """
    name = model_id.rpartition("/")[2].removeprefix("ft:").partition(":")[0]
    if re.match(r"o\d+(?:-|$)|codex-|chat-latest$|computer-use-", name):
        return False
    version = re.match(r"gpt-(\d+)(?:\.(\d+))?(?:-(.*))?$", name)
    if version is None or int(version[1]) < 5:
        return True
    major, minor, variant = int(version[1]), int(version[2] or 0), version[3] or ""
    if (major, minor) == (5, 0):
        return variant.startswith("chat")
    if re.search(r"pro|codex|chat", variant):
        return False
    return effort == "none" or (effort is None and (major, minor) <= (5, 4))


def _is_openai(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    return host.endswith((".openai.com", ".azure.com"))


def _checked_body(extra: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy of the user's own fields, so that a later change of theirs changes no request."""
    if not extra:
        return None
    taken = sorted(_RESERVED & set(extra))
    if taken:
        raise ConfigError(f"extra_body must not set {', '.join(map(repr, taken))}: Rowsmith sets it for each request.")
    try:
        copied: dict[str, Any] = orjson.loads(orjson.dumps(dict(extra)))
    except orjson.JSONEncodeError as exc:
        raise ConfigError(f"extra_body must be JSON: {exc}.") from exc
    return copied


@lru_cache(maxsize=256)
def _schema_format(name: str, schema: bytes, constraints: bool) -> orjson.Fragment:
    """The `response_format` for a schema. Kept by content: a run asks with the same few schemas again and again."""
    original = orjson.loads(schema)
    made = strict(original, constraints=constraints)
    inner = {"name": name, "strict": made is not None, "schema": original if made is None else made}
    return orjson.Fragment(orjson.dumps({"type": "json_schema", "json_schema": inner}))


def _completion(reply: Reply, caller: Caller) -> Completion:
    data = remote.from_bytes(reply, caller)
    try:
        choice = data["choices"][0]
        message = choice["message"]
        content = message.get("content")
        reason = choice.get("finish_reason")
        if reason in _BROKEN_OFF:
            raise _broken_off(choice, reply, caller)
        text = content if isinstance(content, str) else _joined(content)
        finish = _FINISHES.get(reason, Finish.STOP)
        if not text and message.get("refusal"):
            text, finish = str(message["refusal"]), Finish.REFUSED
        return Completion(
            text=text,
            finish=finish,
            usage=_usage(data.get("usage")),
            model=data.get("model") or "",
            request_id=reply.headers.get("x-request-id") or data.get("id"),
            headers=reply.headers,
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _no_answer(data, reply, caller) from None


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    prompt = usage.get("prompt_tokens_details")
    return Usage(
        input_tokens=remote.tokens(usage, "prompt_tokens"),
        output_tokens=remote.tokens(usage, "completion_tokens"),
        # DeepSeek counts its cache in a field of its own.
        cached_tokens=remote.tokens(prompt, "cached_tokens") or remote.tokens(usage, "prompt_cache_hit_tokens"),
        reasoning_tokens=remote.tokens(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _joined(content: object) -> str:
    """The text of an answer in parts; parts of thinking (Mistral) and of other kinds are not of the text."""
    if not isinstance(content, list):
        return ""
    parts = (part for part in content if isinstance(part, dict) and part.get("type") in {"text", "output_text"})
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _no_answer(data: object, reply: Reply, caller: Caller) -> ProviderError:
    """The error in a reply of status 200 without an answer. OpenRouter reports failures so, with the status as code."""
    if isinstance(data, dict) and data.get("error"):
        return failures.from_reply(_status(data["error"]), reply.headers, reply.body, caller)
    return failures.malformed("the reply has no answer in it", reply.headers, reply.body, caller)


def _broken_off(choice: Mapping[str, Any], reply: Reply, caller: Caller) -> ProviderError:
    """The error of an answer that the service did not finish: OpenRouter's `error`, DeepSeek's lack of resources."""
    error = choice.get("error") or {"message": f"the service broke off its answer: {choice.get('finish_reason')}"}
    return failures.from_reply(_status(error), reply.headers, orjson.dumps({"error": error}), caller)


def _status(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
