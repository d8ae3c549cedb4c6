"""The action of an inventory entry that one side lacks, for one managed cluster.

An entry may disappear from the inventory although nothing was deleted: a deployment failed, the profile leaves its
add-ons in place, or the cluster is no longer registered. This module must not make rows.
"""

from __future__ import annotations

from gitsnap.core.model import ObjectKey
from gitsnap.core.text import describe
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.rows import DEPLOYMENT_HAD_FAILED, Action
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import LOCAL, DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.modes import DRY_RUN, leaves_policies, sync_mode
from gitsnap.sveltos.tree_view import TreeView

RESOURCES = "Resources"

DEREGISTERED = "the cluster is no longer registered: nothing was withdrawn from it"
MAY_BE_WITHDRAWN = "the behavior changed at the same time, so it may have been withdrawn"


class EntryActions:
    """The actions of the inventory entries of one cluster."""

    def __init__(self, deployments: Deployments, cluster: ClusterRef) -> None:
        self._deployments = deployments
        self._before = deployments.before
        self._after = deployments.after
        self._cluster = cluster

    def departure(self, profile: ObjectKey) -> tuple[Action, str]:
        """Return action and message for an add-on of a profile that only the older inventory lists."""
        cluster = self._cluster.key
        is_deregistered = self._before.holds(cluster) and not self._after.holds(cluster)
        if is_deregistered and self._deployments.changed.covers(cluster):
            return Action.LEFT_IN_PLACE, DEREGISTERED
        old, new = self._before.get(profile), self._after.get(profile)
        if new is not None and sync_mode(new) == DRY_RUN:
            return Action.LEFT_IN_PLACE, f"{describe(profile)} is in the mode DryRun, which withdraws nothing"
        if self._cluster in self._after.reported_clusters(profile):
            return Action.DELETED, ""
        if old is None and new is None:
            return self._departure_of_generated(profile)
        behaviors = {leaves_policies(document) for document in (old, new) if document is not None}
        if True not in behaviors:
            return Action.DELETED, ""
        cause = "was deleted" if new is None else "no longer matches the cluster"
        message = f"{describe(profile)} {cause} and withdraws nothing (LeavePolicies)"
        return Action.LEFT_IN_PLACE, f"{message}; {MAY_BE_WITHDRAWN}" if len(behaviors) > 1 else message

    def _departure_of_generated(self, profile: ObjectKey) -> tuple[Action, str]:
        """Return the same for a generated profile. Any producer with LeavePolicies may have generated the profile."""
        for kind in sorted(kinds.PRODUCER_KINDS):
            for path in self._before.paths(kind):
                document = self._before.object_at(path)
                if document is None or not leaves_policies(document):
                    continue
                clusters = self._before.target_clusters(document) | self._before.destination_clusters(document)
                if self._cluster in clusters:
                    producer = describe(ObjectKey.of(document))
                    origin = f"{describe(profile)} may be generated from {producer}"
                    return Action.LEFT_IN_PLACE, f"{origin}, which withdraws nothing (LeavePolicies)"
        return Action.DELETED, ""

    def arrival(self, profile: ObjectKey, feature: str) -> str:
        """Return the message for an add-on that only the newer inventory lists: whether it may have run before."""
        if self._before.has_failed(profile, self._cluster, feature):
            return DEPLOYMENT_HAD_FAILED
        old = self._before.get(profile)
        if old is not None and sync_mode(old) == DRY_RUN:
            return f"may have run before: {describe(profile)} was in the mode DryRun"
        return ""

    def is_lost_by_failure(self, entry: DeployedResource, lacking: TreeView) -> bool:
        """Return whether ``lacking`` lacks an entry only because a deployment failed there.

        In that case the resource still runs, unless its document is not configured on that side either. If not all
        documents can be read, a resource that was deployed before is assumed to run, unless it came from a document
        that can be read.
        """
        local = entry.deployment_type == LOCAL
        has_failed = lacking.has_failed(entry.profile, self._cluster, entry.feature)
        if has_failed or self._is_bound_to_fail(entry.profile, lacking):
            was_deployed = lacking is self._after
            if entry.feature != RESOURCES:
                return was_deployed
            content = self._deployments.content(lacking, entry.profile, self._cluster)
            if content.explains(entry.key, local=local):
                return True
            former = self._deployments.content(self._before, entry.profile, self._cluster)
            known = former.explains(entry.key, local=local, besides=content.unreadable)
            if was_deployed and content.unreadable and not known:
                return True
        return any(
            self._deployments.content(lacking, profile, self._cluster).explains(entry.key, local=local)
            for profile in lacking.failing_profiles(self._cluster, RESOURCES)
            if profile != entry.profile
        )

    def _is_bound_to_fail(self, profile: ObjectKey, lacking: TreeView) -> bool:
        """Return whether a required source is missing, so that the deployment fails before Sveltos reports it.

        If the profile no longer matches the cluster, Sveltos withdraws its add-ons without reading any source.
        """
        if lacking is not self._after or self._cluster not in lacking.reported_clusters(profile):
            return False
        return self._deployments.lacks_required_source(profile, self._cluster)
