"""`dpo`: preferences as TRL's DPOTrainer, RewardTrainer and their kin take them: prompt, chosen, rejected."""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.preference import Preference, preference
from rowsmith.data.lines import Row


def dpo(found: Preference) -> Row:
    """`{"prompt": ..., "chosen": ..., "rejected": ...}`, each a list of messages or, in the standard style, a text."""
    return found._asdict()


FORMAT = Format(dpo, reads=preference)
