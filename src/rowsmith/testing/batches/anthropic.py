"""Anthropic's batch endpoints: https://platform.claude.com/docs/en/api/messages/batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from rowsmith.testing.batches.desk import Desk, Refused
from rowsmith.testing.batches.script import Item, ItemEnd
from rowsmith.testing.batches.store import Batch, Result
from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats.anthropic import AnthropicMessages

_MOST_ITEMS = 100_000
_PATH = "/v1/messages"
_BATCHES = f"{_PATH}/batches"
_PAGE = 20
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ENDS = {ItemEnd.EXPIRED: "expired", ItemEnd.CANCELLED: "canceled"}
_DAY = 86_400.0
_WIRE = AnthropicMessages()


class AnthropicBatchEndpoints:
    """`/v1/messages/batches`. Nothing there is refused as a whole once it is created: by `fails`, each item errs."""

    name = "anthropic"

    def open(self, desk: Desk) -> None:
        """Put the endpoints up."""
        endpoints = _Endpoints(desk)
        for method, path, operation, work in (
            ("POST", _BATCHES, "submit", endpoints.create),
            ("GET", _BATCHES, "list", endpoints.listing),
            ("GET", f"{_BATCHES}/{{id}}", "status", endpoints.status),
            ("GET", f"{_BATCHES}/{{id}}/results", "results", endpoints.results),
            ("POST", f"{_BATCHES}/{{id}}/cancel", "cancel", endpoints.cancel),
        ):
            desk.route(method, path, operation, _WIRE, work)


class _Endpoints:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store

    async def create(self, request: web.Request) -> Mapping[str, Any]:
        asked = orjson.loads(await request.read())
        headers = {name.lower(): value for name, value in request.headers.items()}
        requests = list(_requests(asked))
        return _batch(self._store.add_batch("anthropic", requests, partial(self._answer, headers)))

    async def listing(self, request: web.Request) -> Mapping[str, Any]:
        found = self._store.listed("anthropic")
        after = request.query.get("after_id")
        ids = [batch.id for batch in found]
        start = ids.index(after) + 1 if after in ids else 0
        limit = int(request.query.get("limit", _PAGE))
        page = found[start : start + limit]
        return {
            "data": [_batch(self._store.poll(batch)) for batch in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": start + limit < len(found),
        }

    async def status(self, request: web.Request) -> Mapping[str, Any]:
        return _batch(self._store.poll(self._named(request)))

    async def results(self, request: web.Request) -> web.Response:
        batch = self._named(request)
        results = _results(batch)
        if results is None:
            raise Refused(404, f"{batch.id} has no available results yet.")
        batch.fetched += 1
        lines = (_line(result) for result in results)
        data = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines if line)
        return web.Response(body=data, content_type="application/x-jsonl")

    async def cancel(self, request: web.Request) -> Mapping[str, Any]:
        batch = self._named(request)
        if batch.ended:
            raise Refused(400, f"Batch {batch.id} cannot be canceled because it has already ended.")
        return _batch(self._store.cancel(batch))

    def _named(self, request: web.Request) -> Batch:
        batch = self._store.batches.get(request.match_info["id"])
        if batch is None:
            raise Refused(404, f"Message batch {request.match_info['id']} was not found.")
        return batch

    def _answer(self, headers: Mapping[str, str], item: Item, fault: Fault | None) -> tuple[Call, Reply]:
        return self._desk.answer(_WIRE, _PATH, item, headers, fault)


def _requests(asked: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The requests of a batch, checked as the service checks them."""
    requests = asked.get("requests") if isinstance(asked, dict) else None
    if not isinstance(requests, list) or not requests:
        raise Refused(400, "requests: Field required")
    if len(requests) > _MOST_ITEMS:
        raise Refused(400, f"requests: List should have at most {_MOST_ITEMS} items")
    seen: set[str] = set()
    for at, request in enumerate(requests):
        if set(request) != {"custom_id", "params"} or not _ID.fullmatch(request["custom_id"]):
            raise Refused(400, f"requests.{at}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        if request["custom_id"] in seen:
            raise Refused(400, f"requests.{at}.custom_id: must be unique within the batch")
        seen.add(request["custom_id"])
        yield request["custom_id"], _PATH, request["params"]


def _results(batch: Batch) -> list[Result] | None:
    if batch.failure is None:
        return batch.results
    reply = Reply(status=400, error=batch.failure.message, code=batch.failure.code)
    return [Result(item, reply=reply) for item in batch.items]


def _line(result: Result) -> Mapping[str, Any] | None:
    if result.end is ItemEnd.MISSING:
        return None
    return {"custom_id": result.item.id, "result": _result(result)}


def _result(result: Result) -> Mapping[str, Any]:
    if result.end is not None:
        return {"type": _ENDS[result.end]}
    reply = result.reply
    if reply.status != 200:
        return {"type": "errored", "error": _WIRE.error(reply)}
    assert result.call is not None
    message = orjson.loads(reply.raw) if reply.raw is not None else _WIRE.write(result.call, reply)
    return {"type": "succeeded", "message": message}


def _counts(batch: Batch) -> Mapping[str, int]:
    """How many items came to what; all of them are under way until the batch has ended."""
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    results = _results(batch)
    if results is None:
        return counts | {"processing": len(batch.items)}
    for result in results:
        end = _ENDS.get(result.end, "expired") if result.end is not None else None
        counts[end or ("succeeded" if result.answered else "errored")] += 1
    return counts


def _batch(batch: Batch) -> Mapping[str, Any]:
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if batch.ended else "canceling" if batch.cancelled else "in_progress",
        "request_counts": _counts(batch),
        "created_at": _moment(batch.created),
        "expires_at": _moment(batch.created + _DAY),
        "ended_at": _moment(batch.created) if batch.ended else None,
        "cancel_initiated_at": _moment(batch.created) if batch.cancelled else None,
        "archived_at": None,
        "results_url": f"https://api.anthropic.com{_BATCHES}/{batch.id}/results" if batch.ended else None,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
