"""Templates: their syntax, and that they are filled in once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import TemplateError
from rowsmith.prompts.template import NAME, Template

names = st.from_regex(re.compile(rf"{NAME}", re.ASCII), fullmatch=True)
harmless = st.text().map(lambda text: re.sub(r"[{}\\]", "", text))
values = st.one_of(st.text(), st.sampled_from(["{name}", "{{name}}", "{", "}}", "{x.__class__}", "\\{name}", "%s {0}"]))


@pytest.mark.parametrize(
    ("text", "mandatory", "optional"),
    [
        ("{name}", {"name"}, ()),
        ("{{name}}", set(), ("name",)),
        ("{ name }", {"name"}, ()),
        ("{{\tname }}", set(), ("name",)),
        ("{_a1}{B}", {"_a1", "B"}, ()),
        ("{{b}} {{a}} {{b}} {c}", {"c"}, ("b", "a")),
    ],
)
def test_single_braces_are_mandatory_and_double_ones_optional(
    text: str, mandatory: set[str], optional: tuple[str, ...]
) -> None:
    template = Template(text)
    assert template.mandatory == frozenset(mandatory)
    assert template.optional == optional


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{{name}}}", "{V}"),
        ("{{{{name}}}}", "{{V}}"),
        ("{name}}", "V}"),
        ("{{name}", "{V"),
        ('{"text": {name}}', '{"text": V}'),
        ('{"a": {"b": {name}}}', '{"a": {"b": V}}'),
        ("{ {name} }", "{ V }"),
        ("{name}{name}", "VV"),
        ("}{name}{", "}V{"),
        ("\\{name}", "{name}"),
        ("\\{{name}}", "{{name}}"),
        ("\\{num samples}", "{num samples}"),
        ("\\frac{{name}}\\n", "\\fracV\\n"),
        ("\\\\{name}", "\\{name}"),
    ],
)
def test_braces_count_from_the_inside_out_and_a_backslash_makes_text(text: str, rendered: str) -> None:
    assert Template(text).render({"name": "V"}) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{{}}",
        "{0}",
        "{1,2}",
        "{",
        "}",
        "{{",
        "{x.__class__}",
        "{x!r}",
        "{x:>10}",
        "{x[0]}",
        '{"label": "x"}',
        '{"label": "x", "n": [1, {}]}',
        "{num samples}",
        "{label-name}",
        "{na\nme}",
        "{größe}",
        "\\{x \\in A\\}",
        "\\n \\{",
    ],
)
def test_all_other_braces_are_text(text: str) -> None:
    template = Template(text)
    assert template.placeholders == ()
    assert template.render({"x": "V", "name": "V"}) == text


@given(st.lists(st.tuples(harmless, names, st.booleans())), harmless, st.dictionaries(names, values))
def test_a_template_is_filled_in_once_whatever_the_values(
    parts: list[tuple[str, str, bool]], tail: str, given_values: dict[str, str]
) -> None:
    filled = {name: given_values.get(name, f"{{{name}}} {{{{x}}}}") for _, name, _ in parts} | given_values
    text = "".join(f"{before}{{{{{name}}}}}" if may else f"{before}{{{name}}}" for before, name, may in parts) + tail
    template = Template(text)
    assert template.render(filled) == "".join(before + filled[name] for before, name, _ in parts) + tail
    assert template.mandatory == {name for _, name, may in parts if not may}
    assert template.optional == tuple(dict.fromkeys(name for _, name, may in parts if may))


@given(st.text(alphabet="{}ab_ \\\t1-."))
def test_places_and_text_between_them_make_up_the_template(text: str) -> None:
    template = Template(text)
    for place in template.placeholders:
        inside = text[place.start : place.end].strip("{}").strip(" \t")
        assert inside == place.name
    as_written = {one.name: one.name for one in template.placeholders}
    assert len(template.render(as_written)) <= len(text)


@given(st.text(alphabet="{}ab_ \\"))
def test_what_is_text_stays_when_its_braces_are_kept(text: str) -> None:
    """Filling each placeholder with itself gives the template again, but for backslashes and blanks."""

    def slim(one: str) -> str:
        return one.replace("\\", "").replace(" ", "")

    template = Template(text)
    optional = {one.name: f"{{{{{one.name}}}}}" for one in template.placeholders if one.optional}
    mandatory = {one.name: f"{{{one.name}}}" for one in template.placeholders if not one.optional}
    if not optional.keys() & mandatory.keys():
        assert slim(template.render(optional | mandatory)) == slim(text)


def test_values_are_written_as_str_writes_them() -> None:
    assert Template("{n} {x}").render({"n": 5, "x": None, "y": "unused"}) == "5 None"


def test_a_missing_value_is_an_error_with_the_name() -> None:
    with pytest.raises(TemplateError, match=r"No value for tone in the template:\n  \{a\} \{\{tone\}\}"):
        Template("{a} {{tone}}").render({"a": 1})


def test_a_template_is_a_value() -> None:
    assert Template("{a}") == Template("{a}")
    assert len({Template("{a}"), Template("{a}"), Template("{b}")}) == 2
    with pytest.raises(AttributeError):
        Template("{a}").text = "b"  # type: ignore[misc]
    with pytest.raises(TemplateError, match="not a int"):
        Template(5)  # type: ignore[arg-type]


def test_a_long_template_of_braces_is_parsed_in_no_time() -> None:
    assert Template("{" * 300_000 + "{a " * 100_000 + " " * 300_000).placeholders == ()
