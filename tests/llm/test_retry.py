"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.retry import RetryPolicy

RETRIED = [ServiceError, ConnectionFailedError, ProviderTimeoutError, MalformedReplyError]
FINAL = [AuthenticationError, ModelNotFoundError, BadRequestError, QuotaError]


@pytest.mark.parametrize("kind", RETRIED)
def test_what_may_pass_is_tried_again_as_often_as_the_policy_says(kind: type[ProviderError]) -> None:
    policy = RetryPolicy(max_retries=2)
    assert [policy.gives_up(kind("x"), failures) for failures in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("kind", FINAL)
def test_what_no_retry_mends_is_given_up_at_once(kind: type[ProviderError]) -> None:
    assert RetryPolicy(max_retries=9).gives_up(kind("x"), 1)


@given(st.integers(0, 10**6))
def test_refusals_for_the_rate_use_up_no_retries(failures: int) -> None:
    policy = RetryPolicy(max_retries=0)
    assert not policy.counts(RateLimitError("x"))
    assert not policy.gives_up(RateLimitError("x"), failures)


@given(st.integers(1, 10**6), st.floats(0.01, 5), st.floats(1, 3), st.floats(5, 100))
def test_a_backoff_lies_in_the_upper_half_of_a_bound_that_grows_to_the_longest(
    times: int, first: float, multiplier: float, longest: float
) -> None:
    policy = RetryPolicy(first=first, multiplier=multiplier, longest=longest)
    bound = min(longest, first * multiplier ** min(times - 1, 64))
    assert bound / 2 <= policy.backoff(times) <= bound


def test_backoffs_differ_so_that_retries_do_not_come_together() -> None:
    policy = RetryPolicy()
    assert len({policy.backoff(3) for _ in range(50)}) > 40


def test_a_service_that_asks_for_more_time_gets_it() -> None:
    policy = RetryPolicy(first=0.5, longest=2)
    assert policy.pause(1, ServiceError("x", retry_after=30)) == 30
    assert policy.pause(3, ServiceError("x", retry_after=0.001)) >= 1


@pytest.mark.parametrize(
    "wrong",
    [{"max_retries": -1}, {"first": 0}, {"longest": -1.0}, {"patience": 0}, {"multiplier": 0.5}, {"longest": math.nan}],
)
def test_a_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # one of several fields, each a number
