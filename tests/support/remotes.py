"""Git servers on loopback: a real sshd, and the http backend of git behind TLS and a password.

A test starts a server and stops it at its end. This module must not be imported by the package.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
CI = os.environ.get("CI") == "true"


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def bare_repository(folder: Path) -> Path:
    """An empty repository to push to."""
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    return folder


def refs_of(repository: Path) -> dict[str, str]:
    """The refs of a repository: name -> object id."""
    command = ["git", "-C", str(repository), "for-each-ref", "--format=%(refname) %(objectname)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split(" ") for line in listed.stdout.splitlines())


def generate_key(path: Path, *, passphrase: str = "") -> str:
    """Create an ed25519 key at ``path``, and return the public key."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_name(f"{path.name}.pub").read_text()


@dataclass
class SshServer:
    """An sshd that accepts a single user with the keys in ``authorized_keys``."""

    port: int
    folder: Path
    known_hosts: str
    process: subprocess.Popen[bytes]

    def url(self, repository: Path) -> str:
        """The URL of a repository on the server."""
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        return f"ssh://{user}@127.0.0.1:{self.port}{repository}"

    def authorize(self, public_key: str) -> None:
        """Accept a public key."""
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(public_key)


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """A running sshd. Without sshd, the test is skipped, or fails with CI=true."""
    if SSHD is None:
        (pytest.fail if CI else pytest.skip)("no sshd on this machine: install openssh-server")
    folder.mkdir(parents=True, exist_ok=True)
    host_key = generate_key(folder / "host")
    port = free_port()
    (folder / "authorized_keys").touch(mode=0o600)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it drops its privileges to
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port)
        known = " ".join(host_key.split()[:2])
        yield SshServer(port, folder, f"[127.0.0.1]:{port} {known}\n", process)
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


@dataclass
class HttpServer:
    """git's http backend for the repositories below a folder."""

    url: str
    authority: str
    """The certificate authority: the self-signed certificate."""
    seen: list[str]
    """The Authorization headers of the requests."""


@contextlib.contextmanager
def http_server(
    folder: Path, *, password: str = "", token: str = "", client: Path | None = None, pushes: bool = True
) -> Iterator[HttpServer]:
    """A server that takes the user ``git`` with a password, or a bearer token; or who has a client certificate.

    ``pushes``: whether it takes any.
    """
    certificate, key = make_certificate(folder, "server")
    allowed = {f"Bearer {token}"} if token else set()
    if password:
        allowed.add("Basic " + base64.b64encode(f"git:{password}".encode()).decode())
    if client is not None:
        allowed.add("")
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, allowed, seen, "true" if pushes else "false"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client)
    # The thread of the handler makes the handshake. A client that leaves between select and accept blocks nothing.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.socket.settimeout(1.0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HttpServer(f"https://127.0.0.1:{server.server_address[1]}", certificate.read_text(), seen)
    finally:
        server.shutdown()
        server.server_close()


def _handler(folder: Path, allowed: set[str], seen: list[str], pushes: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

        def _serve(self) -> None:
            authorization = self.headers.get("Authorization", "")
            seen.append(authorization)
            if authorization not in allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            body = self._chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else self.rfile.read(length)
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                check=False,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_CONFIG_COUNT": "2",
                    "GIT_CONFIG_KEY_0": "http.receivepack",
                    "GIT_CONFIG_VALUE_0": pushes,
                    "GIT_CONFIG_KEY_1": "safe.directory",
                    "GIT_CONFIG_VALUE_1": "*",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "REMOTE_USER": "git",
                    "REMOTE_ADDR": "127.0.0.1",
                },
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.partition(": ") for line in head.decode().splitlines()]
            status = next((value for name, _, value in headers if name == "Status"), "200")
            self.send_response(int(status.split()[0]))
            for name, _, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    return Handler
