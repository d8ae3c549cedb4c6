"""The result of a comparison: rows for managed clusters, rows for the management cluster, and texts for raw diffs.

The values are sorted and compare by value, so that the same two samples always print the same bytes.
This module must not read trees.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.diff.raw_diff import RawDiff, TextPair, raw_diffs

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
    """The object is in the configuration because an object refers to it now. It may have existed before."""
    NO_LONGER_REFERENCED = "no longer referenced"
    """The object left the configuration because nothing refers to it any more. It may still exist."""
    NOW_COVERED = "now covered"
    """The object is in the archive because the policy captures more. It may have existed before."""
    NO_LONGER_COVERED = "no longer covered"
    """The object left the archive because the policy captures less. It may still exist."""
    LEFT_IN_PLACE = "left in place"
    """Sveltos no longer manages the resource or release, and did not remove it."""


ObjectActions = Mapping[ObjectKey, tuple[Action, str]]
"""For each object that one side lacks: the action, and the objects that refer to it, as a message names them.

An object is left out if its action is unknown.
"""


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

    @property
    def note(self) -> str:
        """The message without the advice on --raw-diff, such as ``not applied yet``."""
        before, advice, after = self.message.partition(SEE_RAW_DIFF)
        if not advice:
            return self.message
        return "; ".join(filter(None, (before.rstrip("; "), after.strip().removeprefix("(").removesuffix(")"))))


@dataclass(frozen=True, slots=True, order=True)
class ManagementRow:
    """One row of the second table: an object of the management cluster."""

    resource_type: str
    namespace: str
    name: str
    action: Action
    message: str = ""

    @property
    def key(self) -> ObjectKey:
        """The key of the object."""
        return ObjectKey(kind_of_type(self.resource_type), self.namespace, self.name)


@dataclass(frozen=True, slots=True, order=True)
class NotComparable:
    """A kind or a single object that cannot be compared."""

    kind: Kind
    reason: str
    """``not covered``: outside the scope of one side. ``not comparable``: one side could not read it. ``cannot tell``:
    the sides store hidden values in different ways."""
    detail: str = ""
    namespace: str = ""
    name: str = ""
    """The name of a single object, ``""`` for the whole kind."""

    @property
    def subject(self) -> str:
        """The kind or the object, as messages name it."""
        return str(ObjectKey(self.kind, self.namespace, self.name)) if self.name else str(self.kind)


@dataclass(slots=True)
class ClusterChanges:
    """The changes in one managed cluster: rows, the texts behind them, and the objects that caused them."""

    rows: list[DiffRow] = field(default_factory=list)
    texts: set[TextPair] = field(default_factory=set)
    causes: set[ObjectKey] = field(default_factory=set)

    def add(self, other: ClusterChanges) -> None:
        """Add the changes of another comparison."""
        self.rows += other.rows
        self.texts |= other.texts
        self.causes |= other.causes


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two configurations."""

    rows: tuple[DiffRow, ...] = ()
    management: tuple[ManagementRow, ...] = ()
    not_comparable: tuple[NotComparable, ...] = ()
    texts: tuple[TextPair, ...] = ()
    """Source documents first, then objects of the management cluster. Empty unless requested."""
    reached: tuple[tuple[str, ObjectKey], ...] = ()
    """The deployments that the changes may reach: managed cluster, as in ``DiffRow``, and profile; sorted."""

    def __bool__(self) -> bool:
        """Whether there are differences. A kind or object that cannot be compared is not a difference."""
        return bool(self.rows or self.management)

    def raw_diffs(self, before_label: str, after_label: str) -> Iterator[RawDiff]:
        """Return unified diffs of the texts. The labels name the two sides: tags, or ``live``."""
        return raw_diffs(self.texts, before_label, after_label)


def kind_of_type(resource_type: str) -> Kind:
    """Return the kind of a resource type: the inverse of ``Kind.resource_type``."""
    group, _, name = resource_type.rpartition("/")
    return Kind(group, name)


def object_title(key: ObjectKey) -> str:
    """Return the title of a raw diff: ``/Service test/redis``, ``config.projectsveltos.io/ClusterProfile web``."""
    name = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return f"{key.kind.resource_type} {name}"
