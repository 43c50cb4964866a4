"""aimock (https://github.com/CopilotKit/aimock): a server of made-up answers in the formats of many services.

It is written in JavaScript by others, and reads our requests by its own understanding of each format.
`python tests/support/aimock.py` installs it; that is the one time that npm's registry is asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

if not __package__:  # started as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.server_process import INSTALLED, ServerProcess

PACKAGE: Final = "@copilotkit/aimock"
VERSION: Final = "1.43.0"
FOLDER: Final = INSTALLED / "npm"
GUARD: Final = Path(__file__).with_name("network_guard.cjs")
INSTALL_TIMEOUT: Final = 90.0
"""Seconds; an installation takes two to five. A registry that cannot be reached must not hold everything up."""
START_TIMEOUT: Final = 30.0
"""Seconds; a start takes about a third of one."""
_FIRST: Final = {"match": {"userMessage": "Are you there?"}, "response": {"content": "Yes."}}
"""It does not start without any."""


def lacking() -> str | None:
    """What keeps the server from being started here, or None."""
    if shutil.which("node") is None:
        return "aimock needs node"
    manifest = FOLDER / "node_modules" / PACKAGE / "package.json"
    if not manifest.exists() or json.loads(manifest.read_bytes())["version"] != VERSION:
        return f"{PACKAGE} {VERSION} is not installed: make servers"
    return None


def install() -> None:
    """Install the package, pinned, into its folder. It depends on no other.

    Raises:
        CalledProcessError: npm could not.
        TimeoutExpired: nor did it give up.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    flags = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    patience = ("--fetch-timeout=20000", "--fetch-retries=1", "--fetch-retry-maxtimeout=2000")
    command = ["npm", "install", "--prefix", str(FOLDER), *flags, *patience, f"{PACKAGE}@{VERSION}"]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT)


class AIMock:
    """A running aimock, ready once the constructor returns.

    A request that no fixture matches is answered with 503, and one without the key with 401.

    Args:
        folder: for its log; nothing else is written.
        key: the key that it demands.
    """

    def __init__(self, folder: Path, *, key: str) -> None:
        self.key = key
        fixtures = folder / "fixtures.json"
        fixtures.write_text(json.dumps({"fixtures": [_FIRST]}), encoding="utf-8")
        program = FOLDER / "node_modules" / PACKAGE / "dist" / "cli.js"
        self._process = ServerProcess(
            ["node", "--require", GUARD, program, "--port", "0", "--fixtures", fixtures, "--strict"],
            folder,
            {"AIMOCK_API_KEYS": key},
        )
        self.url = self._process.wait_for(self._address, START_TIMEOUT)
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def answers(self, match: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        """Answer what matches with a response; of two that match, the one that came first answers."""
        self.add([{"match": match, "response": response}])

    def add(self, fixtures: Iterable[Mapping[str, Any]]) -> None:
        """Add fixtures in aimock's own form."""
        self._control("POST", "fixtures", {"fixtures": list(fixtures)})

    def fail_once(self, status: int, message: str) -> None:
        """Answer the next request with an error."""
        self._control("POST", "error", {"status": status, "body": {"message": message}})

    def chaos(self, **rates: float) -> None:
        """Let things go wrong from now on: `dropRate`, `malformedRate`, `rateLimitRate`, `disconnectRate` (each a
        probability) and `latencyMs`.
        """
        self._control("POST", "chaos", rates)

    def reset(self) -> None:
        """Forget fixtures, chaos and journal."""
        self._control("DELETE", "chaos")
        self._control("POST", "reset")

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The requests since the last reset; the body of each as aimock understood it, whatever its format."""
        entries: list[dict[str, Any]] = self._control("GET", "journal")
        return entries

    def _control(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/__aimock/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())

    def _address(self) -> str | None:
        found = re.search(r"listening on (http://\S+)", self._process.log)
        return found and found[1]


def main() -> None:
    """Install it where that can be done. The tests that need it are skipped elsewhere, and say why."""
    os.environ.setdefault("npm_config_update_notifier", "false")
    if shutil.which("npm") is None:
        print("There is no npm: the tests against aimock will be skipped.")
        return
    try:
        install()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"npm failed: the tests against aimock will be skipped. {error}")


if __name__ == "__main__":
    main()
