"""What one step sends to the server, for the object as it is at that moment.

An object moves all the time without anybody's doing: Sveltos writes status, and with it the resource version. Such a
step is built anew; a step whose part of the object moved is a conflict. This module must not talk to a server.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.sveltos import kinds, pausing, restore
from gitsnap.sveltos.normalize import normalize, terminating


@dataclass(frozen=True, slots=True)
class Create:
    """A new object."""

    document: JsonObject


@dataclass(frozen=True, slots=True)
class Replace:
    """A whole object, with the live uid and resource version in its metadata."""

    document: JsonObject


@dataclass(frozen=True, slots=True)
class MergePatch:
    """The keys to change, with the live uid and resource version in its metadata."""

    key: ObjectKey
    patch: JsonObject


@dataclass(frozen=True, slots=True)
class Delete:
    """An object that goes, if it still is the one with this uid and resource version."""

    key: ObjectKey
    uid: str
    resource_version: str


Request = Create | Replace | MergePatch | Delete


def request_of(step: Step, live: JsonObject | None, *, controller_labels: Collection[str]) -> Request:
    """What to send for a step that writes; ``live`` is the object as it is now, None for one to create.

    A recreation is asked for twice: its deletion with the live object, its creation without.
    """
    if live is not None and step.action in {Action.DELETE, Action.RECREATE}:
        metadata = live["metadata"]
        return Delete(step.key, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
    if live is not None and step.action is Action.HOLD:
        return MergePatch(step.key, pausing.hold_patch(live))
    if live is not None and step.action is Action.RELEASE:
        return MergePatch(step.key, pausing.release_patch(live))
    if step.archived is None:
        raise AssertionError("a step that writes has an archived object")
    if live is None:
        return Create(restore.creation(step.archived, api_version=step.api_version))
    normalized = normalize(live, controller_labels=controller_labels)
    target = restore.wanted(step.archived, normalized)
    if step.key.kind in kinds.CLUSTER_KINDS:
        return MergePatch(step.key, restore.patch(target, live=live, normalized=normalized))
    return Replace(restore.update(target, live=live, normalized=normalized))


def moved(step: Step, fresh: JsonObject, *, controller_labels: Collection[str]) -> bool:
    """Whether what a step changes was changed by somebody else since the plan, or the object was made anew."""
    if step.live is None or terminating(fresh):
        return True
    if not same_json(fresh["metadata"].get("uid"), step.live["metadata"].get("uid")):
        return True
    before, after = (
        restore.concerned(normalize(document, controller_labels=controller_labels)) for document in (step.live, fresh)
    )
    return not same_json(before, after)


def has_no_effect(live: JsonObject, result: JsonObject, *, controller_labels: Collection[str]) -> bool:
    """Whether the server's answer to a dry run is the live object, because it fills in defaults that were left out."""
    before, after = (
        restore.concerned(normalize(document, controller_labels=controller_labels)) for document in (live, result)
    )
    return same_json(before, after)
