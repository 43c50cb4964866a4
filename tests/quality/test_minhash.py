"""Signatures of texts."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from rowsmith.errors import MissingDependencyError
from rowsmith.quality.config import GatesConfig
from rowsmith.quality.minhash import LANES, scheme, shingles, signer, words


def jaccard(one: list[bytes], other: list[bytes]) -> float:
    return len({*one} & {*other}) / len({*one} | {*other})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World! (Again.)", ["hello", "world", "again"]),
        ("don't", ["don", "t"]),
        ("naïve, don’t", ["naïve", "don", "t"]),
        ("「東京」へ", ["東", "京", "へ"]),
        ("GPT は速い", ["gpt", "は", "速", "い"]),
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("a - b != c[0]", ["a", "-", "b", "=", "c[0]"]),
        ("tab\tand\x1cseparator\u00a0space", ["tab", "and", "separator", "space"]),
    ],
)
def test_words_are_what_stands_between_spaces_without_the_signs_of_prose(text: str, expected: list[str]) -> None:
    assert words(text) == [word.encode() for word in expected]


def test_the_same_words_are_the_same_whatever_else_is_in_the_text() -> None:
    assert set(words("It is a well-known fact\x1f(so far).")) < set(words("It is a well-known fact (so far): 東"))


def test_pairs_of_words_tell_their_order() -> None:
    one, other = shingles(["dog bites man"]), shingles(["man bites dog"])
    assert jaccard(one, other) == 3 / 7


def test_pairs_do_not_reach_from_one_field_into_the_next() -> None:
    assert b"b c" not in shingles(["a b", "c d"])


def test_a_row_without_words_is_its_signs() -> None:
    assert jaccard(shingles(["?!"]), shingles(["?!"])) == 1
    assert jaccard(shingles(["?!"]), shingles(["..."])) == 0
    assert shingles([""])
    assert shingles(["\ud800…"])


def test_the_share_of_equal_bytes_is_the_similarity() -> None:
    drawn = random.Random(4)
    signature = signer()
    errors = []
    for _ in range(300):
        one = [f"w{drawn.random()}" for _ in range(drawn.randint(5, 120))]
        other = list(one)
        for place in range(0, len(other), drawn.randint(2, 30)):
            other[place] = f"w{drawn.random()}"
        texts = [" ".join(one)], [" ".join(other)]
        equal = sum(map(int.__eq__, *map(signature, texts))) / LANES
        errors.append(equal - jaccard(*map(shingles, texts)))
    assert all(len(signature([text])) == LANES for text in ("", "a", "a b c"))
    assert abs(sum(errors) / len(errors)) < 0.01
    assert (sum(error * error for error in errors) / len(errors)) ** 0.5 < 0.045


def test_another_process_makes_the_same_signatures() -> None:
    code = "from rowsmith.quality.minhash import scheme, signer; print(scheme(signer()))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert found == scheme(signer())


def test_other_signatures_are_another_scheme() -> None:
    assert scheme(lambda texts: b"other") != scheme(signer())


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rowsmith\[dedup\]'"):
        GatesConfig(near_duplicates=0.8).describe()
    GatesConfig().describe()
