"""What batches need of models and errors: endpoints, prices, and errors kept as JSON."""

from __future__ import annotations

import orjson

from rowsmith import errors
from rowsmith.engine.asking import Price
from rowsmith.engine.ledger.batches import BatchBook
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.wording import count
from rowsmith.errors import ConfigError, ProviderError, RunError
from rowsmith.llm.batch import Batches, Batching
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Usage

_FACTS = ("message", "provider", "model", "status", "request_id", "hint", "retry_after")


def batches_of(provider: Provider) -> Batches | None:
    """A model's batch endpoint, or None where it has none."""
    return provider.batches if isinstance(provider, Batching) else None


def must_have_batches(models: Models) -> None:
    """Make sure that every model of a run can be asked in batches.

    Raises:
        ConfigError: one cannot.
    """
    models = models.writing  # vectors are asked for at once: rows wait for them
    with_them = [full_name(provider) for provider in models.all() if batches_of(provider) is not None]
    without = [provider for provider in models.all() if batches_of(provider) is None]
    if not without:
        return
    named = ", ".join(f"{full_name(provider)} at {provider.endpoint}" for provider in without)
    others = f" {', '.join(with_them)} could be." if with_them else ""
    raise ConfigError(
        f"{named} cannot be asked in batches: there is no batch endpoint that Rowsmith knows.{others} Leave out "
        "batch=True (--batch), or name models that have one: those of openai at OpenAI's own address, for example"
    )


def must_have_no_batches(book: BatchBook) -> None:
    """Make sure that no answer is asked for singly that a batch is about to bring; what only waits is forgotten.

    Raises:
        RunError: a service has batches of this run.
    """
    live = book.live()
    if live:
        calls = sum(batch.items for batch in live)
        raise RunError(
            f"{count(len(live), 'batch', 'batches')} with {count(calls, 'request')} of this run are under way, and "
            "their answers will be billed. Go on with batch=True (--batch), which waits for them, or end them first: "
            "rowsmith cancel"
        )
    if book.waiting():
        book.forget_waiting()


def at_batch_price(price: Price) -> Price:
    """What a call costs as an item of a batch."""

    def reduced(provider: Provider, usage: Usage) -> float | None:
        full, batches = price(provider, usage), batches_of(provider)
        return full if full is None or batches is None else full * batches.price_factor

    return reduced


def error_to(error: ProviderError) -> str:
    """An error as JSON."""
    facts = {name: getattr(error, name) for name in _FACTS}
    return orjson.dumps({**facts, "class": type(error).__name__, "fatal": error.fatal}).decode()


def error_from(text: str) -> ProviderError:
    """An error that was kept as JSON."""
    facts = orjson.loads(text)
    kind: type[ProviderError] = getattr(errors, facts.pop("class"))
    fatal = facts.pop("fatal")
    error = kind(facts.pop("message"), **facts)
    error.fatal = fatal
    return error
