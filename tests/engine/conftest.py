"""What the engine's tests get: processes that start quickly and may be killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .child import Nursery


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()
