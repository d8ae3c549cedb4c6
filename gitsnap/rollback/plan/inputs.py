"""What a plan is made from: a sample and the cluster as it is, as far as the selection needs them.

This module must not decide or read anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gitsnap.core.model import ClusterInfo, IncompleteKind, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.sveltos.matching import ClusterRef


@dataclass(frozen=True, slots=True)
class Unrestorable:
    """Why the values of a Secret cannot be had from the archive."""

    reason: str
    changed: tuple[str, ...] = ()
    """The fields that differ, as far as fingerprints tell."""


@dataclass(frozen=True, slots=True)
class SampleState:
    """What a plan needs of a sample."""

    tag: str
    keys: frozenset[ObjectKey]
    """Every object of its configuration."""
    documents: Mapping[ObjectKey, JsonObject]
    """The selected objects as archived, Secrets with their values; those in ``same`` may be left out."""
    same: frozenset[ObjectKey] = frozenset()
    """Selected objects that are known to be in the cluster exactly as they are in the sample."""
    unrestorable: Mapping[ObjectKey, Unrestorable] = field(default_factory=dict)
    selected: frozenset[ObjectKey] | None = None
    """What is selected, where more than names decides about that: labels, references. None where names alone do."""
    incomplete: tuple[IncompleteKind, ...] = ()
    time: datetime | None = None
    """The moment of the sample. What is not known to be younger is never deleted."""
    scope: frozenset[Kind] = frozenset()
    """The kinds that the sample was to hold."""
    holdable: frozenset[ObjectKey] = frozenset()
    """Profiles outside of the selection that may be paused: those that the rollback which is undone had paused."""
    made: Mapping[ObjectKey, JsonObject | None] = field(default_factory=dict)
    """For an undo: what the rollback created, as it created it; None where that is not known any more."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What a plan needs of the cluster."""

    cluster: ClusterInfo
    objects: Mapping[ObjectKey, JsonObject]
    """As the API server gave them: the selected ones that exist, and with any of CONCERNED_KINDS all of these kinds."""
    served: Mapping[Kind, ResourceType]
    """How the kinds of the selected objects are served; a kind that is not installed is not here."""
    missing_namespaces: frozenset[str] = frozenset()
    """Namespaces of selected objects that are known not to exist."""
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers, live or of the sample, own on clusters."""
    unread: frozenset[Kind] = frozenset()
    """Kinds that would tell what a step reaches, and that this user may not read."""
    whole: frozenset[Kind] = frozenset()
    """Kinds of which ``objects`` has every object of the cluster."""
    summaries: Mapping[ObjectKey, frozenset[ClusterRef]] = field(default_factory=dict)
    """The clusters on which profiles in DryRun have a ClusterSummary, whether they still match or not."""
