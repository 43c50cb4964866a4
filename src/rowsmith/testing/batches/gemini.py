"""Gemini's batch endpoints, and the part of its File API that they need.

https://ai.google.dev/api/batch-api, https://ai.google.dev/gemini-api/docs/batch-api and .../docs/files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from rowsmith.testing.batches.desk import Desk, Refused
from rowsmith.testing.batches.script import Item, ItemEnd
from rowsmith.testing.batches.store import Batch, File, Result
from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats.gemini import GeminiContents

_PAGE = 50
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14, 504: 4}
"""The gRPC code of each HTTP status."""

_ENDS = {
    ItemEnd.EXPIRED: {"code": 4, "message": "The deadline of the batch expired before the request was processed."},
    ItemEnd.CANCELLED: {"code": 1, "message": "The request was cancelled with its batch."},
}
_WIRE = GeminiContents()


class GeminiBatchEndpoints:
    """`/v1beta/batches`, `:batchGenerateContent`, and the upload and download of files."""

    name = "gemini"

    def open(self, desk: Desk) -> None:
        """Put the endpoints up."""
        endpoints = _Endpoints(desk)
        for method, path, operation, work in (
            ("POST", "/upload/v1beta/files", "upload", endpoints.upload),
            ("GET", "/download/v1beta/files/{id}:download", "results", endpoints.download),
            ("POST", "/v1beta/models/{model:.+}:batchGenerateContent", "submit", endpoints.create),
            ("GET", "/v1beta/batches", "list", endpoints.listing),
            ("GET", "/v1beta/batches/{id}", "status", endpoints.status),
            ("POST", "/v1beta/batches/{id}:cancel", "cancel", endpoints.cancel),
        ):
            desk.route(method, path, operation, _WIRE, work)


class _Endpoints:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store
        self._uploads: list[tuple[str, int, bytearray]] = []

    async def upload(self, request: web.Request) -> web.Response | Mapping[str, Any]:
        """A resumable upload: `start` gives an address, to which the pieces go, the last one with `finalize`."""
        command = request.headers.get("X-Goog-Upload-Command", "")
        if command == "start":
            named = orjson.loads(await request.read() or b"{}").get("file") or {}
            size = int(request.headers["X-Goog-Upload-Header-Content-Length"])
            self._uploads.append((named.get("displayName", ""), size, bytearray()))
            address = request.url.with_query(upload_id=len(self._uploads) - 1, upload_protocol="resumable")
            return web.Response(headers={"X-Goog-Upload-URL": str(address), "X-Goog-Upload-Status": "active"})
        name, size, data = self._uploads[int(request.query["upload_id"])]
        if int(request.headers["X-Goog-Upload-Offset"]) != len(data):
            raise Refused(400, f"The upload is at {len(data)}, not at the offset that was given.")
        data += await request.read()
        if "finalize" not in command:
            return web.Response(headers={"X-Goog-Upload-Status": "active"})
        if len(data) != size:
            raise Refused(400, f"{size} bytes were announced, {len(data)} came.")
        file = self._store.add_file(bytes(data), name, "batch")
        told = {"name": f"files/{file.id}", "displayName": name, "sizeBytes": str(size), "state": "ACTIVE"}
        return {"file": told}

    async def create(self, request: web.Request) -> Mapping[str, Any]:
        asked = orjson.loads(await request.read())
        batch = asked.get("batch") or {}
        if set(asked) != {"batch"} or set(batch) != {"displayName", "inputConfig"} or not batch["displayName"]:
            raise Refused(400, "* BatchGenerateContentRequest.batch: displayName and inputConfig are required.")
        file = self._store.files.get(str(batch["inputConfig"].get("fileName", "")).removeprefix("files/"))
        if file is None:
            raise Refused(404, "You do not have permission to access the File or it may not exist.")
        model = request.match_info["model"]
        path = f"/v1beta/models/{model}:generateContent"
        headers = {name.lower(): value for name, value in request.headers.items()}
        made = self._store.add_batch(
            "gemini",
            list(_requests(file, path)),
            partial(self._answer, model, path, headers),
            name=batch["displayName"],
            model=f"models/{model}",
        )
        return _operation(made)

    async def listing(self, request: web.Request) -> Mapping[str, Any]:
        found = self._store.listed("gemini")
        start, size = int(request.query.get("pageToken", 0)), int(request.query.get("pageSize", _PAGE))
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        page = [_operation(batch) for batch in found[start : start + size]]
        return ({"operations": page} if page else {}) | more

    async def status(self, request: web.Request) -> Mapping[str, Any]:
        return _operation(self._store.poll(self._named(request)))

    async def cancel(self, request: web.Request) -> Mapping[str, Any]:
        batch = self._named(request)
        if batch.ended:
            raise Refused(400, f"The batch cannot be cancelled: it is in state BATCH_STATE_{_state(batch)}.")
        self._store.cancel(batch)
        return {}

    async def download(self, request: web.Request) -> web.Response:
        batch = self._store.batches.get(request.match_info["id"].removeprefix("answers-of-"))
        if batch is None or batch.results is None or request.query.get("alt") != "media":
            raise Refused(404, "The file does not exist.")
        batch.fetched += 1
        lines = (_line(result) for result in batch.results)
        data = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines if line)
        return web.Response(body=data, content_type="application/octet-stream")

    def _named(self, request: web.Request) -> Batch:
        batch = self._store.batches.get(request.match_info["id"])
        if batch is None:
            raise Refused(404, "Requested entity was not found.")
        return batch

    def _answer(
        self, model: str, path: str, headers: Mapping[str, str], item: Item, fault: Fault | None
    ) -> tuple[Call, Reply]:
        return self._desk.answer(_WIRE, path, replace(item, body={**item.body, "model": model}), headers, fault)


def _requests(file: File, path: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for number, text in enumerate(filter(bytes.strip, file.data.split(b"\n")), start=1):
        line = orjson.loads(text)
        if set(line) != {"key", "request"} or not isinstance(line["key"], str):
            raise Refused(400, f"Line {number} of the input file has not a key and a request.")
        yield line["key"], path, line["request"]


def _line(result: Result) -> Mapping[str, Any] | None:
    if result.end is ItemEnd.MISSING:
        return None
    if result.end is not None:
        return {"key": result.item.id, "error": _ENDS[result.end]}
    reply = result.reply
    if reply.raw is not None:
        return {"key": result.item.id, "response": orjson.loads(reply.raw)}
    if reply.status != 200:
        told = _WIRE.error(reply)["error"]
        return {"key": result.item.id, "error": {**told, "code": _CODES.get(reply.status, 2)}}
    assert result.call is not None
    return {"key": result.item.id, "response": _WIRE.write(result.call, reply)}


def _state(batch: Batch) -> str:
    if batch.failure is not None:
        return "FAILED"
    if batch.results is None:
        return "RUNNING" if batch.polls > 1 else "PENDING"
    if batch.cancelled:
        return "CANCELLED"
    # A batch whose time is up has no results at all; one that lost some requests to it has succeeded.
    return "EXPIRED" if all(result.end is ItemEnd.EXPIRED for result in batch.results) else "SUCCEEDED"


def _operation(batch: Batch) -> Mapping[str, Any]:
    state = _state(batch)
    answered, failed = batch.count(answered=True), batch.count(answered=False)
    pending = len(batch.items) - answered - failed
    counts = {
        "requestCount": len(batch.items),
        "successfulRequestCount": answered,
        "failedRequestCount": failed,
        "pendingRequestCount": pending,
    }
    metadata: dict[str, Any] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "name": f"batches/{batch.id}",
        "model": batch.facts["model"],
        "displayName": batch.name,
        "createTime": datetime.fromtimestamp(batch.created, UTC).isoformat().replace("+00:00", "Z"),
        "batchStats": {name: str(count) for name, count in counts.items() if count},
        "state": f"BATCH_STATE_{state}",
    }
    operation: dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": metadata}
    if batch.ended:
        operation["done"] = True
    if batch.failure is not None:
        operation["error"] = {"code": 3, "message": batch.failure.message}
    elif state == "EXPIRED":
        operation["error"] = {"code": 4, "message": "The batch expired."}
    elif batch.results is not None:
        metadata["output"] = operation["response"] = {"responsesFile": f"files/answers-of-{batch.id}"}
    return operation
