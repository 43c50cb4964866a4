"""Topics that are there: read, looked at, drawn from, cut, joined, kept, drawn."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, SourceError, Tree
from rowsmith.engine.axes import Axis
from rowsmith.engine.plan import Plan, Rows
from rowsmith.topics.loading import load_topics, topic_model
from rowsmith.topics.topic import Topic

OUTLINE = """\
# Physics

Some words that are no topic.

## Optics
- Lenses
  - Telescopes
- Mirrors

## Sound

1. Echo

```
# no topic either
```
"""
NESTED = {"Physics": {"Optics": [{"Lenses": ["Telescopes"]}, "Mirrors"], "Sound": {"Echo": None}}}
PATHS = [
    ["Physics", "Optics", "Lenses", "Telescopes"],
    ["Physics", "Optics", "Mirrors"],
    ["Physics", "Sound", "Echo"],
]

names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5).filter(
    lambda name: name.strip("-*+•–—") != ""
)
trees = st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=20).map(
    lambda paths: Tree.from_list(paths, topic_prompt="the root")
)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Tree.from_list(PATHS),
        lambda: Tree.from_markdown(OUTLINE),
        lambda: Tree.from_yaml(NESTED),
        lambda: Tree.from_yaml("Physics:\n  Optics:\n    - Lenses: [Telescopes]\n    - Mirrors\n  Sound: [Echo]\n"),
        lambda: Tree.from_yaml(NESTED["Physics"], topic_prompt="Physics"),
        lambda: Tree.from_list([path[1:] for path in PATHS], topic_prompt="Physics"),
    ],
    ids=["list", "markdown", "mapping", "yaml", "mapping below a root", "list below a root"],
)
def test_the_same_tree_from_every_form(made: object) -> None:
    assert callable(made)
    tree = made()
    assert sorted(tree.get_all_paths()) == sorted(PATHS)
    assert tree.get_root() == Topic(("Physics",))
    assert {topic.name for topic in tree.get_topics_at_depth(1)} == {"Optics", "Sound"}
    assert [topic.name for topic in tree.get_children("Optics")] == ["Lenses", "Mirrors"]
    assert tree.depth == 3


@given(trees)
def test_what_is_saved_is_loaded_again(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> None:
    file = tmp_path_factory.mktemp("tree") / "t.jsonl"
    loaded = Tree.load(tree.save(file))
    assert loaded.get_all_paths() == tree.get_all_paths()
    assert set(loaded.topics) == set(tree.topics)


@given(trees, st.integers(0, 100))
def test_the_spread_is_a_permutation_whose_prefixes_are_even_over_the_branches(tree: Tree, seed: int) -> None:
    order = tree.spread(seed)
    assert sorted(order) == list(range(len(tree)))
    sizes = Counter(topic.path[1] for topic in tree)
    drawn: Counter[str] = Counter()
    for place in order:
        drawn[tree[place].path[1]] += 1
        counts = [drawn[branch] for branch in sizes if drawn[branch] < sizes[branch]]
        assert max(drawn.values()) - min(counts, default=max(drawn.values())) <= 1


def test_lines_changed_by_hand_keep_the_ids_of_what_stays(tmp_path: Path) -> None:
    file = Tree.from_list(PATHS).save(tmp_path / "t.jsonl")
    before = {topic.trail: topic.id for topic in Tree.load(file).topics}
    text = file.read_text().replace("Mirrors", "Prisms")
    file.write_text('{"path": ["Physics", "Heat"]}\n["Physics", "Light"]\n\n' + text)
    after = {topic.trail: topic.id for topic in Tree.load(file).topics}
    assert all(before[trail] == after[trail] for trail in before.keys() & after.keys())
    assert after.keys() - before.keys() == {"Physics → Heat", "Physics → Light", "Physics → Optics → Prisms"}
    assert len(set(after.values())) == len(after)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not json", "line 1 is not JSON"),
        ('{"topic": "x"}', 'has no "path"'),
        ('{"path": []}', "from the root down"),
        ('{"path": ["a", " "]}', "empty topic"),
        ('{"version": 2, "path": ["a", "b"]}', "format version 2"),
        ('{"path": ["a", "b"]}\n{"path": ["c", "d"]}', "all begin with the one root"),
        ("", "no topics"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "t.jsonl").write_text(line)
    with pytest.raises(SourceError, match=re.escape(words)):
        Tree.load(tmp_path / "t.jsonl")


def test_several_topics_at_the_top_need_a_root() -> None:
    with pytest.raises(ConfigError, match="topic_prompt="):
        Tree.from_list(["a", "b"])
    with pytest.raises(SourceError, match="no file"):
        Tree.from_markdown("absent.md")
    with pytest.raises(ConfigError, match="names, lists and mappings"):
        Tree.from_yaml({"a": True})


def test_samples_repeat_by_seed_and_otherwise_go_on_where_they_stopped() -> None:
    tree = Tree.from_list([["r", branch, leaf] for branch in "abc" for leaf in "123"])
    assert tree.sample_topics(4, seed=1) == tree.sample_topics(4, seed=1)
    assert len({tuple(tree.sample_topics(9, seed=seed)) for seed in range(9)}) > 1
    drawn = [topic for _ in range(6) for topic in tree.sample_topics(3)]
    assert set(drawn[:9]) == set(drawn[9:]) == set(tree)
    assert all(len({topic.path[1] for topic in drawn[at : at + 3]}) == 3 for at in range(0, 9, 3))
    assert Counter(tree.sample_topics(20, seed=3)).most_common()[-1][1] == 2
    with pytest.raises(ConfigError, match="no topics"):
        Tree("x").sample_topics(1)


def test_topics_are_the_values_of_an_axis_with_identities_that_outlive_their_places() -> None:
    tree = Tree.from_list(PATHS)
    grown = tree.merge(Tree.from_list([["Physics", "Atoms"]]))
    axis, longer = Axis("topic", tree), Axis("topic", grown)
    known = {axis.identity(at) for at in range(len(axis))}
    assert known < {longer.identity(at) for at in range(len(longer))}
    assert known == {Axis("topic", list(tree)).identity(at) for at in range(len(tree))}
    plan = Plan([axis], Rows(per_cell=1))
    assert [plan.cell(at).values["topic"] for at in range(3)] == list(tree)


def test_pruning_leaves_the_object_as_it_is_and_says_when_nothing_would_be_left() -> None:
    tree = Tree.from_list(PATHS)
    assert len(tree.prune(depth=1)) == 2
    assert tree.prune(without=["Lenses"]).get_all_paths() == PATHS[1:]
    assert tree.prune(without="Physics → Optics").get_all_paths() == PATHS[2:]
    assert tree.prune(degree=1).get_all_paths() == PATHS[:1]
    assert tree.get_all_paths() == PATHS
    for wrong in ({"depth": 0}, {"without": ["Physics"]}):
        with pytest.raises(ConfigError, match="nothing would be left"):
            tree.prune(**wrong)
    with pytest.raises(ConfigError, match="Did you mean 'Mirrors'"):
        tree.prune(without=["Mirors"])


def test_merging_joins_what_has_the_same_path_or_puts_a_root_above() -> None:
    one, two = Tree.from_list(PATHS), Tree.from_list([["Physics", "Optics", "Prisms"], ["Physics", "Heat"]])
    assert len(one.merge(two)) == 5
    assert len(one.merge(one)) == len(one)
    other = Tree.from_list([["Chemistry", "Acids"]])
    with pytest.raises(ConfigError, match="one root"):
        one.merge(other)
    both = one.merge(other, topic_prompt="Science")
    assert [topic.name for topic in both.get_children("Science")] == ["Physics", "Chemistry"]


def test_a_name_that_stands_twice_is_meant_by_its_path_or_id() -> None:
    tree = Tree.from_list([["r", "a", "x"], ["r", "b", "x"]])
    with pytest.raises(ConfigError, match="2 topics are named 'x'"):
        tree.find("x")
    assert tree.find(["r", "b", "x"]) == tree.find(tree[1].id) == tree.find("r → b → x") == tree[1]


def test_a_picture_has_every_topic_once_or_says_how_many_it_lacks(tmp_path: Path) -> None:
    tree = Tree.from_list([["r & <b>", f"branch {one}", f"leaf {one}.{two}"] for one in range(20) for two in range(20)])
    svg = tree.visualize(tmp_path / "whole", limit=1000)
    assert svg == tmp_path / "whole.svg"
    texts = _texts(svg)
    assert len(texts) == len(tree.topics)
    assert {topic.name for topic in tree.topics} <= set(texts)
    small = _texts(tree.visualize(tmp_path / "small.svg", limit=50))
    assert len([text for text in small if not text.startswith("+")]) <= 50
    assert _drawn_and_counted(small) == 421
    assert _drawn_and_counted([line.lstrip("│├└─ ") for line in tree.to_text(limit=50).splitlines()]) == 421
    with pytest.raises(ConfigError, match=r"\.png"):
        tree.visualize("x.png")


@given(trees, st.integers(2, 12))
def test_whatever_the_limit_all_topics_are_drawn_or_counted(tree: Tree, limit: int) -> None:
    labels = re.findall(r'\["(.*)"\]$', tree.to_mermaid(limit=limit), re.MULTILINE)
    hidden = [int(count) for count in re.findall(r'\(\["\+ (\d+) more"\]\)', tree.to_mermaid(limit=limit))]
    assert len(labels) + sum(hidden) == len(tree.topics)
    ElementTree.fromstring(tree.to_svg(limit=limit))


def test_no_two_lines_of_a_picture_lie_on_each_other(tmp_path: Path) -> None:
    tree = Tree.from_list([["r", f"b{one}", f"l{one}.{two}", "x"] for one in range(9) for two in range(one)])
    for limit in (5, 17, 60):
        root = ElementTree.fromstring(tree.to_svg(limit=limit))
        places = [(text.get("x"), text.get("y")) for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert len(set(places)) == len(places)


def test_markdown_goes_out_and_comes_back() -> None:
    tree = Tree.from_yaml(NESTED)
    assert Tree.from_markdown(tree.to_markdown()).topics == tree.topics


def test_topics_are_read_by_the_ending_and_described_by_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "t.md").write_text(OUTLINE)
    (tmp_path / "t.txt").write_text("Optics\nSound\n")
    (tmp_path / "t.yaml").write_text(json.dumps(NESTED))
    assert load_topics("t.md").topics == load_topics("t.yaml").topics
    assert len(topic_model({"file": "t.txt", "topic_prompt": "Physics"})) == 2
    with pytest.raises(SourceError, match=r"\.pdf"):
        load_topics("t.pdf")
    described = topic_model({"kind": "graph", "topic_prompt": "Physics", "degree": 2, "llm": "offline"})
    assert repr(described) == "Graph('Physics', 0 topics, 0 paths)"
    for wrong, words in (
        ({"kind": "tre"}, "'tree'"),
        ({"kind": "tree"}, "topic_prompt"),
        ({"topic_prompt": "a", "b": 1}, "'b'"),
    ):
        with pytest.raises(ConfigError, match=words):
            topic_model(wrong)


def test_an_output_of_a_build_is_not_written_over(tmp_path: Path) -> None:
    made = Tree("x", degree=2, depth=1, llm="offline", output_file=tmp_path / "t.jsonl").build()
    with pytest.raises(SourceError, match="output of a build"):
        made.save(tmp_path / "t.jsonl")
    assert Tree.load(tmp_path / "t.jsonl").topics == made.topics


def _texts(svg: Path) -> list[str]:
    root = ElementTree.fromstring(svg.read_text())
    return [(text[0].tail if len(text) else text.text) or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


def _drawn_and_counted(labels: list[str]) -> int:
    return sum(int(label.split()[1]) if label.startswith("+ ") else 1 for label in labels)
