"""``gitsnap web``: read-only pages of archives in a browser.

This module must not open a cluster.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import terminal
from gitsnap.cli.archive_location import ArchiveLocation
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitsnap.archive import GitArchive
    from gitsnap.web.site import OpenArchives


_Listen = Annotated[
    str,
    typer.Option("--listen", metavar="[HOST]:PORT", help="Address that serves the pages. Port 0 takes a free port."),
]
_AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="Host name that browsers may use, such as the name of a proxy in front; repeatable. An address that other "
        "machines reach needs one.",
    ),
]
_UserHeader = Annotated[
    str,
    typer.Option(
        "--user-header",
        metavar="HEADER",
        help="Header with the name of the user, which the proxy in front sets. The name is shown and logged, and gives "
        "no rights. Without the option, no header is trusted.",
    ),
]
_Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive", help="Also show the archives in folders inside the storage, such as those of spec.storage."
    ),
]
_Socket = Annotated[
    int,
    typer.Option("--socket", hidden=True, help="Descriptor of a listening socket that the controller hands down."),
]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Do not log requests.")]


def web(
    *,
    archive: ArchiveOptions,
    listen: _Listen = "127.0.0.1:8080",
    allowed_hosts: _AllowedHosts = None,
    user_header: _UserHeader = "",
    recursive: _Recursive = False,
    quiet: _Quiet = False,
    inherited: _Socket = -1,
) -> None:
    """Show archives in a browser: timeline, diffs, objects, clusters, search.

    The pages are read-only, and values of Secrets are never shown. Every page has a JSON form, with ?format=json.
    Without --snapshot or --archive, all archives of the storage are shown. New samples appear at once.

    The command has no login. By default only this machine reaches it, on the loopback address. In a cluster, use
    `kubectl port-forward`, or a proxy with a login and --allowed-host. The command runs until SIGTERM or Ctrl-C.

    Example: gitsnap web --storage /var/lib/gitsnap

    Example: gitsnap web --listen :8080 --allowed-host gitsnap.example.com --user-header X-Forwarded-User
    """
    from gitsnap.web.listening import check_header, check_hosts, check_libraries, parse_address

    check_libraries("gitsnap web")

    address = parse_address(listen)
    hosts = check_hosts(address, allowed_hosts or ())
    check_header(user_header)
    from gitsnap.cli import web_documents
    from gitsnap.web.server import Settings, WebServer

    open_archives = _opener(archive, recursive=recursive)
    is_child = inherited >= 0
    archives, problems = ([], []) if is_child else open_archives()  # the child may start before the storage exists
    for problem in problems:
        terminal.say(f"error: {problem}")
    gc.enable()  # main() disables it for processes that run for seconds
    settings = Settings(address, hosts, user_header, inherited)
    server = WebServer(settings, open_archives, web_documents, (lambda _line: None) if quiet else terminal.say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: server.stop())
    if is_child:
        _serve_controller(server.stop)
    else:
        described = ", ".join(opened.source for opened in archives) or "no archive yet"
        say_heading(f"showing {described} at http://{server.address}/; stop with Ctrl-C")
    server.run()


def _serve_controller(stop: Callable[[], None]) -> None:
    """Leave the processor to captures, and stop when the controller ends: the standard input ends with it."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin: its lock would block the end of the interpreter
        stop()

    os.nice(10)
    threading.Thread(target=wait, name="controller", daemon=True).start()


def _opener(archive: ArchiveOptions, *, recursive: bool) -> OpenArchives:
    """Return the function that opens the archives. A remote archive is fetched once, when the command starts.

    ``recursive``: whether to open the archives in folders inside the storage too.
    """
    location: ArchiveLocation = archive
    source = ""
    if archive.is_remote:
        cached = archive.find()
        location, source = ArchiveLocation(snapshot=cached.branch, archive=cached.location), cached.source

    def open_archives() -> tuple[list[GitArchive], list[str]]:
        """Return the archives, and a message for each that cannot be opened."""
        damaged: list[ArchiveError] = []
        opened = location.find_all(damaged, recursive=recursive)
        for entry in opened:
            entry.source = source or entry.source
        return opened, [error.message for error in damaged]

    return open_archives
