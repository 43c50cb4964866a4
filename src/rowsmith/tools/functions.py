"""Python functions as tools: the schema of their arguments, and calls with arguments that are checked and converted."""

from __future__ import annotations

import base64
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import VERSION, BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticOmit

from rowsmith.config import shown
from rowsmith.errors import ConfigError, MissingDependencyError
from rowsmith.references import load
from rowsmith.tools.docstrings import documented
from rowsmith.tools.tool import Tool

_PYDANTIC = tuple(int(part) for part in re.findall(r"\d+", VERSION)[:3])
_SENDABLE = (2, 11, 4)
"""From then on a model that is pickled whole is the same model where it is unpickled."""
_ONE_BY_ONE = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class _Plain(GenerateJsonSchema):
    """Without titles made of the names, and quiet of defaults that JSON cannot hold."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as in the base

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # the base's signature
        return False


@dataclass(frozen=True, eq=False)
class FunctionTool:
    """A function, and the tool that it is. Make it with `of`.

    Attributes:
        function: what is called.
        tool: name, description and parameters from the function's name, docstring and signature.
    """

    function: Callable[..., Any]
    tool: Tool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> FunctionTool:
        """A function as a tool.

        Raises:
            ConfigError: it has no name, or a parameter whose schema cannot be told.
        """
        name = _name(function)
        where = f"the function {name!r}"
        told = documented(inspect.getdoc(function))
        try:
            schema = Arguments.of(function).schema()
        except ConfigError as error:
            raise ConfigError(f"{where} is no tool: {error}") from None
        for parameter, described in schema.get("properties", {}).items():
            if parameter in told.parameters:
                described.setdefault("description", told.parameters[parameter])
        return cls(function, Tool(name, told.summary, schema))

    def packed(self) -> dict[str, str]:
        """How a worker finds the function: by its module, its file, or the function itself, pickled.

        Raises:
            ConfigError: it cannot be pickled.
            MissingDependencyError: it has to be pickled, and cloudpickle is not installed.
        """
        function = self.function
        module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
        home = sys.modules.get(module or "")
        if home is not None and module != "__main__" and "<" not in qualname and _at(home, qualname) is function:
            spec = getattr(home, "__spec__", None)
            if spec is not None and spec.name == module:
                by_file = module.startswith("rowsmith_file_") and spec.origin
                place = str(Path(spec.origin).resolve()) if by_file else module
                return {"reference": f"{place}:{qualname}"}
        return {"pickle": self._pickled()}

    def _pickled(self) -> str:
        try:
            import cloudpickle
        except ImportError as error:
            raise MissingDependencyError(
                f"Calling {self.tool.name!r} in a process of its own, since it is not in a module,", "tools"
            ) from error
        # The annotations are resolved here: names that stand in them alone are not pickled with a function.
        hints = _hints(self.function)
        if _PYDANTIC < _SENDABLE and any(map(_holds_model, hints.values())):
            raise ConfigError(
                f"the function {self.tool.name!r} takes a model that is in no module, which Pydantic {VERSION} cannot "
                "send to another process: update it to 2.11.4 or later, or put both into a module."
            )
        try:
            return base64.b64encode(cloudpickle.dumps((self.function, hints))).decode()
        except Exception as error:
            raise ConfigError(
                f"the function {self.tool.name!r} cannot be sent to another process: {type(error).__name__}: {error}. "
                "Put it into a module, which is imported there."
            ) from error


class Arguments:
    """What a function takes: its schema, and arguments for it out of JSON. Use `of`."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._adapter = adapter

    @classmethod
    def of(cls, function: Callable[..., Any], hints: Mapping[str, Any] | None = None) -> Arguments:
        """What a function takes.

        Args:
            function: any, with annotations.
            hints: its annotations, resolved; looked up if None.

        Raises:
            ConfigError: a parameter cannot be given by its name in JSON.
        """
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            raise ConfigError("Python does not know its parameters; wrap it in a function of your own.") from None
        hints = dict(_hints(function) if hints is None else hints)
        for name, parameter in signature.parameters.items():
            if parameter.kind not in _ONE_BY_ONE:
                raise ConfigError(f"{parameter} cannot be given by a name of its own; write out each parameter.")
            if name not in hints:
                raise ConfigError(f"its parameter {name!r} has no annotation; write `{name}: str`, or what it takes.")
        hints.pop("return", None)

        def taken(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return args, kwargs

        # Pydantic checks the arguments of this one: an exception of the function's own cannot be taken for a fault.
        taken.__signature__ = signature.replace(return_annotation=inspect.Signature.empty)  # type: ignore[attr-defined]
        taken.__annotations__ = hints
        taken.__module__ = getattr(function, "__module__", taken.__module__)
        try:
            return cls(TypeAdapter(taken))  # type: ignore[arg-type]  # Pydantic takes functions, too
        except (PydanticUserError, NameError, TypeError) as error:
            raise ConfigError(f"an annotation is none that Pydantic knows: {_first_line(error)}") from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema.

        Raises:
            ConfigError: an annotation has none.
        """
        try:
            made = self._adapter.json_schema(schema_generator=_Plain)
        except (PydanticUserError, PydanticOmit) as error:
            raise ConfigError(f"an annotation has no JSON Schema: {_first_line(error)}") from error
        schema = {"type": "object", "properties": {}, **made}
        for name, described in schema["properties"].items():
            if described.get("title") == name.title().replace("_", " "):  # Pydantic before 2.12 has it all the same
                del described["title"]
        return schema

    def read(self, arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and named arguments out of a JSON object, checked and converted.

        Raises:
            pydantic.ValidationError: they do not fit.
        """
        taken: tuple[tuple[Any, ...], dict[str, Any]] = self._adapter.validate_json(arguments)
        return taken


def unpacked(packed: Mapping[str, str]) -> tuple[Callable[..., Any], Mapping[str, Any] | None]:
    """A function that `FunctionTool.packed` has packed, and its annotations where they came with it."""
    if "reference" in packed:
        return function_at(packed["reference"]), None
    import pickle

    function, hints = pickle.loads(base64.b64decode(packed["pickle"]))  # noqa: S301  # our own process packed it
    return function, hints


def function_at(reference: str) -> Callable[..., Any]:
    """The function that `module:name` or `path/to/file.py:name` names.

    Raises:
        ConfigError: nothing is there, or no function.
    """
    found = load(reference)
    if not callable(found):
        raise ConfigError(f"{reference!r} is no function but {shown(found)}.")
    function: Callable[..., Any] = found
    return function


def _name(function: Callable[..., Any]) -> str:
    if inspect.isclass(function):
        raise ConfigError(f"the class {function.__name__} is no tool: give a function, or a method of an object.")
    name = getattr(function, "__name__", "")
    if not name or name == "<lambda>":
        what = "a lambda" if name else f"a {type(function).__name__}"
        raise ConfigError(f"{what} has no name that a model could call: write a function with `def`.")
    return str(name)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"an annotation cannot be looked up: {error}. Names in annotations must be known where the function's "
            "module is."
        ) from error
    except TypeError:  # a callable without annotations
        return {}


def _holds_model(annotation: Any) -> bool:
    """Whether a model of a script or a function's own stands in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__module__ == "__main__" or "<" in annotation.__qualname__
    return any(map(_holds_model, get_args(annotation)))


def _at(module: Any, qualname: str) -> Any:
    found = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
