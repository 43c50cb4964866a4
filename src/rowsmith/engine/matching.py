"""Whether a run may go on with what its output has, and the ledger brought to its configuration."""

from __future__ import annotations

from typing import Any

import orjson

from rowsmith.engine.fingerprint import Fingerprint, changed, fingerprint, must_go_on, refuse
from rowsmith.engine.ledger import CellStatus, Ledger
from rowsmith.engine.ledger.extend import NotAnExtensionError
from rowsmith.engine.models import Models
from rowsmith.engine.plan import Plan
from rowsmith.engine.recipe import Recipe


def match(ledger: Ledger, recipe: Recipe, models: Models, plan: Plan, **meta: Any) -> None:
    """Make sure that the output belongs to this configuration, and bring the ledger to its plan: all of it or nothing.

    Args:
        ledger: of the output.
        recipe: what is to be made.
        models: who is asked.
        plan: what there is to do.
        meta: further facts of the run itself.

    Raises:
        ConfigChangedError: the output was made by another configuration, which is not a part of this one.
    """
    new = fingerprint(recipe, models, plan)
    meta = {"fingerprint": new.to_json(), "state": "running", **meta}
    if "fingerprint" not in ledger.meta:
        ledger.adopt(None, (), **meta)
        return
    old, output = Fingerprint.from_json(ledger.meta["fingerprint"]), str(ledger.paths.rows)
    must_go_on(output, old, new, {model for _, model, *_ in ledger.store.spend()})
    if old.values != new.values:
        meta["earlier_values"] = orjson.dumps([*earlier_values(ledger), old.values]).decode()
    another_chance = (CellStatus.SHORT,) if new.rounds > old.rounds else ()
    try:
        ledger.adopt(
            plan if old.plan != new.plan else None,
            tuple(CellStatus) if old.checks != new.checks else another_chance,
            **meta,
        )
    except NotAnExtensionError as exc:
        fields = changed(old.grows, new.grows) or changed(old.axes, new.axes)
        raise refuse(output, fields, old.grows, new.grows) from exc


def earlier_values(ledger: Ledger) -> list[dict[str, str]]:
    """What the recipe's growing values were, each time before the configuration grew."""
    found: list[dict[str, str]] = orjson.loads(ledger.meta.get("earlier_values", "[]"))
    return found
