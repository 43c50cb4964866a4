"""Tasks from YAML: fields as a small schema, models and checks from the user's code, axes as mappings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, Task, TaskDataset
from rowsmith.datasets.loading import load_job, stored_job
from rowsmith.recipes.fields import FieldSpec, model_of, specs_of

YAML = """
dataset: task
output_file: rows.jsonl
description: You write reviews.
output:
  text: the review
  stars: {type: int, min: 1, max: 5, description: "how many stars"}
  price: {type: float, min: 0, max: 9.5}
  good: bool
  kind: {choices: [book, film]}
  tags: {items: {choices: [new, old]}, min: 1, max: 2}
  by:
    fields:
      name: who wrote it
      age: {type: integer, optional: true}
axes:
  - name: stars
    values: [1, 5]
  - {name: tone, file: tones.txt, prompt: "The tone is {value}."}
  - name: persona
    generated: {amount: 2, prompt: "Name {amount} kinds of readers."}
    prompt: Written by {value}.
examples:
  - {text: "Fine.", stars: 4, price: 3, good: true, kind: book, tags: [old], by: {name: Ada}}
num_samples_per_prompt: 2
"""

CODE = """
from pydantic import BaseModel, field_validator

class Review(BaseModel):
    text: str
    stars: int

def short(row):
    return None if len(row["text"]) < 10_000 else "too long"
"""


ODD = """
    @field_validator("stars")
    def is_odd(cls, stars):
        assert stars % 2, "an odd number is wanted"
        return stars
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file is; another is the current one."""
    made, elsewhere = tmp_path / "made", tmp_path / "elsewhere"
    made.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (made / "tones.txt").write_text("dry\nwarm\n")
    (made / "task.yaml").write_text(YAML)
    return made


def test_rows_have_the_fields_of_the_small_schema(folder: Path) -> None:
    job = load_job(folder / "task.yaml")
    assert job.dataset.get_num_expected_rows() == 16
    rows = job.dataset.generate("offline").to_list()
    assert len(rows) == 16
    for row in rows:
        names = ["id", "text", "stars", "price", "good", "kind", "tags", "by", "language", "model_id", "metadata"]
        assert list(row) == names
        assert str(row["stars"]) == row["metadata"]["axes"]["stars"]
        assert 0 <= row["price"] <= 9.5
        assert row["kind"] in ("book", "film")
        assert 1 <= len(row["tags"]) <= 2
        assert row["by"].keys() == {"name", "age"}
    assert (folder / "rows.run" / "axes" / "persona.txt").exists()


def test_what_is_kept_of_a_run_makes_it_again_from_anywhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own.py").write_text(CODE)
    text = YAML[: YAML.index("output:\n")] + "output: own.py:Review\ncheck: own.py:short\n"
    text += "axes: [{name: tone, file: tones.txt}]\nllms: offline\n"
    (folder / "task.yaml").write_text(text)
    monkeypatch.chdir(folder.parent)
    job = load_job(Path("made/task.yaml"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    kept = json.loads(json.dumps(job.how["source"]))
    assert kept["run"]["axes"][0]["file"] == str(folder / "tones.txt")
    assert kept["run"]["output"] == f"{folder / 'own.py'}:Review"
    again = stored_job(kept, folder / "rows.jsonl").dataset.generate("offline")
    assert again.to_list()[0]["text"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("min: 1, max: 5, desc", "least: 1, max: 5, desc", r"task.yaml:7:22: output.stars has no field 'least'"),
        ("type: int,", "type: whole,", r"field 'stars': type"),
        ("{choices: [book, film]}", "{choices: [book, book]}", r"field 'kind': a choice stands twice"),
        ("{choices: [book, film]}", "{type: enum}", r"needs choices"),
        ("min: 0, max: 9.5", "min: 10, max: 9.5", r"min=10 is more than max=9.5"),
        ("stars: 4", "stars: 9", r"examples\[0\] is no Entry: stars"),
        ("values: [1, 5]", "values: [1, 6]", r"'6' is no value of the field 'stars'"),
        ("name: who wrote it", "a-b: who wrote it", r"'a-b' cannot be a field's name"),
        ("amount: 2, ", "", r"axes\[2\].generated.amount is required"),
        ("{amount} kinds", "{amounts} kinds", r"Did you mean \{amount\}"),
        ("file: tones.txt", "file: tone.txt", r"tone.txt"),
        ("text: the review", "id: the review", r"has a field 'id'"),
    ],
)
def test_a_slip_is_shown_before_anything_is_asked(folder: Path, before: str, after: str, message: str) -> None:
    assert before in YAML
    (folder / "task.yaml").write_text(YAML.replace(before, after, 1))
    with pytest.raises(ConfigError, match=message):
        load_job(folder / "task.yaml")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_the_kind", "cannot be run: ModuleNotFoundError"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        ("class Reviews: pass", "Did you mean 'Reviews'"),
        ("Review = 3", "must be a Pydantic model"),
    ],
)
def test_code_that_is_no_model_is_said_so(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(ConfigError, match=message):
        Task(description="x", output=f"{tmp_path}/own.py:Review")


def test_a_module_beside_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_the_users.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    made = TaskDataset(Task(description="x", output="module_of_the_users:Review"), tmp_path / "rows.jsonl")
    assert len(made.generate("offline")) == 5


def test_an_edited_model_reads_the_stored_answers_anew(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CODE)
    fields: dict[str, Any] = {"description": "x", "output": f"{tmp_path}/own.py:Review", "num_samples_per_prompt": 9}
    before = TaskDataset(Task(**fields), tmp_path / "rows.jsonl").generate("offline").to_list()
    (tmp_path / "own.py").write_text(CODE.replace("    stars: int\n", f"    stars: int\n{ODD}"))
    again = TaskDataset(Task(**fields), tmp_path / "rows.jsonl").generate("offline")
    kept = [row["text"] for row in before if row["stars"] % 2]
    assert 0 < len(kept) < 9
    assert [row["text"] for row in again][: len(kept)] == kept
    assert len(again) == 9
    assert all(row["stars"] % 2 for row in again)


KINDS = st.sampled_from(["str", "int", "float", "bool"])
SIMPLE = KINDS.map(lambda kind: {"type": kind}) | st.lists(
    st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True
).map(lambda choices: {"choices": choices})
SPECS = st.recursive(
    SIMPLE,
    lambda inner: (
        st.builds(lambda item, most: {"items": item, "max": most}, inner, st.integers(1, 4))
        | st.dictionaries(st.sampled_from(["a", "copy", "json", "model_id"]), inner, min_size=1).map(
            lambda fields: {"fields": fields}
        )
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["text", "schema", "copy", "x", "model_config"]), SPECS, min_size=1), st.data())
def test_any_schema_of_fields_makes_a_model_that_takes_what_fits_it(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    model = model_of(specs_of(fields), "entry")
    value = {name: data.draw(fitting(spec)) for name, spec in fields.items()}
    assert model.model_validate(value).model_dump(mode="json", by_alias=True) == value
    assert list(model.model_json_schema()["properties"]) == list(fields)


def fitting(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "choices" in spec:
        return st.sampled_from(spec["choices"])
    if "items" in spec:
        return st.lists(fitting(spec["items"]), max_size=spec["max"])
    if "fields" in spec:
        return st.fixed_dictionaries({name: fitting(inner) for name, inner in spec["fields"].items()})
    simple = {"str": st.text(), "int": st.integers(), "float": st.floats(allow_nan=False, allow_infinity=False)}
    return simple.get(spec["type"], st.booleans())


def test_a_bare_list_has_the_choices() -> None:
    model = model_of(specs_of({"level": ["low", "high"]}), "entry")
    assert model.model_json_schema()["properties"]["level"]["enum"] == ["low", "high"]


def test_a_bare_text_is_a_type_or_a_description() -> None:
    assert FieldSpec.model_validate("int").type == "int"
    assert FieldSpec.model_validate("text").type == "str"
    assert FieldSpec.model_validate("the text itself").description == "the text itself"
