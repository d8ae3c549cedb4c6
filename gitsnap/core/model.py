"""The frozen values that the rooms of gitsnap pass to each other; the words are those of docs/ARCHITECTURE.md.

Ordering is defined here, once. This module must not do I/O, read a clock, or know bytes and paths.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NewType

JsonObject = dict[str, Any]
"""A JSON object as ``json.loads`` returns it."""

BlobId = NewType("BlobId", str)
"""The id of file content in the archive: 40 hexadecimal digits (a git blob id)."""

CommitId = NewType("CommitId", str)
TagId = NewType("TagId", str)
"""The object id of an annotated tag, not its name."""


FIELD_MANAGER = "gitsnap"
"""The field manager under which a server records what gitsnap writes."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind of object whatever its API version: ``Kind("apps", "Deployment")``; the core group is ``""``."""

    group: str
    name: str

    def __str__(self) -> str:
        """``ClusterProfile.config.projectsveltos.io``, or ``ConfigMap`` for the core group."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @classmethod
    def parse(cls, text: str) -> Kind:
        """The inverse of ``str``: what stands before the first dot is the kind, the rest its group."""
        name, _, group = text.partition(".")
        return cls(group, name)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Kind:
        """The kind of an API object, from its ``apiVersion`` and ``kind``."""
        return _kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))


@lru_cache(maxsize=1024)
def _kind(api_version: str, name: str) -> Kind:
    """One object for all that are of the kind: of a capture's ten thousand, most are of a few."""
    group, slash, _ = api_version.rpartition("/")
    return Kind(group if slash else "", name)


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """What identifies an object in a cluster. ``namespace`` is ``""`` for a cluster-scoped object."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        """``ConfigMap default/database``, ``ClusterProfile.config.projectsveltos.io guestbook``."""
        return f"{self.kind} {self.namespaced_name}"

    @property
    def namespaced_name(self) -> str:
        """``default/database``, or ``guestbook`` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ObjectKey:
        """The key of an API object; a missing name is ``""``."""
        metadata = document.get("metadata") or {}
        return cls(Kind.of(document), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind as the API server serves it: version and plural were found by discovery."""

    kind: Kind
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``v1`` for the core group, otherwise ``<group>/<version>``."""
        return f"{self.kind.group}/{self.version}" if self.kind.group else self.version


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """Which cluster answers. ``uid`` is the uid of its kube-system namespace."""

    uid: str
    server: str
    """The URL of the API server, or the path of a directory cluster."""
    context: str
    """The kubeconfig context, ``in-cluster``, or ``directory``."""
    version: str
    """The server's git version (``v1.37.2``), ``""`` where unknown."""
    user: str = ""
    keeps_versions: bool = True
    """Whether an equal uid and resource version prove an equal object; not so for files that people edit."""
    is_folder: bool = False
    """Whether it is a folder of files, which may hold objects without their Namespace, and knows no rights."""


class Area(enum.StrEnum):
    """The top-level folders of an archive's tree that hold one file for each object."""

    CONFIGURATION = "configuration"
    INVENTORY = "inventory"
    SEALED = "sealed"


class Trigger(enum.StrEnum):
    """Why a sample was taken."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BEFORE_ROLLBACK = "before-rollback"
    AFTER_ROLLBACK = "after-rollback"


class Consistency(enum.StrEnum):
    """Whether all lists of a sample were read at one resource version."""

    EXACT = "exact"
    PER_KIND = "per-kind"


class SecretsMode(enum.StrEnum):
    """What an archive keeps of Secrets."""

    ENCRYPT = "encrypt"
    REDACT = "redact"
    OMIT = "omit"
    PLAINTEXT = "plaintext"


class Substitute(enum.StrEnum):
    """What stands in a sample for a kind that could not be read."""

    CARRIED = "carried"
    """The objects of the previous sample."""
    MISSING = "missing"
    """Nothing: there is no previous sample that has the kind."""


class IncompleteReason(enum.StrEnum):
    """Why a kind, or a single object, could not be taken; a closed set, never the server's text."""

    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    DISCOVERY_FAILED = "discovery-failed"
    BAD_ANSWER = "bad-answer"
    UNARCHIVABLE = "unarchivable"
    """Of an object: it has no form in an archive, since it is nested too deeply, for instance."""
    MALFORMED = "malformed"
    """Of an object: a field does not have the type that its kind says."""
    DEFECT = "defect"
    """Of an object: gitsnap failed to handle it, and the fault is not known to be the object's."""


@dataclass(frozen=True, slots=True, order=True)
class IncompleteKind:
    """A kind, or a single object of it, that a sample holds only as a substitute."""

    kind: Kind
    substitute: Substitute
    reason: IncompleteReason
    namespace: str = ""
    name: str = ""
    """``""`` for the kind as a whole."""

    @classmethod
    def of_object(cls, key: ObjectKey, substitute: Substitute, reason: IncompleteReason) -> IncompleteKind:
        """A single object."""
        return cls(key.kind, substitute, reason, key.namespace, key.name)

    @property
    def key(self) -> ObjectKey | None:
        """The single object, None for the kind as a whole."""
        return ObjectKey(self.kind, self.namespace, self.name) if self.name else None

    def covers(self, key: ObjectKey) -> bool:
        """Whether the sample holds an object only as a substitute."""
        return self.kind == key.kind and self.key in (None, key)

    def __str__(self) -> str:
        """``Cluster.cluster.x-k8s.io``, or ``Cluster.cluster.x-k8s.io default/deep``."""
        return str(self.key or self.kind)


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Objects below ``configuration/`` that differ from the previous commit."""

    added: int = 0
    modified: int = 0
    deleted: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.deleted)


@dataclass(frozen=True, slots=True)
class SampleMetadata:
    """What the tag of a sample says about it; see docs/FORMAT.md for the text it is written as."""

    policy: str
    time: datetime
    """The moment of the capture, UTC, whole seconds."""
    sequence: int
    """1, 2, 3 …: the order of samples; never reused."""
    trigger: Trigger
    cluster: str
    """Uid of the cluster's kube-system namespace."""
    objects: int
    """Files below ``configuration/``."""
    content_sha256: str
    previous: TagId | None = None
    server: str = ""
    changes: ChangeCounts = field(default_factory=ChangeCounts)
    """Against the previous commit; all zero in a sample that found nothing changed."""
    consistency: Consistency = Consistency.EXACT
    incomplete: tuple[IncompleteKind, ...] = ()
    unresolved: int = 0
    """References that could not be followed."""
    pruned: str = ""
    """What retention took between ``previous`` and this sample: ``<count> <digest>``, or ``""``."""
    target: TagId | None = None
    """Of a sample before a rollback: the tag of the sample that it goes back to."""
    beside: CommitId | None = None
    """Of a sample that was taken through a copy of the archive: the commit of the branch that it stands beside. Its own
    commit is that one or a child of it, and never on the branch."""
    imported: str = ""
    """Of a sample that ``gitsnap import`` took: the folder of the old feature that it was read from."""
    format: int = 1
    extra: tuple[tuple[str, str], ...] = ()
    """Keys of a later version that this one does not know, kept as they are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One capture: its tag, the commit that the tag points at, and what the tag says; two are equal if their tags are.

    Among tens of thousands of samples most are only passed by: what a tag says is read when it is asked for.
    """

    tag: str
    """The full tag name, ``hourly/2023-08-26T05-20-00Z``."""
    tag_id: TagId
    commit: CommitId = field(compare=False)
    sequence: int = field(compare=False)
    """As in the metadata: the order of samples."""
    time: datetime = field(compare=False)
    """As in the metadata: the moment of the capture."""
    ask: Callable[[Sample], SampleMetadata] = field(compare=False, repr=False)
    """Gives the metadata; see there."""

    @classmethod
    def of(cls, tag: str, tag_id: TagId, commit: CommitId, metadata: SampleMetadata) -> Sample:
        """A sample whose metadata is at hand."""
        return cls(tag, tag_id, commit, metadata.sequence, metadata.time, lambda _: metadata)

    @property
    def metadata(self) -> SampleMetadata:
        """What the tag says. Raises ArchiveError where the tag is missing or damaged."""
        return self.ask(self)

    @property
    def order(self) -> tuple[int, datetime, str]:
        """What samples are sorted by: their sequence; time decides only beside the branch, where numbers repeat."""
        return self.sequence, self.time, self.tag

    @property
    def moment(self) -> str:
        """How ``list`` prints the sample: ``2023-08-26:05:20:00``, with ``-2`` where there are several."""
        stamp = self.tag.rpartition("/")[2]
        base, suffix = stamp[:20], stamp[20:]
        return base[:10] + ":" + base[11:19].replace("-", ":") + suffix


@dataclass(frozen=True, slots=True, order=True)
class SensitiveField:
    """A field, beside those of Secrets, whose values are kept like theirs."""

    kind: Kind
    path: str
    """``spec.helmCharts[].values``; the grammar is that of docs/FORMAT.md."""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


@dataclass(frozen=True, slots=True)
class SecretsInfo:
    """What a tree says about how its Secrets are kept."""

    mode: SecretsMode
    fingerprint_key: str = ""
    """Id of the key, ``""`` in the modes without fingerprints."""
    recipients: tuple[str, ...] = ()
    """age recipients (public keys), sorted; only in mode encrypt."""
    sensitive_fields: tuple[SensitiveField, ...] = ()
    """Sorted; only in the modes with fingerprints."""


@dataclass(frozen=True, slots=True, order=True)
class ResourceSelector:
    """One entry of ``spec.resources``: further kinds to capture, beyond those of Sveltos."""

    kind: Kind
    namespaces: tuple[str, ...] = ()
    """Globs; none means all namespaces."""
    label_selector: str = ""
    exclude_namespaces: tuple[str, ...] = ()
    """Globs."""
    exclude_names: tuple[str, ...] = ()
    """Globs."""

    def covers(self, key: ObjectKey) -> bool:
        """Whether an object is meant, going by its kind, namespace and name; labels are for the server."""
        return (
            key.kind == self.kind
            and (not key.namespace or self.covers_namespace(key.namespace))
            and not _fits(key.name, self.exclude_names)
        )

    def covers_namespace(self, namespace: str) -> bool:
        """Whether objects in a namespace are meant."""
        named = not self.namespaces or _fits(namespace, self.namespaces)
        return named and not _fits(namespace, self.exclude_namespaces)


def _fits(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """The file ``gitsnap.yaml``: what is needed to interpret the tree it stands in."""

    policy: str
    branch: str
    """Name of the branch and prefix of the tags: the policy's name behind an optional prefix."""
    kinds: tuple[Kind, ...]
    """Sorted: the kinds that a capture asked for, installed or not."""
    secrets: SecretsInfo
    resources: tuple[ResourceSelector, ...] = ()
    rules: int = 1
    """Number of the normalization rules."""
    format: int = 1
