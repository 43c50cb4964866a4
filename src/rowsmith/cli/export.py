"""`rowsmith export`: rows as trainers, spreadsheets and annotation tools take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.options import Debug
from rowsmith.cli.show import Contains, RowsFile, Where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowsmith.data.dataset import Dataset

FORMATS = (
    "jsonl, csv, parquet; messages, chatml, alpaca, sharegpt, harmony; dpo, kto, grpo; squad, conll, "
    "token_classification, spacy, label_studio; one that a package brings; or file.py:function."
)


def export(
    file: RowsFile,
    format: Annotated[  # noqa: A002  # the option's name
        str,
        typer.Option("--format", "-f", metavar="F", help=FORMATS),
    ] = "jsonl",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Where to; beside the rows, named after the format, if not."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="An option of the format, as in system='Be brief.'"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="The column that has a field, as in question=prompt."),
    ] = None,
    where: Where = None,
    contains: Contains = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="SHARES", help="Into several files, as in train=0.8,test=0.2."),
    ] = None,
    stratify_by: Annotated[
        str | None, typer.Option("--stratify-by", metavar="FIELD", help="With --split: the same mix of this in each.")
    ] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="In random order; --split does so anyway.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Of all that is drawn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    debug: Debug = False,
) -> int:
    """Write rows in another format, all of them or none.

    Formats are functions from a row to what is written; your own: --format shapes.py:function.
    """
    del debug  # read by `guarded`

    from rowsmith.cli.summary import near
    from rowsmith.cli.terminal import printable, say
    from rowsmith.data.choosing import Choice, condition
    from rowsmith.data.dataset import Dataset
    from rowsmith.data.export import export as write
    from rowsmith.data.formats import resolve, takes_seed

    made = resolve(format)
    path = output or _beside(file, made.name, made.suffix, split=split is not None)
    dataset = Dataset.load(file).chosen(Choice(where=dict(map(condition, where or ())), contains=contains))
    parts = _parts(dataset, split, stratify_by, shuffle=shuffle, seed=seed)
    files = {path.with_name(f"{path.stem}.{name}{path.suffix}") if name else path: part for name, part in parts.items()}
    options: dict[str, Any] = _pairs(option or (), "--option", "system='Be brief.'")
    if takes_seed(made.reads, made.convert):
        options.setdefault("seed", seed)
    columns = _pairs(column or (), "--column", "question=prompt")
    lines = {path: part.rows.lines for path, part in files.items()}
    for path, count in write(lines, made, columns=columns, force=force, options=options).items():
        say(f"{count:,} row{'' if count == 1 else 's'}: {printable(near(path))}")
    return 0


def _beside(file: Path, name: str, suffix: str, *, split: bool) -> Path:
    """The output where none is named: `rows.dpo.jsonl`, or `rows.csv` where the ending says all."""
    from rowsmith.errors import ConfigError

    path = file.with_name(f"{file.stem}{suffix}" if f".{name}" == suffix else f"{file.stem}.{name}{suffix}")
    if path == file and not split:
        raise ConfigError(f"{file.name} is {name} already: say where to write it, with --output")
    return path


def _parts(
    dataset: Dataset, split: str | None, stratify_by: str | None, *, shuffle: bool, seed: int
) -> Mapping[str, Dataset]:
    """The parts by their names; one without a name where all goes to one file."""
    from rowsmith.errors import ConfigError

    if split is None:
        if stratify_by is not None:
            raise ConfigError("--stratify-by needs --split, such as --split train=0.8,test=0.2")
        return {"": dataset.shuffle(seed) if shuffle else dataset}
    shares = {}
    for name, share in _pairs(split.split(","), "--split", "train=0.8,test=0.2").items():
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise ConfigError(f"the share of {name!r} is {share!r}; write a number such as 0.8") from None
        if not name.strip().isidentifier() or name.strip() in ("stratify_by", "seed", "shuffle"):
            raise ConfigError(f"{name!r} cannot be the name of a part; use letters, as in train=0.8,test=0.2")
    return dataset.split(stratify_by=stratify_by, seed=seed, shuffle=True, **shares)


def _pairs(texts: Sequence[str], where: str, example: str) -> dict[str, str]:
    from rowsmith.errors import ConfigError

    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"{where} is written {example}; got {text!r}")
        pairs[name] = value
    return pairs
