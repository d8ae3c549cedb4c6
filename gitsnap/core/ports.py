"""The seams: what the use cases ask of a cluster, of an archive and of the keeper of secrets.

Adapters stand behind them: ``gitsnap.cluster`` (the Kubernetes API, a directory of YAML files),
``gitsnap.archive`` (git) and ``gitsnap.secrets.age`` (age). This module must not import any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from gitsnap.core.model import (
    Area,
    BlobId,
    ChangeCounts,
    ClusterInfo,
    CommitId,
    Consistency,
    IncompleteKind,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceType,
    Sample,
    TagId,
    TreeInfo,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. ``items`` carry ``apiVersion`` and ``kind``, whatever the server left out."""

    items: Sequence[JsonObject]
    resource_version: str
    """``metadata.resourceVersion`` of the answer."""
    whole: bool = True
    """False where ``items`` have nothing but their ``metadata``."""


class Cluster(Protocol):
    """A Kubernetes API, as much of it as gitsnap needs.

    Every call may raise ClusterUnreachableError, AccessDeniedError or ClusterError.
    """

    def info(self) -> ClusterInfo:
        """Which cluster this is."""

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The served form of a kind, None if it is not installed.

        Raises ClusterError when discovery itself failed: a kind that could not be asked for is not absent.
        """

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """All pages of a list, at least one.

        ``resource_version`` asks for the state at exactly that version, and raises GoneError when the server
        no longer has it, does not have it yet, or drops it between two pages. An empty ``namespace`` means all.
        ``metadata_only``: nothing but the metadata is needed; a cluster may send whole objects all the same.
        The first page may be on its way once this is called, before anybody waits for it.
        """

    def get(self, key: ObjectKey) -> JsonObject:
        """One object as it is now. Raises NotFoundError, KindNotInstalledError."""

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create; unknown fields are refused. Raises AlreadyExistsError, RejectedError, NotFoundError (namespace)."""

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace; ``metadata.uid`` and ``metadata.resourceVersion`` must be those of the live object.

        Raises ConflictError when the object moved or was recreated, RejectedError, NotFoundError.
        """

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """JSON merge patch (RFC 7386); uid and resource version in its ``metadata`` are preconditions."""

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete with preconditions. Raises ConflictError, NotFoundError."""

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """Within it, all calls together take no longer than this; those that are left raise ClusterUnreachableError.

        A cluster that cannot be silent need not look at the clock.
        """

    def hush(self, kinds: Iterable[Kind]) -> None:
        """From now on no error quotes what the server says about objects of these kinds, as none does about Secrets."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    change: str
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""
    document: JsonObject
    """The object; of a bookmark only ``metadata.resourceVersion`` counts."""


@runtime_checkable
class Watched(Protocol):
    """What tells what happens."""

    def watch(self, resource: ResourceType, *, resource_version: str, seconds: int) -> Iterator[WatchEvent]:
        """What happens to a kind after a resource version, until the server ends the watch after about ``seconds``.

        Raises GoneError when the server no longer has that version: then list, and watch from there.
        """


class ControlPlane(Cluster, Watched, Protocol):
    """A cluster as a controller needs it: it tells what happens, and keeps the status of objects."""

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> JsonObject:
        """JSON merge patch of the status subresource. Raises NotFoundError, RejectedError."""


@runtime_checkable
class Foldered(Protocol):
    """Files that know their folders, so that nobody need go through all of them."""

    def folder(self, place: str) -> Mapping[str, tuple[str, bool]]:
        """What is in a folder: name -> id, and whether it is a folder itself; nothing where there is no such folder.

        ``place`` ends in a slash, or is ``""`` for the topmost one. Where ids are equal, so is all that is below.
        """


class Tree(Protocol):
    """A configuration with its inventory, as files: the tree of a sample, or the cluster as it is now."""

    @property
    def info(self) -> TreeInfo:
        """What the tree says of itself."""

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds that the tree holds only as a substitute, sorted."""

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area's folder -> content id, sorted by path; may be Foldered."""

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id that ``files`` of this tree gave."""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One line of a commit's change log."""

    action: str
    """``added``, ``modified`` or ``deleted``."""
    path: str
    """From the root of the tree, ``configuration/default/ConfigMap/database.yaml``."""
    manager: str = ""
    """The field manager that wrote the object last, ``""`` where unknown."""


@dataclass(frozen=True, slots=True)
class LoggedFile:
    """A file that a commit changed."""

    action: str
    """``added``, ``modified`` or ``deleted``."""
    path: str
    """From the root of the tree."""
    before: BlobId | None
    after: BlobId | None
    manager: str = ""
    """The field manager that wrote the object last, ``""`` where unknown."""


@dataclass(frozen=True, slots=True)
class LoggedCommit:
    """A commit, and what it changed."""

    id: CommitId
    parent: CommitId | None
    """The commit before it, None of the first one."""
    files: tuple[LoggedFile, ...]
    time: datetime | None = None
    """Moment of the sample that gitsnap made the commit for; None of a commit by somebody else."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a capture saw of each object, for the next one to skip what has not changed. Not part of a sample."""

    key: str
    """What the archived objects depend on besides themselves; of another key nothing is believed."""
    revision: int
    """The server's revision that they were seen at, 0 where it has none."""
    checked_at: int
    """When everything was looked at last, in seconds since 1970."""
    versions: Mapping[str, str]
    """Path below an area -> version of the object."""


@dataclass(frozen=True, slots=True)
class SampleDraft:
    """All that a capture knows of a sample; the archive adds sequence, chain, hashes and names."""

    info: TreeInfo
    files: Mapping[Area, Mapping[str, BlobId]]
    time: datetime
    trigger: Trigger
    cluster: str
    server: str = ""
    consistency: Consistency = Consistency.EXACT
    incomplete: tuple[IncompleteKind, ...] = ()
    unresolved: int = 0
    managers: Mapping[str, str] | None = None
    """Path below ``configuration/`` -> field manager that wrote the object last; only changed paths are looked up."""
    seen: Seen | None = None
    """Kept beside the archive, for the next capture."""
    signer: Callable[[bytes], bytes] | None = None
    """Gives the signature of the tag's content; None for a tag without one."""
    target: TagId | None = None
    """Before a rollback: the tag of the sample that it goes back to."""
    beside: bool = False
    """Whether the branch stays where it is, since somebody else writes it and this is a copy: the tag alone is new."""
    imported: str = ""
    """The folder of the old feature that the sample was read from, ``""`` for a sample of a cluster."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further keys of the tag, with their values encoded: what a rollback says of itself."""


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """What ``record`` did."""

    sample: Sample
    new_commit: bool
    """False when nothing had changed: the tag points at the commit that was there."""
    changes: ChangeCounts
    marks: tuple[str, ...] = ()
    """What of the interpretation changed: ``scope``, ``rules``, ``secrets``."""
    left_alone: tuple[str, ...] = ()
    """Files of the working tree that were not updated because somebody else had changed them."""
    worktree_problem: str = ""
    """Why the working tree could not be updated at all; the sample is safe all the same."""


class ArchiveWriter(Protocol):
    """An archive while this process holds its writer's lock."""

    @property
    def head(self) -> Tree | None:
        """The tree of the branch's newest commit, None in an archive without one."""

    @property
    def seen(self) -> Seen | None:
        """What the capture of the newest sample saw; None where that is not known any more."""

    def store(self, content: bytes) -> BlobId:
        """Keep content (again, if need be) and give its id; durable only with ``record``."""

    def record(self, draft: SampleDraft) -> RecordedSample:
        """Write the sample: objects, branch, tag, working tree, in that order (docs/FORMAT.md)."""

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first (by sequence)."""

    def marked(self) -> frozenset[str]:
        """Tags of the samples that no retention may remove."""

    def mark(self, sample: Sample) -> None:
        """Mark a sample so; once more does nothing."""

    def unmark(self, sample: Sample) -> None:
        """Take the mark away, where there is one."""

    def remove(self, samples: Sequence[Sample]) -> None:
        """Remove samples, all or none; the next sample tells how many and which (docs/FORMAT.md).

        Raises ArchiveError for the newest sample, ConflictError when somebody else is changing them.
        """


class Archive(Protocol):
    """The git repository of one snapshot policy. Readers need no lock.

    Every call may raise ArchiveError or StorageError.
    """

    @property
    def policy(self) -> str:
        """Name of the snapshot policy."""

    @property
    def branch(self) -> str:
        """Name of its branch and prefix of its tags: the policy's name behind an optional prefix."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first (by sequence)."""

    def marked(self) -> frozenset[str]:
        """Tags of the samples that no retention may remove."""

    def tree(self, sample: Sample) -> Tree:
        """The tree of a sample. Raises ArchiveError when its format or a required feature is unknown."""

    def writer(self) -> AbstractContextManager[ArchiveWriter]:
        """Take the writer's lock. Raises ConflictError when another process holds it for too long."""


class SecretsKeeper(Protocol):
    """Knows the keys of an archive; the only one that sees values of Secrets besides the cluster."""

    @property
    def fingerprint_key(self) -> bytes:
        """32 bytes. Raises SecretsError where it is missing."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """age recipients to encrypt to, sorted; empty unless the mode is encrypt."""

    def seal(self, plaintext: bytes) -> bytes:
        """An age file for the recipients. Raises SecretsError; never returns anything unencrypted."""

    def unseal(self, ciphertext: bytes) -> bytes:
        """The inverse of ``seal``. Raises SecretsError when no identity fits."""
