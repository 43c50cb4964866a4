"""What services say of their limits in headers is read, and kept to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import QuotaError
from rowsmith.llm import heads
from rowsmith.llm.learned import Headers, Reading, seconds_until
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.values import Completion, Usage
from support.clock import NOON, SimulatedClock
from support.virtual import VirtualService, ask_all, sliding


def headers(**values: object) -> heads.Headers:
    """Headers as the transport makes them."""
    return heads.Headers({name.replace("_", "-").encode(): str(value).encode() for name, value in values.items()})


OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-tokens": "9ms",
    "x-ratelimit-limit-tokens_usage_based": "1",
    "x-ratelimit-remaining-tokens_usage_based": "1",
    "x-request-id": "req_1",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:02Z",
    "anthropic-ratelimit-tokens-limit": "40000",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-tokens-reset": "2026-01-01T12:00:01Z",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-input-tokens-remaining": "30000",
    "anthropic-ratelimit-unified-status": "allowed",
}
MISTRAL = {
    "x-ratelimit-limit-req-minute": "720",
    "x-ratelimit-remaining-req-minute": "717",
    "x-ratelimit-limit-tokens-minute": "5000000",
    "x-ratelimit-remaining-tokens-minute": "4999911",
    "x-ratelimit-tokens-query-cost": "52",
}
CEREBRAS = {
    "x-ratelimit-limit-requests-day": "14400",
    "x-ratelimit-remaining-requests-day": "14399",
    "x-ratelimit-reset-requests-day": "33011.38",
    "x-ratelimit-limit-tokens-minute": "60000",
    "x-ratelimit-remaining-tokens-minute": "59000",
    "x-ratelimit-reset-tokens-minute": "11.38",
}


def paces(readings: list[Reading]) -> dict[str, tuple[float, float | None]]:
    return {reading.unit: (reading.limit, reading.window) for reading in readings}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (ANTHROPIC, {"requests": (50, 60), "tokens": (40_000, 60)}),
        (MISTRAL, {"requests": (720, 60), "tokens": (5_000_000, 60)}),
        (CEREBRAS, {"requests": (14_400, 86_400), "tokens": (60_000, 60)}),
    ],
)
def test_names_tell_unit_and_window(sent: Mapping[str, str], expected: dict[str, tuple[float, float]]) -> None:
    assert paces(Headers().read(sent, 0.0, NOON)) == expected


def bucket(reader: Headers, limit: int, window: float, taken: list[int]) -> list[Reading]:
    readings: list[Reading] = []
    for number, missing in enumerate(taken):
        told = headers(
            x_ratelimit_limit_requests=limit,
            x_ratelimit_remaining_requests=limit - missing,
            x_ratelimit_reset_requests=f"{missing * window / limit * 1000:.0f}ms",
        )
        readings = reader.read(told, number * 0.5, NOON)
    return readings


@pytest.mark.parametrize(("limit", "window"), [(5_000, 60.0), (60, 60.0), (14_400, 86_400.0), (200, 86_400.0)])
def test_a_bucket_s_window_is_worked_out_from_what_is_missing(limit: int, window: float) -> None:
    """OpenAI's requests are those of a minute, Groq's and OpenAI's free ones those of a day, under the same names."""
    (reading,) = bucket(Headers(), limit, window, [1, 3, 7])
    assert reading.window == window
    assert not reading.fixed


def test_a_sliding_window_is_as_long_as_its_longest_reset() -> None:
    reader = Headers()
    for number in range(5):
        (reading,) = reader.read(
            headers(x_ratelimit_limit=3, x_ratelimit_remaining=2 - number % 3, x_ratelimit_reset="1s"),
            number * 0.3,
            NOON,
        )
    assert (reading.limit, reading.window, reading.fixed) == (3, 1.0, False)


def test_one_reading_that_looks_like_a_bucket_s_makes_none() -> None:
    """With 10 of 14,400 taken, a reset of 60 s is also that of a bucket of a day."""
    reader = Headers()
    for number, taken in enumerate((9, 10, 11)):
        told = headers(
            x_ratelimit_limit_requests=14_400,
            x_ratelimit_remaining_requests=14_400 - taken,
            x_ratelimit_reset_requests="60s",
        )
        (reading,) = reader.read(told, number * 5.0, NOON)
        assert reading.window == 60


def test_a_fixed_window_is_known_by_its_end() -> None:
    reader = Headers()
    for now, left in ((10.0, 90), (13.0, 70), (20.0, 40)):
        (reading,) = reader.read(
            headers(ratelimit_limit="100, 100;w=60", ratelimit_remaining=left, ratelimit_reset=f"{60 - now:.0f}"),
            now,
            NOON,
        )
    assert reading.fixed
    assert (reading.remaining, reading.reset) == (40, 40)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("6m0s", 360),
        ("1s", 1),
        ("20ms", 0.02),
        ("1m30.951s", 90.951),
        ("1h2m3s", 3723),
        ("2d", 172_800),
        ("34.5", 34.5),
        ("0", 0),
        (str(int(NOON) + 30), 30),
        (str(int(NOON + 30) * 1000), 30),
        ("2026-01-01T12:00:30Z", 30),
        ("2026-01-01T13:00:30+01:00", 30),
        ("2025-12-31T12:00:30Z", 0),
        (formatdate(NOON + 30, usegmt=True), 30),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("nan", None),
        ("2026-01-01T12:00:30", None),
    ],
)
def test_resets_of_every_kind_are_read(written: str, seconds: float | None) -> None:
    assert seconds_until(written, NOON) == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_as_a_date_is_taken_against_the_reply_s_own_date() -> None:
    wrong_clock = NOON - 5_000
    date = formatdate(NOON, usegmt=True)
    assert seconds_until("2026-01-01T12:00:30Z", wrong_clock, {"date": date}) == 30


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 23))
def test_every_go_duration_is_read_back(milliseconds: int, seconds: int, minutes: int, hours: int) -> None:
    written = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert seconds_until(written, NOON) == pytest.approx(
        hours * 3600 + minutes * 60 + seconds + milliseconds / 1000, abs=1e-9
    )


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_nonsense_in_headers_is_no_error(reset: str, limit: str, remaining: str) -> None:
    told = {"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
    for reading in Headers().read(told, 0.0, NOON):
        assert reading.limit > 0
        assert reading.reset is None or reading.reset >= 0


# -- kept to ---------------------------------------------------------------------------------------------------------


def test_a_limit_that_is_told_is_kept_to_though_the_user_named_none() -> None:
    clock = SimulatedClock()
    service = VirtualService(sliding(300, 60, 0.3, told=True), clock)
    seconds = clock.run(ask_all(service.caller(), 600))
    assert service.refused < 6
    assert seconds < 124


def test_the_user_s_limit_wins_where_it_is_stricter_than_what_is_told() -> None:
    clock = SimulatedClock()
    service = VirtualService(sliding(300, 60, 0.3, told=True), clock, KnownLimits(rpm=60))
    assert clock.run(ask_all(service.caller(), 60)) > 58


def test_a_day_s_limit_that_is_told_slows_nothing_down() -> None:
    clock = SimulatedClock()

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(0.1)
        told = CEREBRAS | {"x-ratelimit-remaining-requests-day": str(14_400 - service.asked)}
        return Completion("ok", usage=Usage(1, 1), headers=told)

    assert clock.run(ask_all(VirtualService(serve, clock).caller(), 400)) < 1.5


def test_a_day_that_the_service_says_is_used_up_ends_the_run_with_the_service_s_own_reset() -> None:
    clock = SimulatedClock()

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(0.1)
        told = CEREBRAS | {"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "7200"}
        return Completion("ok", usage=Usage(1, 1), headers=told)

    service = VirtualService(serve, clock)
    with pytest.raises(QuotaError, match="2026-01-01 14:00 UTC"):
        clock.run(ask_all(service.caller(), 400))
    assert service.asked == 1


def test_what_others_have_used_of_a_fixed_window_is_not_used_again() -> None:
    """100 a minute in a fixed window, of which another program took 80 at the start."""
    clock = SimulatedClock()
    taken: Counter[int] = Counter({0: 80})

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(0.1)
        window = int(clock.now() // 60)
        taken[window] += 1
        reset = 60 - clock.now() % 60
        left = max(0, 100 - taken[window])
        return Completion(
            "ok", headers=headers(ratelimit_limit=100, ratelimit_remaining=left, ratelimit_reset=f"{reset:.1f}")
        )

    service = VirtualService(serve, clock)

    async def main() -> None:
        everything = asyncio.ensure_future(ask_all(service.caller(), 1_000))
        await clock.sleep(119)
        everything.cancel()

    clock.run(main())
    assert taken[0] <= 105
    assert 85 <= taken[1] <= 105


class CountingHeaders(Mapping[str, str]):
    """Headers that count how often they are looked at."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.looks = 0

    def __getitem__(self, name: str) -> str:
        self.looks += 1
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.mark.parametrize(
    ("sent", "seconds", "most"),
    [
        # A service that says nothing is asked three times, and never again.
        ({"x-request-id": "1", "server": "vllm"}, 0.3, 3),
        # 20 replies in a fifth of a second: one or two readings, each of four headers.
        (MISTRAL | {"x-ratelimit-limit-req-minute": "720000"}, 0.01, 2 * 4 + 1),
    ],
)
def test_headers_are_looked_at_seldom(sent: Mapping[str, str], seconds: float, most: int) -> None:
    clock = SimulatedClock()
    watched = CountingHeaders(sent)

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(seconds)
        return Completion("ok", headers=watched)

    async def main() -> None:
        caller = VirtualService(serve, clock).caller()
        async with asyncio.TaskGroup() as calls:
            for _ in range(20):
                calls.create_task(caller.complete(b"x"))
                await clock.sleep(seconds)
        caller.stop()

    clock.run(main())
    assert 0 < watched.looks <= most
