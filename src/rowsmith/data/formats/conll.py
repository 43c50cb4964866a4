"""`conll`: a token and its BIO tag in each line, an empty line after each text, as CoNLL-2003 has it.

https://www.clips.uantwerpen.be/conll2003/ner/
"""

from __future__ import annotations

from typing import BinaryIO, Literal

from rowsmith.data.formats import Format, Scan
from rowsmith.data.formats.tagged import tokens_and_tags
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def conll(row: Row) -> Row:
    """A row of `tokens` and `tags`, none of whose tokens would break its line."""
    tokens, tags = tokens_and_tags(row)
    for token in tokens:
        if not token or len(token.split()) != 1 or token.split()[0] != token:
            raise ConfigError(f"its token {token!r} is empty or has blanks in it, which divide the columns of CoNLL")
    return {"tokens": tokens, "tags": tags}


class ConllWriter:
    """Writes lines of `token tag`.

    Args:
        file: where to.
        scan: not used.
        style: `plain` has two columns. `conll2003` has four, with `-X-` where part of speech and chunk are not known,
            and `-DOCSTART-` at its head.
    """

    def __init__(self, file: BinaryIO, scan: Scan, *, style: Literal["plain", "conll2003"] = "plain") -> None:
        del scan
        self._file = file
        self._between = " -X- -X- " if style == "conll2003" else " "
        if style == "conll2003":
            file.write(b"-DOCSTART- -X- O O\n\n")

    def write(self, row: Row) -> None:
        lines = [f"{token}{self._between}{tag}\n" for token, tag in zip(row["tokens"], row["tags"], strict=True)]
        self._file.write("".join([*lines, "\n"]).encode())

    def close(self) -> None:
        """Nothing is left to write."""


FORMAT = Format(conll, writers={".conll": ConllWriter, ".txt": ConllWriter, ".iob": ConllWriter})
