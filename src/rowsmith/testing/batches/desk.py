"""Where the requests about batches come in: whose key is wrong is turned away, and what the script says goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from rowsmith.testing.batches.script import Item
from rowsmith.testing.batches.store import BatchStore
from rowsmith.testing.calls import NO_CALL, Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats import WireFormat

Work = Callable[[web.Request], Awaitable[web.Response | Mapping[str, Any]]]
AnswerItem = Callable[[WireFormat, str, Item, Mapping[str, str], Fault | None], tuple[Call, Reply]]
"""The call that an item would have been, from its format, path and the headers of its batch; and its reply."""


class Refused(Exception):  # noqa: N818  # a reply, not an error
    """A request that is answered with an error in the format's own words.

    Args:
        status: the HTTP status.
        message: what is wrong.
        code: the service's code.
    """

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.reply = Reply(status=status, error=message, code=code)


class Desk:
    """What a service's batch endpoints are put up at.

    Args:
        router: of the server.
        store: the batches.
        turned_away: the reply to a request with a wrong key, or None, from the key.
        answer: answers items.
        reset: ends a connection without a reply.
    """

    def __init__(
        self,
        router: web.UrlDispatcher,
        store: BatchStore,
        turned_away: Callable[[str | None], Reply | None],
        answer: AnswerItem,
        reset: Callable[[web.Request], Awaitable[Any]],
    ) -> None:
        self._router = router
        self.store = store
        self._turned_away = turned_away
        self.answer = answer
        self._reset = reset

    def route(self, method: str, path: str, operation: str, wire: WireFormat, work: Work) -> None:
        """Put up one endpoint.

        Args:
            method: `GET`, `POST` or `DELETE`.
            path: with parts in braces, as aiohttp has them.
            operation: `upload`, `submit`, `list`, `status`, `results` or `cancel`, for the script and the counters.
            wire: whose keys and errors these are.
            work: makes the reply, or raises `Refused`.
        """

        async def handle(request: web.Request) -> web.StreamResponse:
            number = self.store.operations[operation]
            self.store.operations[operation] += 1
            headers = {name.lower(): value for name, value in request.headers.items()}
            reply = self._turned_away(wire.key(headers))
            script = self.store.script
            fault = script.requests(operation, number) if script.requests else None
            changed = fault.change(NO_CALL, Reply()) if fault else Reply()
            if reply is None and fault is not None and not changed.cut:
                reply = changed
            if reply is not None:
                return _error(wire, reply)
            try:
                made = await work(request)
            except Refused as refused:
                return _error(wire, refused.reply)
            if changed.cut:
                await self._reset(request)
            return made if isinstance(made, web.Response) else _json(made)

        self._router.add_route(method, path, handle)


def _error(wire: WireFormat, reply: Reply) -> web.Response:
    body = reply.raw if reply.raw is not None else orjson.dumps(wire.error(reply))
    return web.Response(status=reply.status, body=body, headers={"Content-Type": reply.content_type, **reply.headers})


def _json(data: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(data), content_type="application/json")
