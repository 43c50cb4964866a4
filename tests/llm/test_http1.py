"""Replies from bytes: every framing there is, cut at every place, and what is no reply."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import ConfigError
from rowsmith.llm import http1
from rowsmith.llm.heads import LARGEST_HEAD, BadReplyError, Headers, parse_head, request_head
from rowsmith.llm.http1 import IncompleteReplyError, Reply, ReplyParser


class Case(NamedTuple):
    """A reply, what must come of it, and whether only the end of the connection ends it."""

    sent: bytes
    status: int
    body: bytes
    reusable: bool = True
    until_close: bool = False


OK = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"text " * 50, mtime=0)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CASES = {
    "length": Case(OK + b"Content-Length: 4\r\n\r\nbody", 200, b"body"),
    "empty": Case(OK + b"content-length:0\r\n\r\n", 200, b""),
    "no reason": Case(b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody", 200, b"body"),
    "the same length twice": Case(OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 200, b"body"),
    "an end of lines in the body": Case(OK + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", 200, b"\r\n" * 4),
    "chunks": Case(CHUNKED + b"4\r\nbody\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, b"body0123456789"),
    "chunks with extensions": Case(CHUNKED + b'4 ;a="b;c"\r\nbody\r\n000;x\r\n\r\n', 200, b"body"),
    "chunks with a trailer": Case(CHUNKED + b"4\r\nb\r\ny\r\n0\r\nDigest: x\r\nA: b\r\n\r\n", 200, b"b\r\ny"),
    "until close": Case(OK + b"\r\nall the rest", 200, b"all the rest", reusable=False, until_close=True),
    "HTTP/1.0": Case(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", 200, b"body", reusable=False),
    "HTTP/1.0 kept": Case(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nb", 200, b"b"),
    "close": Case(OK + b"Connection: foo, CLOSE\r\nContent-Length: 4\r\n\r\nbody", 200, b"body", reusable=False),
    "204": Case(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304": Case(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, b""),
    "interim": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nhi",
        200,
        b"hi",
    ),
    "surplus": Case(OK + b"Content-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\n", 200, b"body", reusable=False),
    "surplus after chunks": Case(CHUNKED + b"1\r\nb\r\n0\r\n\r\nmore", 200, b"b", reusable=False),
    "gzip": Case(
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED, 200, b"text " * 50
    ),
    "gzip in chunks": Case(
        OK
        + b"Content-Encoding: gzip\r\nTransfer-Encoding: Chunked\r\n\r\n%x\r\n" % len(PACKED)
        + PACKED
        + b"\r\n0\r\n\r\n",
        200,
        b"text " * 50,
    ),
}


def cut(data: bytes, places: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(places), len(data)]) if start < end]


def read(pieces: list[bytes], *, until_close: bool = False) -> tuple[Reply, bool]:
    """The reply from its pieces, and whether the connection can be used again: surplus may come when it is complete."""
    parser = ReplyParser()
    for number, piece in enumerate(pieces):
        reply = parser.feed(piece)
        if reply is not None:
            return reply, parser.reusable and number == len(pieces) - 1
    reply = parser.end()
    assert reply is not None, "the reply is not complete"
    assert until_close
    return reply, parser.reusable


def check(case: Case, pieces: list[bytes]) -> None:
    reply, reusable = read(pieces, until_close=case.until_close)
    assert (reply.status, reply.body, reusable) == (case.status, case.body, case.reusable)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_reply_is_the_same_wherever_the_network_cuts_it(case: Case) -> None:
    check(case, [case.sent])
    check(case, [case.sent[at : at + 1] for at in range(len(case.sent))])
    for place in range(len(case.sent)):
        check(case, cut(case.sent, [place]))


@given(st.data())
def test_a_reply_is_the_same_in_any_number_of_pieces(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(list(CASES.values())))
    check(case, cut(case.sent, data.draw(st.lists(st.integers(0, len(case.sent)), max_size=8))))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.data())
def test_chunks_of_any_size_make_the_body_they_were_made_of(chunks: list[bytes], data: st.DataObject) -> None:
    sent = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    reply, reusable = read(cut(sent, data.draw(st.lists(st.integers(0, len(sent)), max_size=5))))
    assert (reply.body, reusable) == (b"".join(chunks), True)


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.reusable], ids=repr)
def test_one_parser_reads_reply_after_reply(case: Case) -> None:
    parser = ReplyParser()
    for each in (case, CASES["chunks"], case, CASES["length"], case):
        reply = parser.feed(each.sent)
        assert reply is not None
        assert (reply.status, reply.body, parser.reusable) == (each.status, each.body, True)


@pytest.mark.parametrize("case", [case for name, case in CASES.items() if "surplus" not in name], ids=repr)
def test_a_reply_that_breaks_off_is_no_reply(case: Case) -> None:
    shortest = case.sent.index(b"\r\n\r\n") + 4 if case.until_close else len(case.sent)
    for end in range(shortest):
        parser = ReplyParser()
        assert end == 0 or parser.feed(case.sent[:end]) is None
        assert parser.end() is None


BAD = [
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"<html>",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.2 200 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 +20 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 30,
    OK + b"no colon\r\n\r\n",
    OK + b": no name\r\n\r\n",
    OK + b"Content-Length : 4\r\n\r\nbody",
    OK + b" Content-Length: 4\r\n\r\nbody",
    OK + b"A: b\r\n folded\r\nContent-Length: 4\r\n\r\nbody",
    OK + b"A: b\r\n\tfolded\r\n\r\n",
    OK + b"A: b\nContent-Length: 4\r\n\r\nbody",
    OK + b"A: b\rContent-Length: 4\r\n\r\nbody",
    OK + b"A: b\0\r\n\r\n",
    OK + b"N\xc3\xa4me: b\r\n\r\n",
    OK + b"Content-Length: four\r\n\r\n",
    OK + b"Content-Length:\r\n\r\n",
    OK + b"Content-Length: -1\r\n\r\n",
    OK + b"Content-Length: +1\r\n\r\n",
    OK + b"Content-Length: 0x4\r\n\r\n",
    OK + b"Content-Length: 1_0\r\n\r\n",
    OK + b"Content-Length: \xb2\r\n\r\n",
    OK + b"Content-Length: 4, 5\r\n\r\n",
    OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    OK + b"Content-Length: 9999999999\r\n\r\n",
    OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\n",
    OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"\r\n",
    CHUNKED + b"-4\r\nbody\r\n",
    CHUNKED + b"0x4\r\nbody\r\n",
    CHUNKED + b"4_0\r\n",
    CHUNKED + b" 4\r\nbody\r\n",
    CHUNKED + b"4;a\nb\r\nbody\r\n",
    CHUNKED + b"4;" + b"a" * 10_000,
    CHUNKED + b"4" * 17 + b"\r\n",
    CHUNKED + b"fffffffff\r\n",
    CHUNKED + b"4\r\nbody4\r\n",
    CHUNKED + b"4\r\nbodyandmore\r\n",
    CHUNKED + b"0\r\nno colon\r\n\r\n",
    CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000,
    OK + b"Content-Length: 4\r\nContent-Encoding: br\r\n\r\nbody",
    OK + b"A: " + b"b" * LARGEST_HEAD,
    OK + b"A: " + b"b" * LARGEST_HEAD + b"\r\n\r\n",
]


@pytest.mark.parametrize("sent", BAD, ids=lambda sent: repr(sent[:60]))
def test_what_is_no_reply_or_not_clear_is_refused_however_it_comes(sent: bytes) -> None:
    with pytest.raises(BadReplyError):
        ReplyParser().feed(sent)
    with pytest.raises(BadReplyError):
        read(cut(sent, list(range(0, len(sent), 7))))


@given(
    st.lists(st.binary(max_size=100), max_size=5),
    st.sampled_from([b"", OK, CHUNKED, OK + b"Content-Encoding: gzip\r\n"]),
)
def test_any_bytes_are_a_reply_or_one_of_two_errors(pieces: list[bytes], begun: bytes) -> None:
    parser = ReplyParser()
    with suppress(BadReplyError, IncompleteReplyError):
        for piece in (begun, *pieces):
            reply = parser.feed(piece) or parser.end()
            if reply is not None:
                assert reply.status == 200
                break


def test_a_chunked_reply_of_http_1_0_ends_its_connection() -> None:
    _, reusable = read([b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
    assert not reusable


@pytest.mark.parametrize("head", [OK, OK + b"Content-Length: 100\r\n", OK + b"Transfer-Encoding: chunked\r\n"])
def test_a_tunnel_begins_where_the_head_ends(head: bytes) -> None:
    parser = ReplyParser()
    parser.tunnel = True
    reply = parser.feed(head + b"\r\n")
    assert reply is not None
    assert parser.reusable


def test_a_tunnel_that_is_refused_has_a_body() -> None:
    parser = ReplyParser()
    parser.tunnel = True
    reply = parser.feed(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno")
    assert reply is not None
    assert (reply.status, reply.body) == (407, b"no")


def packed(body: bytes, coding: bytes) -> bytes:
    return OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(b"text", mtime=0), b"GZIP"),
        (gzip.compress(b"te", mtime=0) + gzip.compress(b"xt", mtime=0), b"x-gzip"),
        (zlib.compress(b"text"), b"deflate"),
        (zlib.compress(b"text")[2:-4], b"deflate"),
        (b"text", b"identity"),
    ],
    ids=["gzip", "two parts", "deflate", "raw deflate", "identity"],
)
def test_a_packed_body_is_unpacked(body: bytes, coding: bytes) -> None:
    reply, _ = read([packed(body, coding)])
    assert reply.body == b"text"


@pytest.mark.parametrize(
    "body", [b"text", gzip.compress(b"text", mtime=0)[:-5], gzip.compress(b"text", mtime=0) + b"text"]
)
def test_a_packed_body_that_is_damaged_is_incomplete(body: bytes) -> None:
    with pytest.raises(IncompleteReplyError):
        read([packed(body, b"gzip")])


@pytest.mark.parametrize(
    "sent",
    [
        packed(gzip.compress(b" " * 1001, mtime=0), b"gzip"),
        OK + b"\r\n" + b" " * 1001,
        CHUNKED + b"1f4\r\n" + b" " * 500 + b"\r\n1f5\r\n",
        OK + b"Content-Length: 1001\r\n\r\n",
    ],
    ids=["packed", "until close", "chunked", "length"],
)
def test_no_body_is_larger_than_the_limit(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "LARGEST_BODY", 1000)
    with pytest.raises(BadReplyError, match="larger"):
        read(cut(sent, [100]), until_close=True)


def test_headers_are_found_whatever_their_case() -> None:
    _, _, fields = parse_head(OK + b"X-Request-ID:  req_1\t\r\nVia: a\r\nVIA: b\r\nEmpty:\r\nWord: \xe9")
    headers = Headers(fields)
    assert headers["x-request-id"] == headers["X-Request-Id"] == headers.get("X-REQUEST-ID") == "req_1"
    assert headers["via"] == "a, b"
    assert headers["empty"] == ""
    assert headers["word"] == "é"
    assert headers.get("nothing") is None
    assert headers.get("nothing", "else") == "else"
    assert "Via" in headers
    assert "nothing" not in headers
    assert "ключ" not in headers
    assert list(headers) == ["x-request-id", "via", "empty", "word"]
    assert len(headers) == 4
    with pytest.raises(KeyError, match="Nothing"):
        headers["Nothing"]


def test_the_head_of_a_request_has_what_it_needs_and_the_callers_headers_win() -> None:
    head = request_head("POST", "/v1?a=b", "host:80", {"user-agent": "mine", "X-Name": "Zoë"})
    assert head == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: host:80\r\nuser-agent: mine\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nX-Name: Zo\xc3\xab\r\nContent-Length: "
    )
    assert request_head("GET", "/", "h", {}).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Key": "a-secret\r\nEvil: 1"},
        {"X-Key": "a-secret\n"},
        {"X-Key": "a-secret\0"},
        {"X-Key": "a-secret\ud800"},
        {"X Key": "a-secret"},
        {"": "a-secret"},
        {"X-Key:": "a-secret"},
        {"content-length": "7"},
        {"Transfer-Encoding": "chunked"},
    ],
    ids=repr,
)
def test_a_header_that_would_change_the_request_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        request_head("POST", "/", "h", headers)
    assert "a-secret" not in str(caught.value)
    assert caught.value.__context__ is None
