"""Datasets: rows on disk, read when they are asked for, and what can be done with them."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Self, overload

import orjson

from rowsmith.data.choosing import Choice, value_at
from rowsmith.data.lines import Chosen, FileLines, Joined, Lines, Row, Spool, as_line, as_lines, as_row
from rowsmith.data.rows import Rows
from rowsmith.data.splitting import checked_shares, sizes, stratified_sizes
from rowsmith.errors import ConfigError, MissingDependencyError, SourceError, did_you_mean

if TYPE_CHECKING:
    import os

    from rowsmith.data.card import Origin
    from rowsmith.data.formats import Format
    from rowsmith.data.hub import Uploaded
    from rowsmith.data.showing import Page
    from rowsmith.data.statistics import Statistics

_SHOWN_ROWS = 5
_SHOWN_CHARACTERS = 200
_MISSING = object()


class Readable(ABC):
    """What every dataset can do with its rows. None of it changes them, and none of it needs them in memory."""

    @property
    @abstractmethod
    def rows(self) -> Rows:
        """The rows, read from disk when they are asked for."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Row | Dataset:
        if not isinstance(index, slice):
            return self.rows[index]
        lines = self.rows.lines
        return _view(lines, range(*index.indices(len(lines))))

    def __bool__(self) -> bool:
        """A dataset is a thing, also while it has no rows."""
        return True

    def _repr_html_(self) -> str:
        """The first rows as a table, for notebooks."""
        rows = self[:_SHOWN_ROWS].to_list()
        fields = list(dict.fromkeys(name for row in rows for name in row))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in fields)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(row, name)}</td>' for name in fields)}</tr>" for row in rows)
        return f"<p>{html.escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_list(self) -> list[Row]:
        """All rows in memory."""
        return list(self)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`, in memory.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("to_pandas", "hub") from error
        return pandas.DataFrame(self.to_list())

    def to_hf(self) -> Any:
        """The rows as a `datasets.Dataset` of Hugging Face, in memory as Arrow columns.

        Raises:
            MissingDependencyError: datasets is not installed.
            ConfigError: a field has values of kinds that do not go together in a column.
        """
        try:
            datasets = import_module("datasets")
            hf, table = datasets.Dataset, datasets.table.InMemoryTable
        except (ImportError, AttributeError) as error:  # where it is lacking, a folder of that name is taken for it
            raise MissingDependencyError("to_hf", "hub") from error
        from rowsmith.data.formats.parquet import table_of

        return hf(table(table_of(self.rows)))

    def statistics(self) -> Statistics:
        """Counts per label, language, model and other fields of few values, lengths, what is missing, duplicates."""
        from rowsmith.data.statistics import statistics_of

        return statistics_of(self.rows.lines)

    def filter(self, keep: Callable[[Row], object]) -> Dataset:
        """The rows for which a function says yes. It is called once for each row, now."""
        lines = self.rows.lines
        places = array("Q", (place for place, row in enumerate(_rows(lines)) if keep(row)))
        return _view(lines, places)

    def chosen(self, choice: Choice) -> Dataset:
        """The rows that have what is asked for.

        Raises:
            ConfigError: no row has a field that was named.
        """
        lines = self.rows.lines
        return _view(lines, choice.places(lines))

    def map(self, change: Callable[[Row], Mapping[str, Any]]) -> Dataset:
        """What a function makes of each row. It is called once for each row, now; to leave rows out, see `filter`.

        Raises:
            ConfigError: it returns something other than a row.
        """
        return Dataset(change(row) for row in _rows(self.rows.lines))

    def shuffle(self, seed: int = 0) -> Dataset:
        """The rows in an order that depends on the seed and their number alone."""
        lines = self.rows.lines
        return _view(lines, _permutation(len(lines), seed))

    def split(
        self, *, stratify_by: str | None = None, seed: int = 0, shuffle: bool = True, **shares: float
    ) -> dict[str, Dataset]:
        """The rows dealt out to parts; each row goes to one part.

        Args:
            stratify_by: a field of whose values every part gets its share, each within one row; `metadata.provider`
                for a field within a field.
            seed: of the order in which rows are dealt out.
            shuffle: False leaves the rows in their order: the first ones go to the first part.
            **shares: of each part by its name: `train=0.8, validation=0.1, test=0.1`. They add up to 1; `train=0.8`
                alone leaves the rest to `test`. The sizes are exact: each less than one row from its share.

        Raises:
            ConfigError: the shares do not add up to 1, or a row lacks the field.
        """
        parts = checked_shares(shares)
        lines = self.rows.lines
        order: Sequence[int] = _permutation(len(lines), seed) if shuffle else range(len(lines))
        if stratify_by is None:
            strata = [order]
            table = [sizes(len(lines), list(parts.values()))]
        else:
            strata = _strata(lines, order, stratify_by)
            table = stratified_sizes([len(stratum) for stratum in strata], list(parts.values()))
        turn = bytearray(len(lines)) if len(parts) < 256 else array("L", bytes(8 * len(lines)))
        for stratum, row in zip(strata, table, strict=True):
            at = 0
            for part, size in enumerate(row):
                for place in stratum[at : at + size]:
                    turn[place] = part
                at += size
        places = [array("Q") for _ in parts]
        for place in order:
            places[turn[place]].append(place)
        return {name: _view(lines, found) for name, found in zip(parts, places, strict=True)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to a JSONL file, in place of what it had: all of them or, should it fail, none.

        Raises:
            ConfigError: the file belongs to a run, which would take it for damaged.
            StorageError: it cannot be written.
        """
        from rowsmith.data.export import save

        save(self.rows.lines, Path(path))

    def export(
        self,
        path: str | os.PathLike[str],
        format: str | Format | Callable[..., Any] = "jsonl",  # noqa: A002  # the word that users know
        *,
        columns: Mapping[str, str] | None = None,
        force: bool = False,
        **options: Any,
    ) -> int:
        """Write the rows as a trainer takes them; see `rowsmith.data.formats`.

        Args:
            path: the file; its ending says how the rows are stored, where the format leaves a choice.
            format: a format's name, `file.py:function`, or a function that makes of a row what is written.
            columns: the format's field → the rows' column that has it, where they are named otherwise.
            force: write over a file that is there.
            **options: the format's own.

        Returns:
            how many rows were written.

        Raises:
            ConfigError: there is no such format or option, a row does not fit it, or the file is there already.
            StorageError: it cannot be written.
        """
        from rowsmith.data.export import export

        file = Path(path)
        return export({file: self.rows.lines}, format, columns=columns, force=force, options=options)[file]

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        private: bool = True,
        commit_message: str | None = None,
        train_size: float | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        upload_card: bool = True,
        *,
        license: str | None = None,  # noqa: A002  # the field's name in a card
        languages: Sequence[str] = (),
        origin: Origin | None = None,
        progress: Callable[[Uploaded], None] | None = None,
    ) -> str:
        """Put the rows on the Hugging Face Hub in one commit, in place of an earlier push; returns their address.

        Args:
            repo_id: `owner/name`; made if it is not there.
            token: of the Hub; if not given that of the environment variable HF_TOKEN, or of the Hub's own login.
            private: only its owners may see it. An existing public repository is refused unless this is False.
            commit_message: of the commit.
            train_size: the share of the rows for `train`, such as 0.8; the rest is `test`. All are `train` if None.
            seed: of the order in which rows are dealt out; 0 if not given.
            shuffle: False leaves the rows in their order: the first ones are `train`.
            upload_card: write the dataset's card, and the configuration that makes it again.
            license: for the card, such as `cc-by-4.0`; not in it if not given.
            languages: for the card, as codes; not in it if not given.
            origin: how the rows were made, for the card. A dataset that made them knows it.
            progress: called after each file that was uploaded.

        Raises:
            ConfigError, HubError, StorageError: as `rowsmith.data.hub.push`, in which case nothing has changed there.
        """
        from rowsmith.data.hub import Push, push

        whole: dict[str, Readable] = {"train": self}
        dealt = whole if train_size is None else self.split(train=train_size, seed=seed or 0, shuffle=shuffle)
        pushed = Push(
            parts={name: part.rows.lines for name, part in dealt.items()},
            token=token,
            private=private,
            message=commit_message,
            upload_card=upload_card,
            origin=origin or self._origin(),
            license=license,
            languages=languages,
            progress=progress,
        )
        return push(repo_id, pushed)

    def _origin(self) -> Origin | None:
        return None  # nothing is known of how they were made

    def inspect(
        self,
        limit: int = 10,
        *,
        where: Mapping[str, Any] | None = None,
        contains: str | None = None,
        id: str | Sequence[str] = (),  # noqa: A002  # the field's name
        random: bool = False,
        seed: int = 0,
        full: bool = False,
    ) -> Page:
        """Some rows to read: a page that shows itself in a console or a notebook, and is printed by `print`.

        Args:
            limit: how many rows.
            where: field → value that the rows must have; see `rowsmith.data.choosing.Choice`.
            contains: a text that must stand in them.
            id: an id or several.
            random: rows from anywhere instead of the first.
            seed: of these.
            full: whole texts, and `metadata` too.

        Raises:
            ConfigError: no row has such a field.
        """
        from rowsmith.data.showing import Page

        lines = self.rows.lines
        choice = Choice(where=where or {}, contains=contains, ids=(id,) if isinstance(id, str) else id)
        found = choice.places(lines)
        # A range is not drawn from item by item, so that a page of a large file costs nothing.
        pick = Random(seed)  # noqa: S311  # an order, no secret
        places = sorted(pick.sample(found, min(limit, len(found)))) if random else found[:limit]
        return Page(lines, places, found=len(found), full=full)


class Dataset(Readable):
    """Rows that can be added to. They are kept in a temporary file, and gone with the object unless they are saved.

    Args:
        rows: rows to begin with: mappings, or another dataset.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] | Readable = ()) -> None:
        self._base: Lines | None = rows.rows.lines if isinstance(rows, Readable) else None
        self._added = Spool() if isinstance(rows, Readable) else as_lines(rows)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The rows of a JSONL file. What is added to them is not written to it; `save` does that.

        Raises:
            SourceError: there is no such file, or it is no JSONL.
        """
        from rowsmith.data.export import run_folder

        file = Path(path)
        if file.suffix.lower() in (".csv", ".tsv", ".parquet", ".gz", ".json"):
            raise SourceError(f"{file} is not a JSONL file: Dataset.load reads an object in each line.")
        return cls._of(FileLines(file, growing=run_folder(file).exists()))

    @property
    def rows(self) -> Rows:
        """The rows, read when they are asked for."""
        if self._base is None:
            return Rows(self._added)
        return Rows(Joined(self._base, self._added) if len(self._added) else self._base)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row at the end.

        Raises:
            ConfigError: it is not a row, or holds what JSON cannot.
            StorageError: there is no room for it.
        """
        self._added.add(as_line(row))

    def extend(self, rows: Iterable[Mapping[str, Any]] | Readable) -> None:
        """Add rows at the end: all of them or, should one not be a row, none.

        Raises:
            ConfigError, StorageError: as `append`.
        """
        lines = rows.rows.lines if isinstance(rows, Readable) else as_lines(rows)
        for line in lines:
            self._added.add(line)

    def __repr__(self) -> str:
        count = len(self)
        fields = ", ".join(self[0]) if count else ""
        return f"Dataset({count:,} row{'' if count == 1 else 's'}{': ' if fields else ''}{fields})"

    @classmethod
    def _of(cls, lines: Lines) -> Self:
        made = cls()
        made._base = lines
        return made


def _view(lines: Lines, places: Sequence[int]) -> Dataset:
    return Dataset._of(Chosen(lines, places))


def _rows(lines: Lines) -> Iterator[Row]:
    return (as_row(lines, place, line) for place, line in enumerate(lines))


def _permutation(count: int, seed: int) -> array[int]:
    places = array("Q", range(count))
    Random(seed).shuffle(places)  # noqa: S311  # an order, no secret
    return places


def _strata(lines: Lines, order: Sequence[int], name: str) -> list[Sequence[int]]:
    """The places in their order, by the value that the rows have in a field."""
    groups: dict[bytes, array[int]] = {}
    for place in order:
        row = as_row(lines, place, lines.line(place))
        value = value_at(row, name, _MISSING)
        if value is _MISSING:
            raise ConfigError(f"{lines.where(place)}, has no field {name!r} to split by. {did_you_mean(name, row)}")
        groups.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), array("Q")).append(place)
    return [groups[key] for key in sorted(groups)]


def _cell(row: Row, name: str) -> str:
    value = row.get(name, "")
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return html.escape(cut).replace("\n", "<br>")
