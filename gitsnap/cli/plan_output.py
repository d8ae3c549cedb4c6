"""A rollback's plan and report as text and JSON.

This module must not decide anything about a plan.
"""

from __future__ import annotations

from gitsnap.plan import Action, Plan, Step
from gitsnap.render import render_table, visible
from gitsnap.rollback import Report

_MOST_FIELDS = 4


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
        header = ["#", "action", "object", "changes", "server dry run"]
        lines.append(render_table(header, rows, columns=columns).rstrip("\n"))
    lines += [f"withdraw: {visible(str(one))}" for one in plan.withdraws]
    lines += [f"uncertain: {visible(str(one))}" for one in plan.doubts]
    lines += [f"note: {visible(one)}" for one in plan.notes]
    lines += [f"incomplete in the sample, left alone: {one.kind} ({one.substitute})" for one in plan.incomplete]
    counts = [f"{plan.counts.get(action, 0)} {action}" for action in Action]
    lines.append(f"plan: {', '.join(counts)}; {plan.stay} not in the sample and left alone")
    return "\n".join(lines) + "\n"


def _cells(step: Step) -> list[str]:
    changed = list(step.changed)
    fields = ", ".join(changed[:_MOST_FIELDS])
    if len(changed) > _MOST_FIELDS:
        fields += f" and {len(changed) - _MOST_FIELDS} more"
    text = "; ".join(part for part in (fields, step.reason) if part)
    return [str(step.action), str(step.key), text, str(step.trial) if step.trial else "-"]


def report_text(report: Report) -> str:
    """What was and what was not applied."""
    lines = [f"{step.action}d {step.key}" for step in report.applied]
    if report.failed is not None:
        lines.append(f"FAILED {report.failed.key}: {visible(report.failure)}")
    lines += [f"not tried: {step.key}" for step in report.not_tried]
    lines += [f"left out: {step.key}: {visible(step.reason)}" for step in report.left_out]
    if report.before is not None:
        lines.append(f"before: {report.before.tag}")
    if report.after is not None:
        lines.append(f"after:  {report.after.tag}")
    if report.after_problem:
        lines.append(f"warning: no sample was taken afterwards: {visible(report.after_problem)}")
    done = f"{len(report.applied)} applied"
    if report.failed is not None:
        done += f", 1 failed, {len(report.not_tried)} not tried"
    if report.left_out:
        done += f", {len(report.left_out)} left out"
    lines.append(f"rollback: {done}")
    return "\n".join(lines) + "\n"


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan in JSON (docs/SCRIPTING.md); it holds no values."""
    return {
        "kind": "RollbackPlan",
        "cluster": {"context": plan.cluster.context, "server": plan.cluster.server, "uid": plan.cluster.uid},
        "sample": plan.sample,
        "steps": [
            {
                "action": str(step.action),
                "object": {"kind": str(step.key.kind), "namespace": step.key.namespace, "name": step.key.name},
                "changed": list(step.changed),
                "reason": step.reason,
                "trial": None if step.trial is None else {"outcome": step.trial.outcome, "message": step.trial.message},
            }
            for step in plan.steps
        ],
        "withdraws": [str(one) for one in plan.withdraws],
        "uncertain": [str(one) for one in plan.doubts],
        "blocked": list(plan.blocked),
        "staying": plan.stay,
    }
