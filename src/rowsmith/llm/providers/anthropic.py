"""Anthropic's models, through its own Messages API (https://platform.claude.com/docs/en/api/messages/create)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import orjson

from rowsmith import settings
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.facts import Facts
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import anthropic_models, anthropic_reply, remote
from rowsmith.llm.providers.anthropic_batch import AnthropicBatches
from rowsmith.llm.providers.anthropic_models import Claude
from rowsmith.llm.providers.anthropic_schema import structured
from rowsmith.llm.values import Completion, Message, Rung
from rowsmith.llm.written import to_bytes

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import OutputSchema, Request

KEY_VARIABLE = "ANTHROPIC_API_KEY"
BASE_VARIABLE = "ANTHROPIC_BASE_URL"
DEFAULT_BASE = "https://api.anthropic.com"

# `temperature`, `top_p` and `top_k` are gone from the API's newer version, for older models too; there is no other
# difference that matters here. Servers that speak the format know the older one.
_VERSION = "2026-10-21"
_VERSION_WITH_SAMPLING = "2023-06-01"
_SAMPLING = ("temperature", "top_p", "top_k")

_RESERVED = frozenset({"model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice"})
_BEGINNING = Message.user("Begin.")
_GOING_ON = Message.user("Go on.")
_NO_BATCH = (
    "Use the key of the workspace that the batch was handed in with; a batch that is gone for good is given up with: "
    "rowsmith cancel"
)
_TOOL_TOLD = "Give your answer by calling this tool: its input is the answer, in full."

_log = logging.getLogger("rowsmith.llm")


class _Asking(NamedTuple):
    """How the body asks for a schema."""

    format: orjson.Fragment | None = None
    """For `output_config`: the answer's text is constrained."""
    tools: orjson.Fragment | None = None
    """The tool whose input is the answer."""
    choice: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class AnthropicProvider(remote.RemoteModel):
    """One model in the format of Anthropic's Messages API: at Anthropic, or at any server that speaks it.

    The key is looked up in `ANTHROPIC_API_KEY` and the address in `ANTHROPIC_BASE_URL` where they are not given. A
    server on this machine or a private network needs no key.

    What a model is known to refuse is left out with one warning, or a ConfigError with `strict_params`:
    `frequency_penalty` (the API has none), `temperature` and `top_p` (from Claude 4.7 on, and while an older one
    thinks), `top_p` beside `temperature`, and a `reasoning_effort` that it has not.

    The API demands a limit of tokens. Without `max_completion_tokens` it is 16,000 for Claude 4 and later, 8,192 for
    Claude 3.5 and for models that are not Anthropic's, 4,096 for Claude 3; a `budget_tokens` of thinking comes on top.
    The arguments that are not named here are those of `RemoteModel`.

    Attributes:
        model_id: such as `claude-haiku-5-5`.
        api_base: the host's root, without `/v1`.
        temperature: 0 to 1 for Anthropic's models.
        reasoning_effort: `low`, `medium`, `high`, `xhigh` or `max`, of which not every model has all; `none` turns
            thinking off. Models from Claude 5 on think unless told not to.
        extra_body: further fields of the request, such as `{"thinking": {"type": "enabled", "budget_tokens": 2000}}`.
        extra_headers: further headers; they win over ours.
        batch_endpoint: whether the address has Anthropic's `/v1/messages/batches` too; None: only Anthropic's own has.
            What comes from it is taken to cost half.

    Raises:
        ConfigError: a value is out of its range, or there is no key where one is needed.
    """

    name: ClassVar[str] = "anthropic"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)

    model_id: str = field(default="claude-haiku-5-5", kw_only=False)
    reasoning_effort: str | None = field(default=None, kw_only=True)
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False, kw_only=True)
    extra_headers: Mapping[str, str] | None = field(default=None, hash=False, repr=False, kw_only=True)
    batch_endpoint: bool | None = field(default=None, kw_only=True, compare=False)

    _max_tokens: int = field(init=False, repr=False, compare=False)
    _forces_tools: bool = field(init=False, repr=False, compare=False)
    _all_fields: tuple[dict[str, Any], dict[str, Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        base = self._base()
        model = anthropic_models.claude(self.model_id)
        if model is not None:
            remote.check_number("temperature", self.temperature, 0, 1)
        headers = remote.check_headers(self.extra_headers)
        key = self._key(base, headers)
        owner = _is_anthropic(base)
        self._settle(
            api_key=key,
            api_base=base,
            extra_body=remote.check_body(self.extra_body, _RESERVED),
            extra_headers=headers or None,
            endpoint=f"{base}/v1/messages",
            _caller=Caller(
                self.name,
                self.model_id,
                remote.secrets_of(key, headers),
                key_variable=KEY_VARIABLE,
                no_server="Check the network" if owner else "Check that the server runs, and `api_base`",
                no_model="Check the model's name" if owner else "Check the model's name, and that `api_base` is a root",
            ),
        )
        sent = self._sent(model)
        thinking = sent.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        spare = budget if isinstance(budget, int) else 0
        self._settle(
            _parameters=sent,
            _all_fields=_fields(sent, frozenset()),
            _headers=_headers(key, headers, recent=owner and not any(name in sent for name in _SAMPLING)),
            _max_tokens=self.max_completion_tokens or anthropic_models.max_tokens(model) + spare,
            _forces_tools=(model is None or model.takes_forced_tool) and not _thinks(sent),
        )

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models."""
        return Facts(
            title="Anthropic",
            docs="https://platform.claude.com/docs/en/api/messages/create",
            keys=(KEY_VARIABLE,),
            needs_key=True,
            base=DEFAULT_BASE,
            endpoint=f"{DEFAULT_BASE}/v1/messages",
            bases=(BASE_VARIABLE,),
            rungs=cls.rungs,
            learns_limits=True,
            reasoning="reasoning_effort",
        )

    @property
    def batches(self) -> AnthropicBatches | None:
        """The batch endpoint, where there is one."""
        base = self.endpoint.removesuffix("/v1/messages")
        there = _is_anthropic(base) if self.batch_endpoint is None else self.batch_endpoint
        caller = replace(self._caller, no_model=_NO_BATCH)
        return AnthropicBatches(base, self._headers, caller, self.timeout) if there else None

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and every parameter that is sent; of extra headers only the names."""
        names = sorted(name.lower() for name in self.extra_headers or ())
        described = {**super().describe(), "parameters": {"max_tokens": self._max_tokens, **self._parameters}}
        return described | ({"headers": names} if names else {})

    def encode(self, request: Request) -> bytes:
        """The body: `model`, `max_tokens`, `system`, `messages`, `tools`, `output_config`, then the parameters.

        The order is always this one. The API wants `system` apart, turns that alternate, the user's as the first, and
        since Claude 4.6 the user's as the last; what is lacking to that is added in a word.
        """
        system, messages = _conversation(request.messages)
        body: dict[str, Any] = {"model": self.model_id, "max_tokens": self._max_tokens}
        if system:
            body["system"] = system
        body["messages"] = messages
        config, fields = _fields(self._parameters, request.omit) if request.omit else self._all_fields
        if request.schema is not None and request.rung is not Rung.PROMPT:
            asking = self._asking(request.schema, request.rung)
            if asking.tools is not None:
                body["tools"], body["tool_choice"] = asking.tools, asking.choice
            elif asking.format is not None:
                config = {**config, "format": asking.format}
        if config:
            body["output_config"] = config
        body.update(fields)
        return to_bytes(body)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits.
        """
        return anthropic_reply.completion(await self._post(body, transport), self._caller)

    def _asking(self, schema: OutputSchema, rung: Rung) -> _Asking:
        return _asked(schema.name, schema.written, rung, self._forces_tools)

    def _base(self) -> str:
        if self.api_base is not None:
            source, given = "api_base", self.api_base
        else:
            source, given = BASE_VARIABLE, settings.lookup(BASE_VARIABLE) or DEFAULT_BASE
        base = remote.check_base(given, source)
        if urlsplit(base).path.endswith(("/v1", "/v1/messages")):
            raise ConfigError(f"{source} must be the host's root, such as {DEFAULT_BASE!r}; it is {base!r}.")
        return base

    def _key(self, base: str, headers: Mapping[str, str]) -> str | None:
        if self.api_key is not None:
            return remote.check_key(self.api_key, "api_key")
        # A header of the user's own may be a gateway's: Anthropic's key is none of its business.
        found = None if remote.carries_key(headers) else settings.lookup(KEY_VARIABLE)
        if found is not None:
            return remote.check_key(found, KEY_VARIABLE)
        if remote.is_local(base) or remote.carries_key(headers):
            return None
        raise ConfigError(
            f"anthropic/{self.model_id} needs a key for {urlsplit(base).hostname}: set {KEY_VARIABLE} (in the "
            "environment or in a .env file here), or pass api_key. For a server of your own, pass its address as "
            "api_base."
        )

    def _sent(self, model: Claude | None) -> dict[str, Any]:
        """The parameters of every request, without those that the model is known to refuse."""
        extra = dict(self.extra_body or {})
        config = extra.get("output_config", {})
        if not isinstance(config, dict) or "format" in config:
            raise ConfigError("extra_body: `output_config` must be an object without `format`, which Rowsmith sets.")
        sampling = {name: getattr(self, name) for name in ("temperature", "top_p") if getattr(self, name) is not None}
        reasoning, refused = self._reasoning(model)
        given = extra | config
        if twice := sorted(reasoning.keys() & given.keys()):
            raise ConfigError(f"reasoning_effort and extra_body both set {twice[0]!r}: leave one of them out.")
        refused |= anthropic_models.refused(model, sampling, thinking=_thinks(reasoning | extra))
        if self.frequency_penalty:
            refused["frequency_penalty"] = ""
        # What is left out at its default changes nothing, and needs no word.
        told = {name: why for name, why in refused.items() if not (name == "temperature" and sampling[name] == 1)}
        if told:
            self._refuse(told)
        kept = {name: value for name, value in sampling.items() if name not in refused}
        return kept | reasoning | extra

    def _reasoning(self, model: Claude | None) -> tuple[dict[str, Any], dict[str, str]]:
        """The parameters of `reasoning_effort`, and the argument's name if the model cannot be told so."""
        effort = self.reasoning_effort
        if effort is None:
            return {}, {}
        if effort not in anthropic_models.EFFORTS:
            meant = did_you_mean(str(effort), anthropic_models.EFFORTS)
            raise ConfigError(f"reasoning_effort must be a level such as 'low'; it is {effort!r}. {meant}")
        found = anthropic_models.reasoning(model, effort)
        return ({}, {"reasoning_effort": f" {effort!r}"}) if found is None else (dict(found), {})

    def _refuse(self, refused: Mapping[str, str]) -> None:
        named = " and ".join(f"`{name}`{why}" for name, why in refused.items())
        if self.strict_params:
            raise ConfigError(f"anthropic/{self.model_id} does not take {named}: leave it out.")
        _log.warning("%s does not take %s: left out.", self.model_id, named)


def _is_anthropic(base: str) -> bool:
    return (urlsplit(base).hostname or "").endswith(".anthropic.com")


def _thinks(parameters: Mapping[str, Any]) -> bool:
    """Whether parameters turn thinking on."""
    thinking = parameters.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") in {"enabled", "adaptive"}


def _fields(parameters: Mapping[str, Any], omit: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters as the body has them: those within `output_config`, and the others."""
    fields = {name: value for name, value in parameters.items() if name not in omit}
    config = dict(fields.pop("output_config", ()))
    if "effort" in fields:
        config["effort"] = fields.pop("effort")
    return config, fields


def _headers(key: str | None, extra: Mapping[str, str], *, recent: bool) -> dict[str, str]:
    headers = remote.merged_headers(key, extra, "x-api-key")
    if not any(name.lower() == "anthropic-version" for name in extra):
        headers["anthropic-version"] = _VERSION if recent else _VERSION_WITH_SAMPLING
    return headers


def _conversation(messages: tuple[Message, ...]) -> tuple[str, list[dict[str, str]]]:
    """The system prompt, and the turns as the API takes them."""
    system = "\n\n".join(message.content for message in messages if message.role == "system" and message.content)
    turns = [message for message in messages if message.role != "system"]
    if not turns:
        # A conversation of instructions alone: they are the request.
        return "", [{"role": "user", "content": system}]
    if turns[0].role == "assistant":
        turns.insert(0, _BEGINNING)
    if turns[-1].role == "assistant":
        turns.append(_GOING_ON)
    if len(turns) == 1:
        return system, [{"role": "user", "content": turns[0].content}]
    alternating = []
    for role, run in groupby(turns, key=lambda turn: turn.role):
        contents = [turn.content for turn in run]
        # The API refuses a turn without text; where another of the same speaker has some, nothing is lost.
        joined = "\n\n".join(content for content in contents if content.strip())
        alternating.append({"role": role, "content": joined or contents[0]})
    return system, alternating


@lru_cache(maxsize=256)
def _asked(name: str, schema: bytes, rung: Rung, forced: bool) -> _Asking:
    """How a schema is asked for. Kept by content: a run asks with the same few schemas again and again.

    A schema that structured outputs cannot say goes out whole, as the input of a tool.
    """
    original = orjson.loads(schema)
    made = structured(original) if rung is Rung.SCHEMA else None
    if made is not None:
        return _Asking(format=orjson.Fragment(orjson.dumps({"type": "json_schema", "schema": made})))
    if original.get("type") != "object":
        return _Asking()
    tool = {"name": name, "description": _TOOL_TOLD, "input_schema": original}
    choice: dict[str, Any] = {"type": "tool", "name": name} if forced else {"type": "auto"}
    return _Asking(tools=orjson.Fragment(orjson.dumps([tool])), choice={**choice, "disable_parallel_tool_use": True})
