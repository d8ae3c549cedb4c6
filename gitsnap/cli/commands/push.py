"""``gitsnap push``: push the samples of an archive to a remote.

This module must not decide which samples are pushed.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.policies import find_policy
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.core.errors import ClusterError, InputError, UsageError
from gitsnap.core.text import plural

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Pushed, Remote


_To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="URL",
        help="URL of the remote. Default: the remote of the archive, else the remote of the Snapshot.",
    ),
]
_File = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest that names the remote.")
]
_Prune = Annotated[
    bool,
    typer.Option(
        "--prune", help="Also remove samples from the remote that `gitsnap prune` or the controller removed here."
    ),
]


def push(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    to: _To = "",
    file: _File = None,
    prune: _Prune = False,
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Push samples and changes to a remote. A push is never forced.

    Without --to, the samples are pushed to the remote `origin` of the archive, or to its only remote.
    For --to and for these remotes, git uses your own SSH keys, agent and credential helpers. No cluster is needed.

    If the archive has no remote, or with --file, --context or --kubeconfig, the Snapshot names the remote. The Secret
    with the credentials is then read from the cluster.

    Example: gitsnap push --snapshot hourly --to ssh://git@git.example.com/platform/record.git
    """
    from gitsnap.archive import remote as remotes

    opened = ArchiveOptions(snapshot, storage).open()
    if to:
        if file is not None:
            raise UsageError("--to and --file both name a remote: give one")
        remote = remotes.Remote(to)
    else:
        asks_cluster = file is not None or kubeconfig or context
        configured = None if asks_cluster else remotes.configured_remote(opened.git_folder)
        if configured is not None:
            remote = configured
        else:
            remote, prunes = _remote_of_policy(opened, file, ClusterOptions(kubeconfig, context))
            prune = prune or prunes
    with terminal.ProgressLine(f"pushing {opened.policy} to {remote.shown}"):
        pushed = remotes.push(opened.git_folder, opened.branch, remote, prune=prune)
    _report(opened, remote.shown, pushed, form)


def _remote_of_policy(archive: GitArchive, file: Path | None, options: ClusterOptions) -> tuple[Remote, bool]:
    """Return the remote of the policy and whether pruned samples are removed from it. Raises UsageError."""
    from gitsnap.archive import remote as remotes
    from gitsnap.secrets import archive_keys

    set_remote = f"or store a remote once: git -C {shlex.quote(archive.location)} remote add origin URL"
    try:
        cluster = options.open()
        policy = find_policy(archive.policy, file, cluster)
    except (InputError, ClusterError) as error:
        if file is not None:
            raise
        raise UsageError(
            f"no remote is known for {archive.policy}: the archive has none, and no Snapshot can be read "
            f"({error.message})",
            hint=f"Name the URL with --to, {set_remote}",
        ) from error
    if policy.push is None:
        raise UsageError(
            f"no remote is known for {archive.policy}: neither the archive nor a Snapshot (spec.push.url) names one",
            hint=f"Name the URL with --to, {set_remote}",
        )
    secret = policy.push.secret
    credentials = None
    if secret:
        values = archive_keys.read_secret(cluster, secret, field="spec.push.secretRef")
        credentials = remotes.Credentials(f"Secret {secret}", values)
    return remotes.Remote(policy.push.url, credentials), policy.push.prune


def _report(archive: GitArchive, url: str, pushed: Pushed, form: terminal.Output) -> None:
    from gitsnap.archive.remote import describe_unpushed

    named = describe_unpushed(pushed.tags, pushed.changes) or plural(0, "sample")
    terminal.note_finished(f"pushed {named}, commit {pushed.commit[:12]}")
    if pushed.problem:
        terminal.say(f"warning: nothing was removed from the remote: {pushed.problem}")
    if pushed.notes_problem:
        terminal.say(f"warning: names of authors that became known later were not pushed: {pushed.notes_problem}")
    if form is not terminal.Output.TABLE:
        terminal.print_document(
            {
                "kind": "Push",
                "policy": archive.policy,
                "url": url,
                "commit": pushed.commit,
                "samples": pushed.tags,
                "changes": pushed.changes,
                "removed": pushed.removed,
            },
            form,
        )
        return
    result = "pushed the branch" if pushed.branch else "up to date"
    if pushed.tags or pushed.changes:
        result = f"pushed {named}"
    removed = f", removed {pushed.removed}" if pushed.removed else ""
    terminal.print_result(f"{archive.policy}: {result}{removed}, commit {pushed.commit[:12]}, at {url}")
