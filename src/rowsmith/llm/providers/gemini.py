"""Google's Gemini API (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

import orjson

from rowsmith import settings
from rowsmith.errors import BadRequestError, ConfigError, did_you_mean
from rowsmith.llm.facts import Facts
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import gemini_reply, remote
from rowsmith.llm.providers.embedding import EmbeddingModel, GeminiWire
from rowsmith.llm.providers.gemini_batch import GeminiBatches
from rowsmith.llm.providers.gemini_schema import subset
from rowsmith.llm.values import Rung
from rowsmith.llm.written import to_bytes

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion, Message, OutputSchema, Request

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
BASE_VARIABLE = "GOOGLE_GEMINI_BASE_URL"
DEFAULT_BASE = "https://generativelanguage.googleapis.com"
KEY_HEADER = "x-goog-api-key"

_WIRE_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "frequency_penalty": "frequencyPenalty",
    "max_completion_tokens": "maxOutputTokens",
}
_RESERVED = frozenset({"model", "contents", "systemInstruction", "system_instruction", "generation_config"})
_RESERVED_CONFIG = frozenset({"responseMimeType", "responseJsonSchema", "responseSchema", "candidateCount"})
_JSON = {"responseMimeType": "application/json"}
_TOLD_ITS_TASK = ("gemini-embedding-001", "text-embedding")
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""Tokens of thought by effort, as Google's own OpenAI-compatible address has them for Gemini 2.5."""


@dataclass(frozen=True)
class GeminiProvider(remote.RemoteModel):
    """One Gemini model, through Google's own `generateContent`.

    The key is looked up in `GEMINI_API_KEY`, then in `GOOGLE_API_KEY`, and the address in `GOOGLE_GEMINI_BASE_URL`,
    where they are not given. A server on this machine or a private network needs no key.

    Google has deprecated `temperature` and `top_p` for Gemini 3.5 and all later models, and refuses a
    `frequency_penalty` since Gemini 2.5. The arguments that are not named here are those of `RemoteModel`.

    Attributes:
        model_id: such as `gemini-3.8-flash`; `models/` before it may be left out.
        api_base: the host's root, without `/v1beta`.
        reasoning_effort: how hard the model thinks before it answers: `minimal`, `low`, `medium`, `high`, as far as the
            model knows them; `none` for a Gemini 2.5 that shall not think. Thoughts are billed as output.
        extra_body: further fields of the request, such as `{"safetySettings": [...]}`, `{"service_tier": "flex"}` or
            `{"generationConfig": {"topK": 40}}`.
        extra_headers: further headers; they win over ours.

    Raises:
        ConfigError: a value is out of its range, or there is no key where one is needed.
    """

    name: ClassVar[str] = "gemini"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)

    model_id: str = field(default="gemini-3.8-flash", kw_only=False)
    reasoning_effort: str | None = field(default=None, kw_only=True)
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False, kw_only=True)
    extra_headers: Mapping[str, str] | None = field(default=None, hash=False, repr=False, kw_only=True)

    _config: dict[str, Any] = field(init=False, repr=False, compare=False)
    _extra: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(model_id=self.model_id.removeprefix("models/"))
        base = _checked_base(self.api_base)
        headers = remote.check_headers(self.extra_headers)
        key = self._key(base, headers)
        given = _checked_body(self.extra_body)
        config = self._sampling() | (given or {}).get("generationConfig", {})
        extra = {name: value for name, value in (given or {}).items() if name != "generationConfig"}
        self._settle(
            api_key=key,
            api_base=base,
            extra_body=given,
            extra_headers=headers or None,
            endpoint=f"{base}/v1beta/{self._resource}:generateContent",
            _headers=remote.merged_headers(key, headers, KEY_HEADER),
            _caller=Caller(
                self.name,
                self.model_id,
                remote.secrets_of(key, headers),
                key_variable=KEY_VARIABLES[0],
                no_server="Check the network" if _is_google(base) else "Check that the server runs, and `api_base`",
                no_model="Check the model's name",
            ),
            _config=config,
            _extra=extra,
            _parameters=config | extra,
        )

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models."""
        return Facts(
            title="Google Gemini",
            docs="https://ai.google.dev/api/generate-content",
            keys=KEY_VARIABLES,
            needs_key=True,
            base=DEFAULT_BASE,
            endpoint=f"{DEFAULT_BASE}/v1beta/models/{cls.model_id}:generateContent",
            bases=(BASE_VARIABLE,),
            rungs=cls.rungs,
            reasoning="reasoning_effort",
        )

    @property
    def batches(self) -> GeminiBatches | None:
        """Google's batch endpoint; None at a public address that is not Google's."""
        base = str(self.api_base)
        if not _is_google(base) and not remote.is_local(base):
            return None
        return GeminiBatches(base, self._resource, self._headers, self.timeout, self._caller)

    @property
    def embeddings(self) -> EmbeddingModel:
        """The same model as one that makes vectors. The first generation is told what they are for."""
        task = {"taskType": "SEMANTIC_SIMILARITY"} if self.model_id.startswith(_TOLD_ITS_TASK) else {}
        extra = {**task, **(self.extra_body or {})}
        endpoint = f"{self.api_base}/v1beta/{self._resource}:batchEmbedContents"
        return EmbeddingModel(self, endpoint, GeminiWire(self._resource, extra), extra)

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and every parameter that is sent; of extra headers only the names."""
        names = sorted(name.lower() for name in self.extra_headers or ())
        return {**super().describe(), **({"headers": names} if names else {})}

    def encode(self, request: Request) -> bytes:
        """The body: `systemInstruction`, `contents`, `generationConfig`, then the other parameters, in this order."""
        instructions, contents = _conversation(request.messages)
        body: dict[str, Any] = {}
        if instructions:
            body["systemInstruction"] = {"parts": [{"text": instructions}]}
        body["contents"] = contents
        config, extra = self._config, self._extra
        if request.omit:
            config = {name: value for name, value in config.items() if name not in request.omit}
            extra = {name: value for name, value in extra.items() if name not in request.omit}
        if request.schema is not None and request.rung is not Rung.PROMPT:
            asked = _JSON if request.rung is Rung.JSON else _schema_fields(request.schema)
            config = {**asked, **config}
        if config:
            body["generationConfig"] = config
        body.update(extra)
        return to_bytes(body)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits.
        """
        try:
            reply = await self._post(body, transport)
        except BadRequestError as error:
            gemini_reply.explain(error, body)
            raise
        return gemini_reply.completion(reply, self._caller)

    @property
    def _resource(self) -> str:
        """The model as it stands in addresses."""
        kind = "" if self.model_id.startswith("tunedModels/") else "models/"
        return kind + quote(self.model_id, safe="/:@")

    def _key(self, base: str, headers: Mapping[str, str]) -> str | None:
        if self.api_key is not None:
            return remote.check_key(self.api_key, "api_key")
        if remote.carries_key(headers):
            return None
        for variable in KEY_VARIABLES:
            found = settings.lookup(variable)
            if found is not None:
                return remote.check_key(found, variable)
        if remote.is_local(base):
            return None
        raise ConfigError(
            f"gemini/{self.model_id} needs a key for {urlsplit(base).hostname}: set {KEY_VARIABLES[0]} (in the "
            "environment or in a .env file here), or pass api_key. Keys are made at https://aistudio.google.com/apikey."
        )

    def _sampling(self) -> dict[str, Any]:
        named = ((wire, getattr(self, name)) for name, wire in _WIRE_NAMES.items())
        sent = {wire: value for wire, value in named if value is not None}
        return sent | ({"thinkingConfig": self._thinking()} if self.reasoning_effort is not None else {})

    def _thinking(self) -> dict[str, Any]:
        """Models before Gemini 3 take a budget, those since a level, and each refuses the other's."""
        effort = self.reasoning_effort
        budgeted = re.match(r"gemini-[12]\.", self.model_id) is not None
        known = tuple(_BUDGETS) if budgeted else _LEVELS
        if not isinstance(effort, str) or effort not in known:
            always = " It always thinks; `minimal` or `low` is the least." if effort == "none" else ""
            raise ConfigError(
                f"reasoning_effort={effort!r} is unknown to {self.model_id}.{always} {did_you_mean(str(effort), known)}"
            )
        return {"thinkingBudget": _BUDGETS[effort]} if budgeted else {"thinkingLevel": effort.upper()}


def _checked_base(given: str | None) -> str:
    source, value = "api_base", given
    if value is None:
        source, value = BASE_VARIABLE, settings.lookup(BASE_VARIABLE) or DEFAULT_BASE
    base = remote.check_base(value, source)
    if re.search(r"/(v1|v1beta|v1alpha|openai)$", urlsplit(base).path):
        raise ConfigError(
            f"{source} must be the root of the Gemini API; it is {base!r}. Leave the end off, or use openai/<model> "
            "for an address in OpenAI's format."
        )
    return base


def _is_google(base: str) -> bool:
    return (urlsplit(base).hostname or "").endswith("generativelanguage.googleapis.com")


def _checked_body(extra: Mapping[str, Any] | None) -> dict[str, Any] | None:
    config = (extra or {}).get("generationConfig", {})
    if not isinstance(config, Mapping):
        raise ConfigError(f"extra_body: 'generationConfig' must be a mapping; it is {config!r}.")
    remote.check_body(config, _RESERVED_CONFIG)
    return remote.check_body(extra, _RESERVED)


def _conversation(messages: tuple[Message, ...]) -> tuple[str, list[dict[str, Any]]]:
    """The instructions, and the turns: those of one speaker in a row are one.

    Where nobody but the system speaks, it is the user: a request without `contents` is refused.
    """
    instructions: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            instructions.append(message.content)
            continue
        role = "model" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].append({"text": message.content})
        else:
            turns.append({"role": role, "parts": [{"text": message.content}]})
    joined = "\n\n".join(instructions)
    if not turns:
        return "", [{"role": "user", "parts": [{"text": joined}]}]
    return joined, turns


def _schema_fields(schema: OutputSchema) -> Mapping[str, Any]:
    return _fields_of(schema.written)


@lru_cache(maxsize=256)
def _fields_of(schema: bytes) -> Mapping[str, Any]:
    """The fields that ask for a schema. Kept by content: a run asks with the same few schemas again and again."""
    return {**_JSON, "responseJsonSchema": orjson.Fragment(orjson.dumps(subset(orjson.loads(schema))))}
