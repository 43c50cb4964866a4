"""Does a model answer? One tiny call, asked for in the surest way of structured output that the model takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Price
from rowsmith.errors import BadRequestError, ConfigError, ProviderError, ProviderTimeoutError
from rowsmith.llm import vectors
from rowsmith.llm.clock import Clock
from rowsmith.llm.learned import Headers
from rowsmith.llm.parameters import refusal
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.output import Output
from rowsmith.llm.structured.rungs import looks_like_unsupported
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Message, Request, Rung, Usage

PROBE_SECONDS = 60.0
"""Seconds after which a model is taken not to answer; a local one may have to be loaded first."""


class Capital(BaseModel):
    """What a model is asked, to see whether it answers."""

    country: str = Field(description="the country that was asked about")
    capital: str = Field(description="its capital city")


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one tiny call.

    Attributes:
        rung: the way of structured output on which it was answered, or on which it failed.
        error: the failure; None if an answer came.
        fault: what is wrong with the answer, in one line; empty if nothing is.
        seconds: from sending to the complete answer.
        usage: its tokens.
        cost: in US dollars; None where no price is known.
        refused: the parameters that it refuses, and that were left out.
        told: the limits that the service tells of in its headers, in words.
        numbers: of a vector, where vectors were asked for.
    """

    rung: Rung
    error: ProviderError | None = None
    fault: str = ""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    refused: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    numbers: int = 0


_OUTPUT = Output(Capital)
_QUESTION = (Message.user("Which city is the capital of France? Answer with the country and its capital."),)


async def probe(
    provider: Provider, transport: Transport, price: Price, clock: Clock, *, vectors_wanted: bool = False
) -> Probed:
    """Ask a model one small thing, and step down the ladder of structured output where it refuses a rung.

    Nothing is tried again: a check is to say how things are now. It costs some hundred tokens.

    Args:
        provider: the model.
        transport: an open one.
        price: what a call costs.
        clock: the time.
        vectors_wanted: ask for a vector of the question instead of an answer.
    """
    rungs, rung, omit = iter(provider.rungs[1:]), provider.rungs[0], frozenset[str]()
    refused: tuple[str, ...] = ()
    while True:
        request = Request(_QUESTION)
        if not vectors_wanted:
            hints = {"country": "France", "capital": "Paris"}
            request = Request(_OUTPUT.prompt_for(rung, _QUESTION), _OUTPUT.schema, rung, hints, omit=omit)
        started = clock.now()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                completion = await provider.complete(provider.encode(request), transport)
        except BadRequestError as error:
            try:
                found = refusal(provider, error, omit)
            except BadRequestError:
                return Probed(rung, error, refused=refused)
            lower = next(rungs, None) if found is None and looks_like_unsupported(error) else None
            if found is None and lower is None:
                return Probed(rung, error, refused=refused)
            if found is not None:
                omit |= {found.name}
                refused += () if found.instead else (found.name,)
            rung = lower or rung
            continue
        except ProviderError as error:
            return Probed(rung, error, refused=refused)
        except ConfigError as error:
            # What it needs is looked for at the first call: a package, a file of weights.
            failed = ProviderError(str(error), provider=provider.name, model=provider.model_id)
            return Probed(rung, failed, refused=refused)
        except TimeoutError:
            return Probed(rung, _silent(provider), refused=refused)
        came = _read(provider, rung, completion, clock.now() - started, price, clock, vectors_wanted)
        return replace(came, refused=refused)


def _read(
    provider: Provider,
    rung: Rung,
    completion: Completion,
    seconds: float,
    price: Price,
    clock: Clock,
    vectors_wanted: bool,
) -> Probed:
    fault, numbers = "", 0
    if vectors_wanted:
        numbers = len(vectors.read(completion.text)[0])
    elif (reading := _OUTPUT.read(completion)).value is None:
        fault = f"{reading.outcome}: {reading.detail}".rstrip(": ")
    told = Headers().read(completion.headers or {}, clock.now(), clock.date())
    limits = tuple(f"{one.limit:,.0f} {one.unit}{_per(one.window)}" for one in told)
    usage = completion.usage
    return Probed(rung, None, fault, seconds, usage, price(provider, usage), told=limits, numbers=numbers)


def _per(window: float | None) -> str:
    names = {60.0: " a minute", 3600.0: " an hour", 86_400.0: " a day"}
    return names.get(window or 0.0, "")


def _silent(provider: Provider) -> ProviderTimeoutError:
    return ProviderTimeoutError(
        f"no answer within {PROBE_SECONDS:.0f} s", provider=provider.name, model=provider.model_id
    )
