"""``gitsnap status``: the state of archives, of their keys, and of the cluster."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import EXIT_ATTENTION, ArchiveError, GitsnapError, NotFoundError
from gitsnap.core.text import plural
from gitsnap.render import one_line, wrapped

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import Cluster
    from gitsnap.health import Check, Health

_LABEL = 9
"""The width of the longest label, in characters."""


def status(
    *,
    archive: ArchiveOptions,
    cluster: ClusterOptions,
    identity: options.Identity = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Show whether samples are taken, can be read and are pushed.

    The command checks the samples, the keys, the last rollback and the disk of each archive, and the identity of the
    cluster, your rights, the Snapshot and the reports of the controller. It changes nothing and contacts no remote.
    `gitsnap verify` checks every object of an archive.

    Exit status 21: a check found a problem. A check that is `not checked` is not a problem.

    Example: gitsnap status --snapshot hourly

    Example: kubectl -n gitsnap exec gitsnap-0 -- gitsnap status -o json
    """
    damaged: list[ArchiveError] = []
    archives = archive.find_all(damaged)
    if not archives and not damaged:
        raise NotFoundError(
            f"there is no archive in {archive.folder.resolve()}",
            hint="Name the folder with --storage or GITSNAP_STORAGE. `gitsnap capture` creates an archive.",
        )
    now = datetime.now(UTC)
    with terminal.ProgressLine("checking"):
        connection = _Connection(cluster)
        results = [_check(opened, connection, identity or [], now) for opened in archives]
    if form is terminal.Output.TABLE:
        terminal.print_result("\n\n".join(_text(health, terminal.width()) for health in results))
    else:
        terminal.print_document({"kind": "Status", "archives": [_document(health) for health in results]}, form)
    for error in damaged:
        terminal.say(f"error: {error}")
    if damaged:
        raise typer.Exit(exit_code_of(ArchiveError))
    from gitsnap.health import State

    if any(health.subjects(State.WRONG) for health in results):
        raise typer.Exit(EXIT_ATTENTION)


class _Connection:
    """The cluster, or the reason why it cannot be used. One connection serves the checks of all archives."""

    def __init__(self, cluster_options: ClusterOptions) -> None:
        self.is_named = bool(
            cluster_options.kubeconfig
            or cluster_options.context
            or cluster_options.from_dir
            or os.environ.get("KUBECONFIG")
            or Path("~/.kube/config").expanduser().exists()
        )
        self.cluster: Cluster | None = None
        self.error: GitsnapError | None = None
        try:
            self.cluster = cluster_options.open()
            self.cluster.info()
        except GitsnapError as error:
            self.error = error

    @property
    def answering(self) -> Cluster | None:
        """The cluster; None if it does not answer."""
        return self.cluster if self.error is None else None


def _check(archive: GitArchive, connection: _Connection, identities: list[Path], now: datetime) -> Health:
    from gitsnap.health import Health
    from gitsnap.health.archive_checks import check_archive, check_pushed, find_remote

    samples = archive.samples()
    checks = list(check_archive(archive, now, identities=identities, cluster=connection.answering))
    cluster_checks, push_url = _check_cluster(archive, connection, now)
    checks += cluster_checks
    checks.append(check_pushed(archive, samples, push_url or find_remote(archive)))
    return Health(archive.policy, archive.source, len(samples), samples[-1] if samples else None, checks)


def _check_cluster(archive: GitArchive, connection: _Connection, now: datetime) -> tuple[list[Check], str]:
    """Return the checks of the cluster, and the remote that the Snapshot names, ``""`` for none."""
    from gitsnap.health import Check, State
    from gitsnap.health.cluster_checks import check_identity, check_policy, check_rights, find_policy, not_reached

    cluster, samples = connection.cluster, archive.samples()
    if cluster is None or connection.error is not None:
        error = connection.error or GitsnapError("no cluster")
        return [not_reached(error, is_named=connection.is_named)], ""
    newest = samples[-1] if samples else None
    checks = [check_identity(cluster.info(), newest)]
    try:
        if not cluster.info().is_folder:
            checks.append(check_rights(cluster, archive.tree(newest).info.kinds if newest else ()))
        policy = find_policy(cluster, archive.policy)
        checks += check_policy(archive.policy, policy, now)
    except GitsnapError as error:
        return [*checks, Check("Snapshot", State.NOT_CHECKED, error.message)], ""
    return checks, policy.push_url


def _text(health: Health, columns: int) -> str:
    from gitsnap.archive.remote import is_url
    from gitsnap.health import State

    location = health.location if is_url(health.location) else Path(health.location).resolve()
    lines = [wrapped(f"{health.policy} in {location}", columns)]
    for check in health.checks:
        mark = {State.OK: "", State.WRONG: "WRONG: ", State.NOT_CHECKED: "not checked: "}[check.state]
        lines.append(_labelled(check.subject, mark + check.message, columns))
        if check.hint and check.state is not State.OK:
            lines.append(_labelled("", check.hint, columns))
    return "\n".join([*lines, wrapped(_verdict(health), columns)])


def _labelled(label: str, text: str, columns: int) -> str:
    """Return a label and a text beside it. All lines of the text have the same indentation."""
    indent = f"  {label:<{_LABEL}} "
    return indent + wrapped(" " * len(indent) + one_line(text), columns)[len(indent) :]


def _verdict(health: Health) -> str:
    from gitsnap.health import State

    wrong, skipped = health.subjects(State.WRONG), health.subjects(State.NOT_CHECKED)
    if wrong:
        return f"{plural(len(wrong), 'problem')}: {', '.join(wrong)}"
    return f"nothing wrong in what was checked; not checked: {', '.join(skipped)}" if skipped else "nothing wrong"


def _document(health: Health) -> dict[str, object]:
    return {
        "policy": health.policy,
        "location": health.location,
        "samples": health.samples,
        "newest": sample_document(health.newest) if health.newest is not None else None,
        "checks": [
            {"subject": check.subject, "state": str(check.state), "message": check.message, "hint": check.hint}
            for check in health.checks
        ],
    }
