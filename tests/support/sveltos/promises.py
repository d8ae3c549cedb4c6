"""The promise that a rollback keeps: nothing leaves a managed cluster that the plan did not name.

This module must not work out what leaves; it compares what a plan says with what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan import EffectType, Plan, Withdrawal, WithdrawalCause
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease
from tests.support.sveltos.managed import RELEASE, Happening, ManagedClusters, Slot


def unsaid(plan: Plan, happenings: Iterable[Happening]) -> list[str]:
    """The deletions that no ``withdraw`` line and no ``uncertain`` line of the plan named, each in words."""
    return sorted({str(one) for one in happenings if one.change == "DELETED" and not _named(plan, one)})


GAPS = """
A cluster comes to match again on which LeavePolicies, or DryRun, left what the profile had deployed before: what the
new configuration lacks goes, and no ClusterConfiguration lists it.
"""


def gaps(plan: Plan) -> set[tuple[ObjectKey | None, ObjectKey]]:
    """The profiles and clusters of the GAPS, going by the plan."""
    return {
        (effect.by, cluster.key)
        for step in plan.writes
        for effect in step.effects
        if effect.type is EffectType.DEPLOYS
        for cluster in effect.clusters
    }


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
        for line in plan.withdrawals
        if line.needs_consent
        and line.cause in {WithdrawalCause.ENDED, WithdrawalCause.REDUCED}
        and line.deployed is not None
        for slot, deployed in managed.of(line.cluster.key).items()
        if deployed.owner == line.profile and _lists(line, slot)
    )


def _named(plan: Plan, happening: Happening) -> bool:
    owner = happening.owner
    if owner is None:
        return False
    doubted = any(doubt.key == owner for doubt in plan.uncertainties)
    return doubted or _withdrawn(plan, owner, happening.cluster, happening.slot)


def _withdrawn(plan: Plan, owner: ObjectKey, cluster: ObjectKey, slot: Slot) -> bool:
    """Whether a line names the whole profile on the cluster, or this very resource; none that says that it stays."""
    lines = [
        line
        for line in plan.withdrawals
        if line.profile == owner and line.cluster.key == cluster and line.needs_consent
    ]
    return any(
        line.cause is not WithdrawalCause.REDUCED or line.deployed is None or _lists(line, slot) for line in lines
    )


def _lists(line: Withdrawal, slot: Slot) -> bool:
    for entry in line.deployed or ():
        if isinstance(entry, DeployedRelease):
            kind, local = RELEASE, False
        else:
            kind, local = str(entry.kind), entry.deployment_type == LOCAL
        if (kind, entry.namespace, entry.name, local) == (slot.kind, slot.namespace, slot.name, slot.local):
            return True
    return False
