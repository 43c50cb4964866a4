"""Rows made of the rows of another dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from rowsmith import (
    ConfigChangedError,
    ConfigError,
    GenericPipelineDataset,
    GenericPipelineDatasetConfig,
    OpenAIProvider,
    SourceError,
    TemplateError,
)
from rowsmith.recipes.generic import in_prompt
from rowsmith.testing import ScriptedServer

PERSONAS: list[dict[str, Any]] = [
    {"persona": "an astronomer {who} counts", "summary_label": "science", "age": 41, "tags": ["a", "b"]},
    {"persona": "a ship's cook", "summary_label": "sea", "age": None, "tags": []},
    {"persona": "", "summary_label": "nobody", "age": 7, "tags": ["c"]},
]
PROMPT = "Write {num_samples} texts in {language} of this person:\n{persona}"


def config(folder: Path, **fields: object) -> GenericPipelineDatasetConfig:
    given: dict[str, Any] = {
        "documents": PERSONAS,
        "input_columns": ["persona"],
        "prompts": [PROMPT],
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return GenericPipelineDatasetConfig.model_validate(given)


def provider(server: ScriptedServer) -> OpenAIProvider:
    return OpenAIProvider("m", api_base=server.base_url, api_key="k")


def test_columns_come_along_and_what_is_written_stands_beside_them(tmp_path: Path) -> None:
    made = GenericPipelineDataset(
        config(
            tmp_path,
            forward_columns=["summary_label", "age", "tags"],
            output_columns=["tweet", "cv"],
            num_samples_per_prompt=2,
            languages={"en": "English", "fr": "French"},
        )
    )
    assert made.get_num_expected_rows() == 3 * 2 * 2
    rows = made.generate("offline").to_list()
    assert len(rows) == 12
    own = ["language", "model_id", "pipeline_source", "metadata"]
    assert list(rows[0]) == ["id", "persona", "summary_label", "age", "tags", "tweet", "cv", *own]
    for place, row in enumerate(rows):
        given = PERSONAS[place // 4]
        assert {name: row[name] for name in given} == given
        assert row["pipeline_source"] == "synthetic"
    assert Counter(row["language"] for row in rows) == {"en": 6, "fr": 6}
    assert len({row["metadata"]["source_id"] for row in rows}) == 3


def test_source_text_is_data_and_the_language_is_named(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        GenericPipelineDataset(config(tmp_path, languages={"fr": "French"})).generate(provider(server))
        prompts = sorted(call.prompt for call in server.calls)
        assert all("- generated_text (text)" in call.asked.messages[0].content for call in server.calls)
    assert "Write 1 texts in French of this person:\nan astronomer {who} counts" in prompts


def test_rows_that_are_skipped_are_counted_and_told(tmp_path: Path) -> None:
    def nobody(row: Mapping[str, Any]) -> bool:
        return bool(row["summary_label"] == "nobody")

    made = GenericPipelineDataset(config(tmp_path, skip_function=nobody))
    assert made.get_num_expected_rows() == 2
    assert made.skipped == {"skip_function": 1}
    made.generate("offline")
    assert made.report is not None
    assert made.report.skipped == {"skip_function": 1}
    assert [row["persona"] for row in made] == ["an astronomer {who} counts", "a ship's cook"]
    with pytest.raises(SourceError, match="leaves out all 3 rows"):
        GenericPipelineDataset(config(tmp_path, skip_function=lambda row: True))


class Verdict(BaseModel):
    reason: str = Field(exclude=True, description="think first")
    label: Literal["good", "bad"]
    score: int = Field(ge=0, le=10)


def test_the_output_may_be_a_model_and_the_same_answer_to_another_row_is_no_duplicate(tmp_path: Path) -> None:
    said = json.dumps({"entries": [{"reason": "because", "label": "good", "score": 3}]})
    with ScriptedServer(lambda call: said) as server:
        made = GenericPipelineDataset(config(tmp_path, output_columns=Verdict)).generate(provider(server))
        assert server.count == 3
    assert [(row["label"], row["score"]) for row in made] == [("good", 3)] * 3
    assert "reason" not in made.to_list()[0]


def test_several_answers_to_one_row_must_differ(tmp_path: Path) -> None:
    texts = iter(["same", "same", "other", "same", "more", "same", "else"])
    with ScriptedServer(lambda call: json.dumps({"entries": [{"generated_text": next(texts)}]})) as server:
        made = GenericPipelineDataset(config(tmp_path, num_samples_per_prompt=2, documents=PERSONAS[:1], max_rounds=6))
        rows = made.generate(provider(server)).to_list()
    assert [row["generated_text"] for row in rows] == ["same", "other"]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"a": st.text(max_size=20), "b": st.none() | st.integers() | st.booleans(), "c": st.lists(st.floats(0, 1))}
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 3),
)
def test_every_row_of_any_source_is_worked_on_exactly_as_often_as_asked(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], samples: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    made = GenericPipelineDataset(
        config(
            folder,
            documents=rows,
            input_columns=["a", "b"],
            forward_columns={"c": "numbers"},
            prompts=["{num_samples}: {a} {b}"],
            num_samples_per_prompt=samples,
        )
    ).generate("offline")
    written = [(row["a"], row["b"], row["numbers"]) for row in made]
    assert len(written) == made.get_num_expected_rows() == samples * len(rows)
    wanted = [(row["a"], as_json(row["b"]), row["c"]) for row in rows for _ in range(samples)]
    assert written == wanted


def as_json(value: Any) -> Any:
    """Numbers that no JSON reader takes stand in rows as text."""
    too_long = isinstance(value, int) and not -(2**63) <= value < 2**64
    return str(value) if too_long else value


def test_rows_come_from_files_and_keep_their_ids(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("nr,Review Text,id\n007,Fine.,a\n08,Bad.,b\n")
    made = GenericPipelineDataset(
        config(
            tmp_path,
            documents=None,
            local_file_path=str(tmp_path / "rows.csv"),
            id_column="nr",
            input_columns={"Review Text": "review"},
            forward_columns={"id": "source"},
            prompts=["{num_samples}: {review}"],
        )
    ).generate("offline")
    found = [(row["metadata"]["source_id"], row["review"], row["source"]) for row in made]
    assert found == [("007", "Fine.", "a"), ("08", "Bad.", "b")]


def test_more_rows_go_on_and_other_ones_do_not(tmp_path: Path) -> None:
    before = GenericPipelineDataset(config(tmp_path, documents=PERSONAS[:2])).generate("offline").to_list()
    grown = GenericPipelineDataset(config(tmp_path)).generate("offline")
    assert grown.to_list()[:2] == before
    assert grown.report is not None
    assert grown.report.calls == 1
    with pytest.raises(ConfigChangedError, match="row"):
        GenericPipelineDataset(config(tmp_path, documents=PERSONAS[1:])).generate("offline")


@pytest.mark.parametrize(
    ("value", "said"), [("a", "a"), (None, ""), (3, "3"), (True, "true"), (["é"], '["é"]'), ({"a": 1}, '{"a": 1}')]
)
def test_values_are_said_as_json_has_them(value: Any, said: str) -> None:
    assert in_prompt(value) == said


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"input_columns": []}, ConfigError, "input_columns"),
        ({"input_columns": ["persona", "persona"]}, ConfigError, "'persona' stands twice"),
        ({"input_columns": ["id"]}, ConfigError, r"\{'id': 'source_id'\}"),
        ({"input_columns": ["Review Text"]}, ConfigError, r"\{'Review Text': 'input_1'\}"),
        ({"input_columns": ["person"], "prompts": ["{num_samples} {person}"]}, SourceError, "Did you mean 'persona'"),
        ({"forward_columns": ["metadata"]}, ConfigError, "of its own"),
        ({"forward_columns": ["persona"]}, ConfigError, "input_columns and forward_columns both have 'persona'"),
        ({"output_columns": ["persona"]}, ConfigError, "input_columns and output_columns both have 'persona'"),
        ({"output_columns": ["age"], "forward_columns": ["age"]}, ConfigError, "output_columns both have 'age'"),
        ({"output_columns": ["a", "a"]}, ConfigError, "'a' stands twice"),
        ({"output_columns": ["model_id"]}, ConfigError, "has a field 'model_id'"),
        ({"output_columns": []}, ConfigError, "at least one"),
        ({"prompts": ["{num_samples} texts"]}, TemplateError, r"none of the input columns: \{persona\}"),
        ({"prompts": ["{persona}"]}, TemplateError, r"\{num_samples\}"),
        ({"input_columns": ["persona", "age"]}, TemplateError, r"no template uses \{age\}"),
        (
            {"prompts": ["{num_samples} {persona}"], "languages": {"en": "English", "fr": "French"}},
            TemplateError,
            r"lacks \{language\}",
        ),
        ({"skip_function": "rowsmith:nothing"}, ConfigError, "has no 'nothing'"),
        ({"skip_function": 3}, ConfigError, "must be a function"),
        ({"documents": None}, ConfigError, "local_file_path"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, fields: dict[str, Any], error: type[ConfigError], message: str
) -> None:
    with pytest.raises(error, match=message):
        GenericPipelineDataset(config(tmp_path, **fields))
