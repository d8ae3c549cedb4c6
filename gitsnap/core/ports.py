"""The interfaces of clusters, archives and keepers of secrets, and the values in their signatures.

The adapters are ``gitsnap.cluster`` (the Kubernetes API, a directory of YAML files), ``gitsnap.archive`` (git) and
``gitsnap.secrets.age`` (age).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import (
    Area,
    BlobId,
    CommitId,
    IncompleteKind,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceType,
    Sample,
    TreeInfo,
)
from gitsnap.core.objects import ObjectHead
from gitsnap.core.states import State

if TYPE_CHECKING:
    # Only writers need these classes. Loading them takes as long as a comparison of two small samples.
    from gitsnap.core.recording import CaptureCache, ChangeDraft, RecordedChange, RecordedSample, SampleDraft


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """The identity of a cluster and of its user."""

    uid: str
    """Uid of the kube-system namespace."""
    server: str
    """The URL of the API server, or the path of a directory cluster."""
    context: str
    """The kubeconfig context, ``in-cluster``, or ``directory``."""
    version: str
    """The git version of the server (``v1.37.2``), ``""`` if unknown."""
    user: str = ""
    """The user of the kubeconfig context, ``""`` if unknown."""
    keeps_versions: bool = True
    """Whether objects with equal uid and resource version are equal. False for files that users edit."""
    is_folder: bool = False
    """Whether the cluster is a folder of files. A folder may lack the Namespace of an object and has no permissions."""
    objects: int | None = None
    """The number of objects in a folder of files; None for an API server, which does not count them."""

    @property
    def description(self) -> str:
        """``https://10.0.0.1:6443 (context admin)``, or ``the folder dump`` for a folder of files."""
        return f"the folder {self.server}" if self.is_folder else f"{self.server} (context {self.context})"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    items: Sequence[JsonObject]
    """The objects, with ``apiVersion`` and ``kind`` even if the server leaves them out."""
    resource_version: str
    """``metadata.resourceVersion`` of the list."""
    whole: bool = True
    """False if the items have no fields but their ``metadata``."""
    size: int = 0
    """The length of the response in bytes, 0 if there is no response."""
    remaining: int | None = 0
    """The number of objects on further pages, as an estimate. None if the server does not report it."""
    heads: Sequence[ObjectHead] | None = None
    """The heads of the items if items are decoded when they are used, otherwise None. Decoding an item may raise
    ClusterError."""


class Cluster(Protocol):
    """The part of the Kubernetes API that gitsnap needs.

    Every method may raise ClusterUnreachableError, AccessDeniedError or ClusterError.
    """

    def info(self) -> ClusterInfo:
        """The identity of the cluster."""

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """A kind as the server serves it, None if it is not installed.

        Raises ClusterError if discovery fails, because the server may then serve the kind.
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

        ``resource_version`` asks for the state at exactly that version. Raises GoneError if the server no longer has
        the version, does not have it yet, or drops it between two pages. An empty ``namespace`` means all namespaces.
        ``metadata_only``: the caller needs only the metadata. A cluster may still send whole objects.
        The call may already request the first page.
        """

    def get(self, key: ObjectKey) -> JsonObject:
        """The current state of an object. Raises NotFoundError, KindNotInstalledError."""

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create an object. The server refuses unknown fields. Returns the object as the server sends it.

        Raises AlreadyExistsError, RejectedError, and NotFoundError for a missing namespace.
        """

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object. ``metadata.uid`` and ``metadata.resourceVersion`` must be those of the live object.

        Raises ConflictError if the object was changed or recreated, RejectedError, NotFoundError.
        """

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Apply a JSON merge patch (RFC 7386). A uid and a resource version in its ``metadata`` are preconditions.

        Raises ConflictError, RejectedError, NotFoundError.
        """

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete an object with this uid and, unless empty, this resource version.

        Raises ConflictError, NotFoundError.
        """

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit all calls in the context together to a time. Later calls raise ClusterUnreachableError.

        A cluster that always responds at once may ignore the limit.
        """

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """Leave server messages about these kinds out of all later errors, as for Secrets: they may quote values."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch."""

    change: str
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""
    document: JsonObject
    """The object. A bookmark has only ``metadata.resourceVersion``."""


@runtime_checkable
class Watchable(Protocol):
    """A cluster whose objects can be watched."""

    def watch(
        self,
        resource: ResourceType,
        *,
        resource_version: str,
        seconds: int,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Iterator[WatchEvent]:
        """The events of a list after a resource version, until the server ends the watch after about ``seconds``.

        The first event may be a BOOKMARK with this version, when the watch is open.
        An object that leaves the list, because the selectors no longer match, is reported as ``DELETED``.
        Raises GoneError if the server no longer has the version, and BehindError if the server does not have the
        version yet, as after it was restored from a backup. The caller then lists the kind and watches again.
        Raises KindNotInstalledError if the server no longer serves the kind.
        """

    def refresh(self) -> None:
        """Forget the identity of the cluster and the kinds that it serves. The next use reads them from the server."""


class ControlPlane(Cluster, Watchable, Protocol):
    """A cluster with the methods that the controller needs."""

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> JsonObject:
        """Apply a JSON merge patch to the status subresource. Raises NotFoundError, RejectedError."""


@runtime_checkable
class FolderIndex(Protocol):
    """Files that can be listed folder by folder, for callers that read only some folders."""

    def folder(self, path: str) -> Mapping[str, tuple[str, bool]]:
        """The entries of a folder: name -> id, and whether the entry is a folder; empty if there is no such folder.

        ``path`` ends with a slash; the top folder is ``""``. Folders with equal ids have equal contents.
        """


class Tree(Protocol):
    """The files of a configuration and its inventory: the tree of a sample, or the current state of a cluster."""

    @property
    def info(self) -> TreeInfo:
        """The settings of the tree."""

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """The kinds and objects for which the tree has only a substitute, sorted."""

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the folder of the area -> id of the content, sorted by path. May be a FolderIndex."""

    def read(self, blob: BlobId) -> bytes:
        """The content of an id that ``files`` of this tree returned."""


class ArchiveWriter(Protocol):
    """An archive whose lock this process holds."""

    @property
    def head(self) -> Tree | None:
        """The tree of the newest commit of the branch, None for an archive without commits."""

    @property
    def cache(self) -> CaptureCache | None:
        """The cache of the capture of the newest sample, None if there is none."""

    @property
    def head_commit(self) -> CommitId | None:
        """The newest commit of the branch, None for an archive without commits."""

    @property
    def ends_in_change(self) -> bool:
        """Whether the newest commit of the branch is a change, so that its tree is newer than that of any sample."""

    @property
    def head_revision(self) -> int:
        """The highest resource version that the newest commit contains, 0 if unknown."""

    def store(self, content: bytes) -> BlobId:
        """Store a content, which may exist already; returns its id. Only ``record`` makes it durable."""

    def record(self, draft: SampleDraft) -> RecordedSample:
        """Write a sample: its objects, the branch, the tag and the working tree, in this order (docs/FORMAT.md)."""

    def record_changes(
        self,
        drafts: Sequence[ChangeDraft],
        *,
        cluster: str,
        time: datetime,
        incomplete: Sequence[IncompleteKind] = (),
    ) -> Sequence[RecordedChange]:
        """Write one commit for each change, in order, and move the branch once, to the last commit.

        Either all changes are recorded or none. A draft that changes no file gets no commit. ``cluster``: uid of
        kube-system. ``time``: the time of the commits. Raises ArchiveError for an archive without commits,
        StorageError, ConflictError.
        """

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first (by sequence)."""

    def marked(self) -> frozenset[str]:
        """The tags of the samples that retention must not remove."""

    def mark(self, sample: Sample) -> None:
        """Protect a sample from retention. Does nothing for a marked sample."""

    def unmark(self, sample: Sample) -> None:
        """Remove the mark of a sample, if it has one."""

    def remove(self, samples: Sequence[Sample], *, forgotten: Sequence[ForgottenSample] = ()) -> None:
        """Remove samples, all or none. The tag of the next sample records their number and a digest (docs/FORMAT.md).

        ``forgotten``: the records of samples that a user removes; that tag lists them. Raises ArchiveError for the
        newest sample, ConflictError if another process changes the samples.
        """


class Archive(Protocol):
    """The git repository of one snapshot policy. Readers need no lock.

    Every method may raise ArchiveError or StorageError.
    """

    @property
    def policy(self) -> str:
        """The name of the snapshot policy."""

    @property
    def branch(self) -> str:
        """The name of the branch and prefix of the tags: the name of the policy after an optional prefix."""

    @property
    def location(self) -> str:
        """The path of the archive, for messages."""

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first (by sequence)."""

    def marked(self) -> frozenset[str]:
        """The tags of the samples that retention must not remove."""

    def tree(self, state: State) -> Tree:
        """The tree of a sample or a change. Raises ArchiveError if its format or a required feature is unknown."""

    def writer(self) -> AbstractContextManager[ArchiveWriter]:
        """Take the lock of the archive. Raises ConflictError if another process holds it for too long."""


class SecretsKeeper(Protocol):
    """The keys of an archive. Only a keeper and a cluster handle values of Secrets."""

    @property
    def fingerprint_key(self) -> bytes:
        """32 bytes. Raises SecretsError if the key is missing."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The age recipients to encrypt to, sorted; empty unless the mode is encrypt."""

    def seal(self, plaintext: bytes) -> bytes:
        """An age file for the recipients. Raises SecretsError; never returns plain text."""

    def unseal(self, ciphertext: bytes) -> bytes:
        """The inverse of ``seal``. Raises SecretsError if no identity matches."""
