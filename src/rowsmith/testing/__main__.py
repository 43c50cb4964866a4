"""`python -m rowsmith.testing`: the scripted server as a process of its own.

Its first line of output is JSON: `{"url": ..., "base_url": ..., "pid": ...}`. Counters are read from `GET /__calls`,
the calls themselves from `GET /__calls?calls=1`. It ends on SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import signal
import sys

from rowsmith import testing
from rowsmith.testing.faults import Fault
from rowsmith.testing.gatekeeper import Rate
from rowsmith.testing.server import ScriptedServer


def fault(text: str) -> Fault | None:
    """A fault as it is written in Python, such as `RateLimited(retry_after=1)`; `None` is no fault.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Constant) and tree.value is None:
            return None
        name = tree.func if isinstance(tree, ast.Call) else tree
        kind = getattr(testing, name.id) if isinstance(name, ast.Name) else None
        if not (isinstance(kind, type) and issubclass(kind, Fault)):
            raise ValueError(f"{text} is no fault")
        if not isinstance(tree, ast.Call):
            return kind()
        arguments = [ast.literal_eval(part) for part in tree.args]
        return kind(*arguments, **{str(part.arg): ast.literal_eval(part.value) for part in tree.keywords})
    except (ValueError, SyntaxError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fault: {error}") from None


def chance(text: str) -> tuple[Fault, float]:
    """A fault and its share of the calls, such as `ServerError(503)=0.05`."""
    written, _, share = text.rpartition("=")
    found = fault(written)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write a fault and its share, such as ServerError=0.05")
    return found, float(share)


def arguments() -> argparse.ArgumentParser:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m rowsmith.testing", description="A scripted model server.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--fault", type=fault, action="append", help="in order of arrival; may be repeated")
    parser.add_argument("--chance", type=chance, action="append", help="such as 'ServerError(503)=0.05'; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="which calls meet the chances")
    parser.add_argument("--api-key", help="the key to ask for")
    parser.add_argument("--model", action="append", help="a model that exists; may be repeated")
    parser.add_argument("--max-in-flight", type=int, help="more at once get 429")
    parser.add_argument("--rpm", type=int, help="requests let in per --rate-seconds")
    parser.add_argument("--rate-seconds", type=float, default=60.0, help="the window of --rpm")
    parser.add_argument("--bucket", action="store_true", help="fill --rpm up steadily instead of by a window")
    parser.add_argument("--no-retry-after", action="store_true", help="leave Retry-After out of 429")
    parser.add_argument("--hints", type=json.loads, default={}, help='JSON, such as {"num_samples": 5}')
    parser.add_argument("--no-record", action="store_true", help="count calls without keeping them")
    return parser


async def run(server: ScriptedServer) -> None:
    """Serve until a signal comes."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    def ready() -> None:
        address = {"url": server.url, "base_url": server.base_url, "pid": os.getpid()}
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()

    serving = asyncio.create_task(server.serve(ready))
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def main() -> None:
    """Read the arguments and serve."""
    given = arguments().parse_args()
    rate = None
    if given.rpm is not None:
        rate = Rate(
            requests=given.rpm,
            seconds=given.rate_seconds,
            bucket=given.bucket,
            retry_after=not given.no_retry_after,
        )
    server = ScriptedServer(
        faults=given.fault,
        chances=dict(given.chance or ()),
        seed=given.seed,
        latency=given.latency,
        api_key=given.api_key,
        models=given.model,
        max_in_flight=given.max_in_flight,
        rate=rate,
        hints=given.hints,
        record=not given.no_record,
        port=given.port,
    )
    asyncio.run(run(server))


if __name__ == "__main__":
    main()
