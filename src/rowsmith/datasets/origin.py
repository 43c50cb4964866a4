"""How the rows of a run were made, for the card of a dataset: read from the run's ledger, without writing.

A card may be read by everybody. So no key is in it, nothing that looks like one, and no path of this machine.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from rowsmith.config import without_secrets
from rowsmith.data.card import Origin, Use
from rowsmith.datasets.loading import KINDS, kind_of
from rowsmith.datasets.yaml_paths import beside, with_servers
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.precursors import precursors_in
from rowsmith.engine.report import Spend
from rowsmith.engine.statistics import spent_in
from rowsmith.errors import ConfigError
from rowsmith.recipes.base import KindConfig

_NOT_SETTINGS = frozenset({"dataset", "roles", "schema", "version", "models"})
"""What a fingerprint has besides the configuration's fields."""
_SYSTEM = ("system_prompt", "generation_system_prompt", "dataset_system_prompt")
_ADDRESS = re.compile(r"(?<=://)[^/\s@]*@|\?[^\s]*$")
"""In an address: who logs in, and what is asked behind the path."""


def origin_of(output: str | Path) -> Origin | None:
    """How the rows in a file were made; None where no run is beside it.

    Args:
        output: the rows file.

    Raises:
        LedgerError: the ledger is damaged, foreign or newer.
    """
    paths = RunPaths.of(output)
    if not paths.ledger.exists():
        return None
    with reading(paths.ledger) as store:
        meta = store.meta()
        spend = spent_in(store)
    if not meta.get("fingerprint"):
        return None
    settings = beside(_settings(json.loads(meta["fingerprint"])), str(paths.rows.parent))
    run = _run(json.loads(meta["source"]), paths.rows.name) if meta.get("source") else None
    kind = str(settings.pop("dataset"))
    config = _config(kind, run or settings, paths)
    return Origin(
        kind=kind,
        expected=meta.get("expected"),
        models=[
            *_uses_before(meta, paths),
            *(_use(model, role, part) for (model, role), part in sorted(spend.items())),
        ],
        prompts=[] if config is None else _public(list(_prompts(config, kind, {role for _, role in spend}))),
        rejected=dict(_rejected(paths.rejected).most_common()),
        configuration=None if run is None else _yaml(run),
        settings=_public(settings),
    )


def _uses_before(meta: Mapping[str, Any], paths: RunPaths) -> Iterator[Use]:
    """The models of the runs that made first what this one is made of."""
    for precursor in precursors_in(meta, paths.rows):
        before = RunPaths.of(precursor.output)
        if not before.ledger.exists():
            continue
        with reading(before.ledger) as store:
            spend = spent_in(store)
        yield from (_use(model, precursor.role, part) for (model, _), part in sorted(spend.items()))


def _use(model: str, role: str, part: Spend) -> Use:
    offline = model.partition("/")[0] == "offline"
    cost = None if part.unpriced and not offline else part.cost
    return Use(
        model=model,
        role=role,
        calls=part.calls,
        input_tokens=part.input_tokens,
        output_tokens=part.output_tokens,
        cost=cost,
    )


def _rejected(path: Path) -> Counter[str]:
    reasons: Counter[str] = Counter()
    if path.exists():
        with path.open("rb") as file:
            reasons.update(str(orjson.loads(line).get("gate", "")) for line in file if line.endswith(b"\n"))
    return reasons


# -- the configuration ------------------------------------------------------------------------------------------------


def _run(source: Mapping[str, Any], output: str) -> dict[str, Any]:
    """The run's YAML file, as it would stand in a folder with what it names."""
    run = beside(source["run"], str(Path(source["file"]).parent))
    run["output_file"] = output
    for name in ("llms", "roles", "gates", *kind_of(run["dataset"], "")[0].models_in):
        if name in run:
            run[name] = _without_logins(run[name])
    return with_servers(run, lambda server, _: _without_logins(server))


def _without_logins(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_logins(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_logins(part) for part in value]
    return _ADDRESS.sub("", value) if isinstance(value, str) and "://" in value else value


def _settings(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that was given in Python, as far as its run depends on them."""
    found: dict[str, Any] = {"dataset": fingerprint["fixed"].get("dataset", "")}
    for part in ("fixed", "grows", "checks"):
        found |= {name: value for name, value in fingerprint[part].items() if name not in _NOT_SETTINGS}
    found["llms"] = [_without_endpoint(outline) for outline in fingerprint["grows"].get("llms", [])]
    if roles := fingerprint["grows"].get("roles"):
        found["roles"] = {role: _without_endpoint(outline) for role, outline in roles.items()}
    return {name: value for name, value in found.items() if value is not None}


def _without_endpoint(outline: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in outline.items() if name not in ("endpoint", "provider", "model_id")}
    for wrapper in ("fallback", "spread"):
        if isinstance(made.get(wrapper), list):
            made[wrapper] = [_without_endpoint(member) for member in made[wrapper]]
    return made


def _config(kind: str, fields: Mapping[str, Any], paths: RunPaths) -> KindConfig | None:
    """The configuration itself; None where it cannot be made any more, as of a function in Python."""
    if kind not in KINDS:
        return None
    config, _ = kind_of(kind, str(paths.rows))
    known = {*config.model_fields, *config.other_names}
    given = {name: value for name, value in fields.items() if name in known}
    try:
        return config(**{**given, "output_file": str(paths.rows)})
    except ConfigError:
        return None


def _prompts(config: KindConfig, kind: str, asked: set[str]) -> Iterator[str]:
    """The templates that were used: those of rows, then those of further steps."""
    yield from (template.text for template in config.templates)
    recipe = kind_of(kind, "")[1].recipe
    defaults: Mapping[str, str] = getattr(config, "default_steps", {})
    for name in type(config).model_fields:
        role = name.removesuffix("_prompt")
        if role == name or name in _SYSTEM or (role in recipe.roles and role not in asked):
            continue
        text = getattr(config, name) or defaults.get(name) or getattr(config, f"default_{name}", None)
        if not text and role in asked:
            text = getattr(config, f"default_{role}", None)
        if isinstance(text, str) and text:
            yield text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are read, below a `|`."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(fields: Mapping[str, Any]) -> str:
    return yaml.dump(_public(fields), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _public(value: Any) -> Any:
    """The value without what looks like a key, in whatever text of it."""
    if isinstance(value, Mapping):
        return {name: _public(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_public(part) for part in value]
    return without_secrets(value) if isinstance(value, str) else value
