"""Decides which live objects to delete: with ``--prune``, objects newer than the sample; in an undo, created objects.

A sample that lacks an object does not prove that the object did not exist. Most rules here therefore leave an object
alone, with a reason.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import KubeObject, changed_fields
from gitsnap.core.text import parse_time
from gitsnap.rollback.plan.cluster_effects import Retained
from gitsnap.rollback.plan.decisions import StepDecider
from gitsnap.rollback.plan.match_states import frozen
from gitsnap.rollback.plan.selection import Selection, labels_match
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.sveltos import generated, kinds, restore
from gitsnap.sveltos.normalize import normalize, terminating
from gitsnap.sveltos.pausing import is_paused

PRUNED_KINDS = kinds.USER_KINDS
"""Kinds that --prune may delete: a sample contains all their objects, and users create and delete them.

ConfigMaps and Secrets are not among them, because a sample contains them only if an object refers to them. Managed
clusters, namespaces and definitions are never deleted."""


def decide_surplus(decider: StepDecider, selection: Selection, named: Collection[ObjectKey]) -> list[Step | Retained]:
    """A decision for each live object that the selection covers and that is not in the sample.

    ``named`` are the objects that the user selected by name.
    """
    decisions: list[Step | Retained] = []
    is_excepted = selection.exception_filter(decider.sample.keys)
    for key, live in sorted(decider.live.objects.items()):
        if key in decider.sample.keys or generated.origin_of(KubeObject.of(live)) is not None:
            continue
        if key.kind in kinds.REFERENCED_KINDS:
            continue  # the plan read only some ConfigMaps and Secrets, and Sveltos does not use most of them
        if not labels_match(selection.labels, live) or is_excepted(key):
            continue
        if key in named or (key.kind in decider.live.whole and selection.covers(key)):
            reason = _retention_reason(decider, key, live, named=key in named)
            decisions.append(Retained(key, reason) if reason else _deletion(key, live))
    return decisions


def _deletion(key: ObjectKey, live: JsonObject) -> Step:
    reason = "created after the sample"
    if key.kind in kinds.PROFILE_KINDS and frozen(live):
        condition = "it is no longer paused" if is_paused(live) else "it leaves syncMode DryRun"
        reason += f"; Sveltos completes the deletion, and withdraws add-ons, only when {condition}"
    return Step(Action.DELETE, key, reason, live=live)


def _retention_reason(decider: StepDecider, key: ObjectKey, live: JsonObject, *, named: bool) -> str:
    """Why an object is not deleted, ``""`` if it is."""
    if terminating(live):
        return "it is being deleted"
    if key.kind not in PRUNED_KINDS:
        return f"a {key.kind.name} is never deleted"
    if key.kind not in decider.sample.scope:
        return f"{key.kind.name} is outside the scope of the sample"
    reason = decider.incomplete(key) or _age_reason(live, decider.sample.time) or decider.owned_by_others(live)
    if reason:
        return reason
    if key.kind in kinds.PROFILE_KINDS and not named:
        return "created after the sample; a profile is deleted only when it is named, with --prune"
    return "" if decider.options.prune else "created after the sample; --prune deletes it"


def _age_reason(live: JsonObject, sample_time: datetime | None) -> str:
    """Why an object may be as old as the sample, ``""`` if it is certainly younger."""
    created = parse_time(live["metadata"].get("creationTimestamp"))
    if created is None:
        return "its creation time is unknown"
    if sample_time is None or created <= sample_time:
        return "it is not younger than the sample, which does not contain it"
    return ""


def decide_created(decider: StepDecider) -> list[Step | Retained]:
    """A decision for each live object that the rollback created which an undo reverses."""
    return [
        _undo_creation(decider, key, decider.live.objects[key], created)
        for key, created in sorted(decider.sample.created.items())
        if key not in decider.sample.keys and key in decider.live.objects
    ]


def _undo_creation(
    decider: StepDecider, key: ObjectKey, live: JsonObject, created: JsonObject | None
) -> Step | Retained:
    """The decision for one object. ``created``: the object as the rollback wrote it, None if that is unknown."""
    if key.kind == kinds.NAMESPACE:
        return Retained(key, "the rollback created it; a namespace is never deleted")
    if terminating(live):
        return Retained(key, "it is being deleted")
    reason = decider.owned_by_others(live)
    changed: tuple[str, ...] = ()
    if not reason and created is not None:
        labels = decider.live.controller_labels
        current, written = (normalize(document, controller_labels=labels) for document in (live, created))
        changed = changed_fields(restore.desired_object(written, current), current)
        if changed:
            reason = "the rollback created it, and it has changed since; delete it by hand if you no longer need it"
    if reason:
        return Step(Action.REFUSE, key, reason, changed, live=live)
    return Step(Action.DELETE, key, "the rollback created it", live=live)
