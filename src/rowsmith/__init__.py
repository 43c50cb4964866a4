"""Text datasets made with language models: exact counts, nothing lost, nothing paid for twice.

All public names are here, and each is loaded when it is first used: `import rowsmith` costs a few milliseconds.
"""

import importlib

from rowsmith.logs import show_errors_when_alone as _show_errors_when_alone

TYPE_CHECKING = False  # type checkers take it for true, whatever stands here; it saves loading `typing`
if TYPE_CHECKING:
    from rowsmith.datasets.classification import ClassificationDataset
    from rowsmith.datasets.mcq import MCQDataset
    from rowsmith.datasets.regression import RegressionDataset
    from rowsmith.errors import (
        AnswerError,
        AuthenticationError,
        BadRequestError,
        ConfigChangedError,
        ConfigError,
        ConnectionFailedError,
        LedgerError,
        MalformedReplyError,
        MissingDependencyError,
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
    )
    from rowsmith.llm.provider import Provider
    from rowsmith.llm.providers.offline import OfflineProvider
    from rowsmith.llm.providers.ollama import OllamaProvider
    from rowsmith.llm.providers.openai import OpenAIProvider
    from rowsmith.llm.values import Completion, Message, Request, Usage
    from rowsmith.logs import configure_logger
    from rowsmith.prompts.expansion import PromptExpansionConfig
    from rowsmith.recipes.classification import ClassificationDatasetConfig
    from rowsmith.recipes.mcq import MCQDatasetConfig
    from rowsmith.recipes.regression import RegressionDatasetConfig

    __version__: str

__all__ = [
    "AnswerError",
    "AuthenticationError",
    "BadRequestError",
    "ClassificationDataset",
    "ClassificationDatasetConfig",
    "Completion",
    "ConfigChangedError",
    "ConfigError",
    "ConnectionFailedError",
    "LedgerError",
    "MCQDataset",
    "MCQDatasetConfig",
    "MalformedReplyError",
    "Message",
    "MissingDependencyError",
    "ModelNotFoundError",
    "OfflineProvider",
    "OllamaProvider",
    "OpenAIProvider",
    "OutputChangedError",
    "PromptExpansionConfig",
    "Provider",
    "ProviderError",
    "ProviderTimeoutError",
    "QuotaError",
    "RateLimitError",
    "RegressionDataset",
    "RegressionDatasetConfig",
    "Request",
    "RowsmithError",
    "RunError",
    "RunLockedError",
    "ServiceError",
    "SourceError",
    "StorageError",
    "TemplateError",
    "Usage",
    "__version__",
    "configure_logger",
]

_HOMES = {
    "ClassificationDataset": "datasets.classification",
    "ClassificationDatasetConfig": "recipes.classification",
    "Completion": "llm.values",
    "MCQDataset": "datasets.mcq",
    "MCQDatasetConfig": "recipes.mcq",
    "Message": "llm.values",
    "OfflineProvider": "llm.providers.offline",
    "OllamaProvider": "llm.providers.ollama",
    "OpenAIProvider": "llm.providers.openai",
    "PromptExpansionConfig": "prompts.expansion",
    "Provider": "llm.provider",
    "RegressionDataset": "datasets.regression",
    "RegressionDatasetConfig": "recipes.regression",
    "Request": "llm.values",
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
