"""The frozen values that the packages of gitsnap exchange (docs/ARCHITECTURE.md defines the terms), and their order."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, NewType

JsonObject = dict[str, Any]
"""A JSON object as ``json.loads`` returns it."""

BlobId = NewType("BlobId", str)
"""The id of file content in the archive: 40 hexadecimal digits (a git blob id)."""

CommitId = NewType("CommitId", str)
TagId = NewType("TagId", str)
"""The object id of an annotated tag, not its name."""


FIELD_MANAGER = "gitsnap"
"""The field manager that the API server records for the writes of gitsnap."""


class Kind(NamedTuple):
    """A kind of object without its API version: ``Kind("apps", "Deployment")``. The core group is ``""``.

    Kinds and keys are tuples: thousands of them are made, compared and hashed, and CPython does this in C for tuples.
    """

    group: str
    name: str

    def __str__(self) -> str:
        """``ClusterProfile.config.projectsveltos.io``, or ``ConfigMap`` for the core group."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def resource_type(self) -> str:
        """The kind in the column RESOURCE TYPE: ``apps/Deployment``, or ``/Service`` for the core group."""
        return f"{self.group}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Kind:
        """The inverse of ``str``: the kind is before the first dot, the group after it."""
        name, _, group = text.partition(".")
        return cls(group, name)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Kind:
        """The kind of an API object, from its ``apiVersion`` and ``kind``."""
        return _kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))


@lru_cache(maxsize=1024)
def _kind(api_version: str, name: str) -> Kind:
    """Cached: the thousands of objects of a capture have few kinds."""
    group, slash, _ = api_version.rpartition("/")
    return Kind(group if slash else "", name)


class ObjectKey(NamedTuple):
    """The identity of an object in a cluster. ``namespace`` is ``""`` for a cluster-scoped object."""

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

    @property
    def path(self) -> str:
        """The name for commands: ``ConfigMap/default/database``, ``ClusterProfile.config.projectsveltos.io/web``."""
        return f"{self.kind}/{self.namespaced_name}"

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ObjectKey:
        """The key of an API object; a missing name is ``""``."""
        metadata = document.get("metadata") or {}
        return cls(Kind.of(document), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind as the API server serves it, with the version and plural from discovery."""

    kind: Kind
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``v1`` for the core group, otherwise ``<group>/<version>``."""
        return f"{self.kind.group}/{self.version}" if self.kind.group else self.version


class Area(enum.StrEnum):
    """The top-level folders of a tree with one file for each object."""

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
    """How an archive keeps Secrets."""

    ENCRYPT = "encrypt"
    REDACT = "redact"
    OMIT = "omit"
    PLAINTEXT = "plaintext"


class Substitute(enum.StrEnum):
    """What a sample has in place of a kind or an object that could not be read."""

    CARRIED = "carried"
    """The objects of the previous sample."""
    MISSING = "missing"
    """Nothing: no previous sample can stand in."""


class IncompleteReason(enum.StrEnum):
    """Why a kind or a single object could not be archived. A closed set of codes, without text of the server."""

    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    DISCOVERY_FAILED = "discovery-failed"
    BAD_ANSWER = "bad-answer"
    UNARCHIVABLE = "unarchivable"
    """Of an object: the archive cannot represent it, for example because it is nested too deeply."""
    MALFORMED = "malformed"
    """Of an object: a field does not have the type that its kind requires."""
    DEFECT = "defect"
    """Of an object: gitsnap failed, and the object is not known to be malformed."""


@dataclass(frozen=True, slots=True, order=True)
class IncompleteKind:
    """A kind or a single object for which a sample has only a substitute."""

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
        """Whether the entry applies to an object."""
        return self.kind == key.kind and self.key in (None, key)

    def __str__(self) -> str:
        """``Cluster.cluster.x-k8s.io``, or ``Cluster.cluster.x-k8s.io default/deep``."""
        return str(self.key or self.kind)


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """How many objects below ``configuration/`` differ from the previous commit."""

    added: int = 0
    modified: int = 0
    deleted: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.deleted)


@dataclass(frozen=True, slots=True)
class SampleMetadata:
    """The metadata of a sample, as its tag records it (docs/FORMAT.md has the text form)."""

    policy: str
    time: datetime
    """The time of the capture, UTC, in whole seconds."""
    sequence: int
    """1, 2, 3 …: the order of samples. A number is never used again."""
    trigger: Trigger
    cluster: str
    """Uid of the kube-system namespace of the cluster."""
    objects: int
    """Number of files below ``configuration/``."""
    content_sha256: str
    previous: TagId | None = None
    server: str = ""
    changes: ChangeCounts = field(default_factory=ChangeCounts)
    """Compared with the previous commit; all zero if nothing changed."""
    consistency: Consistency = Consistency.EXACT
    incomplete: tuple[IncompleteKind, ...] = ()
    unresolved: int = 0
    """Number of references that could not be resolved."""
    pruned: str = ""
    """The samples pruned between ``previous`` and this sample: ``<count> <digest>``, or ``""``."""
    target: TagId | None = None
    """Of a sample before a rollback: the tag of the sample that the rollback restores."""
    detached_from: CommitId | None = None
    """Of a sample that was taken in a copy of the archive: the commit of the branch in the copy. The tag points at this
    commit, or at a child of this commit that no branch has."""
    imported: str = ""
    """Of an imported sample: the folder of the old Sveltos feature."""
    message: str = ""
    """The reason that the user gave for the sample, such as a ticket; may have several lines."""
    format: int = 1
    extra: tuple[tuple[str, str], ...] = ()
    """Keys of a later version, unchanged."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One capture: its tag, and the commit that the tag points at. Two samples are equal if their tags are equal."""

    tag: str
    """The full tag name, ``hourly/2023-08-26T05-20-00Z``."""
    tag_id: TagId
    commit: CommitId
    metadata: SampleMetadata = field(repr=False)
    """The content of the tag. A sample from an archive's index reads the tag when its metadata is first used: that may
    raise ArchiveError."""

    @property
    def sequence(self) -> int:
        """The position in the order of samples, from 1 on."""
        return self.metadata.sequence

    @property
    def time(self) -> datetime:
        """The time of the capture, UTC, in whole seconds."""
        return self.metadata.time

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        return (self.tag, self.tag_id) == (other.tag, other.tag_id)

    def __hash__(self) -> int:
        return hash((self.tag, self.tag_id))

    @property
    def order(self) -> tuple[int, datetime, str]:
        """The sort key of samples. The time decides between samples with equal numbers, which a copy may add."""
        return self.sequence, self.time, self.tag

    @property
    def moment(self) -> str:
        """The date in the output of ``list``: ``2023-08-26:05:20:00``; ``…-2`` for the second sample of that time."""
        stamp = self.tag.rpartition("/")[2]
        base, suffix = stamp[:20], stamp[20:]
        return base[:10] + ":" + base[11:19].replace("-", ":") + suffix


@dataclass(frozen=True, slots=True, order=True)
class SensitiveField:
    """A field of another kind than Secret whose values are kept like those of Secrets."""

    kind: Kind
    path: str
    """``spec.helmCharts[].values``; docs/FORMAT.md has the grammar."""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


@dataclass(frozen=True, slots=True)
class SecretsInfo:
    """How the Secrets of a tree are kept."""

    mode: SecretsMode
    fingerprint_key: str = ""
    """Id of the key, ``""`` in the modes without fingerprints."""
    recipients: tuple[str, ...] = ()
    """age recipients (public keys), sorted; only in mode encrypt."""
    sensitive_fields: tuple[SensitiveField, ...] = ()
    """Sorted; only in the modes with fingerprints."""


@dataclass(frozen=True, slots=True, order=True)
class ResourceSelector:
    """One entry of ``spec.resources``: a kind to capture in addition to those of Sveltos."""

    kind: Kind
    namespaces: tuple[str, ...] = ()
    """Globs. Empty: all namespaces."""
    label_selector: str = ""
    exclude_namespaces: tuple[str, ...] = ()
    """Globs."""
    exclude_names: tuple[str, ...] = ()
    """Globs."""

    def __str__(self) -> str:
        """``Deployment.apps in team-*,!team-tmp with app=web``, as --resources takes it."""
        namespaces = ",".join([*self.namespaces, *(f"!{name}" for name in self.exclude_namespaces)])
        parts = [str(self.kind), f"in {namespaces}" if namespaces else ""]
        parts += [f"with {self.label_selector}" if self.label_selector else ""]
        parts += [f"without the names {', '.join(self.exclude_names)}" if self.exclude_names else ""]
        return " ".join(filter(None, parts))

    @property
    def is_narrow(self) -> bool:
        """Whether the entry selects only a part of the objects of its kind."""
        return bool(self.namespaces or self.label_selector or self.exclude_namespaces or self.exclude_names)

    def covers(self, key: ObjectKey) -> bool:
        """Whether kind, namespace and name of an object match. The server evaluates the label selector."""
        return (
            key.kind == self.kind
            and (not key.namespace or self.covers_namespace(key.namespace))
            and not _matches_any(key.name, self.exclude_names)
        )

    def covers_namespace(self, namespace: str) -> bool:
        """Whether a namespace matches."""
        included = not self.namespaces or _matches_any(namespace, self.namespaces)
        return included and not _matches_any(namespace, self.exclude_namespaces)


def _matches_any(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """The content of ``gitsnap.yaml``: the settings that are needed to interpret its tree."""

    policy: str
    branch: str
    """Name of the branch and prefix of the tags: the name of the policy after an optional prefix."""
    kinds: tuple[Kind, ...]
    """The kinds in the scope of the capture, installed or not, sorted."""
    secrets: SecretsInfo
    resources: tuple[ResourceSelector, ...] = ()
    rules: int = 1
    """Number of the normalization rules."""
    format: int = 1
