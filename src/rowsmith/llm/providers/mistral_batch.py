"""Mistral's batch endpoint: https://docs.mistral.ai/api/endpoint/batch.

Its files and the lines in them are OpenAI's; its jobs are its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode

import orjson

from rowsmith.errors import BadRequestError, ServiceError
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.providers import remote
from rowsmith.llm.providers.openai_batch import OpenAIBatches

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport

# Mistral takes a file of 512 MB, but a file is put together in memory.
LIMITS = BatchLimits(requests=1_000_000, bytes=200_000_000)
_ENDPOINT = "/v1/chat/completions"
_PAGE = 100
_SLACK = 300.0
"""Seconds that the service's clock may be behind ours."""
_ENDED = frozenset({"SUCCESS", "TIMEOUT_EXCEEDED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class MistralBatches(OpenAIBatches):
    """The batches of one model at Mistral.

    The attributes are those of `OpenAIBatches`, and:

    Attributes:
        model: the model of every request of a job.
    """

    limits: ClassVar[BatchLimits] = LIMITS
    """What Mistral names; of bytes, less."""

    model: str

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as the service calls it
        """A line of the file."""
        return b'{"custom_id":"%b","body":%b}' % (id.encode(), body)

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Upload the file and make a job of it. A file without a job does no harm."""
        asked = {
            "input_files": [await self._upload(name, items, transport)],
            "endpoint": _ENDPOINT,
            "model": self.model,
            "metadata": {"name": name},
            "timeout_hours": 24,
        }
        return self._id_in(await self._post("/batch/jobs", orjson.dumps(asked), transport))

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        """Look through the account's jobs of that time for the one with this name in its metadata."""
        del ids  # the name does
        after = datetime.fromtimestamp(since - _SLACK, UTC).isoformat()
        page = 0
        while True:
            query = urlencode({"page": page, "page_size": _PAGE, "created_after": after})
            jobs = (await self._get(f"/batch/jobs?{query}", transport)).get("data") or []
            for job in jobs:
                if (job.get("metadata") or {}).get("name") == name:
                    return str(job["id"])
            if len(jobs) < _PAGE:
                return None
            page += 1

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        """What `GET /batch/jobs/{id}` says."""
        found = await self._get(f"/batch/jobs/{quote(batch)}", transport)
        state, errors = found.get("status"), found.get("errors")
        names = ("total_requests", "succeeded_requests", "failed_requests")
        total, answered, failed = (remote.tokens(found, name) for name in names)
        if state == "FAILED":
            told = errors if isinstance(errors, list) else []
            message = "; ".join(str(one.get("message")) for one in told[:3] if isinstance(one, dict))
            # A job in which every request came to nothing is called failed too; then its files say what became of each.
            if not found.get("output_file") and not found.get("error_file"):
                return BatchStatus(BatchState.FAILED, total, answered, failed, self._clean(message))
            return BatchStatus(BatchState.ENDED, total, answered, failed, self._clean(message))
        return BatchStatus(BatchState.ENDED if state in _ENDED else BatchState.RUNNING, total, answered, failed)

    async def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        """The lines of both files; either may be absent."""
        found = await self._get(f"/batch/jobs/{quote(batch)}", transport)
        for name in ("output_file", "error_file"):
            file = found.get(name)
            async for line in self._lines(file if isinstance(file, str) else "", transport):
                yield self._result(line)

    async def cancel(self, batch: str, transport: Transport) -> None:
        """Ask for it. One that has ended is left alone: the service may refuse that in any words."""
        try:
            await self._post(f"/batch/jobs/{quote(batch)}/cancel", b"{}", transport)
        except (BadRequestError, ServiceError):
            if (await self.status(batch, transport)).state is BatchState.RUNNING:
                raise
