"""What a comparison of two configurations says: rows for managed clusters, rows for the management cluster, raw diffs.

Everything is sorted and compares by value, so that the same two samples always print the same bytes.
This module must not read trees.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.diff.unified import unified_diff
from gitsnap.sveltos.matching import ClusterRef

HELM_RELEASE = "helm release"
"""The resource type of a release."""

SEE_RAW_DIFF = "use --raw-diff option to see diff"
"""The message of a modified resource whose document is shown by a raw diff."""

DEPLOYMENT_FAILED = "not in the inventory, since its deployment failed"
DEPLOYMENT_HAD_FAILED = "was not in the inventory, since its deployment had failed"


class Action(enum.StrEnum):
    """What happened to an object, a resource or a release."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    NOW_REFERENCED = "now referenced"
    """A ConfigMap or Secret that came into the configuration because something refers to it now."""
    NO_LONGER_REFERENCED = "no longer referenced"
    """A ConfigMap or Secret that left the configuration because nothing refers to it; it may well exist."""
    NOW_COVERED = "now covered"
    """An object that came into the archive because the policy asks for more; it may have been there all the time."""
    NO_LONGER_COVERED = "no longer covered"
    """An object that left the archive because the policy asks for less; it may well exist."""
    LEFT_IN_PLACE = "left in place"
    """A resource or release that Sveltos no longer manages, and did not take away."""


Presence = Mapping[ObjectKey, tuple[Action, str]]
"""What happened to an object, and because of whom; objects of which that cannot be told are left out."""


@dataclass(frozen=True, slots=True, order=True)
class DiffRow:
    """One row of the first table: a resource or a release in a managed cluster."""

    cluster: str
    """``<namespace>/<capi or sveltos>--<name>``."""
    resource_type: str
    """``apps/Deployment``, ``/Service``, or ``helm release``."""
    namespace: str
    name: str
    action: Action
    message: str = ""


@dataclass(frozen=True, slots=True, order=True)
class ManagementRow:
    """One row of the second table: an object of the management cluster."""

    resource_type: str
    namespace: str
    name: str
    action: Action
    message: str = ""


@dataclass(frozen=True, slots=True, order=True)
class NotComparable:
    """A kind, or a single object, of which the two sides cannot tell what changed."""

    kind: Kind
    reason: str
    """``not covered``: outside the scope of one side. ``not comparable``: one side could not read it. ``cannot tell``:
    the values of Secrets are kept in different ways."""
    detail: str = ""
    namespace: str = ""
    name: str = ""
    """Of a single object that one side could not take; ``""`` for the kind as a whole."""

    @property
    def subject(self) -> str:
        """The kind, or the object, in words."""
        return str(ObjectKey(self.kind, self.namespace, self.name)) if self.name else str(self.kind)


@dataclass(frozen=True, slots=True, order=True)
class TextPair:
    """Two texts of one document or object, None on the side that does not have it."""

    title: str
    """``/Service test/redis-follower``."""
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RawDiff:
    """A unified diff of one document or object."""

    title: str
    text: str
    """With its two header lines; ends with a newline."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What of a comparison is wanted; empty means everything."""

    namespaces: tuple[str, ...] = ()
    """Namespaces of managed clusters, and of namespaced objects of the management cluster."""
    clusters: tuple[str, ...] = ()
    """Managed clusters: ``name``, ``ns/name``, ``capi--name`` or ``ns/capi--name``."""

    def __bool__(self) -> bool:
        return bool(self.namespaces or self.clusters)

    def wants_cluster(self, cluster: ClusterRef) -> bool:
        """Whether rows of a managed cluster are wanted."""
        if self.namespaces and cluster.namespace not in self.namespaces:
            return False
        return not self.clusters or not cluster.names.isdisjoint(self.clusters)

    def wants_object(self, key: ObjectKey) -> bool:
        """Whether a row of the management cluster is wanted, going by namespaces: cluster-scoped ones always are."""
        return not self.namespaces or not key.namespace or key.namespace in self.namespaces


EVERYTHING = Filters()


@dataclass(slots=True)
class Found:
    """What one part of a comparison found: rows, the texts behind them, and the objects that brought them about."""

    rows: list[DiffRow] = field(default_factory=list)
    texts: set[TextPair] = field(default_factory=set)
    causes: set[ObjectKey] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two configurations."""

    rows: tuple[DiffRow, ...] = ()
    management: tuple[ManagementRow, ...] = ()
    not_comparable: tuple[NotComparable, ...] = ()
    make_texts: Callable[[], tuple[TextPair, ...]] = field(default=tuple, compare=False, repr=False)
    """Only a raw diff needs them, and they cost more than the rows."""

    @property
    def texts(self) -> tuple[TextPair, ...]:
        """Documents first, then objects of the management cluster; see raw_diffs."""
        return self.make_texts()

    def __bool__(self) -> bool:
        """Whether there are differences; what is not comparable is none."""
        return bool(self.rows or self.management)

    def raw_diffs(self, before_label: str, after_label: str) -> Iterator[RawDiff]:
        """Unified diffs, headed with the labels of the two sides (tags, or ``live``)."""
        for pair in self.texts:
            title = pair.title.replace("\n", "\\n")  # the name of a ClusterRole may have a line break
            titles = (f"{title} from {label}" for label in (before_label, after_label))
            if text := unified_diff(pair.before, pair.after, *titles):
                yield RawDiff(pair.title, text)


def resource_type(kind: Kind) -> str:
    """``apps/Deployment``, or ``/Service`` for the core group."""
    return f"{kind.group}/{kind.name}"


def object_title(key: ObjectKey) -> str:
    """``/Service test/redis-follower``, ``config.projectsveltos.io/ClusterProfile guestbook``."""
    return (
        f"{resource_type(key.kind)} {key.namespace}/{key.name}"
        if key.namespace
        else f"{resource_type(key.kind)} {key.name}"
    )


def short_name(key: ObjectKey) -> str:
    """How messages name an object: ``ConfigMap default/database``, ``ClusterProfile guestbook``."""
    return f"{key.kind.name} {key.namespace}/{key.name}" if key.namespace else f"{key.kind.name} {key.name}"
