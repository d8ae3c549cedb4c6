"""The server of audit events: who may send them, which requests are refused, and that no client blocks another."""

from __future__ import annotations

import contextlib
import gc
import gzip
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitsnap.controller.audit import server as server_module
from gitsnap.controller.audit.access import Access, AuditSettings
from gitsnap.core.errors import InputError
from tests.support.audit_receivers import TOKEN, Received, event_list
from tests.support.controllers import wait_for
from tests.support.remotes import make_certificate

_BODY = event_list({"auditID": "1"}, {"auditID": "2"})
_Start = Callable[..., Received]


@pytest.fixture
def start() -> Iterator[_Start]:
    """Starts servers that are closed at the end."""
    started: list[Received] = []

    def make(**settings: Path) -> Received:
        received = Received(AuditSettings(("127.0.0.1", 0), **settings))
        started.append(received)
        return received

    yield make
    for received in started:
        received.server.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with two tokens: a token is replaced without a moment in which none counts."""
    path = tmp_path / "tokens"
    path.write_text(f"another-token-of-a-forwarder\n{TOKEN}\n")
    return path


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}0", TOKEN.upper(), "0" * 10_000])
def test_a_wrong_token_is_refused(start: _Start, token_file: Path, token: str) -> None:
    """The server takes no body."""
    received = start(token_file=token_file)
    assert received.post(_BODY, token=token) == 401
    assert not received.bodies
    assert received.post(_BODY) == received.post(_BODY, token="another-token-of-a-forwarder") == 200
    assert received.bodies == [_BODY, _BODY]


@pytest.mark.parametrize("value", ["", "Basic YTpi", TOKEN, f"Bearer{TOKEN}", f"Bearer {TOKEN} {TOKEN}", "Bearer \xe9"])
def test_a_header_of_another_form_is_refused(start: _Start, token_file: Path, value: str) -> None:
    """Only a bearer token counts."""
    received = start(token_file=token_file)
    assert received.post(_BODY, token="", headers={"Authorization": value}) == 401


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/"}, 404),
        ({"path": "/auditx"}, 404),
        ({"path": "/audit/"}, 200),
        ({"path": "/audit?timeout=30s"}, 200),
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"headers": {"Content-Encoding": "br"}}, 415),
        ({"headers": {"Content-Encoding": "gzip"}}, 400),
        ({"headers": {"Content-Length": "-1"}}, 400),
        ({"headers": {"Content-Length": "x"}}, 400),
        ({"headers": {"Content-Length": str(server_module.MOST_BODY_BYTES + 1)}}, 413),
        ({"headers": {"Content-Length": "9" * 18}}, 413),
        ({"headers": {"Content-Length": "9" * 30}}, 400),
        ({"headers": {"X": "a" * 100_000}}, 431),
    ],
)
def test_a_request_of_another_form_is_refused(start: _Start, request_: dict[str, object], status: int) -> None:
    """Each refusal has its status, and the next connection is served."""
    received = start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        assert received.post(_BODY, **request_) == status  # type: ignore[arg-type]
    wait_for(lambda: received.statuses == [status], "the answer")
    assert received.post(_BODY) == 200


def test_a_body_that_has_no_events_is_refused(start: _Start) -> None:
    """The receiver of the bodies decides the status."""
    received = start()
    received.accepts = False
    assert received.post(b"no events") == 400


@pytest.mark.parametrize("chunks", [1, 7, 40])
def test_bodies_may_come_in_chunks_or_compressed(start: _Start, chunks: int) -> None:
    """Log forwarders send such bodies."""
    received = start()
    content = gzip.compress(_BODY)
    parts = [_BODY[start_ : start_ + chunks] for start_ in range(0, len(_BODY), chunks)]
    assert received.post(parts) == 200
    assert received.post(content, headers={"Content-Encoding": "gzip"}) == 200
    assert received.post(content[:-5], headers={"Content-Encoding": "gzip"}) == 400
    assert received.bodies == [_BODY, _BODY]


def test_a_large_body_is_refused_whatever_its_head_says(start: _Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body comes in chunks, or grows by decompression. A body of exactly the limit is taken."""
    monkeypatch.setattr(server_module, "MOST_BODY_BYTES", 100_000)
    received = start()
    assert received.post([b"x" * 1000] * 200) == 413
    assert received.post(gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"}) == 413
    assert received.post([b"x" * 1000] * 100) == 200
    assert received.post(gzip.compress(b"x" * 100_000), headers={"Content-Encoding": "gzip"}) == 200
    assert [len(body) for body in received.bodies] == [100_000, 100_000]


def test_a_body_without_memory_is_dropped_and_counted(start: _Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender gets its answer, and later bodies are taken."""
    received = start()
    monkeypatch.setattr(server_module, "MOST_BUFFERED_BYTES", 10)
    assert received.post(_BODY) == 200
    assert (received.bodies, received.dropped) == ([], 2)
    monkeypatch.undo()
    assert received.post(_BODY) == 200
    assert received.bodies == [_BODY]
    assert received.server._buffered == 0


def test_many_requests_of_one_connection(start: _Start) -> None:
    """API servers keep their connections, and ask whether a large body may be sent."""
    received = start()
    connection = received.connection()
    for _ in range(5):
        connection.request("POST", "/audit", _BODY)
        assert connection.getresponse().read() == b""
    head = b"POST /audit HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
    connection.sock.sendall(head)
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100")
    connection.sock.sendall(_BODY + head + _BODY)  # the next request follows at once
    answers = b""
    while answers.count(b"HTTP/1.1 200") < 2:
        answers += connection.sock.recv(1000)
    connection.close()
    assert received.bodies == [_BODY] * 7


def test_slow_clients_block_nobody(start: _Start, tmp_path: Path) -> None:
    """Clients are silent, or stop in the handshake, the head or the body."""
    certificate, key = make_certificate(tmp_path, "server")
    plain, secured = start(), start(certificate=certificate, key=key)
    starts = [b"", b"POST /au", b"POST /audit HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n{"]
    with contextlib.ExitStack() as stack:
        for received in (plain, secured):
            for number in range(server_module._MOST_CONNECTIONS + 20):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", received.server.port), timeout=30))
                client.sendall(starts[number % 3])
            for _ in range(3):
                assert received.post(_BODY) == 200
            assert len(received.server._connections) <= server_module._MOST_CONNECTIONS
    assert len(plain.bodies) == len(secured.bodies) == 3


def test_a_connection_that_is_closed_at_once_is_closed(start: _Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has not read any byte of the connection."""
    monkeypatch.setattr(server_module, "_MOST_CONNECTIONS", 0)
    received = start()
    with socket.create_connection(("127.0.0.1", received.server.port), timeout=30) as client:
        assert client.recv(100) == b""
    gc.collect()


def test_strangers_do_not_push_out_a_sender(start: _Start, token_file: Path) -> None:
    """The connection of the API server stays open, although other clients open more than the limit."""
    received = start(token_file=token_file)
    sender = received.connection()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    sender.request("POST", "/audit", _BODY, headers)
    assert sender.getresponse().read() == b""
    own = sender.sock
    with contextlib.ExitStack() as stack:
        for _ in range(server_module._MOST_CONNECTIONS + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", received.server.port), timeout=30))
        sender.request("POST", "/audit", _BODY, headers)
        assert sender.getresponse().status == 200
        assert sender.sock is own
    sender.close()


def test_a_request_that_takes_too_long_ends(start: _Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte from time to time cannot keep a connection."""
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.3)
    received = start()
    with socket.create_connection(("127.0.0.1", received.server.port), timeout=30) as client:
        client.sendall(b"POST /audit HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n{")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    assert received.server._buffered == 0


# TLS ------------------------------------------------------------------------------------------------------------------


def test_a_client_certificate_is_needed(start: _Start, tmp_path: Path) -> None:
    """Only certificates of the authority are accepted."""
    server, ours, other = (make_certificate(tmp_path, name) for name in ("server", "ours", "other"))
    received = start(certificate=server[0], key=server[1], client_ca=ours[0])
    assert received.post(_BODY, client=ours) == 200
    for client in (None, other):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            received.post(_BODY, client=client)
    assert received.bodies == [_BODY]


def test_both_are_needed_if_both_are_set(start: _Start, tmp_path: Path, token_file: Path) -> None:
    """A certificate alone is not enough: the authority may have signed those of all users of a cluster."""
    server, ours = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "ours")
    received = start(certificate=server[0], key=server[1], client_ca=ours[0], token_file=token_file)
    assert received.post(_BODY, client=ours, token="") == 401
    assert received.post(_BODY, client=ours) == 200


def test_changed_files_count_for_the_next_connection(
    start: _Start, tmp_path: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate and the token change. Files that cannot be used change nothing."""
    monkeypatch.setattr("gitsnap.controller.audit.access._LOOK_SECONDS", 0.0)
    (first, key), second = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "second")
    received = start(certificate=first, key=key, token_file=token_file)
    assert received.post(_BODY) == 200

    token_file.write_text("short\n")
    assert received.post(_BODY) == 200
    token_file.write_text("f" * 32)
    assert received.post(_BODY) == 401
    first.write_text("no certificate")
    with pytest.raises(ssl.SSLError):  # the client of the test reads the same file
        received.post(_BODY)
    second[0].replace(first)
    second[1].replace(key)
    assert received.post(_BODY, token="f" * 32) == 200


def test_old_versions_of_tls_are_refused(start: _Start, tmp_path: Path) -> None:
    """TLS 1.2 is the oldest."""
    certificate, key = make_certificate(tmp_path, "server")
    received = start(certificate=certificate, key=key)
    assert Access(received.settings).tls_context is not None
    context = Access(received.settings).tls_context
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["", "192.0.2.1", "::", "10.0.0.1", "gitsnap.example.com"])
@pytest.mark.parametrize(
    ("has_tls", "allowed"), [(False, ""), (True, ""), (False, "token"), (True, "token"), (True, "client")]
)
def test_everybody_is_admitted_on_loopback_only(
    tmp_path: Path, token_file: Path, host: str, allowed: str, *, has_tls: bool
) -> None:
    """At any other address, TLS and a token or a client certificate are required."""
    certificate, key = make_certificate(tmp_path, "server")
    settings = AuditSettings(
        (host, 0),
        certificate=certificate if has_tls else None,
        key=key if has_tls else None,
        token_file=token_file if allowed == "token" else None,
        client_ca=certificate if allowed == "client" else None,
    )
    if has_tls and allowed:
        Access(settings)
    else:
        with pytest.raises(InputError, match="--audit-listen"):
            Access(settings)


@pytest.mark.parametrize("content", ["", "\n\n", "short", "0123456789abcdef\nshort"])
def test_a_token_file_without_tokens_admits_nobody(tmp_path: Path, content: str) -> None:
    """An empty file is an error and not an empty token."""
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(InputError, match="--audit-token-file"):
        Access(AuditSettings(("127.0.0.1", 0), token_file=path))


@pytest.mark.parametrize("missing", ["certificate", "key", "client_ca", "token_file"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path, token_file: Path, missing: str) -> None:
    """The message names the option and quotes no part of a file."""
    certificate, key = make_certificate(tmp_path, "server")
    files = {"certificate": certificate, "key": key, "client_ca": certificate, "token_file": token_file}
    files[missing] = tmp_path / "nothing"
    with pytest.raises(InputError, match="nothing"):
        Access(AuditSettings(("127.0.0.1", 0), **files))
    files[missing].write_text("SECRET")
    with pytest.raises(InputError, match="nothing") as raised:
        Access(AuditSettings(("127.0.0.1", 0), **files))
    assert "SECRET" not in str(raised.value)
