"""The base of all configuration classes: strict, frozen, with errors that a person can act on."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from rowsmith.errors import ConfigError, did_you_mean


class Config(BaseModel):
    """A configuration: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as exc:
            raise _readable(type(self), exc) from None

    @classmethod
    def model_validate(cls, obj: Any, **kwargs: Any) -> Self:
        """As Pydantic's, raising `ConfigError`."""
        try:
            return super().model_validate(obj, **kwargs)
        except ValidationError as exc:
            raise _readable(cls, exc) from None


def _readable(model: type[BaseModel], exc: ValidationError) -> ConfigError:
    lines = []
    for error in exc.errors():
        where = ".".join(str(part) for part in error["loc"]) or model.__name__
        text = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            text = f"there is no such field. {did_you_mean(str(error['loc'][-1]), model.model_fields)}"
        lines.append(f"{where}: {text}")
    return ConfigError(f"{model.__name__}: " + "; ".join(lines))
