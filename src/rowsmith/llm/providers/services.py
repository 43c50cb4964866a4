"""The services that speak OpenAI's chat-completions format, and what each does in its own way: one value for each.

Where the facts are from: each service's own reference, read in November 2026, and what it answers where that is silent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rowsmith.llm.providers.remote import is_local
from rowsmith.llm.values import Rung

_ALL = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, or one kind of server, that speaks the format.

    Attributes:
        name: the provider's name in the registry.
        title: what people call it.
        docs: where its reference is.
        base: its address, to which `/chat/completions` is added; empty where the user has to give one.
        keys: the environment variables of the key, the first of which is named where there is none.
        bases: the environment variables of the address.
        hosts: further hosts that are its own; one that begins with a dot stands for all below it.
        model: the model that is asked where none is named; empty where there is none to name.
        own: a server that users run themselves: it needs no key on their own network, and sends no bill.
        anywhere: its provider is used for other services too, whose facts the address then tells.
        path: added to an address without any path, which its own tools take; empty to add nothing.
        bare: such an address is completed on any host, not only on the service's own.
        key_header: the header that carries the key; but for `Authorization`, without `Bearer`.
        limit: the field for the most tokens of an answer.
        rungs: the ways it has to ask for structured output.
        strict: which models promise to keep to a schema, as a pattern of their ids; the others get it as advice.
        constraints: keywords such as `maxLength` and `minItems` may stand in a schema.
        effort: where the effort of reasoning stands in the body.
        no_effort: the fields that turn reasoning off, where `effort` does not take `none`.
        drops: parameters that all its models refuse.
        tags: the text of an answer may begin with reasoning between tags, as servers write it that have no parser for
            their model. Reasoning in fields of its own needs no such fact: only the text is read.
        tells_limits: replies say in headers what is allowed and what is left.
        embeds: it has `/embeddings` too.
    """

    name: str
    title: str
    docs: str = ""
    base: str = ""
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    model: str = ""
    own: bool = False
    anywhere: bool = False
    path: str = ""
    bare: bool = False
    key_header: str = "Authorization"
    limit: str = "max_tokens"
    rungs: tuple[Rung, ...] = _ALL
    strict: str = ".*"
    constraints: bool = False
    effort: tuple[str, ...] = ("reasoning_effort",)
    no_effort: Mapping[str, Any] = field(default_factory=dict, hash=False)
    drops: tuple[str, ...] = ()
    tags: bool = False
    tells_limits: bool = False
    embeds: bool = True

    def answers_at(self, address: str) -> bool:
        """Whether an address is on a host of the service's own."""
        host = urlsplit(address).hostname or ""
        own = (urlsplit(self.base).hostname or "", *self.hosts)
        return any(host.endswith(name) if name.startswith(".") else host == name for name in own if name)

    def completed(self, address: str) -> str:
        """The address with the service's path, where it has none."""
        if self.path and not urlsplit(address).path and (self.bare or self.answers_at(address)):
            return address + self.path
        return address

    def effort_fields(self, effort: str) -> dict[str, Any]:
        """The fields of the body that ask for an effort of reasoning."""
        if effort == "none" and self.no_effort:
            return dict(self.no_effort)
        value: Any = effort
        for name in reversed(self.effort[1:]):
            value = {name: value}
        return {self.effort[0]: value}

    def promises(self, model: str) -> bool:
        """Whether a model promises to keep to a schema."""
        return re.fullmatch(self.strict, model) is not None


OPENAI = Service(
    name="openai",
    title="OpenAI",
    docs="https://platform.openai.com/docs/api-reference/chat",
    base="https://api.openai.com/v1",
    keys=("OPENAI_API_KEY",),
    bases=("OPENAI_BASE_URL",),
    hosts=(".openai.com",),
    model="gpt-5-mini",
    anywhere=True,
    # The old name is refused by the models that reason.
    limit="max_completion_tokens",
    # Fine-tuned models refuse the keywords that constrain a value.
    constraints=True,
    tells_limits=True,
)
AZURE = Service(
    name="azure",
    title="Azure OpenAI",
    docs="https://learn.microsoft.com/azure/foundry/openai/latest",
    keys=("AZURE_OPENAI_API_KEY",),
    bases=("AZURE_OPENAI_ENDPOINT",),
    hosts=(".azure.com", ".azure-api.net"),
    model="gpt-5-mini",
    path="/openai/v1",
    bare=True,
    key_header="api-key",
    limit="max_completion_tokens",
    tells_limits=True,
)
OPENROUTER = Service(
    name="openrouter",
    title="OpenRouter",
    docs="https://openrouter.ai/docs/api/reference/overview",
    base="https://openrouter.ai/api/v1",
    keys=("OPENROUTER_API_KEY",),
    bases=("OPENROUTER_BASE_URL",),
    model="openai/gpt-5-mini",
)
MISTRAL = Service(
    name="mistral",
    title="Mistral",
    docs="https://docs.mistral.ai/api",
    base="https://api.mistral.ai/v1",
    keys=("MISTRAL_API_KEY",),
    bases=("MISTRAL_BASE_URL",),
    model="mistral-small-latest",
    path="/v1",
    tells_limits=True,
)
GROQ = Service(
    name="groq",
    title="Groq",
    docs="https://console.groq.com/docs/api-reference",
    base="https://api.groq.com/openai/v1",
    keys=("GROQ_API_KEY",),
    bases=("GROQ_BASE_URL",),
    model="openai/gpt-oss-20b",
    path="/openai/v1",
    limit="max_completion_tokens",
    strict=r"openai/gpt-oss-.*",
    tags=True,
    tells_limits=True,
    embeds=False,
)
DEEPSEEK = Service(
    name="deepseek",
    title="DeepSeek",
    docs="https://api-docs.deepseek.com/api/create-chat-completion",
    base="https://api.deepseek.com",
    keys=("DEEPSEEK_API_KEY",),
    bases=("DEEPSEEK_BASE_URL",),
    model="deepseek-flash",
    rungs=(Rung.JSON, Rung.PROMPT),
    no_effort={"thinking": {"type": "disabled"}},
    embeds=False,
)
TOGETHER = Service(
    name="together",
    title="Together AI",
    docs="https://docs.together.ai/reference/chat-completions",
    base="https://api.together.xyz/v1",
    keys=("TOGETHER_API_KEY",),
    bases=("TOGETHER_BASE_URL",),
    hosts=("api.together.ai",),
    model="openai/gpt-oss-120b",
    path="/v1",
    tags=True,
    tells_limits=True,
)
FIREWORKS = Service(
    name="fireworks",
    title="Fireworks AI",
    docs="https://docs.fireworks.ai/api-reference/post-chatcompletions",
    base="https://api.fireworks.ai/inference/v1",
    keys=("FIREWORKS_API_KEY",),
    bases=("FIREWORKS_BASE_URL",),
    model="accounts/fireworks/models/gpt-oss-20b",
    path="/inference/v1",
    tags=True,
    tells_limits=True,
)
XAI = Service(
    name="xai",
    title="xAI",
    docs="https://docs.x.ai/developers/rest-api-reference/inference/chat",
    base="https://api.x.ai/v1",
    keys=("XAI_API_KEY",),
    bases=("XAI_BASE_URL",),
    model="grok-4.3",
    path="/v1",
    limit="max_completion_tokens",
    # "Model grok-4.6 does not support parameter frequencyPenalty", and so all that can still be asked.
    drops=("frequency_penalty",),
    tells_limits=True,
    embeds=False,
)
NVIDIA = Service(
    name="nvidia",
    title="NVIDIA",
    docs="https://docs.api.nvidia.com/nim/reference/llm-apis",
    base="https://integrate.api.nvidia.com/v1",
    keys=("NVIDIA_API_KEY",),
    bases=("NVIDIA_BASE_URL",),
    model="nvidia/nemotron-3-ultra-550b-a55b",
    path="/v1",
    tags=True,
)
CEREBRAS = Service(
    name="cerebras",
    title="Cerebras",
    docs="https://inference-docs.cerebras.ai/api-reference/chat-completions",
    base="https://api.cerebras.ai/v1",
    keys=("CEREBRAS_API_KEY",),
    bases=("CEREBRAS_BASE_URL",),
    model="gpt-oss-120b",
    path="/v1",
    limit="max_completion_tokens",
    tags=True,
    tells_limits=True,
    embeds=False,
)
HUGGINGFACE = Service(
    name="huggingface",
    title="Hugging Face Inference Providers",
    docs="https://huggingface.co/docs/inference-providers/tasks/chat-completion",
    base="https://router.huggingface.co/v1",
    keys=("HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN"),
    bases=("HF_BASE_URL",),
    model="openai/gpt-oss-120b",
    path="/v1",
    tags=True,
    embeds=False,
)
VLLM = Service(
    name="vllm",
    title="vLLM",
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server/",
    base="http://localhost:8000/v1",
    keys=("VLLM_API_KEY",),
    bases=("VLLM_BASE_URL", "VLLM_API_BASE"),
    own=True,
    path="/v1",
    bare=True,
    constraints=True,
    tags=True,
)
SGLANG = Service(
    name="sglang",
    title="SGLang",
    docs="https://docs.sglang.io/docs/basic_usage/openai_api_completions",
    base="http://localhost:30000/v1",
    keys=("SGLANG_API_KEY",),
    bases=("SGLANG_BASE_URL", "SGLANG_API_BASE"),
    own=True,
    path="/v1",
    bare=True,
    constraints=True,
    tags=True,
)
LMSTUDIO = Service(
    name="lmstudio",
    title="LM Studio",
    docs="https://lmstudio.ai/docs/developer/openai-compat",
    base="http://localhost:1234/v1",
    keys=("LM_API_TOKEN", "LM_STUDIO_API_KEY"),
    bases=("LMSTUDIO_BASE_URL", "LM_STUDIO_API_BASE"),
    own=True,
    path="/v1",
    bare=True,
    # "'response_format.type' must be 'json_schema' or 'text'"
    rungs=(Rung.SCHEMA, Rung.PROMPT),
    constraints=True,
    tags=True,
)
LLAMA_SERVER = Service(
    name="llama_server",
    title="llama.cpp server",
    docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    base="http://localhost:8080/v1",
    keys=("LLAMA_API_KEY",),
    bases=("LLAMA_BASE_URL", "LLAMA_SERVER_API_BASE"),
    # A server with one model answers to any name.
    model="default",
    own=True,
    path="/v1",
    bare=True,
    constraints=True,
    effort=("chat_template_kwargs", "reasoning_effort"),
    tags=True,
)
COMPATIBLE = Service(
    name="openai_compatible",
    title="any server that speaks OpenAI's format",
    keys=("OPENAI_COMPATIBLE_API_KEY",),
    bases=("OPENAI_COMPATIBLE_BASE_URL",),
    anywhere=True,
    tags=True,
)

SERVICES = (
    OPENAI,
    AZURE,
    CEREBRAS,
    DEEPSEEK,
    FIREWORKS,
    GROQ,
    HUGGINGFACE,
    LLAMA_SERVER,
    LMSTUDIO,
    MISTRAL,
    NVIDIA,
    COMPATIBLE,
    OPENROUTER,
    SGLANG,
    TOGETHER,
    VLLM,
    XAI,
)
"""All of them: OpenAI, then by name."""

_OF_ONES_OWN = Service(name="", title="a server of one's own", constraints=True, tags=True)


def at(address: str) -> Service:
    """What is to be expected of an address: the service whose it is, a server of one's own, or one nobody knows."""
    for service in SERVICES:
        if not service.own and service.answers_at(address):
            return service
    return _OF_ONES_OWN if is_local(address) else COMPATIBLE
