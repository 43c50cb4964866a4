"""Topic graphs: a tree, and links across it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson

from rowsmith.engine.events import RowAccepted
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.left import left
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.report import Report, Spend
from rowsmith.engine.run import Run
from rowsmith.errors import ConfigError, MissingDependencyError, SourceError
from rowsmith.llm.sharing import Spec
from rowsmith.topics.build import Past, TreeBuild
from rowsmith.topics.collection import Place, TopicCollection
from rowsmith.topics.config import GraphConfig, TopicsConfig
from rowsmith.topics.events import TopicListener, TopicsLinked
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.linking import Linking
from rowsmith.topics.links import Link, Web
from rowsmith.topics.model import TopicModel
from rowsmith.topics.readers import VERSION, load_lines, must_be_known, text_of, write
from rowsmith.topics.topic import Topic, topic_of

FORMAT = "rowsmith.graph"


class Graph(TopicModel):
    """Topics as a tree, with links across it that a model has proposed and that were checked.

    Its arguments are those of `TopicModel`, and `max_links`: how many links from each topic may be proposed. The topics
    of a build go to `output_file`, their links to a file beside it (`topics.links.jsonl`), each with its run.
    """

    config_class: ClassVar[type[TopicsConfig]] = GraphConfig

    def _begin(self, config: TopicsConfig | None, llm: Spec | None) -> None:
        super()._begin(config, llm)
        self.unlinked: list[Topic] = []
        """Topics whose links could not be asked for; `build_remaining` asks again."""

    def _settle(self, hierarchy: Hierarchy) -> None:
        super()._settle(hierarchy)
        self._web = Web(hierarchy)

    @classmethod
    def from_topics(cls, topics: TopicCollection, links: Iterable[Link] = ()) -> Self:
        """A graph of the topics of a tree, or of another graph without its links.

        Args:
            topics: the topics.
            links: between them.

        Raises:
            ConfigError: a link does not hold.
        """
        made = cls._of(topics._hierarchy)
        made._web = Web(made._hierarchy, links)
        return made

    # -- building ------------------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that a build writes: that of the topics, and that of the links."""
        (topics,) = super().outputs
        return (topics, links_beside(topics))

    async def _after(self, build: TreeBuild, options: Options, listener: TopicListener) -> None:
        config = self.to_build
        assert isinstance(config, GraphConfig)
        report = build.built.report
        if not config.max_links or report.ended not in ("complete", "short"):
            return
        paths = RunPaths.of(links_beside(self._output(config)))
        past = Past() if options.fresh else Past.of(paths)
        rounds = max(config.max_rounds, past.fingerprint.rounds if past.fingerprint else 0)
        if build.again and past.short:
            rounds += 1 + config.max_rounds
        recipe = Linking(config, self._hierarchy, rounds)
        listeners = [listener, _teller(listener)]
        run = Run(recipe, Models([self.llm]), paths.rows, left(options, [self._output(config)]), listeners)
        try:
            await run.execute()
        finally:
            if paths.ledger.exists():
                self._web = Web(self._hierarchy, _links_of(Past.of(paths).rows))
            self.unlinked = [self._by_trail(lack.group["topic"]) for lack in run.report.lacks]
            build.built.report = self.report = _together(report, run.report)

    def _by_trail(self, trail: str) -> Topic:
        return next(topic for topic in self._hierarchy if topic.trail == trail)

    @property
    def complete(self) -> bool:
        return super().complete and not self.unlinked

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def links(self) -> tuple[Link, ...]:
        """The links across the tree; between two topics there is one at most."""
        return self._web.links

    def neighbours(self, topic: Place) -> list[Topic]:
        """The topics right above and below one, and those it is linked with.

        Raises:
            ConfigError: there is no such topic, or several have this name.
        """
        return self._web.neighbours(self.find(topic))

    def shortest_path(self, start: Place, end: Place, *, weighted: bool = False) -> list[Topic]:
        """The shortest way between two topics, both included, along the tree and the links in either direction.

        Args:
            start: where it begins.
            end: where it ends.
            weighted: a step along a link counts 1 divided by its weight; otherwise every step counts 1.

        Raises:
            ConfigError: there is no such topic, or several have this name.
        """
        return self._web.way(self.find(start), self.find(end), weighted=weighted)

    def connected_components(self, *, without_root: bool = False) -> list[list[Topic]]:
        """The parts that hang together, the largest first.

        Args:
            without_root: leave the root out, which joins everything: what is left tells which branches links join.
        """
        return self._web.parts([self.get_root()] if without_root else [])

    def to_networkx(self) -> Any:
        """The graph as a `networkx.DiGraph`: nodes are ids with `topic`, `path` and `depth`; edges have `kind`
        (`below` or `link`), `weight` and, if they are links, `relation`.

        Raises:
            MissingDependencyError: networkx is not installed.
        """
        try:
            import networkx
        except ImportError as exc:
            raise MissingDependencyError("to_networkx()", "graph") from exc
        made = networkx.DiGraph()
        for topic in self._hierarchy:
            made.add_node(topic.id, topic=topic.name, path=list(topic.path), depth=topic.depth)
        for topic in self._hierarchy:
            for below in self._hierarchy.below(topic):
                made.add_edge(topic.id, below.id, kind="below", weight=1.0)
        for link in self.links:
            made.add_edge(link.source.id, link.target.id, kind="link", weight=link.weight, relation=link.relation)
        return made

    def _drawn_links(self) -> Sequence[tuple[Topic, Topic]]:
        return [(link.source, link.target) for link in self.links]

    def _linked_as(self, origins: Sequence[tuple[TopicCollection, tuple[str, ...]]]) -> Self:
        links = []
        for origin, above in origins:
            for link in origin.links if isinstance(origin, Graph) else ():
                ends = (Topic((*above, *link.source.path)), Topic((*above, *link.target.path)))
                if all(end in self._hierarchy for end in ends):
                    links.append(Link(*ends, link.relation, link.weight))
        self._web = Web(self._hierarchy, links)
        return self

    # -- keeping -------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the graph as one JSON document; `load` reads it.

        Raises:
            ConfigError: there are no topics yet, or the file cannot be written.
        """
        self.get_root()
        nodes = []
        for topic in self._hierarchy:
            node: dict[str, Any] = {"id": topic.id, "path": list(topic.path)}
            nodes.append({**node, "leaf": False} if topic in self._hierarchy.unfinished else node)
        links = [
            {"source": one.source.id, "target": one.target.id, "relation": one.relation, "weight": one.weight}
            for one in self.links
        ]
        document = {"format": FORMAT, "version": VERSION, "nodes": nodes, "links": links}
        write(Path(path), orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A graph that was saved or built, also if it was changed by hand since.

        Args:
            path: the JSON document, whose links name nodes by the ids that they have in it, or by their paths; or the
                lines of topics of a build, with the links beside them.

        Raises:
            ConfigError: the file cannot be read, is newer than this Rowsmith, or a link does not hold.
        """
        file = Path(path)
        if file.suffix == ".jsonl":
            made = cls._of(load_lines(file))
            beside = links_beside(file)
            if beside.exists():
                rows = [orjson.loads(line) for line in text_of(beside).splitlines()]
                made._web = Web(made._hierarchy, _links_of(rows))
            return made
        try:
            document = orjson.loads(text_of(file))
        except orjson.JSONDecodeError as exc:
            raise SourceError(f"{file} is not JSON: {exc}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT or not document.get("nodes"):
            raise SourceError(f'{file} is no graph of topics: it has no "format": "{FORMAT}" and "nodes"')
        must_be_known(document.get("version"), str(file))
        try:
            return cls._from_document(document)
        except (KeyError, TypeError) as exc:
            raise SourceError(f"{file}: a node or link lacks {exc}") from None
        except ConfigError as exc:
            raise SourceError(f"{file}: {exc}") from None

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Self:
        hierarchy = Hierarchy()
        by_id: dict[str, Topic] = {}
        for node in document["nodes"]:
            topic = topic_of(node["path"])
            hierarchy.add(topic)
            by_id[node.get("id", topic.id)] = topic
            if node.get("leaf") is False:
                hierarchy.unfinished.add(topic)
        hierarchy.unfinished = {topic for topic in hierarchy.unfinished if not hierarchy.below(topic)}
        made = cls._of(hierarchy)

        def end(given: Any) -> Topic:
            if isinstance(given, str) and given not in by_id:
                raise ConfigError(f"a link names the node {given!r}, and there is none with this id")
            return by_id[given] if isinstance(given, str) else topic_of(given)

        links = [
            Link(end(one["source"]), end(one["target"]), one.get("relation", ""), one.get("weight", 1.0))
            for one in document.get("links", [])
        ]
        made._web = Web(hierarchy, links)
        return made


def links_beside(output: Path) -> Path:
    """Where the links of a build are."""
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.links.jsonl")


def _links_of(rows: Iterable[dict[str, Any]]) -> list[Link]:
    return [
        Link(topic_of(row["path"]), topic_of(link["target"]), link["relation"], link["weight"])
        for row in rows
        for link in row["links"]
    ]


def _teller(listener: TopicListener) -> TopicListener:
    def tell(event: Any) -> None:
        if isinstance(event, RowAccepted):
            listener(TopicsLinked(topic_of(event.row["path"]), len(event.row["links"])))

    return tell


def _together(one: Report, two: Report) -> Report:
    """What two runs came to."""
    ended = two.ended if two.ended != "complete" else one.ended
    spend: dict[tuple[str, str], Spend] = {}
    for key, part in (*one.spend.items(), *two.spend.items()):
        spend.setdefault(key, Spend()).add(part)
    return replace(
        two,
        ended=ended,
        rows=one.rows + two.rows,
        expected=one.expected + two.expected,
        calls=one.calls + two.calls,
        replayed=one.replayed + two.replayed,
        retries=one.retries + two.retries,
        rejected=Counter(one.rejected) + two.rejected,
        lacks=[*one.lacks, *two.lacks],
        spend=spend,
        seconds=one.seconds + two.seconds,
    )
