"""`alpaca`: instruction, input and output, as Stanford Alpaca, LLaMA-Factory and Axolotl take them.

https://github.com/tatsu-lab/stanford_alpaca#data-release
"""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Exchange, exchange
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def alpaca(found: Exchange) -> Row:
    """`instruction`, `input`, `output`; `system` and `history` (pairs of earlier turns) where the row has them."""
    if not found.instruction:
        raise ConfigError("it has no instruction: say what is asked of the text with --option instruction='...'")
    row: Row = {"instruction": found.instruction, "input": found.material, "output": found.answer}
    before = list(found.before)
    if before and before[0]["role"] in ("system", "developer"):
        row["system"] = before.pop(0)["content"]
    if before:
        roles = [message["role"] for message in before]
        if roles != ["user", "assistant"] * (len(roles) // 2):
            raise ConfigError("its turns are not the user's and the assistant's by turns")
        texts = [message["content"] for message in before]
        row["history"] = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    return row


FORMAT = Format(alpaca, reads=exchange)
