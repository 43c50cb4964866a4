"""`token_classification`: tokens and tags as Hugging Face's token classification examples take them.

https://huggingface.co/docs/transformers/tasks/token_classification
"""

from __future__ import annotations

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format
from rowsmith.data.formats.tagged import tokens_and_tags
from rowsmith.data.lines import Row


def token_classification(row: Row) -> Row:
    """`id`, `tokens` and `ner_tags`, the tags by name."""
    tokens, tags = tokens_and_tags(row)
    return {"id": spelled(row.get("id") or ""), "tokens": tokens, "ner_tags": tags}


FORMAT = Format(token_classification)
