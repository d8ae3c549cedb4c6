"""The request that a step sends to the API server, built from the live object at that moment.

The resource version of an object changes whenever Sveltos writes its status. The request is then built again. If
another writer changed the part of the object that the step changes, the step is a conflict.
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
    """Create an object."""

    document: JsonObject


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace a whole object. Its metadata has the live uid and resource version."""

    document: JsonObject


@dataclass(frozen=True, slots=True)
class MergePatch:
    """Change some keys of an object. The metadata of the patch has the live uid and resource version."""

    key: ObjectKey
    patch: JsonObject


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object on the condition that it still has this uid and resource version."""

    key: ObjectKey
    uid: str
    resource_version: str


Request = Create | Replace | MergePatch | Delete


def build_request(step: Step, live: JsonObject | None, *, controller_labels: Collection[str]) -> Request:
    """The request of a step that writes. ``live`` is the current object, None to create an object.

    A recreation takes two requests: the deletion of the live object, then the creation, without a live object.
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
        return Create(restore.build_creation(step.archived, api_version=step.api_version))
    normalized = normalize(live, controller_labels=controller_labels)
    target = restore.desired_object(step.archived, normalized)
    if step.key.kind in kinds.CLUSTER_KINDS:
        return MergePatch(step.key, restore.build_patch(target, live=live, normalized=normalized))
    return Replace(restore.build_update(target, live=live, normalized=normalized))


def changed_since(step: Step, fresh: JsonObject, *, controller_labels: Collection[str]) -> bool:
    """Whether another writer replaced the object since the plan, or changed the part of it that the step restores."""
    if step.live is None or terminating(fresh):
        return True
    if not same_json(fresh["metadata"].get("uid"), step.live["metadata"].get("uid")):
        return True
    return not _same_restorable_part(step.live, fresh, controller_labels)


def has_no_effect(live: JsonObject, result: JsonObject, *, controller_labels: Collection[str]) -> bool:
    """Whether a write changes nothing: ``result``, from the dry run, has the defaults that the server fills in."""
    return _same_restorable_part(live, result, controller_labels)


def _same_restorable_part(first: JsonObject, second: JsonObject, controller_labels: Collection[str]) -> bool:
    before, after = (
        restore.restorable_part(normalize(document, controller_labels=controller_labels))
        for document in (first, second)
    )
    return same_json(before, after)
