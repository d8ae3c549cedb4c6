"""A rollback's plan and report as text that needs no explanation at 3 a.m. on 80 columns.

One step is one short paragraph; what forbids the plan, and the counts, come last, where the eye is.
This module must not decide anything about a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gitsnap.core.model import ObjectKey
from gitsnap.render import shortened, wrapped
from gitsnap.rollback.plan import (
    EFFECTS,
    Action,
    Effect,
    Outcome,
    Plan,
    Step,
    WithdrawalCause,
    conflict_lines,
    counted,
    in_words,
    withdrawal_lines,
)
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.rollback import Report

_MOST_FIELDS = 4
_MOST_NAMES = 3
_MOST_STAYING = 10
_INDENT = " " * 14

_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.RECREATE: "deleted and created anew",
    Action.DELETE: "deleted",
    Action.HOLD: "paused",
    Action.RELEASE: "no longer paused",
}

# The plan -------------------------------------------------------------------------------------------------------------


def plan_text(plan: Plan, *, columns: int) -> str:
    """Which cluster, which sample; the steps in order, what cannot be done, what would be withdrawn; the counts.

    ``columns`` is the width of the terminal, 0 for lines as long as they are.
    """
    steps = [step for step in plan.steps if step.writes]
    lines = [
        f"cluster: {plan.cluster.server} (context {plan.cluster.context}, id {plan.cluster.uid})",
        f"sample:  {plan.sample}",
        "",
    ]
    lines += [] if steps else ["nothing to write"]
    for number, step in enumerate(steps, start=1):
        lines.append(f"{number:>4} {step.action:<8} {_name(step.key)}")
        lines += [_INDENT + text for text in _about(step)]
    lines += _refused(plan)
    lines += _beyond_steps(plan)
    lines += ["", *_totals(plan)]
    return "\n".join(wrapped(line, columns) for line in lines) + "\n"


def _beyond_steps(plan: Plan) -> list[str]:
    """What is withdrawn, what cannot be told, and what is left alone."""
    withdraws = withdrawal_lines(plan.withdrawals)
    lines = [f"withdraw: {one}" for one in withdraws]
    if len(withdraws) < len(plan.withdrawals):
        lines.append("note: --output json names every cluster of these")
    if any(
        one.cause in (WithdrawalCause.INTERRUPTED, WithdrawalCause.TRANSIENT)
        and one.profile.kind in kinds.PROFILE_KINDS
        for one in plan.withdrawals
    ):
        lines.append(
            "note: a profile that is selected as well is paused meanwhile, and loses nothing between two steps"
        )
    lines += [f"note: {one}" for one in plan.suggestions]
    lines += [f"uncertain: {one}" for one in plan.uncertainties]
    lines += [f"conflict: {one}" for one in conflict_lines(plan.conflicts)]
    lines += [f"note: {shortened(one)}" for one in plan.notes]
    lines += [f"incomplete in the sample, left alone: {one} ({one.substitute})" for one in plan.incomplete]
    lines += _staying(plan)
    return ["", *lines] if lines else []


def _about(step: Step) -> Iterable[str]:
    """What there is to know of a step, a line each."""
    if step.changed:
        more = len(step.changed) - _MOST_FIELDS
        yield ", ".join(step.changed[:_MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")
    if step.reason:
        yield step.reason
    yield from (f"waits {wait}" for wait in step.waits)
    yield from _reach(step)
    if step.dry_run is not None and step.dry_run.outcome is Outcome.NOT_TRIED:
        yield f"not tried on the server: {step.dry_run.message}"


def _reach(step: Step) -> Iterable[str]:
    """What Sveltos does after a step, alike things in one line."""
    for effect_type in EFFECTS:
        alike = [one for one in step.effects if one.type is effect_type]
        if alike:
            yield EFFECTS[effect_type].sentence.format(where=_where(step, alike), who=_who(step, alike))


def _where(step: Step, effects: Sequence[Effect]) -> str:
    clusters = sorted({cluster for one in effects for cluster in one.clusters})
    if [cluster.key for cluster in clusters] == [step.key]:
        return "there"
    return f"on {clusters[0]}" if len(clusters) == 1 else f"on {len(clusters)} clusters"


def _who(step: Step, effects: Sequence[Effect]) -> str:
    """``by ClusterProfile base, guestbook and 2 more``; nothing for a profile's own step."""
    others = sorted({one.by for one in effects} - {step.key})
    if not others:
        return ""
    names = [_name(others[0])]
    for before, key in pairwise(others[:_MOST_NAMES]):
        names.append(_name(key).partition(" ")[2] if before.kind == key.kind else _name(key))
    more = len(others) - len(names)
    return f" by {', '.join(names)}{f' and {more} more' if more else ''}"


def _refused(plan: Plan) -> list[str]:
    """What differs and cannot be rolled back, with the reason; it holds up the rest, so it stands out."""
    if not plan.refused:
        return []
    lines = ["", "CANNOT BE ROLLED BACK"]
    for step in plan.refused:
        how = "" if step.action is Action.REFUSE else f" ({step.action}, refused by the server)"
        lines += [f"     {_name(step.key)}{how}", f"{_INDENT}{_flat(step.refusal)}"]
    return lines


def _staying(plan: Plan) -> list[str]:
    """What is not in the sample and stays, with the reason."""
    lines = [f"stays: {_name(one.key)}: {one.reason}" for one in plan.stays[:_MOST_STAYING]]
    more = len(plan.stays) - _MOST_STAYING
    return [*lines, f"stays: and {more} more"] if more > 0 else lines


def _totals(plan: Plan) -> list[str]:
    lines = []
    trials = [step.dry_run.outcome for step in plan.steps if step.dry_run is not None]
    if trials:
        counts = [f"{trials.count(outcome)} {outcome}" for outcome in Outcome if outcome in trials]
        lines.append(f"tried on the server: {', '.join(counts)}")
    clusters = sorted(plan.reached)
    if clusters:
        more = len(clusters) - _MOST_NAMES
        listed = ", ".join(str(one) for one in clusters[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"reaches {len(clusters)} managed cluster{'' if len(clusters) == 1 else 's'}: {listed}")
    if plan.unread:
        listed = ", ".join(kind.name for kind in sorted(plan.unread))
        lines.append(f"which managed clusters it reaches is not known: you may not read {listed}")
    counts = [f"{plan.counts[action]} {action}" for action in Action if plan.counts[action]]
    counts += [f"{len(plan.stays)} not in the sample and left alone"] if plan.stays else []
    lines.append(f"plan: {', '.join(counts) or 'nothing was selected'}")
    return lines


def _name(key: ObjectKey) -> str:
    """As people say it; with its group for a kind that gitsnap does not know, and another group may have too."""
    return in_words(key) if key.kind in kinds.BY_KIND or not key.kind.group else str(key)


def _flat(text: str) -> str:
    """Server text of several lines in one."""
    return " ".join(text.split("\n"))


def question(plan: Plan) -> str:
    """Where, and what a yes means, the worst of it included."""
    deleted, clusters = (
        sum(step.action is Action.DELETE for step in plan.writes),
        {one.cluster for one in plan.withdrawals if one.needs_consent},
    )
    written = len(plan.writes) - deleted
    parts = [f"write {counted(written, 'object')}"] if written else []
    if deleted:
        parts.append(f"delete {counted(deleted, 'object')}")
    if clusters:
        parts.append(f"take add-ons from {counted(len(clusters), 'managed cluster')}")
    return f"In {plan.cluster.context} ({plan.cluster.server}): {', '.join(parts)}?"


# The report -----------------------------------------------------------------------------------------------------------


def report_text(report: Report, *, columns: int = 0) -> str:
    """What was and what was not applied, set off from the plan above it."""
    lines = [f"{_done(step)} {_name(step.key)}" for step in report.applied]
    if report.failed is not None:
        lines.append(f"FAILED {_name(report.failed.key)}: {_flat(report.failure)}")
    lines += [f"not tried: {step.action} {_name(step.key)}" for step in report.not_tried]
    lines += [f"left out: {_name(step.key)}: {_flat(step.refusal)}" for step in report.left_out]
    lines += [f"still paused: {_name(key)}" for key in report.held]
    if report.revert_result is not None:
        lines += [f"taken back: {_name(key)}" for key in report.revert_result.reversed]
        lines += [f"left there: {_name(key)}" for key in report.revert_result.left]
        lines += [f"NOT taken back: {_name(key)}" for key in report.revert_result.still]
    lines += _arrivals(report)
    if report.before is not None:
        lines.append(f"before: {report.before.tag}")
    if report.after is not None:
        lines.append(f"after:  {report.after.tag}")
    if report.after_problem:
        lines.append(f"warning: the sample after it is missing: {_flat(report.after_problem)}")
    done = f"{len(report.applied)} applied"
    if report.failed is not None:
        done += f", 1 failed, {len(report.not_tried)} not tried"
    if report.revert_result is not None:
        done += f", {len(report.revert_result.reversed)} taken back"
    if report.left_out:
        done += f", {len(report.left_out)} left out"
    lines.append(f"rollback: {done}")
    return "\n" + "\n".join(wrapped(line, columns) for line in lines) + "\n"


def _done(step: Step) -> str:
    """What became of an object. One with finalizers is there until whoever set them is done."""
    finalizers = ((step.live or {}).get("metadata") or {}).get("finalizers")
    return "being deleted:" if step.action is Action.DELETE and finalizers else _DONE[step.action]


def _arrivals(report: Report) -> list[str]:
    """What Sveltos reports: a line for each cluster that lacks something, one for each profile that arrived."""
    lines = []
    arrived: dict[ObjectKey, list[str]] = {}
    for one in report.arrivals:
        if one.outcome in ("arrived", "withdrawn"):
            arrived.setdefault(one.profile, []).append(str(one.cluster))
        else:
            detail = f": {_flat(one.detail)}" if one.detail else ""
            lines.append(f"{one.outcome.upper()} on {one.cluster}: {_name(one.profile)}{detail}")
    for profile, clusters in sorted(arrived.items()):
        more = len(clusters) - _MOST_NAMES
        named = ", ".join(clusters[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"arrived: {_name(profile)} on {named}")
    return lines
