"""Serves ``/healthz``, ``/readyz`` and ``/metrics`` over HTTP, one request per connection.

One thread serves all connections, so that many silent clients cannot exhaust threads. A silent connection is closed
after ten seconds.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from gitsnap.controller.metrics import CONTENT_TYPE
from gitsnap.core.errors import InputError

Check = Callable[[], str]
"""Returns the problem as text, ``""`` if there is none."""

_TEXT = "text/plain; charset=utf-8"
_SECONDS = 10.0
"""The longest duration of a connection."""

_MOST_BYTES = 16 * 1024
"""The largest size of a request."""

_MOST_CONNECTIONS = 256
"""The largest number of open connections. For another connection, the oldest is closed."""


class Endpoints:
    """An HTTP server in a thread of its own."""

    def __init__(self, host: str, port: int, *, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> None:
        """Bind to an address; port 0 selects a free port. Raises InputError if the address cannot be bound."""
        self._healthy = healthy
        self._ready = ready
        self._metrics = metrics
        self._socket = listen(host, port, option="--listen")
        self._connections: dict[asyncio.StreamWriter, None] = {}
        """Open connections, the oldest first."""
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Serve until ``close``."""
        loop, serving = asyncio.new_event_loop(), threading.Event()
        thread = threading.Thread(target=self._run, args=(loop, serving), name="http", daemon=True)
        self._running = loop, thread
        thread.start()
        serving.wait(_SECONDS)

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._running is not None:
            loop, thread = self._running
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_SECONDS)
        self._socket.close()

    def _run(self, loop: asyncio.AbstractEventLoop, serving: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._socket, limit=_MOST_BYTES, backlog=128)
        )
        serving.set()
        try:
            loop.run_forever()
        finally:
            server.close()
            unfinished = asyncio.all_tasks(loop)
            for task in unfinished:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = None
        if len(self._connections) > _MOST_CONNECTIONS:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.transport.abort()
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is silent or gone, or did not send HTTP
        finally:
            self._connections.pop(writer, None)
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        """The whole HTTP response to a request."""
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        status, kind, body = self._content(method, rest.partition(" ")[0])
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body)

    def _content(self, method: str, target: str) -> tuple[HTTPStatus, str, bytes]:
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET or HEAD\n"
        try:
            path = urlsplit(target).path
        except ValueError:
            return HTTPStatus.BAD_REQUEST, _TEXT, b"no path\n"
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics()
        check = {"/healthz": self._healthy, "/readyz": self._ready}.get(path)
        if check is None:
            return HTTPStatus.NOT_FOUND, _TEXT, b"/healthz, /readyz or /metrics\n"
        problem = check()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        return status, _TEXT, f"{problem or 'ok'}\n".encode()


def listen(host: str, port: int, *, option: str) -> socket.socket:
    """A listening socket. An empty host and ``::`` mean IPv4 and IPv6 where the machine has both.

    ``option``: the option that gives the address. Raises InputError if the address cannot be bound.
    """
    try:
        return _listen(host, port)
    except (OSError, OverflowError) as error:
        raise InputError(f"{option} {host}:{port}: {error}", hint="Choose another address or port.") from None


def _listen(host: str, port: int) -> socket.socket:
    """Raises OSError, OverflowError."""
    if not 0 <= port <= 65535:
        raise OverflowError("a port is a number from 0 to 65535")
    if host in ("", "::") and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            if host:
                raise
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    return socket.create_server(address[:2], family=family)
