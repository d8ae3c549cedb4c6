"""From options to things: which archive, which cluster, which keys, which policy.

Adapters are imported where they are needed, so that a command loads what it uses and nothing else.
This module must not print.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.errors import InputError, KindNotInstalledError, NotFoundError, UsageError
from gitsnap.model import Area, JsonObject, ObjectKey, Sample, SecretsMode

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.policy import Policy
    from gitsnap.ports import Cluster, Tree
    from gitsnap.secrets import Keeper

DEFAULT_POLICY = "manual"
KEYS_FOLDER = ".keys"
WRAPPED_KEY = "_fingerprint-key.age"


@dataclass(frozen=True, slots=True)
class ArchiveChoice:
    """What the command line says about the archive."""

    storage: Path | None = None
    snapshot: str = ""
    path: Path | None = None

    @property
    def folder(self) -> Path:
        """The storage folder: as given, or the current one."""
        return self.storage or Path()

    def open(self) -> GitArchive:
        """The one archive that is meant. Raises UsageError when it could be several, NotFoundError when none."""
        from gitsnap.archive import list_archives, open_path

        if self.path is not None:
            return open_path(self.path)
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

    def all(self) -> list[GitArchive]:
        """Every archive that is meant: the named one, or all of the storage."""
        from gitsnap.archive import list_archives

        if self.path is not None or self.snapshot:
            return [self.open()]
        return list_archives(self.folder)

    def _named(self) -> GitArchive:
        from gitsnap.archive import list_archives, open_archive

        try:
            return open_archive(self.folder, self.snapshot)
        except NotFoundError:
            known = ", ".join(archive.policy for archive in list_archives(self.folder)) or "none"
            raise NotFoundError(
                f"there is no snapshot policy {self.snapshot} in {self.folder.resolve()}",
                hint=f"Archives there: {known}",
            ) from None

    def keys_folder(self, archive: GitArchive) -> Path:
        """Where the keys of an archive lie: beside it."""
        return Path(archive.location).resolve().parent / KEYS_FOLDER / archive.policy


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What the command line says about the cluster."""

    kubeconfig: str = ""
    context: str = ""
    directory: Path | None = None

    def open(self) -> Cluster:
        """The cluster that is meant. Raises InputError, UsageError."""
        from gitsnap.cluster import connect, open_directory

        if self.directory is not None:
            if self.kubeconfig or self.context:
                raise UsageError("--from-dir is a cluster of its own: leave out --kubeconfig and --context")
            return open_directory(self.directory)
        return connect(kubeconfig=self.kubeconfig, context=self.context)


def open_keeper(
    archive: GitArchive, sample: Sample | None, folder: Path, *, identities: Sequence[Path] = ()
) -> Keeper | None:
    """The keys for reading an archive; None where its newest sample needs none, or where there are none at hand."""
    from gitsnap import secrets

    if sample is None:
        return None
    tree = archive.tree(sample)
    info = tree.info.secrets
    return secrets.open_keeper(
        folder,
        mode=info.mode,
        recipients=info.recipients,
        identities=identities,
        expected_key=info.fingerprint_key,
        wrapped_key=_wrapped_key(tree),
    )


def capturing_keeper(
    archive: GitArchive,
    policy: Policy,
    folder: Path,
    *,
    identities: Sequence[Path] = (),
) -> tuple[Policy, Keeper | None]:
    """The policy and the keys for the next sample: an archive goes on in its mode unless another one is asked for."""
    from gitsnap import secrets

    samples = archive.samples()
    expected, wrapped = "", None
    if samples:
        tree = archive.tree(samples[-1])
        before = tree.info.secrets
        if not policy.secrets_given:
            policy = replace(policy, secrets_mode=before.mode)
        if policy.secrets_mode is SecretsMode.ENCRYPT and not policy.recipients:
            policy = replace(policy, recipients=before.recipients)
        expected, wrapped = before.fingerprint_key, _wrapped_key(tree)
    keeper = secrets.open_keeper(
        folder,
        mode=policy.secrets_mode,
        recipients=policy.recipients,
        identities=identities,
        expected_key=expected,
        wrapped_key=wrapped,
        create=True,
    )
    return policy, keeper


def _wrapped_key(tree: Tree) -> bytes | None:
    blob = tree.files(Area.SEALED).get(WRAPPED_KEY)
    return tree.read(blob) if blob is not None else None


def find_policy(name: str, file: Path | None, cluster: Cluster) -> Policy:
    """The policy to capture under: from a file, else the cluster's Snapshot of that name, else one made of flags."""
    from gitsnap import policy
    from gitsnap.format import iterate_documents, load_documents

    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}") from None
        documents = list(iterate_documents(load_documents(content, str(file)), str(file)))
        wanted = [one for one in documents if not name or ObjectKey.of(one).name == name]
        if len(wanted) != 1:
            raise InputError(f"{file}: one Snapshot{f' named {name}' if name else ''} is needed, found {len(wanted)}")
        return policy.from_resource(wanted[0], source=str(file))
    name = name or DEFAULT_POLICY
    found = _snapshot_resource(cluster, name)
    return policy.from_resource(found, source=f"Snapshot {name}") if found else policy.default(name)


def _snapshot_resource(cluster: Cluster, name: str) -> JsonObject | None:
    """The Snapshot of that name; a user who may not read Snapshots captures by flags, as without the CRD."""
    from gitsnap.errors import AccessDeniedError
    from gitsnap.policy import SNAPSHOT

    try:
        return cluster.get(ObjectKey(SNAPSHOT, "", name))
    except (KindNotInstalledError, NotFoundError, AccessDeniedError):
        return None


def environment_flag(name: str) -> bool:
    """Whether an environment variable is set to anything but nothing, 0 or false."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")
