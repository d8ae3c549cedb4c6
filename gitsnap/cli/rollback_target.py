"""Where a rollback works: the archive that it reads, the cluster that it writes, and the archive of that cluster.

The two archives are one, except for a sample of another cluster (``--into-cluster``), whose archive may also be a copy
of a remote's. This module must not plan, write or ask.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice
from gitsnap.core.errors import UsageError, WrongClusterError
from gitsnap.core.model import Sample

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Remote
    from gitsnap.core.ports import Cluster


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the command line says of a sample of another cluster than the one that is written."""

    cluster: options.IntoCluster = ""
    """Uid of the cluster to write, ``""`` where it is the sample's own."""
    record: options.Record = None
    """The archive of that cluster, made where there is none; None for the one that has the sample."""


@dataclass(frozen=True, slots=True)
class Place:
    """The archives and the cluster of one command, and how they were named."""

    archive_choice: ArchiveChoice
    cluster_choice: ClusterChoice
    archive: GitArchive
    """The one that has the sample."""
    cluster: Cluster
    uid: str
    """Which cluster that is."""
    record: GitArchive | None
    """The one that gets the samples before and after: that of the cluster; None while it has not been made."""
    identities: tuple[Path, ...] = ()
    signing_key: Path | None = None
    elsewhere: Elsewhere = Elsewhere()

    @classmethod
    def open(
        cls,
        archive: ArchiveChoice,
        cluster: ClusterChoice,
        identities: Collection[Path],
        *,
        signing_key: Path | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> Place:
        """Open all of it. Without ``elsewhere`` the archive must be that of the cluster; else it is for checks to say.

        Raises WrongClusterError.
        """
        from gitsnap.capture import check_cluster

        own, elsewhere = elsewhere is None, elsewhere or Elsewhere()
        if elsewhere.record is not None and not elsewhere.cluster:
            raise UsageError("--record is for a sample of another cluster, and needs --into-cluster")
        opened = archive.open()
        connected = cluster.open()
        info = connected.info()
        if elsewhere.cluster and elsewhere.cluster != info.uid:
            raise WrongClusterError(
                f"{info.server} (context {info.context}) is the cluster {info.uid}, and not {elsewhere.cluster}",
                hint="Choose the right --context. Nothing was changed.",
            )
        if own:
            check_cluster(opened, info)
        record = opened if elsewhere.record is None else _at(elsewhere.record)
        return cls(archive, cluster, opened, connected, info.uid, record, tuple(identities), signing_key, elsewhere)

    @property
    def remote(self) -> Remote | None:
        """Where the samples before and after are sent, None where they stay in the archive of the cluster."""
        return self.archive_choice.remote if self.elsewhere.record is None else None

    @property
    def rollbacks(self) -> list[Sample]:
        """The samples of this cluster, among which its rollbacks are."""
        samples = self.record.samples() if self.record is not None else []
        return [sample for sample in samples if sample.metadata.cluster == self.uid]

    def check_sample(self, sample: Sample) -> None:
        """Raises WrongClusterError for a sample of another cluster, unless this one was named."""
        if sample.metadata.cluster != self.uid and not self.elsewhere.cluster:
            info = self.cluster.info()
            raise WrongClusterError(
                f"{sample.tag} is a sample of the cluster {sample.metadata.cluster}, but {info.server} "
                f"(context {info.context}) is the cluster {self.uid}",
                hint=f"Choose the right --context. If the sample is to go into this cluster: --into-cluster {self.uid}",
            )

    def check_record(self) -> None:
        """Raises WrongClusterError where the samples before and after would go into another cluster's archive."""
        samples = self.record.samples() if self.record is not None else []
        if self.record is not None and samples and samples[-1].metadata.cluster != self.uid:
            raise WrongClusterError(
                f"the samples before and after are of the cluster {self.uid}, and the archive "
                f"{self.record.location} is of the cluster {samples[-1].metadata.cluster}",
                hint="Name this cluster's own archive with --record DIR, which is made where there is none. A cluster "
                "that was rebuilt, and is to go on in the old archive, is captured once with --adopt first.",
            )

    def made_record(self) -> GitArchive:
        """The archive that gets the samples before and after, made where there is none."""
        from gitsnap.archive import create_archive

        if self.record is not None or self.elsewhere.record is None:
            return self.record or self.archive
        folder = self.elsewhere.record.absolute()
        return create_archive(folder.parent, folder.name)

    def command(self, words: str) -> str:
        """A command that works from here: ``gitsnap undo --snapshot hourly --storage …``, with the places as typed."""
        archive, cluster = self.archive_choice, self.cluster_choice
        command, _, rest = words.partition(" ")
        remote, path, own = archive.remote, archive.archive, self.elsewhere.record
        undoing = command == "undo" and own is not None
        places = (
            ("--storage", None if undoing else archive.storage),
            ("--archive", own if undoing else remote.shown if remote else path),
            ("--record", None if undoing else own),
            ("--kubeconfig", cluster.kubeconfig),
            ("--context", cluster.context),
            ("--from-dir", cluster.from_dir),
            ("--signing-key", self.signing_key),
        )
        typed = [word for flag, value in places if value for word in (flag, str(value))]
        for identity in () if undoing else self.identities:
            typed += ["--identity", str(identity)]
        policy = [] if undoing or (path and remote is None) else ["--snapshot", self.archive.policy]
        return " ".join(part for part in ("gitsnap", command, shlex.join([*policy, *typed]), rest) if part)


def _at(folder: Path) -> GitArchive | None:
    from gitsnap.archive import open_path

    return open_path(folder) if folder.exists() else None
