"""The promise that a rollback keeps: nothing leaves a managed cluster that the plan did not name.

This module must not work out what leaves; it compares what a plan says with what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitsnap.model import JsonObject, ObjectKey
from gitsnap.plan import Moment, Plan, Withdraw
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease
from tests.support.sveltos import summaries
from tests.support.sveltos.clusters import referred
from tests.support.sveltos.managed import RELEASE, Happening, ManagedClusters, Slot
from tests.support.sveltos.profiles import PAUSED


def unsaid(plan: Plan, happenings: Iterable[Happening]) -> list[str]:
    """The deletions that no ``withdraw`` line and no ``uncertain`` line of the plan named, each in words."""
    return sorted({str(one) for one in happenings if one.change == "DELETED" and not _named(plan, one)})


GAPS = """
1. A profile is paused, DryRun, OneTime or LeavePolicies in the sample, so that what is deployed stays; and a step
   before its own takes a part of it: a ConfigMap loses a document, or a label goes while the profile is as it was.
2. A deployment that fails or waits goes on because of a step: what stood there is in no ClusterConfiguration.
"""


def gaps(plan: Plan, summaries_now: Iterable[JsonObject]) -> set[tuple[ObjectKey | None, ObjectKey]]:
    """The profiles and clusters of the GAPS, going by the plan and by the live ClusterSummaries."""
    found: set[tuple[ObjectKey | None, ObjectKey]]
    found = {(line.profile, line.cluster.key) for line in plan.withdraws if not line.takes}
    for document in summaries_now:
        features = (document.get("status") or {}).get("featureSummaries") or ()
        if not features or any(one["status"] not in ("Provisioned", "Removed") for one in features):
            found.add((summaries.profile_of(document), summaries.cluster_of(document)))
    for step in plan.writes:
        if step.key.kind in kinds.PROFILE_KINDS and step.archived is not None and _stands_still(step.archived):
            observed = ((step.live or {}).get("status") or {}).get("matchingClusters") or ()
            found |= {(step.key, referred(one)) for one in observed}
    return found


def _stands_still(document: JsonObject) -> bool:
    spec = document.get("spec") or {}
    annotations = document["metadata"].get("annotations") or {}
    return spec.get("syncMode") in ("DryRun", "OneTime") or PAUSED in annotations


def losses(happenings: Sequence[Happening], since: int) -> list[Happening]:
    """The first deletion of each resource that was there at a position in the log. What comes anew may go again."""
    present: set[tuple[ObjectKey, Slot]] = set()
    for one in happenings[:since]:
        if one.change == "DELETED":
            present.discard((one.cluster, one.slot))
        else:
            present.add((one.cluster, one.slot))
    found = []
    for one in happenings[since:]:
        if one.change == "DELETED" and (one.cluster, one.slot) in present:
            present.discard((one.cluster, one.slot))
            found.append(one)
    return found


def unkept(plan: Plan, managed: ManagedClusters) -> list[str]:
    """What a line named, and what runs on all the same once everything is at rest."""
    return sorted(
        f"{line.cluster} {slot} of {line.profile.kind.name} {line.profile.name}: {line}"
        for line in plan.withdraws
        if line.takes and line.moment in {Moment.END, Moment.LESS} and line.deployed is not None
        for slot, deployed in managed.of(line.cluster.key).items()
        if deployed.owner == line.profile and _lists(line, slot)
    )


def _named(plan: Plan, happening: Happening) -> bool:
    owner = happening.owner
    if owner is None:
        return False
    doubted = any(doubt.key == owner for doubt in plan.doubts)
    return doubted or _withdrawn(plan, owner, happening.cluster, happening.slot)


def _withdrawn(plan: Plan, owner: ObjectKey, cluster: ObjectKey, slot: Slot) -> bool:
    """Whether a line names the whole profile on the cluster, or this very resource; none that says that it stays."""
    lines = [line for line in plan.withdraws if line.profile == owner and line.cluster.key == cluster and line.takes]
    return any(line.moment is not Moment.LESS or line.deployed is None or _lists(line, slot) for line in lines)


def _lists(line: Withdraw, slot: Slot) -> bool:
    for entry in line.deployed or ():
        if isinstance(entry, DeployedRelease):
            kind, local = RELEASE, False
        else:
            kind, local = str(entry.kind), entry.deployment_type == LOCAL
        if (kind, entry.namespace, entry.name, local) == (slot.kind, slot.namespace, slot.name, slot.local):
            return True
    return False
