"""Functions that tests have carried out; a worker imports this module."""

from __future__ import annotations

import asyncio
import ctypes
import datetime as dt
import os
import socket
import struct
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    name: str
    height: int | None = None


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def kind_of(day: dt.date, colour: Colour = Colour.RED, place: Place | None = None) -> dict[str, str]:
    """Tell what arrives."""
    return {"day": type(day).__name__, "colour": type(colour).__name__, "place": type(place).__name__}


def place(name: str) -> Place:
    return Place(name=name)


async def later(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"after {seconds:g}"


def raises(words: str) -> str:
    raise LookupError(words)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def raises_unprintable() -> str:
    raise UnprintableError


def raises_half_a_character() -> str:
    raise LookupError("\ud800")


def exits() -> str:
    sys.exit(3)


def hangs() -> str:
    time.sleep(3600)
    return "never"


def spins() -> str:
    while True:
        pass


def eats() -> int:
    return len(bytearray(4 * 2**30))


def crashes() -> str:
    ctypes.string_at(0)
    return "never"


def quits(code: int) -> str:
    os._exit(code)


def writes_much() -> str:
    with Path("much").open("wb") as file:
        for _ in range(400):
            file.write(bytes(2**20))
    return "never"


def noisy() -> str:
    print('{"ok": true, "result": "printed"}', flush=True)
    os.write(1, b"\x00\x00\x00\x02{}")
    os.write(2, b"oh\n" * 100_000)
    return f"read {sys.stdin.read()!r}"


def large(size: int) -> str:
    return "é" * size


def no_json() -> Any:
    return object()


def not_a_number() -> float:
    return float("nan")


def half_a_character() -> str:
    return "\ud800"


def several() -> dict[str, Any]:
    time.sleep(0.2)  # so that two calls at once are two workers'
    return {"process": os.getpid(), "words": {f"word {number}" for number in range(20)}}


def meddles(data: str) -> str:
    """Write to every socket that is open, as an answer would be written."""
    for number in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(number)) as connection:
                connection.sendall(struct.pack(">I", len(data)) + data.encode())
        except OSError:
            continue
    time.sleep(0.1)
    return "never"


def nothing() -> None:
    return None


def environment() -> dict[str, str]:
    return dict(os.environ)


def folder() -> str:
    Path("left").write_text("over")
    return str(Path.cwd())


def process() -> int:
    return os.getpid()


def starts_another(note: str, number: int = 0) -> str:
    """Start a process that outlives the call, write its number down, and hang."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(note).write_text(f"{os.getpid()} {os.getppid()} {other.pid}")
    time.sleep(3600)
    return "never"


def counts(note: str, number: int) -> int:
    """Write down that it was called."""
    with Path(note).open("a") as file:
        file.write(f"{number}\n")
    return number


def sometimes(number: int) -> int:
    """One in ten raises, and a few hang."""
    if number in (123, 456, 789):
        time.sleep(3600)
    if number % 10 == 0:
        raise ValueError(f"{number} is round")
    return number * 2
