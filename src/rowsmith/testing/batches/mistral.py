"""Mistral's batch jobs: https://docs.mistral.ai/api/endpoint/batch. Its `/v1/files` are those of OpenAI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from rowsmith.testing.batches.desk import Desk, Refused
from rowsmith.testing.batches.script import Item, ItemEnd
from rowsmith.testing.batches.store import Batch, File
from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats.openai import OpenAIChat

_ENDPOINT = "/v1/chat/completions"
_PAGE = 100
_WIRE = OpenAIChat()


class MistralBatchEndpoints:
    """`/v1/batch/jobs`."""

    name = "mistral"

    def open(self, desk: Desk) -> None:
        """Put the endpoints up."""
        endpoints = _Endpoints(desk)
        for method, path, operation, work in (
            ("POST", "/v1/batch/jobs", "submit", endpoints.create),
            ("GET", "/v1/batch/jobs", "list", endpoints.listing),
            ("GET", "/v1/batch/jobs/{id}", "status", endpoints.status),
            ("POST", "/v1/batch/jobs/{id}/cancel", "cancel", endpoints.cancel),
        ):
            desk.route(method, path, operation, _WIRE, work)


class _Endpoints:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store

    async def create(self, request: web.Request) -> Mapping[str, Any]:
        asked = orjson.loads(await request.read())
        files = [self._store.files.get(name) for name in asked.get("input_files") or ()]
        if len(files) != 1 or files[0] is None or files[0].purpose != "batch":
            raise Refused(404, "No file matches the given query.", "3051")
        if asked.get("endpoint") != _ENDPOINT or not isinstance(asked.get("model"), str):
            raise Refused(422, "body.endpoint: Input should be an endpoint; body.model: Field required")
        headers = {name.lower(): value for name, value in request.headers.items()}
        batch = self._store.add_batch(
            "mistral",
            list(_requests(files[0], asked["model"])),
            partial(self._answer, headers),
            name=(asked.get("metadata") or {}).get("name", ""),
            metadata=asked.get("metadata"),
            input_file_id=files[0].id,
            model=asked["model"],
        )
        return _job(batch)

    async def listing(self, request: web.Request) -> Mapping[str, Any]:
        query = request.query
        after = query.get("created_after")
        since = datetime.fromisoformat(after).timestamp() if after else 0.0
        found = [batch for batch in self._store.listed("mistral") if batch.created >= since]
        size = int(query.get("page_size", _PAGE))
        start = int(query.get("page", 0)) * size
        return {"object": "list", "data": [_job(batch) for batch in found[start : start + size]], "total": len(found)}

    async def status(self, request: web.Request) -> Mapping[str, Any]:
        return _job(self._store.poll(self._named(request)))

    async def cancel(self, request: web.Request) -> Mapping[str, Any]:
        batch = self._named(request)
        if batch.ended:
            raise Refused(400, f"Cannot cancel a job with status {_status(batch)}.")
        return _job(self._store.cancel(batch))

    def _named(self, request: web.Request) -> Batch:
        batch = self._store.batches.get(request.match_info["id"])
        if batch is None:
            raise Refused(404, f"No job found with id {request.match_info['id']}.")
        return batch

    def _answer(self, headers: Mapping[str, str], item: Item, fault: Fault | None) -> tuple[Call, Reply]:
        return self._desk.answer(_WIRE, _ENDPOINT, item, headers, fault)


def _requests(file: File, model: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The lines of an input file, checked as the service checks them."""
    for number, text in enumerate((line for line in file.data.split(b"\n") if line.strip()), start=1):
        line = orjson.loads(text)
        if set(line) != {"custom_id", "body"} or line["body"].get("model", model) != model:
            raise Refused(422, f"Line {number} of the input file is not a request to {model}.")
        yield line["custom_id"], _ENDPOINT, line["body"]


def _status(batch: Batch) -> str:
    if batch.failure is not None:
        return "FAILED"
    if batch.results is None:
        return "CANCELLATION_REQUESTED" if batch.cancelled else "RUNNING" if batch.polls > 1 else "QUEUED"
    if batch.cancelled:
        return "CANCELLED"
    return "TIMEOUT_EXCEEDED" if any(one.end is ItemEnd.EXPIRED for one in batch.results) else "SUCCESS"


def _job(batch: Batch) -> Mapping[str, Any]:
    answered, failed = batch.count(answered=True), batch.count(answered=False)
    return {
        "id": batch.id,
        "object": "batch",
        "input_files": [batch.facts["input_file_id"]],
        "metadata": batch.facts["metadata"],
        "endpoint": _ENDPOINT,
        "model": batch.facts["model"],
        "output_file": f"output-of-{batch.id}" if answered else None,
        "error_file": f"errors-of-{batch.id}" if failed else None,
        "errors": [{"message": batch.failure.message, "count": 1}] if batch.failure is not None else [],
        "status": _status(batch),
        "created_at": int(batch.created),
        "total_requests": len(batch.items),
        "completed_requests": answered + failed,
        "succeeded_requests": answered,
        "failed_requests": failed,
    }
