"""Cells that contend for rows in the order of events that makes it hardest, in a process of its own if need be."""

from __future__ import annotations

from typing import Any

from .child import Job, Journal, armed
from .harness import QUICK, Model, Question, classes, dataset, entries

# The first call of a run goes alone: it is of no interest here.
CELLS: dict[str, Any] = {
    "classes": classes("first", "z", "a", "b"),
    "expansion": {},
    "prompts": ["Write {num_samples} texts in {language_name}, {label_name}: {label_description}."],
    "num_samples_per_prompt": 2,
}


def contended(question: Question) -> str:
    """Z takes S from A; A then asks for two instead of one and has R no more; B, refused R before, may have it."""
    first = "\n" not in question.prompt
    if "English, first" in question.prompt:
        return entries("F", "G")
    if "English, z" in question.prompt:
        return entries("S", "Z2")
    if "English, a" in question.prompt:
        return entries("S", "") if first else entries("R") if question.count == 1 else entries("P", "Q")
    return entries("R", "T") if first else entries("U")


def slow_z(question: Question) -> float:
    if "English, z" in question.prompt:
        return 0.12
    return 0.06 if "English, b" in question.prompt else 0.0


EXPECTED = ["F", "G", "S", "Z2", "P", "Q", "R", "T"]


def work(job: Job) -> None:
    """In a process of its own: the three cells, Z the last to be answered."""
    listener = armed(job.kill, Journal(job.folder))
    model = Model(contended, seconds=slow_z)
    dataset(job.folder, **CELLS).generate(model, options=QUICK, listeners=[listener])
