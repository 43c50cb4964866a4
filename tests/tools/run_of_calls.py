"""A run whose cells call tools and do nothing else: `python -m tools.run_of_calls <output> <notes> <cells>`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.plan import Cell, Rows
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.engine.sync import run_sync
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.structured.text_output import TextOutput
from rowsmith.quality.gates import Gate, Row
from rowsmith.tools.result import ToolResult, tool_request
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import Toolbox

from . import functions


class Calls:
    """One cell is one number, and one row what a tool made of it."""

    name: ClassVar[str] = "calls"
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("writer",)
    growing_fields: ClassVar[frozenset[str]] = frozenset()
    check_fields: ClassVar[frozenset[str]] = frozenset()
    text_fields: tuple[str, ...] = ("text",)
    rows = Rows(per_cell=1)
    sample = None
    seed = 0
    gates: Sequence[Gate] = ()
    unique = False
    near_duplicates = None
    embeddings = None
    max_rounds = 0
    growing_values: ClassVar[Mapping[str, str]] = {}

    def __init__(self, tool: str, fixed: Mapping[str, Any], cells: int) -> None:
        self._tool = tool
        self._fixed = fixed
        self.axes = [Axis("number", list(range(cells)))]

    def describe(self) -> Mapping[str, Any]:
        return {"tool": self._tool, "cells": len(self.axes[0])}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {}

    async def make(self, cell: Cell, context: Context) -> None:
        async def row(draft: Draft[None]) -> Row:
            number = cell.values["number"]
            asked = Prompt(tool_request(self._tool, {**self._fixed, "number": number}), {})
            result = ToolResult.of(await draft.ask("tools", asked, TextOutput()))
            return {"text": f"{number}: {result.text}", "kind": result.kind}

        await context.compose(row)


def execute(output: Path, tool: str, fixed: Mapping[str, Any], cells: int, **settings: Any) -> Report:
    """Carry a run out, or go on with it."""
    toolbox = Toolbox.of([functions.counts, functions.sometimes, functions.starts_another])
    models = Models([OfflineProvider()], {"tools": ToolRunner(toolbox, **settings)})
    return run_sync(Run(Calls(tool, fixed, cells), models, output, Options()).execute)


def main() -> None:
    output, note, cells = sys.argv[1:]
    execute(Path(output), "counts", {"note": note}, int(cells))


if __name__ == "__main__":
    main()
