"""The base of configurations: what a person reads when a setting is wrong."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError, field_validator

from rowsmith.config import Config, shown
from rowsmith.errors import ConfigError, TemplateError

SECRET = "sk-abcdefgh12345678"


class Label(Config):
    name: str
    weight: int = Field(default=1, ge=1)


class Fixed(Config):
    kind: Literal["fixed"]
    size: int


class Ranged(Config):
    kind: Literal["ranged"]
    limit: int


class Settings(Config):
    labels: list[Label] = Field(default_factory=list)
    by_name: dict[str, Label] = Field(default_factory=dict)
    num_samples_per_prompt: int = 1
    max_tokens: int = 10
    length: Annotated[Fixed | Ranged, Field(discriminator="kind")] | None = None
    first: Label | str | None = None
    api_key: SecretStr | None = None
    access_token: int = 0
    prompt: str = ""

    @field_validator("prompt")
    @classmethod
    def _checked(cls, prompt: str) -> str:
        if prompt == "template":
            raise TemplateError("The template lacks {label}.")
        if prompt == "other":
            raise ValueError("no good")
        return prompt


def message(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    assert not isinstance(caught.value, ValidationError)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        (
            {"num_samples_per_promt": 3},
            "Settings: num_samples_per_promt is not a setting. Did you mean 'num_samples_per_prompt'?",
        ),
        (
            {"num_samples_per_prompt": "many"},
            "Settings: num_samples_per_prompt: must be a valid integer (received: 'many').",
        ),
        ({"max_tokens": "many"}, "Settings: max_tokens: must be a valid integer (received: 'many')."),
        ({"labels": [{"name": "a"}, {}]}, "Settings: labels[1].name is required."),
        (
            {"labels": [{"name": "a", "wieght": 1}]},
            "Settings: labels[0].wieght is not a setting. Did you mean 'weight'?",
        ),
        (
            {"by_name": {"my label": {"name": "a", "weight": 0}}},
            "Settings: by_name['my label'].weight: must be greater than or equal to 1 (received: 0).",
        ),
        (
            {"length": {"kind": "fixed", "sise": 1, "size": 2}},
            "Settings: length.sise is not a setting. Did you mean 'size'?",
        ),
        ({"labels": "abc"}, "Settings: labels: must be a valid list (received: 'abc')."),
        ({"prompt": "other"}, "Settings: prompt: no good (received: 'other')."),
    ],
)
def test_a_wrong_setting_says_where_what_and_what_came(given_settings: dict[str, Any], said: str) -> None:
    assert message(lambda: Settings(**given_settings)) == said
    assert message(lambda: Settings.model_validate(given_settings)) == said


def test_several_problems_are_all_listed() -> None:
    assert message(lambda: Settings(labels=[{"nam": "a"}], max_tokens="x")) == (  # type: ignore[arg-type,list-item]
        "Settings has 3 problems:\n"
        "  - labels[0].name is required.\n"
        "  - labels[0].nam is not a setting. Did you mean 'name'?\n"
        "  - max_tokens: must be a valid integer (received: 'x')."
    )


def test_the_branches_of_a_union_are_not_part_of_the_path() -> None:
    text = message(lambda: Settings(first={"nme": "a"}))  # type: ignore[arg-type]
    assert "  - first.name is required." in text
    assert "  - first.nme is not a setting. Did you mean 'name'?" in text
    assert "  - first: must be a valid string (received: a mapping with 'nme')." in text


def test_an_error_of_ours_comes_through_as_it_is() -> None:
    with pytest.raises(TemplateError, match=r"^The template lacks \{label\}\.$"):
        Settings(prompt="template")
    text = message(lambda: Settings(prompt="template", max_tokens="x"))  # type: ignore[arg-type]
    assert "  - prompt: The template lacks {label}.\n" in text + "\n"


def test_a_problem_of_a_nested_configuration_is_told_from_the_outermost() -> None:
    assert message(lambda: Settings(labels=[{"name": 1}])).startswith("Settings: labels[0].name:")  # type: ignore[list-item]
    assert message(lambda: Settings(labels=[Label(name=1)])).startswith("Label: name:")  # type: ignore[arg-type]


def test_json_and_strings_are_checked_alike() -> None:
    assert "Invalid JSON" in message(lambda: Settings.model_validate_json('{"max_tokens":'))
    assert message(lambda: Settings.model_validate_json('{"max_token": 1}')) == (
        "Settings: max_token is not a setting. Did you mean 'max_tokens'?"
    )
    assert "max_tokens: must be a valid integer" in message(
        lambda: Settings.model_validate_strings({"max_tokens": "x"})
    )
    assert "must be a valid dictionary" in message(lambda: Settings.model_validate("x"))


def test_a_configuration_does_not_change() -> None:
    settings = Settings()
    assert "does not change" in message(lambda: setattr(settings, "max_tokens", 3))
    assert "does not change" in message(lambda: delattr(settings, "max_tokens"))
    assert settings.model_copy(update={"max_tokens": 3}).max_tokens == 3
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    "make",
    [
        lambda: Settings(api_key=5),  # type: ignore[arg-type]
        lambda: Settings(access_token=SECRET),  # type: ignore[arg-type]
        lambda: Settings(max_tokens=SECRET),  # type: ignore[arg-type]
        lambda: Settings(labels=[SECRET, {"api_key": SECRET}]),  # type: ignore[list-item]
        lambda: Settings.model_validate(f"https://user:{SECRET}@x.y/z"),
        lambda: Settings.model_validate({"first": {"api_key": SECRET}, "apy_key": SECRET}),
        lambda: Settings(labels=f"Bearer {SECRET}"),  # type: ignore[arg-type]
    ],
)
def test_no_key_is_ever_shown(make: Callable[[], object]) -> None:
    assert "abcdefgh12345678" not in message(make)
    assert SECRET not in repr(Settings(api_key=SecretStr(SECRET)))


def test_a_long_value_is_shortened() -> None:
    assert len(message(lambda: Settings(max_tokens="x" * 100_000))) < 200  # type: ignore[arg-type]
    assert "received: a list of 5000" in message(lambda: Settings(max_tokens=["x" * 70] * 5000))  # type: ignore[arg-type]


def test_a_number_too_long_to_be_written_is_shown_by_its_size() -> None:
    assert shown(10**9999) == "a number of 33216 bits"


recursive = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(recursive)
def test_any_value_can_be_shown_in_short(value: object) -> None:
    assert len(shown(value)) < 400


@given(st.dictionaries(st.sampled_from([*Settings.model_fields, "labls"]), recursive, min_size=1))
def test_no_setting_whatever_gives_pydantics_own_error(settings: dict[str, Any]) -> None:
    try:
        Settings.model_validate(settings)
    except ConfigError as error:
        assert str(error).startswith("Settings")  # noqa: PT017  # the other way is that all is well
