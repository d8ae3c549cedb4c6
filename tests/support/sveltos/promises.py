"""The promise of a rollback: every deletion in a managed cluster is named in the plan.

This module must not predict deletions. It compares a plan with the log of the managed clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan import EffectType, Plan, Withdrawal, WithdrawalCause
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease
from tests.support.sveltos.managed import RELEASE, Happening, ManagedClusters, Slot


def unannounced(plan: Plan, happenings: Iterable[Happening]) -> list[str]:
    """The deletions that no ``withdraw`` line and no ``uncertain`` line of the plan names, as text."""
    return sorted(
        {str(happening) for happening in happenings if happening.change == "DELETED" and not _named(plan, happening)}
    )


GAPS = """
LeavePolicies or DryRun left resources of a profile on a cluster, and the profile matches that cluster again. Sveltos
deletes the resources that the new configuration lacks, and no ClusterConfiguration lists them.
"""


def gaps(plan: Plan) -> set[tuple[ObjectKey | None, ObjectKey]]:
    """The profiles and clusters of the GAPS, according to the plan."""
    return {
        (effect.by, cluster.key)
        for step in plan.writes
        for effect in step.effects
        if effect.type is EffectType.DEPLOYS
        for cluster in effect.clusters
    }


def losses(happenings: Sequence[Happening], since: int) -> list[Happening]:
    """The first deletion of each resource that exists at a position in the log. Later additions do not count."""
    present: set[tuple[ObjectKey, Slot]] = set()
    for happening in happenings[:since]:
        if happening.change == "DELETED":
            present.discard((happening.cluster, happening.slot))
        else:
            present.add((happening.cluster, happening.slot))
    found = []
    for happening in happenings[since:]:
        if happening.change == "DELETED" and (happening.cluster, happening.slot) in present:
            present.discard((happening.cluster, happening.slot))
            found.append(happening)
    return found


def unkept(plan: Plan, managed: ManagedClusters) -> list[str]:
    """The resources that a line names and that still run after everything has settled."""
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
    """Whether a line that needs consent names the whole profile on the cluster, or the resource."""
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
