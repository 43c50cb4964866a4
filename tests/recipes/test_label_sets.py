"""Sets of labels as a number line, and datasets whose texts have several."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, ConfigError
from rowsmith.recipes.label_sets import GivenSets, Label, LabelSet, LabelSets


def labels(count: int) -> list[Label]:
    return [Label(name=f"c{number}", description=f"class number {number}") for number in range(count)]


def config(folder: Path, **fields: object) -> ClassificationDatasetConfig:
    given: dict[str, Any] = {
        "classes": [
            {"name": name, "description": f"about {name}"} for name in ("billing", "login", "export", "praise")
        ],
        "multi_label": True,
        "num_samples_per_prompt": 3,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return ClassificationDatasetConfig.model_validate(given)


@given(st.integers(1, 9), st.data())
def test_the_line_is_every_set_of_the_sizes_once(count: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(0, count))
    most = data.draw(st.integers(max(1, least), count))
    line = LabelSets(labels(count), least, most)
    expected = {frozenset(names) for size in range(least, most + 1) for names in combinations(range(count), size)}
    assert len(line) == len(expected) == sum(comb(count, size) for size in range(least, most + 1))
    assert {frozenset(int(name[1:]) for name in line[place].names) for place in range(len(line))} == expected


def test_a_billion_sets_cost_nothing() -> None:
    line = LabelSets(labels(60), 1, 8)
    assert len(line) > 2_500_000_000
    assert line[len(line) - 1].names == [f"c{number}" for number in range(52, 60)]
    with pytest.raises(IndexError):
        line[len(line)]


def test_a_set_is_the_same_whatever_the_order_of_the_classes_and_however_it_was_given() -> None:
    first, second, third = labels(3)
    assert LabelSets([first, second, third], 2, 2).fingerprint(1) == LabelSets(
        [third, second, first], 2, 2
    ).fingerprint(1)
    assert GivenSets([LabelSet((third, first))]).fingerprint(0) == LabelSets([first, second, third], 2, 2).fingerprint(
        1
    )
    assert LabelSets([first, second, third], 1, 1).fingerprint(0) != LabelSets(
        [first, second, third], 1, 1
    ).fingerprint(1)


def test_rows_have_lists_of_labels_and_each_combination_as_many(tmp_path: Path) -> None:
    made = ClassificationDataset(config(tmp_path, min_labels=1, max_labels=4, num_samples_per_prompt=40))
    assert made.get_num_expected_rows() == 15 * 40
    rows = made.generate("offline").to_list()
    counts = Counter(tuple(row["labels"]) for row in rows)
    assert len(counts) == 15
    assert set(counts.values()) == {40}
    assert all("label" not in row for row in rows)


def test_given_combinations_are_kept_to_in_the_order_of_the_classes(tmp_path: Path) -> None:
    given = [["login", "billing"], ["praise"], []]
    rows = ClassificationDataset(config(tmp_path, valid_combinations=given)).generate("offline").to_list()
    assert Counter(json.dumps(row["labels"]) for row in rows) == {'["billing", "login"]': 3, '["praise"]': 3, "[]": 3}


def test_rows_per_label_are_those_of_each_combination(tmp_path: Path) -> None:
    given = [["login", "billing"], ["praise"]]
    rows = ClassificationDataset(config(tmp_path, valid_combinations=given, rows_per_label=7)).generate("offline")
    assert Counter(len(row["labels"]) for row in rows) == {2: 7, 1: 7}


def test_another_combination_pays_only_for_itself(tmp_path: Path) -> None:
    ClassificationDataset(config(tmp_path, valid_combinations=[["login"], ["login", "praise"]])).generate("offline")
    grown = config(tmp_path, valid_combinations=[["praise", "login"], ["export"], ["login"]])
    report = ClassificationDataset(grown).generate("offline").report
    assert report is not None
    assert report.complete
    assert report.calls == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"valid_combinations": [["logn"]]}, "Did you mean 'login'"),
        ({"valid_combinations": [["login", "login"]]}, "stands twice in"),
        ({"valid_combinations": [["login", "praise"], ["praise", "login"]]}, "stands twice"),
        ({"valid_combinations": [["login"]], "max_labels": 2}, "leave max_labels out"),
        ({"multi_label": False, "max_labels": 2}, "set multi_label=True"),
        ({"min_labels": 3, "max_labels": 2}, "3 to 2 of 4 classes"),
        ({"max_labels": 5}, "1 to 5 of 4 classes"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)
