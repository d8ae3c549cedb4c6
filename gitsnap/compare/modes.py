"""What the mode of a profile on two sides means for the changes between them.

This module must not look at inventories.
"""

from __future__ import annotations

from gitsnap.compare.sides import Side
from gitsnap.model import ObjectKey
from gitsnap.sveltos.modes import DRY_RUN, ONE_TIME, sync_mode


def standing_mode(before: Side, after: Side, profile: ObjectKey) -> str:
    """The mode that keeps a change from being deployed, ``""`` where there is none.

    A change *to* OneTime deploys once, with the configuration of that moment.
    """
    old, new = before.get(profile), after.get(profile)
    if new is not None and sync_mode(new) == DRY_RUN:
        return DRY_RUN
    once = old is not None and new is not None and sync_mode(old) == sync_mode(new) == ONE_TIME
    return ONE_TIME if once else ""


def left_mode(before: Side, after: Side, profile: ObjectKey) -> str:
    """The mode in which a profile held changes back before it began to deploy again, ``""`` where it did not."""
    old, new = before.get(profile), after.get(profile)
    if old is None or new is None or sync_mode(old) not in (ONE_TIME, DRY_RUN):
        return ""
    return sync_mode(old) if sync_mode(new) not in (sync_mode(old), DRY_RUN) else ""
