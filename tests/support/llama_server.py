"""The real llama.cpp HTTP server, for tests that should not only meet a fake.

The package `xllamacpp` holds the server inside a Python extension, without an executable. `LlamaServer` therefore
starts this module as a process of its own: a crash of native code must not take the tests down, and the extension has
no way to stop a server other than to end its process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .tiny_gguf import write_tiny_gguf

IMPORT_ROOT: Final = Path(__file__).resolve().parents[__name__.count(".")]
"""The folder from which this module can be started under the name that it was imported by."""
MODEL_NAME: Final = "tiny"
START_TIMEOUT: Final = 30.0
"""Seconds; a start takes about one, but a loaded machine may need more."""
POLL_INTERVAL: Final = 0.02


class LlamaServer:
    """A running llama.cpp server with the tiny model, ready once the constructor returns.

    `base_url` is what a client of OpenAI's format takes (it ends in /v1), `root_url` is the same without /v1, for
    Anthropic's format and for llama.cpp's own endpoints. Files go to `folder`; the log there is named in errors.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int = 4,
        context: int = 16_384,
        seed: int = 0,
        api_key: str | None = None,
        embeddings: bool = False,
    ) -> None:
        """Start the server: `slots` answers at a time, `context` tokens (mostly bytes) for each.

        With `embeddings` it makes vectors, the mean of what the model has for each token, and writes nothing.
        """
        self.model = MODEL_NAME
        self._log = folder / "llama-server.log"
        address_file = folder / "address"
        address_file.unlink(missing_ok=True)
        arguments = {
            "--model": write_tiny_gguf(folder / "tiny.gguf", seed),
            "--address-file": address_file,
            "--slots": slots,
            "--context": context,
            "--api-key": api_key or "",
            "--embeddings": int(embeddings),
        }
        self._process = self._spawn([str(part) for item in arguments.items() for part in item])
        try:
            self.root_url = self._wait_until_ready(address_file)
        except BaseException:
            self.close()
            raise
        self.base_url = f"{self.root_url}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The server's process id, for tests that look at or end the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Kill the server. It keeps nothing worth a slower, politer end. Closing twice is fine."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _spawn(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        """Start this module; its standard input stays open as long as we live, which is what keeps the child up.

        Without GGML_NO_BACKTRACE a failed assertion in llama.cpp starts a debugger, which may take a minute.
        """
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", __name__, *arguments],
                cwd=IMPORT_ROOT,
                env={**os.environ, "GGML_NO_BACKTRACE": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait_until_ready(self, address_file: Path) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if not self.alive:
                raise RuntimeError(f"llama.cpp ended with {self._process.returncode}: {self._last_words()}")
            if address_file.exists():
                address = address_file.read_text(encoding="utf-8")
                if _is_healthy(address):
                    return address
            time.sleep(POLL_INTERVAL)
        raise TimeoutError(f"llama.cpp was not ready within {START_TIMEOUT:g} s: {self._last_words()}")

    def _last_words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _is_healthy(address: str) -> bool:
    """Whether the health endpoint answers 200; while the model is being loaded it answers 503."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def serve(model: Path, address_file: Path, *, slots: int, context: int, api_key: str, embeddings: bool) -> None:
    """Run the server in this process until standard input ends, that is until whoever started us is gone."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = False
    params.fit_params = False
    params.ui = False
    params.api_keys = [api_key] if api_key else []
    if embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_ubatch = params.n_batch  # a text whose mean is wanted has to fit into one portion
    server = xllamacpp.Server(params)
    unfinished = address_file.with_suffix(".new")
    unfinished.write_text(server.listening_address, encoding="utf-8")
    unfinished.replace(address_file)
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Read what `LlamaServer` passes on the command line."""
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--address-file", type=Path, required=True)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=16_384)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--embeddings", type=int, default=0)
    options = parser.parse_args()
    serve(
        options.model,
        options.address_file,
        slots=options.slots,
        context=options.context,
        api_key=options.api_key,
        embeddings=bool(options.embeddings),
    )


if __name__ == "__main__":
    main()
