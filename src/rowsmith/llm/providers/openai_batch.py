"""OpenAI's batch endpoint: https://platform.openai.com/docs/api-reference/batch.

A file of requests is uploaded, one a line, and a batch made of it. When it has ended, its answers are in one file and
its errors in another. Azure OpenAI has the same under its `/openai/v1`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import orjson

from rowsmith.errors import MalformedReplyError, ModelNotFoundError, ProviderError, ServiceError
from rowsmith.llm import failures
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.http1 import Reply
from rowsmith.llm.providers import remote

if TYPE_CHECKING:
    from rowsmith.llm.failures import Caller
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion

LIMITS = BatchLimits(requests=50_000, bytes=200_000_000)
_UPLOAD_SECONDS = 600.0
_PAGE = 100
_SLACK = 300.0
"""Seconds that the service's clock may be behind ours."""
_ENDED = frozenset({"completed", "expired", "cancelled"})
_log = logging.getLogger("rowsmith.llm")
_NO_ROOM = frozenset({"token_limit_exceeded", "request_limit_exceeded"})


@dataclass(frozen=True, slots=True)
class OpenAIBatches:
    """The batches of one model.

    Attributes:
        base: the address, which ends in `/v1`.
        headers: of a JSON request, the key among them.
        caller: who asks.
        read: makes an answer of a reply to a single call.
        timeout: seconds that a request about a batch may take; those that move files may take longer.
    """

    limits: ClassVar[BatchLimits] = LIMITS
    """What OpenAI names."""
    price_factor: ClassVar[float] = 0.5
    """Half, for every model."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    caller: Caller
    read: Callable[[Reply, Caller], Completion] = field(repr=False)
    timeout: float

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as the service calls it
        """A line of the file."""
        return b'{"custom_id":"%b","method":"POST","url":"/v1/chat/completions","body":%b}' % (id.encode(), body)

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Upload the file and make a batch of it. A file without a batch does no harm: it expires after 30 days."""
        asked = {
            "input_file_id": await self._upload(name, items, transport),
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"name": name},
        }
        return self._id_in(await self._post("/batches", orjson.dumps(asked), transport))

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        """Look through the account's batches, the latest first, for the one with this name in its metadata."""
        del ids  # the name does
        after = ""
        while True:
            page = await self._get(f"/batches?limit={_PAGE}{after}", transport)
            batches = page.get("data") or []
            for batch in batches:
                if (batch.get("metadata") or {}).get("name") == name:
                    return str(batch["id"])
            if not page.get("has_more") or not batches or batches[-1].get("created_at", 0) < since - _SLACK:
                return None
            after = f"&after={quote(batches[-1]['id'])}"

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        """What `GET /batches/{id}` says."""
        found = await self._get(f"/batches/{quote(batch)}", transport)
        state, counts = found.get("status"), found.get("request_counts")
        total, answered, failed = (remote.tokens(counts, name) for name in ("total", "completed", "failed"))
        if state == "failed":
            told = [one for one in (found.get("errors") or {}).get("data") or () if isinstance(one, dict)]
            message = "; ".join(str(one.get("message")) for one in told[:3])
            later = bool(told) and all(one.get("code") in _NO_ROOM for one in told)
            return BatchStatus(BatchState.FAILED, total, answered, failed, self._clean(message), later)
        return BatchStatus(BatchState.ENDED if state in _ENDED else BatchState.RUNNING, total, answered, failed)

    async def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        """The lines of both files; either may be absent."""
        found = await self._get(f"/batches/{quote(batch)}", transport)
        for name in ("output_file_id", "error_file_id"):
            async for line in self._lines(_text(found, name), transport):
                yield self._result(line)

    async def cancel(self, batch: str, transport: Transport) -> None:
        """Ask for it; the service answers 409 for one that has ended."""
        try:
            await self._post(f"/batches/{quote(batch)}/cancel", b"{}", transport)
        except ServiceError as error:
            if error.status != 409:
                raise

    async def _upload(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Upload requests, one a line; the id of the file."""
        boundary = f"rowsmith-{token_hex(16)}"
        form = _form(boundary, f"{name}.jsonl", items)
        headers = {**self._but("content-type"), "Content-Type": f"multipart/form-data; boundary={boundary}"}
        longest = max(self.timeout, _UPLOAD_SECONDS)
        reply = await transport.post(f"{self.base}/files", form, headers, timeout=longest, caller=self.caller)
        return self._id_in(self._json(reply))

    def _id_in(self, said: Mapping[str, Any]) -> str:
        """The id of what was made.

        Raises:
            MalformedReplyError: there is none.
        """
        if found := _text(said, "id"):
            return found
        message = self._clean(f"the reply has no id: {orjson.dumps(said).decode()}")
        raise MalformedReplyError(message, provider=self.caller.provider, model=self.caller.model, status=200)

    async def _lines(self, file: str, transport: Transport) -> AsyncIterator[Mapping[str, Any]]:
        """The lines of a file; none where there is no file.

        One that makes no sense is left out: whose it was nobody knows, and its request is missing in the results.
        """
        if not file:
            return
        longest = max(self.timeout, _UPLOAD_SECONDS)
        url = f"{self.base}/files/{quote(file)}/content"
        reply = await transport.get(url, self.headers, timeout=longest, caller=self.caller)
        for line in reply.body.split(b"\n"):
            if not line.strip():
                continue
            try:
                read = self._json(Reply(reply.status, reply.headers, line))
            except MalformedReplyError as error:
                _log.warning("a line of %s cannot be read: %s", file, error)
            else:
                yield read

    def _result(self, line: Mapping[str, Any]) -> BatchResult:
        """What one line says: the answer, the error with which the service replied, or why it did not."""
        name = _text(line, "custom_id")
        response, error = line.get("response"), line.get("error")
        if not isinstance(response, dict):
            told = error if isinstance(error, dict) else {}
            message = f"the batch brought no answer: {told.get('message') or told.get('code') or 'no reason was given'}"
            return BatchResult(name, self._error(ServiceError, message))
        status = response.get("status_code")
        headers = {"x-request-id": str(response["request_id"])} if response.get("request_id") else {}
        body = orjson.dumps(response.get("body"))
        if status != 200:
            code = status if isinstance(status, int) and 400 <= status < 600 else 500
            return BatchResult(name, failures.from_reply(code, headers, body, self.caller))
        try:
            return BatchResult(name, self.read(Reply(200, headers, body), self.caller))
        except ProviderError as failed:
            return BatchResult(name, failed)

    def _error(self, kind: type[ProviderError], message: str) -> ProviderError:
        return kind(self._clean(message), provider=self.caller.provider, model=self.caller.model)

    def _clean(self, text: str) -> str:
        return failures.shorten(failures.scrub(text, self.caller.secrets)).rstrip(".")

    async def _get(self, path: str, transport: Transport) -> Mapping[str, Any]:
        try:
            return self._json(
                await transport.get(f"{self.base}{path}", self.headers, timeout=self.timeout, caller=self.caller)
            )
        except ModelNotFoundError as error:
            raise self._unknown(error) from error

    async def _post(self, path: str, body: bytes, transport: Transport) -> Mapping[str, Any]:
        return self._json(
            await transport.post(f"{self.base}{path}", body, self.headers, timeout=self.timeout, caller=self.caller)
        )

    def _unknown(self, error: ModelNotFoundError) -> ModelNotFoundError:
        """A 404 for a batch, which has nothing to do with the model's name."""
        return ModelNotFoundError(
            error.message,
            provider=error.provider,
            model=error.model,
            status=error.status,
            request_id=error.request_id,
            hint="Use the key of the account that the batch was handed in with; a batch that is gone for good is given "
            "up with: rowsmith cancel",
        )

    def _json(self, reply: Reply) -> Mapping[str, Any]:
        data = remote.from_bytes(reply, self.caller)
        if not isinstance(data, dict):
            raise failures.malformed("the reply is no object", reply.headers, reply.body, self.caller)
        return data

    def _but(self, name: str) -> dict[str, str]:
        return {header: value for header, value in self.headers.items() if header.lower() != name}


def _text(data: Mapping[str, Any], name: str) -> str:
    """A field that must be there; empty where it is not, which matches nothing."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _form(boundary: str, name: str, items: Sequence[bytes]) -> bytes:
    """A form of two parts (RFC 7578): the purpose, and the file."""
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return b"".join([head.encode(), b"\n".join(items), f"\n\r\n--{boundary}--\r\n".encode()])
