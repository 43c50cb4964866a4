"""Free texts of given types about given topics."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, OpenAIProvider, PromptExpansionConfig, RawDataset, RawDatasetConfig, TemplateError
from rowsmith.quality.copies import RUN, Passages
from rowsmith.testing import ScriptedServer

SEED = (
    "The harbour was quiet that morning. Two gulls sat on the rail of the ferry and watched the fishermen, who had "
    "come back early and were mending their nets without a word."
)


def config(folder: Path, **fields: object) -> RawDatasetConfig:
    given: dict[str, Any] = {
        "document_types": ["research paper", "blog post"],
        "topics": ["AI", "climate change"],
        "num_samples_per_prompt": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return RawDatasetConfig.model_validate(given)


def test_the_prompt_expansion_of_the_first_days_works(tmp_path: Path) -> None:
    made = RawDatasetConfig(
        document_types=["research paper", "blog post"],
        topics=["AI", "climate change"],
        num_samples_per_prompt=2,
        output_file=str(tmp_path / "output.jsonl"),
        languages={"en": "English"},
        prompts=[
            "Generate {num_samples} {document_type} in {language_name} "
            "about {topic} with {{tone}} tone for {{audience}}."
        ],
        expansion=PromptExpansionConfig(
            placeholders={
                "tone": ["formal", "casual", "technical"],
                "audience": ["beginners", "experts", "general public"],
            },
            combinatorial=True,
        ),
    )
    dataset = RawDataset(made)
    assert dataset.get_num_expected_rows() == 2 * 2 * 9 * 2
    rows = dataset.generate("offline").to_list()
    groups = Counter((row["document_type"], row["topic"], *row["metadata"]["placeholders"].values()) for row in rows)
    assert set(groups.values()) == {2}
    assert len(groups) == 36
    assert list(rows[0]) == ["id", "text", "document_type", "topic", "language", "model_id", "metadata"]


def test_thousands_of_texts_are_balanced_and_all_different(tmp_path: Path) -> None:
    made = config(tmp_path, target_rows=2003, languages={"en": "English", "fr": "French"})
    rows = RawDataset(made).generate("offline").to_list()
    assert len(rows) == len({row["text"] for row in rows}) == 2003
    groups = Counter((row["document_type"], row["topic"], row["language"]) for row in rows)
    assert max(groups.values()) - min(groups.values()) <= 2


def answering(*texts: str) -> Any:
    given = iter(texts)
    return lambda call: json.dumps({"entries": [{"text": next(given)}]})


@pytest.mark.parametrize(
    "copied",
    [SEED, SEED.upper(), f"It was Monday. {SEED[36:160]} and so on.", SEED.replace(",", "").replace(".", "")],
    ids=["whole", "capitals", "a passage", "without signs"],
)
def test_a_passage_of_a_seed_text_is_never_taken_over(tmp_path: Path, copied: str) -> None:
    made = config(tmp_path, document_types=["story"], topics=["ports"], seed_texts=[SEED], num_samples_per_prompt=1)
    with ScriptedServer(answering(copied, "Fog lay on the quay, and nobody spoke.")) as server:
        rows = RawDataset(made).generate(OpenAIProvider("m", api_base=server.base_url, api_key="k")).to_list()
        first, second = (call.prompt for call in server.calls)
    assert [row["text"] for row in rows] == ["Fog lay on the quay, and nobody spoke."]
    assert SEED in first
    assert "a passage of the given text is taken over" in second


def test_seed_texts_are_an_axis_and_rows_say_which_they_went_by(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_text(f'body\n"{SEED}"\n"Another text, which is short."\n')
    made = config(tmp_path, seed_file=str(tmp_path / "seeds.csv"), seed_column="body", seed_use="continue")
    dataset = RawDataset(made)
    assert dataset.get_num_expected_rows() == 2 * 2 * 2 * 2
    rows = dataset.generate("offline").to_list()
    assert set(Counter(row["metadata"]["seed"] for row in rows).values()) == {8}
    assert len({row["metadata"]["seed"] for row in rows}) == 2


WORDS = st.lists(st.sampled_from([f"word{number}" for number in range(500)]), min_size=RUN, max_size=60, unique=True)


@given(WORDS, st.data())
def test_a_run_of_words_is_found_wherever_it_stands_and_a_shorter_one_is_not(words: list[str], data: Any) -> None:
    start = data.draw(st.integers(0, len(words) - RUN))
    passages = Passages(" ".join(words))
    around = ["before", "it"], ["behind", "it"]
    taken = [*around[0], *words[start : start + RUN], *around[1]]
    assert passages.in_text(" ".join(taken)) == " ".join(words[start : start + RUN])
    shorter = [*around[0], *words[start : start + RUN - 1], *around[1]]
    assert passages.in_text(" ".join(shorter)) is None


def test_a_short_seed_text_is_found_as_a_whole_only() -> None:
    assert Passages("Great product!").in_text("great  product") is not None
    assert Passages("Great product!").in_text("A great product, said everybody who had one.") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["AI", " ai "]}, "is the same as 'AI'"),
        ({"document_types": [" "]}, "empty"),
        ({"seed_use": "imitate"}, "with seed_texts or seed_file only"),
        ({"seed_texts": ["x"], "seed_file": "y.txt"}, "give one of them"),
        ({"seed_texts": ["x"], "seed_use": "copy"}, "seed_use"),
        ({"topic": ["AI"]}, "Did you mean 'topics'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)


def test_a_template_must_speak_of_the_seed_text(tmp_path: Path) -> None:
    prompt = "{num_samples} {document_type} in {language_name} about {topic}."
    with pytest.raises(TemplateError, match=r"\{seed_text\}"):
        config(tmp_path, prompts=[prompt], seed_texts=[SEED])
    with pytest.raises(TemplateError, match=r"\{topic\}"):
        config(tmp_path, prompts=["{num_samples} {document_type} in {language_name} about {{topic}}."])
