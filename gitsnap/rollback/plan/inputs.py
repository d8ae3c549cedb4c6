"""The inputs of a plan: a sample and the live cluster, as far as the selection needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gitsnap.core.model import IncompleteKind, JsonObject, Kind, ObjectKey, ResourceType, SensitiveField
from gitsnap.core.ports import ClusterInfo
from gitsnap.sveltos.matching import ClusterRef


@dataclass(frozen=True, slots=True)
class Unrestorable:
    """Why the archive cannot provide the values of an object."""

    reason: str
    changed: tuple[str, ...] = ()
    """The fields that differ from the live object, as far as fingerprints show that."""


@dataclass(frozen=True, slots=True)
class SampleState:
    """The facts about a sample that a plan needs."""

    tag: str
    keys: frozenset[ObjectKey]
    """Every object of the sample's configuration."""
    documents: Mapping[ObjectKey, JsonObject]
    """The selected objects as archived, Secrets with their values. Unchanged objects may be missing."""
    unrestorable: Mapping[ObjectKey, Unrestorable] = field(default_factory=dict)
    selected: frozenset[ObjectKey] = frozenset()
    """The selected objects. Objects that are not in ``keys`` were named, and were created after the sample."""
    incomplete: tuple[IncompleteKind, ...] = ()
    """Kinds, or single objects, that could not be read when the sample was taken."""
    time: datetime | None = None
    """When the sample was taken (UTC). Only an object that is known to be younger may be deleted."""
    scope: frozenset[Kind] = frozenset()
    """The kinds that the sample captures."""
    sensitive_fields: tuple[SensitiveField, ...] = ()
    """The fields of other kinds than Secret whose values the plan does not show."""
    pausable: frozenset[ObjectKey] = frozenset()
    """For an undo: profiles outside the selection that the undone rollback had paused, and that may be paused again."""
    created: Mapping[ObjectKey, JsonObject | None] = field(default_factory=dict)
    """For an undo: the objects that the undone rollback created, as it wrote them; None if no sample has them."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """The facts about the cluster that a plan needs."""

    cluster: ClusterInfo
    objects: Mapping[ObjectKey, JsonObject]
    """Live objects as the API server returned them: the selected objects, and all objects of MATCHING_KINDS if the
    selection contains an object of these kinds. Objects in ``unchanged`` may be missing."""
    served: Mapping[Kind, ResourceType]
    """How the API server serves the kinds of the selected objects. Kinds that are not installed are missing."""
    unchanged: frozenset[ObjectKey] = frozenset()
    """Selected objects that are live exactly as the sample contains them."""
    missing_namespaces: frozenset[str] = frozenset()
    """Namespaces of selected objects that do not exist."""
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers, live or in the sample, own on clusters."""
    unread: frozenset[Kind] = frozenset()
    """Kinds that would show which clusters a step affects, and that this user may not read."""
    whole: frozenset[Kind] = frozenset()
    """Kinds whose live objects are all in ``objects``."""
    summary_clusters: Mapping[ObjectKey, frozenset[ClusterRef]] = field(default_factory=dict)
    """For each profile in DryRun: the clusters that have a ClusterSummary of the profile, matching or not."""
