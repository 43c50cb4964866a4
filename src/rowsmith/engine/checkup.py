"""A run looked over before it is paid for: what is in order, what will not work, and what nobody knows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rowsmith.engine.asking import Price
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.fingerprint import Fingerprint, must_go_on
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.ledger.lock import holder_of
from rowsmith.engine.ledger.output import refuse_strangers
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.models import full_name
from rowsmith.engine.probe import Probed, probe
from rowsmith.engine.wording import money
from rowsmith.errors import ProviderError, QuotaError, RateLimitError, RunError
from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Rung

_WAYS = {Rung.SCHEMA: "JSON Schema", Rung.JSON: "JSON mode", Rung.PROMPT: "JSON by the prompt alone"}


class Verdict(StrEnum):
    """What a finding means for the run."""

    OK = "ok"
    WARNING = "warning"
    """The run can begin; something is not as one would wish, or not known."""
    ERROR = "error"
    """The run would fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what: `configuration`, `output`, `price`, or a model as `provider/model`.
        verdict: what it means for the run.
        text: what was found, in one line.
    """

    subject: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8}{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found about a run before it was begun.

    Attributes:
        findings: in the order in which they were made.
        estimate: what the run will take; None where it could not be reckoned.
    """

    findings: Sequence[Finding]
    estimate: Estimate | None = None

    @property
    def ok(self) -> bool:
        """Nothing was found that would make the run fail."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """What would make it fail."""
        return [finding for finding in self.findings if finding.verdict is Verdict.ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """What is not as one would wish, or not known."""
        return [finding for finding in self.findings if finding.verdict is Verdict.WARNING]

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings]
        return "\n".join([*lines, str(self.estimate)] if self.estimate else lines)


def check_output(output: str | Path, run: Fingerprint | None = None) -> Finding:
    """Whether the rows can be written. Nothing is changed, and a run that goes on there is not disturbed.

    Args:
        output: the rows file.
        run: the fingerprint of the run that is to write there; None if it is not known.
    """
    paths = RunPaths.of(output)
    try:
        refuse_strangers(paths)
        if holder := holder_of(paths.lock):
            return Finding("output", Verdict.ERROR, f"{paths.folder} is being written by {holder}")
        if paths.ledger.exists() and run is not None:
            with reading(paths.ledger) as store:
                before = store.meta().get("fingerprint")
            must_go_on(str(paths.rows), Fingerprint.from_json(before) if before else None, run)
    except RunError as error:
        return Finding("output", Verdict.ERROR, str(error))
    where = paths.folder if paths.folder.exists() else _nearest(paths.rows.parent)
    if not where.is_dir() or not os.access(where, os.W_OK | os.X_OK):
        return Finding("output", Verdict.ERROR, f"{where} cannot be written to; choose another output")
    if paths.ledger.exists():
        return Finding("output", Verdict.OK, f"{paths.rows} has a run already, which will go on")
    return Finding("output", Verdict.OK, f"{paths.rows} can be written")


def _nearest(folder: Path) -> Path:
    """The folder itself or, as a run makes what is missing, the nearest above it that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


async def check_models(
    roles: Mapping[int, Sequence[str]], models: Sequence[Provider], price: Price, clock: Clock
) -> list[Finding]:
    """Ask every model one tiny thing, all at once: whether it answers, how, within which limits and at what price.

    Args:
        roles: what each model is asked as, by its place in `models`; empty for all roles.
        models: each once.
        price: what a call costs.
        clock: the time.
    """
    async with Transport() as transport:
        probed = await asyncio.gather(*(probe(provider, transport, price, clock) for provider in models))
    return [
        finding
        for place, (provider, came) in enumerate(zip(models, probed, strict=True))
        for finding in _about(provider, came, roles.get(place, ()))
    ]


def _about(provider: Provider, came: Probed, roles: Sequence[str]) -> list[Finding]:
    name = full_name(provider)
    subject = f"{name} ({', '.join(roles)})" if roles else name
    if came.error is not None:
        return [Finding(subject, _weight(came.error), _failure(came.error))]
    if came.fault:
        text = f"answers, but not as it was asked to ({came.fault}); the run will have to ask again"
        return [Finding(subject, Verdict.WARNING, text), *_price(name, came)]
    told = ", ".join((*_given(provider.limits), *came.told)) or "none are known: found out as the run goes"
    facts = f"answers by {_WAYS[came.rung]} in {came.seconds:.1f} s; limits: {told}"
    return [Finding(subject, Verdict.OK, facts), *_price(name, came)]


def _weight(error: ProviderError) -> Verdict:
    """A model that is busy now may answer later; all other failures will be the run's too."""
    passing = isinstance(error, RateLimitError) or (error.retryable and not isinstance(error, QuotaError))
    return Verdict.WARNING if passing else Verdict.ERROR


def _failure(error: ProviderError) -> str:
    status = f" (HTTP {error.status})" if error.status is not None else ""
    return f"does not answer: {error.message}{status}" + (f". {error.hint}" if error.hint else "")


def _given(limits: KnownLimits) -> list[str]:
    named = {
        "requests a minute": limits.rpm,
        "tokens a minute": limits.tpm,
        "requests a day": limits.rpd,
        "at once": limits.max_concurrency,
    }
    return [f"{value:,} {unit}" for unit, value in named.items() if value is not None]


def _price(name: str, came: Probed) -> list[Finding]:
    if came.cost is None:
        counted = came.usage.input_tokens or came.usage.output_tokens
        why = "no price is known" if counted else "the service does not say how many tokens it took"
        fix = "; give input_cost_per_million and output_cost_per_million" if counted else ""
        return [Finding(f"price of {name}", Verdict.WARNING, f"{why}: the cost will be unknown{fix}")]
    return [Finding(f"price of {name}", Verdict.OK, f"known; this check cost {money(came.cost)}")]
