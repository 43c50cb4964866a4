"""Formats: what rows become for those who use them, one file per format.

A format is a function that makes of a row what is written, or several of them:

```python
def short(row: dict, *, words: int = 10) -> dict:
    return {"text": " ".join(row["text"].split()[:words]), "label": row["label"]}
```

`rowsmith export data.jsonl --format shapes.py:short --option words=5` uses it; its keyword arguments are the format's
options, checked and converted by their annotations. A package brings formats by naming them in its metadata, as
Rowsmith's own are:

    [project.entry-points."rowsmith.formats"]
    short = "acme_formats:short"

What is named there may also be a `Format`, which says besides how files of the format are written.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.references import load

GROUP = "rowsmith.formats"


class Writer(Protocol):
    """Writes rows to a file. It is made with the file, a function that gives all rows, and the format's options."""

    def write(self, row: Row) -> None:
        """Put a row at the end."""

    def close(self) -> None:
        """Put what belongs at the end of the file. The file itself is closed by who opened it."""


Scan = Callable[[], Iterator[Row]]
"""Gives all rows that will be written, for writers that must know something of them first."""
MakeWriter = Callable[..., Writer]

STORED = MappingProxyType(
    {
        ".jsonl": "rowsmith.data.formats.jsonl:JSONLinesWriter",
        ".json": "rowsmith.data.formats.jsonl:JSONArrayWriter",
        ".csv": "rowsmith.data.formats.csv:CSVWriter",
        ".parquet": "rowsmith.data.formats.parquet:ParquetWriter",
    }
)
"""Ending of a file → how rows are stored in one: the `Writer` as `module:name`, imported when it is used."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way in which rows are written.

    Attributes:
        convert: makes of a row what is written: one row, a list of them, and `[]` for none. None leaves it as it is.
        reads: what is made of the row first, where several formats share it; `convert` gets its result.
        writers: ending of the output file → its writer. The first is what is used where no output is named.
        name: what the user calls it.
    """

    convert: Callable[..., Any] | None = None
    reads: Callable[..., Any] | None = None
    writers: Mapping[str, str | MakeWriter] = field(default_factory=lambda: STORED, hash=False)
    name: str = ""

    @property
    def suffix(self) -> str:
        """The ending of files of this format."""
        return next(iter(self.writers))

    def writer(self, path: Path) -> MakeWriter:
        """What writes a file.

        Raises:
            ConfigError: the format is not stored in files of that ending.
        """
        made = self.writers.get(path.suffix.lower())
        if made is None:
            raise ConfigError(
                f"{self.name} is stored in files that end in {' or '.join(self.writers)}; the output is {path.name!r}"
            )
        if not isinstance(made, str):
            return made
        module, _, name = made.partition(":")
        maker: MakeWriter = getattr(importlib.import_module(module), name)
        return maker


def available() -> list[str]:
    """The names of all formats that are installed, sorted. None of them is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def resolve(spec: str | Format | Callable[..., Any]) -> Format:
    """The format that is meant.

    Args:
        spec: a name, `file.py:function`, a function, or a format.

    Raises:
        ConfigError: nothing of that name is installed, or it cannot be loaded.
    """
    if isinstance(spec, Format):
        return spec
    if not isinstance(spec, str):
        if not callable(spec):
            raise ConfigError(f"a format is a name, `file.py:function` or a function; it is {spec!r}")
        return Format(spec, name=getattr(spec, "__name__", type(spec).__name__))
    file, colon, name = spec.rpartition(":")
    if colon and file.endswith(".py"):
        return _named(load(spec), name)
    found = list(entry_points(group=GROUP, name=spec))
    if not found:
        raise ConfigError(f"there is no format {spec!r}. {did_you_mean(spec, available())}")
    try:
        return _named(found[0].load(), spec)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the format {spec!r} cannot be loaded from {found[0].value}: {error}") from error


def fitted(options: Mapping[str, Any], takers: Mapping[str, Callable[..., Any] | None], name: str) -> list[Any]:
    """The options dealt out to those who take them, as the types they are annotated with.

    Args:
        options: name → value, as the user gave them: texts from a command line.
        takers: what each is for → the function or class, whose keyword-only arguments are its options.
        name: the format's name, for messages.

    Returns:
        for each of the takers the keyword arguments it gets.

    Raises:
        ConfigError: none takes an option, or its value is not of its type.
    """
    from pydantic import ValidationError

    dealt: list[Any] = []
    known: set[str] = set()
    for taker in takers.values():
        hints = _options(taker) if taker is not None else {}
        known |= set(hints)
        arguments = {}
        for option in hints.keys() & options.keys():
            try:
                arguments[option] = _as_type(options[option], hints[option])
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise ConfigError(f"the option {option}={options[option]!r} of {name} is wrong: {reason}") from None
        dealt.append(arguments)
    for option in options:
        if option not in known:
            raise ConfigError(f"the format {name!r} has no option {option!r}. {did_you_mean(option, known)}")
    return dealt


def takes_seed(*takers: Callable[..., Any] | None) -> bool:
    """Whether something is drawn at random by one of them."""
    return any("seed" in _options(taker) for taker in takers if taker is not None)


def _options(taker: Callable[..., Any]) -> dict[str, Any]:
    """Keyword-only argument → its type; those of a `TypedDict` that is unpacked too."""
    parameters = inspect.signature(taker).parameters.values()
    annotated: Any = vars(taker).get("__init__") if isinstance(taker, type) else taker
    try:
        hints = typing.get_type_hints(annotated)
    except (NameError, TypeError):  # annotations that mean something to type checkers alone
        hints = {}
    found: dict[str, Any] = {}
    for one in parameters:
        hint = hints.get(one.name, Any)
        if one.kind is one.KEYWORD_ONLY:
            found[one.name] = hint
        elif one.kind is one.VAR_KEYWORD and typing.get_origin(hint) is typing.Unpack:
            found |= typing.get_type_hints(*typing.get_args(hint))
    return found


def _as_type(value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(value)


def _named(made: Any, name: str) -> Format:
    if isinstance(made, Format):
        return replace(made, name=name)
    if not callable(made):
        raise ConfigError(f"the format {name!r} is no function and no Format but a {type(made).__name__}")
    return Format(made, name=name)
