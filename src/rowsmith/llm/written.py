"""JSON as it goes out: the same payload, the same bytes."""

from __future__ import annotations

import re
from typing import Any

import orjson

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def to_bytes(payload: dict[str, Any]) -> bytes:
    """The payload as JSON, keys in the order given.

    Half of a surrogate pair, which a careless reader leaves in a text and no JSON may hold, becomes U+FFFD.
    """
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        return orjson.dumps(mended(payload))


def mended(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair in its texts."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {mended(key): mended(inner) for key, inner in value.items()}
    return [mended(inner) for inner in value] if isinstance(value, list | tuple) else value
