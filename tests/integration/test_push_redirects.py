"""Redirects of git to another host: no credentials are sent to the other host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gitsnap.archive.remote import Credentials, Remote
from gitsnap.core.errors import RemoteError

_SECRETS = {"password": {"username": b"git", "password": b"a-password"}, "token": {"bearerToken": b"a-token"}}
_ADVERTISED = b"001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n0017object-format=sha1\n0000"
_NO_REFS = b"0000"
_TYPE = "application/x-git-upload-pack"


class _Server(ThreadingHTTPServer):
    """Redirects paths below /old/ to ``target``, and asks for a password at all other paths."""

    target = ""
    public = False
    """Whether the server asks for no password."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str]] = []
        """Path and Authorization header of each request."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/old/"):
            self._answer(302, {"Location": f"{self.server.target}/new{self.path.removeprefix('/old')}"})
        elif self.headers.get("Authorization") or self.server.public:
            self._answer(200, {"Content-Type": f"{_TYPE}-advertisement"}, _ADVERTISED)
        else:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'})

    def do_POST(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {"Content-Type": f"{_TYPE}-result"}, _NO_REFS)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _serving() -> Iterator[_Server]:
    server = _Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _sent(first: _Server, values: dict[str, bytes], folder: Path) -> None:
    remote = Remote(f"http://127.0.0.1:{first.server_port}/old/x.git", Credentials("Secret a/b", values))
    assert remote.refs(folder, "p") == {}


@pytest.mark.parametrize("kind", _SECRETS)
@pytest.mark.parametrize("other_asks", ["for a password", "for none"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_host_or_port_gets_no_credentials(tmp_path: Path, kind: str, other_asks: str, host: str) -> None:
    """No credentials are sent, whether or not the other host asks for them."""
    with _serving() as first, _serving() as other:
        first.target, other.public = f"http://{host}:{other.server_port}", other_asks == "for none"
        with suppress(RemoteError):
            _sent(first, _SECRETS[kind], tmp_path)
        assert first.seen
        assert {authorization for _, authorization in other.seen} <= {""}


def test_another_path_of_the_same_host_gets_the_password(tmp_path: Path) -> None:
    """Servers redirect like this when a repository was renamed."""
    with _serving() as first:
        first.target = f"http://127.0.0.1:{first.server_port}"
        _sent(first, _SECRETS["password"], tmp_path)
        path, authorization = first.seen[-1]
        assert path == "/new/x.git/git-upload-pack"
        assert authorization


def test_a_redirect_with_a_token_is_refused(tmp_path: Path) -> None:
    """git would send the token to the target of the redirect."""
    with _serving() as first, _serving() as other:
        first.target = f"http://127.0.0.1:{other.server_port}"
        with pytest.raises(RemoteError, match="the server redirects to another address") as raised:
            _sent(first, _SECRETS["token"], tmp_path)
        assert "a-token" not in str(raised.value)


def test_a_header_that_the_server_repeats_is_not_shown() -> None:
    """The base64 of user and password is as good as the password."""
    remote = Remote("https://git.example.com/x.git", Credentials("Secret a/b", _SECRETS["password"]))
    error = remote.error("remote: you sent Basic Z2l0OmEtcGFzc3dvcmQ=\nfatal: unable to access\n")
    assert "Z2l0OmEtcGFzc3dvcmQ=" not in error.message
