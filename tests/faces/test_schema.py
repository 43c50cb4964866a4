"""The JSON Schema of a run's YAML file: it takes what can be run, and knows all that can be said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rowsmith.datasets.loading import _RUN_KEYS, KINDS, kind_of, load_job
from rowsmith.datasets.schema import attributes, schema
from rowsmith.datasets.yaml_tree import plain, read
from rowsmith.errors import ConfigError
from rowsmith.recipes.classification import ClassificationDatasetConfig

EXAMPLES = [
    path
    for path in sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))
    if "\ndataset:" in path.read_text(encoding="utf-8")  # others are no runs
]
ALL = Draft202012Validator(schema())
CLASSES: dict[str, Any] = {
    "dataset": "classification",
    "output_file": "rows.jsonl",
    "classes": [{"name": "a", "description": "one"}, {"name": "b", "description": "two"}],
}


def faults(file: object) -> list[str]:
    return [error.message for error in ALL.iter_errors(file)]


def test_it_is_a_valid_schema_whose_references_all_lead_somewhere() -> None:
    made = schema()
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    references = {part["$ref"].removeprefix("#/$defs/") for part in parts_of(made) if "$ref" in part}
    assert references <= made["$defs"].keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(example: Path) -> None:
    file = plain(read(example.read_text(encoding="utf-8"), example.name))
    assert faults(file) == []
    assert list(Draft202012Validator(schema(file["dataset"])).iter_errors(file)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_is_in_it_with_what_it_means(kind: str) -> None:
    config, dataset = kind_of(kind, "")
    made = schema(kind)
    names = {field.alias or name for name, field in config.model_fields.items()}
    assert made["properties"].keys() == names | set(config.other_names) | set(_RUN_KEYS)
    assert made["additionalProperties"] is False
    untold = [name for name, part in made["properties"].items() if not part.get("description")]
    assert untold == []
    assert made["properties"]["roles"]["properties"].keys() == set(dataset.recipe.roles)


@pytest.mark.parametrize(
    "more",
    [
        {"llms": "openai/gpt-5-mini"},
        {"llms": {"model": "ollama/gemma3:4b", "temperature": 0.8}},
        {
            "llms": [
                "offline",
                {"fallback": ["a/b", {"spread": ["c/d", {"model": "e/f", "weight": 3}]}], "on_refusal": True},
            ]
        },
        {"llms": {"spread": [{"fallback": ["a/b", "c/d"], "weight": 2}, "e/f"]}},
        {"roles": {"writer": "a/b"}},
        {"spread": [3, 1], "batch": True, "max_cost": 2, "max_concurrency": 4, "trace": True},
        {"languages": {"no": "Norwegian"}, "seed": 7, "gates": {"near_duplicates": 0.9}},
        {"classes": [{"name": 1, "description": 1.5}, {"name": True, "description": "x"}]},
    ],
    ids=str,
)
def test_what_can_be_said_is_valid(more: dict[str, Any], tmp_path: Path) -> None:
    assert faults({**CLASSES, **more}) == []
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**CLASSES, **more}))
    load_job(path)


@pytest.mark.parametrize(
    "more",
    [
        {"dataset": "clasification"},
        {"clases": []},
        {"output": "rows.jsonl"},
        {"num_samples_per_prompt": 0},
        {"num_samples_per_prompt": "many"},
        {"classes": [{"name": "a", "description": "one"}]},
        {"classes": [{"name": "a", "descripton": "one"}, {"name": "b", "description": "two"}]},
        {"languages": ["en"]},
        {"gates": {"duplicates": "refuse"}},
        {"gates": {"filters": ["a"]}},
        {"prompts": "one text"},
        {"llms": []},
        {"llms": {"fallback": ["a/b"]}},
        {"llms": {"fallback": ["a/b", "c/d"], "on_refsal": True}},
        {"roles": {"judge": "a/b"}},
        {"max_cost": -1},
        {"spread": "yes"},
        {"question": "a field of another kind"},
    ],
    ids=str,
)
def test_what_cannot_be_carried_out_is_not_valid(more: dict[str, Any]) -> None:
    assert faults(CLASSES) == []
    assert faults({**CLASSES, **more})


GENERATOR: dict[str, Any] = {"dataset": "generator", "output_file": "rows.jsonl", "instructions": "Explain."}


@pytest.mark.parametrize(
    "topics",
    [
        {"topic_prompt": "Physics", "degree": 3, "depth": 2, "llm": "openai/x", "max_cost": 2, "incomplete": "go_on"},
        {"topic_prompt": "Physics", "kind": "graph", "max_links": 1, "llm": {"model": "openai/x", "temperature": 1}},
        {"file": "topics.md", "topic_prompt": "Physics"},
        {"Physics": {"Optics": ["Lenses"], "Heat": None}},
        ["Optics", "Heat"],
        [["Physics", "Optics"], {"Physics": ["Heat"]}],
    ],
    ids=str,
)
def test_topics_are_valid_in_every_form(topics: Any, tmp_path: Path) -> None:
    assert faults({**GENERATOR, "topics": topics, "num_steps": 3, "retry": {"max_retries": 1}}) == []
    (tmp_path / "topics.md").write_text("- Optics\n")
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**GENERATOR, "topics": topics}))
    load_job(path)


@pytest.mark.parametrize(
    "topics",
    [
        {"topic_prompt": "Physics", "degre": 3},
        {"topic_promt": "Physics"},
        {"topic_prompt": "Physics", "degree": 0},
        {"topic_prompt": "Physics", "incomplete": "perhaps"},
        {"topic_prompt": "Physics", "kind": "bush"},
        "Physics",
    ],
    ids=str,
)
def test_topics_that_cannot_be_are_not_valid(topics: Any, tmp_path: Path) -> None:
    assert faults({**GENERATOR, "topics": topics})
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**GENERATOR, "topics": topics}))
    with pytest.raises(ConfigError, match="topic"):
        load_job(path)


TOOLS: dict[str, Any] = {**GENERATOR, "topics": ["Optics"], "conversation_type": "tool_calling"}
WEATHER = {"name": "weather", "description": "Of a city.", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "tools",
    [
        [{"mcp": {"command": "npx", "args": ["-p", 8080], "env": {"PIN": 12, "TOKEN": None}, "only": ["read"]}}],
        [{"mcp": {"command": "npx", "cwd": "shop", "start_timeout": 5}}, "own.py:add"],
        [WEATHER, {"type": "function", "function": {**WEATHER, "name": "rain"}}],
        [{"name": "clock", "input_schema": {"type": "object", "properties": {}}}],
    ],
    ids=str,
)
def test_tools_are_valid_in_every_form(tools: Any, tmp_path: Path) -> None:
    assert faults({**TOOLS, "tools": tools}) == []
    (tmp_path / "own.py").write_text("def add(a: int, b: int) -> int:\n    return a + b\n")
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**TOOLS, "tools": tools}))
    load_job(path)


@pytest.mark.parametrize(
    "tools",
    [
        [],
        {"mcp": {"command": "npx"}},
        [{"mcp": {"comand": "npx"}}],
        [{"mcp": {"args": ["x"]}}],
        [{"mcp": {"command": "npx", "start_timeout": 0}}],
        [{"mcp": {"command": "npx"}, "only": ["read"]}],
        [{"mcp": {"command": "npx", "env": {"SHOP_PIN": ["open sesame"]}}}],
        [{"description": "without a name"}],
    ],
    ids=str,
)
def test_tools_that_cannot_be_are_not_valid(tools: Any, tmp_path: Path) -> None:
    assert faults({**TOOLS, "tools": tools})
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**TOOLS, "tools": tools}))
    with pytest.raises(ConfigError, match="tool") as caught:
        load_job(path)
    assert "open sesame" not in str(caught.value)


def test_what_is_needed_may_be_given_under_its_other_name() -> None:
    for kind in KINDS:
        config, _ = kind_of(kind, "")
        needed = {name for name, field in config.model_fields.items() if field.is_required()}
        for other, name in config.other_names.items():
            if name in needed:
                whole = Draft202012Validator(schema(kind))
                lacking = [
                    error for error in whole.iter_errors({"dataset": kind}) if name in error.message + str(error.schema)
                ]
                assert lacking, name
                assert not any(
                    error.validator in ("required", "anyOf") and name in str(error.schema)
                    for error in whole.iter_errors({"dataset": kind, other: []})
                )


def test_a_description_is_the_docstrings_sentence() -> None:
    told = attributes(ClassificationDatasetConfig)
    assert told["multi_label"].startswith("A text may have several labels, and rows have `labels`")
    assert told["seed"] == "Of everything that is drawn."
    assert told["classes"] == "At least two, each with a name of its own."


def test_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "rowsmith.cli", "schema"]
    done = subprocess.run([*command, "mcq"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == schema("mcq")
    wrong = subprocess.run([*command, "mqc"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "Did you mean 'mcq'?" in wrong.stderr


def test_there_is_no_schema_of_a_kind_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ultrachat'"):
        schema("ultrachatt")


def parts_of(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(inner for part in value.values() for inner in parts_of(part))]
    return [inner for part in value for inner in parts_of(part)] if isinstance(value, list) else []
