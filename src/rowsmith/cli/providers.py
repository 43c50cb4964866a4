"""`rowsmith providers`: which services can be asked, and what is set for them here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import Debug

if TYPE_CHECKING:
    from rowsmith.llm.overview import Listed

_WIDEST_MODEL = 34


def providers(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, with its arguments.")] = None,
    debug: Debug = False,
) -> int:
    """List the providers: default model, whether a key is set and where, address, limits, and what is missing.

    Nothing is asked over the network, and no key is shown.
    """
    del debug  # read by `guarded`

    from rowsmith.cli.terminal import say, show
    from rowsmith.llm.overview import overview, provider

    if name is not None:
        for line in details(provider(name.strip().partition("/")[0])):
            show(line)
        return 0
    for line in table(overview()):
        show(line)
    say("A model is named provider/model: rowsmith run job.yaml --llm openai/gpt-5-mini. More: rowsmith providers NAME")
    return 0


def table(found: list[Listed]) -> list[str]:
    """One line for each provider."""
    from rowsmith.cli.terminal import columns, line

    rows = [["provider", "default model", "key", "limits", "address"]]
    for one in found:
        if not one.problem:
            limits = "told" if one.facts.learns_limits else "-"
            rows.append([one.name, line(one.model or "name one", _WIDEST_MODEL), _key(one), limits, _address(one)])
    unusable = [f"{one.name}: {line(one.problem)}" for one in found if one.problem]
    return [*columns(rows, (False,) * 5), *(["", "Not usable here:", *unusable] if unusable else [])]


def details(one: Listed) -> list[str]:
    """All that is known of one provider."""
    import sys

    from rowsmith.cli.terminal import line, painted

    facts = one.facts
    rungs = ", ".join({"schema": "JSON Schema", "json": "JSON mode", "prompt": "by the prompt"}[r] for r in facts.rungs)
    prices = {"free": "free", "list": "in the list that comes with Rowsmith"}.get(one.prices, "not known: give them")
    told = "told in its replies, and kept to" if facts.learns_limits else "not told by its replies; give rpm_limit, …"
    rows = [
        ("model", one.model or f"name one: {one.name}/<model>"),
        ("key", _key(one)),
        ("address", _address(one)),
        ("limits", told),
        ("structured", rungs or "not known"),
        ("batches", "yes" if one.batches else "no"),
        ("reasoning", facts.reasoning or "no argument for it"),
        ("prices", prices),
        ("reference", facts.docs),
        ("package", "" if one.package == "rowsmith" else one.package),
        ("missing", one.problem),
    ]
    found = [f"{painted(one.name, 'bold', sys.stdout)}: {line(facts.title)}"]
    found += [f"  {name:<11}{line(fact)}" for name, fact in rows if fact]
    if one.arguments:
        found += ["", "Arguments, with their defaults:"]
        found += [f"  {name}{f' = {default}' if default else ''}" for name, default in one.arguments.items()]
    return found


def _key(one: Listed) -> str:
    if one.key is not None:
        return f"{one.key.variable} ({one.key.source})"
    if not one.facts.keys:
        return "by the model" if one.facts.needs_key else "none needed" if one.facts.rungs else "-"
    return f"not set: {one.facts.keys[0]}" if one.facts.needs_key else f"none needed (or {one.facts.keys[0]})"


def _address(one: Listed) -> str:
    from rowsmith.cli.terminal import line

    if one.address is not None:
        return f"{line(one.base)} ({one.address.variable}, {one.address.source})"
    return one.base or (f"not set: {one.facts.bases[0]}" if one.facts.bases else "-")
