"""What the tests of sources share: one list of texts written in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rowsmith.data.readers import Source, open_source
from rowsmith.data.shapes import Document
from rowsmith.errors import SourceError

TEXTS = ["007", "  def f():\n\treturn 1\r\n", "a, \"b\"; 'c'", "é 漢 \U0001f600", "\ufeffmark", "x\u2028y\x0bz", "1.10"]


LONG = "x" * 2_000


def shards(count: int, rows: int) -> dict[str, bytes]:
    """So many files of so many rows, as the Hub names them; row n is `n xxx…`."""
    return {
        f"data/train-{shard:05d}-of-{count:05d}.jsonl": "".join(
            json.dumps({"id": f"{at:04d}", "text": f"{at} {LONG}", "unused": LONG}) + "\n"
            for at in range(shard * rows, (shard + 1) * rows)
        ).encode()
        for shard in range(count)
    }


def as_csv(texts: Iterable[str], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text", "note"])
    writer.writerows([f"{at:03d}", text, "n\nm"] for at, text in enumerate(texts))
    return out.getvalue().encode()


def as_jsonl(texts: Iterable[str]) -> bytes:
    return "".join(json.dumps({"id": at, "text": text}) + "\n" for at, text in enumerate(texts)).encode()


def as_json(texts: Iterable[str]) -> bytes:
    return json.dumps([{"text": text, "more": {"a": ["]", 1]}} for text in texts], ensure_ascii=False).encode()


FORMATS: dict[str, Callable[[list[str]], bytes]] = {
    "a.csv": as_csv,
    "semicolons.csv": lambda texts: as_csv(texts, ";"),
    "a.tsv": lambda texts: as_csv(texts, "\t"),
    "a.jsonl": as_jsonl,
    "a.ndjson": as_jsonl,
    "a.json": as_json,
    "b.json": lambda texts: json.dumps(texts).encode(),
    "inside.json": lambda texts: b'{"version": "1", "data": ' + as_json(texts) + b', "n": {"of": [3]}}',
    "a.txt": lambda texts: "\n".join(texts).encode(),
}


def file_at(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def texts(source: Source[Document]) -> list[str]:
    return [document.text for document in source]


def message(origin: Any, column: str = "text", **how: Any) -> str:
    """What is said of a source that cannot be read."""
    with pytest.raises(SourceError) as caught:
        open_source(origin, column, **how)
    return str(caught.value)


def contexts(source: Sequence[Document]) -> list[tuple[str, str | None]]:
    return [(document.text, document.context) for document in source]
