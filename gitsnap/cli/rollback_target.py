"""The target of a rollback: the cluster to write, the archive that has the sample, and the archive for new samples.

Both archives are the same, except for a sample of another cluster (``--into-cluster``). The archive that has the sample
may be a local copy of a remote. This module must not plan, write or ask.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options
from gitsnap.cli.archive_creation import ArchiveFolder, confirm_creation
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.core.errors import UsageError, WrongClusterError
from gitsnap.core.model import Sample, SensitiveField
from gitsnap.core.states import State, cluster_of, is_commit_id
from gitsnap.history.change_finder import Changes
from gitsnap.history.hidden_fields import hidden_fields

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Remote
    from gitsnap.core.ports import Cluster


@dataclass(frozen=True, slots=True)
class CrossClusterOptions:
    """The options for a sample of another cluster than the cluster that is written."""

    cluster: options.IntoCluster = ""
    """The uid of the cluster to write; ``""`` if the sample is of this cluster."""
    record: options.Record = None
    """The archive of the cluster to write; None for the archive that has the sample."""
    create: options.Create = False
    """Whether ``record`` may be created."""


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """The opened archives and cluster, and the options that named them."""

    archive_options: ArchiveOptions
    cluster_options: ClusterOptions
    archive: GitArchive
    """The archive that has the sample."""
    cluster: Cluster
    uid: str
    """The uid of the cluster."""
    record: GitArchive | None
    """The archive for the samples before and after; None if it does not exist yet."""
    identities: tuple[Path, ...] = ()
    signing_key: Path | None = None
    cross_cluster: CrossClusterOptions = CrossClusterOptions()

    def reconnected(self) -> RollbackTarget:
        """Return the target with a new connection to the cluster. A folder of files is read again."""
        return replace(self, cluster=self.cluster_options.open())

    @classmethod
    def open(
        cls,
        archive: ArchiveOptions,
        cluster: ClusterOptions,
        identities: Collection[Path],
        *,
        signing_key: Path | None = None,
        cross_cluster: CrossClusterOptions | None = None,
    ) -> RollbackTarget:
        """Open the archives and the cluster.

        Without ``cross_cluster`` the archive must be that of the cluster. Otherwise check_sample() and check_record()
        compare their clusters. Raises WrongClusterError, UsageError.
        """
        from gitsnap.capture import check_cluster

        same_cluster = cross_cluster is None
        cross_cluster = cross_cluster or CrossClusterOptions()
        if cross_cluster.record is not None and not cross_cluster.cluster:
            raise UsageError("--record is for a sample of another cluster, and needs --into-cluster")
        opened = archive.open()
        connected = cluster.open()
        info = connected.info()
        if cross_cluster.cluster and cross_cluster.cluster != info.uid:
            raise WrongClusterError(
                f"{info.description} is the cluster {info.uid}, and not {cross_cluster.cluster}",
                hint="Choose the right --context. Nothing was changed.",
            )
        if same_cluster:
            check_cluster(opened, info)
        record = opened if cross_cluster.record is None else _open_if_exists(cross_cluster.record)
        target = cls(
            archive, cluster, opened, connected, info.uid, record, tuple(identities), signing_key, cross_cluster
        )
        connected.redact_errors_for(field.kind for field in target.hidden_fields)
        return target

    @property
    def remote(self) -> Remote | None:
        """The remote that the samples before and after are sent to; None if they stay in a local archive."""
        return self.archive_options.remote if self.cross_cluster.record is None else None

    @property
    def hidden_fields(self) -> tuple[SensitiveField, ...]:
        """The sensitive fields of the newest samples in both archives. The restored sample may lack them."""
        archives = [self.archive] if self.record is None else [self.archive, self.record]
        return hidden_fields(archives)

    @property
    def samples_of_cluster(self) -> list[Sample]:
        """The samples of the cluster in its archive; those before and after a rollback are among them."""
        samples = self.record.samples() if self.record is not None else []
        return [sample for sample in samples if sample.metadata.cluster == self.uid]

    def find_state(self, name: str) -> State | None:
        """Return the sample with a tag, or the change with a commit id; None if the archive does not have it."""
        samples = self.archive.samples()
        if is_commit_id(name):
            return next(iter(Changes(self.archive).named(samples, name)), None)
        return next((sample for sample in samples if sample.tag == name), None)

    def check_sample(self, state: State) -> None:
        """Raise WrongClusterError if a sample or change is of another cluster, and --into-cluster was not given."""
        if (cluster := cluster_of(state)) != self.uid and not self.cross_cluster.cluster:
            info = self.cluster.info()
            subject = f"{state.tag} is a sample" if isinstance(state, Sample) else f"{state.moment} is a change"
            raise WrongClusterError(
                f"{subject} of the cluster {cluster}, but {info.description} is the cluster {self.uid}",
                hint=f"Choose the right --context. If the sample is to go into this cluster: --into-cluster {self.uid}",
            )

    def check_record(self) -> None:
        """Raise WrongClusterError if the samples before and after would be added to the archive of another cluster."""
        samples = self.record.samples() if self.record is not None else []
        if self.record is not None and samples and samples[-1].metadata.cluster != self.uid:
            raise WrongClusterError(
                f"the samples before and after are of the cluster {self.uid}, and the archive "
                f"{self.record.location} is of the cluster {samples[-1].metadata.cluster}",
                hint="Name the archive of this cluster with --record DIR. If a cluster was "
                "rebuilt and continues the old archive, run `gitsnap capture --adopt` once first.",
            )

    def confirm_record(self) -> None:
        """Ask the user to confirm a new archive for --record. Raises InputError; see ``confirm_creation``."""
        from gitsnap.archive import check_policy_name

        if self.record is None and (new := self._record_folder) is not None:
            check_policy_name(new.policy)
            confirm_creation(new, create=self.cross_cluster.create)

    def create_record(self) -> GitArchive:
        """Return the archive for the samples before and after, and create it if it does not exist."""
        new = self._record_folder
        return self.record or (new.open() if new is not None else self.archive)

    @property
    def _record_folder(self) -> ArchiveFolder | None:
        if self.cross_cluster.record is None:
            return None
        folder = self.cross_cluster.record.absolute()
        return ArchiveFolder(folder, folder.name)

    def command(self, words: str) -> str:
        """Return a complete command for this target, such as ``gitsnap undo --snapshot hourly --storage …``.

        ``words``: a command and its arguments, to which the options of this target are added as the user wrote them.
        """
        archive, cluster = self.archive_options, self.cluster_options
        command, _, rest = words.partition(" ")
        remote, path, own = archive.remote, archive.archive, self.cross_cluster.record
        undo_in_record = command == "undo" and own is not None
        locations = (
            ("--storage", None if undo_in_record else archive.storage),
            ("--archive", own if undo_in_record else remote.shown if remote else path),
            ("--record", None if undo_in_record else own),
            ("--kubeconfig", cluster.kubeconfig),
            ("--context", cluster.context),
            ("--from-dir", cluster.from_dir),
            ("--signing-key", self.signing_key),
        )
        arguments = [word for flag, value in locations if value for word in (flag, str(value))]
        for identity in () if undo_in_record else self.identities:
            arguments += ["--identity", str(identity)]
        policy = [] if undo_in_record or (path and remote is None) else ["--snapshot", self.archive.policy]
        return " ".join(part for part in ("gitsnap", command, shlex.join([*policy, *arguments]), rest) if part)


def _open_if_exists(folder: Path) -> GitArchive | None:
    from gitsnap.archive import open_archive_at

    return open_archive_at(folder) if folder.exists() else None
