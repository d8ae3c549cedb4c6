"""How the sync mode or a pause of a profile affects the changes between two trees."""

from __future__ import annotations

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos.modes import DRY_RUN, ONE_TIME, sync_mode
from gitsnap.sveltos.pausing import is_paused
from gitsnap.sveltos.tree_view import TreeView

PAUSE = "a pause"
"""A paused profile holds back its own changes, but not changes of the objects that it refers to."""


def blocking_mode(before: TreeView, after: TreeView, profile: ObjectKey) -> str:
    """Return the sync mode that keeps a change of a profile from being deployed, ``""`` if there is none.

    A change of the mode to OneTime deploys once more, with the configuration of that moment.
    """
    old, new = before.get(profile), after.get(profile)
    if new is not None and sync_mode(new) == DRY_RUN:
        return DRY_RUN
    once = old is not None and new is not None and sync_mode(old) == sync_mode(new) == ONE_TIME
    return ONE_TIME if once else ""


def lifted_block(before: TreeView, after: TreeView, profile: ObjectKey) -> str:
    """Return the block that kept a profile from deploying before and is lifted now, ``""`` if there is none.

    The result is ``syncMode OneTime``, ``syncMode DryRun`` or PAUSE.
    """
    old, new = before.get(profile), after.get(profile)
    if old is None or new is None or sync_mode(new) == DRY_RUN or is_paused(new):
        return ""
    if sync_mode(old) in (ONE_TIME, DRY_RUN) and sync_mode(new) != sync_mode(old):
        return f"syncMode {sync_mode(old)}"
    return PAUSE if is_paused(old) else ""
