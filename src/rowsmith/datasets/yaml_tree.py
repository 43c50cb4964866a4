"""YAML as people write it: text stays text, every value knows its place, and a slip is shown where it stands.

Read by the core schema of YAML 1.2.2 (https://yaml.org/spec/1.2.2/#103-core-schema): only `true` and `false` are
booleans, so `no` is Norwegian; `12:30` and `2024-05-01` are text. Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, TypeAlias, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from rowsmith.errors import ConfigError, did_you_mean

_TAG = "tag:yaml.org,2002:"
_QUOTE_IT = "Text that begins with { or [, or has a colon and a blank in it, needs quotes (or stands below a |)."
_SHOWN = 80
"""Characters before and after the place of a slip that are shown of its line."""
_MAY_BE_A_KEY = re.compile(r"key|token|secret|password|authorization|bearer", re.IGNORECASE)
_QUOTED = re.compile(r"'[^'<>]{4,}'")


class Place(NamedTuple):
    """Where something stands: `file:line:column`, counted from 1; line 0 is a text that has no lines."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: as it is written, and as what YAML takes it for."""

    text: str
    value: str | bool | int | float | None
    place: Place


@dataclass(slots=True)
class Items:
    """A list."""

    items: list[Tree]
    place: Place


@dataclass(slots=True)
class Fields:
    """A mapping, with the places of its keys."""

    fields: dict[str, Tree]
    place: Place
    places: dict[str, Place] = field(default_factory=dict)


Tree: TypeAlias = Scalar | Items | Fields


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, which is one of YAML 1.1, with the plain values of 1.2."""


_Loader.yaml_implicit_resolvers = {}
for _name, _pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": "<<",
}.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)


def read(text: str, file: str, *, lines: bool = True) -> Tree:
    """The tree of a YAML document.

    Args:
        text: the document; an empty one is null.
        file: what messages call it.
        lines: False for a single value, whose place is `file` and no line of it.

    Raises:
        ConfigError: it is not YAML, or a key stands twice; with the line and the column.
    """
    failed: yaml.YAMLError | None = None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as exc:
        failed = exc
    if isinstance(failed, yaml.MarkedYAMLError):
        # Raised out here, for what YAML raised shows the text, which may be a key, and would be chained.
        raise _syntax_error(failed, text, file)
    if failed is not None:
        raise ConfigError(f"{file} is not YAML: {failed}")
    if node is None:
        return Scalar("", None, Place(file, int(lines), 1))
    return _Reader(file, lines=lines).tree(node)


class _Reader:
    """Turns the parser's nodes into a tree."""

    def __init__(self, file: str, *, lines: bool) -> None:
        self._file = file
        self._lines = lines
        self._open: set[int] = set()

    def tree(self, node: yaml.Node) -> Tree:
        place = self._place(node)
        if isinstance(node, yaml.ScalarNode):
            node.value = _joined(node.value)
            return Scalar(node.value, _value(node, place), place)
        if id(node) in self._open:
            raise ConfigError(f"{place}: the anchor holds itself")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Items([self.tree(part) for part in node.value], place)
            return self._mapping(node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, place: Place) -> Fields:
        made = Fields({}, place)
        merged: list[Fields] = []
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged += self._merged(value)
                continue
            at = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{at}: a key must be text. {_QUOTE_IT}")
            name = _joined(key.value)
            if name in made.fields:
                raise ConfigError(f"{at}: the key {name!r} stands twice; it stood in line {made.places[name].line}")
            made.fields[name] = self.tree(value)
            made.places[name] = at
        for other in merged:
            for name, tree in other.fields.items():
                if name not in made.fields:
                    made.fields[name], made.places[name] = tree, other.places[name]
        return made

    def _merged(self, node: yaml.Node) -> Iterator[Fields]:
        tree = self.tree(node)
        for part in tree.items if isinstance(tree, Items) else [tree]:
            if not isinstance(part, Fields):
                raise ConfigError(f"{part.place}: `<<` takes a mapping, or a list of mappings")
            yield part

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1 if self._lines else 0, node.start_mark.column + 1)


def _joined(text: str) -> str:
    r"""The text with escaped surrogate pairs as the one sign they stand for: `\ud83d\ude00`, as JSON is written."""
    if not re.search("[\ud800-\udfff]", text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _value(node: yaml.ScalarNode, place: Place) -> str | bool | int | float | None:
    text: str = node.value
    try:
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
            case "str" | "merge":
                return text
    except ValueError:
        raise ConfigError(f"{place}: {text!r} is not what its tag {node.tag!r} says") from None
    raise ConfigError(f"{place}: there are no values with the tag {node.tag!r} here")


def _syntax_error(exc: yaml.MarkedYAMLError, text: str, file: str) -> ConfigError:
    mark = exc.problem_mark or exc.context_mark
    if mark is None:
        return ConfigError(f"{file} is not YAML: {exc}")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    column = mark.column
    problem = exc.problem or exc.context or ""
    before = next((text for text in reversed(lines[: mark.line]) if text.strip()), "")
    option = file if file.startswith("--") else ""
    secret = any(_MAY_BE_A_KEY.search(where) for where in (line, before, option))
    if secret:
        problem = _QUOTED.sub("'***'", problem)
    message = f"{Place(file, mark.line + 1, column + 1)} is not YAML: {problem}"
    if exc.context and exc.context_mark and exc.context_mark.line != mark.line:
        message += f" ({exc.context} that begins in line {exc.context_mark.line + 1})"
    if line.strip() and not secret:
        first = max(0, column - _SHOWN)
        blank = "".join("\t" if sign == "\t" else " " for sign in line[first:column])
        message += f"\n    {line[first : column + _SHOWN]}\n    {blank}^"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message += "\nIndent with blanks: YAML takes no tabs."
    elif re.search(r"[{}\[\]%@`&*!|>]|: ", line):
        message += f"\n{_QUOTE_IT}"
    return ConfigError(message)


def plain(tree: Tree) -> Any:
    """Dicts, lists and values, each value as what YAML takes it for."""
    match tree:
        case Scalar():
            return tree.value
        case Items():
            return [plain(part) for part in tree.items]
        case Fields():
            return {name: plain(part) for name, part in tree.fields.items()}


def fitted(tree: Tree, wanted: Any, name: str) -> Any:
    """As `plain`, but a value is text where text is wanted, whatever it looks like: `007`, `1.50`, `true`.

    Args:
        tree: what was read.
        wanted: the type annotation of what it is for.
        name: the dotted name of what it is for, for messages.

    Raises:
        ConfigError: a list or mapping stands where text is wanted, or a mapping has a field that is not known.
    """
    kinds = list(_alternatives(wanted))
    if isinstance(tree, Scalar):
        return tree.text if tree.value is not None and _is_text(kinds) else tree.value
    if isinstance(tree, Items):
        inner = next((_arguments(kind, 1)[0] for kind in kinds if get_origin(kind) in (list, tuple, set)), None)
        if inner is None and _is_text(kinds):
            _must_be_text(tree, name)
        return [fitted(part, inner or Any, f"{name}.{number}") for number, part in enumerate(tree.items)]
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    inner = next((_arguments(kind, 2)[1] for kind in kinds if get_origin(kind) is dict), None)
    if inner is not None:
        # Where any mapping will do as well, a model is meant only by a mapping that has one of its fields.
        models = [one for one in models if tree.fields.keys() & one.model_fields.keys()]
    if models:
        # Of several that it may be, the one that knows most of its fields is meant.
        return fitted_fields(tree, max(models, key=lambda one: len(tree.fields.keys() & one.model_fields.keys())), name)
    if inner is None and _is_text(kinds):
        _must_be_text(tree, name)
    return {key: fitted(part, inner or Any, f"{name}.{key}") for key, part in tree.fields.items()}


def fitted_fields(tree: Fields, model: type[BaseModel], name: str = "") -> dict[str, Any]:
    """`fitted` for a mapping that holds a model's fields.

    Raises:
        ConfigError: one of them is none of the model's.
    """
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for key in tree.fields:
        if key not in known:
            where = f"{name} has no field" if name else "there is no field"
            raise ConfigError(f"{tree.places[key]}: {where} {key!r}. {did_you_mean(key, known)}")
    prefix = f"{name}." if name else ""
    return {key: fitted(part, known[key].annotation, prefix + key) for key, part in tree.fields.items()}


def _must_be_text(tree: Items | Fields, name: str) -> NoReturn:
    what = "a list" if isinstance(tree, Items) else "a mapping"
    raise ConfigError(f"{tree.place}: {name} must be text, but YAML reads {what} here. {_QUOTE_IT}")


def _alternatives(wanted: Any) -> Iterator[Any]:
    """The members of a union, None left out."""
    origin = get_origin(wanted)
    if origin is Annotated:
        yield from _alternatives(get_args(wanted)[0])
    elif origin in (Union, UnionType):
        for member in get_args(wanted):
            yield from _alternatives(member)
    elif wanted is not NoneType:
        yield wanted


def _is_text(kinds: list[Any]) -> bool:
    if any(kind in (bool, int, float, Any) for kind in kinds):
        return False
    return any(
        kind in (str, SecretStr)
        or (get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind)))
        for kind in kinds
    )


def _arguments(kind: Any, count: int) -> tuple[Any, ...]:
    return (*get_args(kind), *(Any for _ in range(count)))[:count]
