"""One run of a generator: from its recipe to a dataset, or to the error that says why there is none."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rowsmith.data.dataset import Dataset
from rowsmith.data.rows import Rows
from rowsmith.engine.events import CallFailed, Event, Listener
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.errors import DataSetGeneratorError, ModelError, ProviderError, RunError, ValidationError
from rowsmith.generator.recipe import Generated
from rowsmith.topics.topic import Topic

_log = logging.getLogger(__name__)
_REMEMBERED = 20
"""Texts of a topic that are shown to the next batch about it."""
_MOST_TOPICS = 10_000


class Earlier:
    """What batches have made, by topic: the latest of each."""

    def __init__(self) -> None:
        self.texts: dict[str, deque[str]] = {}

    def add(self, rows: Iterable[Mapping[str, Any]], field: str) -> None:
        """Remember rows by one of their texts."""
        for row in rows:
            name = Topic(tuple(row["topic_path"])).id
            known = self.texts.pop(name, None) or deque(maxlen=_REMEMBERED)
            known.append(row[field])
            self.texts[name] = known  # the topics used last are at the end
        while len(self.texts) > _MOST_TOPICS:
            del self.texts[next(iter(self.texts))]


class Making:
    """One run.

    Args:
        recipe: what to make.
        models: who is asked.
        options: how it is carried out.
        output: where the run is kept; in a temporary folder if None.

    Attributes:
        dataset: the rows, once it is over, in whatever way.
        rejected: what was refused.
        report: what it came to.
    """

    def __init__(self, recipe: Generated, models: Models, options: Options, output: str | Path | None = None) -> None:
        self._recipe = recipe
        self._models = models
        self._options = options
        self._output = output
        self._failures: deque[ProviderError] = deque(maxlen=1)
        self.dataset = Dataset()
        self.rejected = Dataset()
        self.report: Report | None = None

    async def carry_out(self, listeners: Sequence[Listener]) -> Dataset:
        """Make the rows.

        Raises:
            ConfigError: before anything is paid for.
            DataSetGeneratorError: no row was made, or the run could not be carried out; or a subclass of it.
        """
        with ExitStack() as stack:
            if self._output is None:
                folder = stack.enter_context(TemporaryDirectory(prefix="rowsmith-", ignore_cleanup_errors=True))
                path = Path(folder) / "dataset.jsonl"
            else:
                path = Path(self._output)
            run = Run(self._recipe, self._models, path, self._options, [self._note, *listeners])
            self.report = run.report
            try:
                await run.execute()
            except ProviderError as error:
                raise ModelError.of(error) from error
            except RunError as error:
                raise DataSetGeneratorError(str(error)) from error
            finally:
                self._keep(RunPaths.of(path))
        self._judge(run.report)
        return self.dataset

    def _note(self, event: Event) -> None:
        if isinstance(event, CallFailed):
            self._failures.append(event.error)

    def _keep(self, paths: RunPaths) -> None:
        """Read what there is; from a temporary folder, which is about to go, it is copied to a spool."""
        found = [path if path.exists() else None for path in (paths.rows, paths.rejected)]
        if self._output is None:
            self.dataset, self.rejected = (Dataset(Rows(path) if path else ()) for path in found)
        else:
            self.dataset, self.rejected = (Dataset.load(path) if path else Dataset() for path in found)

    def _judge(self, report: Report) -> None:
        """Raise what there is to say if there is no row; warn if some lack."""
        if not report.missing:
            return
        lacks = "; ".join(map(str, report.lacks[:3])) or report.why
        if report.rows:
            _log.warning("%d of %d examples were made: %s", report.rows, report.expected, lacks)
        elif self._failures:
            raise ModelError.of(self._failures[-1]) from self._failures[-1]
        elif report.why or not report.rejected:
            raise DataSetGeneratorError(f"no example was made: {lacks}")
        else:
            raise ValidationError(f"no example passed the checks: {lacks}", reasons=report.rejected)
