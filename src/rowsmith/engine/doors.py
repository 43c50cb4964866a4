"""The doors of a run's models: each with its limits, its retries, and the budget before it."""

from __future__ import annotations

import time
from collections.abc import Callable

from rowsmith.engine.asking import Door, asking
from rowsmith.engine.budget import Budget
from rowsmith.engine.embedding import SameSize
from rowsmith.engine.events import Event, Retry, Waiting
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.llm.caller import Caller, Notice, RetryNotice
from rowsmith.llm.limits import Limiter
from rowsmith.llm.transport import Transport


def open_doors(
    models: Models,
    transport: Transport,
    ledger: Ledger,
    options: Options,
    budget: Budget | None,
    emit: Callable[[Event], None],
) -> dict[int, Door]:
    """A door for each model, by the provider's identity in this process.

    Args:
        models: who is asked.
        transport: the run's connections.
        ledger: knows what was asked today.
        options: of the run.
        budget: what may be spent; None for no limit.
        emit: where events go.
    """
    doors: dict[int, Door] = {}
    today = time.strftime("%Y-%m-%d", time.gmtime(options.clock.date()))
    for provider in models.all():
        name = full_name(provider)
        limiter = Limiter.shared(
            provider,
            options.clock,
            ceiling=options.max_concurrency,
            source=str(ledger.paths.ledger.resolve()),
            made_today=ledger.store.calls_on(today, name),
        )
        sender = budget.counted(provider) if budget else provider
        caller = Caller(sender, transport, limiter, options.policy, options.clock, _teller(name, emit))
        doors[id(provider)] = budget.guarded(provider, caller) if budget else caller
    if (model := models.embeddings) is not None:
        doors[id(model)] = SameSize(doors[id(model)], model, ledger)
    return doors


def _teller(model: str, emit: Callable[[Event], None]) -> Callable[[Notice], None]:
    def tell(notice: Notice) -> None:
        if isinstance(notice, RetryNotice):
            error, kind = str(notice.error), type(notice.error).__name__
            emit(Retry(model, error, notice.attempt, notice.seconds, *asking(), kind))
        else:
            emit(Waiting(model, notice.reason, notice.seconds))

    return tell
