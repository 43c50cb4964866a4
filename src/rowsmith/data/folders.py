"""Which files are meant by a path: one file, those of a folder, or those that a pattern fits; and their formats."""

from __future__ import annotations

import difflib
import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from rowsmith.data.feed import TextFile
from rowsmith.data.json_array import JSONArray
from rowsmith.data.shapes import Shape
from rowsmith.data.source_files import JSONLines, Lines, Problem, Rows, Table, WholeFile
from rowsmith.data.tables import Parquet
from rowsmith.errors import SourceError, did_you_mean

T = TypeVar("T")

SUFFIXES = (".txt", ".md", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
UNKNOWN_FORMAT = "of an unknown format"

_SHOWN_NEIGHBOURS = 10
_OPEN_FILES = 16
_OFFSET_BITS = 40
"""A position in one of many files: the file's number above, the position in it in the lower bits (up to a terabyte)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read.

    Attributes:
        encoding: a codec of Python's; None is UTF-8. A byte order mark wins over it.
        whole_files: a `.txt` file is one document, instead of one in each line.
        bad_rows: what is done with a row that cannot be read.
        exclude: files and folders that are passed over where a folder or a pattern is read.
    """

    encoding: str | None = None
    whole_files: bool = False
    bad_rows: Literal["error", "skip"] = "error"
    exclude: Sequence[str | os.PathLike[str]] = ()


class Files(Generic[T]):
    """The rows of several files, one file after the other in the order of their relative paths.

    Args:
        name: what was named.
        root: the folder from which paths are told.
        paths: the files' paths below it.
        shape: what rows are made into.
        reading: how they are read.
    """

    def __init__(self, name: str, root: Path, paths: Sequence[str], shape: Shape[T], reading: Reading) -> None:
        self.name = name
        self._root = root
        self._paths = paths
        self._shape = shape
        self._reading = reading
        self._open: dict[int, Rows[T]] = {}

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        for number in range(len(self._paths)):
            first = number << _OFFSET_BITS
            for position, item in self._file(number).scan(problem):
                yield first + position, item

    def read(self, position: int) -> T | None:
        number, offset = position >> _OFFSET_BITS, position & ((1 << _OFFSET_BITS) - 1)
        return self._file(number).read(offset)

    def _file(self, number: int) -> Rows[T]:
        """A file's rows; the last few files stay at hand."""
        rows = self._open.pop(number, None)
        if rows is None:
            path = self._paths[number]
            rows = rows_of_file(self._root / path, self._shape, self._reading, path)
            if len(self._open) >= _OPEN_FILES:
                del self._open[next(iter(self._open))]
        self._open[number] = rows
        return rows


@dataclass(slots=True)
class Found:
    """Which files a path means."""

    root: Path
    paths: list[str]
    others: Counter[str] = field(default_factory=Counter)


def rows_of_path(path: str, shape: Shape[T], reading: Reading, skipped: Counter[str]) -> Rows[T]:
    """The rows of a file, of a folder's files, or of the files that a pattern (`*`, `?`, `[ ]`, `**`) fits.

    Args:
        path: what was named.
        shape: what rows are made into.
        reading: how they are read.
        skipped: where files of formats that are not known are counted.

    Raises:
        SourceError: there is no such file, or none of a format known here.
    """
    if Path(path).is_file():
        return rows_of_file(Path(path), shape, reading, Path(path).name)
    if Path(path).is_dir():
        found = _in_folder(Path(path), reading.exclude)
    elif glob.has_magic(path):
        found = _fitting(path, reading.exclude)
    elif Path(path).exists():
        raise SourceError(f"{path} is no ordinary file: it has to be read more than once. Save it to a file.")
    else:
        raise SourceError(f"There is no file {path}. {_neighbours(Path(path))}")
    skipped.update(found.others)
    if not found.paths:
        what = "in the folder" if Path(path).is_dir() else "that fits"
        raise SourceError(f"There is no {_listing()} file {what} {path}.")
    return Files(path, found.root, found.paths, shape, reading)


def rows_of_file(path: Path, shape: Shape[T], reading: Reading, document_id: str) -> Rows[T]:
    """The rows of one file, whose format is told by its ending; `.gz` behind it does not count.

    Args:
        path: the file.
        shape: what rows are made into.
        reading: how it is read.
        document_id: what a document is called that is the whole file.

    Raises:
        SourceError: the format is not known, or the file cannot be read.
    """
    suffix = _format(path.name)
    if suffix == ".parquet":
        return Parquet(path, shape)
    if suffix not in SUFFIXES:
        raise SourceError(f"{path} ends in {suffix!r}, which is not a format known here. Known: {', '.join(SUFFIXES)}.")
    file = TextFile(path, reading.encoding)
    match suffix:
        case ".csv":
            return Table(file, shape, delimiters=",;\t|")
        case ".tsv":
            return Table(file, shape, delimiters="\t")
        case ".jsonl" | ".ndjson":
            return JSONLines(file, shape)
        case ".json":
            return JSONArray(file, shape)
        case ".txt" if not reading.whole_files:
            return Lines(file, shape)
    return WholeFile(file, document_id, shape)


def _format(name: str) -> str:
    return Path(name.lower().removesuffix(".gz")).suffix


def _in_folder(root: Path, exclude: Sequence[str | os.PathLike[str]]) -> Found:
    """The files below a folder; hidden ones are passed over, and links to folders are not followed."""
    found = Found(root, [])
    passed = {_real(path) for path in exclude}
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if not name.startswith(".") and _real(here / name) not in passed]
        for name in names:
            if name.startswith(".") or _real(here / name) in passed:
                continue
            _add(found, (here / name).relative_to(root).as_posix())
    found.paths.sort()
    return found


def _fitting(pattern: str, exclude: Sequence[str | os.PathLike[str]]) -> Found:
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    found = Found(root, [])
    passed = {_real(path) for path in exclude}
    for path in glob.glob(pattern, recursive=True):  # noqa: PTH207  # Path.glob takes no whole pattern
        if Path(path).is_file() and passed.isdisjoint(_real(one) for one in (Path(path), *Path(path).parents)):
            _add(found, Path(path).relative_to(root).as_posix())
    found.paths.sort()
    return found


def _add(found: Found, path: str) -> None:
    if _format(path) in SUFFIXES:
        found.paths.append(path)
    else:
        found.others[UNKNOWN_FORMAT] += 1


def _real(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(path)


def _listing() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def _neighbours(path: Path) -> str:
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"Neither is there a folder {folder}."
    names = sorted(one.name for one in folder.iterdir() if _format(one.name) in SUFFIXES)
    if not names:
        return f"There is no {_listing()} file in {folder}."
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return did_you_mean(path.name, near or names[:_SHOWN_NEIGHBOURS])
