"""`kto`: unpaired preferences as TRL's KTOTrainer takes them: prompt, completion, and whether it is a good one."""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.preference import Preference, preference
from rowsmith.data.lines import Row


def kto(found: Preference) -> list[Row]:
    """Two rows of `prompt`, `completion`, `label`: the chosen answer with true, the rejected one with false."""
    return [
        {"prompt": found.prompt, "completion": found.chosen, "label": True},
        {"prompt": found.prompt, "completion": found.rejected, "label": False},
    ]


FORMAT = Format(kto, reads=preference)
