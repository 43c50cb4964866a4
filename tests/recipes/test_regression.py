"""Texts with a score."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, RegressionDataset, RegressionDatasetConfig
from rowsmith.recipes.regression import Regression, ScoreRange

GRADES = {"terrible": 0.0, "poor": 0.25, "fair": 0.5, "good": 0.75, "excellent": 1.0}


def config(folder: Path, **fields: object) -> RegressionDatasetConfig:
    given: dict[str, Any] = {
        "quantity": "how good the writer found the meal",
        "grades": GRADES,
        "num_samples_per_prompt": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return RegressionDatasetConfig.model_validate({name: value for name, value in given.items() if value is not None})


def test_every_row_has_the_score_of_its_grade(tmp_path: Path) -> None:
    rows = RegressionDataset(config(tmp_path, num_samples_per_prompt=400)).generate("offline").to_list()
    assert Counter(row["label"] for row in rows) == dict.fromkeys(GRADES, 400)
    assert all(row["score"] == GRADES[row["label"]] for row in rows)


def test_a_range_is_a_scale_of_equal_steps(tmp_path: Path) -> None:
    made = config(tmp_path, grades=None, score_range={"low": 1, "high": 5, "steps": 9})
    rows = RegressionDataset(made).generate("offline").to_list()
    assert sorted({row["score"] for row in rows}) == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    assert {row["label"] for row in rows} == {"1", "1.5", "2", "2.5", "3", "3.5", "4", "4.5", "5"}


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-3, 1e6, allow_nan=False),
    st.integers(2, 200),
)
def test_the_scores_of_a_range_rise_from_end_to_end_and_have_names_of_their_own(
    low: float, width: float, steps: int
) -> None:
    scale = ScoreRange(low=low, high=low + width, steps=steps).grades()
    scores = [grade.score for grade in scale]
    assert len({grade.name for grade in scale}) == len(scale) == steps
    assert scores == sorted(set(scores))
    assert scores[0] == pytest.approx(low, abs=width / steps)
    assert scores[-1] == pytest.approx(low + width, abs=width / steps)


def test_the_prompt_names_grade_quantity_and_scale(tmp_path: Path) -> None:
    grades = [{"name": "cold", "score": -1, "description": "below freezing"}, {"name": "hot", "score": 30.5}]
    recipe = Regression(config(tmp_path, grades=grades, quantity="how warm it is"))
    from rowsmith.engine.models import Models
    from rowsmith.engine.run import plan_of
    from rowsmith.llm.providers.offline import OfflineProvider

    plan = plan_of(recipe, Models([OfflineProvider()]))
    text = recipe.prompt(plan.cell(0))(4).messages[0].content
    assert "how warm it is" in text
    assert "- cold: below freezing\n- hot\n" in text
    assert 'agree on "cold": below freezing: not' in text
    assert "Write 4 texts" in text


def test_a_grade_more_pays_only_for_itself(tmp_path: Path) -> None:
    RegressionDataset(config(tmp_path)).generate("offline")
    report = RegressionDataset(config(tmp_path, grades={**GRADES, "divine": 1.25})).generate("offline").report
    assert report is not None
    assert report.complete
    assert report.calls == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grades": {"good": 1.0, "fine": 1.0}}, "'fine' and 'good' have the same score, 1"),
        ({"grades": [{"name": "good", "score": 0}, {"name": "Good", "score": 1}]}, "stands twice"),
        ({"grades": {"good": "high", "bad": 0}}, "score"),
        ({"grades": {"good": float("nan"), "bad": 0}}, "finite"),
        ({"grades": None}, "neither is given"),
        ({"score_range": {"low": 0, "high": 1}}, "both are given"),
        ({"grades": None, "score_range": {"low": 2, "high": 1}}, "must be below"),
    ],
)
def test_what_is_no_scale_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)
