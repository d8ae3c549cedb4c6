"""The probes and metrics over HTTP, and that no client can block them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gitsnap.controller import http as endpoints_module
from gitsnap.controller.http import Endpoints
from gitsnap.core.errors import InputError


class _Stage:
    """Endpoints with the results of their checks."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.problem = ""
        self.endpoints = Endpoints(
            host, 0, healthy=lambda: "", ready=lambda: self.problem, metrics=lambda: b"# metrics\n"
        )
        self.endpoints.start()

    def ask(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
        """Status and body."""
        connection = http.client.HTTPConnection(host, self.endpoints.port, timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def stage() -> Iterator[_Stage]:
    """Closed at the end."""
    made = _Stage()
    yield made
    made.endpoints.close()


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/healthz", 200, "ok\n"),
        ("/healthz?x", 200, "ok\n"),
        ("/healthz?verbose=1&x", 200, "ok\n"),
        ("/readyz", 503, "no lease\n"),
        ("/readyz?x#y", 503, "no lease\n"),
        ("/metrics", 200, "# metrics\n"),
        ("/metrics?name[]=a", 200, "# metrics\n"),
        ("http://example.org/healthz", 200, "ok\n"),
        ("/", 404, "/healthz, /readyz or /metrics\n"),
        ("/healthz/", 404, "/healthz, /readyz or /metrics\n"),
        ("//[", 400, "no path\n"),
    ],
)
def test_responses(stage: _Stage, path: str, status: int, body: str) -> None:
    """A query, which monitoring may add, is ignored."""
    stage.problem = "no lease"
    assert stage.ask(path) == (status, body)


def test_other_methods(stage: _Stage) -> None:
    """Only GET and HEAD are accepted."""
    assert stage.ask("/healthz", "HEAD") == (200, "")
    assert stage.ask("/healthz", "POST")[0] == 405


@pytest.mark.parametrize("silent", [150, 600])
@pytest.mark.slow
def test_silent_connections_block_no_threads_and_no_probes(stage: _Stage, silent: int) -> None:
    """A port scanner or an attacker must not cause a restart of the pod."""
    threads = threading.active_count()
    held = []
    try:
        for number in range(silent):
            held.append(socket.create_connection(("127.0.0.1", stage.endpoints.port), timeout=20))
            if number % 3 == 0:
                held[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost")
        assert stage.ask("/healthz") == (200, "ok\n")
        assert threading.active_count() <= threads  # threads of earlier tests may have ended meanwhile
        assert len(stage.endpoints._connections) <= endpoints_module._MOST_CONNECTIONS
    finally:
        for connection in held:
            connection.close()


@pytest.mark.slow
def test_a_silent_connection_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends single bytes, or too much, is closed as well."""
    monkeypatch.setattr(endpoints_module, "_SECONDS", 0.5)
    made = _Stage()
    try:
        for content in (b"", b"GET / HT", b"x" * 100_000):
            with socket.create_connection(("127.0.0.1", made.endpoints.port), timeout=20) as connection:
                connection.sendall(content)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
        deadline = time.monotonic() + 20
        while made.endpoints._connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert made.ask("/healthz") == (200, "ok\n")
    finally:
        made.endpoints.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
@pytest.mark.parametrize("host", ["::", "", "::1"])
def test_ipv6(host: str) -> None:
    """``--listen [::]:8080``, as in a cluster with IPv6 only; without a host both families are served."""
    made = _Stage(host)
    try:
        assert made.ask("/healthz", host="::1")[0] == 200
        if host != "::1":
            assert made.ask("/healthz")[0] == 200
    finally:
        made.endpoints.close()


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 80), ("no.such.host.invalid", 80), ("127.0.0.1", 99999)])
def test_an_unavailable_address(host: str, port: int) -> None:
    """The message names the address."""
    with pytest.raises(InputError, match=f"--listen {host}:{port}"):
        Endpoints(host, port, healthy=str, ready=str, metrics=bytes)


def test_close_frees_the_port() -> None:
    """The port is free after `close`, whether the endpoints were started or not."""
    started = _Stage().endpoints
    port = started.port
    started.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)

    not_started = Endpoints("127.0.0.1", port, healthy=str, ready=str, metrics=bytes)
    assert not_started.port == port
    not_started.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)
