"""``gitsnap import``: take over the samples of the old Sveltos Snapshot feature.

This module must not read objects; ``gitsnap.capture.import_legacy`` has them captured.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.commands.capture import overridden, say_new_identity
from gitsnap.cli.commands.list import describe
from gitsnap.cli.resolve import ArchiveChoice
from gitsnap.core.errors import EXIT_INCOMPLETE, NotFoundError, UsageError
from gitsnap.render import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitsnap.archive import GitArchive
    from gitsnap.capture.import_legacy import Imported
    from gitsnap.cluster.directory.legacy import DatedFolder
    from gitsnap.core.model import TreeInfo
    from gitsnap.policy.snapshot import Policy
    from gitsnap.secrets.age import Keeper


def import_(
    source: options.OldStorage,
    snapshot: options.OldSnapshot = "",
    storage: options.Storage = None,
    into: options.Into = "",
    time_zone: options.TimeZone = "UTC",
    cluster_uid: options.ClusterUid = "",
    secrets_mode: options.ImportedMode = None,
    recipient: options.Recipients = None,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Import samples of the old Sveltos Snapshot feature.

    They keep their dates; the old folders are only read.

    Import before the first capture: samples are ordered as they are recorded. A second run imports what is new.
    Exit status 13: a folder could not be read, or is older than what the archive has, and was left out.

    Example: gitsnap import --from /collection --snapshot hourly --time-zone America/Los_Angeles
    """
    from gitsnap.archive import create_archive
    from gitsnap.cluster.directory.legacy import dated_folders
    from gitsnap.policy.snapshot import default

    gc.enable()  # main() turns it off for processes that read one configuration; this one reads hundreds
    name = _chosen(source, snapshot)
    folders, others = dated_folders(source, name, zone=time_zone)
    for other in others:
        terminal.say(f"warning: {name}/{other} is left out: its name is no date")
    if not folders:
        raise NotFoundError(f"{source} has no samples of the Snapshot {name}")
    policy = overridden(default(into or name), secrets_mode, recipient or [])
    archive = create_archive(ArchiveChoice(storage=storage).folder, policy.name)
    done = []
    for one in _imported(folders, archive, policy, cluster_uid=cluster_uid, identities=identity or []):
        done.append(one)
        if one.result is not None:
            terminal.done(f"{one.folder} was imported as {one.result.recorded.sample.tag}")
        if form is options.Output.TABLE:
            terminal.result(one_line(_line(one)))
    if form is not options.Output.TABLE:
        terminal.structured(
            {"kind": "Import", "policy": archive.policy, "folders": [_document(one) for one in done]}, form
        )
    if any(one.outcome in ("unreadable", "too old") for one in done):
        raise typer.Exit(EXIT_INCOMPLETE)


def _chosen(source: Path, snapshot: str) -> str:
    """The Snapshot whose folders are meant. Raises UsageError when it could be several, NotFoundError when none."""
    from gitsnap.cluster.directory.legacy import old_snapshots

    known = old_snapshots(source)
    if snapshot in known or (len(known) == 1 and not snapshot):
        return snapshot or known[0]
    listed = ", ".join(known) or "none"
    if snapshot:
        raise NotFoundError(f"{source} has no samples of a Snapshot {snapshot}", hint=f"Snapshots there: {listed}")
    raise UsageError(f"--snapshot is needed: {source} has samples of the Snapshots {listed}")


def _imported(
    folders: list[DatedFolder], archive: GitArchive, policy: Policy, *, cluster_uid: str, identities: list[Path]
) -> Iterator[Imported]:
    from gitsnap.capture import tree_info
    from gitsnap.capture.import_legacy import import_samples
    from gitsnap.cluster import open_directory
    from gitsnap.secrets import archive_keys
    from gitsnap.sveltos.kinds import BY_KIND

    samples = archive.samples()
    uid = cluster_uid or (samples[-1].metadata.cluster if samples else "")

    def decide() -> tuple[TreeInfo, Keeper | None]:
        decided, keeper = archive_keys.for_capture(archive, policy, identities=identities)
        say_new_identity(keeper)
        return tree_info(decided, branch=archive.branch, keeper=keeper), keeper

    yield from import_samples(
        folders,
        archive,
        decide=decide,
        open_folder=lambda folder: open_directory(folder, known_kinds=BY_KIND, read_only=True, uid=uid),
    )


def _line(one: Imported) -> str:
    if one.result is not None:
        return f"{one.folder}: {one.result.summary}"
    return f"{one.folder}: left out, {one.outcome}{f': {one.reason}' if one.reason else ''}"


def _document(one: Imported) -> dict[str, object]:
    sample = describe(one.result.recorded.sample) if one.result is not None else None
    return {"folder": one.folder, "outcome": str(one.outcome), "reason": one.reason, "sample": sample}
