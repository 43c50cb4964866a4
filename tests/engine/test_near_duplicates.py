"""Near duplicates in a run: the same rows at any concurrency, after a stop, a kill, and a change of the threshold."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rowsmith.engine.claims import EXACT, Claims, Holding, packed, unpacked
from rowsmith.engine.events import RowsWithdrawn
from rowsmith.quality.minhash import LANES
from rowsmith.quality.near import NearIndex
from rowsmith.quality.seen import Seen

from .child import Job, Journal, Kill, Nursery, armed
from .harness import QUICK, Events, Model, Question, classes, dataset, entries, ledger, lines, rejected, tones

WORDS = [f"word{number}" for number in range(400)]
NEAR: dict[str, Any] = {
    "expansion": tones(*(f"tone {number}" for number in range(15))),
    "num_samples_per_prompt": 3,
    "max_rounds": 3,
    "gates": {"near_duplicates": 0.7},
}
"""30 cells of 3 rows."""


def variants(question: Question) -> str:
    """Each text is one of twelve of 30 words, with up to eight of them exchanged: likeness is not transitive here."""
    made = []
    for place in range(question.count):
        drawn = random.Random(question.digest + place)
        words = random.Random(drawn.randrange(12)).sample(WORDS, 30)
        for _ in range(drawn.choice([0, 1, 2, 3, 4, 6, 8])):
            words[drawn.randrange(30)] = drawn.choice(WORDS)
        made.append(" ".join(words))
    return entries(*made)


def weather(seed: int) -> Any:
    drawn = random.Random(seed)
    return lambda question: drawn.choice([0, 0, 0.001, 0.002, 0.005])


def made(folder: Path, in_flight: int, *, seed: int = 0, **changes: Any) -> tuple[bytes, bytes]:
    """(rows file, file of rejections) of a run in a weather of its own."""
    folder.mkdir(exist_ok=True)
    model = Model(variants, seconds=weather(in_flight))
    settings = {**NEAR, "seed": seed, "prompts": [f"Write {{num_samples}} {{{{tone}}}} texts {seed} in " + PROMPT]}
    dataset(folder, **{**settings, **changes}).generate(model, max_concurrency=in_flight, options=QUICK)
    return found(folder)


PROMPT = "{language_name}, {label_name}: {label_description}."


def found(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "rows.jsonl").read_bytes(), (folder / "rows.run/rejected.jsonl").read_bytes()


@pytest.mark.parametrize("seed", range(6))
def test_many_near_duplicates_at_any_concurrency_give_the_same_files(seed: int, tmp_path: Path) -> None:
    rows, refused = made(tmp_path / "1", 1, seed=seed)
    assert refused.count(b'"gate":"near_duplicate"') > 30, "the test needs texts that are alike"
    for in_flight in (8, 64, 256):
        assert made(tmp_path / str(in_flight), in_flight, seed=seed) == (rows, refused)


def test_no_two_rows_are_alike_and_each_that_was_refused_is_like_one_of_them(tmp_path: Path) -> None:
    made(tmp_path, 64)
    index = NearIndex(0.7)
    for number, row in enumerate(lines(tmp_path)):
        signature = index.signature([row["text"]])
        assert index.alike(signature) == []
        index.add(signature, 0, number)
    refused = [one for one in rejected(tmp_path) if one["gate"] == "near_duplicate"]
    assert refused
    assert all(index.alike(index.signature([one["row"]["text"]])) for one in refused)


def test_a_run_stopped_again_and_again_gives_the_files_of_one_that_was_not(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole", 1)
    stops = 0
    for number in range(100):
        left = 4 + number

        def stop(event: object) -> None:
            nonlocal left
            left -= type(event).__name__ == "CallMade"
            if left == 0:
                raise KeyError("stop")

        folder = tmp_path / "pieces"
        folder.mkdir(exist_ok=True)
        settings = {**NEAR, "seed": 0, "prompts": ["Write {num_samples} {{tone}} texts 0 in " + PROMPT]}
        try:
            dataset(folder, **settings).generate(
                Model(variants, seconds=weather(number)), max_concurrency=16, options=QUICK, listeners=[stop]
            )
        except KeyError:
            stops += 1
        else:
            break
    assert stops > 5
    assert found(tmp_path / "pieces") == whole


def work(job: Job) -> None:
    """In a process of its own."""
    listener = armed(job.kill, Journal(job.folder))
    settings = {**NEAR, "prompts": ["Write {num_samples} {{tone}} texts 0 in " + PROMPT]}
    model = Model(variants, seconds=weather(job.seed))
    dataset(job.folder, **settings).generate(model, max_concurrency=16, options=QUICK, listeners=[listener])


@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_three_times_gives_the_files_of_one_that_was_not(
    seed: int, tmp_path: Path, nursery: Nursery
) -> None:
    whole = made(tmp_path / "whole", 1)
    folder = tmp_path / "killed"
    folder.mkdir()
    drawn = random.Random(seed)
    for _ in range(3):
        kill = Kill(drawn.choice(["CallMade", "RowAccepted", "CellFinished"]), drawn.randint(2, 12))
        assert nursery.finish(Job(folder, kill, seed, work=work)) in (-9, 0)
    assert nursery.finish(Job(folder, seed=seed, work=work)) == 0
    assert found(folder) == whole


def test_another_threshold_reads_the_stored_answers_anew(tmp_path: Path) -> None:
    """On, stricter, looser, off: each time the rows of a run that had it so from the start, and what lacks is asked."""
    for number, gates in enumerate([{}, {"near_duplicates": 0.7}, {"near_duplicates": 0.9}, {}]):
        fresh = made(tmp_path / f"fresh{number}", 1, gates=gates)
        assert made(tmp_path / "changed", 8, gates=gates) == fresh
        sizes = {
            size for (size,) in ledger(tmp_path / "changed", "SELECT length(marks) % 8 FROM blocks WHERE kind = 0")
        }
        assert sizes == ({1} if gates else {0})


def test_signatures_that_are_made_in_another_way_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(tmp_path, 8)
    monkeypatch.setattr("rowsmith.quality.minhash._SEED", 7)
    fresh = made(tmp_path / "fresh", 1)
    assert made(tmp_path, 8) == fresh
    assert fresh[1] != before[1], "another seed finds other pairs near the threshold"


# --- cells in the order that makes it hard ----------------------------------------------------------------------------


def with_blocks(*places: int) -> str:
    """A text of 60 words with blocks of six of them exchanged.

    Two texts that differ in one block have a similarity of 0.8, in two 0.64, in three 0.51.
    """
    words = WORDS[:60]
    for place in places:
        words[place * 12 : place * 12 + 6] = [f"other{place}x{number}" for number in range(6)]
    return " ".join(words)


LIKE_BOTH = with_blocks()
ONE, OTHER = with_blocks(0), with_blocks(1)
"""Each is like `LIKE_BOTH` at 0.72, and they are not like each other."""


def test_likeness_is_not_transitive() -> None:
    index = NearIndex(0.72)
    index.add(index.signature([ONE]), 0, 0)
    assert index.alike(index.signature([LIKE_BOTH]))
    assert not index.alike(index.signature([OTHER]))


def settled(folder: Path, says: dict[str, str], seconds: dict[str, float]) -> tuple[list[str], list[str]]:
    """(the texts, the labels of cells whose rows were withdrawn) of one cell per label, in order.

    The very first request goes alone; it is that of a label before all others. Asked again, a cell says something new.
    """

    def label(question: Question) -> str:
        return question.prompt.partition("English, ")[2][0]

    def answer(question: Question) -> str:
        again = "\n" in question.prompt
        return entries(f"something else by {label(question)}" if again else says.get(label(question), "the first"))

    def latency(question: Question) -> float:
        return 0.0 if "\n" in question.prompt else seconds.get(label(question), 0.0)

    events = Events()
    dataset(
        folder,
        classes=classes("!", *says),
        expansion={},
        prompts=["Write {num_samples} text in {language_name}, {label_name}: {label_description}."],
        num_samples_per_prompt=1,
        gates={"near_duplicates": 0.72},
    ).generate(Model(answer, seconds=latency), options=QUICK, listeners=[events])
    withdrawn = [event.cell.values["label"].name for event in events.of(RowsWithdrawn)]
    return [row["text"] for row in lines(folder)][1:], withdrawn


def test_a_row_that_an_earlier_cell_takes_frees_those_that_it_alone_denied(tmp_path: Path) -> None:
    """B makes LIKE_BOTH first, and C is refused OTHER; then A comes with ONE, and C may have OTHER after all."""
    texts, withdrawn = settled(tmp_path, {"a": ONE, "b": LIKE_BOTH, "c": OTHER}, {"a": 0.1, "c": 0.03})
    assert texts == [ONE, "something else by b", OTHER]
    assert withdrawn == ["b", "c"]


def test_a_cell_that_was_refused_the_same_because_of_another_row_is_told_when_that_one_goes(tmp_path: Path) -> None:
    """E is refused because of D's row, and when B has taken that, because of C's, and when A has taken that, not."""
    says = {
        "a": with_blocks(1, 3),
        "b": with_blocks(0, 2),
        "c": with_blocks(1),
        "d": with_blocks(0),
        "e": with_blocks(),
    }
    texts, withdrawn = settled(tmp_path, says, {"a": 0.4, "b": 0.15, "c": 0.1, "e": 0.05})
    assert texts == [says["a"], says["b"], "something else by c", "something else by d", says["e"]]
    assert withdrawn == ["d", "e", "c", "e"]


# --- claims -----------------------------------------------------------------------------------------------------------


def claims_and_told() -> tuple[Claims, list[int]]:
    told: list[int] = []
    return Claims(Seen(), told.append, NearIndex(0.72)), told


def claim(claims: Claims, holding: Holding, text: str) -> str | None:
    refused = claims.claim(holding, {"text": text}, ["text"])
    return refused.gate if refused else None


def test_every_later_cell_with_a_like_row_is_told() -> None:
    claims, told = claims_and_told()
    assert claim(claims, Holding(5), ONE) is None
    assert claim(claims, Holding(6), OTHER) is None
    assert claim(claims, Holding(2), LIKE_BOTH) is None
    assert told == [5, 6]


def test_an_attempts_own_rows_deny_and_what_an_earlier_attempt_left_does_not() -> None:
    claims, told = claims_and_told()
    first = Holding(5)
    assert claim(claims, first, LIKE_BOTH) is None
    assert claim(claims, first, ONE) == "near_duplicate"
    assert claim(claims, first, LIKE_BOTH.upper()) == "duplicate"
    second = Holding(5)
    assert claim(claims, second, ONE) is None
    assert claim(claims, second, OTHER) is None
    assert told == []
    given_up = set(first.marks) - set(second.marks)
    assert claim(claims, Holding(7), LIKE_BOTH) == "duplicate", "until it is given up"
    assert claims.release(given_up, second.marks, 5) == [int.from_bytes(first.marks[0][:EXACT], "big")]
    assert claim(claims, Holding(7), LIKE_BOTH) == "near_duplicate"


def test_a_row_that_an_earlier_cell_took_and_gave_up_again_denies_until_it_is_given_up_itself() -> None:
    claims, told = claims_and_told()
    first, taker, later = Holding(5), Holding(2), Holding(7)
    assert claim(claims, first, LIKE_BOTH) is None
    assert claim(claims, taker, LIKE_BOTH) is None
    assert told == [5]
    exact = int.from_bytes(first.marks[0][:EXACT], "big")
    assert claims.release(taker.marks, [], 2) == [exact]
    assert claim(claims, later, ONE) == "near_duplicate"
    assert claim(claims, later, LIKE_BOTH) == "duplicate", "as it will be when the first has its row again"
    assert later.denied == {exact}
    assert claims.release(first.marks, [], 5) == [exact], "so that the later cell is told"
    assert claim(claims, later, ONE) is None


def test_rows_with_one_exact_mark_have_one_signature() -> None:
    marks = []
    for text in ("[Half done] -", "half  DONE", "“Half done”…"):
        holding = Holding(1)
        claim(claims_and_told()[0], holding, text)
        marks += holding.marks
    assert len(marks) == 3
    assert len(set(marks)) == 1


def test_a_row_in_other_words_of_the_same_signature_takes_the_place_of_the_one_before() -> None:
    claims, _ = claims_and_told()
    first, second = Holding(5), Holding(5)
    assert claim(claims, first, "One, two (three)") is None
    assert claim(claims, second, "One two three") is None
    assert first.marks != second.marks
    assert first.marks[0][EXACT:] == second.marks[0][EXACT:]
    claims.release(set(first.marks), second.marks, 5)
    later = Holding(9)
    assert claim(claims, later, "one; two; three") == "near_duplicate"
    assert later.denied == {int.from_bytes(second.marks[0][:EXACT], "big")}


@pytest.mark.parametrize("size", [0, LANES])
@pytest.mark.parametrize("rows", [0, 1, 2, 17])
def test_marks_come_out_of_the_ledger_as_they_went_in(rows: int, size: int) -> None:
    marks = [random.Random(number).randbytes(EXACT + size) for number in range(rows)]
    assert unpacked(packed(marks)) == marks
    assert len(packed(marks)) == rows * (EXACT + size) + bool(rows and size)


def test_rows_with_and_without_signatures_are_loaded_together() -> None:
    holding = Holding(3)
    claim(Claims(Seen(), lambda cell: None, NearIndex(0.72)), holding, LIKE_BOTH)
    plain = Holding(4)
    Claims(Seen(), lambda cell: None).claim(plain, {"text": "plain"}, ["text"])
    claims, _ = claims_and_told()
    claims.load([(3, packed(holding.marks)), (4, packed(plain.marks))])
    assert claim(claims, Holding(8), ONE) == "near_duplicate"
    assert claim(claims, Holding(8), "Plain!") == "duplicate"
    assert claim(claims, Holding(2), ONE) is None
