"""Graphs: links that hold, ways, parts, and what is kept of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.harness import QUICK, Model, Question
from rowsmith import ConfigError, Graph, MissingDependencyError, ServiceError, SourceError, Tree
from rowsmith.topics.events import TopicsLinked
from rowsmith.topics.links import Link

from .harness import ROOT, divided, lines

PATHS = [["r", "a", "a1"], ["r", "a", "a2"], ["r", "b", "b1"], ["r", "b", "b2"]]


def linked(*links: tuple[int, float]) -> str:
    return json.dumps({"links": [{"target": to, "relation": "near", "weight": weight} for to, weight in links]})


def graph(answer: Any, **changes: Any) -> Graph:
    """Two levels of three; `answer` says what is linked."""

    def said(question: Question) -> Any:
        return divided(question) if question.schema == "Subtopic_list" else answer(question)

    arguments: dict[str, Any] = {"degree": 3, "depth": 2, "llm": Model(said), **changes}
    return Graph(ROOT, **arguments)


def by_name(*links: tuple[str, str, float]) -> Graph:
    tree = Tree.from_list(PATHS)
    return Graph.from_topics(tree, [Link(tree.find(one), tree.find(two), "", weight) for one, two, weight in links])


def test_a_graph_is_a_tree_with_links_to_topics_that_are_there() -> None:
    told: list[Any] = []
    made = graph(lambda question: linked((1, 0.5), (2, 0.9)))
    made.build(options=QUICK, listeners=[told.append])
    assert len(made.topics) == 13
    assert made.links
    for link in made.links:
        assert link.source in made.topics
        assert link.target in made.topics
        assert link.target not in (link.source, link.source.parent, *made.get_children(link.source))
    assert len({frozenset((link.source, link.target)) for link in made.links}) == len(made.links)
    assert sum(event.links for event in told if isinstance(event, TopicsLinked)) >= len(made.links)
    assert made.complete


def test_links_that_do_not_hold_are_left_out_with_the_reason(tmp_path: Path) -> None:
    output = tmp_path / "g.jsonl"
    graph(lambda question: linked((1, 0.5), (1, 0.7), (24, 0.5), (2, 0.1), (3, 1)), output_file=output).build(
        options=QUICK
    )
    rows = lines(tmp_path / "g.links.jsonl")
    assert len(rows) == 12
    assert all(len(row["links"]) == 2 and len(row["refused"]) == 3 for row in rows)
    words = ("named twice", "no topic number 24", "one more than the 2")
    assert all(sum(word in reason for reason in rows[0]["refused"]) == 1 for word in words)
    assert Graph.load(output).links == graph(lambda _: "", output_file=output).build(options=QUICK).links


def test_an_answer_of_which_nothing_holds_is_asked_for_again_and_none_is_an_answer_too() -> None:
    def late(question: Question) -> str:
        return linked((1, 1.0)) if "no topic number" in question.prompt else linked((24, 1.0))

    assert graph(late).build(options=QUICK).links
    none = graph(lambda question: linked()).build(options=QUICK)
    assert none.links == ()
    assert none.complete


def test_links_that_fail_say_so_and_are_asked_for_again() -> None:
    down = True

    def failing(question: Question) -> str:
        if down:
            raise ServiceError("down", provider="memory", model="model", status=500)
        return linked((1, 0.5))

    made = graph(failing).build(options=QUICK)
    assert len(made.topics) == 13
    assert len(made.unlinked) == 12
    assert not made.complete
    down = False
    assert made.build_remaining(options=QUICK).complete
    assert made.unlinked == []
    assert made.links


def test_starting_again_calls_nobody(tmp_path: Path) -> None:
    output = tmp_path / "g.jsonl"
    first = graph(lambda question: linked((1, 0.5)), output_file=output).build(options=QUICK)
    again = graph(lambda question: pytest.fail("asked again"), output_file=output).build(options=QUICK)
    assert again.links == first.links
    assert again.report is not None
    assert again.report.calls == 0


def test_the_shortest_way_goes_over_links_and_a_weak_one_is_a_detour() -> None:
    made = by_name(("a1", "b1", 0.2))
    assert [topic.name for topic in made.shortest_path("a1", "b1")] == ["a1", "b1"]
    assert [topic.name for topic in made.shortest_path("a1", "b1", weighted=True)] == ["a1", "a", "r", "b", "b1"]
    assert made.shortest_path("b1", "b1") == [made.find("b1")]
    assert {topic.name for topic in made.neighbours("a1")} == {"a", "b1"}


def test_circles_of_links_end() -> None:
    made = by_name(("a1", "b1", 1.0), ("b1", "a2", 1.0), ("a2", "b2", 1.0), ("b2", "a1", 1.0))
    assert len(made.links) == 4
    assert len(made.shortest_path("a1", "a2")) == 3
    assert [len(part) for part in made.connected_components()] == [7]


def test_without_the_root_links_tell_which_branches_hang_together() -> None:
    assert [len(part) for part in by_name().connected_components(without_root=True)] == [3, 3]
    assert [len(part) for part in by_name(("a1", "b2", 0.5)).connected_components(without_root=True)] == [6]


def test_of_two_links_between_the_same_topics_the_closer_one_stays() -> None:
    made = by_name(("a1", "b1", 0.3), ("b1", "a1", 0.6))
    assert [(link.source.name, link.weight) for link in made.links] == [("b1", 0.6)]


@pytest.mark.parametrize(
    ("ends", "weight", "words"),
    [(("a1", "a1"), 1.0, "to itself"), (("a1", "a"), 1.0, "right above or below"), (("a1", "b1"), 0.0, "weight")],
)
def test_links_that_make_no_sense_are_refused(ends: tuple[str, str], weight: float, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        by_name((*ends, weight))


def test_a_graph_is_saved_and_loaded_also_when_it_was_changed_by_hand(tmp_path: Path) -> None:
    file = by_name(("a1", "b1", 0.3)).save(tmp_path / "g.json")
    assert Graph.load(file).links == by_name(("a1", "b1", 0.3)).links
    text = file.read_text().replace('"a1"', '"alpha"')
    file.write_text(text)
    changed = Graph.load(file)  # links know their nodes by the ids in the file
    assert [link.source.name for link in changed.links] == ["alpha"]
    document = json.loads(text)
    document["links"] = [{"source": ["r", "a", "alpha"], "target": ["r", "b"]}]
    file.write_text(json.dumps(document))
    assert Graph.load(file).links[0].weight == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, "format version 9"),
        ({"format": "else"}, "no graph"),
        ({"links": [{"source": "zz", "target": "zz"}]}, "'zz'"),
        ({"links": [{"source": ["r", "a"], "target": ["r", "c"]}]}, "no such topic"),
        ({"links": [{"source": ["r", "a"]}]}, "lacks 'target'"),
    ],
)
def test_a_document_that_does_not_hold_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    file = by_name().save(tmp_path / "g.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(SourceError, match=words):
        Graph.load(file)


def test_cutting_and_joining_keep_the_links_whose_ends_stay() -> None:
    made = by_name(("a1", "b1", 0.3), ("a2", "b2", 0.4))
    assert [link.weight for link in made.prune(without=["a1"]).links] == [0.4]
    both = made.merge(Tree.from_list([["s", "c"]]), topic_prompt="all")
    assert [link.source.path for link in both.links] == [("all", "r", "a", "a1"), ("all", "r", "a", "a2")]
    assert both.to_svg().count("stroke-dasharray") == 2
    assert "-.->" in both.to_mermaid()


def test_it_becomes_a_networkx_graph() -> None:
    networkx = pytest.importorskip("networkx")
    made = by_name(("a1", "b1", 0.3)).to_networkx()
    assert (made.number_of_nodes(), made.number_of_edges()) == (7, 7)
    assert networkx.is_weakly_connected(made)
    assert [data["weight"] for *_, data in made.edges(data=True) if data["kind"] == "link"] == [0.3]


def test_without_networkx_the_line_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[graph\]"):
        by_name().to_networkx()


def test_the_offline_provider_makes_a_whole_graph() -> None:
    made = Graph("Sailing", degree=4, depth=2, model_name="offline").build()
    assert len(made.topics) == 21
    assert made.links
    assert made.complete
