"""Which failures a generator tries again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rowsmith.errors import ConfigError, ProviderError, did_you_mean
from rowsmith.llm.retry import RetryPolicy

CATEGORIES: Mapping[str, str] = {
    "ProviderTimeoutError": "timeout",
    "RateLimitError": "rate_limit",
    "ServiceError": "server_error",
    "ConnectionFailedError": "connection",
    "MalformedReplyError": "malformed_reply",
    "AuthenticationError": "authentication",
    "ModelNotFoundError": "model_not_found",
    "BadRequestError": "bad_request",
    "QuotaError": "quota",
}
"""Words for failures, as `retry_on_errors` and the statistics have them, by the class of the error."""

ANSWERS = "json_parse_error"
"""Answers that cannot be read. What can be saved of them is, and the rest is asked for again, whatever is chosen."""
RETRYABLE = ("timeout", "rate_limit", "server_error", "connection", "malformed_reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRetries(RetryPolicy):
    """A policy that tries only some failures again.

    Attributes:
        categories: of these; all that may pass if None.
    """

    categories: frozenset[str] | None = None

    def gives_up(self, error: ProviderError, failures: int) -> bool:
        if self.categories is not None and CATEGORIES.get(type(error).__name__) not in self.categories:
            return True
        # Not super(): a dataclass with slots is another class than the one that its methods were written in.
        return RetryPolicy.gives_up(self, error, failures)


def chosen(names: Iterable[str] | None) -> frozenset[str] | None:
    """The categories that are meant.

    Raises:
        ConfigError: one is not known.
    """
    if names is None:
        return None
    if isinstance(names, str):
        raise ConfigError(f"retry_on_errors is a list, such as [{names!r}]")
    found = frozenset(names)
    for name in found:
        if name not in (*RETRYABLE, ANSWERS):
            nearest = did_you_mean(name, [*RETRYABLE, ANSWERS])
            raise ConfigError(f"{name!r} is no failure that can be tried again. {nearest}")
    return found
