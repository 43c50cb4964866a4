"""Sums in texts, worked out."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?"
_ANSWER = re.compile(rf"[$€£]?\s*({_NUMBER})\s*(?:%|°)?\.?")
_TERM = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
# Nothing may stand before or behind that would make it part of a longer sum, a formula or a date.
_EQUATION = re.compile(
    rf"(?<![\w.,)\]^%*/+×÷·−=-])(?<![*/+×÷·−=-]\s)({_TERM})\s*([-+*/×÷·−])\s*({_TERM})\s*=\s*[$€£]?({_NUMBER})"
    r"(?![\w%(/^*]|[.,]\d|\s*[-+*/×÷·−^(])"
)


def number_in(text: str) -> Fraction | None:
    """The number that a text is, with or without a currency or per cent sign; None if it is something else."""
    found = _ANSWER.fullmatch(text.strip())
    return _value(found[1]) if found else None


def false_equation(text: str) -> str:
    """What is wrong with the first sum of two numbers that does not come out, in words; empty if all do.

    A result may be rounded to the digits that it is written with.
    """
    for found in _EQUATION.finditer(text):
        left, sign, right, written = found.groups()
        result = _result(_value(left), sign, _value(right))
        if result is None:
            continue
        said = _value(written)
        if not _comes_out(result, said, len(written.partition(".")[2])):
            return f"{found[0].strip()!r} is wrong: it is {_shown(result)}"
    return ""


def _comes_out(result: Fraction, said: Fraction, digits: int) -> bool:
    """Whether a written result is the true one, rounded or, where it is whole, cut to its digits."""
    if not digits and result.denominator > 1:
        return abs(result - said) < 1
    return abs(result - said) <= (Fraction(1, 2 * 10**digits) if digits else 0)


def _result(left: Fraction, sign: str, right: Fraction) -> Fraction | None:
    if sign == "+":
        return left + right
    if sign in "-−":
        return left - right
    if sign in "*×·":
        return left * right
    return left / right if right else None


def _value(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
