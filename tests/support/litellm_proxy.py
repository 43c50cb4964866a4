"""The LiteLLM proxy in front of another server, without database and without the network.

`LiteLLMProxy` starts this module as a process of its own: by the interpreter of the folder that `make` installs the
proxy into, since it pins releases of what Rowsmith depends on, or else by ours.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

from support.server_process import INSTALLED, ServerProcess

IMPORT_ROOT: Final = Path(__file__).resolve().parents[1]
START_TIMEOUT: Final = 110.0
"""Seconds; its imports alone take about 12 of processor time."""
OFFLINE: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "true",
    "LITELLM_LOCAL_BLOG_POSTS": "true",
    "NO_PROXY": "*",
}
_NEEDED: Final = ("litellm", "fastapi", "uvicorn", "apscheduler")


def interpreter() -> str | None:
    """The interpreter that has the proxy, or None."""
    for python in (INSTALLED / "bin" / "python", Path(sys.executable)):
        own = str(python) == sys.executable
        if own and all(map(importlib.util.find_spec, _NEEDED)):
            return str(python)
        if not own and python.exists() and _has_proxy(python):
            return str(python)
    return None


def _has_proxy(python: Path) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {_NEEDED!r})))"
    return subprocess.run([python, "-I", "-c", code], check=False).returncode == 0


class LiteLLMProxy:
    """A running proxy, ready once the constructor returns.

    Its models: `tiny` is asked for in OpenAI's format, whatever format the proxy was asked in, and `native` in
    Anthropic's.

    Args:
        folder: for its configuration and its log.
        openai_base: the server behind it, as a client of OpenAI's format takes it.
        anthropic_base: the same, as a client of Anthropic's format takes it.
        model: the model's name there.
    """

    key: Final = "sk-sesame-of-the-proxy"

    def __init__(self, folder: Path, *, openai_base: str, anthropic_base: str, model: str) -> None:
        python = interpreter()
        if python is None:
            raise RuntimeError("litellm[proxy] is not installed")
        config: dict[str, Any] = {
            "model_list": [
                _entry("tiny", f"openai/{model}", openai_base),
                _entry("native", f"anthropic/{model}", anthropic_base),
            ],
            "litellm_settings": {
                "telemetry": False,
                "num_retries": 0,
                # Otherwise /v1/messages becomes /v1/responses, whose limits and schemas llama.cpp ignores.
                "use_chat_completions_url_for_anthropic_messages": True,
            },
            "general_settings": {"master_key": self.key},
        }
        path = folder / "config.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")  # which is YAML too
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = ServerProcess(
            [python, "-m", "support.litellm_proxy", path, str(port)],
            folder,
            {**OFFLINE, "PYTHONPATH": str(IMPORT_ROOT)},
        )
        self._process.wait_for(self._alive, START_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._process.log

    def _alive(self) -> str | None:
        try:
            with urllib.request.urlopen(f"{self.url}/health/liveliness", timeout=5):
                return self.url
        except (urllib.error.URLError, OSError):
            return None


def _entry(name: str, model: str, base: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "none"}}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def serve(config: str, port: str) -> None:
    """Run the proxy in this process until standard input ends. It can reach nothing beyond loopback."""
    import network_guard

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        print(f"tried to reach: {network_guard.attempts}", flush=True)
        os._exit(0)

    threading.Thread(target=end_with_input, daemon=True).start()
    from litellm import run_server

    run_server(["--config", config, "--host", "127.0.0.1", "--port", port, "--telemetry", "False"])


if __name__ == "__main__":
    serve(*sys.argv[1:])
