"""LiteLLM (https://docs.litellm.ai): the bridge to all services that have no provider of their own here."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from rowsmith import settings
from rowsmith.errors import AuthenticationError, BadRequestError, ConfigError, MissingDependencyError
from rowsmith.llm.facts import Facts
from rowsmith.llm.failures import Caller
from rowsmith.llm.http1 import Reply
from rowsmith.llm.providers import litellm_failures, remote
from rowsmith.llm.providers.litellm_library import Library, library
from rowsmith.llm.providers.openai import ChatCompletions
from rowsmith.llm.providers.services import Service

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion

_BRIDGE = Service(
    name="litellm",
    title="any service that LiteLLM knows",
    docs="https://docs.litellm.ai/docs/providers",
    keys=("the variable that LiteLLM names",),
    tags=True,
    tells_limits=True,
)
_OURS = frozenset(
    {
        "api_base",
        "api_key",
        "base_url",
        "timeout",
        "request_timeout",
        "num_retries",
        "max_retries",
        "fallbacks",
        "client",
    }
    | {"caching", "callbacks", "mock_response", "mock_tool_calls", "stream_options", "extra_headers", "headers"}
)
_SECRET = re.compile(
    r"api_?key|access_key|private_key|secret|password|credentials?$|(?:ad|auth|bearer|identity|session)_token", re.I
)


@dataclass(frozen=True)
class LiteLLMProvider(ChatCompletions):
    """One model of a service that LiteLLM knows, such as Amazon Bedrock, Vertex AI or Cohere.

        LiteLLMProvider("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0")

    It needs the extra `litellm`, which is imported when the model is first asked and takes some seconds for it. A call
    costs many times the processor time of one by our own providers, so those are the better choice where there is one.
    LiteLLM's retries are off, for Rowsmith's own apply, and it fetches and reports nothing.

    Keys are looked up by LiteLLM, in the variables that it names for the service (for some also in files of the
    service's own tools); a single key may as well be passed as `api_key` or stand in a `.env` file.
    The arguments that are not named here are those of `ChatCompletions`.

    Attributes:
        model_id: the service and the model, as LiteLLM writes them.
        api_base: the address of the service, where LiteLLM takes one.
        extra_body: further arguments of `litellm.acompletion`, such as `{"aws_region_name": "eu-central-1"}`. They are
            written into the run's ledger, so what is secret belongs into the environment.
        endpoint: `api_base`, or `litellm` where LiteLLM knows the address.

    Raises:
        ConfigError: a value is out of its range, or `extra_body` sets what is secret or Rowsmith's own to set.
        MissingDependencyError: LiteLLM is not installed.
    """

    name: ClassVar[str] = _BRIDGE.name
    service: ClassVar[Service] = _BRIDGE

    model_id: str = field(kw_only=False)
    _looked_up: tuple[str | None] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("litellm") is None:
            raise MissingDependencyError("LiteLLMProvider", "litellm")
        super().__post_init__()
        for name in self.extra_body or ():
            if name in _OURS:
                raise ConfigError(f"extra_body must not set {name!r}: Rowsmith sets it, or has an argument for it.")
            if _SECRET.search(name):
                raise ConfigError(f"extra_body must not set {name!r}: what is secret belongs into the environment.")
        base = self.api_base or None
        secrets = remote.secrets_of(self.api_key, self.extra_headers or {})
        self._settle(
            api_base=base,
            endpoint=base or self.name,
            _caller=Caller(
                self.name,
                self.model_id,
                secrets,
                key_variable=_BRIDGE.keys[0],
                no_server="Check the network, and `api_base` if it is given",
                no_model="Write litellm/<service>/<model> as on https://docs.litellm.ai/docs/providers",
            ),
        )

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all services."""
        return Facts(
            title=_BRIDGE.title,
            docs=_BRIDGE.docs,
            needs_key=True,
            rungs=_BRIDGE.rungs,
            learns_limits=True,
            reasoning="reasoning_effort",
            prices="list",
            extra="litellm",
            package="litellm",
        )

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Have LiteLLM send an encoded request, and wait for the answer. Its connections end with `transport`.

        Raises:
            ProviderError: the most specific class that fits.
        """
        loaded = await library()
        loaded.close_with(transport)
        asked = orjson.loads(body)
        self._must_be_takeable(loaded, asked)
        key = self.api_key if self.api_key is not None else self._found_key(loaded)
        given = {"api_base": self.api_base, "api_key": key, "extra_headers": self.extra_headers}
        ours = {name: value for name, value in given.items() if value is not None}
        failed: BaseException | None = None
        try:
            async with asyncio.timeout(self.timeout):
                answer = await loaded.ask(asked, timeout=self.timeout, **ours)
        except Exception as error:  # LiteLLM raises what it has classes for, and much that came from beneath it
            failed = error
        if failed is not None:
            # Raised out here and without a cause: LiteLLM's errors carry the request, and with it the key.
            caller = self._caller if key is None else replace(self._caller, secrets=(*self._caller.secrets, key))
            raise litellm_failures.translate(failed, self.timeout, caller)
        return self._read(_reply(answer), self._caller)

    def _base(self) -> str:
        return "" if self.api_base is None else remote.check_base(self.api_base)

    def _key(self, base: str, headers: Mapping[str, str]) -> str | None:  # noqa: ARG002 - where it goes is LiteLLM's to know
        return None if self.api_key is None else remote.check_key(self.api_key, "api_key")

    def _must_be_takeable(self, loaded: Library, asked: Mapping[str, Any]) -> None:
        """Refuse a schema for a model that takes none by LiteLLM's list, since some services would pass over it.

        Raises:
            BadRequestError: it is so; the request is then made on the next rung.
        """
        schema = (asked.get("response_format") or {}).get("type") == "json_schema"
        if schema and loaded.takes_schemas(self.model_id) is False:
            raise BadRequestError(
                "response_format of type json_schema is not supported with this model, by LiteLLM's list",
                provider=self.name,
                model=self.model_id,
                status=400,
            )

    def _found_key(self, loaded: Library) -> str | None:
        """The key from a `.env` file, if LiteLLM lacks one and nothing but one.

        Services that have other ways to tell who asks (roles, files, logins) lack more by its list than they need.

        Raises:
            AuthenticationError: there is none.
        """
        if self._looked_up is None:
            self._settle(_looked_up=(self._look_up(loaded),))
        return self._looked_up[0] if self._looked_up else None

    def _look_up(self, loaded: Library) -> str | None:
        missing = loaded.missing_keys(self.model_id)
        if len(missing) != 1 or not missing[0].endswith("_API_KEY"):
            return None
        found = settings.lookup(missing[0])
        if found is not None:
            return remote.check_key(found, missing[0])
        if self.api_base is not None and remote.is_local(self.api_base):
            return "none"  # some of the clients beneath LiteLLM refuse to work without any
        raise AuthenticationError(
            "there is no key",
            provider=self.name,
            model=self.model_id,
            hint=f"Set {missing[0]} (in the environment or in a .env file here), or pass api_key",
        )


def _reply(answer: Any) -> Reply:
    """LiteLLM's answer as the reply in OpenAI's format that it stands for."""
    data = answer.model_dump(mode="json", warnings=False)
    for choice in data.get("choices") or ():
        message = choice.get("message") or {}
        told = message.get("provider_specific_fields") or {}
        if message.get("refusal") is None and told.get("refusal"):
            message["refusal"] = told["refusal"]
    return Reply(200, litellm_failures.headers_of(answer), orjson.dumps(data))
