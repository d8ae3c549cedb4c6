"""Which profiles lose clusters by a plan only because they are left as they are: selected as well, they would not.

Said only where the plan with them in it shows it. This module must not change what a plan does.
"""

from __future__ import annotations

from collections.abc import Collection

from gitsnap.model import ObjectKey
from gitsnap.plan.consequences import Moment
from gitsnap.plan.values import Plan
from gitsnap.sveltos import kinds


def losing_unselected(plan: Plan, sample: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The profiles of the sample's objects that lose a cluster for good by a plan which is not about them."""
    selected = {step.key for step in plan.steps}
    ended = {one.profile for one in plan.withdraws if one.moment is Moment.END}
    return frozenset(key for key in ended - selected if key in sample and key.kind in kinds.PROFILE_KINDS)


def spared(wider: Plan, candidates: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The candidates that certainly lose nothing in the wider plan, in which they are selected as well.

    A profile decides about no other one's clusters: so that plan takes nothing more from others.
    """
    unsure = {one.key for one in wider.doubts}
    return frozenset(candidates) - unsure - {one.profile for one in wider.withdraws}
