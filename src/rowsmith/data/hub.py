"""Puts rows on the Hugging Face Hub: Parquet files in parts, and a card, in one commit.

Only one part is on disk and one batch of rows in memory at a time. The files are uploaded first, where nobody sees
them; the commit then shows all of them at once, in the place of those of an earlier push. What goes wrong before it
leaves the repository as it was.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from rowsmith.data.card import CONFIGURATION, Facts, Origin, Part, card, card_as_it_is
from rowsmith.data.formats.parquet import BATCH, schema_of, without_empty
from rowsmith.data.hub_errors import TOKENS, Told, status_of
from rowsmith.data.lines import Lines, Row, as_row
from rowsmith.data.statistics import statistics_of
from rowsmith.errors import ConfigError, MissingDependencyError, StorageError

SHARD_BYTES = 200 << 20
"""Size from which on a Parquet file is closed and another begun."""
_OURS = re.compile(r"data/[^/]+-\d{5}-of-\d{5}(-[0-9a-f]+)?\.parquet")
"""Files of an earlier push, by this or by `datasets`."""
_README = "README.md"
_TRIES = 5
"""Commits that are tried while others push to the same repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """How far a push has come.

    Attributes:
        rows: rows whose file is at the Hub.
        of: rows in all.
        files: files that are there.
    """

    rows: int
    of: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What goes to the Hub, and how.

    Attributes:
        parts: split → its lines.
        token: of the Hub; None takes that of the environment variable HF_TOKEN or of the Hub's own login.
        private: of a repository that is made; one that is there must not be more open.
        message: of the commit.
        upload_card: write the card. Otherwise one that is there is changed only where loading depends on it.
        origin: how the rows were made; None if nothing is known.
        license: for the card.
        languages: codes, for the card.
        progress: called after each file.
    """

    parts: Mapping[str, Lines]
    token: str | None = None
    private: bool = True
    message: str | None = None
    upload_card: bool = True
    origin: Origin | None = None
    license: str | None = None
    languages: Sequence[str] = ()
    progress: Callable[[Uploaded], None] | None = None


def push(repo_id: str, what: Push) -> str:
    """Put rows on the Hub; returns the address of the dataset's page.

    Args:
        repo_id: `owner/name`.
        what: the rows, and the rest.

    Raises:
        MissingDependencyError: the extra `hub` is not installed.
        ConfigError: there is no token, `repo_id` is no name, a split has no rows, a field cannot be a column, or the
            repository is public and a private one was asked for. Nothing was uploaded.
        HubError: the Hub refuses, or cannot be reached. The repository is as it was.
        StorageError: there is no room for a file on its way.
    """
    hub = _hub()
    _check(hub, repo_id, what)
    token = _token(hub, what.token)
    # The address is read here, not when the library is imported: it may be set until now.
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="rowsmith")
    told = Told(repo_id, token)
    with told:
        api.whoami()
    schema = schema_of(row for lines in what.parts.values() for row in _rows(lines))
    with told:
        repo_id = api.create_repo(repo_id, repo_type="dataset", private=what.private, exist_ok=True).repo_id
        info = api.dataset_info(repo_id)
    if what.private and info.private is False:
        raise ConfigError(
            f"{repo_id} is there already and public: everybody could read these rows. If that is meant, say "
            "private=False (--public); otherwise name another repository, or make it private in its settings"
        )
    upload = _Upload(hub, api, repo_id, schema, what, told)
    facts = upload.files()
    upload.commit(facts)
    return f"{api.endpoint}/datasets/{repo_id}"


class _Upload:
    """One push under way."""

    def __init__(self, hub: Any, api: Any, repo_id: str, schema: Any, what: Push, told: Told) -> None:
        self._hub = hub
        self._api = api
        self._repo_id = repo_id
        self._schema = schema
        self._what = what
        self._told = told
        self._operations: list[Any] = []
        self._rows = 0

    def files(self) -> Facts:
        """Upload the rows; returns what a card tells of them."""
        what = self._what
        with _room() as folder:
            parts = {name: self._split(name, lines, folder) for name, lines in what.parts.items()}
        lines = list(what.parts.values())
        return Facts(
            name=self._repo_id,
            features=features_of(self._schema),
            parts=parts,
            statistics=statistics_of(_All(lines)) if what.upload_card else None,
            example=as_row(lines[0], 0, lines[0].line(0)) if what.upload_card else None,
            origin=what.origin,
            license=what.license,
            languages=what.languages,
        )

    def _split(self, name: str, lines: Lines, folder: Path) -> Part:
        rows = size = stored = 0
        added: list[Any] = []
        for path, shard_rows, shard_size in _shards(lines, self._schema, folder):
            operation = self._hub.CommitOperationAdd(f"data/{name}-{len(added):05d}.parquet", path)
            stored += path.stat().st_size
            with self._told:
                self._api.preupload_lfs_files(self._repo_id, [operation], repo_type="dataset")
            if not isinstance(operation.path_or_fileobj, str | Path):
                path.unlink()  # it is at the Hub; a small one may go with the commit itself
            else:
                operation.path_or_fileobj = path.read_bytes()
            added.append(operation)
            rows, size = rows + shard_rows, size + shard_size
            self._rows += shard_rows
            self._tell(len(self._operations) + len(added))
        for number, operation in enumerate(added):
            operation.path_in_repo = f"data/{name}-{number:05d}-of-{len(added):05d}.parquet"
        self._operations += added
        return Part(rows=rows, size=size, stored=stored)

    def _tell(self, files: int) -> None:
        if self._what.progress is not None:
            total = sum(map(len, self._what.parts.values()))
            self._what.progress(Uploaded(rows=self._rows, of=total, files=files))

    def commit(self, facts: Facts) -> None:
        """Show all that was uploaded, and take away what an earlier push left."""
        for left in reversed(range(_TRIES)):
            with self._told:
                head = self._api.dataset_info(self._repo_id).sha
                there = self._api.list_repo_files(self._repo_id, repo_type="dataset", revision=head)
                more = self._beside(facts, there, head)
                operations = [*self._operations, *more]
                kept = {operation.path_in_repo for operation in operations}
                gone = [path for path in there if path not in kept and self._is_left_over(path)]
                operations += [self._hub.CommitOperationDelete(path) for path in gone]
                try:
                    self._api.create_commit(
                        self._repo_id,
                        operations,
                        commit_message=self._what.message or "Upload dataset",
                        repo_type="dataset",
                        parent_commit=head,
                    )
                except self._hub.errors.HfHubHTTPError as error:
                    # Somebody else has pushed since: 409 and 412. The rows are at the Hub already, so it costs little.
                    if left and status_of(error) in (409, 412):
                        continue
                    raise
            return

    def _beside(self, facts: Facts, there: Sequence[str], head: str | None) -> list[Any]:
        """The card and the configuration."""
        before = self._read(_README, head) if _README in there else None
        files = {}
        if self._what.upload_card:
            files[_README] = card(facts, before)
            if facts.origin is not None and facts.origin.configuration is not None:
                files[CONFIGURATION] = facts.origin.configuration
        elif before is not None:
            files[_README] = card_as_it_is(facts, before)
        return [self._hub.CommitOperationAdd(path, text.encode()) for path, text in files.items()]

    def _read(self, path: str, revision: str | None) -> str:
        with tempfile.TemporaryDirectory(prefix="rowsmith-") as folder:
            file = self._api.hf_hub_download(
                self._repo_id, path, repo_type="dataset", revision=revision, local_dir=folder
            )
            return Path(file).read_text(encoding="utf-8", errors="replace")

    def _is_left_over(self, path: str) -> bool:
        """Whether a file is of an earlier push, and would be wrong beside these rows."""
        return bool(_OURS.fullmatch(path)) or (path == CONFIGURATION and self._what.upload_card)


class _All:
    """The lines of all parts, for counting."""

    def __init__(self, parts: Sequence[Lines]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from part

    def line(self, place: int) -> bytes:
        part, place = self._at(place)
        return part.line(place)

    def where(self, place: int) -> str:
        part, place = self._at(place)
        return part.where(place)

    def _at(self, place: int) -> tuple[Lines, int]:
        for part in self._parts:
            if place < len(part):
                return part, place
            place -= len(part)
        raise IndexError(place)


# -- files ------------------------------------------------------------------------------------------------------------


def _rows(lines: Lines) -> Iterator[Row]:
    return (as_row(lines, place, line) for place, line in enumerate(lines))


def _shards(lines: Lines, schema: Any, folder: Path) -> Iterator[tuple[Path, int, int]]:
    """(file, rows, bytes in memory) of each Parquet file; the next is begun when the last one is done with."""
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    left = map(without_empty, _rows(lines))
    batch = list(islice(left, BATCH))
    number = 0
    while batch:
        path = folder / f"{number:05d}.parquet"
        rows = size = 0
        with _written(path), path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
            while batch and file.tell() < SHARD_BYTES:
                table = pyarrow.Table.from_pylist(batch, schema=schema)
                writer.write_table(table)
                rows, size = rows + len(batch), size + table.nbytes
                batch = list(islice(left, BATCH))
        yield path, rows, size
        number += 1


def features_of(schema: Any) -> list[dict[str, Any]]:
    """The columns of an Arrow schema as `dataset_info` in a card has them."""
    return [{"name": field.name, **_feature(field.type)} for field in schema]


def _feature(kind: Any) -> dict[str, Any]:
    types = import_module("pyarrow").types
    if types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    if types.is_struct(kind):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    return {"dtype": "float64" if types.is_float64(kind) else str(kind)}


@contextmanager
def _room() -> Iterator[Path]:
    """A folder for files on their way."""
    with tempfile.TemporaryDirectory(prefix="rowsmith-") as folder:
        yield Path(folder)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written on its way to the Hub: {error.strerror or error}. "
            "The environment variable TMPDIR names another folder."
        ) from error


# -- the Hub ----------------------------------------------------------------------------------------------------------


def _check(hub: Any, repo_id: str, what: Push) -> None:
    """Refuse what cannot go well.

    Raises:
        ConfigError: the name is none, or a part is empty.
    """
    try:
        hub.utils.validate_repo_id(repo_id)
    except hub.errors.HFValidationError as error:
        raise ConfigError(f"{repo_id!r} is no name of a dataset on the Hub, such as 'ada/reviews': {error}") from error
    for name, lines in what.parts.items():
        if not len(lines):
            which = f"the split {name!r} would have no rows" if len(what.parts) > 1 else "there are no rows"
            raise ConfigError(f"{which}: nothing to push to {repo_id}")


def _token(hub: Any, given: str | None) -> str:
    token = (given or hub.get_token() or "").strip()
    if not token:
        raise ConfigError(
            "there is no token for the Hugging Face Hub: set HF_TOKEN, log in with `hf auth login`, or in Python give "
            f"token=. Make one with the right to write: {TOKENS}"
        )
    return str(token)


def _hub() -> Any:
    try:
        import_module("pyarrow")
        hub = import_module("huggingface_hub")
        import_module("huggingface_hub.errors")
        import_module("huggingface_hub.utils")
    except ImportError as error:
        raise MissingDependencyError("Pushing to the Hugging Face Hub", "hub") from error
    return hub
