"""Changes whose effect on matches is unknown, because only Sveltos can evaluate them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import plural
from gitsnap.rollback.plan.cluster_effects import Uncertainty
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, Matches, State, StepChange, templated
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import sets_of

CHOOSING = "Sveltos chooses the clusters of a set with maxReplicas"

_GENERATING_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    kinds.EVENT_TRIGGER: ("eventSourceName", "destinationCluster", "destinationClusterSelector"),
    kinds.CLUSTER_PROMOTION: ("stages",),
}
"""Spec fields from which Sveltos generates profiles. The API does not show those profiles before the change."""


def find_uncertainties(
    start: State, end: State, index: SelectorIndex, changes: Sequence[StepChange], affected: Iterable[ObjectKey]
) -> list[Uncertainty]:
    """At most one uncertainty for each object, sorted by object.

    ``start`` and ``end`` are the states before and after ``changes``; ``affected`` are the selecting objects whose
    matches the changes may affect.
    """
    reasons: dict[ObjectKey, str] = {}
    for key in affected:
        if key not in start.selecting:
            continue
        states = [state for state in (start, end) if key in state.selecting]
        if not all(state.certain(key) for state in states):
            reasons[key] = CHOOSING
        elif any(templated(state.selecting[key]) for state in states):
            reasons[key] = "its selector is a template"
    for key, reason in (*_generating(start, changes), *_classified(start, index, changes)):
        reasons.setdefault(key, reason)
    return [Uncertainty(key, reasons[key]) for key in sorted(reasons)]


def delay_reason(end: State, key: ObjectKey, clusters: Matches) -> str:
    """Why Sveltos may evaluate a profile before it knows the matches on ``clusters``; ``end`` is the last state."""
    document, own = end.selecting.get(key), end.own(key)
    sets = sets_of(document) if document is not None and not clusters.isdisjoint(own) else ()
    names = [f"{set_key.kind.name} {set_key.name}" for set_key in sorted(sets)]
    if not names or not clusters <= own:
        names.append("the profiles that depend on it")
    providers = ", ".join(names)
    where = plural(len(clusters), "cluster")
    return f"on {where} it matches through {providers}, which Sveltos evaluates some time after the write"


def _generating(start: State, changes: Sequence[StepChange]) -> Iterable[tuple[ObjectKey, str]]:
    """Objects from which Sveltos generates profiles, if a field that defines these profiles changes."""
    for change in changes:
        if change.before is None or change.key not in start.selecting:
            continue
        before, after = change.before.get("spec") or {}, (change.after or {}).get("spec") or {}
        for field in _GENERATING_FIELDS.get(change.key.kind, ()):
            if not same_json(before.get(field), after.get(field)):
                yield change.key, f"spec.{field} determines the profiles that Sveltos generates"


def _classified(start: State, index: SelectorIndex, changes: Sequence[StepChange]) -> Iterable[tuple[ObjectKey, str]]:
    """Objects that match clusters by a label which a changed classifier sets."""
    for change in changes:
        before, after = change.before or {}, change.after or {}
        if change.key.kind not in CLASSIFIER_KINDS or same_json(before.get("spec"), after.get("spec")):
            continue
        setter = f"{change.key.kind.name} {change.key.name}"
        for label in sorted(inventory.classifier_labels(before) | inventory.classifier_labels(after)):
            for key in sorted(index.of_label(label)):
                if start.matches(key):
                    yield key, f"its selector reads the label {label!r}, which {setter} sets"
