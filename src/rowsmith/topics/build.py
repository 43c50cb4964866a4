"""Builds topics level by level: each stage is a run of the engine over what the earlier ones have made.

All stages are one run to the ledger, whose plan grows: the topics to be divided are the values of its one axis. A stage
is begun when the one before has ended, and its number is in the ledger together with its plan. So a build that is
killed goes on with the very stage, plan and prompts that it had, and pays for nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from rowsmith.engine.claims import EXACT, unpacked
from rowsmith.engine.embedding import identity, stored_vectors
from rowsmith.engine.events import CallFailed, CellFinished, CellStarted, Event, RowAccepted, RowRejected, RunStarted
from rowsmith.engine.fingerprint import Fingerprint, fingerprint, must_go_on, refuse
from rowsmith.engine.ledger import CellStatus, Ledger, RunPaths
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.ledger.records import Kind
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.report import Report, Spend
from rowsmith.engine.run import Run
from rowsmith.engine.statistics import spent_in
from rowsmith.errors import ProviderError, RunError
from rowsmith.llm.provider import Provider
from rowsmith.llm.sharing import Choice
from rowsmith.quality.vectors import Signature, signed
from rowsmith.topics.config import TopicsConfig
from rowsmith.topics.events import LevelStarted, TopicDivided, TopicFailed, TopicListener
from rowsmith.topics.known import Known
from rowsmith.topics.subtopics import Subtopics
from rowsmith.topics.topic import Topic, topic_of

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A topic that lacks subtopics.

    Attributes:
        topic: which.
        lacking: how many it lacks.
        reasons: how often each reason was given.
    """

    topic: Topic
    lacking: int
    reasons: Mapping[str, int]

    def __str__(self) -> str:
        why = "; ".join(f"{reason} ({count})" for reason, count in self.reasons.items())
        return f"{self.lacking} lacking below {self.topic.trail}: {why or 'no reason was recorded'}"


@dataclass(frozen=True, slots=True)
class Past:
    """What an output has of earlier starts.

    Attributes:
        fingerprint: of the last start; None if there was none.
        finished: the last start came to its end.
        short: cells whose rounds are used up.
        rows: the rows that are committed, in the plan's order.
        vectors: of the topics, with their signatures, where they are compared by them.
        spend: all that was ever spent on them, by (model, role).
    """

    fingerprint: Fingerprint | None = None
    finished: bool = False
    short: int = 0
    rows: Sequence[Row] = ()
    vectors: Mapping[Topic, Signature] = field(default_factory=dict)
    spend: Mapping[tuple[str, str], Spend] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: RunPaths, embeddings: Provider | None = None) -> Past:
        """Read it, after a kill too: what was not committed is not there.

        Args:
            paths: where the output lies.
            embeddings: the model by whose vectors topics are compared.

        Raises:
            RunError: the output cannot be used.
        """
        if not paths.ledger.exists():
            return cls()
        with Ledger(paths) as ledger:
            noted = ledger.meta.get("fingerprint")
            fingerprint = Fingerprint.from_json(noted) if noted else None
            short = ledger.store.count(CellStatus.SHORT)
            rows = _rows(paths.rows, ledger.store.pieces(Kind.ROWS))
            vectors = {} if embeddings is None else _vectors(ledger, rows, embeddings)
            return cls(fingerprint, ledger.was_finished, short, rows, vectors, spent_in(ledger.store))

    @classmethod
    def seen(cls, paths: RunPaths) -> Past:
        """Read it without writing, whoever has the output open. Rows are there only if its last start has ended.

        Raises:
            LedgerError: the ledger is damaged, foreign or newer.
        """
        if not paths.ledger.exists():
            return cls()
        with reading(paths.ledger) as store:
            meta = store.meta()
            fingerprint = Fingerprint.from_json(meta["fingerprint"]) if meta.get("fingerprint") else None
            finished = meta.get("state") == "finished"
            ended = finished or meta.get("state") == "stopped"
            rows = _rows(paths.rows, store.pieces(Kind.ROWS)) if ended else []
            short = store.count(CellStatus.SHORT)
            return cls(fingerprint, finished, short, rows, spend=spent_in(store))


def _rows(path: Path, pieces: Any) -> list[Row]:
    found: list[Row] = []
    with path.open("rb") as file:
        for offset, length in pieces:
            file.seek(offset)
            found += [orjson.loads(line) for line in file.read(length).splitlines()]
    return found


def _vectors(ledger: Ledger, rows: Sequence[Row], embeddings: Provider) -> dict[Topic, Signature]:
    """The vectors of topics: their marks have the signatures, and the calls what is signed."""
    whose = identity(embeddings)
    signed_as = [mark[EXACT:] for _, marks in ledger.marks() for mark in unpacked(marks)]
    wanted = set(signed_as)
    made = (signed(vector, whose) for vector in stored_vectors(ledger))
    found: dict[bytes, Signature] = {signature: signature for signature in made if signature in wanted}
    return {
        topic_of(row["path"]): found[signature]
        for row, signature in zip(rows, signed_as, strict=True)
        if signature in found
    }


@dataclass(slots=True)
class Built:
    """What a build has come to so far.

    Attributes:
        made: each topic but the root, with the number of the stage that made it.
        leaves: those that were made on the last level.
        report: of all stages of this start together.
        failures: the topics that lack subtopics.
        vectors: of the topics, where they are compared by them.
    """

    made: dict[Topic, int] = field(default_factory=dict)
    leaves: set[Topic] = field(default_factory=set)
    report: Report = field(default_factory=Report)
    failures: list[Failure] = field(default_factory=list)
    vectors: Mapping[Topic, Signature] = field(default_factory=dict)

    def take(self, past: Past) -> None:
        """Take up what an output has instead of what is here."""
        rows = past.rows
        self.vectors = past.vectors
        self.made = {}
        self.leaves = set()
        for row in rows:
            topic = topic_of(row["path"])
            self.made[topic] = row["metadata"]["stage"]
            if row["leaf"]:
                self.leaves.add(topic)


class TreeBuild:
    """One start of a build.

    Args:
        config: what is wanted.
        llm: who is asked.
        output: the file of the topics.
        options: how the runs are carried out.
        listener: told of everything.
        source: what another process can make this build of again; JSON, and no keys.
        again: also ask again below topics whose rounds are used up.

    Attributes:
        again: as given.
        built: what it has come to, also after an error.
    """

    def __init__(
        self,
        config: TopicsConfig,
        llm: Choice,
        output: str | Path,
        options: Options,
        listener: TopicListener,
        source: Mapping[str, Any] | None = None,
        *,
        again: bool = False,
    ) -> None:
        self._config = config
        self._llm = llm
        self._paths = RunPaths.of(output)
        self._options = options
        self._listener = listener
        self._source = source
        self.again = again
        self._embeddings = None if config.embeddings is None else config.embeddings.model
        self._root = topic_of([config.topic_prompt])
        self._failed: ProviderError | None = None
        self.built = Built()

    def must_fit(self) -> None:
        """Refuse what cannot be carried out on this output, before anything is asked or written.

        Raises:
            ConfigError: a cost is to be kept, and the model's price is not known.
            ConfigChangedError: the output has topics of another configuration, or of another model.
            LedgerError: the ledger is damaged, foreign or newer.
        """
        past = Past() if self._options.fresh else Past.seen(self._paths)
        self._must_grow(past)
        models = Models([self._llm])
        recipe = Subtopics(self._config, Known(self._root, {}), 1, self._config.max_rounds)
        plan = Run(recipe, models, self._paths.rows, self._options).plan
        answered, before, now = {model for model, _ in past.spend}, past.fingerprint, fingerprint(recipe, models, plan)
        must_go_on(str(self._paths.rows), before, now, answered)
        if before is not None and answered and before.foremost != now.foremost:
            raise refuse(str(self._paths.rows), ("llms",), before.grows, now.grows)

    async def carry_out(self) -> None:
        """Build, or go on.

        Raises:
            ConfigChangedError: the output has topics of another configuration.
            ProviderError: one that would befall every call; or no topic came at all because calls failed.
            RunError: the output cannot be used; or no topic came at all.
        """
        past = Past() if self._options.fresh else Past.of(self._paths, self._embeddings)
        self._must_grow(past)
        self.built.take(past)
        stage, rounds = 1, self._config.max_rounds
        if past.fingerprint is not None:
            stage = int(past.fingerprint.grows.get("stage", 1)) + past.finished
            rounds = max(rounds, past.fingerprint.rounds)
            if self.again and past.short:
                rounds += 1 + self._config.max_rounds
        while await self._stage(stage, rounds):
            stage += 1
        if not self.built.made and self.built.report.ended != "waiting":
            raise self._why_nothing()

    async def _stage(self, stage: int, rounds: int) -> bool:
        """Divide all topics that earlier stages have made; says whether new ones are to be divided."""
        made = {topic: made for topic, made in self.built.made.items() if made < stage}
        vectors = {topic: vector for topic, vector in self.built.vectors.items() if topic in made}
        known = Known(self._root, made, vectors)
        teller = Teller(1 + max(topic.depth for topic in known.to_divide(self._config.depth)), self._listener)
        recipe = Subtopics(self._config, known, stage, rounds)
        run = Run(recipe, Models([self._llm]), self._paths.rows, self._options, [teller], source=self._source)
        self._options = self._options.but(fresh=False)
        try:
            report = await run.execute()
        finally:
            self._take(run.report, known)
            self._failed = teller.failed or self._failed
        new = any(made == stage and topic.depth < self._config.depth for topic, made in self.built.made.items())
        return new and report.ended in ("complete", "short")

    def _take(self, report: Report, known: Known) -> None:
        """Take up what a run has come to."""
        if self._paths.ledger.exists():
            self.built.take(Past.of(self._paths, self._embeddings))
        before = self.built.report
        self.built.report = replace(
            report,
            calls=before.calls + report.calls,
            replayed=before.replayed + report.replayed,
            retries=before.retries + report.retries,
            rejected=Counter(before.rejected) + report.rejected,
            seconds=before.seconds + report.seconds,
        )
        by_trail = {topic.trail: topic for topic in known.to_divide(self._config.depth)}
        self.built.failures = [Failure(by_trail[lack.group["topic"]], lack.rows, lack.reasons) for lack in report.lacks]

    def _must_grow(self, past: Past) -> None:
        """Refuse a tree that is smaller than what the output has.

        Raises:
            ConfigChangedError: it is.
        """
        if past.fingerprint is None:
            return
        old = past.fingerprint.grows
        new: dict[str, Any] = {"degree": self._config.degree, "depth": self._config.depth}
        if smaller := tuple(name for name, value in new.items() if value < old.get(name, value)):
            raise refuse(str(self._paths.rows), smaller, old, new)

    def _why_nothing(self) -> Exception:
        if self._failed is not None:
            return self._failed
        why = self.built.report.why or "; ".join(map(str, self.built.failures))
        return RunError(f"no topic came: {why}")


class Teller:
    """Tells what a run's events say of topics, and passes them on.

    Args:
        depth: of the lowest topics that the run makes.
        listener: told.

    Attributes:
        failed: the last call that failed for good.
    """

    def __init__(self, depth: int, listener: TopicListener) -> None:
        self._depth = depth
        self._listener = listener
        self._under_way: dict[int, tuple[list[Topic], Counter[str]]] = {}
        self.failed: ProviderError | None = None

    def __call__(self, event: Event) -> None:
        self._listener(event)
        told = self._told(event)
        if told is not None:
            self._listener(told)

    def _told(self, event: Event) -> LevelStarted | TopicDivided | TopicFailed | None:
        if isinstance(event, RunStarted):
            open_cells = event.cells - event.settled
            return LevelStarted(self._depth, open_cells) if open_cells else None
        if isinstance(event, CellStarted):
            self._under_way[event.cell.number] = ([], Counter())
        elif isinstance(event, RowAccepted):
            self._under_way[event.cell.number][0].append(topic_of(event.row["path"]))
        elif isinstance(event, RowRejected):
            self._under_way[event.cell.number][1][event.gate] += 1
        elif isinstance(event, CallFailed):
            self.failed = event.error
            self._under_way[event.cell.number][1][str(event.error)] += 1
        elif isinstance(event, CellFinished):
            topics, reasons = self._under_way.pop(event.cell.number)
            topic: Topic = event.cell.values["topic"]
            if event.status == "done":
                return TopicDivided(topic, tuple(topics))
            return TopicFailed(topic, tuple(topics), event.cell.want - event.rows, dict(reasons))
        return None
