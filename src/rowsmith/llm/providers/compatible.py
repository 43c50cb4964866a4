"""Services and servers that speak OpenAI's format. What is their own stands in the table of `services`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rowsmith.llm.providers import services
from rowsmith.llm.providers.mistral_batch import MistralBatches
from rowsmith.llm.providers.openai import ChatCompletions
from rowsmith.llm.providers.openai_batch import OpenAIBatches
from rowsmith.llm.providers.services import Service


@dataclass(frozen=True)
class OpenAICompatibleProvider(ChatCompletions):
    """One model of any service or server that speaks OpenAI's chat-completions format.

    The address is looked up in `OPENAI_COMPATIBLE_BASE_URL` and the key in `OPENAI_COMPATIBLE_API_KEY` where they are
    not given; OpenAI's own key is sent to nobody else. A server on this machine or a private network needs no key.
    The arguments are those of `ChatCompletions`.
    """

    name: ClassVar[str] = services.COMPATIBLE.name
    service: ClassVar[Service] = services.COMPATIBLE

    model_id: str = field(kw_only=False)


@dataclass(frozen=True)
class OpenRouterProvider(OpenAICompatibleProvider):
    """One model by way of OpenRouter; the key is in `OPENROUTER_API_KEY`."""

    name: ClassVar[str] = services.OPENROUTER.name
    service: ClassVar[Service] = services.OPENROUTER

    model_id: str = field(default=services.OPENROUTER.model, kw_only=False)


@dataclass(frozen=True)
class MistralProvider(OpenAICompatibleProvider):
    """One model at Mistral; the key is in `MISTRAL_API_KEY`.

    Attributes:
        batch_endpoint: whether the address has Mistral's `/batch/jobs` and `/files`; None: only Mistral's own has.
    """

    name: ClassVar[str] = services.MISTRAL.name
    service: ClassVar[Service] = services.MISTRAL

    model_id: str = field(default=services.MISTRAL.model, kw_only=False)
    batch_endpoint: bool | None = field(default=None, kw_only=True, compare=False)

    @property
    def batches(self) -> MistralBatches | None:
        """The batch endpoint, where there is one."""
        base = self._batch_base(self.batch_endpoint)
        if base is None:
            return None
        return MistralBatches(base, self._headers, self._caller, self._read, self.timeout, self.model_id)


@dataclass(frozen=True)
class GroqProvider(OpenAICompatibleProvider):
    """One model at Groq; the key is in `GROQ_API_KEY`."""

    name: ClassVar[str] = services.GROQ.name
    service: ClassVar[Service] = services.GROQ

    model_id: str = field(default=services.GROQ.model, kw_only=False)


@dataclass(frozen=True)
class DeepSeekProvider(OpenAICompatibleProvider):
    """One model at DeepSeek; the key is in `DEEPSEEK_API_KEY`.

    Its models reason unless `reasoning_effort` is `none`, and while they do, `temperature` has no effect.
    """

    name: ClassVar[str] = services.DEEPSEEK.name
    service: ClassVar[Service] = services.DEEPSEEK

    model_id: str = field(default=services.DEEPSEEK.model, kw_only=False)


@dataclass(frozen=True)
class TogetherProvider(OpenAICompatibleProvider):
    """One model at Together AI; the key is in `TOGETHER_API_KEY`."""

    name: ClassVar[str] = services.TOGETHER.name
    service: ClassVar[Service] = services.TOGETHER

    model_id: str = field(default=services.TOGETHER.model, kw_only=False)


@dataclass(frozen=True)
class FireworksProvider(OpenAICompatibleProvider):
    """One model at Fireworks AI; the key is in `FIREWORKS_API_KEY`."""

    name: ClassVar[str] = services.FIREWORKS.name
    service: ClassVar[Service] = services.FIREWORKS

    model_id: str = field(default=services.FIREWORKS.model, kw_only=False)


@dataclass(frozen=True)
class XAIProvider(OpenAICompatibleProvider):
    """One model at xAI; the key is in `XAI_API_KEY`."""

    name: ClassVar[str] = services.XAI.name
    service: ClassVar[Service] = services.XAI

    model_id: str = field(default=services.XAI.model, kw_only=False)


@dataclass(frozen=True)
class NvidiaProvider(OpenAICompatibleProvider):
    """One model of NVIDIA's catalogue; the key is in `NVIDIA_API_KEY`."""

    name: ClassVar[str] = services.NVIDIA.name
    service: ClassVar[Service] = services.NVIDIA

    model_id: str = field(default=services.NVIDIA.model, kw_only=False)


@dataclass(frozen=True)
class CerebrasProvider(OpenAICompatibleProvider):
    """One model at Cerebras; the key is in `CEREBRAS_API_KEY`."""

    name: ClassVar[str] = services.CEREBRAS.name
    service: ClassVar[Service] = services.CEREBRAS

    model_id: str = field(default=services.CEREBRAS.model, kw_only=False)


@dataclass(frozen=True)
class HuggingFaceProvider(OpenAICompatibleProvider):
    """One model by way of Hugging Face's router; the key is in `HF_TOKEN`.

    The router picks who serves the model; `:groq` and the like at the end of its id say who, `:cheapest` how.
    """

    name: ClassVar[str] = services.HUGGINGFACE.name
    service: ClassVar[Service] = services.HUGGINGFACE

    model_id: str = field(default=services.HUGGINGFACE.model, kw_only=False)


@dataclass(frozen=True)
class AzureOpenAIProvider(OpenAICompatibleProvider):
    """One deployment at Azure OpenAI, through its v1 API; the key is in `AZURE_OPENAI_API_KEY`.

    Attributes:
        model_id: the deployment's name, which need not be the model's.
        api_base: the resource's address, such as `https://mine.openai.azure.com`; `/openai/v1` is added where it has no
            path. Looked up in `AZURE_OPENAI_ENDPOINT` where it is not given.
        batch_endpoint: whether the address has OpenAI's `/batches` and `/files` too; None: only Azure's own has. Azure
            answers batches by deployments of the type `Global Batch` or `Data Zone Batch` alone.
    """

    name: ClassVar[str] = services.AZURE.name
    service: ClassVar[Service] = services.AZURE

    model_id: str = field(default=services.AZURE.model, kw_only=False)
    batch_endpoint: bool | None = field(default=None, kw_only=True, compare=False)

    @property
    def batches(self) -> OpenAIBatches | None:
        """The batch endpoint, where there is one."""
        base = self._batch_base(self.batch_endpoint)
        return OpenAIBatches(base, self._headers, self._caller, self._read, self.timeout) if base else None


@dataclass(frozen=True)
class VLLMProvider(OpenAICompatibleProvider):
    """One model of a vLLM server, at `http://localhost:8000/v1` unless `VLLM_BASE_URL` says otherwise."""

    name: ClassVar[str] = services.VLLM.name
    service: ClassVar[Service] = services.VLLM


@dataclass(frozen=True)
class SGLangProvider(OpenAICompatibleProvider):
    """One model of an SGLang server, at `http://localhost:30000/v1` unless `SGLANG_BASE_URL` says otherwise."""

    name: ClassVar[str] = services.SGLANG.name
    service: ClassVar[Service] = services.SGLANG


@dataclass(frozen=True)
class LMStudioProvider(OpenAICompatibleProvider):
    """One model of LM Studio, at `http://localhost:1234/v1` unless `LMSTUDIO_BASE_URL` says otherwise."""

    name: ClassVar[str] = services.LMSTUDIO.name
    service: ClassVar[Service] = services.LMSTUDIO


@dataclass(frozen=True)
class LlamaServerProvider(OpenAICompatibleProvider):
    """The model of a llama.cpp server, at `http://localhost:8080/v1` unless `LLAMA_BASE_URL` says otherwise."""

    name: ClassVar[str] = services.LLAMA_SERVER.name
    service: ClassVar[Service] = services.LLAMA_SERVER

    model_id: str = field(default=services.LLAMA_SERVER.model, kw_only=False)
