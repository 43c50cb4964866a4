"""The base of every configuration: frozen, no unknown settings, and errors a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NoReturn, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, ValidationError

from rowsmith.errors import ConfigError, did_you_mean

_SHOWN = 80
_SHOWN_ITEMS = 3
_HIDDEN = "not shown"
_SECRET_NAME = re.compile(r"(?:^|[_-])(?:key|token|credentials?|authorization|cookie)$|secret|passw", re.IGNORECASE)
# The forms of keys that services give out, and a password in an address: wherever one turns up, it is not shown.
_SECRET_VALUE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|ghp|pplx|csk|fw|nvapi|tgp)[-_][\w-]{8,}|\bhf_[^\W_]{12,}|\bAIza[\w-]{20,}"
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"
    r"|(?i:bearer)\s+\S+"
)
_OTHER_WORDS = {
    "missing": "is required",
    "frozen_instance": "a configuration does not change; make another with .model_copy(update=...)",
    "frozen_field": "a configuration does not change; make another with .model_copy(update=...)",
}
_WITHOUT_VALUE = frozenset({"missing", "extra_forbidden", "frozen_instance", "frozen_field", "json_invalid"})


class Config(BaseModel):
    """A configuration. Wrong settings raise `ConfigError`, however it is made, and name each problem.

    A check in a subclass may raise a `ConfigError` of its own. Where a more special one, such as `TemplateError`, is
    the only problem, it is raised as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            _fail(type(self), error)

    # Pydantic calls an `__init__` that is not its own for each nested model too. Marked as its own, this one is called
    # for the outermost alone, which then knows the whole path of each problem.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate(*args, **kwargs)
        except ValidationError as error:
            _fail(cls, error)

    @classmethod
    def model_validate_json(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate_json(*args, **kwargs)
        except ValidationError as error:
            _fail(cls, error)

    @classmethod
    def model_validate_strings(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate_strings(*args, **kwargs)
        except ValidationError as error:
            _fail(cls, error)

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            _fail(type(self), error)

    def __delattr__(self, name: str) -> None:
        try:
            super().__delattr__(name)
        except ValidationError as error:
            _fail(type(self), error)


def without_secrets(text: str) -> str:
    """The text without what looks like a key, or like a password in an address."""
    return _SECRET_VALUE.sub(_HIDDEN, text)


def shown(value: Any) -> str:
    """A value as an error may show it: short, on one line, and no key or password in it."""
    if isinstance(value, SecretStr | SecretBytes):
        return _HIDDEN
    if isinstance(value, Mapping):
        names = ", ".join(map(repr, list(value)[:_SHOWN_ITEMS]))
        return f"a mapping with {names}{', …' if len(value) > _SHOWN_ITEMS else ''}" if value else "an empty mapping"
    if isinstance(value, str):
        text = repr(_SECRET_VALUE.sub(_HIDDEN, value[: 4 * _SHOWN]))
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…'"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        items = ", ".join(shown(item) for item in value[:_SHOWN_ITEMS])
        text = f"[{items}{', …' if len(value) > _SHOWN_ITEMS else ''}]"
        return text if len(text) <= 2 * _SHOWN else f"a list of {len(value)}"
    if isinstance(value, BaseModel) or not isinstance(value, int | float | complex | bool | type(None)):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def _fail(model: type[BaseModel], error: ValidationError) -> NoReturn:
    problems = error.errors(include_url=False)
    if len(problems) == 1:
        own = problems[0].get("ctx", {}).get("error")
        if isinstance(own, ConfigError) and type(own) is not ConfigError:
            raise own from None
    lines = list(dict.fromkeys(_line(model, problem) for problem in problems))
    if len(lines) == 1:
        raise ConfigError(f"{model.__name__}: {lines[0]}") from None
    listing = "\n".join(f"  - {line}" for line in lines)
    raise ConfigError(f"{model.__name__} has {len(lines)} problems:\n{listing}") from None


def _line(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    place: tuple[int | str, ...] = problem["loc"]
    kind = problem["type"]
    if kind == "extra_forbidden":
        path, around = _walk(model, place[:-1])
        known = {field.alias or name for one in _models(around) for name, field in one.model_fields.items()}
        return f"{_joined(path, place[-1])} is not a setting. {did_you_mean(str(place[-1]), known)}"
    path, _ = _walk(model, place)
    words = _OTHER_WORDS.get(kind) or _said(problem["msg"])
    line = f"{path} {words}" if kind == "missing" else f"{path}: {words}" if path else words
    if kind in _WITHOUT_VALUE or isinstance(problem.get("ctx", {}).get("error"), ConfigError):
        return line if line.endswith((".", "?")) else f"{line}."
    value = _HIDDEN if any(_SECRET_NAME.search(str(part)) for part in place) else shown(problem["input"])
    return f"{line.rstrip('.')} (received: {value})."


def _said(message: str) -> str:
    """Pydantic's sentence without its preamble, as the end of one of ours."""
    for preamble in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(preamble)
    message = re.sub(r"^Input should be", "must be", message)
    message = re.sub(r", unable to parse string as an? \w+$", "", message)
    return _SECRET_VALUE.sub(_HIDDEN, message)


def _walk(model: type[BaseModel], place: Iterable[int | str]) -> tuple[str, list[Any]]:
    """A place of a configuration as a user writes it, and the types that can stand there.

    Pydantic's places also name the branches of unions, which say nothing to a user: those are left out.
    """
    path = ""
    here: list[Any] = [model]
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
            here = [inner for kind in here for inner in _branches(*get_args(kind))]
            continue
        if len(here) > 1 and (named := [kind for kind in here if getattr(kind, "__name__", None) == part]):
            here = named  # a branch by the name of its type, as a discriminator calls it
            continue
        fields = [one.model_fields[name].annotation for one in _models(here) if (name := _field(one, part))]
        values = [get_args(kind)[1] for kind in here if len(get_args(kind)) == 2 and _is_mapping(kind)]
        if fields or values:
            path = _joined(path, part)
            here = list(_branches(*(fields or values)))
        else:
            here = [kind for kind in here if getattr(kind, "__name__", None) == part] or here
    return path, here


def _branches(*annotations: Any) -> Iterator[Any]:
    """The types themselves, out of unions and annotations."""
    for annotation in annotations:
        origin = get_origin(annotation)
        if origin is Annotated:
            yield from _branches(get_args(annotation)[0])
        elif origin in (Union, UnionType):
            yield from _branches(*get_args(annotation))
        else:
            yield annotation


def _models(kinds: Iterable[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _field(model: type[BaseModel], part: str) -> str | None:
    return next((name for name, field in model.model_fields.items() if part in (name, field.alias)), None)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _joined(path: str, part: int | str) -> str:
    if isinstance(part, str) and part.isidentifier():
        return f"{path}.{part}" if path else part
    return f"{path}[{shown(part)}]"
