"""``gitsnap controller``: serve Snapshot resources until asked to stop.

This module must not decide when a sample is due.
"""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options
from gitsnap.core.errors import UsageError

if TYPE_CHECKING:
    from gitsnap.controller import Permissions

_DEFAULT_STORAGE = "/collection"
_DEFAULT_NAMESPACE = "gitsnap"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What Snapshots may ask for beyond what every Snapshot may (docs/SECURITY.md)."""

    secrets_from: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-secrets-from",
            metavar="NS",
            help="Snapshots may name Secrets of this namespace, besides the controller's own; repeatable.",
        ),
    ] = None
    secret_resources: Annotated[
        bool, typer.Option("--allow-secret-resources", help="spec.resources may add Secrets that nothing refers to.")
    ] = False
    plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="spec.secrets.mode may be plaintext: Secrets in clear.")
    ] = False
    insecure_push: Annotated[
        bool, typer.Option("--allow-insecure-push", help="spec.push.url may be http:// or git://.")
    ] = False
    local_push: Annotated[
        bool, typer.Option("--allow-local-push", help="spec.push.url may be a folder that the controller sees.")
    ] = False

    def permissions(self, namespace: str) -> Permissions:
        """The permissions of a controller in this namespace."""
        from gitsnap.controller import Permissions

        return Permissions(
            namespace=namespace,
            secrets_from=tuple(self.secrets_from or ()),
            secret_resources=self.secret_resources,
            plaintext=self.plaintext,
            insecure_push=self.insecure_push,
            local_push=self.local_push,
        )


def controller(
    storage: options.Storage = None,
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    listen: Annotated[
        str, typer.Option("--listen", metavar="[HOST]:PORT", help="Where /healthz, /readyz and /metrics are.")
    ] = "127.0.0.1:8080",
    namespace: Annotated[
        str,
        typer.Option(
            "--lease-namespace",
            metavar="NS",
            envvar="POD_NAMESPACE",
            help="The controller's own namespace: its Lease and the Secrets of Snapshots.",
        ),
    ] = _DEFAULT_NAMESPACE,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Samples taken at one time.")] = 2,
    grace: Annotated[
        float,
        typer.Option("--grace-seconds", min=0, help="How long a running sample may go on after SIGTERM."),
    ] = 20.0,
    *,
    allowed: Allowed,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is only considered, too.")] = False,
) -> None:
    """Serve Snapshots: take samples on schedule and on request.

    Their status tells how it went. Runs until SIGTERM or Ctrl-C. Without --storage, Snapshots that name no folder are
    kept in /collection. A Snapshot that asks for more than the --allow flags permit is not ready, and its status names
    the field and the flag.

    Example: gitsnap controller --storage /collection --listen :8080
    """
    from gitsnap.cluster import connect
    from gitsnap.controller import Controller, Settings, configure_logging
    from gitsnap.core.files import discard_temporary_folders
    from gitsnap.sveltos.kinds import BY_KIND

    configure_logging(verbose=verbose)
    gc.enable()  # main() turns it off for processes that live for seconds
    open_cluster = partial(connect, known_kinds=BY_KIND, kubeconfig=kubeconfig, context=context)
    served = Controller(
        Settings(
            storage=storage or Path(_DEFAULT_STORAGE),
            namespace=namespace,
            identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            listen=_address(listen),
            permissions=allowed.permissions(namespace),
            workers=workers,
            grace_seconds=grace,
        ),
        open_cluster,
        now=lambda: datetime.now(UTC),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: served.stop())
    open_cluster()  # a kubeconfig that cannot be used is said at once
    all_done = served.run()
    sys.stderr.flush()
    if not all_done:
        discard_temporary_folders()
        os._exit(0)  # a thread that still waits for a server would keep the process; the archive is whole at any moment


def _address(text: str) -> tuple[str, int]:
    """Host and port; all addresses where no host is given. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {text}: [HOST]:PORT is needed, such as :8080 or 127.0.0.1:8080")
    return host.strip("[]"), int(port)
