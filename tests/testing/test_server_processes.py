"""The servers as processes of their own, and the package as others import it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from rowsmith import testing
from rowsmith.testing import (
    ScriptedServer,
)

from .plain_client import Start, post, question


def started(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    with process:
        return process.wait(10)


def test_as_a_process_it_prints_its_address_and_counts_over_http(scripted_server: Start) -> None:
    process, address = started(
        "rowsmith.testing", "--fault", "RateLimited(retry_after=2)", "--fault", "None", "--chance", "Empty=1.0",
        "--hints", '{"num_samples": 1}', "--api-key", "k", "--rpm", "100",
    )  # fmt: skip
    try:
        assert address["pid"] == process.pid
        assert address["base_url"] == address["url"] + "/v1"
        remote = ScriptedServer(port=int(address["url"].rpartition(":")[2]))  # for its address alone
        limited, empty = (post(remote, Authorization="Bearer k") for _ in range(2))
        assert (limited.status, limited.headers["Retry-After"], empty.text) == (429, "2", "")
        with urllib.request.urlopen(address["url"] + "/__calls?calls=1") as reply:
            shown = json.load(reply)
        assert (shown["count"], shown["repeated"], shown["statuses"]) == (2, 1, {"429": 1, "200": 1})
        assert [call["fault"] for call in shown["calls"]] == ["RateLimited", "Empty"]
    finally:
        assert ended(process) == 0


@pytest.mark.parametrize(
    "written", ["os.remove('x')", "Nothing", "ServerError(", "RateLimited(sleep(1))", "ScriptedServer"]
)
def test_on_the_command_line_only_faults_are_understood(written: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rowsmith.testing", "--fault", written], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not a fault" in done.stderr


def test_the_fast_server_answers_with_texts_of_which_no_two_are_alike() -> None:
    process, address = started("rowsmith.testing.fast", "--entries", "3", "--latency", "0.01")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(address["url"].rpartition(":")[2]))
        texts = []
        for at in range(30):
            connection.request("POST", "/v1/chat/completions", json.dumps(question("x" * at * 4000)))
            got = json.loads(connection.getresponse().read())
            texts += [entry["text"] for entry in json.loads(got["choices"][0]["message"]["content"])["entries"]]
        assert len(set(texts)) == 90
        assert 90 < sum(map(len, texts)) / 90 < 150
        connection.request("GET", "/__calls")
        assert json.loads(connection.getresponse().read()) == {"count": 30, "max_in_flight_seen": 1}
        connection.close()
    finally:
        assert ended(process) == 0


def test_the_fast_server_takes_several_requests_at_once_and_in_pieces() -> None:
    process, address = started("rowsmith.testing.fast")
    try:
        one = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\n{}  "
        with socket.create_connection(("127.0.0.1", int(address["url"].rpartition(":")[2]))) as client:
            for byte in one:
                client.sendall(bytes([byte]))
            client.sendall(one * 3 + one[:20])
            client.sendall(one[20:])
            got = b""
            while got.count(b"HTTP/1.1 200") < 5 or not got.endswith(b"}"):
                got += client.recv(1 << 16)
    finally:
        assert ended(process) == 0


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert dir(testing) == testing.__all__
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(testing, "Nothing")  # noqa: B009 - a type checker would refuse the plain form


def test_importing_the_package_loads_no_server() -> None:
    code = "import sys, rowsmith.testing; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "False"
