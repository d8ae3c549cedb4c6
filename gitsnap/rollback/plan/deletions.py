"""What a rollback deletes: with ``--prune`` what came after the sample, in an undo what the rollback had created.

Absence from a sample is not proof that an object did not exist, so most of this is reasons to leave one alone.
This module must not look at what a sample has.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject, changed_fields
from gitsnap.rollback.plan.consequences import Stay
from gitsnap.rollback.plan.decisions import Judge
from gitsnap.rollback.plan.match_states import frozen
from gitsnap.rollback.plan.selection import Selection, labels_match
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.sveltos import generated, kinds, restore
from gitsnap.sveltos.normalize import normalize, terminating
from gitsnap.sveltos.pausing import paused

PRUNED_KINDS = kinds.USER_KINDS
"""Kinds that a sample has whole, and that people make and delete. Not what is captured only because something refers to
it, not managed clusters, namespaces or definitions."""


def surplus(judge: Judge, selection: Selection, named: Collection[ObjectKey]) -> list[Step | Stay]:
    """What becomes of each live object that the selection covers, or names, and the sample does not have."""
    found: list[Step | Stay] = []
    left_alone = selection.exceptions(judge.sample.keys)
    for key, document in sorted(judge.live.objects.items()):
        if key in judge.sample.keys or generated.origin_of(KubeObject.of(document)) is not None:
            continue
        if key.kind in kinds.REFERENCED_KINDS:
            continue  # most of them are nobody's business here, and only some were read
        if not labels_match(selection.labels, document) or left_alone(key):
            continue
        if key in named or (key.kind in judge.live.whole and selection.covers(key)):
            reason = _why_not(judge, key, document, named=key in named)
            found.append(Stay(key, reason) if reason else Step(Action.DELETE, key, _younger(document), live=document))
    return found


def _younger(document: JsonObject) -> str:
    """Why an object is deleted, and what keeps it there for now."""
    if Kind.of(document) in kinds.PROFILE_KINDS and frozen(document):
        why = "it is no longer paused" if paused(document) else "it leaves syncMode DryRun"
        return f"made after the sample; the deletion ends, and add-ons are withdrawn, only when {why}"
    return "made after the sample"


def _why_not(judge: Judge, key: ObjectKey, document: JsonObject, *, named: bool) -> str:
    """Why an object is not deleted, ``""`` where it is."""
    if terminating(document):
        return "it is being deleted"
    if key.kind not in PRUNED_KINDS:
        return f"a {key.kind.name} is never deleted"
    if key.kind not in judge.sample.scope:
        return f"the sample was not to hold {key.kind.name}"
    reason = judge.incomplete(key) or _not_younger(document, judge.sample.time) or judge.foreign(document)
    if reason:
        return reason
    if key.kind in kinds.PROFILE_KINDS and not named:
        return "made after the sample; a profile is deleted only when it is named, with --prune"
    return "" if judge.options.prune else "made after the sample; --prune deletes it"


def _not_younger(document: JsonObject, time: datetime | None) -> str:
    text = str(document["metadata"].get("creationTimestamp") or "")
    try:
        created = datetime.fromisoformat(text)
    except ValueError:
        return "when it was made is not known"
    if time is None or created.tzinfo is None or created <= time:
        return "it is not younger than the sample, which did not hold it"
    return ""


def unmade(judge: Judge) -> list[Step | Stay]:
    """What becomes of each live object that the rollback had created which is now undone."""
    return [
        _unmade(judge, key, judge.live.objects[key], made)
        for key, made in sorted(judge.sample.made.items())
        if key not in judge.sample.keys and key in judge.live.objects
    ]


def _unmade(judge: Judge, key: ObjectKey, live: JsonObject, made: JsonObject | None) -> Step | Stay:
    if key.kind == kinds.NAMESPACE:
        return Stay(key, "the rollback created it; a namespace is never deleted")
    if terminating(live):
        return Stay(key, "it is being deleted")
    reason = judge.foreign(live)
    changed: tuple[str, ...] = ()
    if not reason and made is not None:
        owned = judge.live.controller_labels
        now = normalize(live, controller_labels=owned)
        changed = changed_fields(restore.wanted(normalize(made, controller_labels=owned), now), now)
        reason = "the rollback created it, and it was changed since: delete it yourself if it is to go"
        reason = reason if changed else ""
    if reason:
        return Step(Action.REFUSE, key, reason, changed, live=live)
    return Step(Action.DELETE, key, "the rollback created it", live=live)
