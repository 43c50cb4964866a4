"""Ollama, through its own `/api/chat` (https://github.com/ollama/ollama/blob/main/docs/api.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import orjson

from rowsmith import settings
from rowsmith.errors import ConfigError
from rowsmith.llm import failures
from rowsmith.llm.facts import Facts
from rowsmith.llm.failures import Caller
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.providers import remote
from rowsmith.llm.providers.embedding import EmbeddingModel, OllamaWire
from rowsmith.llm.values import Completion, Finish, Rung, Usage
from rowsmith.llm.written import to_bytes

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport
    from rowsmith.llm.values import Request

KEY_VARIABLE = "OLLAMA_API_KEY"
BASE_VARIABLES = ("OLLAMA_API_BASE", "OLLAMA_HOST")
DEFAULT_PORT = 11434

_BARE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/@\s]*)(?::(?P<port>\d+))?(?P<path>/?)")


@dataclass(frozen=True)
class OllamaProvider(remote.RemoteModel):
    """One model of an Ollama server.

    The server is looked for at `api_base`, `OLLAMA_API_BASE`, `OLLAMA_HOST` or `http://127.0.0.1:11434`, the first that
    is set. A key is sent only where one is given, or set in `OLLAMA_API_KEY` for a server outside the private network.
    The arguments that are not named here are those of `RemoteModel`.

    Attributes:
        model_id: as `ollama list` shows it, such as `gemma3:4b`.
        api_base: the server's root, without `/api` or `/v1`.
        num_ctx: tokens of the context window. Ollama's default is small, and it cuts off a longer prompt silently.
        think: whether a model that can think does so before it answers, or how hard: True, False, `low`, `high`….

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "ollama"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)

    model_id: str = field(default="gemma3:4b", kw_only=False)
    num_ctx: int | None = field(default=None, kw_only=True)
    think: bool | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        remote.check_count("num_ctx", self.num_ctx)
        if self.think is not None and (not isinstance(self.think, bool | str) or self.think == ""):
            raise ConfigError(f"think must be True, False or a level such as 'low'; it is {self.think!r}.")
        base = base_url(self.api_base)
        key = self._key(base)
        self._settle(
            api_key=key,
            api_base=base,
            endpoint=f"{base}/api/chat",
            _headers=remote.merged_headers(key, {}),
            _caller=Caller(
                self.name,
                self.model_id,
                remote.secrets_of(key, {}),
                key_variable=KEY_VARIABLE,
                no_model=f"Fetch the model with: ollama pull {self.model_id}",
                no_server=f"Ollama does not run at {base}. Start it with: ollama serve",
            ),
            _parameters=self._sent(),
        )

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models."""
        base = f"http://127.0.0.1:{DEFAULT_PORT}"
        return Facts(
            title="Ollama",
            docs="https://github.com/ollama/ollama/blob/main/docs/api.md",
            keys=(KEY_VARIABLE,),
            base=base,
            endpoint=f"{base}/api/chat",
            bases=BASE_VARIABLES,
            rungs=cls.rungs,
            reasoning="think",
            prices="free",
        )

    @property
    def token_prices(self) -> TokenPrices | None:
        """The prices as the arguments gave them, or 0: a model that runs on one's own machine sends no bill.

        Not so at a public address, which is somebody's service, nor for a model in `cloud`, which a local Ollama only
        passes on to Ollama's own (https://docs.ollama.com/cloud): what those cost is not known.
        """
        own = remote.is_local(self.endpoint) and not self.model_id.endswith(("-cloud", ":cloud"))
        return super().token_prices or (TokenPrices(0, 0) if own else None)

    @property
    def embeddings(self) -> EmbeddingModel:
        """The same model as one that makes vectors."""
        options = {} if self.num_ctx is None else {"num_ctx": self.num_ctx}
        return EmbeddingModel(self, f"{self.api_base}/api/embed", OllamaWire(self.model_id, options), options)

    def encode(self, request: Request) -> bytes:
        """The body: `model`, `messages`, `stream`, `format`, then `think` and `options`, always in this order."""
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": remote.messages_of(request),
            "stream": False,
        }
        if request.schema is not None and request.rung is not Rung.PROMPT:
            body["format"] = "json" if request.rung is Rung.JSON else orjson.Fragment(request.schema.written)
        body.update((name, value) for name, value in self._parameters.items() if name not in request.omit)
        return to_bytes(body)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits.
        """
        return _completion(await self._post(body, transport), self._caller)

    def _key(self, base: str) -> str | None:
        if self.api_key is not None:
            return remote.check_key(self.api_key, "api_key")
        found = None if remote.is_local(base) else settings.lookup(KEY_VARIABLE)
        return None if found is None else remote.check_key(found, KEY_VARIABLE)

    def _sent(self) -> dict[str, Any]:
        named = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "frequency_penalty": self.frequency_penalty,
            "num_predict": self.max_completion_tokens,
            "num_ctx": self.num_ctx,
        }
        options = {name: value for name, value in named.items() if value is not None}
        thinking = {} if self.think is None else {"think": self.think}
        return thinking | ({"options": options} if options else {})


def base_url(given: str | None = None) -> str:
    """The root of the Ollama server, as Ollama itself reads such a setting: a host, a port, or a whole address.

    `0.0.0.0`, on which a server listens but which nobody can call, stands for this machine.

    Args:
        given: taken before the variables.

    Raises:
        ConfigError: it is no address, or ends in `/v1` or `/api`.
    """
    source, value = "api_base", given
    for variable in BASE_VARIABLES:
        if value is None:
            source, value = variable, settings.lookup(variable)
    if value is None:
        return f"http://127.0.0.1:{DEFAULT_PORT}"
    written = value.strip().strip("\"'")
    bare = _BARE.fullmatch(written)
    if bare:
        written = f"http://{bare['host'] or '127.0.0.1'}:{bare['port'] or DEFAULT_PORT}{bare['path']}"
    base = remote.check_base(written, source)
    if urlsplit(base).path.endswith(("/v1", "/api")):
        raise ConfigError(
            f"{source} must be the root of the Ollama server; it is {base!r}. Leave the end off, or use "
            "openai/<model> for an address that ends in /v1."
        )
    return base.replace("//0.0.0.0", "//127.0.0.1", 1).replace("//[::]", "//[::1]", 1)


def _completion(reply: Reply, caller: Caller) -> Completion:
    data = remote.from_bytes(reply, caller)
    try:
        content = data["message"]["content"]
        return Completion(
            text=content if isinstance(content, str) else "",
            finish=Finish.LENGTH if data.get("done_reason") == "length" else Finish.STOP,
            usage=Usage(remote.tokens(data, "prompt_eval_count"), remote.tokens(data, "eval_count")),
            model=failures.cleaned(data.get("model"), caller),
            headers=reply.headers,
        )
    except (KeyError, TypeError, AttributeError):
        if isinstance(data, dict) and data.get("error"):
            raise failures.from_reply(500, reply.headers, reply.body, caller) from None
        raise failures.malformed("the reply has no answer in it", reply.headers, reply.body, caller) from None
