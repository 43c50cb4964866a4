"""Anthropic's batch endpoint: https://platform.claude.com/docs/en/api/messages/batches.

The requests go in at once, and their results come as one file of JSON lines when the last of them has ended. Nothing
but its time and its size tells a batch that runs from another: no name can be given to it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from rowsmith.errors import BadRequestError, ProviderError, ServiceError
from rowsmith.llm import failures
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.http1 import Reply
from rowsmith.llm.providers import anthropic_reply, remote

if TYPE_CHECKING:
    from rowsmith.llm.failures import Caller
    from rowsmith.llm.transport import Transport

LIMITS = BatchLimits(requests=100_000, bytes=256_000_000)
_LARGE_SECONDS = 600.0
_PAGE = 100
_SLACK = 2.0
"""Seconds by which the service's clock may be misjudged: its `Date` has whole ones."""

_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
_ENDS = {"expired": "it expired before its turn came", "canceled": "it was cancelled with its batch"}


@dataclass(frozen=True, slots=True)
class AnthropicBatches:
    """The batches of one model.

    Attributes:
        base: the host's root.
        headers: of a JSON request, the key among them.
        caller: who asks.
        timeout: seconds that a request about a batch may take; those that move many results may take longer.
    """

    limits: ClassVar[BatchLimits] = LIMITS
    """What Anthropic names."""
    price_factor: ClassVar[float] = 0.5
    """Half, for every model."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    caller: Caller
    timeout: float

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as services call it
        """One of the requests that a batch is created with."""
        return b'{"custom_id":"%b","params":%b}' % (id.encode(), body)

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Create the batch. The service has no use for a name."""
        del name
        body = b'{"requests":[%b]}' % b",".join(items)
        longest = max(self.timeout, _LARGE_SECONDS)
        reply = await transport.post(self._url(), body, self.headers, timeout=longest, caller=self.caller)
        return self._text(self._json(reply), "id")

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        """The batch of that time and size whose results, once it has ended, bear these ids.

        Of those that still run, a single one is taken for it: were it another, its results would bear other ids, and
        ours be seen to have none. Of several, nobody can tell before they end.

        Raises:
            ServiceError: there are several that may be it. Asking again later will tell.
        """
        del name
        running = []
        async for batch in self._listed(since, transport):
            if sum(remote.tokens(batch.get("request_counts"), count) for count in _COUNTS) != len(ids):
                continue
            found = self._text(batch, "id")
            if not _has_ended(batch):
                running.append(found)
            elif batch.get("results_url") and await self._bears(found, frozenset(ids), transport):
                return found
        if len(running) > 1:
            raise self._error(f"{len(running)} batches of {len(ids)} requests are running, and any may be this run's")
        return running[0] if running else None

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        """What `GET /v1/messages/batches/{id}` says; it counts answers only when the batch has ended."""
        found = self._json(await self._get(self._url(batch), transport))
        counts = {name: remote.tokens(found.get("request_counts"), name) for name in _COUNTS}
        return BatchStatus(
            BatchState.ENDED if _has_ended(found) else BatchState.RUNNING,
            total=sum(counts.values()),
            answered=counts["succeeded"],
            failed=counts["errored"] + counts["canceled"] + counts["expired"],
        )

    async def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        """The lines of the results, in whatever order they stand there."""
        for line in await self._lines(batch, transport):
            yield self._result(line)

    async def cancel(self, batch: str, transport: Transport) -> None:
        """Ask for it; the service answers 400 for one that has ended."""
        url = f"{self._url(batch)}/cancel"
        try:
            await transport.post(url, b"", self.headers, timeout=self.timeout, caller=self.caller)
        except (BadRequestError, ServiceError):
            if (await self.status(batch, transport)).state is not BatchState.ENDED:
                raise

    async def _listed(self, since: float, transport: Transport) -> AsyncIterator[Mapping[str, Any]]:
        """The batches created since a time of our clock, the latest first."""
        after = ""
        while True:
            reply = await self._get(f"{self._url()}?limit={_PAGE}{after}", transport)
            page = self._json(reply)
            batches = [batch for batch in page.get("data") or () if isinstance(batch, dict)]
            earliest = since + _ahead(reply.headers) - _SLACK
            for batch in batches:
                if _created(batch) < earliest:
                    return
                yield batch
            if not page.get("has_more") or not batches:
                return
            after = f"&after_id={quote(self._text(batches[-1], 'id'))}"

    async def _bears(self, batch: str, ids: frozenset[str], transport: Transport) -> bool:
        found = {line.get("custom_id") for line in await self._lines(batch, transport)}
        return bool(found) and found <= ids

    async def _lines(self, batch: str, transport: Transport) -> Iterator[Mapping[str, Any]]:
        """The results. Their `results_url` is not followed: behind a gateway it would name another host."""
        reply = await self._get(f"{self._url(batch)}/results", transport, max(self.timeout, _LARGE_SECONDS))
        lines = (line for line in reply.body.split(b"\n") if line.strip())
        return (self._json(Reply(reply.status, reply.headers, line)) for line in lines)

    def _result(self, line: Mapping[str, Any]) -> BatchResult:
        """What one line says: the answer, the error of the request, or why it came to nothing."""
        name, result = self._text(line, "custom_id"), line.get("result")
        result = result if isinstance(result, dict) else {}
        kind = result.get("type")
        if kind == "succeeded":
            answer = anthropic_reply.message(result.get("message"), self.caller)
            return BatchResult(name, answer or self._error("the batch's result has no answer in it"))
        if kind == "errored":
            told = result.get("error")
            # The error stands in an object of its own, as it would as the body of a reply.
            whole = told if isinstance(told, dict) and "error" in told else {"error": told}
            return BatchResult(name, anthropic_reply.error(whole, {}, self.caller))
        why = _ENDS.get(kind) if isinstance(kind, str) else None
        return BatchResult(name, self._error(f"the batch brought no answer: {why or f'its result is {kind!r}'}"))

    def _error(self, message: str) -> ProviderError:
        clean = failures.shorten(failures.scrub(message, self.caller.secrets))
        return ServiceError(clean, provider=self.caller.provider, model=self.caller.model)

    def _url(self, batch: str | None = None) -> str:
        url = f"{self.base}/v1/messages/batches"
        return url if batch is None else f"{url}/{quote(batch, safe='')}"

    async def _get(self, url: str, transport: Transport, timeout: float | None = None) -> Reply:
        return await transport.get(url, self.headers, timeout=timeout or self.timeout, caller=self.caller)

    def _json(self, reply: Reply) -> Mapping[str, Any]:
        data = remote.from_bytes(reply, self.caller)
        if not isinstance(data, dict):
            raise failures.malformed("the reply is no object", reply.headers, reply.body, self.caller)
        return data

    def _text(self, data: Mapping[str, Any], name: str) -> str:
        value = data.get(name)
        if not isinstance(value, str):
            raise self._error(f"the service's reply about a batch has no {name!r}")
        return value


def _has_ended(batch: Mapping[str, Any]) -> bool:
    return batch.get("processing_status") == "ended"


def _created(batch: Mapping[str, Any]) -> float:
    """When a batch was created, in seconds since 1970 by the service's clock; long ago where that cannot be read."""
    try:
        return datetime.fromisoformat(str(batch.get("created_at"))).timestamp()
    except ValueError:
        return 0.0


def _ahead(headers: Mapping[str, str]) -> float:
    """Seconds by which the service's clock is ahead of ours."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp() - time.time()
    except ValueError:
        return 0.0
