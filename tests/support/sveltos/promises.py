"""The promise that a rollback keeps: nothing leaves a managed cluster that the plan did not name.

This module must not work out what leaves; it compares what a plan says with what happened.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.model import ObjectKey
from gitsnap.plan import Plan
from tests.support.sveltos.managed import Happening, Slot


def unsaid(plan: Plan, happenings: Iterable[Happening]) -> list[str]:
    """The deletions that no ``withdraw`` line and no ``uncertain`` line of the plan named, each in words."""
    return sorted({str(one) for one in happenings if one.change == "DELETED" and not _named(plan, one)})


def _named(plan: Plan, happening: Happening) -> bool:
    owner = happening.owner
    if owner is None:
        return False
    doubted = any(doubt.key == owner for doubt in plan.doubts)
    return doubted or _withdrawn(plan, owner, happening.cluster, happening.slot)


def _withdrawn(plan: Plan, owner: ObjectKey, cluster: ObjectKey, slot: Slot) -> bool:
    """Whether a line names the whole profile on the cluster, or this very resource."""
    del slot
    return any(line.profile == owner and line.cluster.key == cluster for line in plan.withdraws)
