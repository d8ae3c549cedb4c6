"""Tries a plan on the server before anything is changed: admission, schema, immutability and RBAC speak first.

All problems are collected, not only the first. This module must not change anything in a cluster.
"""

from __future__ import annotations

from dataclasses import replace

from gitsnap.core.errors import AccessDeniedError, ConflictError, GitsnapError, NotFoundError, RejectedError
from gitsnap.core.model import ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.rollback.plan import Action, Outcome, Plan, Step, Trial, arranged, has_no_effect, in_words
from gitsnap.rollback.planner import say_what_goes
from gitsnap.rollback.sender import Sender

_NO_DRY_RUN = "does not support dry run"
"""In the answer of an API server about an admission webhook with side effects."""

_BROKEN_WEBHOOK = "failed calling webhook"
"""In the answer, of class 5xx, about an admission webhook that does not answer: the server itself is well."""


def try_on_server(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with the server's opinion of each step that writes.

    An update that would change nothing, because the server fills in what differs, becomes ``unchanged``.
    Raises ClusterUnreachableError when the server does not answer.
    """
    hopeless: set[ObjectKey] = set()
    while any(step.writes and step.trial is None for step in plan.steps):
        before = [(step.action, step.key) for step in plan.writes]
        steps: list[Step] = []
        for step in plan.steps:
            tried = _tried(cluster, plan, step, hopeless) if step.writes and step.trial is None else step
            if tried.failed:
                hopeless.add(step.key)
            steps.append(tried)
        plan = replace(plan, steps=tuple(steps), holdable=plan.holdable - _unholdable(steps))
        if [(step.action, step.key) for step in plan.writes] != before:
            # Without the steps that fell out, others may lose matches, or need to be held: those are tried next.
            plan = say_what_goes(cluster, arranged(plan))
    return plan


def _unholdable(steps: list[Step]) -> frozenset[ObjectKey]:
    return frozenset(step.key for step in steps if step.action is Action.HOLD and step.failed)


def _tried(cluster: Cluster, plan: Plan, step: Step, hopeless: set[ObjectKey]) -> Step:
    if step.action is Action.RELEASE:
        return replace(step, trial=Trial(Outcome.NOT_TRIED, "it takes back an earlier step"))
    if step.needs:
        needed = ", ".join(in_words(key) for key in step.needs)
        if not hopeless.isdisjoint(step.needs):
            return replace(step, trial=Trial(Outcome.FAILED, f"it needs {needed}, which cannot be created"))
        return replace(step, trial=Trial(Outcome.NOT_TRIED, f"an earlier step creates {needed}"))
    try:
        live, result = Sender(cluster, plan).request(step, dry_run=True)
    except GitsnapError as error:
        return replace(step, trial=_refusal(error))
    if step.action is Action.RECREATE:
        return replace(step, trial=Trial(Outcome.NOT_TRIED, "the old object is in the way; its deletion was tried"))
    same = live is not None and result is not None and step.action is Action.UPDATE
    if same and has_no_effect(live or {}, result or {}, controller_labels=plan.controller_labels):
        reason = "only defaults that the server fills in differ"
        return replace(step, action=Action.UNCHANGED, reason=reason, changed=())
    return replace(step, trial=Trial(Outcome.OK))


def _refusal(error: GitsnapError) -> Trial:
    """What the server's answer says of a step. Raises the error itself where it says nothing of that."""
    if isinstance(error, RejectedError) and _NO_DRY_RUN in error.message:
        return Trial(Outcome.NOT_TRIED, "an admission webhook does not support dry run")
    about_the_step = isinstance(error, RejectedError | AccessDeniedError | NotFoundError | ConflictError)
    if about_the_step or _BROKEN_WEBHOOK in error.message:
        return Trial(Outcome.FAILED, error.message)
    raise error
