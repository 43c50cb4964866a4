"""aiohttp is what the scripted server is made of; nothing else needs it."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = "import sys\nsys.modules['aiohttp'] = None\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, check=False)


def test_without_it_the_scripted_server_says_what_to_install() -> None:
    done = run(
        "import rowsmith.testing\nfrom rowsmith.testing import RateLimited\nfrom rowsmith.testing import ScriptedServer"
    )
    assert done.returncode == 1
    assert "MissingDependencyError" in done.stderr.splitlines()[-1]
    assert "pip install 'rowsmith[testing]'" in done.stderr.splitlines()[-1]


def test_without_it_rowsmith_reaches_a_server_and_makes_rows() -> None:
    done = run(
        "import asyncio, rowsmith.testing.fast\n"
        "from rowsmith.llm.transport import Caller, Transport\n"
        "from rowsmith.testing.fast import Answers, Connection\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    make = lambda: Connection(Answers(1), 0.0, loop.call_later)\n"
        "    server = await loop.create_server(make, '127.0.0.1', 0)\n"
        "    url = 'http://127.0.0.1:%d/' % server.sockets[0].getsockname()[1]\n"
        "    async with Transport() as transport:\n"
        "        reply = await transport.post(url, b'{}', {}, timeout=5, caller=Caller('openai', 'fast'))\n"
        "    server.close()\n"
        "    assert reply.status == 200\n"
        "asyncio.run(main())\n"
        "from rowsmith.cli import main\n"
        "sys.argv = ['rowsmith', 'demo', '--quiet']\n"
        "main()\n"
    )
    assert done.returncode == 0, done.stderr
