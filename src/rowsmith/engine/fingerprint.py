"""Whether an output belongs to a configuration: the same, a longer one, or another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowsmith.engine.models import Models, describe
from rowsmith.engine.recipe import Recipe
from rowsmith.errors import ConfigChangedError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a run's answers and rows depend on, field by field.

    Attributes:
        fixed: what may not change between two starts on one output.
        grows: what may be added to: the axes' values, the models, the counts.
        checks: what rows are checked by; a change makes the stored answers be read anew.
        plan: the plan's own fingerprint.
    """

    fixed: Mapping[str, Any]
    grows: Mapping[str, Any]
    checks: Mapping[str, Any]
    plan: str

    def to_json(self) -> str:
        """For the ledger."""
        return json.dumps(
            {"fixed": self.fixed, "grows": self.grows, "checks": self.checks, "plan": self.plan},
            sort_keys=True,
            ensure_ascii=False,
            default=str,
        )

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """From the ledger."""
        return cls(**json.loads(text))


def fingerprint(recipe: Recipe, models: Models, plan: bytes) -> Fingerprint:
    """The fingerprint of a run about to start."""
    fields = dict(recipe.describe())
    checks = {"version": recipe.version} | {name: fields.pop(name) for name in recipe.check_fields if name in fields}
    grows: dict[str, Any] = {name: fields.pop(name) for name in recipe.growing_fields if name in fields}
    grows["llms"] = [describe(provider) for provider in models.llms]
    roles = {role: describe(provider) for role, provider in sorted(models.roles.items())}
    fixed = {"dataset": recipe.name, **fields, "roles": roles, "spread": models.dealt}
    made = Fingerprint(fixed, grows, checks, plan.hex())
    return Fingerprint.from_json(made.to_json())


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that differ, sorted; a list of models or a nested field is named by its inner name."""
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def refuse(output: str, fields: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> ConfigChangedError:
    """The error for an output that was made by another configuration."""
    lines = [f"  {name}: was {_short(old.get(name))}, is {_short(new.get(name))}" for name in fields]
    return ConfigChangedError(
        f"{output} was made by another configuration. Changed:\n" + "\n".join(lines) + "\n"
        "Adding (classes, languages, documents, models, a higher count) continues a run; these changes do not. "
        "Either write to another output, or start this one anew with fresh=True (--fresh), which deletes what it has.",
        fields=fields,
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:117]}..."
