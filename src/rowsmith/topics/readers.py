"""Topics that were written by hand or saved: lists, Markdown outlines, YAML mappings, lines of paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from rowsmith.engine.ledger import RunPaths
from rowsmith.errors import ConfigError, SourceError
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.topic import Topic, cleaned, topic_of

VERSION = 1
"""Of the files that topics are saved in; a newer one is refused."""
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"(\s*)(?:[-*+]|\d+[.)])\s+(.*)$")
Path_ = list[str]


def from_items(items: Iterable[Any], topic_prompt: str | None) -> Hierarchy:
    """Topics from a list of names, or of paths.

    Raises:
        ConfigError: an item is neither, or there is no one root.
    """
    if isinstance(items, str | Mapping):
        raise ConfigError(f"a list of topics is needed, such as ['Optics', 'Sound']; got {items!r:.80}")
    paths = []
    for item in items:
        if isinstance(item, Topic):
            paths.append([*item.path])
        elif isinstance(item, str):
            paths.append([item])
        else:
            paths.append([*topic_of(item).path])
    return rooted(paths, topic_prompt)


def from_outline(text: str, topic_prompt: str | None) -> Hierarchy:
    """Topics from Markdown: headings, and lists below them, each level one deeper. Other text is passed over.

    Raises:
        ConfigError: there is no heading and no item, or there is no one root.
    """
    paths: list[Path_] = []
    headings: list[tuple[int, str]] = []
    items: list[tuple[int, str]] = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced:
            continue
        if heading := _HEADING.match(line):
            level = len(heading[1])
            headings = [one for one in headings if one[0] < level] + [(level, heading[2])]
            items = []
        elif item := _ITEM.match(line):
            indent = len(item[1].expandtabs(4))
            items = [one for one in items if one[0] < indent] + [(indent, item[2])]
        else:
            continue
        paths.append([name for _, name in (*headings, *items)])
    return rooted(paths, topic_prompt)


def from_mapping(given: Any, topic_prompt: str | None) -> Hierarchy:
    """Topics from mappings and lists one in the other, as YAML has them.

    Raises:
        ConfigError: there is something else in it, or there is no one root.
    """
    return rooted(list(_paths_in(given, [])), topic_prompt)


def leaves_in(given: Any) -> list[Topic]:
    """The topics with nothing below them, of mappings and lists one in the other; they need no one root.

    Raises:
        ConfigError: there is something else in it.
    """
    topics = list(dict.fromkeys(topic_of(path) for path in _paths_in(given, [])))
    above = {topic.parent for topic in topics}
    return [topic for topic in topics if topic not in above]


def _paths_in(given: Any, above: Path_) -> Iterator[Path_]:
    if isinstance(given, Mapping):
        for name, below in given.items():
            yield [*above, str(name)]
            yield from _paths_in(below, [*above, str(name)])
    elif isinstance(given, Sequence) and not isinstance(given, str):
        for one in given:
            yield from _paths_in(one, above)
    elif isinstance(given, str | int | float) and not isinstance(given, bool):
        yield [*above, str(given)]
    elif given is not None:
        raise ConfigError(f"topics are names, lists and mappings of them; below {above or 'the root'} is {given!r:.80}")


def rooted(paths: Sequence[Path_], topic_prompt: str | None) -> Hierarchy:
    """Topics from paths, below a root that is given or that all of them begin with.

    Raises:
        ConfigError: there is none, or no path at all.
    """
    if not paths:
        raise ConfigError("there are no topics in what was given")
    topics = [topic_of(path) for path in paths]
    firsts = {topic.path[0] for topic in topics}
    if topic_prompt is not None:
        root = cleaned(topic_prompt)
        above = () if firsts == {root} else (root,)
    elif len(firsts) == 1:
        above = ()
    else:
        raise ConfigError(
            f"{len(firsts)} topics stand at the top, {', '.join(sorted(firsts)[:3])}, …: give the root above them, "
            "topic_prompt='…'"
        )
    return Hierarchy(Topic((*above, *topic.path)) for topic in topics)


def text_of(source: str | Path) -> str:
    """A text that was given, or that of the file which is named: a path is one line.

    Raises:
        SourceError: there is no such file, or it cannot be read.
    """
    if isinstance(source, str) and "\n" in source:
        return source
    path = Path(source)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"there is no file {str(source)!r}; a text itself has more than one line") from None
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise SourceError(f"{path} cannot be read: {reason}") from None


def yaml_of(source: str | Path | Mapping[str, Any] | Sequence[Any]) -> Any:
    """What YAML says, from a text or a file; anything else is returned as it is.

    Raises:
        SourceError: it cannot be read.
    """
    if not isinstance(source, str | Path):
        return source
    try:
        return yaml.safe_load(text_of(source))
    except yaml.YAMLError as exc:
        raise SourceError(f"this is not YAML: {exc}") from None


def load_lines(path: Path) -> Hierarchy:
    """The topics of a file of paths: as `lines` writes it, as a build does, or by hand.

    Raises:
        SourceError: a line is none, or the file is newer than this Rowsmith.
    """
    topics: list[Topic] = []
    unfinished: list[Topic] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as exc:
            raise SourceError(f"{where} is not JSON: {exc}") from None
        row = {"path": row} if isinstance(row, list) else row
        if not isinstance(row, dict) or "path" not in row:
            raise SourceError(f'{where} has no "path"; a line is such as {{"path": ["Physics", "Optics"]}}')
        must_be_known(row.get("version", VERSION), where)
        try:
            topic = topic_of(row["path"])
            topics.append(topic)
        except ConfigError as exc:
            raise SourceError(f"{where}: {exc}") from None
        if row.get("leaf") is False:
            unfinished.append(topic)
    if not topics:
        raise SourceError(f"{path} has no topics")
    try:
        hierarchy = Hierarchy(topics)
    except ConfigError as exc:
        raise SourceError(f"{path}: {exc}") from None
    hierarchy.unfinished = {topic for topic in unfinished if not hierarchy.below(topic)}
    return hierarchy


def lines(hierarchy: Hierarchy) -> bytes:
    """The topics as lines of paths: one for each topic without subtopics, from which the others follow."""
    found = []
    for topic in hierarchy.walk():
        if not hierarchy.below(topic):
            row: dict[str, Any] = {"version": VERSION, "path": list(topic.path)}
            if topic in hierarchy.unfinished:
                row["leaf"] = False
            found.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(found)


def outline(hierarchy: Hierarchy) -> str:
    """The topics as Markdown: the root as a heading, the others as a list."""
    return "".join(
        f"{'  ' * (topic.depth - 1)}- {topic.name}\n" if topic.depth else f"# {topic.name}\n\n"
        for topic in hierarchy.walk()
    )


def must_be_known(version: Any, where: str) -> None:
    """Refuse what a newer Rowsmith wrote.

    Raises:
        SourceError: it did.
    """
    if not isinstance(version, int) or version > VERSION:
        raise SourceError(
            f"{where} has the format version {version!r}, and this Rowsmith knows {VERSION}. "
            "Upgrade with: pip install -U rowsmith"
        )


def write(path: Path, content: bytes) -> None:
    """Write a file whole: until it is there, the one before it is.

    Raises:
        SourceError: it is the output of a build, or cannot be written.
    """
    if RunPaths.of(path).ledger.exists():
        raise SourceError(f"{path} is the output of a build, which goes on with it as it is. Name another file.")
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise SourceError(f"{path} cannot be written: {exc.strerror or exc}") from exc
