"""The JSON Schema of a run's YAML file, for editors: made of the configurations themselves, so that it cannot differ.

JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). It takes what `load_job` takes as far as a schema can
say it: types, names, bounds and choices, but not whether prompts have their placeholders.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.datasets.loading import KINDS, kind_of
from rowsmith.engine.options import Options
from rowsmith.recipes.base import KindConfig

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS = "#/$defs/{model}"
_ATTRIBUTE = re.compile(r"^(\w+): (.*)$")


def schema(kind: str | None = None) -> dict[str, Any]:
    """The schema of the YAML file of one kind, or of all.

    Args:
        kind: its name in YAML.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind is not None:
        kind_of(kind, "rowsmith schema")
    parts: dict[str, JsonSchemaValue] = {}
    definitions: dict[str, Any] = dict(_MODELS)
    for name in KINDS if kind is None else (kind,):
        config, dataset = kind_of(name, name)
        parts[name], more = _of_kind(name, config, dataset)
        definitions |= more
    made: dict[str, Any] = {"$schema": DRAFT, "title": "A run of Rowsmith", "$defs": definitions}
    if kind is not None:
        return {**made, **parts[kind]}
    names = {"enum": list(parts), "description": "The kind of dataset."}
    return {
        **made,
        "type": "object",
        "required": ["dataset"],
        "properties": {"dataset": names},
        "allOf": [
            {"if": {"properties": {"dataset": {"const": name}}, "required": ["dataset"]}, "then": part}
            for name, part in parts.items()
        ],
    }


def _of_kind(name: str, config: type[KindConfig], dataset: type[GeneratedDataset[Any]]) -> tuple[dict[str, Any], Any]:
    made = config.model_json_schema(schema_generator=_Generator, ref_template=_DEFINITIONS)
    definitions = {f"{name}.{key}": part for key, part in made.pop("$defs", {}).items()}
    made, definitions = _renamed(made, name), _renamed(definitions, name)
    fields, required = made["properties"], set(made.get("required", ()))
    for other, field in config.other_names.items():
        fields.setdefault(other, {**fields[field], "description": f"Another name of `{field}`."})
    lacking = [
        {"anyOf": [{"required": [one]} for one in (field, *_others(config, field))]}
        for field in sorted(required - {"output_file"})
        if _others(config, field)
    ]
    # `output_file` may come from the command line, and a model too.
    whole = [field for field in required if field != "output_file" and not _others(config, field)]
    closed = {
        "type": "object",
        "description": _first(config),
        "properties": {
            "dataset": {"const": name, "description": "The kind of dataset."},
            **fields,
            **_run_keys(dataset),
        },
        "required": ["dataset", *sorted(whole)],
        "additionalProperties": False,
    }
    return closed | ({"allOf": lacking} if lacking else {}), definitions


def _others(config: type[KindConfig], field: str) -> list[str]:
    return [other for other, name in config.other_names.items() if name == field]


def _renamed(value: Any, kind: str) -> Any:
    """The same with references to the definitions of a kind, so that those of several can stand together."""
    if isinstance(value, dict):
        return {
            key: part.replace("#/$defs/", f"#/$defs/{kind}.") if key == "$ref" else _renamed(part, kind)
            for key, part in value.items()
        }
    return [_renamed(part, kind) for part in value] if isinstance(value, list) else value


# -- fields -----------------------------------------------------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    """Schemas as YAML is written: with descriptions, without functions, and with a number where a text may stand."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model = schema["cls"]
        told = attributes(model)
        for field, part in made.get("properties", {}).items():
            part.pop("title", None)
            name = next((name for name, info in model.model_fields.items() if info.alias == field), field)
            if name in told:
                part["description"] = told[name]
        made.pop("title", None)
        made["description"] = _first(model)
        return made

    def callable_schema(self, schema: core_schema.CallableSchema) -> JsonSchemaValue:
        del schema
        return {"not": {}, "description": "A function, which can be given in Python only."}

    def is_subclass_schema(self, schema: core_schema.IsSubclassSchema) -> JsonSchemaValue:
        """A class, which YAML names by a text: that stands beside it in the union."""
        del schema
        return {"not": {}}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """A text may look like a number or a truth value: `007` stays `007`."""
        made = super().str_schema(schema)
        return made if "pattern" in made else {**made, "type": ["string", "number", "boolean"]}


def attributes(model: type) -> dict[str, str]:
    """What docstrings say of a class's attributes, those of its bases included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        found |= dict(_attributes(inspect.cleandoc(one.__dict__.get("__doc__") or "")))
    return found


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    _, heading, rest = text.partition("\nAttributes:\n")
    if not heading:
        return
    name, words = "", list[str]()
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        start = _ATTRIBUTE.match(line[4:]) if line.startswith("    ") and line[4:5] != " " else None
        if start is None:
            words.append(line.strip())
            continue
        if name:
            yield name, _sentence(words)
        name, words = start[1], [start[2]]
    if name:
        yield name, _sentence(words)


def _sentence(words: list[str]) -> str:
    text = " ".join(" ".join(words).split())
    return text[:1].upper() + text[1:]


def _first(model: type) -> str:
    """The first sentence of a class's docstring."""
    text = inspect.cleandoc(model.__dict__.get("__doc__") or "").partition("\n\n")[0]
    return " ".join(text.split())


# -- how a run is carried out -----------------------------------------------------------------------------------------

_MODELS: Mapping[str, Any] = {
    "model": {
        "description": "A model: `provider/model`; a mapping of `model` and the provider's arguments; or several.",
        "anyOf": [
            {"type": "string", "minLength": 1, "examples": ["openai/gpt-5-mini", "ollama/gemma3:4b", "offline"]},
            {
                "type": "object",
                "description": "A model with arguments of its provider, such as `temperature`.",
                "properties": {"model": {"type": "string", "minLength": 1}},
                "required": ["model"],
            },
            {"$ref": "#/$defs/fallback"},
            {"$ref": "#/$defs/spread"},
        ],
    },
    "fallback": {
        "type": "object",
        "description": "A model, and those that stand in for it where it fails.",
        "properties": {
            "fallback": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/model"}},
            "on_refusal": {"type": "boolean", "description": "Also ask the next where a model declines to answer."},
        },
        "required": ["fallback"],
        "additionalProperties": False,
    },
    "spread": {
        "type": "object",
        "description": "Models among whom the prompts are dealt out.",
        "properties": {
            "spread": {
                "type": "array",
                "minItems": 2,
                "items": {
                    "anyOf": [
                        {"$ref": "#/$defs/model"},
                        {
                            "type": "object",
                            "properties": {
                                "fallback": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/model"}},
                                "on_refusal": {"type": "boolean"},
                                "weight": {"type": "number", "exclusiveMinimum": 0},
                            },
                            "required": ["fallback", "weight"],
                            "additionalProperties": False,
                        },
                    ]
                },
            }
        },
        "required": ["spread"],
        "additionalProperties": False,
    },
}


def _run_keys(dataset: type[GeneratedDataset[Any]]) -> dict[str, Any]:
    model = {"$ref": "#/$defs/model"}
    roles = dataset.recipe.roles
    told = attributes(Options)
    return {
        "llms": {
            "description": "The models: each gets every prompt.",
            "anyOf": [model, {"type": "array", "minItems": 1, "items": model}],
        },
        "roles": {
            "description": "Models of single roles, in place of `llms`.",
            "type": "object",
            "properties": dict.fromkeys(roles, model),
            "additionalProperties": False,
        },
        "spread": {
            "description": "Deal the prompts out among the models, evenly or by weights such as [3, 1].",
            "anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}}],
        },
        "trace": {"type": "boolean", "description": "Make OpenTelemetry traces of the run."},
        "max_concurrency": {"type": "integer", "minimum": 1, "description": told["max_concurrency"]},
        "max_cost": {"type": "number", "minimum": 0, "description": told["max_cost"]},
        "max_requests": {"type": "integer", "minimum": 0, "description": told["max_requests"]},
        "max_tokens": {"type": "integer", "minimum": 0, "description": told["max_tokens"]},
        "batch": {"type": "boolean", "description": told["batch"]},
    }
