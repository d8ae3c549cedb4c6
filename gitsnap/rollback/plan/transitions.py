"""The changes that steps make to the objects that determine matches and content."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.match_states import StepChange
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.sveltos import restore
from gitsnap.sveltos.normalize import normalize
from gitsnap.sveltos.restore import Phase

PAUSES = frozenset({Action.HOLD, Action.RELEASE})
"""The actions that only pause a profile, or end its pause."""


def matching_steps(steps: Iterable[Step]) -> list[Step]:
    """The steps that write objects which determine matches, without the steps in PAUSES."""
    return [
        step
        for step in steps
        if step.writes and step.action not in PAUSES and restore.rule_of(step.key.kind).phase >= Phase.MATCHING
    ]


def content_steps(steps: Iterable[Step]) -> dict[ObjectKey, Step]:
    """The steps that write objects which profiles refer to, by object."""
    return {step.key: step for step in steps if step.writes and restore.rule_of(step.key.kind).phase < Phase.MATCHING}


def change_of(step: Step, controller_labels: Collection[str]) -> StepChange:
    """The object of a step that writes, before and after the step."""
    if step.action is Action.DELETE:
        return StepChange(step.key, step.live, None)
    if step.archived is None:
        raise AssertionError("a step that writes has an archived object")
    if step.live is None:
        return StepChange(step.key, None, step.archived)
    normalized = normalize(step.live, controller_labels=controller_labels)
    target = restore.desired_object(step.archived, normalized)
    return StepChange(step.key, step.live, restore.build_update(target, live=step.live, normalized=normalized))


def changes_of(steps: Iterable[Step], controller_labels: Collection[str]) -> list[StepChange]:
    """The changes of the steps that determine matches."""
    return [change_of(step, controller_labels) for step in matching_steps(steps)]
