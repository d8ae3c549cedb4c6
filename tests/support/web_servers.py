"""Starts ``gitsnap web`` as a child process, and sends requests with any head.

This module must not be imported by the package.
"""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_START_SECONDS = 120
_LIFE_SECONDS = 1800
"""A server whose test was killed ends after this time."""


@dataclass
class Answer:
    """An answer to a request."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@dataclass
class RunningServer:
    """A server on a free port of the loopback address."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)
    """What the server printed when it ended."""

    @property
    def url(self) -> str:
        """The address of the overview, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, method: str = "GET", *, host: str = "", **headers: str) -> Answer:
        """Send a request. ``host``: the header Host, ``""`` for the right one. Underscores in names are hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def send(self, head: bytes) -> bytes:
        """Send bytes, and return everything that the server sends until it closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        self.lines += errors.splitlines()
        return self.process.returncode


@contextmanager
def running_server(
    folder: Path, *words: str, program: Sequence[str] = (sys.executable, "-m", "gitsnap"), **environment: str
) -> Iterator[RunningServer]:
    """Start ``gitsnap web`` in a folder, and stop it at the end. ``program``: the command that starts gitsnap."""
    command = [*program, "web", "--listen", "127.0.0.1:0", *words]
    process = subprocess.Popen(
        ["timeout", str(_LIFE_SECONDS), *command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = RunningServer(process, 0)
    try:
        server.port = _read_port(process)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def _read_port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    end, text = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < end:
        ready, _, _ = select.select([process.stderr], [], [], 1)
        if ready:
            line = process.stderr.readline()
            assert line, f"the server ended: {text}"
            text += line
        if match := re.search(r"http://127\.0\.0\.1:(\d+)/", text):
            return int(match[1])
    raise AssertionError(f"the server did not start: {text}")
