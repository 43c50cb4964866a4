"""What a run came to, in words."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rowsmith.cli.terminal import columns, line, painted
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.report import Lack, Report, Spend
from rowsmith.engine.wording import count, duration, money


def summary(report: Report, output: str) -> list[str]:
    """The lines of a run's summary.

    Args:
        report: the run's report.
        output: the rows file.
    """
    lines = [f"{painted(near(output), 'bold', sys.stdout)}: {_verdict(report)}"]
    facts = [("time", duration(report.seconds)), ("calls", _calls(report))]
    facts += money_and_tokens(report.spend)
    if report.rejected:
        gates = ", ".join(f"{gate} {number:,}" for gate, number in report.rejected.most_common())
        rejected = near(RunPaths.of(output).rejected)
        facts.append(("rejected", f"{sum(report.rejected.values()):,} ({line(gates)}); see {rejected}"))
    if report.skipped:
        reasons = ", ".join(f"{line(reason)} {number:,}" for reason, number in report.skipped.most_common())
        facts.append(("left out", f"{count(sum(report.skipped.values()), 'row')} of the source ({reasons})"))
    lines += [f"  {name:<9}{fact}" for name, fact in facts]
    lines += by_model(report.spend)
    lines += lacking(report.lacks)
    return lines


def whole_summary(report: Report, output: str) -> list[str]:
    """The summary of a run, behind those of what was made before it; with what all came to together.

    Args:
        report: the run's report.
        output: the rows file.
    """
    if not report.ahead:
        return summary(report, output)
    lines: list[str] = []
    spend: dict[tuple[str, str], Spend] = {}
    for path, part in (*report.ahead.items(), (output, report)):
        lines += [*summary(part, path), ""]
        for (model, role), paid in part.spend.items():
            spend.setdefault((model, f"{role}, {Path(path).name}"), Spend()).add(paid)
    facts = money_and_tokens(spend)
    calls = sum(part.calls for part in spend.values())
    lines += [painted("in all", "bold", sys.stdout), f"  {'calls':<9}{calls:,}"]
    return [*lines, *(f"  {name:<9}{fact}" for name, fact in facts)]


def _verdict(report: Report) -> str:
    if report.complete:
        return painted(f"{count(report.rows, 'row')}, complete", "green", sys.stdout)
    return painted(f"{report.rows:,} of {count(report.expected, 'row')}", "yellow", sys.stdout)


def _calls(report: Report) -> str:
    if report.complete and not report.calls and not report.replayed:
        return "none: there was nothing left to do"
    words = [f"{report.calls:,}"]
    if report.replayed:
        words.append(f"{report.replayed:,} answers from the ledger")
    if report.retries:
        words.append(count(report.retries, "retry", "retries"))
    earlier = report.total.calls - report.calls
    if earlier > 0:
        words.append(f"{earlier:,} in earlier starts")
    return ", ".join(words)


def money_and_tokens(spend: Mapping[tuple[str, str], Spend]) -> list[tuple[str, str]]:
    """Tokens and cost of all that was ever spent on a run, as (name, words)."""
    total = Spend()
    for part in spend.values():
        total.add(part)
    if not total.calls:
        return []
    tokens = f"{total.input_tokens:,} in, {total.output_tokens:,} out"
    if total.cached_tokens:
        tokens += f"; {total.cached_tokens:,} of those in were cached"
    if total.reasoning_tokens:
        tokens += f"; {total.reasoning_tokens:,} of those out were reasoning"
    facts = [("tokens", tokens)]
    billed = [(model, part) for (model, _), part in spend.items() if not is_offline(model)]
    if billed:
        facts.append(("cost", _cost(total, sorted({model for model, part in billed if part.unpriced}))))
    return facts


def _cost(total: Spend, unpriced: Sequence[str]) -> str:
    if not unpriced:
        return money(total.cost)
    unknown = f"no price is known for {', '.join(unpriced)}"
    return f"unknown: {unknown}" if not total.cost else f"{money(total.cost)} and more: {unknown}"


def by_model(spend: Mapping[tuple[str, str], Spend]) -> list[str]:
    """A table by model and role, where there is more than one of either."""
    if len(spend) < 2:
        return []
    rows = [["model", "role", "calls", "tokens in", "out", "cost"]]
    for (model, role), part in sorted(spend.items()):
        numbers = [f"{number:,}" for number in (part.calls, part.input_tokens, part.output_tokens)]
        cost = "" if is_offline(model) else "unknown" if part.unpriced else money(part.cost)
        rows.append([line(model), role, *numbers, cost])
    shown = 6 if any(row[5] for row in rows[1:]) else 5
    right = (False, False, True, True, True, True)
    return ["", *(f"  {text}" for text in columns([row[:shown] for row in rows], right[:shown]))]


def lacking(lacks: Iterable[Lack], most: int = 20) -> list[str]:
    """What lacks, per group with reasons; the largest first, and no more than `most` groups."""
    ordered = sorted(lacks, key=lambda lack: -lack.rows)
    if not ordered:
        return []
    lines = ["", f"{count(sum(lack.rows for lack in ordered), 'row lacks', 'rows lack')}:"]
    for lack in ordered[:most]:
        group = ", ".join(f"{name} {value}" for name, value in lack.group.items())
        reasons = ", ".join(f"{reason} ({number:,})" for reason, number in lack.reasons.items())
        lines.append(line(f"{lack.rows:,} of {group or 'the run'}: {reasons or 'no reason was recorded'}", 400))
    if len(ordered) > most:
        lines.append(f"and {sum(lack.rows for lack in ordered[most:]):,} in {len(ordered) - most:,} more groups")
    return [*lines[:2], *(f"  {text}" for text in lines[2:])]


def is_offline(model: str) -> bool:
    """Whether a model is the offline provider's, which costs nothing."""
    return model.partition("/")[0] == "offline"


def near(path: str | Path) -> str:
    """A path as one would write it from the current folder, if it lies in or below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def resume_command(output: str | Path) -> str:
    """The command that goes on with a run."""
    return shlex.join(["rowsmith", "resume", near(output)])
