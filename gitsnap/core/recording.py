"""What a writer records in an archive: drafts of samples and changes, the results, and the cache of a capture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitsnap.core.changes import Author, ChangedObject, Revision
from gitsnap.core.commits import ChangedFile
from gitsnap.core.model import (
    Area,
    BlobId,
    ChangeCounts,
    CommitId,
    Consistency,
    IncompleteKind,
    Sample,
    TagId,
    TreeInfo,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class CaptureCache:
    """The cache of a capture: the next capture skips objects that have not changed. Not part of a sample."""

    key: str
    """A digest of the settings that affect archived objects. A cache with another key is not used."""
    revision: int
    """The resource version of the first list, 0 if it is not a number."""
    checked_at: int
    """Time of the last capture that read every object completely, in seconds since 1970."""
    versions: Mapping[str, str]
    """Path below an area -> version of the object."""
    lists: Mapping[str, Any] = field(default_factory=dict)
    """Kind -> JSON object with the sizes of its lists."""


@dataclass(frozen=True, slots=True)
class SampleDraft:
    """A sample before it is recorded. The archive adds the sequence number, the chain of tags, hashes and names."""

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
    """Path below ``configuration/`` -> field manager that wrote the object last. Only changed paths are used."""
    cache: CaptureCache | None = None
    """The cache for the next capture, which is not part of the sample."""
    signer: Callable[[bytes], bytes] | None = None
    """Returns the signature of the content of the tag. None: the tag gets no signature."""
    target: TagId | None = None
    """Before a rollback: the tag of the sample that is restored."""
    detached: bool = False
    """Whether the sample is detached: its tag is added, and the branch is not moved. For a copy of a remote archive."""
    imported: str = ""
    """The folder of the old Sveltos feature, ``""`` for a sample of a cluster."""
    message: str = ""
    """The reason for the sample, for its tag and its commit."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further keys of the tag with encoded values, such as the record of a rollback."""


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """The result of ``ArchiveWriter.record``."""

    sample: Sample
    new_commit: bool
    """False if nothing changed: the tag points at the existing commit."""
    changes: ChangeCounts
    marks: tuple[str, ...] = ()
    """The changed settings of the tree: ``scope``, ``rules``, ``secrets``."""
    left_alone: tuple[str, ...] = ()
    """Files of the working tree that were not updated, because a user has changed them."""
    changed: tuple[ChangedFile, ...] = ()
    """The files below ``configuration/`` that differ from the previous commit, sorted by path."""
    worktree_error: str = ""
    """Why the working tree could not be updated, ``""`` if it was. The sample is recorded in any case."""


@dataclass(frozen=True, slots=True)
class ChangeDraft:
    """A change before it is recorded: the changes of one author since the previous commit."""

    files: Mapping[Area, Mapping[str, BlobId | None]]
    """The files that differ: path below the area -> id of the content, None for a file that is removed."""
    author: Author
    time: datetime
    """The moment of the change, with a time zone."""
    revisions: tuple[Revision, ...]
    late: bool = False
    objects: tuple[ChangedObject, ...] = ()
    managers: Mapping[str, str] | None = None
    """Path below ``configuration/`` -> field manager that wrote the object last."""


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """A change that was recorded."""

    commit: CommitId
    author: Author
    time: datetime
    late: bool
    subject: str
    changed: tuple[ChangedFile, ...]
    """The files below ``configuration/`` that differ from the previous commit, sorted by path."""
