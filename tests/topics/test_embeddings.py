"""Trees whose topics are compared by vectors: none says what another says, whatever the concurrency and the kills."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.child import Job, Journal, Journaled, Kill, Nursery, armed
from engine.embedded import THRESHOLD, Vectors, cosine, key_of, meaning, weather
from engine.harness import QUICK, Model, Question
from rowsmith import ConfigChangedError, ConfigError, Graph, Tree
from rowsmith.llm import vectors
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion
from rowsmith.testing import Call, Reply, ScriptedServer

from .harness import build, lines, must_be_exact, subtopics, tree, wanted

pytest.importorskip("numpy")

DEGREE, DEPTH = 3, 3


def senses(question: Question) -> str:
    """Paraphrases of a few senses; later rounds have new ones."""
    drawn = random.Random(question.digest)
    if drawn.random() < 0.05:
        return "nothing that could be read"
    again = "exist already" in question.prompt or "were refused" in question.prompt
    size = 100_000 if again else 16
    return subtopics(*(f"sense{drawn.randrange(size)} w{drawn.randrange(10**9)}" for _ in range(wanted(question))))


def grown(folder: Path, in_flight: int = 8, **changes: Any) -> Tree:
    arguments: dict[str, Any] = {
        "model": Model(senses, seconds=weather(in_flight)),
        "embeddings": Vectors(seconds=weather(in_flight + 1)),
        "near_duplicates": THRESHOLD,
        "degree": DEGREE,
        "depth": DEPTH,
        "max_rounds": 12,
        "output_file": folder / "topics.jsonl",
    }
    folder.mkdir(exist_ok=True)
    return build(tree(**{**arguments, **changes}), max_concurrency=in_flight)


def must_be_apart(made: Tree | Graph) -> None:
    known = [vectors.rounded(meaning(topic.name)) for topic in made.topics[1:]]
    for number, one in enumerate(known):
        assert all(cosine(one, other) < THRESHOLD for other in known[:number])


def test_no_two_topics_say_the_same_and_none_lacks(tmp_path: Path) -> None:
    made = grown(tmp_path)
    must_be_exact(made, DEGREE, DEPTH)
    must_be_apart(made)
    refused = (tmp_path / "topics.run" / "rejected.jsonl").read_text()
    assert "a text that says nearly the same exists already" in refused
    assert '"gate":"duplicate","reason":"a text that says nearly the same' in refused, "an earlier stage's is met too"


def test_the_model_is_told_what_was_refused_and_why(tmp_path: Path) -> None:
    model = Model(senses)
    grown(tmp_path, 1, model=model)
    told = [prompt for prompt in model.prompts if "says nearly the same exists already" in prompt]
    assert told
    assert all(re.search(r"sense\d+ w\d+", prompt) for prompt in told)


def test_the_same_tree_at_any_concurrency(tmp_path: Path) -> None:
    first = grown(tmp_path / "1", 1)
    files = [(tmp_path / "1" / name).read_bytes() for name in ("topics.jsonl", "topics.run/rejected.jsonl")]
    for in_flight in (8, 64):
        assert grown(tmp_path / str(in_flight), in_flight).topics == first.topics
        assert [
            (tmp_path / str(in_flight) / name).read_bytes() for name in ("topics.jsonl", "topics.run/rejected.jsonl")
        ] == files


def test_without_embeddings_the_same_answers_make_a_tree_that_repeats_itself(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        must_be_apart(grown(tmp_path, embeddings=None, near_duplicates=None))


def test_a_tree_that_grows_keeps_its_topics_and_compares_with_them(tmp_path: Path) -> None:
    model, embeddings = Model(senses), Vectors()
    small = grown(tmp_path, model=model, embeddings=embeddings, depth=2)
    large = grown(tmp_path, model=model, embeddings=embeddings)
    assert set(small.topics) <= set(large.topics)
    must_be_exact(large, DEGREE, DEPTH)
    must_be_apart(large)
    wide = grown(tmp_path, model=model, embeddings=embeddings, degree=4)
    assert set(large.topics) <= set(wide.topics)
    must_be_exact(wide, 4, DEPTH)
    must_be_apart(wide)
    assert embeddings.repeated == model.repeated == 0


def test_another_embedding_model_makes_another_tree(tmp_path: Path) -> None:
    grown(tmp_path)
    with pytest.raises(ConfigChangedError, match="embeddings"):
        grown(tmp_path, embeddings=Vectors(model_id="other"))


def test_the_topics_of_a_graph_are_compared_too(tmp_path: Path) -> None:
    made = Graph(
        "Bees",
        degree=3,
        depth=2,
        llm=Model(graph_answers),
        near_duplicates=THRESHOLD,
        embeddings=Vectors(),
        max_rounds=12,
    )
    made.build(options=QUICK)
    assert len(made.topics) == 13
    must_be_apart(made)


def graph_answers(question: Question) -> str:
    return senses(question) if "subtopics of: " in question.prompt else '{"links": []}'


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"embeddings": "offline"}, "set near_duplicates too"),
        ({"embeddings": "offline", "near_duplicates": 0.1}, "0.3"),
        ({"near_duplicates": 0.4}, "0.5"),
        ({"embeddings": "ollma/nomic", "near_duplicates": 0.9}, "Did you mean 'ollama'"),
        ({"embedding": "offline", "near_duplicates": 0.9}, "Did you mean 'embeddings'"),
    ],
)
def test_a_setting_that_is_wrong_is_told_at_once(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Tree("Tea", model_name="offline", **arguments)


def test_over_http_with_the_model_that_divides_and_the_one_that_compares(tmp_path: Path) -> None:
    def answer(call: Call) -> str | Reply:
        drawn = random.Random(call.key)
        found = re.search(r"Write (\d+) subtopics of: ", call.prompt)
        assert found
        size = 100_000 if "exist already" in call.prompt or "were refused" in call.prompt else 16
        return subtopics(*(f"sense{drawn.randrange(size)} w{drawn.randrange(10**9)}" for _ in range(int(found[1]))))

    with ScriptedServer(answer, embed=meaning) as server:
        there = {"api_base": server.base_url, "api_key": "any-key-will-do"}
        made = grown(
            tmp_path,
            model={"model": "openai/gpt-5-mini", **there},
            embeddings={"model": "openai/text-embedding-3-small", **there},
        )
        must_be_exact(made, DEGREE, DEPTH)
        must_be_apart(made)
        assert server.answered_again == 0
        paths = {call.path for call in server.calls}
    assert paths == {"/v1/chat/completions", "/v1/embeddings"}
    assert made.report is not None
    assert made.report.spend["openai/text-embedding-3-small", "embedding"].cost > 0 or made.report.total.unpriced


# --- kills ------------------------------------------------------------------------------------------------------------


class JournaledVectors(Vectors):
    """Writes down what it is asked and answers."""

    journal: Journal

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        completion = await super().complete(body, transport)
        self.journal.add("answered", key_of(body))
        return completion


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def carry_out(job: Job) -> None:
    """Build the tree, or a part of it."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    embeddings = JournaledVectors(seconds=weather(job.seed + 1))
    embeddings.journal = journal
    made = tree(
        model=Journaled(senses, seconds=weather(job.seed), journal=journal),
        embeddings=embeddings,
        near_duplicates=THRESHOLD,
        degree=DEGREE,
        depth=DEPTH,
        max_rounds=12,
        output_file=job.folder / "topics.jsonl",
    )
    made.build(options=QUICK, max_concurrency=8, listeners=[listener])  # type: ignore[list-item]  # it looks at names
    must_be_exact(made, DEGREE, DEPTH)


KILLS = [
    Kill("CallMade", 1),
    Kill("CallMade", 2),
    Kill("LevelStarted", 2),
    Kill("CallMade", 9),
    Kill("RowAccepted", 8),
    Kill("LevelStarted", 3),
    Kill("CallMade", 21),
    Kill("TopicDivided", 6),
    Kill("RunFinished", 3),
]


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_a_kill_changes_no_topic_and_asks_nothing_else(kill: Kill, tmp_path: Path, nursery: Nursery) -> None:
    unkilled = tmp_path / "unkilled"
    unkilled.mkdir()
    assert nursery.finish(Job(unkilled, work=carry_out)) == 0
    killed = tmp_path / "killed"
    killed.mkdir()
    assert nursery.finish(Job(killed, kill, seed=1, work=carry_out)) == -9
    assert nursery.finish(Job(killed, seed=2, work=carry_out)) == 0
    assert (killed / "topics.jsonl").read_bytes() == (unkilled / "topics.jsonl").read_bytes()
    assert all(age < 0.3 for age in Journal(killed).bought_again())
    assert lines(killed / "topics.jsonl")
