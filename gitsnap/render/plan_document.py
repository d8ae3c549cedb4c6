"""A rollback's plan and report as documents for scripts (docs/SCRIPTING.md); they hold no values.

This module must not decide anything about a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan import Effect, Plan, plan_hash

if TYPE_CHECKING:
    from gitsnap.rollback import Report


def plan_document(plan: Plan, *, report: Report | None = None) -> dict[str, object]:
    """The plan in JSON (docs/SCRIPTING.md), with the report once it was carried out; it holds no values."""
    document: dict[str, object] = {
        "kind": "RollbackPlan",
        "cluster": {"context": plan.cluster.context, "server": plan.cluster.server, "uid": plan.cluster.uid},
        "sample": plan.sample,
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
                "effects": [_effect(one) for one in step.effects],
                "waits": [str(one) for one in step.waits],
            }
            for step in plan.steps
        ],
        "withdraws": [str(one) for one in plan.withdrawals],
        "uncertain": [str(one) for one in plan.uncertainties],
        "conflicts": [str(one) for one in plan.conflicts],
        "reaches": sorted(str(cluster) for cluster in plan.reached),
        "unread": sorted(str(kind) for kind in plan.unread),
        "blocked": list(plan.blocked),
        "notes": [*plan.suggestions, *plan.notes],
        "staying": len(plan.stays),
        "stays": [{"object": _object(one.key), "reason": one.reason} for one in plan.stays],
    }
    if report is not None:
        document["report"] = report_document(report)
    return document


def report_document(report: Report) -> dict[str, object]:
    """What a rollback did, in JSON."""
    back = report.revert_result
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
        if back is None
        else {
            "objects": [_object(key) for key in back.reversed],
            "left": [_object(key) for key in back.left],
            "still": [_object(key) for key in back.still],
            "problem": back.problem,
        },
        "arrivals": [
            {"profile": _object(one.profile), "cluster": str(one.cluster), "outcome": one.outcome, "detail": one.detail}
            for one in report.arrivals
        ],
        "before": report.before.tag if report.before else "",
        "after": report.after.tag if report.after else "",
        "afterProblem": report.after_problem,
    }


def _effect(effect: Effect) -> dict[str, object]:
    clusters = [str(cluster) for cluster in effect.clusters]
    return {"does": str(effect.type), "by": _object(effect.by), "clusters": clusters}


def _object(key: ObjectKey) -> dict[str, str]:
    return {"kind": str(key.kind), "namespace": key.namespace, "name": key.name}
