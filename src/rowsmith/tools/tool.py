"""A tool as a model is told of it: a name, a description, and a JSON Schema of its arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rowsmith.config import shown
from rowsmith.errors import ConfigError
from rowsmith.tools.schema import Checker

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI takes for a tool's name."""


@dataclass(frozen=True)
class Tool:
    """One tool.

        Tool("weather", "The weather of a city.", {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]
        })

    Attributes:
        name: letters, digits, `_` and `-`, at most 64.
        description: what it does, for the model.
        parameters: the JSON Schema of the arguments (draft 2020-12, or the one it names in `$schema`), whose type is
            `object`. References must lead to something in it: nothing is fetched.

    Raises:
        ConfigError: the name is none, or the schema is invalid.
        MissingDependencyError: jsonschema is not installed.
    """

    name: str
    description: str
    parameters: Mapping[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigError(f"a tool's name is 1 to 64 letters, digits, _ and - (received: {shown(self.name)}).")
        if not isinstance(self.description, str):
            raise ConfigError(
                f"the description of tool {self.name!r} must be a text (received: {shown(self.description)})."
            )
        object.__setattr__(self, "parameters", self._plain())
        self.__dict__["_checker"] = Checker.of(self.parameters, f"the parameters of tool {self.name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what was compiled: that is made anew."""
        return Tool, (self.name, self.description, self.parameters)

    def openai(self) -> dict[str, Any]:
        """The tool as OpenAI's chat format has it, and so the column `tools` of trainers."""
        told = {"name": self.name, "description": self.description, "parameters": self._plain()}
        return {"type": "function", "function": told}

    def fault(self, arguments: Any) -> str | None:
        """What is wrong with the arguments of a call, in a few words; None if they fit. Nothing is coerced.

        Beyond the schema's structure, `date`, `date-time` (with an offset, RFC 3339), `email`, `ipv4`, `ipv6`, `regex`
        and `uuid` are checked where they are its `format`; other formats are not.
        """
        return self._checker.fault(arguments)

    @cached_property
    def _checker(self) -> Checker:  # put there when it is made; a copy of its fields alone makes it again
        return Checker.of(self.parameters, f"the parameters of tool {self.name!r}")

    def _plain(self) -> dict[str, Any]:
        """A copy of the parameters that is JSON and nothing else, so that no one else can change them."""
        if not isinstance(self.parameters, Mapping):
            raise ConfigError(
                f"the parameters of tool {self.name!r} must be a JSON Schema such as "
                f"{{'type': 'object', 'properties': {{…}}}} (received: {shown(self.parameters)})."
            )
        try:
            copy: dict[str, Any] = json.loads(json.dumps(dict(self.parameters), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"the parameters of tool {self.name!r} are no JSON: {error}.") from None
        return copy
