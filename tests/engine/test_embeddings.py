"""Near duplicates by vectors: the same rows at any concurrency, after kills and changes; no vector bought twice."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, MissingDependencyError, PreferenceDataset, PreferenceDatasetConfig
from rowsmith.engine.events import RowsWithdrawn
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

from .child import Job, Journal, Journaled, Kill, Nursery, armed
from .embedded import (
    ROWS,
    SETTINGS,
    THRESHOLD,
    Vectors,
    found,
    gaussian,
    key_of,
    made,
    meaning,
    must_be_apart,
    paraphrases,
    stored,
    weather,
)
from .harness import QUICK, Events, Model, dataset, entries, ledger, lines, must_be_exact, rejected

pytest.importorskip("numpy")


@pytest.mark.parametrize("seed", range(3))
def test_paraphrases_at_any_concurrency_give_the_same_files(seed: int, tmp_path: Path) -> None:
    prompts = [
        f"Write {{num_samples}} {{{{tone}}}} texts {seed} in {{language_name}}, {{label_name}}: {{label_description}}."
    ]
    rows, refused = made(tmp_path / "1", 1, prompts=prompts)
    assert refused.count(b'"gate":"near_duplicate"') > 20, "the test needs texts that are alike"
    must_be_exact(tmp_path / "1", ROWS)
    must_be_apart(tmp_path / "1")
    for in_flight in (8, 64):
        assert made(tmp_path / str(in_flight), in_flight, prompts=prompts) == (rows, refused)


def test_words_alone_do_not_see_that_these_texts_are_alike(tmp_path: Path) -> None:
    """Without embeddings the same answers are all taken: what is refused above is refused by meaning."""
    pytest.importorskip("rensa")
    dataset(tmp_path, **SETTINGS, gates={"near_duplicates": 0.8}).generate(Model(paraphrases), options=QUICK)
    with pytest.raises(AssertionError):
        must_be_apart(tmp_path)


def test_cells_are_displaced_on_the_way_and_no_vector_is_bought_twice(tmp_path: Path) -> None:
    told = Events()
    model, embeddings = Model(paraphrases, seconds=weather(1)), Vectors(seconds=weather(2))
    made(tmp_path, 64, model=model, embeddings=embeddings, how={"listeners": [told]})
    assert told.of(RowsWithdrawn), "the test needs cells that lose a row"
    assert embeddings.repeated == model.repeated == 0
    assert len(embeddings.asked) == len(stored(tmp_path, "embedding"))


def test_the_rows_of_an_answer_are_embedded_by_one_call_with_an_ordinal_of_its_own(tmp_path: Path) -> None:
    embeddings = Vectors()
    made(tmp_path, 8, embeddings=embeddings)
    answers = {ordinal for ordinal, _ in stored(tmp_path, "writer")}
    asked = [ordinal for ordinal, _ in stored(tmp_path, "embedding")]
    assert {ordinal.removesuffix(".embedding") for ordinal in asked} <= answers
    assert len(asked) == len(embeddings.asked)
    assert max(len(json.loads(body)["input"]) for body in embeddings.asked) == 3


def test_a_portion_has_no_more_texts_than_a_service_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(tmp_path / "whole", 4)
    monkeypatch.setattr("rowsmith.engine.embedding.MOST_TEXTS", 2)
    embeddings = Vectors()
    assert made(tmp_path / "parts", 4, embeddings=embeddings) == whole
    assert Counter(len(json.loads(body)["input"]) for body in embeddings.asked).keys() == {1, 2}
    assert {"0.embedding", "0.embedding.1"} <= {ordinal for ordinal, _ in stored(tmp_path / "parts", "embedding")}


def test_a_text_that_comes_twice_in_an_answer_is_embedded_once(tmp_path: Path) -> None:
    embeddings = Vectors()
    model = Model(
        lambda question: entries(*(f"sense{question.digest % 97 + place // 2} w" for place in range(question.count)))
    )
    made(tmp_path, 1, model=model, embeddings=embeddings, max_rounds=1)
    for body in embeddings.asked:
        texts = json.loads(body)["input"]
        assert len(set(texts)) == len(texts)


def test_what_the_gates_refuse_is_not_embedded(tmp_path: Path) -> None:
    embeddings = Vectors()
    gates = {"near_duplicates": THRESHOLD, "embeddings": embeddings, "blocklist": ["sense7", "sense8", "sense9"]}
    dataset(tmp_path, **SETTINGS, gates=gates).generate(Model(paraphrases), options=QUICK)
    must_be_exact(tmp_path, ROWS)
    assert any(one["gate"] == "blocklist" for one in rejected(tmp_path))
    sent = [text for body in embeddings.asked for text in json.loads(body)["input"]]
    assert sent
    assert not any(text.startswith(("sense7 ", "sense8 ", "sense9 ")) for text in sent)


# --- kills, stops, changes --------------------------------------------------------------------------------------------


def test_a_run_stopped_again_and_again_gives_the_files_of_one_that_was_not(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole", 1)
    stops = 0
    model, embeddings = Model(paraphrases, seconds=weather(5)), Vectors(seconds=weather(6))
    for number in range(100):
        left = 6 + number

        def stop(event: object) -> None:
            nonlocal left
            left -= type(event).__name__ == "CallMade"
            if left == 0:
                raise KeyError("stop")

        try:
            made(tmp_path / "pieces", 16, model=model, embeddings=embeddings, how={"listeners": [stop]})
        except KeyError:
            stops += 1
        else:
            break
    assert stops > 5
    assert found(tmp_path / "pieces") == whole
    assert embeddings.repeated == model.repeated == 0


class JournaledVectors(Vectors):
    """Writes down what it is asked and answers."""

    journal: Journal

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self.journal.add("sent", key_of(body))
        completion = await super().complete(body, transport)
        self.journal.add("answered", key_of(body))
        return completion


def work(job: Job) -> None:
    """In a process of its own."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    embeddings = JournaledVectors(seconds=weather(job.seed + 1))
    embeddings.journal = journal
    model = Journaled(paraphrases, seconds=weather(job.seed), journal=journal)
    made(job.folder, 8, model=model, embeddings=embeddings, how={"listeners": [listener]})


LEDGER = "rowsmith.engine.ledger.ledger"
KILLS = [
    Kill("CallMade", 1),
    Kill("CallMade", 2),
    Kill("CallMade", 31),
    Kill("RowAccepted", 1),
    Kill("RowAccepted", 40),
    Kill("RowsWithdrawn", 1),
    Kill("CellFinished", 9),
    Kill(f"{LEDGER}:Ledger.add_call", 20, after=True),
    Kill("RunFinished", 1),
]


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_a_kill_changes_no_row_and_buys_no_vector_twice(kill: Kill, tmp_path: Path, nursery: Nursery) -> None:
    whole = made(tmp_path / "whole", 1)
    folder = tmp_path / "killed"
    folder.mkdir()
    killed = nursery.finish(Job(folder, kill, 3, work=work))
    assert killed == -9 or kill.where == "RowsWithdrawn"
    assert nursery.finish(Job(folder, seed=4, work=work)) == 0
    assert found(folder) == whole
    # An answer may have come and not be committed yet for the time that is promised, and what a busy machine adds.
    assert all(age < 0.3 for age in Journal(folder).bought_again())


def test_many_kills_one_after_the_other(tmp_path: Path, nursery: Nursery) -> None:
    whole = made(tmp_path / "whole", 1)
    folder = tmp_path / "killed"
    folder.mkdir()
    drawn = random.Random(5)
    kills = 0
    for number in range(40):
        kill = Kill(drawn.choice(["CallMade", "RowAccepted", "CellFinished"]), drawn.randint(2, 6))
        ended = nursery.finish(Job(folder, kill, number, work=work))
        kills += ended == -9
        if ended == 0:
            break
    assert nursery.finish(Job(folder, seed=99, work=work)) == 0
    assert kills >= 5, kills
    assert found(folder) == whole
    assert all(age < 0.3 for age in Journal(folder).bought_again())


def test_another_model_or_threshold_embeds_anew_and_buys_no_text_again(tmp_path: Path) -> None:
    """Each time the rows of a run that had it so from the start; words instead of vectors, and back, too."""
    pytest.importorskip("rensa")
    model = Model(paraphrases)
    steps: list[dict[str, Any]] = [
        {},
        {"near_duplicates": THRESHOLD, "embeddings": Vectors()},
        {"near_duplicates": THRESHOLD, "embeddings": Vectors(settings={"dimensions": 24}, vector=small)},
        {"near_duplicates": 0.7, "embeddings": Vectors()},
        {"near_duplicates": 0.8},
        {"near_duplicates": THRESHOLD, "embeddings": Vectors()},
        {},
    ]
    for number, gates in enumerate(steps):
        fresh = tmp_path / f"fresh{number}"
        fresh.mkdir()
        anew = {name: replace(value, asked=[]) if name == "embeddings" else value for name, value in gates.items()}
        dataset(fresh, **SETTINGS, gates=anew).generate(Model(paraphrases), options=QUICK, max_concurrency=1)
        before = {key for role in ("writer",) for _, key in (stored(tmp_path, role) if number else [])}
        dataset(tmp_path, **SETTINGS, gates=gates).generate(model, options=QUICK, max_concurrency=8)
        assert found(tmp_path) == found(fresh)
        assert model.repeated == 0, "no text is bought twice"
        assert before <= {key for _, key in stored(tmp_path, "writer")}
    # The first of the models is asked three times; at the third its vectors are all there.
    assert not steps[5]["embeddings"].asked
    sizes = {size for (size,) in ledger(tmp_path, "SELECT length(marks) % 8 FROM blocks WHERE kind = 0")}
    assert sizes == {0}


def small(text: str) -> list[float]:
    return meaning(text, 24)


def test_a_run_that_goes_on_after_its_end_asks_for_nothing(tmp_path: Path) -> None:
    whole = made(tmp_path, 8)
    model, embeddings = Model(paraphrases), Vectors()
    assert made(tmp_path, 8, model=model, embeddings=embeddings) == whole
    assert not model.asked
    assert not embeddings.asked


def test_a_higher_count_compares_with_the_rows_that_are_there(tmp_path: Path) -> None:
    made(tmp_path / "grown", 8)
    embeddings = Vectors()
    grown = made(tmp_path / "grown", 8, embeddings=embeddings, num_samples_per_prompt=5)
    assert len(lines(tmp_path / "grown")) == ROWS // 3 * 5
    must_be_apart(tmp_path / "grown")
    assert embeddings.asked
    assert made(tmp_path / "grown", 3, num_samples_per_prompt=5) == grown


# --- other ways to work -----------------------------------------------------------------------------------------------


def few_directions(text: str) -> list[float]:
    """One of nine vectors."""
    return gaussian(zlib.crc32(text.encode()) % 9)


def composed(folder: Path, in_flight: int) -> tuple[bytes, bytes]:
    folder.mkdir()
    settings: dict[str, Any] = {
        "input_documents": [f"What is {thing}?" for thing in ("tea", "rain", "moss")],
        "from_questions": True,
        "num_samples_per_prompt": 3,
        "max_rounds": 40,
        "output_file": str(folder / "rows.jsonl"),
        "gates": {"near_duplicates": 0.9, "embeddings": Vectors(vector=few_directions, seconds=weather(in_flight))},
    }
    PreferenceDataset(PreferenceDatasetConfig(**settings)).generate("offline", options=QUICK, max_concurrency=in_flight)
    return found(folder)


def test_rows_that_begin_with_no_list_are_compared_too(tmp_path: Path) -> None:
    """Nine directions and nine rows: each is there once, whoever came first."""
    rows, refused = composed(tmp_path / "1", 1)
    assert rows.count(b"\n") == 9
    assert b'"gate":"near_duplicate"' in refused
    assert composed(tmp_path / "8", 8) == (rows, refused)
    asked = [ordinal for ordinal, _ in stored(tmp_path / "8", "embedding")]
    assert all(re.fullmatch(r"\d+\.embedding", ordinal) for ordinal in asked)


def test_a_sample_is_made_with_vectors_and_the_run_finds_them(tmp_path: Path) -> None:
    model, embeddings = Model(paraphrases), Vectors()
    gates = {"near_duplicates": THRESHOLD, "embeddings": embeddings}
    sample = dataset(tmp_path, **SETTINGS, gates=gates).generate_sample(model, 4, options=QUICK)
    assert len(sample) == 4
    assert len(embeddings.asked) >= 4
    dataset(tmp_path, **SETTINGS, gates=gates).generate(model, options=QUICK)
    must_be_exact(tmp_path, ROWS)
    assert embeddings.repeated == model.repeated == 0


def test_an_estimate_knows_that_vectors_will_be_asked_for(tmp_path: Path) -> None:
    gates = {"near_duplicates": THRESHOLD, "embeddings": Vectors()}
    whole = dataset(tmp_path, **SETTINGS, gates=gates).estimate(Model(paraphrases))
    by_role = {part.role: part for part in whole.parts}
    assert by_role["embedding"].calls == by_role["writer"].calls == 30
    assert by_role["embedding"].model == "memory/vectors"
    assert by_role["embedding"].output_tokens == 0
    assert by_role["embedding"].input_tokens > 30
    assert {part.role for part in dataset(tmp_path, **SETTINGS).estimate(Model(paraphrases)).parts} == {"writer"}


def test_a_paid_sample_sharpens_the_estimate_of_vectors(tmp_path: Path) -> None:
    gates = {"near_duplicates": THRESHOLD, "embeddings": Vectors()}
    whole = dataset(tmp_path, **SETTINGS, gates=gates).estimate(Model(paraphrases), sample=4, options=QUICK)
    by_role = {part.role: part for part in whole.parts}
    assert by_role["embedding"].calls >= 30
    assert 90 <= by_role["embedding"].input_tokens < 200, "each text is one token here"


def test_spend_is_counted_by_role(tmp_path: Path) -> None:
    folder, embeddings = tmp_path, Vectors()
    gates = {"near_duplicates": THRESHOLD, "embeddings": embeddings}
    report = dataset(folder, **SETTINGS, gates=gates).generate(Model(paraphrases), options=QUICK).report
    assert report is not None
    spent = report.spend["memory/vectors", "embedding"]
    assert spent.calls == len(embeddings.asked)
    assert spent.input_tokens == sum(len(json.loads(body)["input"]) for body in embeddings.asked)


def test_a_limit_of_requests_holds_for_vectors(tmp_path: Path) -> None:
    model, embeddings = Model(paraphrases), Vectors()
    gates = {"near_duplicates": THRESHOLD, "embeddings": embeddings}
    report = dataset(tmp_path, **SETTINGS, gates=gates).generate(model, options=QUICK, max_requests=21).report
    assert report is not None
    assert "max_requests is reached: 21 of 21" in report.why
    assert len(model.asked) + len(embeddings.asked) == 21
    dataset(tmp_path, **SETTINGS, gates=gates).generate(model, options=QUICK)
    must_be_exact(tmp_path, ROWS)
    assert embeddings.repeated == model.repeated == 0


def test_vectors_of_another_size_end_the_run_and_are_not_kept(tmp_path: Path) -> None:
    """The model behind a name was replaced: what comes cannot be compared, now or by the next start."""
    model, embeddings = Model(paraphrases), Vectors()
    embeddings.vector = lambda text: meaning(text, 48 if len(embeddings.asked) < 12 else 24)
    for _ in range(2):
        with pytest.raises(Exception, match="vectors of 24 numbers, and of 48 before: another model"):
            made(tmp_path, 1, model=model, embeddings=embeddings)
    assert {text.split()[1] for (text,) in ledger(tmp_path, "SELECT text FROM calls WHERE role = 'embedding'")} == {
        "48"
    }
    made(tmp_path, 1, model=model, embeddings=Vectors(api_key="other"))
    must_be_exact(tmp_path, ROWS)


def test_without_numpy_the_line_that_installs_it_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(paraphrases)
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[embeddings\]"):
        made(tmp_path, 1, model=model)
    assert not model.asked


@pytest.mark.parametrize(
    ("gates", "fault"),
    [
        ({"embeddings": "offline"}, "set near_duplicates too"),
        ({"near_duplicates": 0.2, "embeddings": "offline"}, "0.3"),
        ({"near_duplicates": 1.01, "embeddings": "offline"}, "1"),
        ({"near_duplicates": 0.4}, "0.5"),
        ({"near_duplicates": 0.9, "embeddings": "opnai/text-embedding-3-small"}, "Did you mean 'openai'"),
        ({"near_duplicates": 0.9, "embeddings": "openai"}, "names no embedding model"),
        ({"near_duplicates": 0.9, "embeddings": "anthropic/claude-sonnet-4-5"}, "no endpoint for embeddings"),
        ({"near_duplicates": 0.9, "embeddings": {"api_base": "http://localhost:1/v1"}}, "needs `model`"),
        ({"near_duplicates": 0.9, "embeddings": 7}, "text such as"),
        ({"near_duplicates": 0.9, "embeddings": "offline", "duplicates": "allow"}, "duplicates='allow'"),
    ],
)
def test_a_setting_that_is_wrong_is_told_at_once(tmp_path: Path, gates: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        dataset(tmp_path, gates=gates)


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        (
            {"model": "openai/text-embedding-3-small", "api_bas": "x"},
            "has no argument 'api_bas'. Did you mean 'api_base'",
        ),
        ({"model": "openai/text-embedding-3-small", "api_key": "k", "temperature": 0.5}, "'temperature'"),
        ({"model": "groq/llama", "api_key": "some-key-or-other"}, "groq/llama has no endpoint for embeddings"),
        ("gemini/gemini-embedding-001", "needs a key"),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_before_anything_is_paid_for(
    tmp_path: Path, named: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    model = Model(paraphrases)
    made = dataset(tmp_path, **SETTINGS, gates={"near_duplicates": 0.9, "embeddings": named})
    with pytest.raises(ConfigError, match=fault):
        made.generate(model, options=QUICK)
    assert not model.asked
