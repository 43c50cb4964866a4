"""`DataSetGenerator`: counts, calls, topics, models, templates, filters, as its documentation shows them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, Field

from rowsmith import (
    ConfigError,
    Dataset,
    DataSetGenerator,
    DataSetGeneratorError,
    ModelError,
    ProviderError,
    TemplateError,
    Tree,
    ValidationError,
)
from rowsmith.engine.events import RowAccepted, RunFinished
from rowsmith.generator.config import CONVERSATION_TYPES
from rowsmith.testing import BadRequest, ScriptedServer, WrongKey
from rowsmith.testing.answers import count_in
from rowsmith.testing.calls import Call

Services = Callable[..., ScriptedServer]
TOPICS = ["Optics", "Heat", "Sound", "Tides", "Rain"]


def generator(**settings: Any) -> DataSetGenerator:
    given = {
        "instructions": "Create detailed explanations.",
        "generation_system_prompt": "You are an expert instructor.",
        "model_name": "offline",
        **settings,
    }
    return DataSetGenerator(**given)


def two_branches() -> list[list[str]]:
    large = [["Physics", "Waves", f"Wave {number}"] for number in range(20)]
    return [*large, ["Physics", "Heat", "Engines"], ["Physics", "Light", "Lenses"], ["Physics", "Light", "Mirrors"]]


# -- the constructor --------------------------------------------------------------------------------------------------


def test_the_documented_constructor_runs() -> None:
    made = DataSetGenerator(
        instructions="Create detailed explanations with practical examples for intermediate learners.",
        generation_system_prompt="You are an expert instructor creating educational content.",
        model_name="openai/gpt-4",
        temperature=0.8,
        max_retries=3,
        request_timeout=30,
        default_batch_size=5,
        default_num_examples=3,
    )
    assert (made.config.temperature, made.config.max_retries, made.config.request_timeout) == (0.8, 3, 30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generation_sytem_prompt": "x"}, "no argument 'generation_sytem_prompt'.*'generation_system_prompt'"),
        ({"instructions": ""}, "instructions"),
        ({"model": "offline"}, "named twice"),
        ({"model_name": "opnai/gpt-4"}, "no provider 'opnai'.*Did you mean 'openai'"),
        ({"conversation_type": "instructions"}, "conversation_type"),
        ({"output_model": {"text": "a text"}}, "belong together"),
        ({"provider": "openai", "model_name": {"model": "x"}}, "provider goes with"),
        ({"variables": {"topic": "x"}}, "filled in for every topic"),
    ],
)
def test_what_is_of_no_use_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generator(**settings)


async def test_temperature_timeout_and_model_reach_the_service(services: Services) -> None:
    server = services()
    made = generator(model_name=None, provider="openai", model="gpt-4", temperature=0.7, request_timeout=30)
    await made.create_data_async(num_steps=1, topics=["Optics"])
    assert server.calls[0].body["model"] == "gpt-4"
    assert server.calls[0].body["temperature"] == 0.7


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topics", [1, 2, 4, 5, 12, 40])
async def test_num_steps_is_the_number_of_rows_and_batch_size_that_of_a_call(services: Services, topics: int) -> None:
    server = services()
    dataset = await generator(model_name="openai/gpt-4").create_data_async(
        num_steps=12, batch_size=3, topics=[f"Topic {number}" for number in range(topics)]
    )
    assert isinstance(dataset, Dataset)
    assert len(dataset) == 12
    assert len(server.calls) == 4


def test_more_examples_than_topics_go_round_and_no_two_are_alike() -> None:
    dataset = generator().create_data(250, 5, [f"Topic {number}" for number in range(100)])
    counts = Counter(row["topic"] for row in dataset)
    assert len(dataset) == 250
    assert len(counts) == 100
    assert set(counts.values()) == {2, 3}
    assert len({row["question"] for row in dataset}) == len({row["id"] for row in dataset}) == 250


async def test_no_two_rows_are_alike_though_the_model_repeats_itself(services: Services) -> None:
    def answer(call: Call) -> str:
        again = "were refused" in call.prompt or "exist" in call.prompt
        asked = [
            f"What of {call.number if again else 0} and {place}?" for place in range(count_in(call.asked.messages) or 0)
        ]
        entries = [
            {"question": one, "answer": "An answer.", "number_of_topic": place} for place, one in enumerate(asked, 1)
        ]
        return orjson.dumps({"entries": entries}).decode()

    services(answer)
    made = generator(model_name="openai/gpt-4", max_rounds=20)
    dataset = await made.create_data_async(250, 5, [f"Topic {number}" for number in range(100)])
    assert len({row["question"] for row in dataset}) == len(dataset) == 250
    assert set(Counter(row["topic"] for row in dataset).values()) == {2, 3}
    assert {row["gate"] for row in made.rejected} == {"duplicate"}


async def test_what_exists_on_a_topic_is_shown_when_more_is_asked_for(services: Services) -> None:
    server = services()
    dataset = await generator(model_name="openai/gpt-4").create_data_async(6, 2, topics=["Optics", "Heat"])
    for call, shown in zip(server.calls, (0, 2, 4), strict=True):
        texts = [row["question"] for row in dataset if row["question"][:150] in " ".join(call.prompt.split())]
        assert len(texts) == shown


def test_offline_each_example_is_about_its_own_topic() -> None:
    topics = ["Optics", "Heat", "Sound"]
    for row in generator().create_data(num_steps=9, batch_size=3, topics=topics):
        text = row["question"] + row["answer"]
        assert [topic for topic in topics if topic in text] == [row["topic"]]


def test_without_a_number_as_many_are_made_as_the_generator_has_for_default() -> None:
    made = generator(default_num_examples=4)
    assert len(made.create_data(topics=TOPICS)) == 4
    assert len(generator().create_data(topics=TOPICS)) == 3


@pytest.mark.parametrize(
    "wrong", [{"num_steps": 0}, {"batch_size": 0}, {"num_steps": 2.5}, {"topics": None}, {"topics": []}]
)
def test_wrong_sizes_and_no_topics_are_refused_before_anything_is_asked(wrong: dict[str, Any]) -> None:
    made = generator()
    with pytest.raises(ConfigError):
        made.create_data(**{"num_steps": 2, "topics": TOPICS, **wrong})
    assert made.get_generation_stats().calls == 0


def test_a_second_call_makes_a_new_dataset() -> None:
    made = generator()
    first, second = made.create_data(4, topics=["Optics"]), made.create_data(2, topics=["Heat"])
    assert [row["topic"] for row in first] == ["Optics"] * 4
    assert [row["topic"] for row in second] == ["Heat"] * 2


def test_it_works_within_a_running_loop() -> None:
    async def notebook() -> int:
        return len(generator().create_data(3, topics=TOPICS))

    assert asyncio.run(notebook()) == 3


def test_what_is_made_is_told_as_it_is() -> None:
    async def listen() -> list[type]:
        return [type(event) async for event in generator().create_data_events(4, 2, TOPICS)]

    told = asyncio.run(listen())
    assert told.count(RowAccepted) == 4
    assert told[-1] is RunFinished


# -- topics -----------------------------------------------------------------------------------------------------------


def test_balanced_gives_every_branch_the_same_number() -> None:
    dataset = generator().create_data(31, 4, two_branches(), sampling_strategy="balanced")
    counts = Counter(row["topic_path"][1] for row in dataset)
    assert sorted(counts.values()) == [10, 10, 11]
    light = Counter(row["topic"] for row in dataset if row["topic_path"][1] == "Light")
    assert max(light.values()) - min(light.values()) <= 1


def test_random_draws_with_replacement_and_a_seed_repeats() -> None:
    def topics(seed: int) -> list[str]:
        made = generator(seed=seed).create_data(40, topics=TOPICS, sampling_strategy="random")
        return [row["topic"] for row in made]

    assert topics(1) == topics(1)
    assert Counter(topics(1)) != Counter(topics(2))  # the order within a call is up to the answer
    assert len(set(Counter(topics(1)).values())) > 1


def test_a_seed_repeats_the_rows() -> None:
    assert generator().create_data(7, 2, TOPICS).to_list() == generator().create_data(7, 2, TOPICS).to_list()


def test_a_sampler_of_ones_own_chooses_the_topics() -> None:
    def custom_sampler(topic_model: list[str], count: int) -> list[str]:
        return [topic_model[-1]] * (count - 1) + [topic_model[0]]

    dataset = generator().create_data(5, topic_model=TOPICS, topic_sampler=custom_sampler)
    assert Counter(row["topic"] for row in dataset) == {"Rain": 4, "Optics": 1}
    with pytest.raises(ConfigError, match="asked for 2 topics and gave 3"):
        generator().create_data(2, topics=TOPICS, topic_sampler=lambda topics, _: topics[:3])


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match="'balanced'"):
        generator().create_data(2, topics=TOPICS, sampling_strategy="balancd")


async def test_levels_of_a_tree_can_have_models_of_their_own(services: Services) -> None:
    server = services()
    tree = Tree(topic_prompt="Physics", degree=2, depth=2, model_name="offline")
    await tree.build_async()
    complex_generator = generator(instructions="Create advanced technical content", model_name="openai/gpt-4")
    simple_generator = generator(instructions="Create basic explanations", model_name="openai/gpt-3.5-turbo")
    deep = await complex_generator.create_data_async(num_steps=4, topics=tree.get_topics_at_depth(2))
    high = await simple_generator.create_data_async(num_steps=2, topics=tree.get_topics_at_depth(1))
    assert {len(row["topic_path"]) for row in deep} == {3}
    assert {len(row["topic_path"]) for row in high} == {2}
    assert [call.body["model"] for call in server.calls] == ["gpt-4", "gpt-3.5-turbo"]


async def test_another_model_for_one_dataset_is_really_asked(services: Services) -> None:
    server = services()
    made = generator(model_name="offline")
    dataset = await made.create_data_async(num_steps=2, topics=TOPICS, model_name="openai/gpt-4o")
    assert [call.body["model"] for call in server.calls] == ["gpt-4o"]
    assert {row["model_id"] for row in dataset} == {"gpt-4o"}
    assert {row["model_id"] for row in await made.create_data_async(num_steps=2, topics=TOPICS)} == {"offline"}


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_dataset_grows_batch_by_batch(tmp_path: Path) -> None:
    made, dataset = generator(), Dataset()
    total_steps, batch_size = 12, 3
    for step in range(0, total_steps, batch_size):
        dataset.extend(made.create_batch(topics=TOPICS[:3], batch_size=batch_size))
        dataset.save(tmp_path / f"checkpoint_{step}.jsonl")
    assert len(dataset) == len({row["id"] for row in dataset}) == len({row["question"] for row in dataset}) == 12
    assert len(Dataset.load(tmp_path / "checkpoint_9.jsonl")) == 12


async def test_a_batch_is_one_call_to_the_model_that_is_named(services: Services) -> None:
    server = services()
    batch = await generator().create_batch_async(TOPICS[:2], batch_size=3, model_name="openai/gpt-3.5-turbo")
    assert [row["topic"] for row in batch] == ["Optics", "Heat", "Optics"]
    assert [call.body["model"] for call in server.calls] == ["gpt-3.5-turbo"]


async def test_a_batch_is_shown_what_the_batches_before_it_made_and_does_not_take_it_again(services: Services) -> None:
    def answer(call: Call) -> str:
        asked = ["What is light?", "What is a lens?"]
        if "- What is a lens?" in call.prompt:
            asked = ["What is a prism?"] if "These were refused" in call.prompt else ["What is light?"]
        return orjson.dumps({"entries": [{"question": one, "answer": "An answer."} for one in asked]}).decode()

    services(answer)
    made = generator(model_name="openai/gpt-4")
    first = await made.create_batch_async(["Optics"], 2)
    second = await made.create_batch_async(["Optics"], 1)
    assert [row["question"] for row in (*first, *second)] == ["What is light?", "What is a lens?", "What is a prism?"]
    assert [row["gate"] for row in made.rejected] == ["duplicate"]


# -- answers about several topics -------------------------------------------------------------------------------------


async def test_an_entry_belongs_to_the_topic_that_it_names_and_only_what_lacks_is_asked_for_again(
    services: Services,
) -> None:
    def answer(call: Call) -> str:
        lines = call.prompt.splitlines()
        named = [line.removeprefix("Topic: ") for line in lines if line.startswith("Topic: ")]
        wanted = [(place, name) for place, name in enumerate(named, start=1) if len(named) == 1 or name != "Heat"]
        entries = [
            {"question": f"About {name}?", "answer": name, "number_of_topic": place} for place, name in reversed(wanted)
        ]
        return orjson.dumps({"entries": entries}).decode()

    server = services(answer)
    dataset = await generator(model_name="openai/gpt-4").create_data_async(3, 3, topics=["Optics", "Heat", "Sound"])
    assert {row["topic"]: row["answer"] for row in dataset} == {"Optics": "Optics", "Heat": "Heat", "Sound": "Sound"}
    assert len(server.calls) == 2
    assert server.calls[1].prompt.startswith("Write 1 ")


# -- prompts ----------------------------------------------------------------------------------------------------------


class Card(BaseModel):
    """A card to learn by."""

    front: str = Field(description="what is asked")
    back: str = Field(description="what is right")


def light(colour: str) -> float:
    """The wavelength of a colour."""
    return float(len(colour))


@pytest.mark.parametrize("kind", CONVERSATION_TYPES)
async def test_topic_instructions_and_system_prompt_reach_the_prompt_of_every_kind(
    services: Services, kind: str
) -> None:
    server = services()
    needed: dict[str, dict[str, Any]] = {
        "structured": {"output_model": Card},
        "tool_calling": {"tools": [light], "tool_results": "executed", "max_tool_steps": 2},
    }
    made = generator(
        model_name="openai/gpt-4",
        conversation_type=kind,
        example_data=[{"question": "Why is the sky blue?"}],
        **needed.get(kind, {}),
    )
    dataset = await made.create_data_async(2, 2, topics=[["Physics", "Optics"], ["Physics", "Heat"]])
    asked = server.calls[0].asked.messages[1]
    for words in (
        "Topic: Optics",
        "It is a part of: Physics",
        "Topic: Heat",
        "Create detailed explanations.",
        "sky blue",
    ):
        assert words in asked.content
    assert len(dataset) == 2
    topics = set()
    for call in server.calls:
        system, asked = call.asked.messages
        assert (system.role, system.content) == ("system", "You are an expert instructor.")
        assert "Create detailed explanations." in asked.content
        assert "It is a part of: Physics" in asked.content
        topics |= {name for name in ("Optics", "Heat") if f"Topic: {name}\n" in asked.content}
    assert topics == {"Optics", "Heat"}
    # Every call to the writer: one for both rows and, of tools, one after each round of calls.
    assert len(server.calls) == (5 if kind == "tool_calling" else 1)


@pytest.mark.parametrize(
    ("sys_msg", "roles"), [(True, ["system", "user", "assistant"]), (False, ["user", "assistant"])]
)
def test_rows_have_the_system_message_that_is_wanted(sys_msg: bool, roles: list[str]) -> None:
    made = generator(dataset_system_prompt="You help.")
    row = made.create_data(1, topics=TOPICS, sys_msg=sys_msg)[0]
    assert [message["role"] for message in row["messages"]] == roles
    assert row["messages"][0]["content"] == ("You help." if sys_msg else row["question"])


async def test_templates_are_filled_for_every_topic(services: Services) -> None:
    server = services()
    made = generator(model_name="openai/gpt-4", variables={"audience_level": "first graders"})
    made.set_template(
        "instruction",
        """
Create a clear explanation of {topic} suitable for {audience_level}.
Include practical examples and key concepts.
""",
    )
    made.set_template("conversation", "Generate a natural conversation about {topic} that demonstrates dialogue.")
    await made.create_data_async(1, topics=[["Physics", "Optics"]])
    assert "Create a clear explanation of Optics suitable for first graders." in server.calls[-1].prompt
    assert "natural conversation" not in server.calls[-1].prompt
    made.set_custom_template(
        "Create a {content_type} about {topic} ({context}), by {house}.\nTarget audience: {audience}\n"
        "Complexity level: {complexity}\nLike: {examples}",
        house="Rowsmith",
    )
    await made.create_data_async(1, topics=[["Physics", "Optics"]])
    assert (
        "Create a explanation about Optics (Physics), by Rowsmith.\nTarget audience: people" in server.calls[-1].prompt
    )


def test_templates_are_checked_when_they_are_set() -> None:
    made = generator()
    with pytest.raises(TemplateError, match=r"Did you mean \{audience_level\}"):
        made.set_template("instruction", "Explain {topic} to {audience_levl}.")
    with pytest.raises(TemplateError, match="house"):
        made.set_custom_template("Explain {topic} as {house} does.")
    with pytest.raises(ConfigError, match="'instruction'"):
        made.set_template("instructon", "Explain {topic}.")


async def test_what_stands_in_braces_in_a_topic_is_text(services: Services) -> None:
    server = services()
    await generator(model_name="openai/gpt-4").create_data_async(1, topics=["The {instructions} of {0}"])
    assert "Topic: The {instructions} of {0}" in server.calls[0].prompt


# -- filters ----------------------------------------------------------------------------------------------------------


def test_a_filter_that_rejects_a_third_costs_no_row_and_its_reasons_are_listed() -> None:
    seen: list[tuple[str, str, Mapping[str, Any]]] = []

    def quality_filter(content: str, topic: str, metadata: Mapping[str, Any]) -> tuple[bool, str]:
        seen.append((content, topic, metadata))
        if sum(content.encode()) % 3 == 0:
            return False, "Content adds up to nothing"
        return True, "Acceptable"

    made = generator()
    made.add_content_filter(quality_filter)
    dataset = made.create_data(120, 5, TOPICS)
    assert len(dataset) == 120
    assert Counter(row["topic"] for row in dataset) == dict.fromkeys(TOPICS, 24)
    assert 30 < len(made.rejected) < 100
    assert {(row["gate"], row["reason"]) for row in made.rejected} == {("quality_filter", "Content adds up to nothing")}
    content, topic, metadata = seen[0]
    assert content == f"{metadata['question']}\n\n{metadata['answer']}"
    assert metadata["topic"] == topic
    assert made.get_generation_stats().error_categories == {"quality_filter": len(made.rejected)}


def test_if_nothing_passes_the_checks_the_error_says_so() -> None:
    made = generator(max_rounds=1)
    made.add_content_filter(lambda content, topic, metadata: (False, "never good enough"))
    with pytest.raises(ValidationError, match="no example passed") as caught:
        made.create_data(2, topics=TOPICS)
    assert isinstance(caught.value, DataSetGeneratorError)
    assert caught.value.reasons == {"<lambda>": 4}
    assert len(made.rejected) == 4


# -- failures ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_an_error_of_the_model(services: Services) -> None:
    services(faults=WrongKey())
    with pytest.raises(ModelError) as caught:
        await generator(model_name="openai/gpt-4").create_data_async(topic_model=TOPICS, num_steps=100)
    assert isinstance(caught.value, DataSetGeneratorError)
    assert isinstance(caught.value, ProviderError)
    assert "a-key" not in str(caught.value)
    assert caught.value.status == 401


def test_no_model_is_said_before_anything_else() -> None:
    with pytest.raises(ConfigError, match="no model was named"):
        DataSetGenerator(instructions="x").create_data(topics=TOPICS)


async def test_a_run_in_a_file_goes_on_where_it_stopped(services: Services, tmp_path: Path) -> None:
    server = services(faults=lambda call: WrongKey() if call.number == 4 else None)
    made = generator(model_name="openai/gpt-4", max_concurrency=1)
    file = tmp_path / "kept.jsonl"
    with pytest.raises(ModelError):
        await made.create_data_async(12, 2, TOPICS, output_file=file)
    assert made.dataset is not None
    before = made.dataset.to_list()
    assert 0 < len(before) < 12
    dataset = await made.create_data_async(12, 2, TOPICS, output_file=file)
    assert len(dataset) == 12
    assert {row["id"] for row in before} <= {row["id"] for row in dataset}
    assert server.answered_again == 0
    with pytest.raises(DataSetGeneratorError, match="instructions"):
        await generator(model_name="openai/gpt-4", instructions="x").create_data_async(12, 2, TOPICS, output_file=file)


async def test_a_dataset_that_comes_out_short_says_what_lacks(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    services(faults=lambda call: BadRequest() if "Topic: Heat" in call.prompt else None)
    made = generator(model_name="openai/gpt-4")
    dataset = await made.create_data_async(4, 2, topics=["Optics", "Heat"])
    assert {row["topic"] for row in dataset} == {"Optics"}
    assert made.report is not None
    assert (made.report.rows, made.report.missing) == (2, 2)
    assert [lack.group["topics"] for lack in made.report.lacks] == ["Heat"]
    assert "2 of 4 examples were made" in caplog.text


async def test_a_filter_that_breaks_is_the_users_own_error_and_loses_no_answer(
    services: Services, tmp_path: Path
) -> None:
    server = services()
    made = generator(model_name="openai/gpt-4")
    made.add_content_filter(lambda content, topic, metadata: metadata["no such field"])
    with pytest.raises(KeyError, match="no such field"):
        await made.create_data_async(2, 2, TOPICS, output_file=tmp_path / "rows.jsonl")
    again = generator(model_name="openai/gpt-4")
    assert len(await again.create_data_async(2, 2, TOPICS, output_file=tmp_path / "rows.jsonl")) == 2
    assert server.count == 1


async def test_a_template_without_a_topic_gets_it_below(services: Services) -> None:
    server = services()
    made = generator(model_name="openai/gpt-4")
    made.set_custom_template("Explain something.")
    await made.create_data_async(1, topics=[["Physics", "Optics"]])
    assert "Explain something.\nTopic: Optics\nIt is a part of: Physics" in server.calls[0].prompt


async def test_an_answer_of_blanks_is_asked_for_again(services: Services) -> None:
    said = iter([" \n", "Light bends."])
    services(lambda _: orjson.dumps({"entries": [{"question": "Why?", "answer": next(said)}]}).decode())
    made = generator(model_name="openai/gpt-4")
    dataset = await made.create_data_async(1, topics=["Optics"])
    assert [row["answer"] for row in dataset] == ["Light bends."]
    assert [row["reason"] for row in made.rejected] == ["answer is empty"]


@pytest.mark.parametrize("strategy", ["sequential", "balanced"])
def test_the_rows_do_not_depend_on_how_many_calls_go_at_once(strategy: Any) -> None:
    one, many = (
        generator(max_concurrency=most).create_data(60, 4, two_branches(), sampling_strategy=strategy).to_list()
        for most in (1, 50)
    )
    assert one == many
