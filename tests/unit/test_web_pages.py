"""The process of the web pages in the controller: its options, its restarts, and its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap.archive import storage_folders
from gitsnap.cli.commands.controller import WebOptions
from gitsnap.controller import web_pages
from gitsnap.controller.web_pages import WebPages
from gitsnap.core.errors import InputError, UsageError
from tests.support.controllers import wait_for

_OVERLAY = Path(__file__).resolve().parents[2] / "manifests" / "overlays" / "web"
_SERVER = """
import os, socket, sys
listening = socket.socket(fileno=int(sys.argv[1]))
print("started", file=sys.stderr, flush=True)
while True:
    connection, _ = listening.accept()
    connection.sendall(str(os.getpid()).encode())
    connection.close()
"""


def _python(program: str, descriptor: int) -> Sequence[str]:
    return [sys.executable, "-c", program, str(descriptor)]


def _ask(pages: WebPages) -> int:
    """Return the process id of the child. A child that is being killed may accept a connection and not answer."""
    answer = b""
    while not answer:
        with (
            suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", pages.port), timeout=60) as connection,
        ):
            answer = connection.recv(100)
    return int(answer)


def test_the_child_is_started_again_and_its_lines_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections wait for the new child. The port is free after the end, and the child is gone."""
    monkeypatch.setattr(web_pages, "_FIRST_PAUSE", 0.01)
    pages = WebPages("127.0.0.1", 0, lambda descriptor: _python(_SERVER, descriptor))
    port = pages.port
    with caplog.at_level(logging.INFO, "gitsnap.controller.web_pages"):
        pages.start()
        first = _ask(pages)
        os.kill(first, signal.SIGKILL)
        second = _ask(pages)
        pages.close()

    assert first != second
    assert "web: started" in caplog.messages
    assert "the process of the web pages ended with exit code -9; next start in 0 s" in caplog.messages
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the controller does not wait for pages."""
    monkeypatch.setattr(web_pages, "_GRACE_SECONDS", 0.1)
    program = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN){_SERVER}"
    pages = WebPages("127.0.0.1", 0, lambda descriptor: _python(program, descriptor))
    pages.start()
    child = _ask(pages)
    pages.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_program_that_is_missing_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The controller works without the pages."""
    pages = WebPages("127.0.0.1", 0, lambda _descriptor: ["/no/such/program"])
    with caplog.at_level(logging.INFO, "gitsnap.controller.web_pages"):
        pages.start()
        wait_for(lambda: any("cannot start" in message for message in caplog.messages), "the message")
        pages.close()


def test_the_child_ends_with_the_controller(tmp_path: Path) -> None:
    """A controller that is killed cannot stop the child. The child stops when its standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "gitsnap", "web", "--storage", str(tmp_path / "later"), f"--socket={descriptor}"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[descriptor],
        )  # fmt: skip
        with socket.create_connection(listening.getsockname(), timeout=60) as connection:
            connection.sendall(b"GET /-/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert b"Fatal" not in errors


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (WebOptions(web_allowed_hosts=["a"]), "need --web-listen"),
        (WebOptions(web_user_header="X-User"), "need --web-listen"),
        (WebOptions(web_listen="8081"), "--web-listen 8081"),
        (WebOptions(web_listen=":0"), "--web-listen :0: other machines"),
        (WebOptions(web_listen="127.0.0.1:0", web_allowed_hosts=["a/b"]), "--web-allowed-host a/b"),
        (WebOptions(web_listen="127.0.0.1:0", web_user_header="X User"), "--web-user-header X User"),
    ],
)
def test_bad_options_are_usage_errors(options: WebOptions, named: str, tmp_path: Path) -> None:
    """Each message names the option of the controller."""
    with pytest.raises(UsageError, match=named):
        options.pages(tmp_path)


def test_without_the_option_there_are_no_pages(tmp_path: Path) -> None:
    """The default opens no port."""
    assert WebOptions().pages(tmp_path) is None


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """The controller does not start, as for its other ports."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = WebOptions(web_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(InputError, match="--web-listen"):
            options.pages(tmp_path)


def test_folders_of_a_storage_are_found(tmp_path: Path) -> None:
    """An archive can be in a folder inside the storage. Archives and hidden folders are not searched."""
    for name in ("team/a/b", "hourly/.git", "hourly/configuration", ".hidden/c", "lost+found/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "team")
    found = [str(folder.relative_to(tmp_path)) for folder in storage_folders(tmp_path)]
    assert found == [".", "team", "team/a", "team/a/b"]


def test_the_overlay_has_the_options_and_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options exist and are accepted together, and Service and NetworkPolicy lead to the port."""
    added: dict[str, list[Any]] = {}
    for operation in yaml.safe_load((_OVERLAY / "statefulset.yaml").read_text()):
        added.setdefault(operation["path"].split("/")[-2], []).append(operation["value"])
    monkeypatch.setenv("COLUMNS", "200")
    shown = subprocess.run(
        [sys.executable, "-m", "gitsnap", "controller", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = [word.partition("=")[::2] for word in added["args"]]
    assert all(option in shown for option, _ in options)
    (port,) = added["ports"]
    assert dict(options)["--web-listen"] == f":{port['containerPort']}"
    service, network = (
        yaml.safe_load((_OVERLAY / f"{name}.yaml").read_text()) for name in ("service", "networkpolicy")
    )
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    (rule,) = network["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["name"]}]
    assert all(peer["podSelector"]["matchLabels"] for peer in rule["from"])
