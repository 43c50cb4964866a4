"""Trees that models write: exact, distinct, honest about what failed."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from engine.harness import QUICK, Model, Question
from rowsmith import (
    AuthenticationError,
    ConfigChangedError,
    ConfigError,
    ConnectionFailedError,
    RunError,
    ServiceError,
    Tree,
)
from rowsmith.engine.events import CallMade
from rowsmith.testing import ScriptedServer
from rowsmith.topics.events import BuildFinished, LevelStarted, TopicDivided, TopicFailed

from .harness import ROOT, asked_about, build, crowded, divided, lines, must_be_exact, subtopics, tree, wanted


def test_a_tree_has_its_degree_on_every_level_for_one_call_a_topic() -> None:
    model = Model(divided)
    made = build(tree(model=model))
    must_be_exact(made, 3, 3)
    assert model.answered == 1 + 3 + 9
    assert len(made) == 27


def test_system_prompt_root_and_path_reach_every_call() -> None:
    model = Model(divided)
    build(tree(model=model, depth=2, topic_system_prompt="You keep bees."))
    assert {question.system for question in model.asked} == {"You keep bees."}
    assert all(ROOT in question.prompt for question in model.asked)
    below = [question for question in model.asked if asked_about(question) != ROOT]
    assert all(f"{ROOT} → {asked_about(question)}" in question.prompt for question in below)


def test_topics_beside_are_shown_siblings_and_cousins() -> None:
    model = Model(divided)
    made = build(tree(model=model))
    first, second = made.get_topics_at_depth(2)[:2]
    cousin = made.get_topics_at_depth(2)[3]
    prompt = next(question.prompt for question in model.asked if asked_about(question) == first.name)
    assert f"- {second.name}\n" in prompt
    assert f"- {cousin.name}\n" in prompt
    assert f"- {first.name}\n" not in prompt


def test_what_lacks_and_what_exists_already_is_asked_for_again() -> None:
    model = Model(crowded)
    must_be_exact(build(tree(model=model, degree=5, max_rounds=12)), 5, 3)
    assert any("These exist already" in question.prompt for question in model.asked)


def test_a_topic_is_no_part_of_itself() -> None:
    def circle(question: Question) -> str:
        again = "were refused" in question.prompt
        return divided(question) if again else subtopics(f"{ROOT}.", asked_about(question).upper(), "a", "b", "c")

    made = build(tree(circle, depth=1))
    assert len(made) == 3
    assert ROOT.casefold() not in {topic.name.casefold().rstrip(".") for topic in made}


def test_nearly_the_same_topic_is_refused_in_whatever_level_it_stands() -> None:
    def alike(question: Question) -> str:
        if asked_about(question) == ROOT:
            return subtopics("the cost of feeding bees through a long winter", "queens")
        if "exist already" in question.prompt or "were refused" in question.prompt:
            return divided(question)
        return subtopics("the cost of feeding bees through a very long winter", f"own {asked_about(question)}")

    made = build(tree(alike, degree=2, depth=2, near_duplicates=0.6))
    assert made.complete
    assert not [topic for topic in made.topics if "very long" in topic.name]
    assert [topic for topic in build(tree(alike, degree=2, depth=2)).topics if "very long" in topic.name]


@pytest.mark.parametrize("concurrency", [2, 64])
def test_the_tree_is_the_same_at_any_concurrency(tmp_path: Path, concurrency: int) -> None:
    def paced(name: str, seconds: Any, most: int) -> bytes:
        output = tmp_path / name
        model = Model(crowded, seconds=seconds)
        build(tree(model=model, degree=4, max_rounds=12, output_file=output), max_concurrency=most)
        return output.read_bytes()

    one_by_one = paced("a.jsonl", lambda question: 0.0, 1)
    assert paced("b.jsonl", lambda question: question.digest % 7 / 2000, concurrency) == one_by_one


def test_a_topic_that_fails_says_so_and_nothing_stands_in_for_it() -> None:
    down = True

    def half(question: Question) -> str:
        if down and asked_about(question) != ROOT and asked_about(question).startswith("part 1"):
            raise ServiceError("down", provider="memory", model="model", status=500)
        return divided(question)

    made = tree(half)
    told: list[Any] = []
    build(made, listeners=[told.append])
    failed = {failure.topic for failure in made.failures}
    assert not made.complete
    assert failed == {topic for topic in made.topics if topic.depth < 3 and topic.name.startswith("part 1")}
    assert all(failure.lacking == 3 and "down" in str(failure) for failure in made.failures)
    assert failed == {event.topic for event in told if isinstance(event, TopicFailed)}
    assert all(topic.depth == 3 for topic in made)  # a topic whose subtopics failed is no leaf

    before = set(made.topics)
    down = False
    made.build_remaining(options=QUICK)
    must_be_exact(made, 3, 3)
    assert before <= set(made.topics)
    assert made.failures == []


def test_with_half_of_all_calls_failing_the_tree_is_exact_in_the_end() -> None:
    model = Model(lambda question: divided(question))
    answers = model.answer

    def failing(question: Question) -> Any:
        if (question.number + question.digest) % 2:
            raise ServiceError("down", provider="memory", model="model", status=500)
        return answers(question)

    model.answer = failing
    made = tree(model=model, degree=4)
    options = QUICK.but(policy=type(QUICK.policy)(max_retries=0, first=0.001, longest=0.01))
    for _ in range(40):
        try:
            made.build_remaining(options=options)
        except ServiceError:
            assert made.topics == []
        assert all("part" in topic.name for topic in made.topics if topic.depth)
        if made.complete:
            break
    must_be_exact(made, 4, 3)
    assert model.answered == 1 + 4 + 16


def test_rounds_that_are_used_up_are_given_anew_by_build_remaining_alone() -> None:
    dry = True

    def stingy(question: Question) -> str:
        return subtopics("only this") if dry else divided(question)

    model = Model(stingy)
    made = build(tree(model=model, depth=1, max_rounds=1))
    assert [(failure.lacking, failure.topic.name) for failure in made.failures] == [(2, ROOT)]
    dry, calls = False, model.answered
    assert build(made).failures
    assert model.answered == calls
    made.build_remaining(options=QUICK)
    must_be_exact(made, 3, 1)
    assert made[0].name == "only this"


def test_what_an_earlier_stage_made_is_not_taken_away_by_a_topic_that_is_built_later() -> None:
    """The failed topic stands before the others on the plan's line, and writes what they have."""
    down = True

    def late(question: Question) -> str:
        if asked_about(question) == ROOT:
            return subtopics("first", "second")
        if asked_about(question) == "first":
            if down:
                raise ServiceError("down", provider="memory", model="model", status=500)
            return divided(question) if "refused" in question.prompt else subtopics("shared", "leaf of second")
        return subtopics("shared", "own") if asked_about(question) == "second" else divided(question)

    made = build(tree(late, degree=2))
    kept = set(made.topics)
    assert "shared" in {topic.name for topic in kept}
    down = False
    made.build_remaining(options=QUICK)
    assert kept <= set(made.topics)
    must_be_exact(made, 2, 3)


@pytest.mark.parametrize("stops", [True, False])
def test_a_topic_that_is_built_later_changes_no_question_asked_before(tmp_path: Path, stops: bool) -> None:
    """What stands beside a topic grows while its own subtopics are half there: they are not asked for anew."""
    down, dead = True, True

    def late(question: Question) -> str:
        about, more = asked_about(question), "exist already" in question.prompt
        if about == ROOT:
            return subtopics("early", "other")
        if about == "early":
            if more and down:
                raise ServiceError("down", provider="memory", model="model", status=500)
            return subtopics("third") if more else subtopics("half")
        if about == "half":
            if more and dead:
                raise AuthenticationError("no", provider="memory") if stops else ServiceError("no", provider="memory")
            return divided(question) if more else subtopics("quarter")
        return divided(question)

    def mended(event: Any) -> None:
        nonlocal down
        down = down and not (isinstance(event, LevelStarted) and event.depth == 3)

    def seconds(question: Question) -> float:
        return 0.2 if asked_about(question) == "half" and "exist already" in question.prompt and dead else 0.0

    model = Model(late, seconds=seconds)
    arguments: dict[str, Any] = {"model": model, "degree": 2, "output_file": tmp_path / "t.jsonl"}
    with pytest.raises(AuthenticationError) if stops else nullcontext():
        build(tree(**arguments), listeners=[mended])
    dead = False
    made = build(tree(**arguments))
    must_be_exact(made, 2, 3)
    assert [topic.name for topic in made.get_children("early")] == ["half", "third"]
    first = [question for question in model.asked if asked_about(question) == "half" and "exist" not in question.prompt]
    assert len(first) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AuthenticationError("wrong key", provider="memory"), AuthenticationError),
        (ConnectionFailedError("nobody is there", provider="memory"), ConnectionFailedError),
    ],
)
def test_a_dead_model_is_an_error_and_no_topic(error: Exception, kind: type[Exception]) -> None:
    def dead(question: Question) -> str:
        raise error

    made = tree(dead)
    with pytest.raises(kind, match=r"wrong key|nobody"):
        build(made)
    assert made.topics == []
    assert len(made) == 0
    assert not made.complete


def test_a_model_that_says_nothing_usable_is_an_error_too() -> None:
    made = tree(lambda question: "I would rather not.", max_rounds=1)
    with pytest.raises(RunError, match="no topic came"):
        build(made)
    assert made.get_all_paths() == []


def test_a_server_that_is_not_there_is_an_error_and_no_topic() -> None:
    made = Tree(ROOT, model_name="x", provider="vllm", degree=2, depth=2)
    made._llm = {"model": "vllm/x", "api_base": "http://127.0.0.1:9/v1"}
    with pytest.raises(ConnectionFailedError):
        build(made)
    assert made.topics == []


def test_over_http_every_entry_comes_from_an_answer(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        llm = {"model": "openai_compatible/any", "api_key": "k", "api_base": server.base_url}
        made = build(Tree(ROOT, llm=llm, degree=3, depth=2, output_file=tmp_path / "t.jsonl"))
        must_be_exact(made, 3, 2)
        assert server.answered >= 4


def test_it_works_inside_a_running_loop_and_as_a_stream_of_events() -> None:
    async def notebook() -> list[Any]:
        made = tree(depth=2)
        build(made)
        must_be_exact(made, 3, 2)
        return [event async for event in tree(depth=2).build_events(options=QUICK)]

    told = asyncio.run(notebook())
    assert [event.depth for event in told if isinstance(event, LevelStarted)] == [1, 2]
    assert sum(len(event.subtopics) for event in told if isinstance(event, TopicDivided)) == 12
    assert isinstance(told[-1], BuildFinished)
    assert told[-1].report.calls == 4


def test_leaving_the_stream_early_stops_the_build(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"

    async def leave() -> None:
        events = tree(output_file=output).build_events(options=QUICK)
        async for event in events:
            if isinstance(event, TopicDivided):
                break
        await events.aclose()

    asyncio.run(leave())
    model = Model(divided)
    must_be_exact(build(tree(model=model, output_file=output)), 3, 3)
    assert model.answered < 13


def test_a_tree_grows_by_levels_and_by_degree_and_keeps_what_it_has(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"
    small = build(tree(degree=2, depth=2, output_file=output))
    model = Model(divided)
    deeper = build(tree(model=model, degree=2, depth=3, output_file=output))
    must_be_exact(deeper, 2, 3)
    assert model.answered == 4
    wider = build(tree(degree=3, depth=3, output_file=output))
    must_be_exact(wider, 3, 3)
    assert set(small.topics) <= set(deeper.topics) <= set(wider.topics)
    others: list[dict[str, Any]] = [{"degree": 2}, {"depth": 2}, {"topic_system_prompt": "Another."}]
    for other in others:
        with pytest.raises(ConfigChangedError):
            build(tree(**{"degree": 3, "depth": 3, "output_file": output, **other}))


def test_starting_again_calls_nobody_and_fresh_starts_anew(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"
    before = build(tree(output_file=output)).topics
    model = Model(divided)
    assert build(tree(model=model, output_file=output)).topics == before
    assert model.answered == 0
    assert build(tree(model=model, output_file=output), fresh=True).topics == before
    assert model.answered == 13


def test_a_budget_stops_the_build_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"
    model = Model(divided)
    made = build(tree(model=model, output_file=output), max_requests=6)
    assert model.answered <= 6
    assert made.report is not None
    assert made.report.ended == "stopped"
    must_be_exact(build(tree(model=model, output_file=output)), 3, 3)
    assert model.answered == 13


def test_the_rows_are_paths_in_order_with_their_origin(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"
    told: list[Any] = []
    made = build(tree(output_file=output, depth=2), listeners=[told.append])
    rows = lines(output)
    assert [row["path"] for row in rows] == [list(topic.path) for topic in made.topics[1:]]
    assert [row["id"] for row in rows] == [topic.id for topic in made.topics[1:]]
    assert {(row["depth"], row["leaf"]) for row in rows} == {(1, False), (2, True)}
    assert all(row["model_id"] == "model" and row["metadata"]["calls"] for row in rows)
    assert sum(isinstance(event, CallMade) for event in told) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"topic_prompt": " "}, "topic_prompt"),
        ({"topic_prompt": "x", "degree": 0}, "degree"),
        ({"topic_prompt": "x", "depht": 2}, "Did you mean 'depth'"),
        ({"topic_prompt": "x", "model_name": "a/b", "llm": "c/d"}, "named twice"),
        ({"topic_prompt": "x", "provider": "openai", "llm": "c/d"}, "named twice, by provider='openai' and llm='c/d'"),
        ({"topic_prompt": "x", "provider": "openai", "model_name": {"model": "x"}}, "provider goes with"),
        ({"topic_prompt": "x", "model_name": "openai/gpt-4", "temperature": 3}, "between 0 and 2, got 3"),
        ({"topic_prompt": "x", "llm": {"model": "openai/gpt-4"}, "temperature": 1}, "temperature=1 goes with the name"),
        ({"topic_prompt": "x", "model_name": "opnai/gpt-4"}, "Did you mean 'openai'"),
    ],
)
def test_wrong_arguments_are_said_before_anything_is_paid_for(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Tree(**arguments)


def test_a_tree_needs_a_model_only_when_it_is_built() -> None:
    with pytest.raises(ConfigError, match="no model was named"):
        Tree("x").build()
    with pytest.raises(ConfigError, match="nothing to build"):
        Tree.from_list(["a"], topic_prompt="x").build()
    with pytest.raises(ConfigError, match="max_concurrency"):
        tree().build(max_concurency=3)


def test_the_offline_provider_writes_many_distinct_topics() -> None:
    made = Tree("Sailing", degree=8, depth=3, model_name="offline", temperature=0.7).build()
    must_be_exact(made, 8, 3)
    assert made.report is not None
    assert made.report.calls < 1.2 * (1 + 8 + 64)


def test_wanted_is_read_from_the_prompt() -> None:
    model = Model(divided)
    build(tree(model=model, degree=2, depth=1))
    assert wanted(model.asked[0]) == 2
