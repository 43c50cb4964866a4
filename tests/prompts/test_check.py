"""Checking templates when a configuration is made."""

from __future__ import annotations

import pytest

from rowsmith.errors import TemplateError
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template

MANDATORY = ("num_samples", "language_name", "label_name")
GOOD = "Write {num_samples} {{length}} reviews in {language_name} that are {label_name}."


def problems(*texts: str, values: dict[str, list[str]] | None = None) -> str:
    with pytest.raises(TemplateError) as caught:
        check([Template(text) for text in texts], mandatory=MANDATORY, available=("labels_listing",), values=values)
    return str(caught.value)


def test_templates_that_can_be_filled_in_pass() -> None:
    check(
        [Template(GOOD), Template(GOOD + " {labels_listing}")],
        mandatory=MANDATORY,
        available=("labels_listing",),
        values={"length": ["short"]},
    )
    check(Template("{question}"), mandatory=["question"])
    check([], mandatory=MANDATORY)


def test_the_message_shows_the_template_the_place_and_what_to_write() -> None:
    assert problems(GOOD) == (
        "prompts[0] cannot be used:\n"
        "  Write {num_samples} {{length}} reviews in {language_name} that are {label_name}.\n"
        '                      ^^^^^^^^^^ has no values. Give it some: placeholders={"length": ["…", "…"]}.'
    )


def test_each_template_with_a_problem_is_named() -> None:
    text = problems(GOOD, "{num_samples} {language_name}", GOOD, values={"length": ["short"]})
    assert text.startswith("prompts[1] cannot be used:")
    assert "lacks {label_name}. Add it where the prompt speaks of it." in text
    assert "For example: {num_samples} {language_name} {label_name}" in text
    assert "prompts[0]" not in text


def test_a_single_template_has_the_name_of_its_setting() -> None:
    with pytest.raises(TemplateError, match=r"^distractor_prompt cannot be used:"):
        check(Template("{x}"), mandatory=["question"], where="distractor_prompt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{language}", "is not known. Did you mean {language_name}? As text, write \\{language}."),
        ("{Label_Name}", "is not known. Did you mean {label_name}?"),
        ("{lenght}", "is not known. Did you mean {{length}}?"),
        ("{weather}", "is not known. Known: {label_name}, {labels_listing}, {language_name}, {num_samples}."),
        ("{length}", "has several values: write it in double braces, {{length}}."),
        ("{{label_name}}", "is filled in by the dataset: write it in single braces, {label_name}."),
        ("{{labels_listing}}", "is filled in by the dataset"),
        ("{{lenght}}", "has no values. Did you mean {{length}}?"),
        ("{{labelname}}", "has no values. Did you mean {label_name}?"),
        ("{num samples}", "is read as text. Write {num_samples}, or \\{num samples} if text is what it is."),
        ("{label-name}", "is read as text. Write {label_name}"),
        ("{label_name.upper}", "is read as text. Write {label_name}"),
        ("{label_name!r}", "is read as text. Write {label_name}"),
        ("{label_name:>10}", "is read as text. Write {label_name}"),
        ("{length[0]}", "is read as text. Write {{length}}"),
    ],
)
def test_a_wrong_name_is_told_apart(text: str, said: str) -> None:
    assert said in problems(f"{GOOD} {text}", values={"length": ["short"]})


@pytest.mark.parametrize(
    "text",
    ["\\{language}", "\\{num samples}", '{"label": "x"}', "{}", "{0}", "{x.__class__}", "{a:>10}", "{see above}"],
)
def test_text_in_braces_that_comes_close_to_no_name_passes(text: str) -> None:
    check([Template(f"{GOOD} {text}")], mandatory=MANDATORY, values={"length": ["short"]})


def test_a_wrong_form_of_a_mandatory_name_is_not_reported_as_missing_too() -> None:
    text = problems("{num_samples} {language_name} {{label_name}}")
    assert "lacks" not in text
    assert "lacks" not in problems("{num samples} {language_name} {label_name}")


def test_values_that_no_template_uses_are_an_error() -> None:
    text = problems(GOOD, values={"length": ["short"], "tone": ["warm"]})
    assert text == (
        "The placeholder 'tone' has values, but no template uses it. "
        "Write {{tone}} in a template, or take its values out."
    )
    check([Template(GOOD), Template(GOOD + "{{tone}}")], mandatory=MANDATORY, values={"length": ["s"], "tone": ["w"]})


def test_values_for_a_name_of_the_dataset_or_for_no_name_are_an_error() -> None:
    text = problems(GOOD, values={"length": ["s"], "label_name": ["x"], "my tone": ["y"]})
    assert "'label_name' has values, but the dataset fills it in" in text
    assert "'my tone' has values, but is no name" in text


def test_a_long_template_is_shown_around_the_place() -> None:
    text = problems("word " * 200 + "\n" + "x" * 300 + " {langage_name} " + "y" * 300)
    shown = [line for line in text.split("\n") if "langage_name" in line]
    assert shown[0].startswith("  …x")
    assert shown[0].endswith("y…")
    assert all(len(line) < 200 for line in text.split("\n"))
    marks = text.split("\n")[text.split("\n").index(shown[0]) + 1]
    assert shown[0][marks.index("^") :].startswith("{langage_name}")
