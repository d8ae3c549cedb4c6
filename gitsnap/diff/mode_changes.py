"""What the mode of a profile on two sides means for the changes between them.

This module must not look at inventories.
"""

from __future__ import annotations

from gitsnap.core.model import ObjectKey
from gitsnap.diff.sides import Side
from gitsnap.sveltos.modes import DRY_RUN, ONE_TIME, sync_mode
from gitsnap.sveltos.pausing import paused


def standing_mode(before: Side, after: Side, profile: ObjectKey) -> str:
    """The mode that keeps a change from being deployed, ``""`` where there is none.

    A change *to* OneTime deploys once, with the configuration of that moment.
    """
    old, new = before.get(profile), after.get(profile)
    if new is not None and sync_mode(new) == DRY_RUN:
        return DRY_RUN
    once = old is not None and new is not None and sync_mode(old) == sync_mode(new) == ONE_TIME
    return ONE_TIME if once else ""


PAUSE = "a pause"
"""What held back changes of a profile, but none of the content that it refers to."""


def held_back_by(before: Side, after: Side, profile: ObjectKey) -> str:
    """What held changes back before a profile began to deploy again, ``""`` where nothing did."""
    old, new = before.get(profile), after.get(profile)
    if old is None or new is None or sync_mode(new) == DRY_RUN or paused(new):
        return ""
    if sync_mode(old) in (ONE_TIME, DRY_RUN) and sync_mode(new) != sync_mode(old):
        return f"syncMode {sync_mode(old)}"
    return PAUSE if paused(old) else ""
