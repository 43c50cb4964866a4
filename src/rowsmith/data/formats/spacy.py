"""`spacy`: entities and categories as spaCy trains on them.

Into `.jsonl` go texts with the offsets of their entities (https://spacy.io/api/data-formats#dict-input), into `.spacy`
the binary file that `spacy train` reads, which needs spaCy.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format, Scan
from rowsmith.data.formats.jsonl import JSONLinesWriter
from rowsmith.data.formats.misfit import lacking, list_of, text_of
from rowsmith.data.formats.tagged import spans_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator


def spacy(row: Row) -> Row:
    """`{"text": ..., "entities": [[start, end, label]]}`, or `cats` for rows with a label or labels."""
    if row.get("entities") is not None:
        text, spans = spans_of(row)
        for one, following in pairwise(spans):
            if following.start < one.end:
                raise ConfigError(
                    f"its entities {text[slice(*one[:2])]!r} and {text[slice(*following[:2])]!r} overlap, which "
                    "spaCy's entities cannot"
                )
        return {"text": text, "entities": [list(span) for span in spans]}
    if row.get("labels") is not None:
        return {"text": text_of(row, "text"), "cats": {spelled(label): 1.0 for label in list_of(row, "labels")}}
    if row.get("text") is not None and row.get("label") is not None:
        return {"text": text_of(row, "text"), "cats": {spelled(row["label"]): 1.0}}
    raise lacking(row, ["text", "entities (or label, or labels)"])


class _Categories:
    """Says of each text also which categories it does not have: spaCy takes one that is not named for unknown."""

    def __init__(self, scan: Scan) -> None:
        self._names = sorted({name for row in scan() for name in row.get("cats", ())})

    def completed(self, row: Row) -> Row:
        cats = row.get("cats")
        return row if cats is None else {**row, "cats": {name: cats.get(name, 0.0) for name in self._names}}


class SpacyLinesWriter:
    """Writes a JSON object in each line."""

    def __init__(self, file: BinaryIO, scan: Scan) -> None:
        self._lines = JSONLinesWriter(file, scan)
        self._categories = _Categories(scan)

    def write(self, row: Row) -> None:
        self._lines.write(self._categories.completed(row))

    def close(self) -> None:
        self._lines.close()


class DocBinWriter:
    """Writes a `.spacy` file. spaCy keeps all of it in memory until it is written.

    Args:
        file: where to.
        scan: gives all rows.
        lang: the language by whose rules texts are divided into tokens; `xx` has none of its own.
        alignment: what becomes of an entity that begins or ends within a token: `strict` refuses it, `contract` and
            `expand` take the tokens wholly within it, or all that it touches.

    Raises:
        MissingDependencyError: spaCy is not installed.
    """

    def __init__(
        self,
        file: BinaryIO,
        scan: Scan,
        *,
        lang: str = "xx",
        alignment: Literal["strict", "contract", "expand"] = "strict",
    ) -> None:
        try:
            import spacy as library
            from spacy.tokens import DocBin
        except ImportError as error:
            raise MissingDependencyError("a .spacy file", "spacy") from error
        self._file = file
        self._categories = _Categories(scan)
        self._alignment = alignment
        try:
            self._nlp = library.blank(lang)
        except ImportError as error:
            raise ConfigError(f"spaCy knows no language {lang!r}; `xx` is none in particular") from error
        self._docs: Any = DocBin(store_user_data=False)

    def write(self, row: Row) -> None:
        made = self._nlp.make_doc(row["text"])
        if "entities" in row:
            made.ents = list(self._entities(made, row))
        made.cats = self._categories.completed(row).get("cats", {})
        self._docs.add(made)

    def close(self) -> None:
        self._file.write(self._docs.to_bytes())

    def _entities(self, made: Any, row: Row) -> Iterator[Any]:
        for start, end, label in row["entities"]:
            span = made.char_span(start, end, label=label, alignment_mode=self._alignment)
            if span is None:
                raise ConfigError(
                    f"its entity {row['text'][start:end]!r} begins or ends within one of spaCy's tokens: name the "
                    "language (--option lang=en), or allow it with --option alignment=expand"
                )
            yield span


FORMAT = Format(spacy, writers={".jsonl": SpacyLinesWriter, ".spacy": DocBinWriter})
