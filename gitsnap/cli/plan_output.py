"""A rollback's plan and report as text and JSON.

This module must not decide anything about a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.model import ObjectKey
from gitsnap.plan import Action, Moment, Plan, Step, in_words, plan_hash
from gitsnap.render import render_table, visible
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.rollback import Report

_MOST_FIELDS = 4
_MOST_STAYING = 10
_ALWAYS = frozenset({Action.CREATE, Action.UPDATE, Action.UNCHANGED, Action.REFUSE})
"""What the last line counts even if there is none."""

_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.RECREATE: "deleted and created anew",
    Action.DELETE: "deleted",
    Action.HOLD: "paused",
    Action.RELEASE: "no longer paused",
}


def plan_text(plan: Plan, *, columns: int) -> str:
    """Which cluster, which sample; the steps in order; what would be withdrawn; the counts."""
    lines = [
        f"cluster: {plan.cluster.server} (context {plan.cluster.context}, id {plan.cluster.uid})",
        f"sample:  {plan.sample}",
        "",
    ]
    shown = [step for step in plan.steps if step.action is not Action.UNCHANGED]
    if shown:
        rows = [[str(number), *_cells(step)] for number, step in enumerate(shown, start=1)]
        header = ["#", "action", "object", "changes", "tried"]
        lines.append(render_table(header, rows, columns=columns).rstrip("\n"))
    lines += [f"withdraw: {visible(str(one))}" for one in plan.withdraws]
    if any(one.moment is not Moment.END and one.profile.kind in kinds.PROFILE_KINDS for one in plan.withdraws):
        lines.append(
            "note: a profile that is selected as well is paused meanwhile, and loses nothing between two steps"
        )
    lines += [f"uncertain: {visible(str(one))}" for one in plan.doubts]
    lines += [f"note: {visible(one)}" for one in plan.notes]
    lines += [f"incomplete in the sample, left alone: {one.kind} ({one.substitute})" for one in plan.incomplete]
    lines += _staying(plan)
    counts = [f"{plan.counts[action]} {action}" for action in Action if plan.counts[action] or action in _ALWAYS]
    lines.append(f"plan: {', '.join(counts)}; {len(plan.stays)} not in the sample and left alone")
    return "\n".join(lines) + "\n"


def _staying(plan: Plan) -> list[str]:
    """What is not in the sample and stays, with the reason."""
    lines = [f"stays: {_name(one.key)}: {visible(one.reason)}" for one in plan.stays[:_MOST_STAYING]]
    more = len(plan.stays) - _MOST_STAYING
    return [*lines, f"stays: and {more} more"] if more > 0 else lines


def _cells(step: Step) -> list[str]:
    changed = list(step.changed)
    fields = ", ".join(changed[:_MOST_FIELDS])
    if len(changed) > _MOST_FIELDS:
        fields += f" and {len(changed) - _MOST_FIELDS} more"
    trial = step.trial
    text = "; ".join(part for part in (fields, step.reason, trial.message if trial else "") if part)
    return [str(step.action), _name(step.key), text, str(trial.outcome) if trial else "-"]


def _name(key: ObjectKey) -> str:
    """As people say it; with its group for a kind that gitsnap does not know, and another group may have too."""
    return in_words(key) if key.kind in kinds.BY_KIND or not key.kind.group else str(key)


def report_text(report: Report) -> str:
    """What was and what was not applied."""
    lines = [f"{_DONE[step.action]} {_name(step.key)}" for step in report.applied]
    if report.failed is not None:
        lines.append(f"FAILED {_name(report.failed.key)}: {visible(report.failure)}")
    lines += [f"not tried: {step.action} {_name(step.key)}" for step in report.not_tried]
    lines += [f"left out: {_name(step.key)}: {visible(step.why_not)}" for step in report.left_out]
    lines += [f"still paused: {_name(key)}" for key in report.held]
    if report.gone_back is not None:
        lines += [f"taken back: {_name(key)}" for key in report.gone_back.reversed]
        lines += [f"left there: {_name(key)}" for key in report.gone_back.left]
        lines += [f"NOT taken back: {_name(key)}" for key in report.gone_back.still]
    if report.before is not None:
        lines.append(f"before: {report.before.tag}")
    if report.after is not None:
        lines.append(f"after:  {report.after.tag}")
    if report.after_problem:
        lines.append(f"warning: the sample after it is missing: {visible(report.after_problem)}")
    done = f"{len(report.applied)} applied"
    if report.failed is not None:
        done += f", 1 failed, {len(report.not_tried)} not tried"
    if report.gone_back is not None:
        done += f", {len(report.gone_back.reversed)} taken back"
    if report.left_out:
        done += f", {len(report.left_out)} left out"
    lines.append(f"rollback: {done}")
    return "\n".join(lines) + "\n"


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
                "trial": None if step.trial is None else {"outcome": step.trial.outcome, "message": step.trial.message},
            }
            for step in plan.steps
        ],
        "withdraws": [str(one) for one in plan.withdraws],
        "uncertain": [str(one) for one in plan.doubts],
        "blocked": list(plan.blocked),
        "notes": list(plan.notes),
        "staying": len(plan.stays),
        "stays": [{"object": _object(one.key), "reason": one.reason} for one in plan.stays],
    }
    if report is not None:
        document["report"] = report_document(report)
    return document


def report_document(report: Report) -> dict[str, object]:
    """What a rollback did, in JSON."""
    back = report.gone_back
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
        "leftOut": [{"object": _object(step.key), "reason": step.why_not} for step in report.left_out],
        "stillPaused": [_object(key) for key in report.held],
        "takenBack": None
        if back is None
        else {
            "objects": [_object(key) for key in back.reversed],
            "left": [_object(key) for key in back.left],
            "still": [_object(key) for key in back.still],
            "problem": back.problem,
        },
        "before": report.before.tag if report.before else "",
        "after": report.after.tag if report.after else "",
        "afterProblem": report.after_problem,
    }


def _object(key: ObjectKey) -> dict[str, str]:
    return {"kind": str(key.kind), "namespace": key.namespace, "name": key.name}
