"""Figures as people read them."""

from __future__ import annotations

import math


def count(number: int, one: str, many: str = "") -> str:
    """`1 row`, `1,204 rows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def short(number: int) -> str:
    """A large number in four characters or so: `980`, `12.3k`, `4.5M`."""
    if number < 1_000:
        return str(number)
    value, unit = number / 1_000, "k"
    for larger in "MGT":
        if value < 999.5:
            break
        value, unit = value / 1_000, larger
    return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3:07`, `1:02:45`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(per_second: float) -> str:
    """`41/s`, `0.8/s`, or `3/min` where it is slow."""
    if per_second >= 9.95:
        return f"{per_second:,.0f}/s"
    if per_second >= 0.095:
        return f"{per_second:.1f}/s"
    return f"{per_second * 60:.1f}/min"


def money(dollars: float) -> str:
    """An amount as a person reads it: cents, or as many digits as a small amount needs."""
    if dollars and dollars < 0.995:
        return f"${dollars:.{max(2, 1 - math.floor(math.log10(dollars)))}f}"
    return f"${dollars:,.2f}"
