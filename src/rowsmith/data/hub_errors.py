"""What the Hugging Face Hub or its library says, as errors of ours."""

from __future__ import annotations

import sys

from rowsmith.errors import HubError

TOKENS = "https://huggingface.co/settings/tokens"
"""Where tokens are made."""
_CLIENTS = ("httpx", "httpx2")
"""The HTTP clients of huggingface_hub's releases, whose errors are no errors of the system."""


class Told:
    """What the Hub or its library says, as one of our errors."""

    def __init__(self, repo_id: str, token: str) -> None:
        self._repo_id = repo_id
        self._token = token

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        clients = [sys.modules[name].HTTPError for name in _CLIENTS if name in sys.modules]
        failures: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, *clients)
        if not isinstance(error, failures):
            return
        status = status_of(error)
        reason = _reason(error).replace(self._token, "…")
        raise HubError(self._message(status, reason), status=status) from error

    def _message(self, status: int | None, reason: str) -> str:
        after = "Nothing has changed in the repository, and the rows are where they were."
        if status == 401:
            return f"the Hugging Face Hub does not know this token ({reason}). Make one that may write: {TOKENS}"
        if status in (403, 404):
            return (
                f"this token may not write to {self._repo_id} on the Hugging Face Hub ({reason}). It needs the right "
                f"to write to it: {TOKENS}"
            )
        if status is None:
            return f"the push to {self._repo_id} failed: {reason}. {after}"
        return f"the Hugging Face Hub refused the push to {self._repo_id} (HTTP {status}): {reason}. {after}"


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error, however deep."""
    seen: BaseException | None = error
    while seen is not None:
        status = getattr(getattr(seen, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: BaseException) -> str:
    """The Hub's own words, or else the innermost reason, in one line."""
    told = getattr(error, "server_message", None)
    while not told and error.__cause__ is not None:
        error = error.__cause__
        told = getattr(error, "server_message", None)
    first = next((line.strip() for line in (told or str(error)).splitlines() if line.strip()), "")
    return (first or type(error).__name__).rstrip(".")
