"""Topics from a file, whatever its form; and from the description of a build, as YAML has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rowsmith.errors import ConfigError, SourceError, did_you_mean
from rowsmith.topics.graph import Graph, links_beside
from rowsmith.topics.model import TopicModel
from rowsmith.topics.readers import text_of
from rowsmith.topics.tree import Tree

KINDS: Mapping[str, type[TopicModel]] = {"tree": Tree, "graph": Graph}


def load_topics(path: str | Path, *, topic_prompt: str | None = None) -> TopicModel:
    """Topics from a file, by its ending.

    Args:
        path: `.jsonl` lines of paths, `.json` a graph, `.md` an outline, `.yaml` mappings and lists, `.txt` one topic a
            line.
        topic_prompt: the root above those of an outline, of YAML and of lines, where they have no one root.

    Raises:
        ConfigError: it cannot be read, or has another ending.
    """
    file = Path(path)
    forms: Mapping[str, Callable[[], TopicModel]] = {
        ".jsonl": lambda: Graph.load(file) if links_beside(file).exists() else Tree.load(file),
        ".json": lambda: Graph.load(file),
        ".md": lambda: Tree.from_markdown(file, topic_prompt=topic_prompt),
        ".yaml": lambda: Tree.from_yaml(file, topic_prompt=topic_prompt),
        ".yml": lambda: Tree.from_yaml(file, topic_prompt=topic_prompt),
        ".txt": lambda: Tree.from_list(
            filter(None, map(str.strip, text_of(file).splitlines())), topic_prompt=topic_prompt
        ),
    }
    if file.suffix not in forms:
        raise SourceError(f"topics are read from {', '.join(forms)}; {file.name!r} is none of them")
    return forms[file.suffix]()


def topic_model(description: Mapping[str, Any], where: str = "topics") -> TopicModel:
    """The tree or graph that a mapping describes.

    Args:
        description: `kind` (`tree` if not given, or `graph`) with its arguments; or `file`, and `topic_prompt` as
            `load_topics` takes it.
        where: what messages call the mapping.

    Raises:
        ConfigError: it says something that there is not.
    """
    if not isinstance(description, Mapping):
        raise ConfigError(f"{where}: topics are described by a mapping, beginning with `topic_prompt:`")
    fields = dict(description)
    if "file" in fields:
        if unknown := sorted(fields.keys() - {"file", "topic_prompt"}):
            raise ConfigError(f"{where}: topics of a file are not built; leave out {', '.join(map(repr, unknown))}")
        return load_topics(fields["file"], topic_prompt=fields.get("topic_prompt"))
    kind = fields.pop("kind", "tree")
    if kind not in KINDS:
        raise ConfigError(f"{where}: there is no kind {kind!r}. {did_you_mean(str(kind), KINDS)}")
    if not fields.get("topic_prompt"):
        raise ConfigError(f"{where}: `topic_prompt:` is missing. It names what all topics are about")
    try:
        return KINDS[kind](**fields)
    except TypeError as exc:
        raise ConfigError(f"{where}: {exc}") from None
