"""`python -m rowsmith.testing.fast`: a server that costs next to nothing, to measure clients against.

It speaks as much HTTP/1.1 as a client with keep-alive and `Content-Length` needs. Every POST, whatever its body, gets
an answer whose content is `{"entries": [{"text": ...}, ...]}`, its texts about 120 characters long and no two alike.
The path decides its format: Anthropic's, Gemini's, Ollama's, or else OpenAI's. `GET /__calls` gives
`{"count": ..., "max_in_flight_seen": ...}`. Its first line of output is JSON: `{"url": ..., "base_url": ...,
"pid": ...}`. All else is in `python -m rowsmith.testing`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, cast

from rowsmith.llm.filler.material import words_of

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
_CONTENT: Final = b'{\\"entries\\":[%s]}'
_OPENAI: Final = (
    b'{"id":"chatcmpl-fast","object":"chat.completion","created":0,"model":"fast","choices":[{"index":0,"message":'
    b'{"role":"assistant","refusal":null,"content":"' + _CONTENT + b'"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":60,"completion_tokens":40,"total_tokens":100}}'
)
_ANTHROPIC: Final = (
    b'{"id":"msg_fast","type":"message","role":"assistant","model":"fast","content":[{"type":"text","text":"'
    + _CONTENT
    + b'"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":60,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":40,"service_tier":"standard"}}'
)
_GEMINI: Final = (
    b'{"candidates":[{"content":{"parts":[{"text":"' + _CONTENT + b'"}],"role":"model"},"finishReason":"STOP",'
    b'"index":0}],"usageMetadata":{"promptTokenCount":60,"candidatesTokenCount":40,"totalTokenCount":100},'
    b'"modelVersion":"fast","responseId":"fast"}'
)
_OLLAMA: Final = (
    b'{"model":"fast","created_at":"2025-01-01T00:00:00.000000Z","message":{"role":"assistant","content":"'
    + _CONTENT
    + b'"},"done":true,"done_reason":"stop","total_duration":1000000,"load_duration":1000,"prompt_eval_count":60,'
    b'"prompt_eval_duration":1000,"eval_count":40,"eval_duration":1000}'
)
_BY_PATH: Final = {b"/v1/messages": _ANTHROPIC, b"/api/chat": _OLLAMA}


def _form(head: bytes) -> bytes:
    """What is answered to a POST with this head, in lower case."""
    path = head[5 : head.find(b" ", 5)]
    return _GEMINI if path.endswith(b":generatecontent") else _BY_PATH.get(path, _OPENAI)


def _word_list() -> list[bytes]:
    """256 short English words without anything that JSON would escape."""
    words = {word.lower() for lines in words_of("en").lists.values() for line in lines for word in line.split()}
    plain = sorted(word for word in words if word.isascii() and word.isalpha() and 4 <= len(word) <= 9)
    return [word.encode() for word in plain[:256]]


class Answers:
    """Makes the replies and counts them.

    Args:
        entries: how many texts each reply has.
    """

    def __init__(self, entries: int) -> None:
        self.count = 0
        self.in_flight = 0
        self.max_in_flight_seen = 0
        self._entries = entries
        self._words = _word_list()
        self._salt = os.urandom(8)
        self._texts = 0

    def next(self, form: bytes = _OPENAI) -> bytes:
        """The next whole reply, head and body."""
        self.count += 1
        inner = self._text() if self._entries == 1 else b",".join([self._text() for _ in range(self._entries)])
        body = form % inner
        return _HEAD + b"%d\r\n\r\n" % len(body) + body

    def _text(self) -> bytes:
        self._texts += 1
        digest = blake2b(self._salt + self._texts.to_bytes(8, "little"), digest_size=16).digest()
        words = self._words
        return b'{\\"text\\":\\"' + b" ".join([words[byte] for byte in digest]) + b'.\\"}'

    def shown(self) -> bytes:
        """The reply to `GET /__calls`."""
        body = json.dumps({"count": self.count, "max_in_flight_seen": self.max_in_flight_seen}).encode()
        return _HEAD + b"%d\r\n\r\n" % len(body) + body


class Connection(asyncio.Protocol):
    """One client. Requests may come in pieces or several at once."""

    __slots__ = ("_answers", "_call_later", "_latency", "_rest", "_transport")

    def __init__(self, answers: Answers, latency: float, call_later: Callable[..., object]) -> None:
        self._answers = answers
        self._latency = latency
        self._call_later = call_later
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            head = data[:end].lower()
            at = head.find(b"content-length:")
            # Without a length there is no body: a GET.
            total = end + 4 if at < 0 else end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(data) < total:
                break
            data = data[total:]
            if head.startswith(b"post"):
                self._answer(_form(head))
            else:
                self._transport.write(self._answers.shown())
        self._rest = data

    def _answer(self, form: bytes) -> None:
        answers = self._answers
        if not self._latency:
            self._transport.write(answers.next(form))
            return
        answers.in_flight += 1
        if answers.in_flight > answers.max_in_flight_seen:
            answers.max_in_flight_seen = answers.in_flight
        self._call_later(self._latency, self._send, form)

    def _send(self, form: bytes) -> None:
        self._answers.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(self._answers.next(form))


async def serve(port: int, latency: float, entries: int) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    answers = Answers(entries)
    server = await loop.create_server(
        lambda: Connection(answers, latency, loop.call_later), "127.0.0.1", port, backlog=4096
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps({"url": url, "base_url": f"{url}/v1", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m rowsmith.testing.fast", description="A server of little cost.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--entries", type=int, default=1, help="texts in each reply")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.latency, given.entries))


if __name__ == "__main__":
    main()
