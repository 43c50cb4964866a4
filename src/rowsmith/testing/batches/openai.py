"""OpenAI's batch endpoints: https://platform.openai.com/docs/api-reference/batch and .../files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from rowsmith.testing.batches.desk import Desk, Refused
from rowsmith.testing.batches.script import Item, ItemEnd
from rowsmith.testing.batches.store import Batch, File, Result
from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats.openai import OpenAIChat

_MOST_ITEMS = 50_000
_MOST_BYTES = 200_000_000
_ENDPOINT = "/v1/chat/completions"
_PAGE = 20
_CODES = {
    ItemEnd.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    ItemEnd.CANCELLED: ("batch_cancelled", "This request was cancelled with its batch."),
}


class OpenAIBatchEndpoints:
    """`/v1/files` and `/v1/batches`."""

    name = "openai"

    def open(self, desk: Desk) -> None:
        """Put the endpoints up."""
        endpoints = _Endpoints(desk)
        for method, path, operation, work in (
            ("POST", "/v1/files", "upload", endpoints.upload),
            ("GET", "/v1/files/{id}/content", "results", endpoints.content),
            ("POST", "/v1/batches", "submit", endpoints.create),
            ("GET", "/v1/batches", "list", endpoints.listing),
            ("GET", "/v1/batches/{id}", "status", endpoints.status),
            ("POST", "/v1/batches/{id}/cancel", "cancel", endpoints.cancel),
        ):
            desk.route(method, path, operation, _WIRE, work)


_WIRE = OpenAIChat()


class _Endpoints:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store

    async def upload(self, request: web.Request) -> Mapping[str, Any]:
        form = await request.post()
        part, purpose = form.get("file"), form.get("purpose")
        if not isinstance(part, web.FileField) or not isinstance(purpose, str):
            raise Refused(400, "'file' and 'purpose' are required properties", "missing_required_parameter")
        file = self._store.add_file(part.file.read(), part.filename, purpose)
        return _file(file)

    async def content(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]  # noqa: A001  # as the service calls it
        file = self._store.files.get(id)
        if file is not None:
            return web.Response(body=file.data, content_type="application/octet-stream")
        kind, _, batch = id.partition("-of-")
        found = self._store.batches.get(batch)
        if found is None or found.results is None or kind not in ("output", "errors"):
            raise Refused(404, f"No such File object: {id}", "not_found")
        found.fetched += 1
        lines = (_line(result) for result in found.results if result.answered is (kind == "output"))
        data = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines if line)
        return web.Response(body=data, content_type="application/octet-stream")

    async def create(self, request: web.Request) -> Mapping[str, Any]:
        asked = orjson.loads(await request.read())
        file = self._store.files.get(asked.get("input_file_id"))
        if file is None or file.purpose != "batch":
            raise Refused(400, "Invalid 'input_file_id': no such file for a batch", "invalid_input_file")
        if asked.get("completion_window") != "24h":
            raise Refused(400, "Invalid value for 'completion_window'. Supported values are: '24h'.", "invalid_value")
        if asked.get("endpoint") != _ENDPOINT:
            raise Refused(400, f"Invalid value for 'endpoint': {asked.get('endpoint')!r}", "invalid_value")
        metadata = asked.get("metadata") or {}
        headers = {name.lower(): value for name, value in request.headers.items()}
        batch = self._store.add_batch(
            "openai",
            list(_requests(file)),
            partial(self._answer, headers),
            name=metadata.get("name", ""),
            metadata=metadata,
            input_file_id=file.id,
        )
        return _batch(batch)

    async def listing(self, request: web.Request) -> Mapping[str, Any]:
        found = self._store.listed("openai")
        after = request.query.get("after")
        ids = [batch.id for batch in found]
        start = ids.index(after) + 1 if after in ids else 0
        limit = int(request.query.get("limit", _PAGE))
        page = found[start : start + limit]
        return {
            "object": "list",
            "data": [_batch(batch) for batch in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": start + limit < len(found),
        }

    async def status(self, request: web.Request) -> Mapping[str, Any]:
        return _batch(self._store.poll(self._named(request)))

    async def cancel(self, request: web.Request) -> Mapping[str, Any]:
        batch = self._named(request)
        if batch.ended:
            raise Refused(409, f"Cannot cancel a batch with status '{_status(batch)}'.", "invalid_state")
        return _batch(self._store.cancel(batch))

    def _named(self, request: web.Request) -> Batch:
        batch = self._store.batches.get(request.match_info["id"])
        if batch is None:
            raise Refused(404, f"No batch found with id '{request.match_info['id']}'.", "not_found")
        return batch

    def _answer(self, headers: Mapping[str, str], item: Item, fault: Fault | None) -> tuple[Call, Reply]:
        return self._desk.answer(_WIRE, _ENDPOINT, item, headers, fault)


def _requests(file: File) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The lines of an input file, checked as the service checks them."""
    if len(file.data) > _MOST_BYTES:
        raise Refused(400, "The batch input file is larger than the 200MB maximum.", "file_too_large")
    lines = [line for line in file.data.split(b"\n") if line.strip()]
    if len(lines) > _MOST_ITEMS:
        raise Refused(400, "The batch input file contains more requests than the 50000 maximum.", "too_many_tasks")
    seen: set[str] = set()
    for number, text in enumerate(lines, start=1):
        line = orjson.loads(text)
        if set(line) != {"custom_id", "method", "url", "body"} or line["method"] != "POST" or line["url"] != _ENDPOINT:
            raise Refused(
                400, f"Line {number} of the input file is not a request for {_ENDPOINT}.", "invalid_json_line"
            )
        if line["custom_id"] in seen:
            raise Refused(400, f"The custom_id of line {number} was used before.", "duplicate_custom_id")
        seen.add(line["custom_id"])
        yield line["custom_id"], line["url"], line["body"]


def _line(result: Result) -> Mapping[str, Any] | None:
    id = f"batch_req_{result.item.number:06d}"  # noqa: A001  # as the service calls it
    named = {"id": id, "custom_id": result.item.id}
    if result.end is ItemEnd.MISSING:
        return None
    if result.end is not None:
        code, message = _CODES[result.end]
        return {**named, "response": None, "error": {"code": code, "message": message}}
    reply = result.reply
    assert result.call is not None
    body = _WIRE.write(result.call, reply) if reply.status == 200 else _WIRE.error(reply)
    if reply.raw is not None:
        body = orjson.loads(reply.raw)
    response = {"status_code": reply.status, "request_id": f"req_{result.item.number}", "body": body}
    return {**named, "response": response, "error": None}


def _file(file: File) -> Mapping[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.data),
        "created_at": int(file.created),
        "filename": file.name,
        "purpose": file.purpose,
    }


def _status(batch: Batch) -> str:
    if batch.failure is not None:
        return "failed"
    if batch.results is None:
        return "cancelling" if batch.cancelled else "in_progress" if batch.polls > 1 else "validating"
    if batch.cancelled:
        return "cancelled"
    return "expired" if any(result.end is ItemEnd.EXPIRED for result in batch.results) else "completed"


def _batch(batch: Batch) -> Mapping[str, Any]:
    answered, failed = batch.count(answered=True), batch.count(answered=False)
    errors = None
    if batch.failure is not None:
        told = {"code": batch.failure.code, "message": batch.failure.message, "param": None, "line": None}
        errors = {"object": "list", "data": [told]}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": _ENDPOINT,
        "errors": errors,
        "input_file_id": batch.facts["input_file_id"],
        "completion_window": "24h",
        "status": _status(batch),
        "output_file_id": f"output-of-{batch.id}" if answered else None,
        "error_file_id": f"errors-of-{batch.id}" if failed else None,
        "created_at": int(batch.created),
        "expires_at": int(batch.created) + 86_400,
        "request_counts": {"total": len(batch.items), "completed": answered, "failed": failed},
        "metadata": batch.facts["metadata"] or None,
    }
