"""A dataset of the Hugging Face Hub: streamed, only as far as rows are needed, and kept where they were put.

Fetched rows lie in a folder, as JSON Lines in files that say which rows they hold (`000000000000-000000000640.jsonl`).
Each is written whole and then given its name, so a kill leaves nothing half done, and two processes that fetch the same
write the same. What lies there is never fetched again, and where it is enough the Hub is not asked at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from rowsmith.data.feed import TextFile
from rowsmith.data.shapes import Shape, WrongRow, plain
from rowsmith.data.source_files import JSONLines, Problem, with_numbers
from rowsmith.errors import MissingDependencyError, SourceError, StorageError, did_you_mean

T = TypeVar("T")

PART_BYTES = 4 << 20
"""Size at which fetched rows are written down."""

_OFFSET_BITS = 40
_PART = re.compile(r"(\d{12})-(\d{12})\.jsonl")
_ABOUT = "about.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """Which rows of the Hub are meant, and where those that were fetched are kept.

    Attributes:
        name: the dataset: `organisation/name`, or a local folder laid out like one.
        folder: where fetched rows are kept.
        config: its configuration (subset); None where it has only one.
        split: its split.
        revision: a branch, tag or commit; None is what is newest at the first fetch. Later ones stay with its commit.
    """

    name: str
    folder: str | os.PathLike[str]
    config: str | None = None
    split: str = "train"
    revision: str | None = None


class HubRows(Generic[T]):
    """The rows of a dataset of the Hub, fetched as far as they are gone through.

    A token is taken from where `huggingface_hub` finds it; none is ever written down.

    Args:
        dataset: which rows.
        shape: what they are made into; only its columns are fetched.
    """

    def __init__(self, dataset: HubDataset, shape: Shape[T]) -> None:
        self.name = f"the dataset {dataset.name}"
        self._dataset = dataset
        self._shape = shape
        self._columns = None if shape.columns is None else list(shape.columns)
        what = {**asdict(dataset), "columns": self._columns, "folder": ""}
        digest = hashlib.blake2b(orjson.dumps(what, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
        self._folder = Path(dataset.folder) / digest
        self._parts: list[Path] = []

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        self._parts, fetched = self._stored()
        for number, path in enumerate(self._parts):
            for position, item in JSONLines(TextFile(path), self._shape).scan(problem):
                yield (number << _OFFSET_BITS) + position, item
        if self._about().get("rows") != fetched:
            yield from self._fetched(fetched, problem)

    def read(self, position: int) -> T | None:
        path = self._parts[position >> _OFFSET_BITS]
        return JSONLines(TextFile(path), self._shape).read(position & ((1 << _OFFSET_BITS) - 1))

    def _stored(self) -> tuple[list[Path], int]:
        """The files of the rows from the first on without a gap, and how many rows these are."""
        ends: dict[int, tuple[int, Path]] = {}
        if self._folder.is_dir():
            for path in sorted(self._folder.iterdir()):
                if found := _PART.fullmatch(path.name):
                    ends[int(found[1])] = (int(found[2]), path)  # the longest of those that begin here, by the order
        parts, at = [], 0
        while at in ends:
            at, path = ends[at]
            parts.append(path)
        return parts, at

    def _fetched(self, first: int, problem: Problem) -> Iterator[tuple[int, T | None]]:
        """The rows from the first that is not stored; they are stored as they come, and at the latest at the end."""
        lines: list[bytes] = []
        size, ended = 0, False
        try:
            for number, row in enumerate(self._stream(first), start=first):
                position = (len(self._parts) << _OFFSET_BITS) + size
                line, item = b"\n", None
                try:
                    made = {name: plain(value) for name, value in row.items()}
                    item = with_numbers(self._shape, made)
                    line = orjson.dumps(made) + b"\n"
                except WrongRow as wrong:
                    problem(SourceError(f"Row {number} of {self.name} {wrong}"))
                lines.append(line)
                size += len(line)
                if line != b"\n":
                    yield position, item
                if size >= PART_BYTES:
                    self._store(first, lines)
                    first, lines, size = first + len(lines), [], 0
            ended = True
        finally:
            if lines:
                self._store(first, lines)
            if ended:
                self._write(_ABOUT, orjson.dumps({**self._about(), "rows": first + len(lines)}))

    def _stream(self, first: int) -> Iterator[Mapping[str, Any]]:
        try:
            load_dataset: Any = import_module("datasets").load_dataset
        except (ImportError, AttributeError):  # where it is lacking, a folder of that name is taken for it
            raise MissingDependencyError("A dataset of the Hugging Face Hub", "hub") from None
        dataset = self._dataset
        try:
            stream = load_dataset(
                dataset.name, dataset.config, split=dataset.split, revision=self._commit(), streaming=True
            )
            known = stream.column_names
            if known and self._columns is not None:
                for column in self._columns:
                    if column not in known:
                        raise SourceError(f"{self.name} has no column {column!r}. {did_you_mean(column, known)}")
                stream = stream.select_columns(self._columns)
            rows = iter(stream.skip(first) if first else stream)
            while (row := next(rows, None)) is not None:
                yield row
        except SourceError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise self._not_fetched(error) from error

    def _commit(self) -> str | None:
        """The commit that is read: that of the first fetch, whatever has been pushed since; None for a local folder."""
        about = self._about()
        if about:
            commit: str | None = about["commit"]
            return commit
        commit = None
        if not Path(self._dataset.name).is_dir():
            commit = (
                import_module("huggingface_hub")
                .HfApi()
                .dataset_info(self._dataset.name, revision=self._dataset.revision)
                .sha
            )
        about = {**asdict(self._dataset), "columns": self._columns, "commit": commit, "rows": None}
        del about["folder"]
        self._write(_ABOUT, orjson.dumps(about))
        return commit

    def _not_fetched(self, error: Exception) -> SourceError:
        dataset = self._dataset
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        hint = "" if reason.endswith((".", "?", "!")) else "."
        where = f"{dataset.split!r}" if dataset.config is None else f"{dataset.config!r}, {dataset.split!r}"
        if "not found" in reason.lower() or "doesn't exist" in reason.lower() or "404" in reason:
            hint += " If it is private or gated, huggingface_hub needs a token: HF_TOKEN."
        return SourceError(f"{self.name} ({where}) cannot be fetched: {reason}{hint}")

    def _about(self) -> dict[str, Any]:
        try:
            about: dict[str, Any] = orjson.loads((self._folder / _ABOUT).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{self._folder / _ABOUT} cannot be read: {error}. Delete {self._folder} to fetch the rows again."
            ) from error
        return about

    def _store(self, first: int, lines: list[bytes]) -> None:
        name = f"{first:012d}-{first + len(lines):012d}.jsonl"
        self._write(name, b"".join(lines))
        self._parts.append(self._folder / name)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file whole: it has its name only when it is all on disk."""
        draft = self._folder / f".{name}.{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._folder / name)
            except BaseException:
                with suppress(OSError):
                    draft.unlink()
                raise
        except OSError as error:
            raise StorageError(f"fetched rows cannot be kept in {self._folder}: {error.strerror or error}") from error
