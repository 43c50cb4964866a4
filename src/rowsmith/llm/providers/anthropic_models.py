"""What each Claude model takes, by its id.

The rules are those of Anthropic's guides (https://platform.claude.com/docs/en/models/overview, "Thinking", "Effort",
and the migration guide of each model). A model whose id is not of their form is somebody else's, and unknown here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Effort = Literal["none", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[str, ...] = get_args(Effort)

_NEW = re.compile(r"claude-(?P<line>[a-z]+)-(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?(?!\d)")
_OLD = re.compile(r"claude-(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?-(?P<line>[a-z]+)")
_UNKNOWN_MAX_TOKENS = 8_192


class Claude(NamedTuple):
    """A model as its id names it.

    Attributes:
        line: `haiku`, `sonnet`, `opus`, `fable` or `mythos`.
        version: such as (4, 5).
    """

    line: str
    version: tuple[int, int]

    @property
    def takes_sampling(self) -> bool:
        """Whether `temperature` and `top_p` may differ from their defaults."""
        return self.version < (4, 7)

    @property
    def takes_forced_tool(self) -> bool:
        """Whether `tool_choice` may demand a tool."""
        if self.line in {"fable", "mythos"}:
            return False
        return self.line not in {"opus", "sonnet"} or self.version < (5, 5)

    @property
    def max_tokens(self) -> int:
        """The limit of an answer's tokens where the user names none: within what every model of its time allows.

        From Claude 4 on it has room for thinking, and is written well within the ten minutes of one request.
        """
        if self.version < (3, 5):
            return 4_096
        return _UNKNOWN_MAX_TOKENS if self.version < (4, 0) else 16_000

    def reasoning(self, effort: str) -> Mapping[str, Any] | None:
        """The parameters that make it reason so hard, or None where it cannot be told to.

        Args:
            effort: one of `EFFORTS`.
        """
        if effort == "none":
            return self._without_thinking()
        if self.version < (4, 6):
            return {"effort": effort} if (self.line, self.version) == ("opus", (4, 5)) else None
        # Before Claude 5 a model thinks only when it is asked to.
        return {"effort": effort} | ({"thinking": {"type": "adaptive"}} if self.version < (5, 0) else {})

    def _without_thinking(self) -> Mapping[str, Any] | None:
        if self.version < (5, 0):
            return {}
        if self.line in {"fable", "mythos"} or (self.line == "opus" and self.version >= (5, 5)):
            return None
        off = "between_tools" if self.line == "sonnet" and self.version >= (5, 5) else "disabled"
        return {"thinking": {"type": off}}


def claude(model_id: str) -> Claude | None:
    """The model of an id, also as gateways and clouds write it; None if it is none of Anthropic's."""
    found = _NEW.search(model_id) or _OLD.search(model_id)
    return None if found is None else Claude(found["line"], (int(found["major"]), int(found["minor"] or 0)))


def max_tokens(model: Claude | None) -> int:
    """The limit of an answer's tokens where the user names none."""
    return _UNKNOWN_MAX_TOKENS if model is None else model.max_tokens


def reasoning(model: Claude | None, effort: str) -> Mapping[str, Any] | None:
    """The parameters that make a model reason so hard, or None where it cannot be told to."""
    if model is not None:
        return model.reasoning(effort)
    return {"thinking": {"type": "disabled"}} if effort == "none" else {"effort": effort}


def refused(model: Claude | None, sampling: Mapping[str, Any], *, thinking: bool) -> dict[str, str]:
    """The sampling parameters that a model is known to refuse, each with the reason why, or an empty text.

    Args:
        model: None for somebody else's, of which nothing is known.
        sampling: `temperature` and `top_p` as far as they are set.
        thinking: whether the request turns thinking on.
    """
    if model is None:
        return {}
    if not model.takes_sampling:
        return dict.fromkeys(sampling, "")
    found = {}
    if thinking and sampling.get("temperature", 1) != 1:
        found["temperature"] = " while it thinks"
    if thinking and not 0.95 <= sampling.get("top_p", 1) <= 1:
        found["top_p"] = " below 0.95 while it thinks"
    if "temperature" in sampling and "top_p" in sampling and not found:
        found["top_p"] = " beside `temperature`"
    return found
