"""Every error that Rowsmith raises on purpose, in one tree.

RowsmithError
├── ConfigError                 what the caller gave is wrong (also a ValueError); nothing was paid for
│   ├── TemplateError           a prompt template: missing, unknown or unused names
│   ├── SourceError             a file of documents or rows that cannot be read as asked
│   └── MissingDependencyError  an optional package is needed; carries the line that installs it
├── ProviderError               a call to a model failed; carries provider, model, status, retryable, hint
│   ├── AuthenticationError     the key is wrong or has no right to this (401, 403); stops the run
│   ├── ModelNotFoundError      no such model or endpoint (404); stops the run
│   ├── BadRequestError         the service refuses the request itself (400, 413, 422); stops the run
│   ├── QuotaError              the account's money or day is used up (402, 429 of that kind); stops the run
│   ├── RateLimitError          too many requests (429); waited for, uses up no retries
│   ├── ServiceError            the service failed (408, 409, 425, 5xx, 529); retried
│   ├── ConnectionFailedError   no connection, or it broke; retried
│   ├── ProviderTimeoutError    no answer in time; retried
│   └── MalformedReplyError     a reply that is not in the service's own format; retried
├── HubError                    the Hugging Face Hub refused what was to be put there, or could not be reached
├── AnswerError                 a model answered, but not usably; carries the outcome and the raw answer
├── DataSetGeneratorError       a `DataSetGenerator` made no dataset
│   ├── ModelError              because of its model: what went wrong is its cause (also a ProviderError)
│   └── ValidationError         because nothing that the model wrote passed the checks
└── RunError                    a run cannot start, go on or be read
    ├── RunLockedError          another process is writing this run
    ├── ConfigChangedError      the output belongs to another configuration; names the changed fields
    ├── LedgerError             the ledger is damaged, foreign, or from a newer Rowsmith
    ├── OutputChangedError      the rows file is not as the ledger left it
    └── StorageError            the disk is full or a folder cannot be written
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class RowsmithError(Exception):
    """The root of the tree: `except RowsmithError` catches all that Rowsmith raises on purpose."""


class ConfigError(RowsmithError, ValueError):
    """What the caller gave is wrong. The message says what, the value received, and what would be right."""


class TemplateError(ConfigError):
    """A prompt template lacks a mandatory name, has an unknown one, or has an optional one without values."""


class SourceError(ConfigError):
    """A file of documents or rows is missing, unreadable, or lacks the column that was named."""


class MissingDependencyError(ConfigError):
    """An optional package is needed for what was asked.

    Args:
        feature: what needs it, in the user's words.
        extra: the extra of Rowsmith that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs an optional dependency. Install it with: pip install 'rowsmith[{extra}]'")


class ProviderError(RowsmithError):
    """A call to a model failed.

    Attributes:
        provider: the provider's name, such as `openai`.
        model: the model's id at that provider.
        status: the HTTP status, or None where no reply came.
        request_id: the service's own id of the request, for its support, or None.
        hint: one sentence on what to do, or None.
        retry_after: seconds that the service asked to wait, or None.
        fatal: True if every further call would fail alike: the run stops.
        retryable: True if the same request may succeed later.
    """

    fatal: bool = False
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status
        self.request_id = request_id
        self.hint = hint
        self.retry_after = retry_after
        super().__init__(message)

    def __str__(self) -> str:
        who = "/".join(part for part in (self.provider, self.model) if part)
        text = f"{who}: {self.message}" if who else self.message
        if self.status is not None:
            text += f" (HTTP {self.status})"
        if self.request_id:
            text += f" [request {self.request_id}]"
        return f"{text}. {self.hint}" if self.hint else text


class AuthenticationError(ProviderError):
    """The key is missing, wrong, or has no right to this model (401, 403)."""

    fatal = True


class ModelNotFoundError(ProviderError):
    """The service knows no such model, or the address is not the service's (404)."""

    fatal = True


class BadRequestError(ProviderError):
    """The service refuses the request itself (400, 413, 422): the same request would be refused again.

    Not fatal where the service says that only this one is at fault: too long a prompt, a filtered one.

    Attributes:
        param: the field of the request that the service complains of, or an empty text.
        codes: the service's own codes for it, in lower case, apart by blanks.
    """

    fatal = True
    param: str = ""
    codes: str = ""


class QuotaError(ProviderError):
    """The account's credit or its quota of the day is used up (402, and 429 where the body says so)."""

    fatal = True


class RateLimitError(ProviderError):
    """Too many requests for now (429). Waited for, with Retry-After where it came; it uses up no retries."""

    retryable = True


class ServiceError(ProviderError):
    """The service failed on its side (408, 409, 425, 5xx, 529)."""

    retryable = True


class ConnectionFailedError(ProviderError):
    """No connection could be made, or it broke before the reply was complete."""

    retryable = True


class ProviderTimeoutError(ProviderError):
    """No reply within the timeout."""

    retryable = True


class MalformedReplyError(ProviderError):
    """A reply came with status 200 but not in the service's own format (a proxy's page, a cut body)."""

    retryable = True


class HubError(RowsmithError):
    """The Hugging Face Hub refused what was to be put there, or could not be reached; it is as it was.

    Attributes:
        status: the HTTP status, or None where no reply came.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class AnswerError(RowsmithError):
    """A model answered, but the answer cannot be used, and the rounds to ask again are used up.

    Attributes:
        outcome: `cut_off`, `refused`, `empty` or `invalid`.
        raw: the answer as it came.
    """

    def __init__(self, message: str, *, outcome: str, raw: str) -> None:
        self.outcome = outcome
        self.raw = raw
        super().__init__(message)


class DataSetGeneratorError(RowsmithError):
    """A `DataSetGenerator` made no dataset; what went wrong is its cause, where there is one."""


class ModelError(DataSetGeneratorError, ProviderError):
    """A `DataSetGenerator` made no dataset, or not all of it, because its model failed; its cause says how.

    What was made before is the generator's `dataset`.
    """

    @classmethod
    def of(cls, error: ProviderError) -> ModelError:
        """The same failure as a generator tells of it."""
        made = cls(
            error.message,
            provider=error.provider,
            model=error.model,
            status=error.status,
            request_id=error.request_id,
            hint=error.hint,
            retry_after=error.retry_after,
        )
        made.fatal, made.retryable = error.fatal, error.retryable
        return made


class ValidationError(DataSetGeneratorError):
    """A `DataSetGenerator` made no dataset because nothing that its model wrote passed the checks.

    Attributes:
        reasons: how often each gate refused something.
    """

    def __init__(self, message: str, *, reasons: Mapping[str, int]) -> None:
        self.reasons = dict(reasons)
        super().__init__(message)


class RunError(RowsmithError):
    """A run cannot start, go on, or be read."""


class RunLockedError(RunError):
    """Another process is writing this run."""


class ConfigChangedError(RunError):
    """The output was made by another configuration.

    Attributes:
        fields: the names of the fields that differ.
    """

    def __init__(self, message: str, *, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(message)


class LedgerError(RunError):
    """The ledger is damaged, not one of Rowsmith's, or written by a newer version."""


class OutputChangedError(RunError):
    """The rows file is missing, shorter, or other than what the ledger says was written."""


class StorageError(RunError):
    """The disk is full, or a file or folder cannot be written."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest known name, or the known names where none is near.

    Args:
        given: what the caller wrote.
        known: the names that would have been right.
    """
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
