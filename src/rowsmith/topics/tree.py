"""Topic trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rowsmith.topics.collection import TopicCollection
from rowsmith.topics.model import TopicModel
from rowsmith.topics.readers import from_items, from_mapping, from_outline, lines, load_lines, text_of, write, yaml_of


class Tree(TopicModel):
    """A tree of topics: each but the root below exactly one. Its arguments are those of `TopicModel`."""

    @classmethod
    def of(cls, topics: TopicCollection) -> Self:
        """The tree of a graph's topics, without its links; or of another tree's."""
        return cls._of(topics._hierarchy)

    @classmethod
    def from_list(cls, topics: Iterable[Any], *, topic_prompt: str | None = None) -> Self:
        """A tree of topics that are given.

        Args:
            topics: names; or paths, as lists of names from the top down.
            topic_prompt: the root above them; not needed where all paths begin with the same.

        Raises:
            ConfigError: an item is neither, or there is no one root.
        """
        return cls._of(from_items(topics, topic_prompt))

    @classmethod
    def from_markdown(cls, outline: str | Path, *, topic_prompt: str | None = None) -> Self:
        """A tree of the headings and list items of a Markdown text.

        Args:
            outline: the text, or its file.
            topic_prompt: as for `from_list`.

        Raises:
            ConfigError: it cannot be read, has none of these, or there is no one root.
        """
        return cls._of(from_outline(text_of(outline), topic_prompt))

    @classmethod
    def from_yaml(
        cls, given: str | Path | Mapping[str, Any] | Sequence[Any], *, topic_prompt: str | None = None
    ) -> Self:
        """A tree of mappings and lists of names, one in the other.

        Args:
            given: what YAML would be read to, its text, or its file.
            topic_prompt: as for `from_list`.

        Raises:
            ConfigError: it cannot be read, has something else in it, or there is no one root.
        """
        return cls._of(from_mapping(yaml_of(given), topic_prompt))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A tree that was saved or built, also if it was changed by hand since: one JSON object with a `path` a line.

        Raises:
            ConfigError: the file cannot be read, or is newer than this Rowsmith.
        """
        return cls._of(load_lines(Path(path)))

    def save(self, path: str | Path) -> Path:
        """Write the tree as lines of paths; `load` reads them.

        Raises:
            ConfigError: there are no topics yet, or the file cannot be written.
        """
        self.get_root()
        write(Path(path), lines(self._hierarchy))
        return Path(path)
