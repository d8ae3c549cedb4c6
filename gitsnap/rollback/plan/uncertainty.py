"""What only Sveltos can know of the matches that a plan leads to.

This module must not decide about orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.consequences import Doubt
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, Change, Readers, State, templated
from gitsnap.sveltos import inventory, kinds

_UNEVALUATED: Mapping[Kind, tuple[str, ...]] = {
    kinds.EVENT_TRIGGER: ("eventSourceName", "destinationCluster", "destinationClusterSelector"),
    kinds.CLUSTER_PROMOTION: ("stages",),
}
"""Fields that decide about profiles which a controller generates: what becomes of those is not in the API yet."""


def doubts(
    start: State, end: State, readers: Readers, changes: Sequence[Change], affected: Iterable[ObjectKey]
) -> list[Doubt]:
    """One doubt for an object, the first reason that there is, sorted."""
    found: dict[ObjectKey, str] = {}
    for key in affected:
        if key not in start.selecting:
            continue
        states = [state for state in (start, end) if key in state.selecting]
        if not all(state.certain(key) for state in states):
            found[key] = "Sveltos chooses the clusters of a set with maxReplicas"
        elif any(templated(state.selecting[key]) for state in states):
            found[key] = "its selector is a template"
    for key, reason in (*_generating(start, changes), *_classified(start, readers, changes)):
        found.setdefault(key, reason)
    return [Doubt(key, found[key]) for key in sorted(found)]


def _generating(start: State, changes: Sequence[Change]) -> Iterable[tuple[ObjectKey, str]]:
    """Objects that Sveltos generates profiles from, and that change in what decides about those."""
    for change in changes:
        if change.before is None or change.key not in start.selecting:
            continue
        before, after = change.before.get("spec") or {}, (change.after or {}).get("spec") or {}
        for field in _UNEVALUATED.get(change.key.kind, ()):
            if not same_json(before.get(field), after.get(field)):
                yield change.key, f"spec.{field} decides about profiles that Sveltos generates"


def _classified(start: State, readers: Readers, changes: Sequence[Change]) -> Iterable[tuple[ObjectKey, str]]:
    """Objects that match clusters by a label which a changed classifier sets."""
    for change in changes:
        before, after = change.before or {}, change.after or {}
        if change.key.kind not in CLASSIFIER_KINDS or same_json(before.get("spec"), after.get("spec")):
            continue
        setter = f"{change.key.kind.name} {change.key.name}"
        for label in sorted(inventory.classifier_labels(before) | inventory.classifier_labels(after)):
            for key in sorted(readers.of_label(label)):
                if start.row(key):
                    yield key, f"its selector reads the label {label!r}, which {setter} sets"
