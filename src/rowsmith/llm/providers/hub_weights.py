"""Weights from the Hugging Face Hub: fetched once, into the cache that all its users share."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowsmith import settings
from rowsmith.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionFailedError,
    MissingDependencyError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm import failures
from rowsmith.llm.providers import gguf

SCHEME = "hf://"

_ADDRESS = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+?))?/(?P<file>(?:[\w. +-]+/)*[\w. +-]+\.gguf)", re.ASCII
)
_TELL_EVERY = 10.0
"""Seconds between two lines in the log."""

_log = logging.getLogger("rowsmith.llm")


class AbandonedError(Exception):
    """Nobody waits any more for what is being fetched."""


@dataclass(frozen=True, slots=True)
class HubWeights:
    """A GGUF file of a repository on the Hub.

    Attributes:
        repo: `owner/name`.
        file: its path there; of a model in several files, the first.
        revision: a branch, tag or commit; None for what is newest.
    """

    repo: str
    file: str
    revision: str | None = None

    @classmethod
    def at(cls, address: str) -> HubWeights:
        """Those at an address such as `hf://owner/repo/file.gguf` or `hf://owner/repo@revision/file.gguf`.

        Raises:
            ConfigError: it is no such address, or what fetches from the Hub is not installed.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise ConfigError(f"{address!r} names no GGUF file on the Hub: write hf://owner/repo/file.gguf.")
        gguf.part_names(found["file"])
        if importlib.util.find_spec("huggingface_hub") is None:
            raise MissingDependencyError("A model of the Hugging Face Hub", "hub")
        return cls(found["repo"], found["file"], found["revision"])

    def fetch(self, abandoned: Callable[[], bool]) -> Path:
        """The path of the file on this machine, after all files of the model are there.

        What is in the cache is not fetched again, and what was broken off goes on where it ended.

        Args:
            abandoned: asked again and again while bytes come; once it is true, fetching ends.

        Raises:
            AbandonedError: it was.
            ProviderError: the Hub has no such file, wants a token, or cannot be reached.
        """
        # Without it the package asks the Hub which tool may be using it, and tells that with each request.
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        import huggingface_hub

        _log.info("Fetching %s from %s", self.file, self.repo)
        endpoint = (settings.lookup("HF_ENDPOINT") or "").rstrip("/") or None
        try:
            paths = [
                huggingface_hub.hf_hub_download(
                    self.repo, name, revision=self.revision, endpoint=endpoint, **_watched(abandoned)
                )
                for name in gguf.part_names(self.file)
            ]
        except AbandonedError:
            raise
        except Exception as error:  # the package's own, those of the client beneath it, and the system's
            if abandoned():
                raise AbandonedError from None
            failed = self._failure(error)
        else:
            return Path(paths[0])
        raise failed

    def _failure(self, error: Exception) -> ProviderError:
        kinds = {base.__name__ for base in type(error).__mro__}
        status = getattr(getattr(error, "response", None), "status_code", None)
        told = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        kind: type[ProviderError] = ModelNotFoundError
        hint: str | None = "Check the address; for a private or gated model set HF_TOKEN"
        if "GatedRepoError" in kinds or status in {401, 403}:
            kind, hint = AuthenticationError, "Accept the model's terms on its page, and set HF_TOKEN"
        elif "LocalEntryNotFoundError" in kinds or (status is None and kinds & {"HTTPError", "ConnectionError"}):
            kind, hint = ConnectionFailedError, "Check the network, or fetch the file by hand and give its path"
        elif status == 429:
            kind, hint = RateLimitError, None
        elif isinstance(status, int) and status >= 500:
            kind, hint = ServiceError, None
        elif isinstance(error, OSError) and error.strerror:
            told, hint = error.strerror, "Is there room on the disk, and may the cache be written to?"
        message = failures.shorten(failures.scrub(told, tuple(filter(None, (settings.lookup("HF_TOKEN"),))))).rstrip(
            "."
        )
        return kind(f"{self.file} cannot be fetched from {self.repo}: {message}", status=status, hint=hint)


def _watched(abandoned: Callable[[], bool]) -> dict[str, Any]:
    """The argument that has a download watched, with a bar where a person looks; none before huggingface_hub 1.0."""
    import huggingface_hub

    utils: Any = importlib.import_module("huggingface_hub.utils")

    class Bar(utils.tqdm):  # type: ignore[misc]  # a base that is known only when it is there
        def __init__(self, *args: Any, **options: Any) -> None:
            # Not drawn where nobody looks; `disable` itself would keep `update` from counting.
            if not sys.stderr.isatty():
                options["delay"] = float("inf")
            self._told = time.monotonic()
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            if abandoned():
                raise AbandonedError
            drawn: bool | None = super().update(n)
            if time.monotonic() - self._told > _TELL_EVERY and self.total:
                self._told = time.monotonic()
                _log.info("Fetched %.0f of %.0f MB", self.n / 1e6, self.total / 1e6)
            return drawn

    known = inspect.signature(huggingface_hub.hf_hub_download).parameters
    return {"tqdm_class": Bar} if "tqdm_class" in known else {}
