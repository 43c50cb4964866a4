"""What the tests of topics share: models in this process that divide topics, and trees of theirs."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.harness import QUICK, Model, Question
from rowsmith import Tree

ROOT = "Bee keeping in cold climates"


def subtopics(*names: str) -> str:
    """An answer with these."""
    return json.dumps({"entries": [{"subtopic": name} for name in names]})


def divided(question: Question) -> str:
    """Subtopics that nobody else has, always the same for the same question."""
    return subtopics(*(f"part {number} of {question.digest:x}" for number in range(wanted(question))))


def wanted(question: Question) -> int:
    """How many subtopics a prompt asks for."""
    found = re.search(r"Write (\d+) subtopics of: ", question.prompt)
    assert found, question.prompt
    return int(found[1])


def asked_about(question: Question) -> str:
    """The topic that a prompt asks to divide."""
    return question.prompt.rpartition(" subtopics of: ")[2].splitlines()[0]


def crowded(question: Question) -> str:
    """Words of a small world: many topics come twice, some answers are nothing; later rounds have new ones."""
    drawn = random.Random(question.digest)
    if drawn.random() < 0.1:
        return "nothing that could be read"
    again = "exist already" in question.prompt or "were refused" in question.prompt
    size = 100_000 if again else 40
    return subtopics(*(f"word {drawn.randrange(size)}" for _ in range(wanted(question))))


def tree(answer: Callable[[Question], Any] = divided, **changes: Any) -> Tree:
    """A tree of three levels of three, unless it is changed."""
    model = changes.pop("model", None) or Model(answer)
    arguments: dict[str, Any] = {"degree": 3, "depth": 3, "llm": model, **changes}
    return Tree(ROOT, **arguments)


def build(made: Tree, **how: Any) -> Tree:
    """Built without a wait for any back-off."""
    arguments: dict[str, Any] = {"options": QUICK, **how}
    return made.build(**arguments)


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def must_be_exact(made: Tree, degree: int, depth: int) -> None:
    """Every topic above the last level has its subtopics, and none has a name that another has."""
    topics = made.topics
    assert len(topics) == sum(degree**level for level in range(depth + 1))
    assert all(len(made.get_children(topic)) == degree for topic in topics if topic.depth < depth)
    assert len({topic.name for topic in topics}) == len(topics)
    assert made.complete
