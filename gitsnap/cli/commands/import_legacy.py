"""``gitsnap import``: import the samples of the old Sveltos Snapshot feature.

This module must not read objects; ``gitsnap.capture.import_legacy`` captures them.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.archive_creation import choose_archive
from gitsnap.cli.documents import sample_document
from gitsnap.cli.policies import replace_secrets, say_new_identity
from gitsnap.core.errors import EXIT_INCOMPLETE, NotFoundError, UsageError
from gitsnap.core.model import SecretsMode
from gitsnap.render import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitsnap.archive import GitArchive
    from gitsnap.capture.import_legacy import Imported
    from gitsnap.cluster.directory.legacy import LegacyFolder
    from gitsnap.core.model import TreeInfo
    from gitsnap.policy.snapshot import Policy
    from gitsnap.secrets.age import Keeper


_Source = Annotated[
    Path,
    typer.Option("--from", metavar="DIR", help="Storage of the old feature: the folder that contains `snapshot/`."),
]
_Snapshot = Annotated[
    str,
    typer.Option("--snapshot", metavar="POLICY", help="Snapshot to import. Required only if there are several."),
]
_Into = Annotated[
    str,
    typer.Option(
        "--into", metavar="POLICY", help="Policy whose archive gets the samples. Default: the name of the Snapshot."
    ),
]
_TimeZone = Annotated[
    str,
    typer.Option("--time-zone", metavar="ZONE", help="Time zone of the dates: that of the host of the old feature."),
]
_ClusterUid = Annotated[
    str,
    typer.Option(
        "--cluster-uid",
        metavar="UID",
        help="Uid of the namespace kube-system in the cluster, so that later captures can continue the archive.",
    ),
]
_SecretsMode = Annotated[
    SecretsMode | None,
    typer.Option(
        "--secrets-mode", metavar=options.choices(SecretsMode), help="How Secrets are stored. Default: encrypt."
    ),
]


def import_(
    source: _Source,
    snapshot: _Snapshot = "",
    storage: options.Storage = None,
    into: _Into = "",
    create: options.Create = False,
    time_zone: _TimeZone = "UTC",
    cluster_uid: _ClusterUid = "",
    secrets_mode: _SecretsMode = None,
    recipient: options.Recipients = None,
    identity: options.Identity = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Import samples of the old Sveltos Snapshot feature.

    The samples keep their dates. The old folders are read and not changed.

    Run the import before the first capture, since samples are ordered as they are recorded. A second import adds the
    samples that are new. Exit status 13: a folder was left out, because it could not be read or is older than the
    newest sample of the archive.

    Example: gitsnap import --from /collection --snapshot hourly --time-zone America/Los_Angeles
    """
    from gitsnap.cluster.directory.legacy import find_legacy_folders
    from gitsnap.policy.snapshot import default

    gc.enable()  # main() disables it for commands that read one configuration; an import reads hundreds
    name = _choose_snapshot(source, snapshot)
    folders, others = find_legacy_folders(source, name, zone=time_zone)
    for other in others:
        terminal.say(f"warning: {name}/{other} is left out: its name is not a date")
    if not folders:
        raise NotFoundError(f"{source} has no samples of the Snapshot {name}")
    policy = replace_secrets(default(into or name), secrets_mode, recipient or [])
    archive = choose_archive(storage, policy.name, create=create, inputs=[source]).open()
    imports = []
    for imported in _import_folders(folders, archive, policy, cluster_uid=cluster_uid, identities=identity or []):
        imports.append(imported)
        if imported.result is not None:
            terminal.note_finished(f"{imported.folder} was imported as {imported.result.recorded.sample.tag}")
        if form is terminal.Output.TABLE:
            terminal.print_result(one_line(_describe(imported)))
    if form is not terminal.Output.TABLE:
        documents = [_document(imported) for imported in imports]
        terminal.print_document({"kind": "Import", "policy": archive.policy, "folders": documents}, form)
    if any(imported.outcome in ("unreadable", "too old") for imported in imports):
        raise typer.Exit(EXIT_INCOMPLETE)


def _choose_snapshot(source: Path, snapshot: str) -> str:
    """Return the name of the Snapshot to import.

    Raises UsageError if the user named none of several Snapshots, NotFoundError if the Snapshot has no samples.
    """
    from gitsnap.cluster.directory.legacy import old_snapshots

    known = old_snapshots(source)
    if snapshot in known or (len(known) == 1 and not snapshot):
        return snapshot or known[0]
    listed = ", ".join(known) or "none"
    if snapshot:
        raise NotFoundError(
            f"{source} has no samples of a Snapshot {snapshot}", hint=f"Snapshots in this folder: {listed}"
        )
    raise UsageError(f"--snapshot is needed: {source} has samples of the Snapshots {listed}")


def _import_folders(
    folders: list[LegacyFolder], archive: GitArchive, policy: Policy, *, cluster_uid: str, identities: list[Path]
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


def _describe(imported: Imported) -> str:
    if imported.result is not None:
        return f"{imported.folder}: {imported.result.summary}"
    return f"{imported.folder}: left out, {imported.outcome}{f': {imported.reason}' if imported.reason else ''}"


def _document(imported: Imported) -> dict[str, object]:
    sample = sample_document(imported.result.recorded.sample) if imported.result is not None else None
    return {
        "folder": imported.folder,
        "outcome": str(imported.outcome),
        "reason": imported.reason,
        "sample": sample,
    }
