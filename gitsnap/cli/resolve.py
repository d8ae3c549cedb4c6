"""The options that name an archive or a cluster, and the archive or cluster that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitsnap.cli import options, terminal
from gitsnap.cli.archive_location import ArchiveLocation
from gitsnap.core.errors import UsageError

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import Cluster


@dataclass(frozen=True, slots=True)
class ArchiveOptions(ArchiveLocation):
    """The options that name an archive."""

    snapshot: options.Snapshot = ""
    storage: options.Storage = None
    archive: options.Archive = ""

    def open(self) -> GitArchive:
        """Open the archive, and warn of missing parts.

        Raises UsageError if several archives fit, NotFoundError if no archive does.
        """
        archive = self.find()
        terminal.warn_missing(archive.policy, archive.missing_parts())
        return archive

    def open_to_write(self) -> GitArchive:
        """Open the archive for a command that changes it. Raises UsageError for a URL, besides the errors of open()."""
        if self.is_remote:
            raise UsageError(
                f"--archive {self.archive}: this command writes to the archive, which is not possible through a URL",
                hint="Run it where the samples are taken, with --storage or with --archive DIR.",
            )
        return self.open()


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The options that name a cluster."""

    kubeconfig: options.Kubeconfig = ""
    context: options.Context = ""
    from_dir: options.FromDir = None

    def open(self) -> Cluster:
        """Connect to the cluster, or open the folder that stands for it. Raises InputError, UsageError."""
        from gitsnap.cluster import connect, open_directory
        from gitsnap.sveltos.kinds import BY_KIND

        if self.from_dir is not None:
            if self.kubeconfig or self.context:
                raise UsageError("--from-dir takes the place of a cluster: omit --kubeconfig and --context")
            return open_directory(self.from_dir, known_kinds=BY_KIND)
        return connect(known_kinds=BY_KIND, kubeconfig=self.kubeconfig, context=self.context)
