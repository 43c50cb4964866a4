"""What kinds have in common that are made from documents or from rows: where these come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, model_validator

from rowsmith.data.folders import Reading
from rowsmith.data.hub_source import HubDataset
from rowsmith.data.readers import Source, open_rows, open_source
from rowsmith.data.shapes import Document, Row
from rowsmith.engine.ledger.paths import RunPaths
from rowsmith.recipes.base import DatasetConfig

_SOURCES = ("local_file_path", "hf_dataset_name", "documents")
_OF_THE_HUB = ("hf_config_name", "hf_revision", "split")

InMemory = Annotated[
    list[str | dict[str, Any]] | Any,
    WithJsonSchema({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}}),
]
"""A list of texts or of mappings, or a table (pandas, Polars, Arrow, `datasets`)."""


class SourceConfig(DatasetConfig):
    """A source of documents or rows: exactly one of `local_file_path`, `hf_dataset_name` and `documents`.

    Attributes:
        local_file_path: a file (`.txt`, `.md`, `.csv`, `.tsv`, `.jsonl`, `.json`, `.parquet`, each also as `.gz` but
            the last), a folder, or a pattern such as `notes/**/*.md`.
        hf_dataset_name: a dataset of the Hugging Face Hub. What is fetched of it is kept in the run's folder.
        hf_config_name: its configuration (subset), where it has several.
        hf_revision: a branch, tag or commit of it; None is what is newest when the run begins.
        split: its split.
        documents: texts, mappings or a table in memory.
        id_column: the column of the ids that rows are to be found again by.
        sample_count: only so many documents or rows, the first that fit; None for all.
        encoding: of text files, such as `cp1252`; None is UTF-8, or what a byte order mark says.
        whole_files: a `.txt` file is one document; otherwise one in each line.
        bad_rows: `skip` leaves out rows that cannot be read, and counts them; `error` stops at the first.
    """

    local_file_path: str | None = None
    hf_dataset_name: str | None = None
    hf_config_name: str | None = None
    hf_revision: str | None = None
    split: str = "train"
    documents: InMemory = Field(default=None, exclude=True, repr=False)
    id_column: str | None = None
    sample_count: int | None = Field(default=None, ge=1)
    encoding: str | None = None
    whole_files: bool = False
    bad_rows: Literal["error", "skip"] = "error"

    source_fields: ClassVar[frozenset[str]] = frozenset(
        {"local_file_path", "hf_dataset_name", "hf_config_name", "hf_revision", "split", "sample_count", "encoding"}
        | {"whole_files", "bad_rows"}
    )
    """Fields that may change on the same output, as long as every document that was there is there still."""

    @model_validator(mode="after")
    def _one_source(self) -> SourceConfig:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            received = " and ".join(given) or "none"
            raise ValueError(f"give one of {', '.join(_SOURCES)}; received: {received}")
        if self.hf_dataset_name is None and (extra := [name for name in _OF_THE_HUB if name in self.model_fields_set]):
            raise ValueError(f"{' and '.join(extra)} can be given with hf_dataset_name only")
        if (
            self.local_file_path is not None
            and Path(self.local_file_path).resolve() == Path(self.output_file).resolve()
        ):
            raise ValueError(f"local_file_path and output_file are the same file: {self.output_file}")
        return self

    @property
    def remote(self) -> bool:
        return self.hf_dataset_name is not None

    def open_rows(self, columns: Sequence[str] | None = None, *, distinct: bool = False) -> Source[Row]:
        """The rows, each with these columns, or with all it has.

        Raises:
            SourceError: they cannot be read, lack a column, or there is none.
            MissingDependencyError: a package is needed to read them that is not installed.
        """
        return open_rows(self._origin(), columns, distinct=distinct, limit=self.sample_count, reading=self._reading())

    def _origin(self) -> Any:
        if self.hf_dataset_name is not None:
            return HubDataset(
                name=self.hf_dataset_name,
                folder=RunPaths.of(self.output_file).source,
                config=self.hf_config_name,
                split=self.split,
                revision=self.hf_revision,
            )
        return self.documents if self.local_file_path is None else self.local_file_path

    def _reading(self) -> Reading:
        paths = RunPaths.of(self.output_file)
        # A folder may hold the dataset that is made of it, which must not become a source of itself.
        return Reading(self.encoding, self.whole_files, self.bad_rows, exclude=(paths.rows, paths.folder))


class DocumentsConfig(SourceConfig):
    """A source whose rows have a text to work from.

    With `context_column`, templates of `prompts` must have `{context}` as well.

    Attributes:
        text_column: the column or field of the text; lines of `.txt` and whole files have none.
        context_column: the column of a further text that is shown with each document: a title, a summary.
        min_document_length: shorter documents are left out, in characters.
        max_document_length: longer documents are left out, in characters.
    """

    text_column: str = "text"
    context_column: str | None = None
    min_document_length: int = Field(default=100, ge=0)
    max_document_length: int = Field(default=10_000, ge=1)

    available: ClassVar[frozenset[str]] = frozenset({"context"})
    source_fields: ClassVar[frozenset[str]] = SourceConfig.source_fields | {
        "min_document_length",
        "max_document_length",
    }

    @model_validator(mode="after")
    def _lengths_fit(self) -> DocumentsConfig:
        if self.min_document_length > self.max_document_length:
            raise ValueError(
                f"min_document_length={self.min_document_length} is more than "
                f"max_document_length={self.max_document_length}: no document can fit"
            )
        return self

    @model_validator(mode="after")
    def _context_is_shown(self) -> DocumentsConfig:
        for number, template in enumerate(self.templates):
            shown = "context" in template.mandatory
            if shown and self.context_column is None:
                raise ValueError(f"prompts[{number}] has {{context}}, and no context_column is given")
            if not shown and self.context_column is not None:
                raise ValueError(
                    f"prompts[{number}] lacks {{context}}, where the text of the column {self.context_column!r} goes"
                )
        return self

    def open_documents(self) -> Source[Document]:
        """The documents, no two of them alike.

        Raises:
            SourceError: they cannot be read, lack a column, or none has a length that fits.
            MissingDependencyError: a package is needed to read them that is not installed.
        """
        return open_source(
            self._origin(),
            self.text_column,
            context_column=self.context_column,
            id_column=self.id_column,
            min_length=self.min_document_length,
            max_length=self.max_document_length,
            distinct=True,
            limit=self.sample_count,
            reading=self._reading(),
        )
