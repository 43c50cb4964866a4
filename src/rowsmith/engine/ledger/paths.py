"""Where the files of a run lie: beside the rows file, in a folder of its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run, all found from the rows file's path."""

    rows: Path

    @property
    def folder(self) -> Path:
        """`sentiment.run` beside `sentiment.jsonl`; other endings stay in the name, so that no two files share one."""
        name = self.rows.name.removesuffix(".jsonl")
        return self.rows.with_name(f"{name}.run")

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.sqlite"

    @property
    def rejected(self) -> Path:
        return self.folder / "rejected.jsonl"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def source(self) -> Path:
        """What was fetched of a source; it is no part of what the run has made, and stays when that is deleted."""
        return self.folder / "source"

    @property
    def reserve(self) -> Path:
        """Space set aside: given back when the disk is full, so that the answers at hand still find room."""
        return self.folder / "reserve"

    @classmethod
    def of(cls, output: str | Path) -> RunPaths:
        """The paths of the run that writes to `output`; a run's folder is taken for its rows file."""
        path = Path(output)
        if path.suffix == ".run":
            return cls(path.with_suffix(".jsonl"))
        return cls(path)
