"""What a run will take: calls, tokens, cost and time, from the very plan that it will walk.

Some cells, spread over the plan, are worked through by the recipe itself, with its own prompts, but nobody is asked:

- A prompt counts the bytes of the very request that would go out, `gauge.BYTES_PER_TOKEN` to a token.
- An answer is made up as the offline provider makes them, from the schema and the cell's values, so that steps which
  build on an answer are walked too, with prompts of about the right length and in their right number. Its tokens are
  counted from that text. Reasoning is not in it: a model that thinks takes several times as much.
- Every answer is taken to be good: no rounds for rows that lack, no retries.

A small paid sample mends all three. For each model and role, calls and the tokens of requests are scaled by what the
sampled cells took, rounds included, over what the same cells were estimated at; answers take as much as theirs did.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from rowsmith.engine.asking import Answered, CallFile, Price, Prompt
from rowsmith.engine.before import Shape
from rowsmith.engine.embedding import DryEmbedder, kit_for
from rowsmith.engine.events import Event
from rowsmith.engine.gauge import tokens_of
from rowsmith.engine.keys import call_key, call_seed
from rowsmith.engine.kit import PLAIN
from rowsmith.engine.models import EMBEDDING, Models, full_name
from rowsmith.engine.plan import Cell, Plan
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.sampling import Trial
from rowsmith.engine.wording import money
from rowsmith.errors import AnswerError, BadRequestError
from rowsmith.llm.prices import Prices
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.offline import OfflineProvider, answer
from rowsmith.llm.sharing import leaves
from rowsmith.llm.structured.rungs import Rungs
from rowsmith.llm.values import Completion, Request, Usage

WALKED = 200
"""Cells that are worked through: enough for a mean, and done in a fraction of a second."""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Part:
    """What one model takes in one role.

    Attributes:
        model: `provider/model_id`.
        role: what it is used as.
        cost: in US dollars; None where no price is known.
    """

    model: str
    role: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take, from its first call to its last.

    Attributes:
        rows: rows that the plan makes; exact.
        cells: cells of the plan; exact.
        parts: the rest, by model and role.
        seconds: how long it takes at least, at the limits that are known and the latency of the sample; None where
            nothing is known.
        walked: cells that were worked through for this.
        sampled: cells among them that were really asked for.
        ahead: what is made before the rows, in words; its calls are among the parts.
    """

    rows: int
    cells: int
    parts: tuple[Part, ...]
    seconds: float | None
    walked: int
    sampled: int
    ahead: str = ""

    @property
    def calls(self) -> int:
        """Calls in all."""
        return sum(part.calls for part in self.parts)

    @property
    def input_tokens(self) -> int:
        """Tokens of all requests."""
        return sum(part.input_tokens for part in self.parts)

    @property
    def output_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(part.output_tokens for part in self.parts)

    @property
    def cost(self) -> float | None:
        """US dollars in all; None where a model's price is not known."""
        costs = [part.cost for part in self.parts]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models whose price is not known."""
        return tuple(dict.fromkeys(part.model for part in self.parts if part.cost is None))

    def __str__(self) -> str:
        cost = money(self.cost) if self.cost is not None else f"unknown: no price for {', '.join(self.unpriced)}"
        lines = [
            f"rows    {self.rows:,} from {self.cells:,} cells",
            f"calls   about {self.calls:,}",
            f"tokens  about {self.input_tokens:,} in, {self.output_tokens:,} out",
            f"cost    {'about ' if self.cost else ''}{cost}",
            f"time    {'unknown' if self.seconds is None else f'{self.seconds:,.0f} s or more'}",
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class Sums:
    """Calls to one model in one role, summed up; `seconds` are those that each call took, one after the other."""

    calls: float = 0.0
    asked: float = 0.0
    answered: float = 0.0
    cached: float = 0.0
    seconds: float = 0.0

    def add(self, usage: Usage, weight: float = 1.0, seconds: float = 0.0) -> None:
        """Add a call that stands for `weight` calls."""
        self.calls += weight
        self.asked += usage.input_tokens * weight
        self.answered += usage.output_tokens * weight
        self.cached += usage.cached_tokens * weight
        self.seconds += seconds * weight


Who = tuple[int, str]
"""A model, as a position in the list of all models of the run, and its role."""


class DryAsker:
    """Answers prompts without asking anybody, and notes what the calls would have taken.

    Args:
        models: who would be asked.
        seed: of the run.

    Attributes:
        noted: the calls so far: who is asked, and the tokens.
    """

    def __init__(self, models: Models, seed: int) -> None:
        self.models = models
        self.noted: list[tuple[Who, Usage]] = []
        self._seed = seed
        self._rungs = Rungs()
        self._places = {id(provider): place for place, provider in enumerate(models.all())}
        self._stand_in = OfflineProvider()

    async def ask(self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile) -> Answered:
        """As the asker's, with an answer that is made up.

        Raises:
            AnswerError: no answer of this schema can be made up; what the recipe would ask after it is not known.
        """
        del file
        provider = self.models.provider(role, cell, self._seed)
        rung = self._rungs.current(provider)
        seed = call_seed(self._seed, cell.key, ordinal)
        request = Request(shape.prompt_for(rung, prompt.messages), shape.schema, rung, prompt.hints, seed)
        body, question = provider.encode(request), self._stand_in.encode(request)
        asked = orjson.loads(question)
        who, size = (self._places[id(provider)], role), tokens_of(len(body))
        if role == EMBEDDING:
            self.noted.append((who, Usage(size)))
            return Answered(Completion(""), call_key(provider.endpoint, body), provider)
        try:
            text = answer(question, asked["schema"], asked["hints"])
        except BadRequestError as error:
            self.noted.append((who, Usage(size)))
            raise AnswerError(str(error), outcome="invalid", raw="") from error
        self.noted.append((who, Usage(size, tokens_of(len(text.encode())))))
        return Answered(Completion(text), call_key(provider.endpoint, body), provider)


async def estimate(
    recipe: Recipe,
    models: Models,
    plan: Plan,
    *,
    price: Price | None = None,
    max_concurrency: int = 256,
    trials: Sequence[Trial] = (),
) -> Estimate:
    """What a run will take.

    Args:
        recipe: what is to be made.
        models: who would be asked.
        plan: the run's.
        price: what a call costs; from the list that comes with Rowsmith if not given.
        max_concurrency: requests in flight per model.
        trials: cells of the plan that were really asked for.
    """
    everyone = models.all()
    asker = DryAsker(models, recipe.seed)
    sums: dict[Who, Sums] = defaultdict(Sums)
    walked = 0
    for number, weight in weighted(plan, WALKED):
        walked += 1
        for who, usage in await _walk(recipe, asker, plan.cell(number)):
            sums[who].add(usage, weight)
    if trials:
        await _sharpen(sums, recipe, asker, trials, len(plan))
    costs = price or Prices()
    parts = tuple(_part(everyone[place], role, part, costs) for (place, role), part in sums.items() if part.calls)
    seconds = [_seconds(provider, place, sums, max_concurrency) for place, provider in enumerate(everyone)]
    return Estimate(
        rows=plan.total_rows,
        cells=len(plan),
        parts=parts,
        seconds=max((one for one in seconds if one is not None), default=None),
        walked=walked,
        sampled=len(trials),
    )


def weighted(plan: Plan, count: int) -> Iterator[tuple[int, float]]:
    """Numbers of cells spread over a plan, about so many, and for how many cells each stands.

    The cells at the end of a plan with a target make fewer rows than the others: they are represented by their own.
    """
    full = bisect_left(range(len(plan)), True, key=lambda number: plan.cell(number).want < plan.rows.per_cell)
    rest = len(plan) - full
    share = min(rest, -(-count * rest // max(1, len(plan))))
    head = [number for number in plan.spread(max(1, count - share)) if number < full] or [0] * (full > 0)
    tail = [full + rest * place // share for place in range(share)]
    for numbers, cells in ((head, full), (tail, rest)):
        for number in numbers:
            yield number, cells / len(numbers)


async def _walk(recipe: Recipe, asker: DryAsker, cell: Cell) -> list[tuple[Who, Usage]]:
    """The calls that a cell would make if every answer were good."""
    before = len(asker.noted)
    kit = PLAIN if asker.models.embeddings is None or not recipe.unique else kit_for(DryEmbedder(asker))
    sieve = kit.sieve(cell, (), recipe.text_fields, None, _unheard)
    context = kit.context(cell, (cell.want,), asker, sieve, CallFile({}, None), max_rounds=0, seed=recipe.seed)
    # A made-up answer may not be good enough for the recipe's own checks; what was asked until then is noted.
    with suppress(AnswerError):
        await recipe.make(cell, context)
    return asker.noted[before:]


async def _sharpen(sums: dict[Who, Sums], recipe: Recipe, asker: DryAsker, trials: Sequence[Trial], cells: int) -> None:
    """Scale the sums by what some cells really took, over what they were estimated at."""
    real: dict[Who, Sums] = defaultdict(Sums)
    foreseen: dict[Who, Sums] = defaultdict(Sums)
    everyone = asker.models.all()
    for trial in trials:
        for call in trial.calls:
            asked = leaves(asker.models.choice(call.role, trial.cell))
            names = [full_name(provider) for provider in asked]
            place = _place(everyone, asked[names.index(call.model)])
            real[place, call.role].add(call.usage, seconds=call.seconds)
        for who, usage in await _walk(recipe, asker, trial.cell):
            foreseen[who].add(usage)
    for who, took in real.items():
        guess, part = foreseen[who], sums[who]
        if not guess.calls or not part.calls:
            sums[who] = Sums(*(getattr(took, name) * cells / len(trials) for name in Sums.__slots__))
            continue
        part.calls *= took.calls / guess.calls
        part.seconds = part.calls * took.seconds / took.calls
        if took.asked or took.answered:  # else the service does not tell its tokens
            part.asked *= took.asked / guess.asked
            part.answered = part.calls * took.answered / took.calls
            part.cached = part.asked * took.cached / max(1.0, took.asked)


def _place(everyone: Sequence[Provider], provider: Provider) -> int:
    return next(place for place, one in enumerate(everyone) if one is provider)


def _part(provider: Provider, role: str, sums: Sums, price: Price) -> Part:
    calls = sums.calls
    mean = Usage(round(sums.asked / calls), round(sums.answered / calls), round(sums.cached / calls))
    cost = price(provider, mean)
    return Part(
        full_name(provider),
        role,
        round(calls),
        round(sums.asked),
        round(sums.answered),
        None if cost is None else cost * calls,
    )


def _seconds(provider: Provider, place: int, sums: dict[Who, Sums], max_concurrency: int) -> float | None:
    """How long the calls to one model take at least; None if neither its limits nor its latency are known."""
    mine = [part for (model, _), part in sums.items() if model == place]
    calls = sum(part.calls for part in mine)
    tokens = sum(part.asked + part.answered for part in mine)
    busy = sum(part.seconds for part in mine)
    limits = provider.limits
    bounds = []
    if limits.rpm:
        bounds.append(60 * calls / limits.rpm)
    if limits.tpm:
        bounds.append(60 * tokens / limits.tpm)
    if limits.rpd and calls > limits.rpd:
        bounds.append(_DAY * (math.ceil(calls / limits.rpd) - 1))
    if busy:
        at_once = min(max_concurrency, limits.max_concurrency or max_concurrency)
        bounds.append(max(busy / calls, busy / at_once))
    return max(bounds, default=None)


def _unheard(event: Event) -> None:
    """Nothing happens on a walk that anybody should be told."""
    del event
