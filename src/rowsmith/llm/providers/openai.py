"""OpenAI's chat-completions format, and OpenAI. What other services do in their own way stands in `services`."""

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
from rowsmith.llm import failures, parameters
from rowsmith.llm.facts import Facts
from rowsmith.llm.failures import Caller
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.providers import remote, services
from rowsmith.llm.providers.embedding import EmbeddingModel, OpenAIWire
from rowsmith.llm.providers.openai_batch import OpenAIBatches
from rowsmith.llm.providers.openai_schema import strict
from rowsmith.llm.providers.services import Service
from rowsmith.llm.structured.scan import without_thinking
from rowsmith.llm.values import Completion, Finish, Rung, Usage
from rowsmith.llm.written import to_bytes

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport
    from rowsmith.llm.values import Request

_SAMPLING = ("temperature", "top_p", "frequency_penalty")
_RESERVED = frozenset({"model", "messages", "response_format", "stream", "n"})
_JSON_FORMAT = orjson.Fragment(b'{"type":"json_object"}')
_BROKEN_OFF = ("error", "insufficient_system_resource")
_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
"""Where DeepSeek, Together and Moonshot, and Mistral count tokens read from their caches."""
_FINISHES = {
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.REFUSED,
    "refusal": Finish.REFUSED,
}

_log = logging.getLogger("rowsmith.llm")


@dataclass(frozen=True)
class ChatCompletions(remote.RemoteModel):
    """The arguments of every provider that speaks the format. It is the base of their classes and no provider itself.

    The arguments that are not named here are those of `RemoteModel`.

    Attributes:
        model_id: the model's id at the service.
        api_base: the address of the service, to which `/chat/completions` is added; ends in `/v1` for most.
        reasoning_effort: how hard a model that reasons does so: `none`, `low`, `medium`, `high`, or another level that
            it knows.
        extra_body: further fields of the request, such as `{"seed": 3}`.
        extra_headers: further headers; they win over ours.

    Raises:
        ConfigError: a value is out of its range, there is no key or address where one is needed, or, with
            `strict_params`, a parameter is given that the model is known to refuse.
    """

    service: ClassVar[Service]
    """Whose key and address are looked up, and whose facts hold unless the address tells others."""

    reasoning_effort: str | None = field(default=None, kw_only=True)
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False, kw_only=True)
    extra_headers: Mapping[str, str] | None = field(default=None, hash=False, repr=False, kw_only=True)

    _facts: Service = field(init=False, repr=False, compare=False)
    _constraints: bool = field(init=False, repr=False, compare=False)
    _promised: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        effort = self.reasoning_effort
        if effort is not None and (not isinstance(effort, str) or not re.fullmatch(r"[\w-]+", effort)):
            raise ConfigError(f"reasoning_effort must be a level such as 'low'; it is {effort!r}.")
        base = self._base()
        facts = services.at(base) if self.service.anywhere else self.service
        headers = remote.check_headers(self.extra_headers)
        key = self._key(base, headers)
        known = facts.answers_at(base)
        self._settle(
            api_key=key,
            api_base=base,
            extra_body=remote.check_body(self.extra_body, _RESERVED),
            extra_headers=headers or None,
            endpoint=f"{base}/chat/completions",
            _headers=remote.merged_headers(key, headers, self.service.key_header),
            _caller=Caller(
                self.name,
                self.model_id,
                remote.secrets_of(key, headers),
                key_variable=self.service.keys[0],
                no_server="Check the network" if known else "Check that the server runs, and `api_base`",
                no_model="Check the model's name" if known else "Check the model's name, and how `api_base` must end",
            ),
            _facts=facts,
            _constraints=facts.constraints and not self.model_id.startswith("ft:"),
            _promised=facts.promises(self.model_id),
        )
        self._settle(_parameters=self._sent())

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models of the service."""
        service = cls.service
        return Facts(
            title=service.title,
            docs=service.docs,
            keys=service.keys,
            needs_key=not service.own,
            base=service.base,
            endpoint=f"{service.base}/chat/completions" if service.base else "",
            bases=service.bases,
            rungs=service.rungs,
            learns_limits=service.tells_limits,
            reasoning="reasoning_effort",
            prices="free" if service.own else "",
        )

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ways that the service has to ask for structured output, surest first."""
        return self._facts.rungs

    @property
    def token_prices(self) -> TokenPrices | None:
        """The prices as the arguments gave them, or 0 for a server of one's own on one's own network."""
        own = self.service.own and remote.is_local(self.endpoint)
        return super().token_prices or (TokenPrices(0, 0) if own else None)

    @property
    def embeddings(self) -> EmbeddingModel | None:
        """The same model as one that makes vectors; None where the service has no endpoint for them."""
        if not self._facts.embeds:
            return None
        endpoint, extra = f"{self.api_base}/embeddings", dict(self.extra_body or {})
        return EmbeddingModel(self, endpoint, OpenAIWire(self.model_id, extra), extra)

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and every parameter that is sent; of extra headers only the names."""
        names = sorted(name.lower() for name in self.extra_headers or ())
        return {**super().describe(), **({"headers": names} if names else {})}

    def encode(self, request: Request) -> bytes:
        """The body: `model`, `messages`, `response_format`, then the parameters, always in this order.

        Of the two names for the most tokens of an answer, the other one is tried before it is left out.
        """
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": remote.messages_of(request),
        }
        if request.schema is not None and request.rung is not Rung.PROMPT:
            schema = request.schema
            body["response_format"] = (
                _JSON_FORMAT
                if request.rung is Rung.JSON
                else _schema_format(schema.name, schema.written, self._constraints, self._promised)
            )
        body.update(parameters.sent(self._parameters, request.omit) if request.omit else self._parameters)
        return to_bytes(body)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits.
        """
        return self._read(await self._post(body, transport), self._caller)

    def _read(self, reply: Reply, caller: Caller) -> Completion:
        """What a reply to a request says."""
        return _completion(reply, caller, self._facts)

    def _batch_base(self, told: bool | None) -> str | None:
        """The address of the batch endpoint; None where there is none.

        Args:
            told: whether there is one, if the user says so; otherwise only the service's own address has it.
        """
        base = self.endpoint.removesuffix("/chat/completions")
        there = self.service.answers_at(base) if told is None else told
        return base if there else None

    def _base(self) -> str:
        service, source, given = self.service, "api_base", self.api_base
        for variable in service.bases:
            if given is None:
                source, given = variable, settings.lookup(variable)
        if given is None and not service.base:
            raise ConfigError(
                f"{self.name}/{self.model_id} needs an address: set {service.bases[0]} (in the environment or in a "
                ".env file here), or pass api_base."
            )
        return service.completed(remote.check_base(service.base if given is None else given, source))

    def _key(self, base: str, headers: Mapping[str, str]) -> str | None:
        if self.api_key is not None:
            return remote.check_key(self.api_key, "api_key")
        for variable in self.service.keys:
            found = settings.lookup(variable)
            if found is not None:
                return remote.check_key(found, variable)
        if remote.is_local(base) or remote.carries_key(headers):
            return None
        raise ConfigError(
            f"{self.name}/{self.model_id} needs a key for {urlsplit(base).hostname}: set {self.service.keys[0]} (in "
            "the environment or in a .env file here), or pass api_key. For a server of your own, pass its address as "
            "api_base."
        )

    def _sent(self) -> dict[str, Any]:
        """The parameters of every request. What the model is known to refuse is left out, with a warning."""
        facts, extra = self._facts, dict(self.extra_body or {})
        made = {name: getattr(self, name) for name in _SAMPLING if getattr(self, name) is not None}
        effort = self.reasoning_effort
        if effort is not None:
            fields = facts.effort_fields(effort)
            if twice := sorted(fields.keys() & extra.keys()):
                raise ConfigError(f"reasoning_effort and extra_body both set {twice[0]!r}: leave one of them out.")
        if not takes_sampling(self.model_id, effort or extra.get("reasoning_effort")):
            made = self._without(made, tuple(made), " while it reasons")
        made = self._without(made, facts.drops, "")
        if self.max_completion_tokens is not None:
            # OpenAI refuses the old name for its reasoning models. Elsewhere the old name is the one that is known:
            # Ollama and llama.cpp before 2026 ignore the new one (and write on without end), Mistral refuses it.
            made[facts.limit] = self.max_completion_tokens
        return made | (fields if effort is not None else {}) | extra

    def _without(self, made: dict[str, Any], refused: tuple[str, ...], when: str) -> dict[str, Any]:
        """Parameters without those that are refused.

        Raises:
            ConfigError: there are such, and `strict_params` is set.
        """
        given = [name for name in made if name in refused]
        if not given:
            return made
        named = " and ".join(f"`{name}`" for name in given)
        if self.strict_params:
            raise ConfigError(f"{self.name}/{self.model_id} refuses {named}{when}: leave it out.")
        _log.warning("%s refuses %s%s: left out.", self.model_id, named, when)
        return {name: value for name, value in made.items() if name not in refused}


@dataclass(frozen=True)
class OpenAIProvider(ChatCompletions):
    """One model in OpenAI's chat-completions format: at OpenAI, or at any server that speaks it.

    The key is looked up in `OPENAI_API_KEY` and the address in `OPENAI_BASE_URL` where they are not given. A server on
    this machine or a private network needs no key.

    Reasoning models refuse sampling parameters: one that is set for such a model is left out, with one warning.
    The arguments are those of `ChatCompletions`.

    Attributes:
        model_id: such as `gpt-5-mini`.
        batch_endpoint: whether the address has OpenAI's `/batches` and `/files` too; None: only OpenAI's own has. What
            comes from them is taken to cost half.
    """

    name: ClassVar[str] = services.OPENAI.name
    service: ClassVar[Service] = services.OPENAI

    model_id: str = field(default=services.OPENAI.model, kw_only=False)
    batch_endpoint: bool | None = field(default=None, kw_only=True, compare=False)

    @property
    def batches(self) -> OpenAIBatches | None:
        """The batch endpoint, where there is one."""
        base = self._batch_base(self.batch_endpoint)
        return OpenAIBatches(base, self._headers, self._caller, self._read, self.timeout) if base else None


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


@lru_cache(maxsize=256)
def _schema_format(name: str, schema: bytes, constraints: bool, promised: bool) -> orjson.Fragment:
    """The `response_format` for a schema. Kept by content: a run asks with the same few schemas again and again."""
    original = orjson.loads(schema)
    made = strict(original, constraints=constraints)
    inner = {
        "name": name,
        "strict": made is not None and promised,
        "schema": original if made is None else made,
    }
    return orjson.Fragment(orjson.dumps({"type": "json_schema", "json_schema": inner}))


def _completion(reply: Reply, caller: Caller, facts: Service = services.OPENAI) -> Completion:
    data = remote.from_bytes(reply, caller)
    try:
        choice = data["choices"][0]
        message = choice["message"]
        content = message.get("content")
        reason = choice.get("finish_reason")
        text = content if isinstance(content, str) else _joined(content)
        finish = Finish.STOP
        if reason != "stop":
            if reason in _BROKEN_OFF:
                raise _broken_off(choice, reply, caller)
            finish = _FINISHES.get(reason, Finish.STOP)
        if facts.tags and not text.startswith("{"):
            text, thinking = without_thinking(text)
            finish = Finish.LENGTH if thinking else finish
        if not text and message.get("refusal"):
            text, finish = str(message["refusal"]), Finish.REFUSED
        return Completion(
            text=text,
            finish=finish,
            usage=_usage(data.get("usage")),
            model=failures.known_name(data.get("model"), caller.secrets),
            request_id=failures.cleaned(reply.headers.get("x-request-id") or data.get("id"), caller) or None,
            headers=reply.headers,
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _no_answer(data, reply, caller) from None


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    asked, answered = remote.tokens(usage, "prompt_tokens"), remote.tokens(usage, "completion_tokens")
    if usage.keys() <= _PLAIN:
        return Usage(asked, answered)
    reasoning = remote.tokens(usage.get("completion_tokens_details"), "reasoning_tokens")
    if reasoning and remote.tokens(usage, "total_tokens") == asked + answered + reasoning:
        # xAI counts reasoning beside the answer, and bills both.
        answered += reasoning
    cached = remote.tokens(usage.get("prompt_tokens_details"), "cached_tokens")
    for name in _CACHED:
        if name in usage:
            cached = max(cached, remote.tokens(usage, name))
    return Usage(asked, answered, cached, reasoning)


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
