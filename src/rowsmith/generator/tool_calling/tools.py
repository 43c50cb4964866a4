"""The tools that a generator's settings name, and who answers for them in a run."""

from __future__ import annotations

from collections.abc import Mapping

from rowsmith.errors import ConfigError
from rowsmith.generator.config import GeneratorConfig
from rowsmith.generator.tool_calling.kind import EXECUTOR, SIMULATOR
from rowsmith.llm.sharing import Choice
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import SchemaEntry, Toolbox


def toolbox_of(config: GeneratorConfig) -> Toolbox | None:
    """The tools of a configuration; None where its conversation type has none. No server is asked yet.

    Raises:
        ConfigError: one is none, or is to be executed and has nothing that could be.
    """
    if config.tools is None:
        return None
    toolbox = Toolbox.of(config.tools)
    if config.tool_results == "executed":
        for entry in toolbox.entries:
            if isinstance(entry, SchemaEntry):
                raise ConfigError(
                    f"the tool {entry.tool.name!r} cannot be executed: there is nothing of it but a schema. Give a "
                    "Python function or an MCP server, or write tool_results='simulated'"
                )
    return toolbox


def roles_of(config: GeneratorConfig, toolbox: Toolbox | None) -> Mapping[str, Choice]:
    """Who answers for the tools, where that is not the writer.

    Args:
        config: the configuration.
        toolbox: its tools, all of them known.

    Raises:
        ConfigError: the model that is to simulate them is none.
    """
    if toolbox is None:
        return {}
    if config.tool_results == "executed":
        runner = ToolRunner(
            toolbox,
            timeout=config.tool_timeout,
            memory_mb=config.tool_memory_mb,
            max_concurrency=config.tool_concurrency,
            env=tuple(config.tool_env),
        )
        return {EXECUTOR: runner}
    return {} if config.tool_model is None else {SIMULATOR: config.model(config.tool_model)}
