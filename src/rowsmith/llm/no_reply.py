"""Calls that brought no reply, turned into the one error that fits.

What the system says of a connection is put in a person's words here, once. What it says of a reply that did come is
read in `failures`.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

from rowsmith.errors import ConnectionFailedError, MalformedReplyError, ProviderError, ProviderTimeoutError
from rowsmith.llm import failures
from rowsmith.llm.connection import NoConnectionError, NoProxyError
from rowsmith.llm.failures import Caller
from rowsmith.llm.heads import BadReplyError
from rowsmith.llm.http1 import IncompleteReplyError
from rowsmith.llm.pool import CONNECT_SECONDS

RAISED = (OSError, BadReplyError, IncompleteReplyError, NoConnectionError, NoProxyError)
"""All that a call can raise for what is no fault of Rowsmith's."""

_ERRNO = re.compile(r"\[Errno (\d+)\]")

_Told = tuple[type[ProviderError], str, str | None]


def translate(error: BaseException, place: str, timeout: float, caller: Caller) -> ProviderError:
    """The error that a call ends with.

    Args:
        error: one of `RAISED`.
        place: host and port that were called.
        timeout: seconds that the call might have taken.
        caller: who called.
    """
    kind, message, hint = _told(error, place, timeout, caller)
    return kind(
        failures.shorten(failures.scrub(message, caller.secrets)),
        provider=caller.provider,
        model=caller.model,
        hint=hint,
    )


def shown(error: BaseException, caller: Caller) -> BaseException | None:
    """What may be chained as the cause: what the system raised, if nothing of it shows a secret; else None."""
    cause = error.cause if isinstance(error, NoConnectionError) else error
    link: BaseException | None = cause
    while link is not None:
        texts = (str(link), repr(link), *map(repr, link.args))
        if any(failures.scrub(text, caller.secrets) != text for text in texts):
            return None
        link = link.__cause__ or link.__context__
    return cause


def _told(error: BaseException, place: str, timeout: float, caller: Caller) -> _Told:
    match error:
        case NoConnectionError(late=True):
            waited = min(timeout, CONNECT_SECONDS)
            return ProviderTimeoutError, f"no connection to {place} within {waited:g} s", caller.no_server
        case NoConnectionError(cause=ssl.SSLError() as cause):
            return _insecure(cause, place)
        case NoConnectionError(cause=socket.gaierror()):
            return ConnectionFailedError, f"no host of that name: {place}", "Check `api_base` and the network"
        case NoConnectionError(cause=cause):
            return ConnectionFailedError, f"no connection to {place}: {_reason(cause)}", caller.no_server
        case NoProxyError():
            why = f"{error}: {_reason(error.__cause__)}" if error.__cause__ else str(error)
            return ConnectionFailedError, f"the proxy on the way to {place} failed: {why}", "Check HTTPS_PROXY"
        case BadReplyError():
            return MalformedReplyError, f"what {place} sent is not HTTP: {error}", "Check `api_base`"
        case ssl.SSLError():
            return _insecure(error, place)
        case TimeoutError(errno=None):
            return ProviderTimeoutError, f"no answer from {place} within {timeout:g} s", "Raise `timeout` if it is slow"
        case _:
            message = f"the connection to {place} broke before the reply was complete: {_reason(error)}"
            return ConnectionFailedError, message, None


def _insecure(error: ssl.SSLError, place: str) -> _Told:
    # Both are set only on errors that OpenSSL raised.
    reason = str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or "TLS failed")
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "Name the certificate in SSL_CERT_FILE if it is your own, or that of a proxy which opens connections"
        return ConnectionFailedError, f"the certificate of {place} is not trusted: {reason}", hint
    hint = "Check whether `api_base` should begin with http:// or https://"
    return ConnectionFailedError, f"no secure connection to {place}: {reason}", hint


def _reason(error: BaseException) -> str:
    """A few words on the cause. asyncio words it "Connect call failed" for each address; the system knows why."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    number = error.errno
    if number is None and (found := _ERRNO.search(str(error))):
        number = int(found[1])  # several addresses of one name, all of which failed
    return os.strerror(number) if number and number > 0 else str(error) or type(error).__name__
