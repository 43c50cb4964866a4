"""A run from one YAML file: the dataset, its models, and how it is carried out.

The file has `dataset:` with the kind, the fields of that kind's configuration, and `llms`, `roles`, `spread`,
`max_concurrency`, `max_cost`, `max_requests` and `max_tokens` as `generate` takes them; `trace: true` traces the run.
Relative paths in it start at the file's own folder, so that the same file is the same run wherever the command is
given; paths in overrides start at the current folder.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rowsmith.config import shown, without_secrets
from rowsmith.datasets.base import GeneratedDataset, How
from rowsmith.datasets.naming import Llm
from rowsmith.datasets.yaml_paths import absolute, from_anywhere, start_at, with_servers
from rowsmith.datasets.yaml_tree import Fields, Items, Scalar, Tree, fitted_fields, plain, read
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.recipes.base import KindConfig

KINDS: Mapping[str, str] = {
    "classification": "classification.ClassificationDataset",
    "generator": "generator.GeneratorDataset",
    "generic": "generic.GenericPipelineDataset",
    "labels": "labels.LabelsDataset",
    "mcq": "mcq.MCQDataset",
    "preference": "preference.PreferenceDataset",
    "qa": "qa.QADataset",
    "raw": "raw.RawDataset",
    "regression": "regression.RegressionDataset",
    "task": "task.TaskDataset",
    "token_labels": "token_labels.TokenLabelsDataset",
    "ultrachat": "ultrachat.UltrachatDataset",
}
"""Name in YAML → module and class in `rowsmith.datasets`; the configuration of the same name is where its recipe is."""

_HOW: Mapping[str, tuple[type, str]] = {
    "max_concurrency": (int, "a number of requests"),
    "max_cost": (float, "a number of US dollars"),
    "max_requests": (int, "a number of requests"),
    "max_tokens": (int, "a number of tokens"),
    "batch": (bool, "true or false"),
}
"""Keys of how a run is carried out: their types, and the types in words."""
_RUN_KEYS = ("dataset", "llms", "roles", "spread", "trace", *_HOW)
_COMMAND_LINE = {"fresh": "--fresh", "output": "--output or `output_file`", "llm": "`llms`"}
_SECRET = re.compile(
    r"(api|access|auth)[_-]?(key|token)|authorization|password|secret|bearer|^(key|token|extra_headers)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What is said beside the file; each wins over what stands in it.

    Attributes:
        settings: `key=value` texts: dotted keys (`classes.0.name`), YAML values.
        llms: models instead of all that the file names, those of roles too; one that begins with `{` is a YAML mapping.
        output: the rows file.
        trace: make the run's traces.
        how: how the run is carried out; None and False leave it to the file.
    """

    settings: Sequence[str] = ()
    llms: Sequence[str] = ()
    output: Path | None = None
    trace: bool = False
    how: How = field(default_factory=How)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A dataset with all that `generate` is to be given.

    Attributes:
        dataset: what to make.
        llms: the models; empty where none was named.
        how: how the run is carried out, with `source`: what this was made of, without keys.
            `stored_job` makes the same of it.
        trace: the run's traces are to be made.
        file: the YAML file, for messages.
    """

    dataset: GeneratedDataset[Any]
    llms: Sequence[Llm] = field(default=(), repr=False)
    how: How
    trace: bool = False
    file: str = ""

    @property
    def names_models(self) -> bool:
        """Whether any model was named."""
        return bool(self.llms or self.how.get("roles"))

    @property
    def withheld(self) -> Sequence[str]:
        """The names of the settings that `source` leaves out because they are, or may hold, keys."""
        names: Sequence[str] = (self.how.get("source") or {}).get("withheld", ())
        return names


def load_job(path: str | Path, overrides: Overrides | None = None) -> Job:
    """The run that a YAML file describes. No model is asked and no key is needed.

    Args:
        path: the file.
        overrides: what is said beside it.

    Raises:
        ConfigError: the file cannot be read or says something that cannot be carried out.
    """
    overrides = overrides or Overrides()
    file = Path(path)
    tree = read(_text(file), str(file))
    if isinstance(tree, Scalar) and not tree.text:
        raise ConfigError(f"{file} is empty: begin with `dataset: classification`")
    if not isinstance(tree, Fields):
        raise ConfigError(f"{tree.place}: a run is described by a mapping, beginning with `dataset: classification`")
    start_at(file.parent, tree)
    said = {_set(tree, setting) for setting in overrides.settings}
    fields = _values(tree, str(file), said)
    if overrides.llms:
        fields["llms"] = [_model(text) for text in overrides.llms]
        fields.pop("roles", None)
        _name_no_models(fields, str(file))
    if overrides.output is not None:
        fields["output_file"] = str(overrides.output)
    if overrides.trace:
        fields["trace"] = True
    fields |= _given(overrides.how)
    if not fields.get("output_file"):
        raise ConfigError(f"{file} says nowhere where the rows go: write `output_file: {file.stem}.jsonl`, or --output")
    return _job(fields, str(file))


def stored_job(source: Mapping[str, Any], output: str | Path, how: How | None = None) -> Job:
    """The run whose `source` was kept.

    Args:
        source: as it was kept.
        output: the rows file, which may have been moved since.
        how: what is to be other than it was; None and False leave it.

    Raises:
        ConfigError: keys stood in the file, or what the run needs is not there any more.
    """
    file = str(source["file"])
    if "run" not in source:
        raise ConfigError(f"{output} is no dataset but a build of topics: rowsmith topics build {file} goes on with it")
    if names := source.get("withheld"):
        raise ConfigError(
            f"{', '.join(names)} stood in {file}, and keys are never stored. "
            "Go on with the command that began this run: rowsmith run with the same file and options."
        )
    return _job({**source["run"], "output_file": str(output), **_given(how or {})}, file)


# -- from text to values ----------------------------------------------------------------------------------------------


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        folder = file.parent
        near = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
        raise ConfigError(f"there is no file {str(file)!r}. {did_you_mean(file.name, near)}") from None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is not UTF-8 text (byte {exc.start:,} cannot be read)") from None
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror or exc}") from None


def _values(tree: Fields, file: str, said: Collection[str]) -> dict[str, Any]:
    """The values of all keys; those of the configuration as its fields want them.

    Args:
        tree: of the file, with what was said beside it.
        file: for messages.
        said: the keys that were said beside it: they win over what stands under another name of the same field.
    """
    kind = tree.fields.get("dataset")
    config, _ = kind_of(plain(kind) if kind is not None else None, str(kind.place) if kind is not None else file)
    known = {*_RUN_KEYS, *config.model_fields, *config.other_names}
    for key, place in tree.places.items():
        if key in _COMMAND_LINE and key not in config.model_fields:
            raise ConfigError(f"{place}: there is no {key!r} in a file; write {_COMMAND_LINE[key]}")
        if key not in known:
            raise ConfigError(f"{place}: there is no field {key!r}. {did_you_mean(key, known)}")
    for other, name in config.other_names.items():
        if other in tree.fields and name in tree.fields:
            if (other in said) == (name in said):
                raise ConfigError(f"{tree.places[other]}: {other} and {name} are the same; give one of them")
            del tree.fields[name if other in said else other]
    own = {config.other_names.get(key, key): part for key, part in tree.fields.items() if key not in _RUN_KEYS}
    values = {key: plain(part) for key, part in tree.fields.items() if key in _RUN_KEYS}
    return {**values, **fitted_fields(Fields(own, tree.place, tree.places), config)}


def kind_of(name: object, where: str) -> tuple[type[KindConfig], type[GeneratedDataset[Any]]]:
    """The configuration and the dataset class of a kind.

    Args:
        name: its name in YAML.
        where: what messages call the place where it stands.

    Raises:
        ConfigError: there is no such kind.
    """
    if name is None:
        raise ConfigError(f"{where}: `dataset:` is missing. It names the kind: {', '.join(KINDS)}")
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"{where}: there is no dataset {name!r}. {did_you_mean(str(name), KINDS)}")
    module, _, face = KINDS[name].partition(".")
    dataset = getattr(importlib.import_module(f"rowsmith.datasets.{module}"), face)
    config = getattr(importlib.import_module(dataset.recipe.__module__), f"{face}Config")
    return config, dataset


def _set(tree: Fields, setting: str) -> str:
    """Carry out one `key=value`; its outermost key."""
    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {setting!r}: write key=value, such as --set num_samples_per_prompt=3")
    value = read(text, f"--set {key}", lines=False)
    at: Fields | Items = tree
    *outer, last = key.split(".")
    for number, part in enumerate(outer):
        found = _inside(at, part, key)
        if found is None or (isinstance(found, Scalar) and found.value is None):
            found = Fields({}, value.place)
            _put(at, part, found, key)
        if isinstance(found, Scalar):
            raise ConfigError(f"--set {key}: {'.'.join(outer[: number + 1])} is a value and has nothing inside")
        at = found
    _put(at, last, value, key)
    return key.partition(".")[0]


def _inside(tree: Fields | Items, part: str, key: str) -> Tree | None:
    return tree.items[_place_in(tree, part, key)] if isinstance(tree, Items) else tree.fields.get(part)


def _put(tree: Fields | Items, part: str, value: Tree, key: str) -> None:
    if isinstance(tree, Items):
        tree.items[_place_in(tree, part, key)] = value
    else:
        tree.fields[part] = value
        tree.places[part] = value.place


def _place_in(tree: Items, part: str, key: str) -> int:
    count = len(tree.items)
    if not part.isdecimal() or int(part) >= count:
        raise ConfigError(f"--set {key}: {part!r} is no place in a list of {count}, counted from 0")
    return int(part)


def _name_no_models(fields: dict[str, Any], file: str) -> None:
    """Take the models of roles out of the configuration's own fields."""
    for name, keys in kind_of(fields["dataset"], file)[0].models_in.items():
        if not keys:
            fields.pop(name, None)
        elif isinstance(block := fields.get(name), dict):
            fields[name] = {key: value for key, value in block.items() if key not in keys}


def _model(text: str) -> Llm:
    """A model as `--llm` names it."""
    if not text.lstrip().startswith("{"):
        return text
    made: Mapping[str, Any] = plain(read(text, "--llm", lines=False))
    return made


# -- from values to a run ---------------------------------------------------------------------------------------------


def _job(fields: dict[str, Any], file: str) -> Job:
    config, face = kind_of(fields["dataset"], file)
    try:
        dataset = face(config(**{name: value for name, value in fields.items() if name not in _RUN_KEYS}))
    except ConfigError as exc:
        exc.add_note(f"in {file}")
        raise
    llms = fields.get("llms")
    listed = llms if isinstance(llms, list) else [] if llms is None else [llms]
    how = _how(fields, file)
    how["source"] = _source(fields, file)
    trace = fields.get("trace") or False
    if not isinstance(trace, bool):
        raise ConfigError(f"{file}: trace must be true or false, got {trace!r}")
    return Job(dataset=dataset, llms=listed, how=how, trace=trace, file=file)


def _given(how: How) -> dict[str, Any]:
    return {name: value for name, value in how.items() if value is not None and value is not False}


def _how(fields: Mapping[str, Any], file: str) -> How:
    how = How()
    if (roles := fields.get("roles")) is not None:
        if not isinstance(roles, dict):
            got = shown(roles)
            raise ConfigError(f"{file}: roles must name a model for each role, such as {{judge: a/b}}; got {got}")
        how["roles"] = roles
    if (spread := fields.get("spread")) is not None:
        if not isinstance(spread, bool | list):
            raise ConfigError(f"{file}: spread must be true or false, or a list of weights, got {spread!r}")
        how["spread"] = spread
    for name, (kind, words) in _HOW.items():
        value = fields.get(name)
        if value is None:
            continue
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (kind is not bool and isinstance(value, bool)):
            raise ConfigError(f"{file}: {name} must be {words}, got {value!r}")
        how[name] = value  # type: ignore[literal-required]  # the names of `_HOW` are keys of `How`
    return how


def _source(fields: Mapping[str, Any], file: str) -> dict[str, Any]:
    """What `stored_job` needs, with paths that hold from anywhere."""
    withheld: list[str] = []
    run = absolute(fields)
    for name in ("llms", "roles", "gates", *kind_of(fields["dataset"], file)[0].models_in):
        if name in run:
            run[name] = _without_keys(run[name], name, withheld)
    run = with_servers(run, lambda server, name: _without_values(server, name, withheld))
    return {"file": from_anywhere(file), "run": run, "withheld": withheld}


def _without_keys(value: Any, name: str, withheld: list[str]) -> Any:
    if isinstance(value, list):
        return [_without_keys(part, f"{name}.{number}", withheld) for number, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, part in value.items():
        if _SECRET.search(key):
            withheld.append(f"{name}.{key}")
        else:
            kept[key] = _without_keys(part, f"{name}.{key}", withheld)
    return kept


def _without_values(server: Mapping[str, Any], name: str, withheld: list[str]) -> dict[str, Any]:
    """An MCP server's settings without the values of its environment, and without what looks like a key."""
    kept = dict(server)
    if isinstance(env := server.get("env"), Mapping):
        withheld.extend(f"{name}.env.{variable}" for variable, value in env.items() if value is not None)
        kept["env"] = dict.fromkeys(env)
    if isinstance(args := server.get("args"), list):
        kept["args"] = [without_secrets(str(one)) for one in args]
        withheld.extend(f"{name}.args.{place}" for place, one in enumerate(args) if kept["args"][place] != str(one))
    return kept
