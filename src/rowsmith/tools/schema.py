"""JSON Schemas of arguments: compiled once, checked as a whole, faults told in a few words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rowsmith.config import shown
from rowsmith.errors import ConfigError, MissingDependencyError, did_you_mean

if TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_BUILT_IN_FORMATS = ("date", "email", "ipv4", "ipv6", "regex", "uuid")
"""Those that jsonschema checks wherever it is installed; others depend on what else is."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LONGEST = 200
_TOO_DEEP = "arguments: too deeply nested to be checked"

_WORDS = {
    "exclusiveMaximum": "must be less than {}",
    "exclusiveMinimum": "must be more than {}",
    "format": "must be a {}",
    "maxItems": "must have at most {} items",
    "maxLength": "must have at most {} characters",
    "maxProperties": "must have at most {} entries",
    "maximum": "must be at most {}",
    "minItems": "must have at least {} items",
    "minLength": "must have at least {} characters",
    "minProperties": "must have at least {} entries",
    "minimum": "must be at least {}",
    "multipleOf": "must be a multiple of {}",
    "pattern": "must match {!r}",
    "uniqueItems": "must have no item twice",
}
"""What a keyword asks for, with the keyword's value."""


class Checker:
    """A compiled schema. Use `of`, which checks the schema itself."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    @classmethod
    def of(cls, schema: Mapping[str, Any], where: str) -> Checker:
        """A checker of arguments.

        Args:
            schema: as plain JSON.
            where: whose it is, for errors.

        Raises:
            ConfigError: it is no valid schema, not one of an object, or refers to what is not in it.
            MissingDependencyError: jsonschema is not installed.
        """
        try:
            from jsonschema import Draft202012Validator
            from jsonschema.exceptions import best_match
            from jsonschema.validators import validator_for
        except ImportError as error:
            raise MissingDependencyError("Tools", "tools") from error
        if schema.get("type") != "object":
            raise ConfigError(
                f"{where} must be a JSON Schema whose 'type' is 'object' (received: {shown(schema.get('type'))})."
            )
        kind = validator_for(schema, default=Draft202012Validator)
        meta = kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)
        fault = best_match(meta.iter_errors(schema))
        if fault is not None:
            raise ConfigError(f"{where} are no valid JSON Schema: {_line(fault, 'the schema')}.")
        registry = _registry(schema, where)
        checker = cls(kind(schema, registry=registry, format_checker=_formats()))
        if checker.fault({}) == _TOO_DEEP:
            raise ConfigError(f"{where} refer to themselves without an end.")
        return checker

    def fault(self, arguments: Any) -> str | None:
        """What is wrong with arguments; None if nothing is."""
        from jsonschema.exceptions import best_match

        try:
            found = best_match(self._validator.iter_errors(arguments))
        except RecursionError:
            return _TOO_DEEP
        return None if found is None else _line(found, "arguments")


def _registry(schema: Mapping[str, Any], where: str) -> Any:
    """What references are looked up in: the schema itself and the drafts of JSON Schema; nothing is fetched.

    Raises:
        ConfigError: a reference leads to neither.
    """
    from jsonschema_specifications import REGISTRY
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    draft = specification_with(str(schema.get("$schema", "")), default=DRAFT202012)
    resource = draft.create_resource(schema)
    base = resource.id() or ""
    registry = REGISTRY.with_resource(base, resource)
    waiting = [(resource, registry.resolver(base))]
    seen: set[int] = set()
    while waiting:
        part, resolver = waiting.pop()
        if id(part.contents) in seen or not isinstance(part.contents, Mapping):
            continue
        seen.add(id(part.contents))
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.contents.get(keyword)
            if not isinstance(reference, str):
                continue
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                raise ConfigError(
                    f"{where} have a reference that leads nowhere: {shown(reference)}. Nothing is fetched: put what it "
                    "means into '$defs' and write '#/$defs/<name>'."
                ) from None
            if isinstance(found.contents, Mapping):
                waiting.append((draft.create_resource(found.contents), found.resolver))
        waiting.extend((inner, resolver.in_subresource(inner)) for inner in part.subresources())
    return registry


def _formats() -> FormatChecker:
    from jsonschema import FormatChecker

    checker = FormatChecker(_BUILT_IN_FORMATS)
    # Of the checker alone: the class's own table is everybody's.
    checker.checkers = {**checker.checkers, "date-time": (_is_instant, ())}
    return checker


def _is_instant(value: object) -> bool:
    """Whether a text is a date and time with its offset (RFC 3339, 5.6); of what is no text nothing is said."""
    if not isinstance(value, str):
        return True
    if not _INSTANT.fullmatch(value):
        return False
    whole = re.sub(r"\.\d+", "", value).upper()
    if whole[17:19] == "60":  # a leap second
        whole = f"{whole[:17]}59{whole[19:]}"
    try:
        datetime.fromisoformat(whole)
    except ValueError:
        return False
    return True


def _line(error: ValidationError, whole: str) -> str:
    """One error: where, what is asked for, and what was there."""
    path = _path(error.absolute_path) or whole
    words = _words(error)
    return (
        f"{path}: {words} (received: {_short(shown(error.instance))})" if words else f"{path}: {_short(error.message)}"
    )


def _words(error: ValidationError) -> str:
    keyword = str(error.validator)
    asked: Any = error.validator_value
    given: Any = error.instance
    if keyword in _WORDS:
        return _short(_WORDS[keyword].format(asked))
    if keyword == "type":
        return f"must be of type {' or '.join([asked] if isinstance(asked, str) else asked)}"
    if keyword == "enum":
        return _short(f"must be one of {', '.join(map(repr, asked))}")
    if keyword == "const":
        return _short(f"must be {asked!r}")
    if keyword == "required":
        missing = [name for name in asked if name not in given]
        return _short(f"{', '.join(map(repr, missing))} is required")
    if keyword in ("anyOf", "oneOf") and error.context:
        several = dict.fromkeys(words for one in error.context if not one.path and (words := _words(one)))
        return _short(" or ".join(several))
    if keyword == "additionalProperties" and asked is False and isinstance(given, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        patterns = error.schema.get("patternProperties", {}) if isinstance(error.schema, Mapping) else {}
        unknown = [name for name in given if name not in known and not any(re.search(one, name) for one in patterns)]
        if unknown:
            return _short(f"{unknown[0]!r} is not a parameter. {did_you_mean(unknown[0], known)}".rstrip("."))
    return ""


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
