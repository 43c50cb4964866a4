"""What runs that come first leave of the limits of those after them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.options import Options


def left(options: Options, outputs: Iterable[str | Path]) -> Options:
    """Options whose limits are what some runs have left of them.

    Args:
        options: with the limits of all of the runs together.
        outputs: the rows files of the runs that have spent of them.

    Raises:
        LedgerError: a ledger is damaged, foreign or newer.
    """
    requests, tokens, cost = 0, 0, 0.0
    for paths in map(RunPaths.of, outputs):
        if not paths.ledger.exists():
            continue
        with reading(paths.ledger) as store:
            spend, meta = store.spend(), store.meta()
        requests += int(meta.get("requests_unanswered", 0))
        tokens += sum(map(sum, json.loads(meta.get("tokens_untold", "{}")).values()))
        for _, _, _, calls, asked, answered, _, _, paid, _ in spend:
            requests, tokens, cost = requests + calls, tokens + asked + answered, cost + paid
    return options.but(
        max_cost=None if options.max_cost is None else max(0.0, options.max_cost - cost),
        max_tokens=None if options.max_tokens is None else max(0, options.max_tokens - tokens),
        max_requests=None if options.max_requests is None else max(0, options.max_requests - requests),
    )
