"""Audit receivers for tests, and events as an API server sends them.

This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.controller.audit.access import Access, AuditSettings
from gitsnap.controller.audit.server import AuditServer

TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class Received:
    """A server, and what it took."""

    settings: AuditSettings
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    dropped: int = 0
    accepts: bool = True

    def __post_init__(self) -> None:
        self.server = AuditServer(
            self.settings.listen,
            Access(self.settings),
            take=self._take,
            count_request=self.statuses.append,
            count_dropped=self._drop,
        )
        self.server.start()

    def _take(self, body: bytes) -> bool:
        self.bodies.append(body)
        return self.accepts

    def _drop(self, events: int) -> None:
        self.dropped += events

    def post(
        self,
        body: bytes | Sequence[bytes],
        *,
        path: str = "/audit",
        method: str = "POST",
        token: str = TOKEN,
        headers: Mapping[str, str] | None = None,
        client: tuple[Path, Path] | None = None,
    ) -> int:
        """Send a request, and return the status. Parts of a body are sent in chunks."""
        connection = self.connection(client)
        try:
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            content = body if isinstance(body, bytes) else iter(body)
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def connection(self, client: tuple[Path, Path] | None = None) -> http.client.HTTPConnection:
        """A connection to the server, which is verified."""
        if self.settings.certificate is None:
            return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        context = ssl.create_default_context(cafile=str(self.settings.certificate))
        if client is not None:
            context.load_cert_chain(*client)
        return http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=30, context=context)


def event_list(*events: Mapping[str, Any]) -> bytes:
    """The body of a webhook."""
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": list(events)}).encode()


class Relay:
    """Forwards connections to a port. What arrives while it is closed waits."""

    def __init__(self, port: int, target: int) -> None:
        """Listen on ``port`` of loopback. The relay is open."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self._target = target
        self.opened = threading.Event()
        self.opened.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Free the port."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            answers = threading.Thread(target=self._forward, args=(server, client), daemon=True)
            answers.start()
            self._forward(client, server)
            answers.join()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.opened.wait(60)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
