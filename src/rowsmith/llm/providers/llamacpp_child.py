"""llama.cpp in a process of its own, started by `llamacpp_engine` as a script: it imports nothing of Rowsmith.

The first line of standard input is a JSON object of settings; the first of standard output is the address that answers
then. All that llama.cpp writes goes to standard error. The process ends when standard input does, and so with whoever
started it, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any


def served(settings: Mapping[str, Any]) -> Any:
    """A server that answers for as long as it is referred to.

    Raises:
        RuntimeError: llama.cpp cannot load it. Why stands in its log.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.verbosity = settings["verbosity"]
    params.api_keys = [settings["token"]]
    params.port = 0
    params.ui = False
    params.n_parallel = settings["n_parallel"]
    params.n_ctx = settings["n_ctx"] * settings["n_parallel"]
    # A thread is held by each connection, also by one that waits to be used again.
    params.n_threads_http = 2 * settings["n_parallel"] + 8
    # By default up to 8 GB of memory are filled with the states of prompts that were answered.
    params.cache_ram_mib = 0
    if settings["n_gpu_layers"] is not None:
        params.n_gpu_layers = settings["n_gpu_layers"]
    if settings["n_threads"] is not None:
        params.cpuparams.n_threads = settings["n_threads"]
        params.cpuparams_batch.n_threads = settings["n_threads"]
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until standard input ends."""
    settings = json.loads(sys.stdin.buffer.readline())
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        server = served(settings)
    except RuntimeError as error:
        # An end in good order, for llama.cpp writes down its log at leisure.
        sys.exit(str(error))
    os.write(answer, server.listening_address.encode() + b"\n")
    os.close(answer)
    sys.stdin.buffer.read()
    # Ending in good order would wait for every request, or for ever.
    os._exit(0)


if __name__ == "__main__":
    main()
