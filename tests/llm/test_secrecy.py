"""Keys that do not show, and texts of others with our keys taken out."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import AnthropicProvider, GeminiProvider, OllamaProvider, OpenAIProvider
from rowsmith.llm.secrecy import Secret, address, is_address, plainly, without

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)
WAYS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "percent in part": lambda text: urllib.parse.quote(text),
    "json": json.dumps,
    "json twice": lambda text: json.dumps(json.dumps(text)),
    "escapes": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    "html": html.escape,
    "html numbers": lambda text: "".join(f"&#x{ord(sign):X};" for sign in text),
    "percent of json": lambda text: urllib.parse.quote(json.dumps({"key": text})),
    "repr": repr,
}


@pytest.mark.parametrize("way", WAYS)
@given(secret=KEYS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_secret_is_found_however_it_is_written(way: str, secret: str, before: str, after: str) -> None:
    written = WAYS[way](secret)
    left = without(f"{before}{written}{after}", (secret,))
    assert written not in left.replace("***", "\0")
    assert secret not in left.replace("***", "\0")


@given(secret=KEYS, lead=st.binary(max_size=8), tail=st.binary(max_size=8))
def test_a_secret_is_found_in_base64_whatever_stands_around_it(secret: str, lead: bytes, tail: bytes) -> None:
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        written = code(lead + secret.encode() + tail).decode()
        left = without(f"Basic {written}.", (secret,))
        assert "***" in left
        # No more than the bits of its first and last sign that share one of the alphabet with what stands around them.
        spelt = "".join(part for part in left.removeprefix("Basic ").removesuffix(".").split("***"))
        assert len(spelt) <= len(written) - (len(secret) * 8 // 6 - 2)


@given(text=st.text())
def test_a_text_without_the_secret_is_left_as_it_is(text: str) -> None:
    secret = "a-secret-that-hypothesis-does-not-guess"
    assert without(text, (secret, "", "abc")) == text
    assert without(text, ()) == text


def test_of_two_secrets_the_longer_one_goes_whole() -> None:
    assert without("user:abcdefgh and abcdefgh", ("abcdefgh", "user:abcdefgh")) == "*** and ***"


@pytest.mark.parametrize(
    ("written", "is_shown"),
    [
        ("https://host/v1", "https://host/v1"),
        ("https://user:pass@host:1/v1?key=secret#secret", "https://host:1/v1"),
        ("http://user:pa/ss@host:99999", "http://host:99999"),
        ("user:pass@host:1", "host:1"),
        ("https://host/0123456789abcdef01234567/v1", "https://host/***/v1"),
        ("0123456789abcdef01234567", "***"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(written: str, is_shown: str) -> None:
    assert address(written) == is_shown


def test_what_is_no_address_is_told_from_one() -> None:
    assert is_address("127.0.0.1:11434")
    assert is_address("https://host")
    assert not is_address("")
    assert not is_address("http://[::")


def test_a_value_that_may_hold_a_key_is_told_by_its_kind() -> None:
    assert plainly([{"api_key": "secret"}]) == "a list"
    assert plainly(None) == "None"
    assert plainly("0123456789abcdef01234567") == "'***'"


KEY = "a-key-4f9c0d7e"


@pytest.mark.parametrize("kind", [OpenAIProvider, AnthropicProvider, GeminiProvider, OllamaProvider])
def test_a_provider_shows_its_key_to_nobody_who_prints_dumps_or_copies_it(kind: type[OpenAIProvider]) -> None:
    made = kind(
        "any", api_key=KEY, api_base="http://localhost:1/v1" if kind is OpenAIProvider else "http://localhost:1"
    )
    assert made.api_key == KEY
    assert KEY not in repr(made)
    assert KEY not in repr(vars(made))
    assert KEY not in json.dumps(asdict(made), default=str)
    assert copy.deepcopy(made) is made
    assert copy.deepcopy({"models": [made]})["models"][0].api_key == KEY
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.api_key) == (made, KEY), "it is to be used where it is unpickled"
    assert KEY not in repr(vars(again))


def test_a_secret_is_a_text_for_whoever_sends_it() -> None:
    secret = Secret(KEY)
    assert f"Bearer {secret}" == f"Bearer {KEY}"
    assert secret.encode() == KEY.encode()
    assert {str(secret): 1} == {secret: 1}
    assert repr([secret]) == "['***']"
