"""What one object of a sample refers to, for each cluster that it matches, and whether the sample has it.

This module must not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.diff.sides import Contents, Side
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, UnresolvedReason, references

HELD = "in the sample"
NOT_CAPTURED = "not captured"

_IN_WORDS = {
    UnresolvedReason.NOT_FOUND: "not found",
    UnresolvedReason.OPTIONAL: "not found, optional",
    UnresolvedReason.FORBIDDEN: "could not be read",
    UnresolvedReason.TEMPLATE: "a template that only Sveltos can evaluate",
    UnresolvedReason.WRONG_TYPE: "a Secret of another type than Sveltos reads",
    UnresolvedReason.OMITTED: "left out on purpose",
}


@dataclass(frozen=True, slots=True)
class Referred:
    """One reference, resolved."""

    clusters: tuple[ClusterRef, ...]
    """The matching clusters that it holds for, sorted; none when it holds whatever matches."""
    path: str
    """Where it stands, ``spec.policyRefs[]``."""
    target: ObjectKey
    state: str
    """``in the sample``, or why it is not there."""

    @property
    def missing(self) -> bool:
        """Whether the sample lacks what Sveltos would need."""
        optional = _IN_WORDS[UnresolvedReason.OPTIONAL], _IN_WORDS[UnresolvedReason.OMITTED]
        return self.state != HELD and self.state not in optional


def referred(tree: Tree, document: JsonObject) -> list[Referred]:
    """What an object refers to, in the order in which it says so, then by target."""
    side = Side(tree, Contents())
    found: dict[tuple[str, ObjectKey, str], set[ClusterRef]] = {}
    always = {(one.path, one.target) for one in references(document, ())}
    # Without a cluster first: what holds whatever matches.
    for matching in [(), *((cluster,) for cluster in sorted(side.matching(document)))]:
        for one in references(document, matching, side.cluster_object):
            clusters = found.setdefault((one.path, one.target, _state(side, one)), set())
            if (one.path, one.target) not in always:
                clusters.update(matching)
    return [Referred(tuple(sorted(clusters)), *key) for key, clusters in _in_order(found)]


def _in_order(
    found: dict[tuple[str, ObjectKey, str], set[ClusterRef]],
) -> Iterator[tuple[tuple[str, ObjectKey, str], set[ClusterRef]]]:
    """By place as it first came, then by target."""
    places = {path: position for position, path in reversed(list(enumerate(key[0] for key in found)))}
    return iter(sorted(found.items(), key=lambda item: (places[item[0][0]], item[0][1], item[0][2])))


def _state(side: Side, reference: Reference) -> str:
    if reference.unresolved is not None:
        return _IN_WORDS[reference.unresolved]
    reason = side.lacks(reference.target)
    if reason is not None:
        return _IN_WORDS[reason]
    return HELD if side.blob(reference.target) is not None else NOT_CAPTURED
