"""Text datasets made with language models: exact counts, nothing lost, nothing paid for twice.

All public names are here, and each is loaded when it is first used: `import rowsmith` costs a few milliseconds.
"""

import importlib

from rowsmith.logs import show_errors_when_alone as _show_errors_when_alone

TYPE_CHECKING = False  # type checkers take it for true, whatever stands here; it saves loading `typing`
if TYPE_CHECKING:
    from rowsmith.data.dataset import Dataset
    from rowsmith.datasets.classification import ClassificationDataset
    from rowsmith.datasets.generator import GeneratorDataset
    from rowsmith.datasets.generic import GenericPipelineDataset
    from rowsmith.datasets.labels import LabelsDataset
    from rowsmith.datasets.mcq import MCQDataset
    from rowsmith.datasets.preference import PreferenceDataset
    from rowsmith.datasets.qa import QADataset
    from rowsmith.datasets.raw import RawDataset
    from rowsmith.datasets.regression import RegressionDataset
    from rowsmith.datasets.task import TaskDataset
    from rowsmith.datasets.token_labels import TokenLabelsDataset
    from rowsmith.datasets.ultrachat import UltrachatDataset
    from rowsmith.engine.events import RunEvent
    from rowsmith.engine.tracing import OpenTelemetry
    from rowsmith.errors import (
        AnswerError,
        AuthenticationError,
        BadRequestError,
        ConfigChangedError,
        ConfigError,
        ConnectionFailedError,
        DataSetGeneratorError,
        HubError,
        LedgerError,
        MalformedReplyError,
        MissingDependencyError,
        ModelError,
        ModelNotFoundError,
        OutputChangedError,
        ProviderError,
        ProviderTimeoutError,
        QuotaError,
        RateLimitError,
        RowsmithError,
        RunError,
        RunLockedError,
        ServiceError,
        SourceError,
        StorageError,
        TemplateError,
        ValidationError,
    )
    from rowsmith.generator.dataset_config import GeneratorDatasetConfig
    from rowsmith.generator.generator import DataSetGenerator
    from rowsmith.llm.provider import Provider
    from rowsmith.llm.providers.anthropic import AnthropicProvider
    from rowsmith.llm.providers.compatible import MistralProvider, OpenAICompatibleProvider, OpenRouterProvider
    from rowsmith.llm.providers.gemini import GeminiProvider
    from rowsmith.llm.providers.litellm import LiteLLMProvider
    from rowsmith.llm.providers.llamacpp import LlamaCppProvider
    from rowsmith.llm.providers.offline import OfflineProvider
    from rowsmith.llm.providers.ollama import OllamaProvider
    from rowsmith.llm.providers.openai import OpenAIProvider
    from rowsmith.llm.sharing import Fallback, Spread
    from rowsmith.llm.values import Completion, Message, Request, Usage
    from rowsmith.logs import configure_logger
    from rowsmith.prompts.expansion import PromptExpansionConfig
    from rowsmith.recipes.classification import ClassificationDatasetConfig
    from rowsmith.recipes.generic import GenericPipelineDatasetConfig
    from rowsmith.recipes.labels import LabelsDatasetConfig
    from rowsmith.recipes.mcq import MCQDatasetConfig
    from rowsmith.recipes.preference import PreferenceDatasetConfig
    from rowsmith.recipes.qa_config import QADatasetConfig
    from rowsmith.recipes.raw import RawDatasetConfig
    from rowsmith.recipes.regression import RegressionDatasetConfig
    from rowsmith.recipes.task import Task
    from rowsmith.recipes.task_axes import Axis
    from rowsmith.recipes.token_labels import TokenLabelsDatasetConfig
    from rowsmith.recipes.ultrachat import UltrachatDatasetConfig
    from rowsmith.tools.mcp_server import MCPServer
    from rowsmith.tools.tool import Tool
    from rowsmith.topics.graph import Graph
    from rowsmith.topics.model import TopicModel
    from rowsmith.topics.tree import Tree

    __version__: str

__all__ = [
    "AnswerError",
    "AnthropicProvider",
    "AuthenticationError",
    "Axis",
    "BadRequestError",
    "ClassificationDataset",
    "ClassificationDatasetConfig",
    "Completion",
    "ConfigChangedError",
    "ConfigError",
    "ConnectionFailedError",
    "DataSetGenerator",
    "DataSetGeneratorError",
    "Dataset",
    "Fallback",
    "GeminiProvider",
    "GeneratorDataset",
    "GeneratorDatasetConfig",
    "GenericPipelineDataset",
    "GenericPipelineDatasetConfig",
    "Graph",
    "HubError",
    "LabelsDataset",
    "LabelsDatasetConfig",
    "LedgerError",
    "LiteLLMProvider",
    "LlamaCppProvider",
    "MCPServer",
    "MCQDataset",
    "MCQDatasetConfig",
    "MalformedReplyError",
    "Message",
    "MissingDependencyError",
    "MistralProvider",
    "ModelError",
    "ModelNotFoundError",
    "OfflineProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "OpenTelemetry",
    "OutputChangedError",
    "PreferenceDataset",
    "PreferenceDatasetConfig",
    "PromptExpansionConfig",
    "Provider",
    "ProviderError",
    "ProviderTimeoutError",
    "QADataset",
    "QADatasetConfig",
    "QuotaError",
    "RateLimitError",
    "RawDataset",
    "RawDatasetConfig",
    "RegressionDataset",
    "RegressionDatasetConfig",
    "Request",
    "RowsmithError",
    "RunError",
    "RunEvent",
    "RunLockedError",
    "ServiceError",
    "SourceError",
    "Spread",
    "StorageError",
    "Task",
    "TaskDataset",
    "TemplateError",
    "TokenLabelsDataset",
    "TokenLabelsDatasetConfig",
    "Tool",
    "TopicModel",
    "Tree",
    "UltrachatDataset",
    "UltrachatDatasetConfig",
    "Usage",
    "ValidationError",
    "__version__",
    "configure_logger",
]

_HOMES = {
    "AnthropicProvider": "llm.providers.anthropic",
    "Axis": "recipes.task_axes",
    "ClassificationDataset": "datasets.classification",
    "ClassificationDatasetConfig": "recipes.classification",
    "Completion": "llm.values",
    "DataSetGenerator": "generator.generator",
    "Dataset": "data.dataset",
    "Fallback": "llm.sharing",
    "GeminiProvider": "llm.providers.gemini",
    "GenericPipelineDataset": "datasets.generic",
    "GenericPipelineDatasetConfig": "recipes.generic",
    "GeneratorDataset": "datasets.generator",
    "GeneratorDatasetConfig": "generator.dataset_config",
    "Graph": "topics.graph",
    "LabelsDataset": "datasets.labels",
    "LabelsDatasetConfig": "recipes.labels",
    "LiteLLMProvider": "llm.providers.litellm",
    "LlamaCppProvider": "llm.providers.llamacpp",
    "MCPServer": "tools.mcp_server",
    "MCQDataset": "datasets.mcq",
    "MCQDatasetConfig": "recipes.mcq",
    "Message": "llm.values",
    "MistralProvider": "llm.providers.compatible",
    "OfflineProvider": "llm.providers.offline",
    "OllamaProvider": "llm.providers.ollama",
    "OpenAICompatibleProvider": "llm.providers.compatible",
    "OpenAIProvider": "llm.providers.openai",
    "OpenRouterProvider": "llm.providers.compatible",
    "OpenTelemetry": "engine.tracing",
    "PreferenceDataset": "datasets.preference",
    "PreferenceDatasetConfig": "recipes.preference",
    "PromptExpansionConfig": "prompts.expansion",
    "Provider": "llm.provider",
    "QADataset": "datasets.qa",
    "QADatasetConfig": "recipes.qa_config",
    "RawDataset": "datasets.raw",
    "RawDatasetConfig": "recipes.raw",
    "RegressionDataset": "datasets.regression",
    "RegressionDatasetConfig": "recipes.regression",
    "Request": "llm.values",
    "RunEvent": "engine.events",
    "Spread": "llm.sharing",
    "Task": "recipes.task",
    "TaskDataset": "datasets.task",
    "TokenLabelsDataset": "datasets.token_labels",
    "TokenLabelsDatasetConfig": "recipes.token_labels",
    "Tool": "tools.tool",
    "TopicModel": "topics.model",
    "Tree": "topics.tree",
    "UltrachatDataset": "datasets.ultrachat",
    "UltrachatDatasetConfig": "recipes.ultrachat",
    "Usage": "llm.values",
    "configure_logger": "logs",
}
"""The module of each name; the errors are all in `errors`."""


def __dir__() -> list[str]:
    return list(__all__)


if not TYPE_CHECKING:  # a checker that saw it would take any misspelt name for a real one

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'rowsmith' has no attribute {name!r}")
        if name == "__version__":
            from importlib.metadata import version

            value = version("rowsmith")
        else:
            value = getattr(importlib.import_module(f"rowsmith.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


_show_errors_when_alone()
