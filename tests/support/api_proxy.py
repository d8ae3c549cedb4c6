"""A proxy on loopback in front of an API server: plain HTTP to the client, TLS to the server.

The modules read_faults and write_faults add faults.
This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.testbed.apiserver import ApiServer

_OF_ONE_CONNECTION = frozenset({"connection", "transfer-encoding", "content-length", "host", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a client."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def failure(cls, status: int, message: str, **headers: str) -> Answer:
        """A failure Status of an API server."""
        document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


class Handler(BaseHTTPRequestHandler):
    """A connection of a client. Subclasses override ``answer``."""

    protocol_version = "HTTP/1.1"
    api: ClassVar[ApiServer]

    def answer(self, body: bytes) -> None:
        """Answer the request with ``send``, usually with the result of ``passed_on``, or with ``cut``."""
        raise NotImplementedError

    def _handle(self) -> None:
        try:
            self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        except (ConnectionError, http.client.IncompleteRead):  # the client or the server has closed the connection
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names in the library

    def passed_on(self, body: bytes) -> Answer:
        """Forward the request, and return the answer of the server."""
        context = ssl.create_default_context(cafile=str(self.api.ca))
        host = self.api.url.removeprefix("https://")
        with contextlib.closing(http.client.HTTPSConnection(host, context=context, timeout=30)) as connection:
            connection.request(self.command, self.path, body or None, _passing(self.headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), _passing(answer.headers))

    def stream(self, body: bytes) -> None:
        """Forward a watch, and pass on each event at once."""
        context = ssl.create_default_context(cafile=str(self.api.ca))
        host = self.api.url.removeprefix("https://")
        with contextlib.closing(http.client.HTTPSConnection(host, context=context)) as connection:
            connection.request(self.command, self.path, body or None, _passing(self.headers))
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in _passing(answer.headers).items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while part := answer.read1(65536):
                self.wfile.write(part)
        self.close_connection = True

    def send(self, answer: Answer) -> None:
        """Send an answer to the client."""
        self.begin(answer)
        self.wfile.write(answer.content)

    def begin(self, answer: Answer) -> None:
        """Send the status and headers of an answer."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()

    def cut(self) -> None:
        """Break the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _passing(headers: Message) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}


@contextlib.contextmanager
def running(api: ApiServer, handler: type[Handler], **attributes: object) -> Iterator[str]:
    """Run a proxy whose handlers have these attributes, and yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"api": api, **attributes}))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(api: ApiServer, url: str) -> str:
    """A kubeconfig file of the administrator for a proxy."""
    return str(api.kubeconfig(cluster={"server": url, "certificate-authority": None}))
