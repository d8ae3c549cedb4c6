"""``gitsnap push``: bring a remote up to the archive.

This module must not decide what is pushed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice, find_policy
from gitsnap.core.errors import UsageError

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Pushed, Remote


def push(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="The remote. Default: spec.push.url of the Snapshot.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest to take the remote from.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove from the remote, too, what retention removed here.")
    ] = False,
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Push the samples that a remote lacks; never forced.

    With --to, ssh and git use your own keys, agent and credential helpers. Otherwise the Snapshot names the remote, and
    the Secret with its credentials is read from the cluster.

    Example: gitsnap push --snapshot hourly --to ssh://git@git.example.com/platform/record.git
    """
    from gitsnap.archive import remote as remotes

    opened = ArchiveChoice(snapshot, storage).open()
    if to:
        if file is not None:
            raise UsageError("--to and --file both name a remote: give one")
        remote, wanted = remotes.Remote(to), prune
    else:
        remote, wanted = _of_policy(opened, file, ClusterChoice(kubeconfig, context))
    with terminal.ProgressLine(f"pushing {opened.policy} to {remote.shown}"):
        done = remotes.push(opened.git_folder, opened.branch, remote, prune=prune or wanted)
    _report(opened, remote.shown, done, form)


def _of_policy(archive: GitArchive, file: Path | None, choice: ClusterChoice) -> tuple[Remote, bool]:
    from gitsnap.archive import remote as remotes
    from gitsnap.secrets import archive_keys

    cluster = choice.open()
    policy = find_policy(archive.policy, file, cluster)
    if policy.push is None:
        raise UsageError(f"the Snapshot {policy.name} names no remote (spec.push.url): give one with --to")
    named = policy.push.secret
    credentials = None
    if named:
        values = archive_keys.named_secret(cluster, named, field="spec.push.secretRef")
        credentials = remotes.Credentials(f"Secret {named}", values)
    return remotes.Remote(policy.push.url, credentials), policy.push.prune


def _report(archive: GitArchive, shown: str, done: Pushed, form: options.Output) -> None:
    terminal.done(f"{done.tags} samples were pushed, commit {done.commit[:12]}")
    if done.problem:
        terminal.say(f"warning: nothing was removed from the remote: {done.problem}")
    if form is not options.Output.TABLE:
        terminal.structured(
            {
                "kind": "Push",
                "policy": archive.policy,
                "url": shown,
                "commit": done.commit,
                "samples": done.tags,
                "removed": done.removed,
            },
            form,
        )
        return
    noun = "sample" if done.tags == 1 else "samples"
    what = f"pushed {done.tags} {noun}" if done.tags else "pushed the branch" if done.branch else "up to date"
    removed = f", removed {done.removed}" if done.removed else ""
    terminal.result(f"{archive.policy}: {what}{removed}, commit {done.commit[:12]}, at {shown}")
