"""Where a rollback works: the archive, possibly a copy of a remote's, and the cluster that it belongs to.

This module must not plan, write or ask.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.ports import Cluster
    from gitsnap.remote import Remote


@dataclass(frozen=True, slots=True)
class Place:
    """The archive and the cluster of one command, and how they were named."""

    archive_choice: ArchiveChoice
    cluster_choice: ClusterChoice
    archive: GitArchive
    cluster: Cluster
    identities: tuple[Path, ...] = ()
    remote: Remote | None = None
    """Where the archive was copied from, None for one that is written where it lies."""

    @classmethod
    def open(cls, archive: ArchiveChoice, cluster: ClusterChoice, identities: Collection[Path]) -> Place:
        """Open both. Raises WrongClusterError when the archive belongs to another cluster."""
        from gitsnap.capture import check_cluster

        opened = archive.open()
        connected = cluster.open()
        check_cluster(opened, connected.info())
        return cls(archive, cluster, opened, connected, tuple(identities), archive.remote)

    def command(self, words: str) -> str:
        """A command that works from here: ``gitsnap undo --snapshot hourly --storage …``, with the places as typed."""
        archive, cluster = self.archive_choice, self.cluster_choice
        places = (
            ("--storage", archive.storage),
            ("--archive", self.remote.shown if self.remote else archive.path),
            ("--kubeconfig", cluster.kubeconfig),
            ("--context", cluster.context),
            ("--from-dir", cluster.directory),
        )
        typed = [word for flag, value in places if value for word in (flag, str(value))]
        for identity in self.identities:
            typed += ["--identity", str(identity)]
        policy = [] if archive.path and self.remote is None else ["--snapshot", self.archive.policy]
        command, _, rest = words.partition(" ")
        return " ".join(part for part in ("gitsnap", command, shlex.join([*policy, *typed]), rest) if part)
