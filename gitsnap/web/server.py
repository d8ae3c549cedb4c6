"""The HTTP server: uvicorn with the limits that a server without login needs."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from socket import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from gitsnap.web.application import Application
from gitsnap.web.documents import Documents
from gitsnap.web.guard import Guard
from gitsnap.web.listening import Address
from gitsnap.web.site import OpenArchives

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Parameters of mallopt(3)."""
_IDLE_SECONDS = 15
"""A connection without a request in this time is closed."""
_MOST_CONNECTIONS = 512
"""The largest number of open connections. A further connection is answered with the status 503."""
_HEAD_BYTES = 32 * 1024
"""The largest size of the head of a request."""
_GRACE_SECONDS = 5
"""How long requests may continue after the server was asked to stop."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server."""

    address: Address
    hosts: frozenset[str]
    """The accepted host names (``listening.check_hosts``)."""
    user_header: str = ""
    """The header with the name of the user, which the proxy in front sets; ``""`` for none."""
    inherited: int = -1
    """The descriptor of a socket that listens in place of ``address``; -1 to bind to the address."""


class WebServer:
    """The pages of archives at one address."""

    def __init__(
        self, settings: Settings, open_archives: OpenArchives, documents: Documents, log: Callable[[str], None]
    ) -> None:
        """Bind to the address. Raises InputError if the address cannot be bound."""
        inherited = settings.inherited
        self._socket = settings.address.bind() if inherited < 0 else socket(fileno=inherited)
        self._application = Application(open_archives, documents, log)
        guard = Guard(self._application.asgi, hosts=settings.hosts, user_header=settings.user_header, log=log)
        self._server = _Server(
            uvicorn.Config(
                guard,
                http=_Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                h11_max_incomplete_event_size=_HEAD_BYTES,
            )
        )

    @property
    def address(self) -> Address:
        """The address that the server listens on, with its port."""
        host, port = self._socket.getsockname()[:2]
        return Address(str(host), int(port))

    def run(self) -> None:
        """Answer requests until ``stop``."""
        _return_freed_memory()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._application.close()
            self._socket.close()

    def stop(self) -> None:
        """Make ``run`` return. Running requests get some seconds to finish. Safe in a signal handler."""
        self._server.should_exit = True


def _return_freed_memory() -> None:
    """Make the C library return large blocks to the system when they are freed. A search reads an index of some MiB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has mallopt; other libraries need it less
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        mallopt(_M_ARENA_MAX, 1)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command."""
        yield


class _Protocol(H11Protocol):
    """Closes connections that do not send a whole request, because they could occupy all accepted connections."""

    _requests_seen: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.loop.call_later(_IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        is_busy = cycle is not None and not cycle.response_complete
        if not is_busy and self.cycle is self._requests_seen:
            self.transport.abort()
            return
        self._requests_seen = self.cycle
        self.loop.call_later(_IDLE_SECONDS, self._close_idle)
