"""How prompts may vary: the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from rowsmith.errors import ConfigError
from rowsmith.prompts.expansion import PromptExpansionConfig


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
