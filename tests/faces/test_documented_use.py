"""The library as its first documents describe it: the names, arguments and habits that people know it by."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    AnthropicProvider,
    ClassificationDataset,
    ClassificationDatasetConfig,
    Dataset,
    GeminiProvider,
    MCQDataset,
    MCQDatasetConfig,
    OllamaProvider,
    OpenAIProvider,
    PreferenceDataset,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    Provider,
    RawDataset,
    RawDatasetConfig,
    TemplateError,
    UltrachatDataset,
    UltrachatDatasetConfig,
    configure_logger,
)
from rowsmith.engine.events import Event, RowAccepted
from rowsmith.engine.options import Options
from rowsmith.llm.retry import RetryPolicy
from rowsmith.testing import Call, ScriptedServer
from rowsmith.testing.answers import default_answer

QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01))
DOCUMENT = "The lock keeper opens the gates at six, and closes them when the last barge has gone through. " * 3


def no_two_alike(call: Call) -> str:
    return default_answer(call, question=b"%d" % call.number)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """One server at which every provider finds its model, as its environment variables say."""
    with ScriptedServer(no_two_alike) as server:
        for name, address in {
            "OPENAI_BASE_URL": server.base_url,
            "ANTHROPIC_BASE_URL": server.url,
            "GOOGLE_GEMINI_BASE_URL": server.url,
            "OLLAMA_HOST": server.url,
        }.items():
            monkeypatch.setenv(name, address)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, "any")
        yield server


@pytest.fixture
def quiet_afterwards() -> Iterator[None]:
    logger = logging.getLogger("rowsmith")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


def as_documented(**names: Any) -> dict[str, Any]:
    """Fields by other names than their own, which a type checker does not know."""
    return names


# -- configurations ---------------------------------------------------------------------------------------------------


def sentiment(**more: Any) -> ClassificationDatasetConfig:
    classes: Any = [
        {"name": "positive", "description": "The writer is happy with what happened"},
        {"name": "negative", "description": "The writer is unhappy with what happened"},
    ]
    return ClassificationDatasetConfig(
        classes=classes,
        num_samples_per_prompt=5,
        output_file="sentiment.jsonl",
        languages={"en": "English", "fr": "French"},
        **more,
    )


def test_a_classification_dataset_from_a_simple_configuration(service: ScriptedServer) -> None:
    dataset = ClassificationDataset(sentiment())
    providers: list[Provider] = [OpenAIProvider(), OllamaProvider()]
    assert dataset.get_num_expected_rows(providers) == 40
    dataset.generate(providers)
    rows = [json.loads(line) for line in Path("sentiment.jsonl").read_text(encoding="utf-8").splitlines()]
    assert Counter((row["label"], row["language"], row["model_id"]) for row in rows) == {
        (label, language, model): 5
        for label in ("positive", "negative")
        for language in ("en", "fr")
        for model in (OpenAIProvider().model_id, OllamaProvider().model_id)
    }


def raw(expansion: PromptExpansionConfig, **more: Any) -> RawDataset:
    return RawDataset(
        RawDatasetConfig(
            document_types=["field report", "newsletter"],
            topics=["harbours", "tides"],
            num_samples_per_prompt=2,
            output_file="texts.jsonl",
            languages={"en": "English"},
            prompts=[
                "Write {num_samples} {document_type} in {language_name} on {topic}, "
                "{{tone}} in tone and meant for {{audience}}."
            ],
            expansion=expansion,
            **more,
        )
    )


TONES = {"tone": ["formal", "casual", "technical"], "audience": ["beginners", "experts", "everybody"]}


def test_mandatory_placeholders_are_filled_and_optional_ones_varied(service: ScriptedServer) -> None:
    dataset = raw(PromptExpansionConfig(placeholders=TONES, combinatorial=True)).generate(OpenAIProvider())
    assert len(dataset) == 2 * 2 * 9 * 2
    asked = {call.asked.messages[-1].content for call in service.calls}
    assert "Write 2 newsletter in English on tides, casual in tone and meant for experts." in asked
    assert len(asked) == 36
    assert {(row["document_type"], row["topic"]) for row in dataset} == {
        (kind, topic) for kind in ("field report", "newsletter") for topic in ("harbours", "tides")
    }


def test_combinations_can_be_drawn_instead(service: ScriptedServer) -> None:
    drawn = PromptExpansionConfig(placeholders=TONES, combinatorial=False, num_random_samples=10)
    dataset = raw(drawn).generate(OpenAIProvider())
    assert service.count == 10
    assert len(dataset) == 20


def test_each_step_of_a_preference_dataset_may_have_a_service_of_its_own(service: ScriptedServer) -> None:
    config = PreferenceDatasetConfig(
        **as_documented(input_documents=[DOCUMENT]), num_samples_per_prompt=2, output_file="pairs.jsonl"
    )
    dataset = PreferenceDataset(config)
    dataset.generate(
        question_gen_llm=OpenAIProvider(),
        chosen_response_gen_llm=AnthropicProvider(),
        rejected_response_gen_llm=GeminiProvider(),
    )
    assert Counter(call.format for call in service.calls) == {"openai": 1, "anthropic": 2, "gemini": 2}
    for row in dataset:
        assert row["question_model_id"] == OpenAIProvider().model_id
        assert row["chosen_model_id"] == AnthropicProvider().model_id
        assert row["rejected_model_id"] == GeminiProvider().model_id


def test_conversations_have_topics_personas_and_a_domain(service: ScriptedServer) -> None:
    config = UltrachatDatasetConfig(
        topics_and_subtopics={"rigging": ["knots", "sails"]},
        personas=["a first-time sailor"],
        domain="seamanship",
        **as_documented(num_samples=1),
        max_turns=3,
        conversation_continuation_prob=0.5,
        output_file="talks.jsonl",
        languages={"en": "English"},
    )
    rows = UltrachatDataset(config).generate(OllamaProvider()).to_list()
    assert len(rows) == 2
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * (len(row["messages"]) // 2)
        assert row["persona"] == "a first-time sailor"


# -- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet_afterwards")
def test_the_log_shows_progress_and_success_and_can_be_kept(
    service: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logger()
    configure_logger(level="INFO", log_file="generation.log")
    ClassificationDataset(sentiment()).generate(OpenAIProvider())
    for text in (capsys.readouterr().err, Path("generation.log").read_text(encoding="utf-8")):
        assert "sentiment.jsonl: 20 rows" in text
        assert "complete: 20 of 20 rows" in text
    configure_logger(level="DEBUG", log_file="debug.log")
    ClassificationDataset(sentiment()).generate(OpenAIProvider(), fresh=True)
    assert "cell " in Path("debug.log").read_text(encoding="utf-8")


def test_without_it_a_script_is_silent(service: ScriptedServer, capfd: pytest.CaptureFixture[str]) -> None:
    ClassificationDataset(sentiment()).generate(OpenAIProvider())
    assert capfd.readouterr() == ("", "")


# -- what was wished for ----------------------------------------------------------------------------------------------


def test_a_prompt_of_ones_own_is_checked_with_a_helpful_message() -> None:
    with pytest.raises(TemplateError, match=r"label_description"):
        sentiment(prompts=["{num_samples} texts in {language_name} that are {label_name}."])
    with pytest.raises(TemplateError, match=r"(?s)\{\{tone\}\}.*has no values"):
        sentiment(prompts=["{num_samples} {language_name} {label_name} {label_description} {{tone}}"])


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv", "texts.jsonl"])
def test_questions_come_from_a_local_file(name: str, service: ScriptedServer) -> None:
    content = {
        "texts.txt": f"{DOCUMENT}\n",
        "texts.csv": f'text\n"{DOCUMENT}"\n',
        "texts.jsonl": json.dumps({"text": DOCUMENT}) + "\n",
    }
    Path(name).write_text(content[name], encoding="utf-8")
    config = MCQDatasetConfig(
        local_file_path=name,
        text_column="text",
        sample_count=1,
        num_samples_per_prompt=2,
        min_document_length=50,
        max_document_length=5_000,
        output_file="questions.jsonl",
    )
    rows = MCQDataset(config).generate(OpenAIProvider()).to_list()
    assert len(rows) == 2
    assert {row["source_document"].strip() for row in rows} == {DOCUMENT.strip()}


def test_a_sample_is_looked_at_before_the_whole_is_made(service: ScriptedServer) -> None:
    dataset = ClassificationDataset(sentiment())
    sample = dataset.generate_sample([OpenAIProvider()], num_samples=4)
    assert len(sample.rows) == 4
    assert not Path("sentiment.jsonl").exists() or len(dataset) == 0
    asked = service.count
    assert len(dataset.generate([OpenAIProvider()])) == 20
    assert service.count == 4 == asked


def test_each_line_is_on_disk_as_soon_as_it_is_made() -> None:
    seen: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, RowAccepted):
            path = Path("sentiment.jsonl")
            seen.append(path.read_bytes().count(b"\n") if path.exists() else 0)

    with ScriptedServer(no_two_alike, latency=0.1) as server:
        model = OpenAIProvider("m", api_base=server.base_url)
        ClassificationDataset(sentiment()).generate(model, max_concurrency=1, listeners=[look])
    assert 5 <= seen[-1] < 20
    assert seen == sorted(seen)


def test_a_run_that_was_stopped_goes_on_and_pays_for_nothing_twice(service: ScriptedServer) -> None:
    dataset = ClassificationDataset(sentiment())
    dataset.generate(OpenAIProvider(), max_requests=2, max_concurrency=1)
    assert len(dataset) == 10
    before = Path("sentiment.jsonl").read_bytes()
    dataset.generate(OpenAIProvider())
    assert len(dataset) == 20
    assert Path("sentiment.jsonl").read_bytes().startswith(before)
    assert service.count == 4
    assert len({call.key for call in service.calls}) == 4


def test_limits_per_minute_and_day_are_told_to_a_provider() -> None:
    """How they are kept to stands in the tests of limits, 15 a minute and 1,500 a day at Gemini among them."""
    provider = GeminiProvider(rpm_limit=15, rpd_limit=1_500, api_key="any")
    assert (provider.limits.rpm, provider.limits.rpd) == (15, 1_500)


def test_many_requests_are_under_way_at_once() -> None:
    most: list[int] = []

    def say(call: Call) -> str:
        most.append(call.in_flight)
        return no_two_alike(call)

    with ScriptedServer(say, latency=0.05) as server:
        config = sentiment(target_rows=500)
        dataset = ClassificationDataset(config)
        dataset.generate(OpenAIProvider("m", api_base=server.base_url))
    assert len(dataset) == 500
    assert max(most) >= 4


def test_a_saved_dataset_is_extended_with_rows_of_another(service: ScriptedServer) -> None:
    made = ClassificationDataset(sentiment()).generate(OpenAIProvider())
    mine = Dataset([{"text": "written by hand", "label": "positive"}])
    mine.extend(made)
    mine.save("all.jsonl")
    assert len(Dataset.load("all.jsonl")) == 21
