"""Whether an output belongs to a configuration: the same, a longer one, or another."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rowsmith.engine.models import Models, describe
from rowsmith.engine.plan import Plan
from rowsmith.engine.recipe import Recipe
from rowsmith.errors import ConfigChangedError, LedgerError
from rowsmith.llm.sharing import Choice, Fallback, Spread, first
from rowsmith.llm.structured.output import ListOutput, Output


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a run's answers and rows depend on, field by field.

    Attributes:
        fixed: what may not change between two starts on one output.
        grows: what may be added to: the axes' values, the models, the counts.
        checks: what rows are checked by; a change makes the stored answers be read anew.
        plan: the plan's own fingerprint.
        axes: that of each axis by name, to say which of them differs.
        values: of placeholders that change when the configuration grows.
        rounds: how often rows that lack are asked for again; more of them give short cells another chance.
    """

    fixed: Mapping[str, Any]
    grows: Mapping[str, Any]
    checks: Mapping[str, Any]
    plan: str
    axes: Mapping[str, str]
    values: Mapping[str, str]
    rounds: int

    def to_json(self) -> str:
        """For the ledger."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, default=str)

    @property
    def foremost(self) -> list[Mapping[str, Any]]:
        """The settings of the models that are asked first: the cells bear their identities."""
        return [_members(outline)[0] for outline in self.grows["llms"]]

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """From the ledger.

        Raises:
            LedgerError: the text is something else.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as exc:
            raise LedgerError(f"the ledger's note of its configuration cannot be read: {text[:80]!r}") from exc


def fingerprint(recipe: Recipe, models: Models, plan: Plan) -> Fingerprint:
    """The fingerprint of a run about to start."""
    # What rows are compared by is described with the checks.
    models = models.writing
    fields = dict(recipe.describe())
    checks = {"version": recipe.version} | {name: fields.pop(name) for name in recipe.check_fields if name in fields}
    grows: dict[str, Any] = {name: fields.pop(name) for name in recipe.growing_fields if name in fields}
    grows["llms"] = [_outline(choice) for choice in models.llms]
    grows["roles"] = {role: _outline(choice) for role, choice in sorted(models.roles.items())}
    roles = {role: describe(first(choice)) for role, choice in sorted(models.roles.items())}
    fixed = {"dataset": recipe.name, **fields, "roles": roles, "schema": _schemas(recipe)}
    axes = {axis.name: axis.digest().hex() for axis in plan.axes}
    made = Fingerprint(fixed, grows, checks, plan.fingerprint().hex(), axes, recipe.growing_values, recipe.max_rounds)
    return Fingerprint.from_json(made.to_json())


def _outline(choice: Choice) -> dict[str, Any]:
    """What decides a choice's answers, as JSON: a provider's settings, or a wrapper's members."""
    if isinstance(choice, Fallback):
        return {"fallback": [_outline(member) for member in choice.members], "on_refusal": choice.on_refusal}
    if isinstance(choice, Spread):
        return {"spread": [_outline(member) for member in choice.members], "parts": list(choice.parts)}
    return describe(choice)


def _members(outline: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The settings of every model in an outline, that of the first model first."""
    inner = outline.get("fallback") or outline.get("spread")
    return [found for member in inner for found in _members(member)] if inner else [outline]


def _schemas(recipe: Recipe) -> dict[str, Any]:
    """The schemas that a recipe's answers must fit, by name: of the outputs that it or its class holds."""
    held = [*vars(recipe).values(), *(value for kind in type(recipe).__mro__ for value in vars(kind).values())]
    schemas = [value.schema for value in held if isinstance(value, Output | ListOutput)]
    return {schema.name: schema.json for schema in schemas}


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that differ, sorted; a list of models or a nested field is named by its inner name."""
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def must_go_on(output: str, before: Fingerprint | None, now: Fingerprint, answered: Collection[str] = ()) -> None:
    """Refuse a run whose output was made by another configuration, as far as the fingerprints tell.

    Args:
        output: the rows file, for the message.
        before: of the run that made it; None if there was none.
        now: of the run that is to go on.
        answered: the names of the models that have answered.

    Raises:
        ConfigChangedError: a field that may not change has changed, or a model that has answered for another, or had
            prompts dealt to it, is gone: its answers could not be told from others any more.
    """
    if before is None:
        return
    if fields := changed(before.fixed, now.fixed):
        raise refuse(output, fields, before.fixed, now.fixed)
    if fields := tuple(name for name in ("llms", "roles") if _lost(before, now, name) & set(answered)):
        raise refuse(output, fields, before.grows, now.grows)


def _lost(before: Fingerprint, now: Fingerprint, field: str) -> set[str]:
    """The names of the models that are gone from a wrapper, or from around a model that stands alone now."""
    kept = {_whose(key, outline): _members(outline) for key, outline in _entries(now.grows.get(field, []))}
    return {
        member["model"]
        for key, outline in _entries(before.grows.get(field, []))
        for member in _members(outline)
        if member not in kept.get(_whose(key, outline), [member])
    }


def _entries(listed: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return list(listed.items()) if isinstance(listed, Mapping) else [("", outline) for outline in listed]


def _whose(role: str, outline: Mapping[str, Any]) -> str:
    """What two lists of models know an entry by: its role, or its first model."""
    return role or json.dumps(_members(outline)[0], sort_keys=True)


def refuse(output: str, fields: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> ConfigChangedError:
    """The error for an output that was made by another configuration."""
    lines = [
        f"  {name}: was {_short(old[name])}, is {_short(new[name])}"
        if name in old and name in new
        else f"  {name}: some of what it had has changed or is gone"
        for name in fields
    ]
    return ConfigChangedError(
        f"{output} was made by another configuration. Changed:\n" + "\n".join(lines) + "\n"
        "Adding (classes, languages, documents, models, a higher count) continues a run; these changes do not. "
        "Either write to another output, or start this one anew with fresh=True (--fresh), which deletes what it has.",
        fields=fields,
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:117]}..."
