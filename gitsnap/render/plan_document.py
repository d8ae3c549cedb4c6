"""A rollback's plan and report as JSON documents for scripts (docs/SCRIPTING.md).

They contain no values of objects, unless the lines that change are requested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.core.model import ObjectKey, Sample
from gitsnap.core.states import State
from gitsnap.core.text import time_text
from gitsnap.render.plan_changes import ChangeView
from gitsnap.rollback.plan import Effect, Plan, Step, Unselected, plan_hash, step_diff

if TYPE_CHECKING:
    from gitsnap.rollback import Report


def plan_document(
    plan: Plan,
    *,
    report: Report | None = None,
    message: str = "",
    state: State | None = None,
    changes: ChangeView | None = None,
) -> dict[str, object]:
    """The JSON document of a plan, with the report if the plan was applied.

    ``message``: the reason for the rollback, which its samples record. ``state``, the sample or the
    change, adds its date and its trigger. ``changes`` adds the lines that change, if all lines are requested.
    """
    document: dict[str, object] = {
        "kind": "RollbackPlan",
        "cluster": {"context": plan.cluster.context, "server": plan.cluster.server, "uid": plan.cluster.uid},
        "sample": plan.sample,
        "message": message,
        **(_taken(state) if state is not None else {}),
        "hash": plan_hash(plan),
        "steps": [
            {
                "action": str(step.action),
                "object": _object(step.key),
                "uid": step.uid,
                "resourceVersion": step.resource_version,
                "changed": list(step.changed),
                "reason": step.reason,
                "trial": None
                if step.dry_run is None
                else {"outcome": step.dry_run.outcome, "message": step.dry_run.message},
                "effects": [_effect(effect) for effect in step.effects],
                "waits": list(map(str, step.waits)),
                **(_diff(step, plan, changes) if changes is not None and changes.full else {}),
            }
            for step in plan.steps
        ],
        "withdraws": list(map(str, plan.withdrawals)),
        "uncertain": list(map(str, plan.uncertainties)),
        "conflicts": list(map(str, plan.conflicts)),
        "reaches": sorted(map(str, plan.reached)),
        "unread": sorted(map(str, plan.unread)),
        "blocked": list(plan.blocked),
        "notes": [*plan.suggestions, *plan.notes],
        "unselected": [_unselected(unselected) for unselected in plan.unselected],
        "staying": len(plan.retained),
        "stays": [{"object": _object(retained.key), "reason": retained.reason} for retained in plan.retained],
    }
    if report is not None:
        document["report"] = report_document(report)
    return document


def report_document(report: Report) -> dict[str, object]:
    """The JSON document of a report."""
    revert = report.revert_result
    return {
        "applied": [{"action": str(step.action), "object": _object(step.key)} for step in report.applied],
        "failed": None
        if report.failed is None
        else {
            "action": str(report.failed.action),
            "object": _object(report.failed.key),
            "message": report.failure,
            "unknown": report.unknown,
        },
        "notTried": [{"action": str(step.action), "object": _object(step.key)} for step in report.not_tried],
        "leftOut": [{"object": _object(step.key), "reason": step.refusal} for step in report.left_out],
        "stillPaused": [_object(key) for key in report.held],
        "takenBack": None
        if revert is None
        else {
            "objects": [_object(key) for key in revert.reverted],
            "left": [_object(key) for key in revert.kept],
            "still": [_object(key) for key in revert.not_reverted],
            "problem": revert.problem,
        },
        "arrivals": [
            {
                "profile": _object(status.profile),
                "cluster": str(status.cluster),
                "outcome": status.outcome,
                "detail": status.detail,
            }
            for status in report.rollout
        ],
        "before": report.before.tag if report.before else "",
        "after": report.after.tag if report.after else "",
        "afterProblem": report.after_problem,
    }


def _unselected(unselected: Unselected) -> dict[str, object]:
    return {
        "relation": str(unselected.relation),
        "subject": _object(unselected.subject) if unselected.subject else None,
        "clusters": list(map(str, unselected.clusters)),
        "objects": [_object(key) for key in unselected.differing],
        "notCompared": [_object(key) for key in unselected.not_compared],
        "options": list(unselected.options),
        "separate": unselected.is_separate,
        "message": str(unselected),
    }


def _taken(state: State) -> dict[str, str]:
    return {
        "sampleTime": time_text(state.time),
        "sampleTrigger": str(state.metadata.trigger) if isinstance(state, Sample) else "change",
    }


def _diff(step: Step, plan: Plan, changes: ChangeView) -> dict[str, str]:
    """The unified diff of a step; ``""`` for a step that writes no lines."""
    diff = step_diff(step, plan, decrypt=changes.decrypt)
    return {"diff": diff.text if diff is not None else ""}


def _effect(effect: Effect) -> dict[str, object]:
    clusters = [str(cluster) for cluster in effect.clusters]
    return {"does": str(effect.type), "by": _object(effect.by), "clusters": clusters}


def _object(key: ObjectKey) -> dict[str, str]:
    return {"kind": str(key.kind), "namespace": key.namespace, "name": key.name}
