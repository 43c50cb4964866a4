"""llama.cpp on this machine, from a file of weights: no server to start, nothing to install but the extra `local`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rowsmith.errors import ConfigError, ConnectionFailedError, MissingDependencyError, ProviderError
from rowsmith.llm.facts import Facts
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.providers import gguf, hub_weights, remote
from rowsmith.llm.providers.compatible import LlamaServerProvider
from rowsmith.llm.providers.hub_weights import HubWeights
from rowsmith.llm.providers.llamacpp_engine import Engine, EngineSettings, engine
from rowsmith.llm.values import Rung

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion, Request

_LARGEST_SEED = 2**32 - 2
"""llama.cpp takes the number after it for "any"."""
_NOWHERE = "http://127.0.0.1:1"


@dataclass(frozen=True)
class _Face(LlamaServerProvider):
    """The wire format that a loaded model is asked in: that of llama.cpp's own server."""

    name: ClassVar[str] = "llamacpp"


@dataclass(frozen=True)
class LlamaCppProvider:
    """One model that llama.cpp runs on this machine, from a GGUF file.

        LlamaCppProvider("models/gemma-3-4b-it-Q4_K_M.gguf", n_gpu_layers=99)
        LlamaCppProvider("hf://ggml-org/gemma-3-4b-it-GGUF/gemma-3-4b-it-Q4_K_M.gguf")

    The model is loaded when it is first asked, in a process of its own, and freed with the last provider that refers to
    it; providers of the same file with the same `n_…` share it. A file of the Hub (`hf://owner/repo/file.gguf`, or
    `hf://owner/repo@revision/file.gguf`) is fetched once, at that moment too, into the usual cache of huggingface_hub.
    Answers with a schema are constrained to it token by token.

    Where sampling parameters are not given, llama.cpp's own defaults hold.

    Attributes:
        model_id: the path of the file, or its address on the Hub.
        temperature: 0 to 2.
        top_p: 0 to 1.
        frequency_penalty: -2 to 2.
        max_completion_tokens: the most tokens of one answer; at least 1.
        extra_body: further fields of a request to llama.cpp's server, such as `{"min_p": 0.1}` or
            `{"chat_template_kwargs": {"enable_thinking": False}}`.
        seed: sent with every request. None sends each request's own, drawn from the run's seed, so that a run can be
            repeated; as far as the same sums give the same result, which many answers at once do not quite promise.
        strict_params: a parameter that llama.cpp refuses is an error; otherwise it is left out, with one warning.
        timeout: seconds that one answer may take, from when the model is loaded.
        rpm_limit: requests per minute to keep to.
        tpm_limit: tokens per minute to keep to, input and output together.
        rpd_limit: requests per day to keep to.
        max_concurrency: the most requests in flight at once; as many as `n_parallel` where it is not given.
        n_ctx: tokens of context for each answer, prompt and answer together. Memory grows with it.
        n_parallel: answers that are written at once, each with a context of its own.
        n_gpu_layers: layers on the graphics card; None has llama.cpp choose.
        n_threads: threads of the processor; None has llama.cpp choose.
        endpoint: `llamacpp:` and what tells these weights from others wherever they lie; of a file on the Hub, its
            address there.

    Raises:
        ConfigError: a value is out of its range, there is no such file, or it is no GGUF file.
        MissingDependencyError: xllamacpp (or for the Hub, huggingface_hub) is not installed.
    """

    name: ClassVar[str] = "llamacpp"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)

    model_id: str
    _: KW_ONLY
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    max_completion_tokens: int | None = None
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False)
    seed: int | None = None
    strict_params: bool = False
    timeout: float = 1800.0
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    rpd_limit: int | None = None
    max_concurrency: int | None = None
    n_ctx: int = 8192
    n_parallel: int = 4
    n_gpu_layers: int | None = None
    n_threads: int | None = None

    endpoint: str = field(init=False, repr=False, compare=False)
    _face: _Face = field(init=False, repr=False, compare=False)
    _engine: Engine = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("n_ctx", "n_parallel", "n_threads"):
            remote.check_count(name, getattr(self, name))
        _check_whole("n_gpu_layers", self.n_gpu_layers, 1_000_000)
        _check_whole("seed", self.seed, _LARGEST_SEED)
        given = self.model_id
        if not isinstance(given, str) or not given.strip():
            raise ConfigError(
                f"model_id must be the path of a GGUF file, or hf://owner/repo/file.gguf; it is {given!r}."
            )
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingDependencyError("LlamaCppProvider", "local")
        weights, endpoint = _weights(given)
        face = self._asked_at(_NOWHERE, "none")
        settings = EngineSettings(
            weights=weights,
            n_ctx=self.n_ctx,
            n_parallel=self.n_parallel,
            n_gpu_layers=self.n_gpu_layers,
            n_threads=self.n_threads,
        )
        made = {"extra_body": face.extra_body, "endpoint": endpoint, "_face": face, "_engine": engine(settings)}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models."""
        return Facts(
            title="llama.cpp from a GGUF file",
            docs="https://github.com/xorbitsai/xllamacpp",
            rungs=cls.rungs,
            prices="free",
            extra="local",
            package="xllamacpp",
        )

    @property
    def limits(self) -> KnownLimits:
        """The limits as the arguments gave them, and how many answers are written at once."""
        return KnownLimits(
            rpm=self.rpm_limit,
            tpm=self.tpm_limit,
            rpd=self.rpd_limit,
            max_concurrency=self.max_concurrency or self.n_parallel,
        )

    @property
    def token_prices(self) -> TokenPrices:
        """0: nobody sends a bill."""
        return TokenPrices(0, 0)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the conversation and the schema, by the names that `Request.omit` takes."""
        return self._face.parameters

    def describe(self) -> Mapping[str, Any]:
        """The weights, the size of the context and every parameter that is sent; not where the weights lie."""
        return {
            "provider": self.name,
            "endpoint": self.endpoint,
            "n_ctx": self.n_ctx,
            "seed": self.seed,
            "parameters": self.parameters,
        }

    def encode(self, request: Request) -> bytes:
        """The body: that of llama.cpp's server, and a seed."""
        seed = request.seed % _LARGEST_SEED if self.seed is None else self.seed
        # The body is an object that is not empty.
        return b'%b,"seed":%d}' % (self._face.encode(request)[:-1], seed)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer; the first one waits until the model is loaded, too.

        Raises:
            ProviderError: the most specific class that fits.
        """
        try:
            served = await self._engine.served()
            face = self._face
            if face.endpoint != f"{served.address}/v1/chat/completions":
                # One for all requests: the transport keeps what it works out for an address and its headers.
                face = self._asked_at(served.address, served.token)
                object.__setattr__(self, "_face", face)
            completion = await face.complete(body, transport)
        except ProviderError as error:
            error.provider, error.model = self.name, self.model_id
            if isinstance(error, ConnectionFailedError) and (said := self._engine.last_words()):
                error.hint = f"Its process ended, and said: {said}"
            raise
        return replace(completion, model=Path(self.model_id).name, headers=None)

    def _asked_at(self, address: str, token: str) -> _Face:
        if self.extra_body and "seed" in self.extra_body:
            raise ConfigError("extra_body must not set 'seed': there is the argument `seed`.")
        return _Face(
            api_base=f"{address}/v1",
            api_key=token,
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            max_completion_tokens=self.max_completion_tokens,
            extra_body=self.extra_body,
            strict_params=self.strict_params,
            timeout=self.timeout,
            rpm_limit=self.rpm_limit,
            tpm_limit=self.tpm_limit,
            rpd_limit=self.rpd_limit,
            max_concurrency=self.max_concurrency,
        )


def _weights(model_id: str) -> tuple[Path | HubWeights, str]:
    """Where the weights are, and what they are called in the keys of calls."""
    if model_id.startswith(hub_weights.SCHEME):
        return HubWeights.at(model_id), f"llamacpp:{model_id.removeprefix(hub_weights.SCHEME)}"
    path = Path(model_id).expanduser().resolve()
    return path, f"llamacpp:{gguf.fingerprint(gguf.check(path))}"


def _check_whole(name: str, value: object, highest: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest):
        raise ConfigError(f"{name} must be a whole number from 0 to {highest}; it is {value!r}.")
