"""From options to things: which archive, which cluster, which keys, which policy.

Adapters are imported where they are needed, so that a command loads what it uses and nothing else.
This module must not print results.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options
from gitsnap.core.errors import ArchiveError, InputError, KindNotInstalledError, NotFoundError, UsageError
from gitsnap.core.model import JsonObject, ObjectKey

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Remote
    from gitsnap.core.ports import Cluster
    from gitsnap.policy.snapshot import Policy

DEFAULT_POLICY = "manual"


@dataclass(frozen=True, slots=True)
class ArchiveChoice:
    """What the command line says about the archive."""

    snapshot: options.Snapshot = ""
    storage: options.Storage = None
    archive: options.ArchivePath = ""
    """A folder, or the URL of a remote, which is read from a copy."""

    @property
    def folder(self) -> Path:
        """The storage folder: as given, or the current one."""
        return self.storage or Path()

    def open(self) -> GitArchive:
        """The one archive that is meant; what this copy of it lacks is said.

        Raises UsageError when it could be several, NotFoundError when none.
        """
        from gitsnap.cli import terminal

        opened = self._opened()
        terminal.say_missing(opened.policy, opened.lacks())
        return opened

    def _opened(self) -> GitArchive:
        from gitsnap.archive import list_archives, open_path

        if self.archive:
            remote = self.remote
            return open_path(Path(self.archive), self.snapshot) if remote is None else self._copy(remote)
        if self.snapshot:
            return self._named()
        archives = list_archives(self.folder)
        if len(archives) == 1:
            return archives[0]
        if not archives:
            raise NotFoundError(
                f"there is no archive in {self.folder.resolve()}",
                hint="Name the folder with --storage or GITSNAP_STORAGE. `gitsnap capture` makes an archive.",
            )
        names = ", ".join(archive.policy for archive in archives)
        raise UsageError(f"--snapshot is needed: {self.folder.resolve()} has the archives {names}")

    def all(self, problems: list[ArchiveError]) -> list[GitArchive]:
        """Every archive that is meant, the named one or all of the storage; errors of others go to ``problems``."""
        from gitsnap.archive import list_archives

        if self.archive or self.snapshot:
            return [self._opened()]
        return list_archives(self.folder, problems=problems)

    @property
    def is_remote(self) -> bool:
        """Whether the archive is somewhere else: it is read from a copy, and only a rollback adds to it."""
        from gitsnap.archive.remote import is_url

        return is_url(self.archive)

    def open_to_write(self) -> GitArchive:
        """As ``open``. Raises UsageError for a remote: a copy of it is no place to write to."""
        if self.is_remote:
            raise UsageError(
                f"--archive {self.archive}: this writes to the archive, and cannot be done through a URL",
                hint="Do it where the samples are taken, with --storage or with --archive DIR.",
            )
        return self.open()

    @property
    def remote(self) -> Remote | None:
        """The remote that is meant, None for an archive that is at hand."""
        from gitsnap.archive.remote import Remote

        return Remote(self.archive) if self.is_remote else None

    def _copy(self, remote: Remote) -> GitArchive:
        from gitsnap.archive.remote import cache_folder, cached_clone
        from gitsnap.cli import terminal

        with terminal.ProgressLine(f"fetching {remote.shown}"):
            return cached_clone(remote, cache_folder(os.environ), self.snapshot)

    def _named(self) -> GitArchive:
        from gitsnap.archive import list_archives, open_archive

        try:
            return open_archive(self.folder, self.snapshot)
        except NotFoundError:
            known = ", ".join(one.policy for one in list_archives(self.folder, problems=[])) or "none"
            raise NotFoundError(
                f"there is no snapshot policy {self.snapshot} in {self.folder.resolve()}",
                hint=f"Archives there: {known}",
            ) from None


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What the command line says about the cluster."""

    kubeconfig: options.Kubeconfig = ""
    context: options.Context = ""
    from_dir: options.FromDir = None

    def open(self) -> Cluster:
        """The cluster that is meant. Raises InputError, UsageError."""
        from gitsnap.cluster import connect, open_directory
        from gitsnap.sveltos.kinds import BY_KIND

        if self.from_dir is not None:
            if self.kubeconfig or self.context:
                raise UsageError("--from-dir is a cluster of its own: leave out --kubeconfig and --context")
            return open_directory(self.from_dir, known_kinds=BY_KIND)
        return connect(known_kinds=BY_KIND, kubeconfig=self.kubeconfig, context=self.context)


def find_policy(name: str, file: Path | None, cluster: Cluster) -> Policy:
    """The policy to capture under: from a file, else the cluster's Snapshot of that name, else one made of flags."""
    from gitsnap.policy import snapshot as policy

    if file is not None:
        return policy_from_file(name, file)
    name = name or DEFAULT_POLICY
    found = _snapshot_resource(cluster, name)
    return policy.from_resource(found, source=f"Snapshot {name}") if found else policy.default(name)


def policy_from_file(name: str, file: Path) -> Policy:
    """The one Snapshot in a file, of this name if there is one. Raises InputError."""
    from gitsnap.format import iterate_documents, load_documents
    from gitsnap.policy import snapshot as policy

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    documents = list(iterate_documents(load_documents(content, str(file), unique_keys=True), str(file)))
    wanted = [one for one in documents if not name or ObjectKey.of(one).name == name]
    if len(wanted) != 1:
        known = ", ".join(ObjectKey.of(one).name for one in documents) or "none"
        raise InputError(
            f"{file}: one Snapshot{f' named {name}' if name else ''} is needed, found {len(wanted)}",
            hint=f"Name one with --snapshot. Objects there: {known}",
        )
    return policy.from_resource(wanted[0], source=str(file))


def _snapshot_resource(cluster: Cluster, name: str) -> JsonObject | None:
    """The Snapshot of that name; a user who may not read Snapshots captures by flags, as without the CRD."""
    from gitsnap.core.errors import AccessDeniedError
    from gitsnap.policy.snapshot import SNAPSHOT

    try:
        return cluster.get(ObjectKey(SNAPSHOT, "", name))
    except (KindNotInstalledError, NotFoundError, AccessDeniedError):
        return None


def environment_flag(name: str) -> bool:
    """Whether an environment variable is set to anything but nothing, 0 or false."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")
