"""What only Sveltos can know of the matches that a plan leads to.

This module must not decide about orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.objects import same_json
from gitsnap.plan.consequences import Doubt
from gitsnap.plan.matching import CLASSIFIER_KINDS, Change, Readers, State, templated
from gitsnap.plan.sources import FEATURES
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef

CHOOSING = "Sveltos chooses the clusters of a set with maxReplicas"

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
            found[key] = CHOOSING
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


def undeployed(summaries: Iterable[JsonObject]) -> Mapping[tuple[ObjectKey, ClusterRef], frozenset[str]]:
    """The features that did not arrive, by profile and cluster: of what runs there, Sveltos lists none or a part."""
    found: dict[tuple[ObjectKey, ClusterRef], frozenset[str]] = {}
    for document in summaries:
        profile, spec = inventory.profile_of(document), (document.get("spec") or {}).get("clusterProfileSpec") or {}
        if profile is None or spec.get("syncMode") == "DryRun":
            continue  # whose features are not deployed on purpose
        listed = (document.get("status") or {}).get("featureSummaries") or ()
        states = {feature: "" for field, feature in FEATURES.items() if spec.get(field)}
        states |= {str(one.get("featureID", "")): str(one.get("status", "")) for one in listed}
        features = frozenset(feature for feature, state in states.items() if state not in _ARRIVED)
        if features:
            found[profile, inventory.cluster_of(document)] = features
    return found


_ARRIVED = frozenset({"Provisioned", "Removed"})


def undeployed_doubt(profile: ObjectKey, clusters: Iterable[ClusterRef]) -> Doubt:
    """A profile whose last deployment failed, or goes on, on some clusters where the plan makes it deploy."""
    named = sorted(clusters)
    where = str(named[0]) if len(named) == 1 else f"{len(named)} clusters"
    return Doubt(profile, f"its last deployment to {where} failed or is not done, so that what runs there is not known")
