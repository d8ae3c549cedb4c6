"""A proxy in front of an API server, on loopback, that answers reads wrongly where a test says so.

It speaks plain HTTP to the client and TLS to the server. This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.testbed.apiserver import ApiServer


@dataclass(frozen=True)
class Fault:
    """What is done instead of passing the server's answer on."""

    status: int = 0
    """Answer with this HTTP status; 0 where another field says what."""
    message: str = "a fault"
    retry_after: str = ""
    reset: bool = False
    """Break the connection before any answer."""
    truncate: bool = False
    """Send half of the server's answer, and break the connection."""
    garbage: bool = False
    """An answer that is no JSON."""
    silent: threading.Event | None = None
    """Answer only when this is set."""


Judge = Callable[[str], Fault | None]
"""Path with query -> what goes wrong with this request, None for nothing."""


@dataclass
class FaultyProxy:
    """A running proxy; ``judge`` may be replaced at any time."""

    port: int
    judge: Judge = field(default=lambda _path: None)
    asked: list[str] = field(default_factory=list)
    """Paths with their queries, in the order in which they came."""

    def kubeconfig(self, api: ApiServer) -> Path:
        """A kubeconfig of the administrator that goes through the proxy."""
        cluster = {"server": f"http://127.0.0.1:{self.port}", "certificate-authority": None}
        return api.kubeconfig(cluster=cluster)

    def once(self, fault: Fault, *, where: str, at: int = 1) -> None:
        """The request of number ``at`` whose path holds ``where`` goes wrong, no other."""
        seen = 0

        def judge(path: str) -> Fault | None:
            nonlocal seen
            seen += where in path
            return fault if where in path and seen == at else None

        self.judge = judge

    def always(self, fault: Fault, *, where: str) -> None:
        """Every request whose path holds ``where`` goes wrong."""
        self.judge = lambda path: fault if where in path else None


class _Server(ThreadingHTTPServer):
    """Passes requests on to an API server, as its proxy says."""

    daemon_threads = True

    def __init__(self, api: ApiServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = ssl.create_default_context(cafile=str(api.ca))
        self.target = int(api.url.rpartition(":")[2])
        self.proxy = FaultyProxy(int(self.server_address[1]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.proxy.asked.append(self.path)
        fault = self.server.proxy.judge(self.path) or Fault()
        if fault.silent is not None:
            fault.silent.wait()
        if fault.reset:
            self._break()
            return
        status, content, headers = self._answer(fault)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault.truncate:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._break()
        else:
            self.wfile.write(content)

    def _answer(self, fault: Fault) -> tuple[int, bytes, dict[str, str]]:
        if fault.garbage:
            return 200, b"<html>nonsense</html>", {}
        if fault.status:
            status = {"kind": "Status", "apiVersion": "v1", "message": fault.message, "code": fault.status}
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return fault.status, json.dumps(status).encode(), headers
        server = self.server
        connection = http.client.HTTPSConnection("127.0.0.1", server.target, context=server.context, timeout=30)
        try:
            wanted = {name: self.headers[name] for name in ("Authorization", "Accept") if self.headers[name]}
            connection.request("GET", self.path, headers=wanted)
            answer = connection.getresponse()
            return answer.status, answer.read(), {"Content-Type": "application/json"}
        finally:
            connection.close()

    def _break(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def faulty_proxy(api: ApiServer) -> Iterator[FaultyProxy]:
    """A proxy in front of a server, stopped at the end."""
    server = _Server(api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
