"""Keys that do not show: values that hide when they are printed, and texts of others with our keys taken out."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

HIDDEN = "***"

_SHORTEST = 4
"""Characters that a secret must have to be looked for: a shorter one would be found in every other word."""
_SHORTEST_CODE = 8
"""The same for its base64 form."""
_MOST_TIMES = 4
"""How often over a text may be escaped: JSON in JSON in an address."""
_LAST = 0x10FFFF
_URL_SAFE = str.maketrans("+/", "-_")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ESCAPE = re.compile(
    r"%(?P<hex>[0-9a-fA-F]{2})|\\u(?P<u>[0-9a-fA-F]{4})|\\x(?P<x>[0-9a-fA-F]{2})|\\(?P<plain>[\"'/\\])"
    r"|&\#0*(?P<number>\d{1,7});|&\#[xX]0*(?P<entity>[0-9a-fA-F]{1,6});|&(?P<named>amp|lt|gt|quot|apos);"
)
_LONG_WORD = re.compile(r"[\w-]{24,}", re.ASCII)


class Secret(str):
    """A text that is itself for whoever sends it, and `***` in a `repr`, a deep copy, and so in `dataclasses.asdict`.

    Pickled it is itself: what is pickled is to be used elsewhere.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __deepcopy__(self, memo: dict[int, object]) -> str:
        return HIDDEN


def without(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret turned into `***`.

    It is found as it is, and as it comes back from services and what stands before them: percent-encoded, with any of
    its characters escaped as JSON or HTML do it, or in base64, alone or within a longer text such as `user:password`.

    Args:
        text: in which it may stand.
        secrets: those of fewer than four characters are not looked for.
    """
    needles = _needles(secrets)
    for needle in needles:
        if needle in text:
            text = text.replace(needle, HIDDEN)
    if needles and _ESCAPE.search(text):
        for start, end in reversed(_escaped(text, needles)):
            text = text[:start] + HIDDEN + text[end:]
    return text


def address(written: str) -> str:
    """An address as it may be shown: no name, password, query or fragment, and no word as long as a key.

    What stands where an address should is whatever a user has put there, and that may be the key by mistake.
    """
    lead, scheme, rest = written.strip().rpartition("://")
    rest = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return _LONG_WORD.sub(HIDDEN, f"{lead.rpartition('@')[2]}{scheme}{rest}")


def plainly(value: object) -> str:
    """A value that should have been another, for an error: a mapping or a list may hold a key, and is told by kind."""
    if isinstance(value, str):
        return repr(_LONG_WORD.sub(HIDDEN, value))
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"


def is_address(written: str) -> bool:
    """Whether a text can be read as an address at all."""
    try:
        return bool(urlsplit(written if "://" in written else f"//{written}").hostname)
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _needles(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """What to look for, the longest first: it may hold another."""
    found = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(str(secret))}
    # What looks like an escape in a secret itself is read as one in a text that has it escaped once more.
    for _ in range(_MOST_TIMES):
        found |= {_unescaped(form, [(0, 0)] * len(form))[0] for form in found}
    found = {form for form in found if len(form) >= _SHORTEST}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _forms(secret: str) -> Iterator[str]:
    octets = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield octets.decode("latin-1")  # as its percent-encoding is read here, byte by byte
    for shift, first in enumerate((0, 2, 3)):
        # What is the same in base64 whatever stands before and after it: so many bytes, but for a multiple of three.
        whole = b64encode(bytes(shift) + octets).decode()
        code = whole[first:] if not whole.endswith("=") else whole[first:].rstrip("=")[:-1]
        if len(code) >= _SHORTEST_CODE:
            yield code
            yield code.translate(_URL_SAFE)


def _escaped(text: str, needles: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where secrets stand in a text with some of their characters escaped, also several times over; no two overlap."""
    places = [(at, at + 1) for at in range(len(text))]
    found: list[tuple[int, int]] = []
    read = text
    for _ in range(_MOST_TIMES):
        read, places = _unescaped(read, places)
        for needle in needles:
            at = read.find(needle)
            while at >= 0:
                found.append((places[at][0], places[at + len(needle) - 1][1]))
                at = read.find(needle, at + 1)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _unescaped(text: str, places: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """The text with each escape as the character it stands for, and where each character came from."""
    parts: list[str] = []
    whence: list[tuple[int, int]] = []
    end = 0
    for escape in _ESCAPE.finditer(text):
        parts.append(text[end : escape.start()])
        whence += places[end : escape.start()]
        parts.append(_meant(escape))
        end = escape.end()
        whence.append((places[escape.start()][0], places[end - 1][1]))
    return "".join((*parts, text[end:])), whence + places[end:]


def _meant(escape: re.Match[str]) -> str:
    digits = escape["hex"] or escape["u"] or escape["x"] or escape["entity"]
    if digits:
        return chr(min(int(digits, 16), _LAST))
    if escape["number"]:
        return chr(min(int(escape["number"]), _LAST))
    return _ENTITIES[escape["named"]] if escape["named"] else escape["plain"]
