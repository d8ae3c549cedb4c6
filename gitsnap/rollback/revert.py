"""Reverts a failed rollback: reverses every written step, in reverse order.

The states in between are those of the rollback, in which no match was lost. A step is reversed only if the object is
still exactly as the rollback left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import describe
from gitsnap.rollback.plan import Action, Plan, Step, Wait, changed_since
from gitsnap.rollback.readiness import ReadinessWaiter
from gitsnap.rollback.sender import AppliedStep, Sender
from gitsnap.sveltos import kinds, pausing, restore
from gitsnap.sveltos.matching import ClusterRef, observed_clusters, sets_of
from gitsnap.sveltos.normalize import normalize, terminating


@dataclass(frozen=True, slots=True)
class RevertResult:
    """What a revert did."""

    reverted: tuple[ObjectKey, ...] = ()
    kept: tuple[ObjectKey, ...] = ()
    """Namespaces that the rollback created. They are not deleted, because others may use them by now."""
    failed_at: str = ""
    """The object at which the revert failed, for messages; ``""`` if it succeeded."""
    problem: str = ""
    """Why the revert failed."""
    not_reverted: tuple[ObjectKey, ...] = ()
    """Objects that are still as the rollback wrote them, because the revert failed."""


def revert_steps(
    sender: Sender, applied: Sequence[AppliedStep], in_doubt: Step | None, waiter: ReadinessWaiter | None = None
) -> RevertResult:
    """Reverse the applied steps. ``in_doubt`` is a step without a response, which may have been written as well."""
    reverted: list[ObjectKey] = []
    kept: list[ObjectKey] = []
    remaining = [*applied]
    try:
        written = _find_written(sender, in_doubt) if in_doubt is not None else None
        if written is not None:
            remaining.append(written)
            if waiter is not None:
                waiter.record_write(written.step, sender.plan.controller_labels)
        while remaining:
            key = remaining[-1].step.key
            step = reverse(remaining[-1], controller_labels=sender.plan.controller_labels)
            if step is None:
                kept.append(key)
            else:
                _settle(sender.plan, applied, step, waiter)
                sender.send(step)
                if waiter is not None:
                    waiter.record_write(step, sender.plan.controller_labels)
                reverted.append(key)
            remaining.pop()
    except GitsnapError as error:
        begun = bool(reverted or kept)
        failed = remaining[-1].step if remaining and begun else in_doubt or remaining[-1].step
        not_reverted = tuple(entry.step.key for entry in reversed(remaining))
        return RevertResult(tuple(reverted), tuple(kept), describe(failed.key), error.message, not_reverted)
    return RevertResult(tuple(reverted), tuple(kept))


def _settle(plan: Plan, applied: Sequence[AppliedStep], step: Step, waiter: ReadinessWaiter | None) -> None:
    """Wait until Sveltos reports what a reversing step depends on. Raises NotReconciledError."""
    if waiter is None:
        return
    if step.action is Action.RELEASE:
        waiter.wait_until_stable(_waits(plan, applied, step.key))
    waiter.wait_for_caches(step, plan.controller_labels)


def _waits(plan: Plan, applied: Sequence[AppliedStep], profile: ObjectKey) -> list[Wait]:
    """The waits before a held profile is released: for the sets of the profile that the rollback affected."""
    documents = {ObjectKey.of(document): document for document in plan.matching_objects}
    written = {entry.step.key for entry in applied if entry.step.action is not Action.HOLD}
    relabelled = any(key.kind in kinds.CLUSTER_KINDS for key in written)
    clusters = frozenset(cluster for hold in plan.holds if hold.profile == profile for cluster in hold.clusters)
    waits = []
    for set_key in sets_of(documents.get(profile, {"metadata": {}})):
        shown = observed_clusters(documents[set_key]) & clusters if set_key in documents else frozenset[ClusterRef]()
        if shown and (set_key in written or relabelled):
            waits.append(Wait(set_key, shows=tuple(sorted(shown))))
    return waits


def reverse(applied: AppliedStep, *, controller_labels: frozenset[str]) -> Step | None:
    """The step that reverses an applied step; None for a created namespace, which is kept."""
    step, before, after = applied.step, applied.before, applied.after
    match step.action:
        case Action.HOLD:
            return Step(Action.RELEASE, step.key, live=after)
        case Action.RELEASE:
            return Step(Action.HOLD, step.key, live=after)
        case Action.CREATE:
            return None if step.key.kind == kinds.NAMESPACE else Step(Action.DELETE, step.key, live=after)
    if before is None:
        raise AssertionError("an object that was updated or deleted existed before")
    archived = normalize(before, controller_labels=controller_labels)
    action = Action.CREATE if step.action is Action.DELETE else step.action
    version = str(before["apiVersion"])
    return Step(action, step.key, archived=archived, live=after, api_version=version)


def _find_written(sender: Sender, step: Step) -> AppliedStep | None:
    """A step without a response, if the server wrote it; None if the object is unchanged.

    Raises ConflictError if the object is neither unchanged nor as the step makes it.
    """
    step = sender.up_to_date(step)
    try:
        live: JsonObject | None = sender.cluster.get(step.key)
    except NotFoundError:
        live = None
    labels = sender.plan.controller_labels
    if live is None and step.live is None:
        return None
    if live is not None:
        if step.live is not None and not changed_since(step, live, controller_labels=labels):
            return None
        if not _is_result_of(step, live, labels):
            raise ConflictError(
                f"{describe(step.key)} is neither as it was before the rollback nor as the rollback writes it"
            )
    sender.remember(step.key, live)
    return AppliedStep(step, step.live, live)


def _is_result_of(step: Step, live: JsonObject, labels: frozenset[str]) -> bool:
    if step.action in {Action.HOLD, Action.RELEASE}:
        return pausing.is_held(live) is (step.action is Action.HOLD)
    if step.archived is None:
        return terminating(live)
    normalized = normalize(live, controller_labels=labels)
    return same_json(restore.desired_object(step.archived, normalized), normalized)
