"""Variations of prompts: configuration, number and order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import ConfigError
from rowsmith.prompts.expansion import PromptExpansionConfig, Variation, Variations
from rowsmith.prompts.template import Template


def test_the_defaults_are_all_variations_up_to_a_thousand() -> None:
    config = PromptExpansionConfig()
    assert (config.placeholders, config.combinatorial, config.num_random_samples, config.max_samples) == (
        {},
        True,
        1,
        1000,
    )


def test_numbers_count_as_their_digits() -> None:
    config = PromptExpansionConfig.model_validate({"placeholders": {"words": [50, 2.5]}})
    assert config.placeholders == {"words": ["50", "2.5"]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"placeholders": {"tone": []}}, "'tone' has no values"),
        ({"placeholders": {"tone": "formal"}}, "the values of 'tone' must be a list, such as ['formal']"),
        ({"placeholders": {"tone": ["a", "b", "a"]}}, "'tone' has the value 'a' more than once"),
        ({"placeholders": {"tone": [1, "1"]}}, "'tone' has the value '1' more than once"),
        ({"placeholders": {"tone": [" "]}}, "'tone' has an empty value"),
        ({"placeholders": {"tone": [False]}}, "False is none: put it in quotes"),
        ({"placeholders": {"tone": [None]}}, "None is none: put it in quotes"),
        ({"placeholders": {"my tone": ["a"]}}, "'my tone' cannot be written as a placeholder"),
        ({"placeholders": ["tone"]}, "placeholders: must be a valid dictionary"),
        ({"num_random_samples": 0}, "num_random_samples: must be greater than or equal to 1 (received: 0)"),
        ({"num_random_samples": "5"}, "num_random_samples: must be a valid integer (received: '5')"),
        ({"max_samples": 0}, "max_samples: must be greater"),
        ({"combinatorial": "no"}, "combinatorial: must be a valid boolean (received: 'no')"),
        ({"combinatorial": False, "num_random_samples": 5, "max_samples": 4}, "(5) is more than max_samples (4)"),
        ({"num_samples": 5}, "num_samples is not a setting. Did you mean"),
    ],
)
def test_wrong_settings_are_refused_with_a_reason(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PromptExpansionConfig(**settings)
    assert said in str(caught.value)
    assert str(caught.value).startswith("PromptExpansionConfig: ")


def test_every_template_varies_by_the_placeholders_it_uses() -> None:
    one, two = Template("{{a}} {{b}}"), Template("plain")
    expansion = PromptExpansionConfig(placeholders={"a": ["1", "2"], "b": ["x", "y"], "c": ["unused", "too"]})
    variations = Variations([one, two], expansion)
    assert list(variations) == [
        Variation(one, {"a": "1", "b": "x"}),
        Variation(one, {"a": "1", "b": "y"}),
        Variation(one, {"a": "2", "b": "x"}),
        Variation(one, {"a": "2", "b": "y"}),
        Variation(two, {}),
    ]
    assert list(variations[0].values) == ["a", "b"]
    assert variations[-1] == Variation(two, {})
    assert variations[1:3] == [variations[1], variations[2]]
    with pytest.raises(IndexError):
        variations[5]


@given(st.lists(st.lists(st.sampled_from("abcd"), unique=True), min_size=1, max_size=4), st.data())
def test_the_number_line_has_each_combination_once(templates: list[list[str]], data: st.DataObject) -> None:
    sizes = {name: data.draw(st.integers(1, 4)) for name in "abcd"}
    values = {name: [f"{name}{at}" for at in range(size)] for name, size in sizes.items()}
    made = Variations(
        [Template(f"{at}" + "".join(f"{{{{{name}}}}}" for name in used)) for at, used in enumerate(templates)],
        PromptExpansionConfig(placeholders=values, max_samples=10_000),
    )
    expected = [
        f"{at}" + "".join(chosen)
        for at, used in enumerate(templates)
        for chosen in itertools.product(*(values[name] for name in used))
    ]
    assert [one.template.render(one.values) for one in made] == expected
    assert len(made) == made.total == len(expected)


def test_more_variations_than_max_samples_are_an_error_with_both_ways_out() -> None:
    expansion = PromptExpansionConfig(placeholders={"a": [str(at) for at in range(6)]}, max_samples=11)
    with pytest.raises(ConfigError) as caught:
        Variations([Template("{{a}}"), Template("also {{a}}")], expansion)
    assert str(caught.value) == (
        "The prompts and the values of their placeholders make 12 variations, more than max_samples=11. Either raise "
        "max_samples to 12 or more, or draw some of them: combinatorial=False, num_random_samples=N."
    )
    assert len(Variations([Template("{{a}}")], expansion)) == 6


def test_to_draw_from_there_may_be_any_number_of_variations() -> None:
    names = [f"n{at}" for at in range(30)]
    expansion = PromptExpansionConfig(
        placeholders={name: [str(at) for at in range(10)] for name in names}, combinatorial=False
    )
    variations = Variations([Template(" ".join(f"{{{{{name}}}}}" for name in names))], expansion)
    assert variations.total == 10**30
    assert variations[10**30 - 1].values == dict.fromkeys(names, "9")
    assert variations[7].values["n29"] == "7"
