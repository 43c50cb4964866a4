"""Write the table of providers in `docs/models.md` anew, from what their classes tell of themselves.

    python scripts/write_provider_table.py

A test fails where the page and the code differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rowsmith.llm.overview import Listed, overview

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
BEGIN = "<!-- providers: written by scripts/write_provider_table.py -->"
END = "<!-- end of providers -->"
HEAD = ("provider", "default model", "structured output", "batches", "limits learnt", "reasoning", "prices", "key")
RUNGS = {"schema": "schema", "json": "JSON", "prompt": "prompt"}
PRICES = {"list": "in the list", "free": "free"}


def main() -> int:
    """Write the page; 1 if it has no place for the table."""
    before = PAGE.read_text(encoding="utf-8")
    if BEGIN not in before or END not in before:
        print(f"{PAGE} has no place for the table: {BEGIN} … {END}", file=sys.stderr)
        return 1
    after = with_table(before)
    PAGE.write_text(after, encoding="utf-8")
    print(f"{PAGE.name}: {'as it was' if after == before else 'written anew'}")
    return 0


def with_table(page: str) -> str:
    """The page with the table as the code has it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """All providers of Rowsmith's own, in Markdown."""
    rows = [cells(one) for one in overview() if one.package == "rowsmith" and one.facts.rungs]
    return "\n".join("| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * len(HEAD), *rows))


def cells(one: Listed) -> tuple[str, ...]:
    """The row of one provider."""
    facts = one.facts
    title = f"[{facts.title}]({facts.docs})" if facts.docs else facts.title
    if not facts.keys:
        key = "by the model" if facts.needs_key else "none"
    else:
        key = ", ".join(f"`{name}`" for name in facts.keys) + ("" if facts.needs_key else ", if it asks for one")
    return (
        f"`{one.name}`: {title}",
        f"`{one.model}`" if one.model else "name one",
        ", ".join(RUNGS[rung] for rung in facts.rungs),
        "yes" if one.batches else "no",
        "yes" if facts.learns_limits else "no",
        f"`{facts.reasoning}`" if facts.reasoning else "no",
        PRICES.get(one.prices, "by its address" if facts.bases and not facts.base else "give them"),
        key,
    )


if __name__ == "__main__":
    sys.exit(main())
