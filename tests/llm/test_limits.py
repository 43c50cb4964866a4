"""Limits are obeyed before they are hit, evenly, and by all runs of a process together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import QuotaError
from rowsmith.llm.buckets import Day, Pacer, TokenGuess, day_start
from rowsmith.llm.caller import Notice
from rowsmith.llm.limits import Limiter, Stopped, WaitingNotice
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.values import Completion, Usage
from support.clock import NOON, SimulatedClock
from support.virtual import ANSWER, VirtualService, after, ask_all, simulated, sliding

POLICY = RetryPolicy()


# -- the pace of requests --------------------------------------------------------------------------------------------


@given(
    st.integers(1, 300),
    st.sampled_from([1.0, 60.0]),
    st.dictionaries(st.integers(0, 700), st.floats(0, 2), max_size=5),
    st.floats(0, 0.02),
)
def test_no_window_takes_more_than_the_limit(
    limit: int, window: float, breaks: dict[int, float], jitter: float
) -> None:
    pacer = Pacer(limit, window)
    now, arrived = 0.0, []
    for number in range(2 * limit + 100):
        # Always more to send, but for a few breaks, as parts of a window.
        now += breaks.get(number, 0.0) * window
        now += max(0.0, pacer.wait(now))
        pacer.take(now)
        # The first of a window is late and the last of it in time.
        arrived.append(now + (0.0 if number % (limit + 1) else jitter))
    for number in range(len(arrived) - limit):
        assert arrived[number + limit] - arrived[number] >= window


@given(st.integers(5, 5_000))
def test_a_pace_uses_nearly_all_of_its_limit(limit: int) -> None:
    pacer = Pacer(limit)
    now, sent = 0.0, 0
    while now < 120:
        pacer.take(now)
        sent += 1
        now += max(0.0, pacer.wait(now))
    assert sent >= 0.96 * 2 * limit


def test_300_a_minute_are_used_to_97_percent_and_refused_below_1_percent() -> None:
    clock = SimulatedClock()
    service = VirtualService(sliding(300, 60, 0.3), clock, KnownLimits(rpm=300))

    async def main() -> int:
        caller = service.caller()
        everything = asyncio.ensure_future(ask_all(caller, 10_000))
        await clock.sleep(120)
        answered = service.asked - service.refused
        everything.cancel()
        return answered

    answered = clock.run(main())
    assert answered >= 0.97 * 600
    assert service.refused < 0.01 * service.asked


def test_a_pace_neither_bursts_nor_stalls() -> None:
    clock = SimulatedClock()
    service = VirtualService(after(0.3), clock, KnownLimits(rpm=300))
    clock.run(ask_all(service.caller(), 200))
    gaps = [later - earlier for earlier, later in zip(service.sent_at, service.sent_at[1:], strict=False)]
    # The scout goes alone; a few may run ahead at the start; from then on it is one each fifth of a second.
    assert max(gaps[8:]) < 0.25
    assert min(gaps[8:]) > 0.15
    assert sum(at < 1 for at in service.sent_at) <= 8


def test_a_pace_makes_up_for_late_wake_ups_but_not_for_an_idle_minute() -> None:
    pacer = Pacer(300)
    pacer.take(0.0)
    together = 0
    while pacer.wait(60.0) <= 0:
        pacer.take(60.0)
        together += 1
    assert 2 <= together <= 4


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_tokens_of_a_minute_are_kept_to_though_answers_are_longer_than_guessed() -> None:
    clock = SimulatedClock()
    used: list[tuple[float, int]] = []

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(1.0)
        used.append((clock.now(), 1_000))
        return Completion("ok", usage=Usage(100, 900))

    service = VirtualService(serve, clock, KnownLimits(tpm=60_000))
    seconds = clock.run(ask_all(service.caller(), 240))
    # 240,000 tokens at 60,000 a minute; the first minute begins with a guess that is too small.
    assert 3.7 * 60 < seconds < 4.3 * 60
    for begin in (60.0, 90.0, 120.0, 150.0):
        assert 0.9 * 60_000 < sum(tokens for at, tokens in used if begin <= at < begin + 60) <= 61_000


def test_a_refused_request_gives_its_tokens_back() -> None:
    clock = SimulatedClock()

    async def main() -> tuple[int | None, int | None]:
        limiter = Limiter(KnownLimits(tpm=600), clock, ceiling=8)
        ticket = limiter.try_enter(2_000)
        assert ticket is not None
        before = limiter.try_enter(2_000)
        limiter.refused(ticket, 0.001, POLICY)
        await clock.sleep(0.3)
        return before, limiter.try_enter(2_000)

    before, afterwards = clock.run(main())
    assert before is None
    assert afterwards is not None


def test_a_guess_of_tokens_follows_what_requests_really_took() -> None:
    guess = TokenGuess()
    for _ in range(100):
        guess.learn(1_000, input_tokens=500, output_tokens=2_000)
    assert guess.guess(1_000) == pytest.approx(2_500, rel=0.01)


# -- the day ---------------------------------------------------------------------------------------------------------


def test_a_used_up_day_ends_the_run_and_says_when_it_may_go_on() -> None:
    clock = SimulatedClock()
    service = VirtualService(after(0.1), clock, KnownLimits(rpd=1_500))
    limiter = Limiter.shared(service, clock, ceiling=8, source="ledger", made_today=1_490)
    with pytest.raises(QuotaError, match=r"virtual/model: the 1,500 requests of the day.*2026-01-02 00:00 UTC") as info:
        clock.run(ask_all(service.caller(limiter=limiter), 50))
    assert service.asked == 10
    assert info.value.fatal
    assert info.value.retry_after == pytest.approx(12 * 3600, abs=1)


def test_everybody_who_waits_hears_of_the_used_up_day() -> None:
    clock = SimulatedClock()

    async def main() -> list[object]:
        limiter = Limiter(KnownLimits(rpd=1), clock, ceiling=1)
        ticket = await limiter.enter()
        waiting = [asyncio.create_task(limiter.enter()) for _ in range(3)]
        await clock.sleep(1)
        limiter.answered(ticket, 1.0, ANSWER, clock.now())
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(said) for said in clock.run(main())] == [QuotaError] * 3


def test_the_next_day_begins_anew_at_midnight_utc() -> None:
    midnight = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    day = Day()
    day.limit = 2
    day.take("a", midnight - 2)
    day.take("a", midnight - 1)
    assert day.renewal(midnight - 1) == midnight
    assert day.renewal(midnight) is None
    assert day_start(midnight - 1) == midnight - 86_400


def test_a_clock_set_back_gives_no_day_out_twice() -> None:
    day = Day()
    day.limit = 1
    day.take("a", NOON)
    assert day.renewal(NOON - 86_400) is not None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30))
def test_what_a_source_hands_in_again_counts_once(joins: list[tuple[str, int]]) -> None:
    day = Day()
    day.limit = 10**9
    really: dict[str, int] = {}
    for source, more in joins:
        # A run goes on: its ledger holds all that it has sent before, which the process may know or not.
        day.made(source, really.get(source, 0), NOON)
        for _ in range(more):
            day.take(source, NOON)
        really[source] = really.get(source, 0) + more
    total = sum(really.values())
    day.limit = total + 1
    assert day.renewal(NOON) is None
    day.limit = total
    assert day.renewal(NOON) is not None


# -- turns -----------------------------------------------------------------------------------------------------------


@simulated
async def test_requests_go_in_the_order_they_came(clock: SimulatedClock) -> None:
    limiter = Limiter(KnownLimits(), clock, ceiling=1)
    order: list[int] = []

    async def ask(number: int) -> None:
        ticket = await limiter.enter()
        order.append(number)
        await clock.sleep(0.1)
        limiter.answered(ticket, 0.1, ANSWER, clock.now())

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert order == list(range(20))


@simulated
async def test_a_cancelled_request_gives_its_place_to_the_next(clock: SimulatedClock) -> None:
    limiter = Limiter(KnownLimits(), clock, ceiling=1)
    ticket = await limiter.enter()
    first, second, third = (asyncio.create_task(limiter.enter()) for _ in range(3))
    await clock.sleep(0)
    first.cancel()
    await clock.sleep(0)
    limiter.failed(ticket)
    # The second has been let in, but has not woken yet, when it is cancelled.
    second.cancel()
    async with asyncio.timeout(1):
        await third
    assert second.cancelled()
    assert limiter.in_flight == 1


@simulated
async def test_a_cancelled_head_of_the_queue_takes_no_timer_with_it(clock: SimulatedClock) -> None:
    limiter = Limiter(KnownLimits(rpm=60), clock, ceiling=8)
    while limiter.try_enter() is not None:
        pass
    first, second = (asyncio.create_task(limiter.enter()) for _ in range(2))
    await clock.sleep(0)
    first.cancel()
    async with asyncio.timeout(3):
        await second


@simulated
async def test_a_closed_limiter_lets_nothing_out_and_tells_who_waits(clock: SimulatedClock) -> None:
    limiter = Limiter(KnownLimits(), clock, ceiling=1)
    ticket = await limiter.enter()
    waiting = asyncio.create_task(limiter.enter())
    woken = asyncio.create_task(limiter.enter())
    await clock.sleep(0)
    limiter.failed(ticket)
    # `waiting` has been let in but not woken yet: it must not go out either.
    limiter.close()
    said = await asyncio.gather(waiting, woken, return_exceptions=True)
    assert [type(one) for one in said] == [Stopped, Stopped]
    assert limiter.in_flight == 0
    with pytest.raises(Stopped):
        limiter.try_enter()


@simulated
async def test_who_closes_leaves_the_others_going(clock: SimulatedClock) -> None:
    service = VirtualService(after(0.1), clock, KnownLimits(rpm=60))
    one, other = Limiter.shared(service, clock, ceiling=8), Limiter.shared(service, clock, ceiling=8)
    while one.try_enter() is not None:
        pass
    mine, theirs = asyncio.create_task(one.enter()), asyncio.create_task(other.enter())
    await clock.sleep(0)
    # The timer for the head of the queue was this one's.
    one.close()
    async with asyncio.timeout(3):
        await theirs
    with pytest.raises(Stopped):
        await mine


# -- notices ---------------------------------------------------------------------------------------------------------


def test_waiting_is_told_with_the_limit_and_at_most_twice_a_second() -> None:
    clock = SimulatedClock()
    told: list[tuple[float, Notice]] = []
    service = VirtualService(after(0.1), clock, KnownLimits(rpm=300))
    caller = service.caller(notify=lambda notice: told.append((clock.now(), notice)))
    seconds = clock.run(ask_all(caller, 100))
    notices = [notice for _, notice in told if isinstance(notice, WaitingNotice)]
    assert notices[0].reason == "300 requests per minute"
    assert 0 < notices[0].seconds < 1
    assert 0.5 * 2 * seconds <= len(notices) <= 2 * seconds + 1


def test_nobody_is_told_where_nothing_is_held_back() -> None:
    clock = SimulatedClock()
    told: list[Notice] = []
    service = VirtualService(after(0.1), clock)
    clock.run(ask_all(service.caller(notify=told.append), 1_000))
    assert told == []


def test_whoever_is_told_may_ask_the_limiter_back() -> None:
    """The notice comes without the lock held: a listener that looks at the limiter does not hang."""
    clock = SimulatedClock()
    seen: list[int | None] = []
    limiter = Limiter(KnownLimits(rpm=60), clock, ceiling=8)
    limiter.on_wait(lambda notice: seen.append(limiter.try_enter()))

    async def main() -> None:
        for _ in range(5):
            await limiter.enter()

    clock.run(main())
    assert seen
