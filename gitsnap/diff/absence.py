"""Why the inventory of one side lacks what the inventory of the other side lists, for one managed cluster.

The inventory loses entries for other reasons than a deletion: a deployment failed, the profile leaves its add-ons in
place, or the cluster is no longer registered. This module must not make rows.
"""

from __future__ import annotations

from gitsnap.core.model import ObjectKey
from gitsnap.diff.pairs import Pairs
from gitsnap.diff.rows import DEPLOYMENT_HAD_FAILED, Action, short_name
from gitsnap.diff.sides import Side
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import LOCAL, DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.modes import DRY_RUN, leaves_policies, sync_mode

RESOURCES = "Resources"

DEREGISTERED = "the cluster is no longer registered: nothing was withdrawn from it"
MAY_BE_WITHDRAWN = "the behavior changed at the same time, so it may have been withdrawn"


class Absence:
    """The two sides of one cluster."""

    def __init__(self, before: Side, after: Side, pairs: Pairs, cluster: ClusterRef) -> None:
        self._before = before
        self._after = after
        self._pairs = pairs
        self._cluster = cluster

    def departure(self, profile: ObjectKey) -> tuple[Action, str]:
        """The action and message for an add-on of a profile that only the older inventory lists."""
        cluster = self._cluster.key
        if self._before.blob(cluster) is not None and self._after.blob(cluster) is None and self._pairs.covers(cluster):
            return Action.LEFT_IN_PLACE, DEREGISTERED
        old, new = self._before.get(profile), self._after.get(profile)
        if new is not None and sync_mode(new) == DRY_RUN:
            return Action.LEFT_IN_PLACE, f"{short_name(profile)} is in the mode DryRun, which withdraws nothing"
        if self._cluster in self._after.clusters_of(profile):
            return Action.DELETED, ""
        if old is None and new is None:
            return self._departure_of_made(profile)
        behaviors = {leaves_policies(document) for document in (old, new) if document is not None}
        if True not in behaviors:
            return Action.DELETED, ""
        happened = "was deleted" if new is None else "no longer matches the cluster"
        message = f"{short_name(profile)} {happened} and withdraws nothing (LeavePolicies)"
        return Action.LEFT_IN_PLACE, f"{message}; {MAY_BE_WITHDRAWN}" if len(behaviors) > 1 else message

    def _departure_of_made(self, profile: ObjectKey) -> tuple[Action, str]:
        """The same for a profile that Sveltos made. Its maker is not recorded; any maker that leaves is a candidate."""
        for kind in sorted(kinds.PRODUCER_KINDS):
            for path in self._before.paths(kind):
                document = self._before.at(path)
                if document is None or not leaves_policies(document):
                    continue
                if self._cluster in self._before.matching(document) | self._before.destinations(document):
                    maker = short_name(ObjectKey.of(document))
                    message = f"{short_name(profile)} may be made of {maker}, which withdraws nothing (LeavePolicies)"
                    return Action.LEFT_IN_PLACE, message
        return Action.DELETED, ""

    def arrival(self, profile: ObjectKey, feature: str) -> str:
        """The message for something that only the newer inventory lists: whether it may have run before."""
        if self._before.failed(profile, self._cluster, feature):
            return DEPLOYMENT_HAD_FAILED
        former = self._before.get(profile)
        if former is not None and sync_mode(former) == DRY_RUN:
            return f"may have run before: {short_name(profile)} was in the mode DryRun"
        return ""

    def lost_by_failure(self, entry: DeployedResource, lacking: Side) -> bool:
        """Whether the side that lacks an entry lacks it only because a deployment failed there.

        Then the resource runs on, unless its document is not configured on that side either. Where documents cannot be
        read, a resource that was deployed before is taken to run on, unless it came from documents that can be read.
        """
        if lacking.failed(entry.profile, self._cluster, entry.feature) or self._bound_to_fail(entry.profile, lacking):
            ran = lacking is self._after
            if entry.feature != RESOURCES:
                return ran
            local = entry.deployment_type == LOCAL
            content = self._pairs.content(lacking, entry.profile, self._cluster)
            if content.explains(entry.key, local=local):
                return True
            former = self._pairs.content(self._before, entry.profile, self._cluster)
            known = former.explains(entry.key, local=local, besides=content.unreadable)
            if ran and content.unreadable and not known:
                return True
        return any(
            self._pairs.content(lacking, profile, self._cluster).explains(
                entry.key, local=entry.deployment_type == LOCAL
            )
            for profile in lacking.failing(self._cluster, RESOURCES)
            if profile != entry.profile
        )

    def _bound_to_fail(self, profile: ObjectKey, lacking: Side) -> bool:
        """Whether a required source is missing, so that the deployment fails even if Sveltos has not reported so.

        From a cluster that the profile no longer matches, Sveltos withdraws without reading any source.
        """
        if lacking is not self._after or self._cluster not in lacking.clusters_of(profile):
            return False
        return self._pairs.lacks_source(profile, self._cluster)
