"""`rowsmith schema`: what a run's YAML file may hold, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from rowsmith.cli.options import Debug


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="One kind of dataset, as in classification; all if not given."),
    ] = None,
    debug: Debug = False,
) -> int:
    """Print the JSON Schema (draft 2020-12) of the YAML files that `rowsmith run` takes.

    Editors complete and check files by it: save it as rowsmith.schema.json and name that in the editor's settings.
    """
    del debug  # read by `guarded`

    import json

    from rowsmith.cli.terminal import show
    from rowsmith.datasets.schema import schema as schema_of

    show(json.dumps(schema_of(kind), indent=2, ensure_ascii=False))
    return 0
