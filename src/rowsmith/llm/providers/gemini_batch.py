"""Gemini's batch endpoint (https://ai.google.dev/gemini-api/docs/batch-api, https://ai.google.dev/api/batch-api).

Requests go in as a file of JSON lines, each with a key, and come back as one: inlined answers, which the service offers
for small batches, have been unfetchable for larger ones.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

import orjson

from rowsmith.errors import BadRequestError, ProviderError
from rowsmith.llm import failures
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import gemini_reply, remote
from rowsmith.llm.providers.gemini_schema import openapi

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport

_LIMITS = BatchLimits(requests=100_000, bytes=256 * 2**20)
"""The service takes files of 2 GB and names no number of requests; a batch is held in memory here."""

_PIECE = 8 * 2**20
"""Bytes of a file that go up in one request; a multiple of the 256 KiB that the service asks for."""

_PAGE = 100
_NO_BATCH = (
    "Use a key of the project that the batch was handed in with; a batch that is gone for good is given up with: "
    "rowsmith cancel"
)
_NO_HEADERS: Mapping[str, str] = {}
_ENDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "CANCELLED", "EXPIRED"})
_STATUSES = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 14: 503, 16: 401}
"""The HTTP status of each gRPC code of a `google.rpc.Status`; 500 for the others."""

_log = logging.getLogger("rowsmith.llm")


@dataclass(frozen=True)
class GeminiBatches:
    """The batches of one Gemini model.

    Attributes:
        base: the host's root.
        resource: the model, such as `models/gemini-3.8-flash`.
    """

    limits: ClassVar[BatchLimits] = _LIMITS
    price_factor: ClassVar[float] = 0.5

    base: str
    resource: str
    _headers: dict[str, str] = field(repr=False)
    _timeout: float
    _caller: Caller

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as services call it
        """One line of a batch's file.

        Its schema goes in the older form where that can say it: batches have answered `responseJsonSchema` with JSON of
        the right form and senseless contents (https://github.com/crmne/ruby_llm/issues/894).
        """
        request = orjson.loads(body)
        config = request.get("generationConfig", {})
        if "responseJsonSchema" in config:
            schema = _older_form(orjson.dumps(config["responseJsonSchema"]))
            if schema is not None:
                config["responseSchema"] = schema
                del config["responseJsonSchema"]
        return orjson.dumps({"key": id, "request": request})

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Hand in a batch; the service's id of it, such as `batches/abc`.

        Raises:
            ProviderError: the most specific class that fits.
        """
        file = await self._upload(name, b"\n".join(items) + b"\n", transport)
        body = {"batch": {"displayName": name, "inputConfig": {"fileName": file}}}
        made = await self._post(f"v1beta/{self.resource}:batchGenerateContent", body, transport)
        return self._name(self._object(made), made)

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        """The service's id of a batch that bears a name, or None. The list is in no order that is documented."""
        del ids, since  # the name does
        page = ""
        while True:
            query = f"?pageSize={_PAGE}" + (f"&pageToken={quote(page, safe='')}" if page else "")
            reply = await self._get(f"v1beta/batches{query}", transport)
            data = self._object(reply)
            for operation in data.get("operations") or ():
                if _metadata(operation).get("displayName") == name and isinstance(operation.get("name"), str):
                    found: str = operation["name"]
                    return found
            page = data.get("nextPageToken") or ""
            if not page:
                return None

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        """How far a batch is, by the service's id."""
        operation = self._object(await self._get(f"v1beta/{batch}", transport))
        metadata = _metadata(operation)
        stats = metadata.get("batchStats") or {}
        error = operation.get("error") or {}
        message = error.get("message") if isinstance(error, dict) else None
        return BatchStatus(
            _state(operation, metadata),
            total=_count(stats, "requestCount"),
            answered=_count(stats, "successfulRequestCount"),
            failed=_count(stats, "failedRequestCount"),
            message=failures.shorten(failures.scrub(message, self._caller.secrets)) if isinstance(message, str) else "",
        )

    async def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        """What came of the requests of a batch that has ended. One that expired has none."""
        file = _file(self._object(await self._get(f"v1beta/{batch}", transport)))
        if file is None:
            return
        reply = await self._get(f"download/v1beta/{quote(file, safe='/')}:download?alt=media", transport)
        for line in _lines(reply.body):
            result = self._result(line, reply)
            if result is None:
                _log.warning("A line of the answers of %s has no key: its request counts as unanswered.", batch)
            else:
                yield result

    async def cancel(self, batch: str, transport: Transport) -> None:
        """Ask the service to end a batch early, unless it has ended."""
        try:
            await self._post(f"v1beta/{batch}:cancel", {}, transport)
        except BadRequestError:
            if (await self.status(batch, transport)).state is BatchState.RUNNING:
                raise

    # -- files ---------------------------------------------------------------------------------------------------------

    async def _upload(self, name: str, data: bytes, transport: Transport) -> str:
        """Put a file up (https://ai.google.dev/gemini-api/docs/files); its name there, such as `files/abc`."""
        start = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(data)),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        began = await self._post("upload/v1beta/files", {"file": {"displayName": name}}, transport, start)
        address = urlsplit(began.headers.get("x-goog-upload-url") or "")
        if not address.path:
            raise failures.malformed("the reply names no address to upload to", began.headers, began.body, self._caller)
        # The service's own client keeps to its base too: whoever stands on the way must be met again.
        place = f"{self.base}{address.path}?{address.query}"
        sent = 0
        while True:
            piece = data[sent : sent + _PIECE]
            last = sent + len(piece) >= len(data)
            headers = {
                **self._headers,
                "Content-Type": "application/jsonl",
                "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
                "X-Goog-Upload-Offset": str(sent),
            }
            reply = await transport.post(place, piece, headers, timeout=self._timeout, caller=self._caller)
            if last:
                return self._name(self._object(reply).get("file"), reply)
            sent += len(piece)

    def _result(self, line: bytes, reply: Reply) -> BatchResult | None:
        """One line of the answers' file; None where it bears no key, so that its request counts as missing."""
        try:
            said = orjson.loads(line)
            key = said["key"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        if not isinstance(key, str):
            return None
        error = said.get("error") or said.get("status")
        if isinstance(error, dict) and not said.get("response"):
            status = _STATUSES.get(error.get("code", 0), 500)
            body = orjson.dumps({"error": error})
            return BatchResult(key, failures.from_reply(status, {}, body, self._caller))
        try:
            return BatchResult(key, gemini_reply.read(said.get("response"), reply, self._caller))
        except ProviderError as failed:
            return BatchResult(key, failed)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _post(
        self, path: str, body: Mapping[str, Any], transport: Transport, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        return await transport.post(
            f"{self.base}/{path}",
            orjson.dumps(body),
            {**self._headers, **headers},
            timeout=self._timeout,
            caller=self._caller,
        )

    async def _get(self, path: str, transport: Transport) -> Reply:
        # What is not found here is a batch or a file, whatever the model's name.
        caller = replace(self._caller, no_model=_NO_BATCH)
        return await transport.get(f"{self.base}/{path}", self._headers, timeout=self._timeout, caller=caller)

    def _object(self, reply: Reply) -> dict[str, Any]:
        data = remote.from_bytes(reply, self._caller)
        if not isinstance(data, dict):
            raise failures.malformed("the reply is no object", reply.headers, reply.body, self._caller)
        return data

    def _name(self, made: Any, reply: Reply) -> str:
        name = made.get("name") if isinstance(made, dict) else None
        if not isinstance(name, str) or not name:
            raise failures.malformed("the reply has no name in it", reply.headers, reply.body, self._caller)
        return name


@lru_cache(maxsize=256)
def _older_form(schema: bytes) -> dict[str, Any] | None:
    return openapi(orjson.loads(schema))


def _metadata(operation: Any) -> dict[str, Any]:
    found = operation.get("metadata") if isinstance(operation, dict) else None
    return found if isinstance(found, dict) else {}


def _state(operation: Mapping[str, Any], metadata: Mapping[str, Any]) -> BatchState:
    # The reference calls it BATCH_STATE_, the guide and the client JOB_STATE_.
    state = str(metadata.get("state", "")).rpartition("_STATE_")[2]
    if state == "FAILED":
        return BatchState.FAILED
    if state not in _ENDED:
        return BatchState.RUNNING
    # A batch is told to have succeeded a moment before its file is there.
    waiting = state == "SUCCEEDED" and _file(operation) is None and not operation.keys() & {"response", "error"}
    return BatchState.RUNNING if waiting else BatchState.ENDED


def _file(operation: Mapping[str, Any]) -> str | None:
    """The file with the answers, from wherever the service put its name."""
    for output in (_metadata(operation).get("output"), operation.get("response")):
        found = output.get("responsesFile") if isinstance(output, dict) else None
        if isinstance(found, str) and found:
            return found
    return None


def _count(stats: object, name: str) -> int:
    """A count, which JSON has as a text because it is an int64."""
    count = stats.get(name) if isinstance(stats, dict) else None
    try:
        return int(count) if count is not None else 0
    except (TypeError, ValueError):
        return 0


def _lines(body: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if line := body[start:end].strip():
            yield line
        start = end + 1
