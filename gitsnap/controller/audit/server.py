"""An HTTPS server that receives audit events from the webhook of API servers and from log forwarders.

The HTTP parser is h11, a maintained library that also limits the size of heads. The documentation of ``http.server``
does not recommend that module for production: it needs a thread for each connection, and has neither time limits nor
chunked bodies. Here, one thread serves all connections, as in ``controller/http.py``. A slow client occupies only its
connection. A request is answered when its body has arrived. Another thread decodes the events.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import h11

from gitsnap.controller.audit.access import Access
from gitsnap.controller.http import listen

PATH = "/audit"
MOST_BODY_BYTES = 32 << 20
"""The largest body, also after decompression. By default, an API server sends at most 400 events at a time."""

MOST_BUFFERED_BYTES = 64 << 20
"""The largest size of all bodies that are being received."""

_MOST_HEAD_BYTES = 32 * 1024
_MOST_CONNECTIONS = 128
"""The largest number of open connections. A further connection closes the oldest one.

Connections without an admitted request are closed first.
"""

_REQUEST_SECONDS = 30.0
"""The longest duration of a request, from its first byte to its last."""

_IDLE_SECONDS = 120.0
"""The longest time between two requests of a connection."""

_START_SECONDS = 10.0
"""The longest duration of the TLS handshake, and of waiting for the first byte."""

_EVENT_MARK = b'"auditID"'
"""Each event contains this text once."""

_log = logging.getLogger(__name__)

Take = Callable[[bytes], bool]
"""Receives a body. Returns False for a body without events."""


class _RefusedError(Exception):
    """An answer that ends the connection."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class AuditServer:
    """The server, in a thread of its own."""

    def __init__(
        self,
        address: tuple[str, int],
        access: Access,
        *,
        take: Take,
        count_request: Callable[[int], None],
        count_dropped: Callable[[int], None],
    ) -> None:
        """Bind to an address. Raises InputError if it cannot be bound.

        ``take`` must return quickly. ``count_request`` receives the status of each answer. ``count_dropped`` receives
        the number of events in a body that is not kept, because other bodies fill the memory.
        """
        self._access = access
        self._take = take
        self._count_request = count_request
        self._count_dropped = count_dropped
        self._socket = listen(*address, option="--audit-listen")
        self._buffered = 0
        self._connections: dict[asyncio.Task[None], bool] = {}
        """Open connections, the oldest first, and whether a request was admitted."""
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Serve until ``close``."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._run, args=(loop,), name="audit", daemon=True)
        self._running = loop, thread
        thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._running is not None:
            loop, thread = self._running
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(loop.stop)
            thread.join(_START_SECONDS)
        self._socket.close()

    # Connections ------------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(lambda _loop, context: _log.debug("audit receiver: %s", context.get("message")))
        self._socket.setblocking(False)
        accepting = loop.create_task(self._accept(loop))
        try:
            loop.run_forever()
        finally:
            tasks = [accepting, *self._connections]
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                client, _ = await loop.sock_accept(self._socket)
            except OSError as error:  # no descriptor is free, for example
                _log.warning("the audit receiver cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(1.0)
                continue
            self._access.reload(time.monotonic())
            task = loop.create_task(self._serve_socket(loop, client, self._access.tls_context))
            self._connections[task] = False
            task.add_done_callback(partial(self._forget, client))
            if len(self._connections) > _MOST_CONNECTIONS:
                strangers = (task for task, admitted in self._connections.items() if not admitted)
                oldest = next(strangers, next(iter(self._connections)))
                del self._connections[oldest]
                oldest.cancel()

    def _forget(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        if task.cancelled():  # before it began
            client.close()

    async def _serve_socket(
        self, loop: asyncio.AbstractEventLoop, client: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        reader = asyncio.StreamReader(limit=256 * 1024)
        try:
            transport, protocol = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader),
                client,
                ssl=context,
                ssl_handshake_timeout=_START_SECONDS if context is not None else None,
            )
        except (OSError, asyncio.CancelledError):  # no TLS, no valid client certificate, or a silent client
            client.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await _Connection(self, reader, writer).serve()
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass  # the client is silent or gone, or another connection needs the place
        finally:
            transport.abort()

    # Requests ---------------------------------------------------------------------------------------------------------

    def check(self, request: h11.Request, length: int) -> None:
        """Check the head of a request. Raises _RefusedError."""
        headers = dict(request.headers)
        if not self._access.admits(headers.get(b"authorization", b"")):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "a bearer token is needed")
        if (task := asyncio.current_task()) in self._connections and task is not None:
            self._connections[task] = True
        if request.target.partition(b"?")[0].rstrip(b"/") != PATH.encode():
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"the path is {PATH}")
        if request.method != b"POST":
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "POST is needed")
        if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b"gzip"):
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the content encoding must be gzip or none")
        if length > MOST_BODY_BYTES:
            raise _too_large()

    def reserve(self, size: int) -> bool:
        """Reserve memory for a part of a body. False if other bodies fill the memory."""
        if self._buffered + size > MOST_BUFFERED_BYTES:
            return False
        self._buffered += size
        return True

    def release(self, size: int) -> None:
        """Free reserved memory."""
        self._buffered -= size

    def take(self, body: bytes) -> None:
        """Pass a whole body on. Raises _RefusedError."""
        if not self._take(body):
            raise _RefusedError(
                HTTPStatus.BAD_REQUEST, "the body has no audit events: an EventList or lines of JSON are needed"
            )

    def note_dropped(self, events: int) -> None:
        """Count events that were not kept."""
        self._count_dropped(events)

    def note_answer(self, status: HTTPStatus) -> None:
        """Count an answer."""
        self._count_request(status.value)


class _Body:
    """The body of a request while it arrives, decompressed."""

    def __init__(self, server: AuditServer, *, compressed: bool) -> None:
        self._server = server
        self._parts: list[bytes] = []
        self._size = 0
        self._reserved = 0
        self._inflate = zlib.decompressobj(31) if compressed else None
        self._dropped = 0
        self._drops = False

    def add(self, data: bytes) -> None:
        """Add a part. Raises _RefusedError."""
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data, MOST_BODY_BYTES - self._size + 1)
            except zlib.error:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body is not compressed with gzip") from None
        self._size += len(data)
        if self._size > MOST_BODY_BYTES:
            raise _too_large()
        if not self._drops and not self._server.reserve(len(data)):
            self._drops = True
            self._dropped = sum(part.count(_EVENT_MARK) for part in self._parts)
            self._parts.clear()
        if self._drops:
            self._dropped += data.count(_EVENT_MARK)
        else:
            self._reserved += len(data)
            self._parts.append(data)

    def finish(self) -> None:
        """Pass the whole body on. Raises _RefusedError."""
        if self._inflate is not None and (not self._inflate.eof or self._inflate.unused_data):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the compressed body was cut off, or has several parts")
        if self._drops:
            self._server.note_dropped(self._dropped)
        else:
            self._server.take(b"".join(self._parts))

    def close(self) -> None:
        """Free the memory."""
        self._server.release(self._reserved)
        self._reserved = 0


class _Connection:
    """One connection: requests, one after the other."""

    def __init__(self, server: AuditServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)

    async def serve(self) -> None:
        """Answer requests until the client closes the connection, or a request is refused."""
        wait = _START_SECONDS
        while await self._has_request(wait):
            async with asyncio.timeout(_REQUEST_SECONDS):
                try:
                    await self._take_request()
                    status, text = HTTPStatus.OK, ""
                except _RefusedError as refusal:
                    status, text = refusal.status, refusal.text
                except h11.RemoteProtocolError as error:
                    status, text = HTTPStatus(error.error_status_hint), "the request is not valid HTTP/1.1"
                self._server.note_answer(status)
                await self._answer(status, text)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()
            wait = _IDLE_SECONDS

    async def _has_request(self, seconds: float) -> bool:
        """Wait for the first byte of a request. False at the end of the connection."""
        if self._http.trailing_data[0]:
            return True
        async with asyncio.timeout(seconds):
            data = await self._reader.read(64 * 1024)
        if data:
            self._http.receive_data(data)
        return bool(data)

    async def _take_request(self) -> None:
        request = await self._next_event()
        if not isinstance(request, h11.Request):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a request is needed")
        headers = dict(request.headers)
        length = headers.get(b"content-length", b"0")
        self._server.check(request, int(length) if len(length) < 16 else MOST_BODY_BYTES + 1)
        body = _Body(self._server, compressed=headers.get(b"content-encoding", b"").lower() == b"gzip")
        try:
            while not isinstance(event := await self._next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    raise _RefusedError(HTTPStatus.BAD_REQUEST, "the request was cut off")
                body.add(bytes(event.data))
            body.finish()
        finally:
            body.close()

    async def _next_event(self) -> h11.Event:
        while True:
            event = self._http.next_event()
            if event is h11.PAUSED:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")
            if not isinstance(event, type):
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(64 * 1024))

    async def _answer(self, status: HTTPStatus, text: str) -> None:
        content = f"{text}\n".encode() if text else b""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))]
        if status is HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", "Bearer"))
        if status is not HTTPStatus.OK:
            headers.append(("Connection", "close"))
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        await self._send(h11.Response(status_code=status.value, reason=status.phrase.encode(), headers=headers))
        await self._send(h11.Data(data=content))
        await self._send(h11.EndOfMessage())
        if status is not HTTPStatus.OK:
            await self._discard()

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
            await self._writer.drain()

    async def _discard(self) -> None:
        """Read the rest of a refused body for a moment. Otherwise, a client that still sends would lose the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while await self._reader.read(64 * 1024):
                    pass


def _too_large() -> _RefusedError:
    return _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MOST_BODY_BYTES >> 20} MiB")
