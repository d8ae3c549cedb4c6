"""The clusters that a set selects while the steps of a plan are written."""

from __future__ import annotations

from collections.abc import Collection

from gitsnap.core.model import JsonObject
from gitsnap.rollback.plan.match_states import Matches
from gitsnap.sveltos.matching import ClusterRef, has_status, max_replicas

Clusters = set[ClusterRef]


class Members:
    """The clusters of one set, updated step by step by the rules of ``members_of``."""

    def __init__(self, document: JsonObject, matching: Clusters, selected: Matches, *, outdated: bool) -> None:
        self.document = document
        self.limit = max_replicas(document)
        self.matching = matching
        """The clusters that match the selectors of the set."""
        self.selected = selected
        """The clusters that the status names as selected."""
        self.kept = set(selected & matching)
        """The clusters that match and that the status names."""
        self.outdated = outdated or not has_status(document)
        """Whether the status is outdated."""

    def clusters(self) -> Collection[ClusterRef]:
        """The clusters that the set selects."""
        if not self.outdated:
            return self.selected
        if self.limit <= 0:
            return ()
        return self.kept if self.kept and len(self.matching) > self.limit else self.matching

    def chooses(self, cluster: ClusterRef, lost: Collection[ClusterRef]) -> bool:
        """Whether more clusters match than the set may select, so that it may select other clusters than this one.

        A selected cluster stays selected while it matches and while the set has room. Which other clusters Sveltos
        selects or drops is unknown. ``lost`` are the clusters that have left the status since the plan.
        """
        if not self.outdated or len(self.matching) <= self.limit:
            return False
        kept = self.kept.difference(lost)
        return cluster not in kept or len(kept) > self.limit

    def mode(self) -> tuple[bool, ...]:
        """The facts that decide how ``clusters`` is computed. If they change, every cluster may join or leave."""
        return self.outdated, len(self.matching) <= self.limit, bool(self.kept)
