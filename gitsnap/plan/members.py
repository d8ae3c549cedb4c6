"""The clusters of a set while the steps of a plan are carried out, one label or one write at a time.

This module must not know which profiles use a set.
"""

from __future__ import annotations

from collections.abc import Collection

from gitsnap.model import JsonObject
from gitsnap.plan.matching import Row
from gitsnap.sveltos.matching import ClusterRef, evaluated_by_sveltos, max_replicas

Clusters = set[ClusterRef]


class Members:
    """The clusters of one set, kept up to date; the rules are those of ``members_of``."""

    def __init__(self, document: JsonObject, matching: Clusters, selected: Row, *, moved: bool) -> None:
        self.document = document
        self.limit = max_replicas(document)
        self.matching = matching
        self.selected = selected
        """Those that the status has selected."""
        self.kept = set(selected & matching)
        """Those that match and that the status has selected."""
        self.moved = moved or not evaluated_by_sveltos(document)
        """Whether the status is out of date."""

    def row(self) -> Collection[ClusterRef]:
        """All clusters that the set selects."""
        if not self.moved:
            return self.selected
        if self.limit <= 0:
            return ()
        return self.kept if self.kept and len(self.matching) > self.limit else self.matching

    def chooses(self, cluster: ClusterRef, lost: Collection[ClusterRef]) -> bool:
        """Whether more clusters match than the set selects, so that it may select others than this one.

        What is selected stays selected while it matches and while the set has room. Which other clusters Sveltos
        selects, and which ones it takes out, cannot be known. ``lost``: what has left the status since the plan.
        """
        if not self.moved or len(self.matching) <= self.limit:
            return False
        kept = self.kept.difference(lost)
        return cluster not in kept or len(kept) > self.limit

    def mode(self) -> tuple[bool, ...]:
        """What decides how the row follows from the fields; when it changes, all of the row may."""
        return self.moved, len(self.matching) <= self.limit, bool(self.kept)
