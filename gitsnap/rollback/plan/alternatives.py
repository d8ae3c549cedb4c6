"""What loses matches by a plan only because it is left as it is: selected as well, it would not.

Said only where the plan with it shows it: of a profile whose cluster is relabelled, and of a cluster whose profile gets
another selector. This module must not change what a plan does.
"""

from __future__ import annotations

from collections.abc import Collection

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.consequences import Moment, Withdraw
from gitsnap.rollback.plan.steps import Plan
from gitsnap.sveltos import kinds


def losing_unselected(plan: Plan, sample: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The profiles of the sample's objects that lose a cluster for good by a plan which is not about them."""
    selected = {step.key for step in plan.steps}
    ended = {one.profile for one in _ended(plan)}
    return frozenset(key for key in ended - selected if key in sample and key.kind in kinds.PROFILE_KINDS)


def lost_on_unselected(plan: Plan, sample: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The clusters of the sample's objects on which a profile of the plan loses its match, and that it is not about."""
    selected = {step.key for step in plan.steps}
    clusters = {one.cluster.key for one in _ended(plan) if one.profile in selected}
    return frozenset(key for key in clusters - selected if key in sample)


def spared(wider: Plan, candidates: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The candidates, profiles or clusters, that certainly lose nothing in the wider plan, which is about them as well.

    A label decides about other profiles too: a cluster is none of them where another one would lose it.
    """
    unsure = {one.key for one in wider.doubts}
    losing = {key for one in wider.withdraws for key in (one.profile, one.cluster.key)}
    return frozenset(
        key
        for key in frozenset(candidates) - unsure - losing
        if not (unsure and key.kind in kinds.CLUSTER_KINDS)  # the doubt may be about a profile of this cluster
    )


def _ended(plan: Plan) -> list[Withdraw]:
    return [one for one in plan.withdraws if one.moment is Moment.END]
