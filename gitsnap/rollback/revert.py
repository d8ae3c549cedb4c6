"""Takes back what a failed rollback had written: every step reversed, in reverse order.

So the states on the way are those of the way there, in which no match was lost. Each reversal is written only over the
very object that the rollback left. This module must not decide whether to go back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import in_words
from gitsnap.rollback.plan import Action, Plan, Step, Wait, changed_since
from gitsnap.rollback.readiness import Settling
from gitsnap.rollback.sender import AppliedStep, Sender
from gitsnap.sveltos import kinds, pausing, restore
from gitsnap.sveltos.matching import ClusterRef, observed, sets_of
from gitsnap.sveltos.normalize import normalize, terminating


@dataclass(frozen=True, slots=True)
class RevertResult:
    """What became of going back."""

    reversed: tuple[ObjectKey, ...] = ()
    left: tuple[ObjectKey, ...] = ()
    """Namespaces that the rollback created: they are never deleted, since others may use them by now."""
    where: str = ""
    """The object at which it failed, ``""`` where it did not."""
    problem: str = ""
    still: tuple[ObjectKey, ...] = ()
    """What is as the rollback wrote it, since going back failed."""


def revert_steps(
    sender: Sender, written: Sequence[AppliedStep], in_doubt: Step | None, settling: Settling | None = None
) -> RevertResult:
    """Reverse what was written; ``in_doubt`` is a step that got no answer, so that it may have been written too."""
    done: list[ObjectKey] = []
    left: list[ObjectKey] = []
    todo = [*written]
    try:
        found = _carried_out(sender, in_doubt) if in_doubt is not None else None
        if found is not None:
            todo.append(found)
            if settling is not None:
                settling.wrote(found.step, sender.plan.controller_labels)
        while todo:
            one = todo[-1]
            step = reverse(one, controller_labels=sender.plan.controller_labels)
            if step is None:
                left.append(one.step.key)
            else:
                _settle(sender.plan, written, step, settling)
                sender.send(step)
                if settling is not None:
                    settling.wrote(step, sender.plan.controller_labels)
                done.append(one.step.key)
            todo.pop()
    except GitsnapError as error:
        last = todo[-1].step if todo and len(done) + len(left) else in_doubt or todo[-1].step
        still = tuple(one.step.key for one in reversed(todo))
        return RevertResult(tuple(done), tuple(left), in_words(last.key), error.message, still)
    return RevertResult(tuple(done), tuple(left))


def _settle(plan: Plan, written: Sequence[AppliedStep], step: Step, settling: Settling | None) -> None:
    """Wait for what a step of the way back rests on. Raises UnsettledError."""
    if settling is None:
        return
    if step.action is Action.RELEASE:
        settling.steadily(_waits(plan, written, step.key))
    settling.until_seen(step, plan.controller_labels)


def _waits(plan: Plan, written: Sequence[AppliedStep], profile: ObjectKey) -> list[Wait]:
    """What a held profile rests on once all is as before: the sets that it names, if the rollback moved them."""
    matching_objects = {ObjectKey.of(document): document for document in plan.matching_objects}
    touched = {one.step.key for one in written if one.step.action is not Action.HOLD}
    relabelled = any(key.kind in kinds.CLUSTER_KINDS for key in touched)
    clusters = frozenset(cluster for hold in plan.holds if hold.profile == profile for cluster in hold.clusters)
    waits = []
    for used in sets_of(matching_objects.get(profile, {"metadata": {}})):
        shown = observed(matching_objects[used]) & clusters if used in matching_objects else frozenset[ClusterRef]()
        if shown and (used in touched or relabelled):
            waits.append(Wait(used, shows=tuple(sorted(shown))))
    return waits


def reverse(written: AppliedStep, *, controller_labels: frozenset[str]) -> Step | None:
    """The step that takes one back; None for a namespace, which stays."""
    step, before, after = written.step, written.before, written.after
    match step.action:
        case Action.HOLD:
            return Step(Action.RELEASE, step.key, live=after)
        case Action.RELEASE:
            return Step(Action.HOLD, step.key, live=after)
        case Action.CREATE:
            return None if step.key.kind == kinds.NAMESPACE else Step(Action.DELETE, step.key, live=after)
    if before is None:
        raise AssertionError("what was updated or deleted was there before")
    archived = normalize(before, controller_labels=controller_labels)
    action = Action.CREATE if step.action is Action.DELETE else step.action
    version = str(before["apiVersion"])
    return Step(action, step.key, archived=archived, live=after, api_version=version)


def _carried_out(sender: Sender, step: Step) -> AppliedStep | None:
    """The step as written, if the server did carry it out although its answer was lost.

    Raises ConflictError for an object that is neither as it was nor as the step makes it.
    """
    step = sender.up_to_date(step)
    try:
        fresh: JsonObject | None = sender.cluster.get(step.key)
    except NotFoundError:
        fresh = None
    labels = sender.plan.controller_labels
    if fresh is None and step.live is None:
        return None
    if fresh is not None:
        if step.live is not None and not changed_since(step, fresh, controller_labels=labels):
            return None
        if not _is_made_by(step, fresh, labels):
            raise ConflictError(f"{in_words(step.key)} is neither as it was nor as the rollback would have made it")
    sender.remember(step.key, fresh)
    return AppliedStep(step, step.live, fresh)


def _is_made_by(step: Step, fresh: JsonObject, labels: frozenset[str]) -> bool:
    if step.action in {Action.HOLD, Action.RELEASE}:
        return pausing.held(fresh) is (step.action is Action.HOLD)
    if step.archived is None:
        return terminating(fresh)
    normalized = normalize(fresh, controller_labels=labels)
    return same_json(restore.wanted(step.archived, normalized), normalized)
