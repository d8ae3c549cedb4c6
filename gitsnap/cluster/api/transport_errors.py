"""Translates exceptions of urllib3 to typed errors, and computes pauses between attempts."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping

import urllib3

from gitsnap.cluster.api.credentials import RenewalError
from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
WATCH_READ_SECONDS = 150.0
"""The longest silence of a watch: a server sends a bookmark about once a minute."""

_LONGEST_PAUSE_SECONDS = 10.0

OUTAGE_SECONDS = 30.0
"""How long a server that has answered before may be away, in total: about as long as a restart takes."""


class ConnectionLostError(ClusterUnreachableError):
    """The connection broke or was refused: the server closed an idle connection, or restarts. A read is repeated."""


@contextlib.contextmanager
def connection_errors(request: Request, *, is_write: bool) -> Iterator[None]:
    """Translate exceptions of the block. Raises ClusterUnreachableError, AccessDeniedError."""
    try:
        yield
    except RenewalError as error:
        raise AccessDeniedError(f"{request.server}: the credentials cannot be renewed: {error}") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error, request, is_write=is_write) from None


def _tls_failure(reason: str, request: Request) -> ClusterUnreachableError:
    return ClusterUnreachableError(
        f"{request.server}: the TLS connection failed{_through(request)}: {reason}",
        hint="Does the certificate authority in the kubeconfig belong to this server?",
    )


def _unreachable(error: Exception, request: Request, *, is_write: bool) -> ClusterUnreachableError:
    """The error for a failed connection, with a short reason in place of urllib3's long text."""
    cause: BaseException = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError | urllib3.exceptions.ProxyError):
        inner = cause.reason if isinstance(cause, urllib3.exceptions.MaxRetryError) else cause.original_error
        if inner is None:
            break
        cause = inner
    if isinstance(cause, urllib3.exceptions.SSLError | ssl.SSLError):
        return _tls_failure(str(cause), request)
    kind = ClusterUnreachableError
    unknown = False
    # Refused connections and unknown hosts first: in some versions of the library they are time-outs as well.
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        reason = "the host name cannot be resolved"
    elif "refused" in str(cause):
        kind, reason = ConnectionLostError, "connection refused"
    elif isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        reason = f"no connection within {CONNECT_SECONDS:.0f} s"
    elif isinstance(cause, urllib3.exceptions.TimeoutError | TimeoutError):
        reason, unknown = f"no answer within {READ_SECONDS:.0f} s", True
    elif isinstance(cause, urllib3.exceptions.ProtocolError | ConnectionError):
        kind, reason, unknown = ConnectionLostError, "the connection broke", True
    else:
        reason = str(cause) or type(cause).__name__
    return kind(
        f"{request.server}: cannot {request.action}{_through(request)}: {reason}",
        hint="The server may have executed it all the same: check before you repeat it."
        if is_write and unknown
        else "Is the API server running, and is this the right context?",
    )


def _through(request: Request) -> str:
    return f" through the proxy {request.proxy}" if request.proxy else ""


def pause(headers: Mapping[str, str], attempt: int) -> float:
    """Seconds to wait before an attempt: those of Retry-After, at most 10, otherwise 0.5, 1, 2, and so on."""
    requested = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    seconds = float(requested) if requested.isdecimal() else 0.5 * 2**attempt
    return min(seconds, _LONGEST_PAUSE_SECONDS)
