"""Settings for a purpose: what they change, said in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowsmith.generator.config import GeneratorConfig

LARGE_BATCH = 20
"""Examples of a call: the prompt is paid for once for all of them."""
SMALL_BATCH = 2
"""Examples of a call: little is lost with a bad answer."""
MANY_REQUESTS, FEW_REQUESTS = 256, 8
LONG_TIMEOUT = 600.0
SECONDS_PER_EXAMPLE = 5.0
"""Seconds that a model may need to write one example: some 300 tokens at 60 a second."""
MOST_RETRIES, LONGEST_BACKOFF = 12, 120.0


@dataclass(frozen=True, slots=True)
class Preset:
    """What was set: by setting, what it was and what it is. `str` of it has a line for each."""

    name: str
    changes: Mapping[str, tuple[Any, Any]]

    def __str__(self) -> str:
        lines = [f"{setting}: {before} -> {after}" for setting, (before, after) in self.changes.items()]
        return "\n".join([f"set for {self.name}:", *(f"  {line}" for line in lines or ["nothing had to change"])])


def for_throughput(
    config: GeneratorConfig, *, large_batch_sizes: bool, parallel_requests: bool, aggressive_timeouts: bool
) -> dict[str, Any]:
    """The settings with which most examples are made in time."""
    wanted: dict[str, Any] = {}
    if large_batch_sizes:
        wanted["default_batch_size"] = max(config.default_batch_size, LARGE_BATCH)
    if parallel_requests:
        wanted["max_concurrency"] = max(config.max_concurrency, MANY_REQUESTS)
    if aggressive_timeouts:
        size = wanted.get("default_batch_size", config.default_batch_size)
        wanted["request_timeout"] = SECONDS_PER_EXAMPLE * (1 + size)
    return wanted


def for_reliability(
    config: GeneratorConfig, *, conservative_batch_sizes: bool, extended_timeouts: bool, maximum_retries: bool
) -> dict[str, Any]:
    """The settings with which fewest examples lack in the end, whatever the service does."""
    wanted: dict[str, Any] = {}
    if conservative_batch_sizes:
        wanted["default_batch_size"] = min(config.default_batch_size, SMALL_BATCH)
        wanted["max_concurrency"] = min(config.max_concurrency, FEW_REQUESTS)
    if extended_timeouts:
        wanted["request_timeout"] = max(config.request_timeout or 0.0, LONG_TIMEOUT)
    if maximum_retries:
        wanted["max_retries"] = max(config.max_retries, MOST_RETRIES)
    return wanted
