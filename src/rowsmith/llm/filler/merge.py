"""Two JSON Schemas that hold at once, as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rowsmith.llm.filler.pattern import UnfillableError

ANNOTATIONS: Final = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "$defs",
        "definitions",
        "$schema",
        "$id",
        "$comment",
    }
)
"""Keywords that no value can break."""

_LARGER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_SMALLER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """One schema whose values fit both; of annotations the second's.

    Raises:
        UnfillableError: the two contradict each other, or cannot be told to agree (two patterns).
    """
    whole = dict(first)
    for word, value in second.items():
        if word not in whole or word in ANNOTATIONS or whole[word] == value:
            whole[word] = value
        else:
            whole[word] = _both(word, whole[word], value)
    return whole


def _both(word: str, a: Any, b: Any) -> Any:
    if word in _LARGER:
        return max(a, b)
    if word in _SMALLER:
        return min(a, b)
    if word == "required":
        return list(dict.fromkeys([*a, *b]))
    if word == "properties":
        shared = {name: {"allOf": [a[name], b[name]]} for name in a.keys() & b.keys() if a[name] != b[name]}
        return {**a, **b, **shared}
    if word in ("enum", "type"):
        return _shared(word, a, b)
    if word in ("items", "additionalProperties", "propertyNames"):
        if a is False or b is False:
            return False
        return b if a is True else a if b is True else {"allOf": [a, b]}
    if word == "uniqueItems":
        return bool(a or b)
    if word == "allOf":
        return [*a, *b]
    raise UnfillableError(f"the offline provider cannot join two values of {word!r}: {a!r} and {b!r}")


def _shared(word: str, a: Any, b: Any) -> Any:
    left, right = ([one] if isinstance(one, str) else list(one) for one in (a, b))
    if word == "type" and {"integer", "number"} <= {*left, *right}:
        left = [*left, "integer"] if "number" in left else left
        right = [*right, "integer"] if "number" in right else right
    both = [value for value in left if value in right]
    if not both:
        raise UnfillableError(f"no value has the {word} of both {a!r} and {b!r}")
    return both[0] if word == "type" and len(both) == 1 else both
