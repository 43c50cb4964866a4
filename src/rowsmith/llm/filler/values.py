"""The leaves of a filled schema: numbers, strings with a format or a pattern, and text, each within its bounds.

A leaf is a `Maker`: `(writer, seed) -> value`. What cannot be made is refused when the schema is read, not later.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from rowsmith.llm.filler.kinds import kind_of
from rowsmith.llm.filler.pattern import Pattern, UnfillableError
from rowsmith.llm.filler.seeds import draw, mix
from rowsmith.llm.filler.text import Writer

Maker = Callable[[Writer, int], Any]

_LARGEST: Final = 1.7e308
_INT64: Final = 2**63 - 1
_DECIMAL: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
"""A number that a hint of the property's name asks for."""
_SPAN: Final = 100
"""How far a number goes beyond its one bound where it has no other."""


def _bounds(schema: Mapping[str, Any]) -> tuple[float | None, bool, float | None, bool]:
    """Lower bound, is it excluded, upper bound, is it excluded; of two lower bounds the tighter one."""
    low, low_out = schema.get("minimum"), False
    high, high_out = schema.get("maximum"), False
    if (given := schema.get("exclusiveMinimum")) is not None and (low is None or given >= low):
        low, low_out = given, True
    if (given := schema.get("exclusiveMaximum")) is not None and (high is None or given <= high):
        high, high_out = given, True
    return low, low_out, high, high_out


def _usual_range(name: str) -> tuple[int, int]:
    """What a whole number without bounds is likely to be, by its name."""
    low = name.lower()
    if "year" in low:
        return 1950, 2025
    if "age" in low.split("_"):
        return 18, 90
    if any(word in low for word in ("score", "rating", "stars", "grade")):
        return 1, 5
    return 1, _SPAN


def integer(schema: Mapping[str, Any], name: str) -> Maker:
    """Whole numbers within the schema's bounds, in steps of `multipleOf`."""
    low, low_out, high, high_out = _bounds(schema)
    usual = _usual_range(name)
    least = None if low is None else math.ceil(low) + (low_out and math.ceil(low) == low)
    most = None if high is None else math.floor(high) - (high_out and math.floor(high) == high)
    step = Fraction(str(schema["multipleOf"])).numerator if schema.get("multipleOf") else 1
    span = _SPAN * step
    if least is None and most is None:
        least, most = (usual[0], max(usual[1], span))
    elif most is None and least is not None:
        most = min(usual[1] if least <= usual[0] and step == 1 else least + span, _INT64)
    elif least is None and most is not None:
        least = usual[0] if usual[1] <= most and step == 1 else most - span
    assert least is not None
    assert most is not None
    first, count = -(-least // step), most // step + (-least // step) + 1
    if count < 1:
        raise UnfillableError(f"no whole number fits {_shown(schema)}")

    def make(writer: Writer, seed: int) -> int:
        asked = writer.values.get(name)
        if asked is not None and _DECIMAL.fullmatch(asked) and float(asked).is_integer():
            given = int(float(asked))
            if first * step <= given < (first + count) * step and given % step == 0:
                return given
        return (first + mix(seed) % count) * step

    return make


def number(schema: Mapping[str, Any], name: str) -> Maker:
    """Numbers within the schema's bounds, with few decimals where there is room."""
    low, low_out, high, high_out = _bounds(schema)
    if low is None and high is None:
        low, high = map(float, _usual_range(name))
    elif high is None:
        assert low is not None
        high = min(low + max(_SPAN, abs(low)), _LARGEST)
    elif low is None:
        low = max(high - max(_SPAN, abs(high)), -_LARGEST)
    bottom, top = float(low), float(high)

    def fits(value: float) -> bool:
        above = value > bottom or (value == bottom and not low_out)
        return above and (value < top or (value == top and not high_out))

    if schema.get("multipleOf"):
        return _multiples(schema, bottom, top, fits)
    spare = next((v for v in (bottom, top, bottom / 2 + top / 2, math.nextafter(bottom, top)) if fits(v)), None)
    if spare is None:
        raise UnfillableError(f"no number fits {_shown(schema)}")

    def make(writer: Writer, seed: int) -> float:
        asked = writer.values.get(name)
        if asked is not None and _DECIMAL.fullmatch(asked) and fits(float(asked)):
            return float(asked)
        share = mix(seed) / 2**64
        value = bottom * (1 - share) + top * share
        for candidate in (round(value, 2), round(value, 4), value):
            if fits(candidate):
                return candidate
        return spare

    return make


def _multiples(schema: Mapping[str, Any], low: float, high: float, fits: Callable[[float], bool]) -> Maker:
    """Multiples that are so by both rules in use: a whole quotient (JSON Schema), no remainder (Pydantic)."""
    step = float(schema["multipleOf"])
    first, last = math.ceil(low / step), math.floor(high / step)
    tried = [first + (last - first) * at // 511 for at in range(512)] if last - first > 511 else range(first, last + 1)
    good = [v for v in (k * step for k in tried) if fits(v) and (v / step).is_integer() and math.fmod(v, step) == 0]
    if not good:
        raise UnfillableError(f"no number fits {_shown(schema)}")
    return lambda _, seed: good[mix(seed) % len(good)]


def _shown(schema: Mapping[str, Any]) -> str:
    names = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
    return ", ".join(f"{name} {schema[name]}" for name in names if name in schema)


def _uuid(version: int) -> Maker:
    def make(_: Writer, seed: int) -> str:
        return str(UUID(int=(mix(seed) << 64) | mix(seed + 1), version=version))

    return make


def _clock(_: Writer, seed: int) -> str:
    d = draw(seed)
    return f"{d[0] % 24:02d}:{d[1] % 60:02d}:{d[2] % 60:02d}Z"


def _written(kind: str) -> Maker:
    return lambda writer, seed: writer.write(kind, seed)


def _ipv6(_: Writer, seed: int) -> str:
    d = draw(seed)
    return "2001:db8:" + ":".join(f"{1 + part % 65535:x}" for part in d[:6])


def _ipv4(_: Writer, seed: int) -> str:
    d = draw(seed)
    return f"192.0.2.{d[0] % 256}" if d[1] % 2 else f"198.51.100.{d[0] % 256}"


_date = _written("date")
_ip_formats: Final[dict[str, Maker]] = {
    "ipv4": _ipv4,
    "ipvanyaddress": _ipv4,
    "ipv6": _ipv6,
    "ipv4interface": lambda w, seed: f"{_ipv4(w, seed)}/24",
    "ipvanyinterface": lambda w, seed: f"{_ipv4(w, seed)}/24",
    "ipv6interface": lambda w, seed: f"{_ipv6(w, seed)}/64",
    "ipv4network": lambda _, seed: f"10.{mix(seed) % 256}.{mix(seed + 1) % 256}.0/24",
    "ipvanynetwork": lambda _, seed: f"10.{mix(seed) % 256}.{mix(seed + 1) % 256}.0/24",
    "ipv6network": lambda _, seed: f"2001:db8:{mix(seed) % 65536:x}::/48",
}
_FORMATS: Final[dict[str, Maker]] = {
    **_ip_formats,
    "date": _date,
    "date-time": lambda w, seed: f"{_date(w, seed)}T{_clock(w, mix(seed))}",
    "time": _clock,
    "duration": lambda _, seed: f"P{mix(seed) % 30 + 1}DT{mix(seed + 1) % 24}H{mix(seed + 2) % 60}M",
    "email": _written("email"),
    "idn-email": _written("email"),
    "name-email": lambda w, seed: f"{w.write('person', seed)} <{w.write('email', seed)}>",
    "uri": _written("url"),
    "iri": _written("url"),
    "uri-reference": _written("url"),
    "uuid": _uuid(4),
    **{f"uuid{version}": _uuid(version) for version in range(1, 9)},
    "hostname": lambda _, seed: f"host-{mix(seed) % 10**6}.example.com",
    "multi-host-uri": lambda _, seed: f"postgresql://user@db{mix(seed) % 100}.example.com:5432/rows",
    "regex": lambda _, seed: f"[a-z]{{{1 + mix(seed) % 9}}}",
    "base64": lambda w, seed: base64.b64encode(w.write("topic", seed).encode()).decode(),
    "base64url": lambda w, seed: base64.urlsafe_b64encode(w.write("topic", seed).encode()).decode(),
    "path": lambda _, seed: f"notes/{mix(seed):016x}.txt",
    "file-path": lambda _, seed: f"notes/{mix(seed):016x}.txt",
    "directory-path": lambda *_: ".",
    "color": lambda _, seed: f"#{mix(seed) % 0x1000000:06x}",
    "json-string": lambda _, seed: str(mix(seed) % 1000),
}


def string(schema: Mapping[str, Any], name: str) -> Maker:
    """A string that fits the schema's format, pattern and length; without a format or pattern, readable text."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if most is not None and most < least:
        raise UnfillableError(f"no string is at least {least} and at most {most} long")
    formatted, pattern = schema.get("format"), schema.get("pattern")
    if formatted in _FORMATS:
        return _checked(_FORMATS[formatted], schema, least, most)
    if pattern is not None:
        source = Pattern(pattern, least, most)
        return lambda _, seed: source.fill(seed)
    kind = kind_of(name, str(schema.get("description", "")))
    return _text(kind, least, most)


def _checked(make: Maker, schema: Mapping[str, Any], least: int, most: int | None) -> Maker:
    """A format's values, where the schema also asks for a length or a pattern that they may not have."""
    pattern = Pattern(schema["pattern"]) if "pattern" in schema else None
    if least <= 1 and (most is None or most >= 80) and pattern is None:
        return make

    def checked(writer: Writer, seed: int) -> str:
        for attempt in range(40):
            value = str(make(writer, mix(seed + attempt) if attempt else seed))
            if len(value) >= least and (most is None or len(value) <= most) and (not pattern or pattern.fits(value)):
                return value
        raise UnfillableError(f"no {schema['format']} was found that is {least} to {most} long and fits the pattern")

    return checked


def _text(kind: str, least: int, most: int | None) -> Maker:
    if least == 0 and most is None:
        return lambda writer, seed: writer.write(kind, seed)
    # A sentence cut after a few words is the same for many seeds: a narrow property gets a word and a number.
    narrow = most is not None and most < 48

    def bounded(writer: Writer, seed: int) -> str:
        text = writer.write(kind, seed)
        if most is not None and len(text) > most:
            text = writer.short(seed, most) if narrow else text[:most].rsplit(" ", 1)[0].rstrip(" ,:;")
        while len(text) < least:
            seed = mix(seed)
            text = f"{text} {writer.write('text', seed)}".strip()
            if most is not None:
                text = text[:most].rstrip().ljust(least, ".")
        return text

    return bounded
