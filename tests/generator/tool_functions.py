"""Functions that tests have carried out; a worker imports this module."""

from __future__ import annotations

import os
import time


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def hang(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "done"


def fail(words: str) -> str:
    """Fail."""
    raise LookupError(words)


def end(code: int) -> str:
    """End the process."""
    os._exit(code)


def note(text: str, number: int) -> str:
    """Write down that it was called, in one write."""
    file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{number} {text!r}\n".encode())
    os.close(file)
    return f"noted {number}"


def mean(numbers: list[float]) -> float:
    """The mean of numbers.

    Args:
        numbers: any.
    """
    return sum(numbers) / len(numbers) if numbers else 0.0
