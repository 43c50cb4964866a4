"""Which runs make first what another run is made of, as its ledger has noted them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Precursor(NamedTuple):
    """A run that makes what another's plan is made of.

    Attributes:
        output: its rows file.
        rows: how many rows it is to have in the end.
        role: what its model is used as.
    """

    output: Path
    rows: int
    role: str


def precursors_in(meta: Mapping[str, Any], output: Path) -> list[Precursor]:
    """The runs that a ledger has noted as those that come first.

    Args:
        meta: of the ledger.
        output: the rows file beside it.
    """
    noted = json.loads(meta.get("ahead", "[]"))
    folder = output.parent
    return [Precursor(Path(os.path.normpath(folder / one["output"])), one["rows"], one["role"]) for one in noted]
