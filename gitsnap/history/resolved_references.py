"""The references of an object of a sample, for each cluster that it matches, and whether the sample has the targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, UnresolvedReason, references
from gitsnap.sveltos.tree_view import TreeView

IN_SAMPLE = "in the sample"
NOT_CAPTURED = "not captured"

_STATES = {
    UnresolvedReason.NOT_FOUND: "not found",
    UnresolvedReason.OPTIONAL: "not found, optional",
    UnresolvedReason.FORBIDDEN: "could not be read",
    UnresolvedReason.TEMPLATE: "a template that only Sveltos can evaluate",
    UnresolvedReason.WRONG_TYPE: "a Secret of another type than Sveltos reads",
    UnresolvedReason.OMITTED: "left out on purpose",
}

_Target = tuple[str, ObjectKey, str]
"""Path of a reference, target and state."""


@dataclass(frozen=True, slots=True)
class ResolvedReference:
    """One reference, and whether the sample has its target."""

    clusters: tuple[ClusterRef, ...]
    """The matching clusters to which the reference applies, sorted. Empty if it applies to every cluster."""
    path: str
    """The path of the reference in the object, ``spec.policyRefs[]``."""
    target: ObjectKey
    state: str
    """``in the sample``, or why the sample lacks the target."""

    @property
    def missing(self) -> bool:
        """Whether the sample lacks a target that Sveltos needs."""
        optional = _STATES[UnresolvedReason.OPTIONAL], _STATES[UnresolvedReason.OMITTED]
        return self.state != IN_SAMPLE and self.state not in optional


def read_references(tree: Tree, document: JsonObject) -> list[ResolvedReference]:
    """Return the references of an object, by path in the order of the object, then by target."""
    view = TreeView(tree)
    clusters_by_target: dict[_Target, set[ClusterRef]] = {}
    for_all_clusters = {(reference.path, reference.target) for reference in references(document, ())}
    # First without a cluster: these references apply to every cluster.
    for clusters in [(), *((cluster,) for cluster in sorted(view.target_clusters(document)))]:
        for reference in references(document, clusters, view.cluster_object):
            target = reference.path, reference.target, _state(view, reference)
            known_clusters = clusters_by_target.setdefault(target, set())
            if (reference.path, reference.target) not in for_all_clusters:
                known_clusters.update(clusters)
    return [
        ResolvedReference(tuple(sorted(clusters_by_target[target])), *target)
        for target in _sort_targets(clusters_by_target)
    ]


def _sort_targets(targets: Iterable[_Target]) -> list[_Target]:
    """Sort by the first position of the path, then by target and state."""
    ordered = list(targets)
    positions = {path: position for position, (path, _, _) in reversed(list(enumerate(ordered)))}
    return sorted(ordered, key=lambda target: (positions[target[0]], *target[1:]))


def _state(view: TreeView, reference: Reference) -> str:
    if reference.unresolved is not None:
        return _STATES[reference.unresolved]
    reason = view.unresolved_reason(reference.target)
    if reason is not None:
        return _STATES[reason]
    return IN_SAMPLE if view.holds(reference.target) else NOT_CAPTURED
