"""``gitsnap controller``: take the samples of Snapshot resources until a signal stops the process.

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
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options
from gitsnap.core.errors import UsageError

if TYPE_CHECKING:
    from gitsnap.controller import AuditSettings, Permissions
    from gitsnap.controller.web_pages import WebPages

_DEFAULT_STORAGE = Path("/collection")
_DEFAULT_NAMESPACE = "gitsnap"


@dataclass(frozen=True, slots=True)
class PermissionOptions:
    """The options that permit fields of Snapshots which are refused by default (docs/SECURITY.md)."""

    secrets_from: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-secrets-from",
            metavar="NS",
            help="Snapshots may name Secrets in this namespace, besides that of the controller; repeatable.",
        ),
    ] = None
    secret_resources: Annotated[
        bool, typer.Option("--allow-secret-resources", help="spec.resources may add Secrets that no object refers to.")
    ] = False
    plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="spec.secrets.mode may be plaintext: Secrets are not encrypted.")
    ] = False
    insecure_push: Annotated[
        bool, typer.Option("--allow-insecure-push", help="spec.push.url may be http:// or git://.")
    ] = False
    local_push: Annotated[
        bool,
        typer.Option("--allow-local-push", help="spec.push.url may be a folder in the file system of the controller."),
    ] = False

    def permissions(self, namespace: str) -> Permissions:
        """Return the permissions of Snapshots for a controller in this namespace."""
        from gitsnap.controller import Permissions

        return Permissions(
            namespace=namespace,
            secrets_from=tuple(self.secrets_from or ()),
            secret_resources=self.secret_resources,
            plaintext=self.plaintext,
            insecure_push=self.insecure_push,
            local_push=self.local_push,
        )


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The options of the audit receiver (docs/AUTHORS.md)."""

    audit_listen: Annotated[
        str,
        typer.Option(
            "--audit-listen",
            metavar="[HOST]:PORT",
            show_default=False,
            help="Receive audit events of the API server at this address, by HTTPS. Default: no events are received.",
        ),
    ] = ""
    audit_certificate: Annotated[
        Path | None, typer.Option("--audit-cert", metavar="FILE", help="Certificate of the audit receiver, PEM.")
    ] = None
    audit_key: Annotated[
        Path | None, typer.Option("--audit-key", metavar="FILE", help="Private key of --audit-cert, PEM.")
    ] = None
    audit_token_file: Annotated[
        Path | None,
        typer.Option(
            "--audit-token-file",
            metavar="FILE",
            help="Bearer tokens, one per line. A client needs one of them to send audit events.",
        ),
    ] = None
    audit_client_ca: Annotated[
        Path | None,
        typer.Option(
            "--audit-client-ca",
            metavar="FILE",
            help="Authority of client certificates, PEM. A client needs such a certificate to send audit events. With "
            "--audit-token-file both are needed.",
        ),
    ] = None

    def settings(self) -> AuditSettings | None:
        """Return the settings of the audit receiver; None without one. Raises UsageError."""
        from gitsnap.controller import AuditSettings

        files = (self.audit_certificate, self.audit_key, self.audit_client_ca, self.audit_token_file)
        if not self.audit_listen:
            if any(files):
                raise UsageError("the --audit- options need --audit-listen")
            return None
        if find_spec("h11") is None:
            raise UsageError(
                "--audit-listen needs h11, which is not installed", hint="`pip install 'gitsnap[audit]'` installs it."
            )
        return AuditSettings(_address(self.audit_listen, option="--audit-listen"), *files)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The options of the web pages (docs/WEB.md)."""

    web_listen: Annotated[
        str,
        typer.Option(
            "--web-listen",
            metavar="[HOST]:PORT",
            show_default=False,
            help="Show the archives of the storage at this address, as gitsnap web does. Default: there are no pages.",
        ),
    ] = ""
    web_allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--web-allowed-host",
            metavar="NAME",
            help="Host name that browsers may use for the pages; repeatable. An address that other machines reach "
            "needs one.",
        ),
    ] = None
    web_user_header: Annotated[
        str,
        typer.Option(
            "--web-user-header",
            metavar="HEADER",
            show_default=False,
            help="Header with the name of the user, which the proxy in front sets. The name is shown and logged.",
        ),
    ] = ""

    def pages(self, storage: Path) -> WebPages | None:
        """Bind to the address of the pages; None without one. Raises UsageError, InputError."""
        if not self.web_listen:
            if self.web_allowed_hosts or self.web_user_header:
                raise UsageError("the --web- options need --web-listen")
            return None
        from gitsnap.controller.web_pages import WebPages
        from gitsnap.web.listening import check_header, check_hosts, check_libraries, parse_address

        check_libraries("--web-listen")
        address = parse_address(self.web_listen, "--web-listen")
        check_hosts(address, self.web_allowed_hosts or (), "--web-")
        header = check_header(self.web_user_header, "--web-")
        words = [sys.executable, "-m", "gitsnap", "web", "--recursive", f"--storage={storage}"]
        words += [f"--listen={address}", *(f"--allowed-host={name}" for name in self.web_allowed_hosts or ())]
        words += [f"--user-header={header}"] if header else []
        return WebPages(address.host, address.port, lambda descriptor: [*words, f"--socket={descriptor}"])


_Storage = Annotated[
    Path,
    typer.Option(
        "--storage",
        metavar="DIR",
        envvar="GITSNAP_STORAGE",
        show_envvar=False,
        show_default=False,
        help="Folder that holds the archives; spec.storage may name a folder inside it. Default: $GITSNAP_STORAGE, "
        f"else {_DEFAULT_STORAGE}.",
    ),
]
_Listen = Annotated[
    str, typer.Option("--listen", metavar="[HOST]:PORT", help="Address that serves /healthz, /readyz and /metrics.")
]
_Namespace = Annotated[
    str,
    typer.Option(
        "--lease-namespace",
        metavar="NS",
        envvar="POD_NAMESPACE",
        show_default=False,
        help="Namespace of the controller: it has the Lease and the Secrets that Snapshots name. Default: "
        f"$POD_NAMESPACE, else {_DEFAULT_NAMESPACE}.",
    ),
]
_Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        parser=options.whole_number(1, 64),
        help="Maximum number of samples that are taken at the same time, 1 to 64.",
    ),
]


_Grace = Annotated[
    float,
    typer.Option(
        "--grace-seconds",
        metavar="SECONDS",
        parser=options.seconds,
        help="How long running samples may continue after SIGTERM.",
    ),
]


def controller(
    storage: _Storage = _DEFAULT_STORAGE,
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    listen: _Listen = "127.0.0.1:8080",
    namespace: _Namespace = _DEFAULT_NAMESPACE,
    workers: _Workers = 2,
    grace: _Grace = 20.0,
    *,
    permitted: PermissionOptions,
    audit: AuditOptions,
    web: WebOptions,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also log debug messages.")] = False,
) -> None:
    """Run the controller: take samples on schedule and on request.

    The controller runs until SIGTERM or Ctrl-C. The status of a Snapshot has the result of its samples. A Snapshot with
    a field that needs an --allow option is not ready without the option; its status names the field and the option.

    With --audit-listen, the controller receives audit events and names the users who made the changes of follow mode.
    The files of the --audit- options are read again when they change.

    With --web-listen, the controller shows the archives of the storage in a browser, read-only and without a login
    (gitsnap web). A separate process with a low priority serves the pages.

    Example: gitsnap controller --storage /collection --listen :8080
    """
    from gitsnap.cluster import connect
    from gitsnap.controller import Controller, Settings, configure_logging
    from gitsnap.core.files import discard_temporary_folders
    from gitsnap.sveltos.kinds import BY_KIND

    configure_logging(verbose=verbose)
    gc.enable()  # main() disables it for processes that run for seconds
    open_cluster = partial(connect, known_kinds=BY_KIND, kubeconfig=kubeconfig, context=context)
    running = Controller(
        Settings(
            storage=storage,
            namespace=namespace,
            identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            listen=_address(listen, option="--listen"),
            permissions=permitted.permissions(namespace),
            workers=workers,
            grace_seconds=grace,
            audit=audit.settings(),
        ),
        open_cluster,
        now=lambda: datetime.now(UTC),
    )
    pages = web.pages(storage)

    def stop(_number: int, _frame: object) -> None:
        running.stop()
        if pages is not None:
            pages.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    open_cluster()  # reports an unusable kubeconfig at once
    if pages is not None:
        pages.start()
    has_ended = running.run()
    if pages is not None:
        pages.close()
    sys.stderr.flush()
    if not has_ended:
        discard_temporary_folders()
        os._exit(0)  # a thread that waits for a server would keep the process; an archive is consistent at any time


def _address(text: str, *, option: str) -> tuple[str, int]:
    """Return host and port; an empty host means all addresses. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{option} {text}: [HOST]:PORT is needed, such as :8080 or 127.0.0.1:8080")
    return host.strip("[]"), int(port)
