"""A rollback's plan and report as text that is easy to read at 3 a.m. on 80 columns.

Each step is one short paragraph. The reasons that block a plan, and the counts, come last, where readers look first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gitsnap.core.model import ObjectKey
from gitsnap.core.text import describe, plural, verb_form
from gitsnap.render import shortened, wrapped
from gitsnap.render.plan_changes import ChangeView, PlanChanges
from gitsnap.render.plan_heading import cluster_line
from gitsnap.rollback.plan import (
    EFFECTS,
    Action,
    Effect,
    Outcome,
    Plan,
    Step,
    WithdrawalCause,
    conflict_lines,
    withdrawal_lines,
)
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.rollback import Report

_MOST_FIELDS = 4
_MOST_NAMES = 3
_MOST_RETAINED = 10
_MOST_UNSELECTED = 10
_INDENT = " " * 14

_AVOIDED_BY_HOLD = (WithdrawalCause.INTERRUPTED, WithdrawalCause.TRANSIENT)
"""Withdrawals that do not happen to a profile that is held."""

_PAST_TENSE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.RECREATE: "recreated",
    Action.DELETE: "deleted",
    Action.HOLD: "paused",
    Action.RELEASE: "no longer paused",
}

# The plan -------------------------------------------------------------------------------------------------------------


def plan_text(plan: Plan, *, columns: int, heading: Sequence[str] = (), changes: ChangeView | None = None) -> str:
    """The plan as text: cluster and sample, steps in order, refusals, consequences, and counts.

    ``columns`` is the width of the terminal; with 0, lines are not wrapped. ``heading``: the lines about cluster and
    sample; by default one line for each. ``changes``: how to show the lines that change; None shows only the names of
    the fields. The text is safe for a terminal.
    """
    blocks = PlanChanges(plan, changes, columns) if changes is not None else None
    heading = heading or (cluster_line(plan.cluster), f"sample:  {plan.sample}")
    rows = [wrapped(line, columns) for line in heading]
    if blocks is not None and blocks.shown:
        rows.append(wrapped("lines:   - in the cluster now, + as the plan writes them", columns))
    rows += ["", *([] if plan.writes else ["nothing to write"])]
    lines_above = False
    for number, step in enumerate(plan.writes, start=1):
        rows += [""] if lines_above else []
        rows.append(wrapped(f"{number:>4} {step.action:<8} {_name(step.key)}", columns))
        rows += [wrapped(_INDENT + text, columns) for text in _step_details(step)]
        step_lines = blocks.of(step) if blocks is not None else []
        rows += step_lines
        lines_above = bool(step_lines)
    lines = [*_refused(plan), *_consequences(plan), ""]
    lines += [blocks.note] if blocks is not None and blocks.note else []
    lines += _totals(plan)
    return "\n".join([*rows, *(wrapped(line, columns) for line in lines)]) + "\n"


def _consequences(plan: Plan) -> list[str]:
    """Withdrawals, uncertainties, conflicts, notes, and objects that are left alone."""
    withdrawals = withdrawal_lines(plan.withdrawals)
    lines = [f"withdraw: {line}" for line in withdrawals]
    if len(withdrawals) < len(plan.withdrawals):
        lines.append("note: --output json names every cluster of these")
    if any(
        withdrawal.cause in _AVOIDED_BY_HOLD and withdrawal.profile.kind in kinds.PROFILE_KINDS
        for withdrawal in plan.withdrawals
    ):
        lines.append(
            "note: if the profile is selected as well, it is paused during the rollback, and loses nothing between"
            " two steps"
        )
    lines += [f"note: {suggestion}" for suggestion in plan.suggestions]
    lines += [f"uncertain: {uncertainty}" for uncertainty in plan.uncertainties]
    lines += [f"conflict: {line}" for line in conflict_lines(plan.conflicts)]
    lines += [f"note: {shortened(note)}" for note in plan.notes]
    lines += [f"incomplete in the sample, left alone: {failure} ({failure.substitute})" for failure in plan.incomplete]
    lines += _retained(plan)
    lines += unselected_lines(plan)
    if plan.is_partial and not plan.writes:
        lines.append(f"note: other objects were not compared; `gitsnap drift --sample {plan.sample}` compares all")
    return ["", *lines] if lines else []


def _step_details(step: Step) -> Iterable[str]:
    """A line each for the changed fields, the reason, the waits, the effects, and an untried dry run."""
    if step.changed:
        more = len(step.changed) - _MOST_FIELDS
        yield ", ".join(step.changed[:_MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")
    if step.reason:
        yield step.reason
    yield from (f"waits {wait}" for wait in step.waits)
    yield from _effects(step)
    if step.dry_run is not None and step.dry_run.outcome is Outcome.NOT_TRIED:
        yield f"not tried on the server: {step.dry_run.message}"


def _effects(step: Step) -> Iterable[str]:
    """A line for each type of effect."""
    for effect_type, rule in EFFECTS.items():
        effects = [effect for effect in step.effects if effect.type is effect_type]
        if effects:
            yield rule.sentence.format(where=_where(step, effects), who=_who(step, effects))


def _where(step: Step, effects: Sequence[Effect]) -> str:
    clusters = sorted({cluster for effect in effects for cluster in effect.clusters})
    if [cluster.key for cluster in clusters] == [step.key]:
        return "there"
    return f"on {clusters[0]}" if len(clusters) == 1 else f"on {len(clusters)} clusters"


def _who(step: Step, effects: Sequence[Effect]) -> str:
    """`` by ClusterProfile base, guestbook and 2 more``; ``""`` for the step of the profile itself."""
    others = sorted({effect.by for effect in effects} - {step.key})
    if not others:
        return ""
    names = [_name(others[0])]
    for before, key in pairwise(others[:_MOST_NAMES]):
        names.append(_name(key).partition(" ")[2] if before.kind == key.kind else _name(key))
    more = len(others) - len(names)
    return f" by {', '.join(names)}{f' and {more} more' if more else ''}"


def _refused(plan: Plan) -> list[str]:
    """The objects that cannot be rolled back, with the reasons. They block the plan, so they stand out."""
    if not plan.refused:
        return []
    lines = ["", "CANNOT BE ROLLED BACK"]
    for step in plan.refused:
        by_server = "" if step.action is Action.REFUSE else f" ({step.action}, refused by the server)"
        lines += [f"     {_name(step.key)}{by_server}", f"{_INDENT}{_flat(step.refusal)}"]
    return lines


def _retained(plan: Plan) -> list[str]:
    """The objects that are not in the sample and are not deleted, with the reasons."""
    lines = [f"stays: {_name(retained.key)}: {retained.reason}" for retained in plan.retained[:_MOST_RETAINED]]
    more = len(plan.retained) - _MOST_RETAINED
    return [*lines, f"stays: and {more} more"] if more > 0 else lines


def unselected_lines(plan: Plan) -> list[str]:
    """The objects beside the selection. A cluster may have hundreds of profiles: those that differ come first."""
    ordered = sorted(plan.unselected, key=lambda unselected: not unselected.differing)
    lines = [f"not selected: {unselected}" for unselected in ordered[:_MOST_UNSELECTED]]
    others = ordered[_MOST_UNSELECTED:]
    if others:
        differing = sum(len(unselected.differing) for unselected in others)
        not_compared = sum(len(unselected.not_compared) for unselected in others)
        counts = [f"{differing} that differ"] if differing else []
        counts += [f"{not_compared} that were not compared"] if not_compared else []
        more = plural(differing + not_compared, "more object")
        lines.append(f"not selected: {more}, {' and '.join(counts)}; --output json names all")
    return lines


def _totals(plan: Plan) -> list[str]:
    lines = []
    outcomes = [step.dry_run.outcome for step in plan.steps if step.dry_run is not None]
    if outcomes:
        counts = [f"{outcomes.count(outcome)} {outcome}" for outcome in Outcome if outcome in outcomes]
        lines.append(f"tried on the server: {', '.join(counts)}")
    clusters = sorted(plan.reached)
    if clusters:
        lines.append(f"reaches {plural(len(clusters), 'managed cluster')}: {_first_names(map(str, clusters))}")
    if plan.unread:
        unread = ", ".join(kind.name for kind in sorted(plan.unread))
        lines.append(f"it is unknown which managed clusters the plan reaches: you may not read {unread}")
    counts = [f"{plan.counts[action]} {action}" for action in Action if plan.counts[action]]
    counts += [f"{len(plan.retained)} not in the sample and left alone"] if plan.retained else []
    lines.append(f"plan: {', '.join(counts) or 'nothing was selected'}")
    return lines


def _first_names(names: Iterable[str]) -> str:
    """``a, b, c and 2 more``."""
    names = list(names)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _name(key: ObjectKey) -> str:
    """Kind, namespace and name; for a kind that gitsnap does not know with the group, which may be ambiguous."""
    return describe(key) if key.kind in kinds.BY_KIND or not key.kind.group else str(key)


def _flat(text: str) -> str:
    """A server message of several lines as one line."""
    return " ".join(text.split("\n"))


def nothing_text(plan: Plan, *, undo: bool) -> str:
    """Why a plan writes nothing, and the objects that it leaves out. ``undo``: whether the plan is an undo."""
    if plan.refused:
        number = len(plan.refused)
        text = f"nothing to do: {plural(number, 'object')} cannot be rolled back and {verb_form(number, 'is')} left out"
    elif undo:
        text = "nothing to do: the objects that the rollback changed are as they were before it"
    else:
        text = "nothing to do: the cluster already has what was selected"
    if plan.retained:
        number = len(plan.retained)
        text += f"; {plural(number, 'object')} that the sample lacks {verb_form(number, 'stays')}"
    differing = sum(len(unselected.differing) for unselected in plan.unselected)
    if differing:
        text += f", but {plural(differing, 'object')} outside the selection {verb_form(differing, 'differs')}"
    elif plan.is_partial:
        text += "; other objects were not compared"
    return text


def question(plan: Plan) -> str:
    """The question before the plan is applied: cluster, numbers of writes and deletions, and withdrawals."""
    deleted = sum(step.action is Action.DELETE for step in plan.writes)
    clusters = {withdrawal.cluster for withdrawal in plan.withdrawals if withdrawal.needs_consent}
    written = len(plan.writes) - deleted
    parts = [f"write {plural(written, 'object')}"] if written else []
    if deleted:
        parts.append(f"delete {plural(deleted, 'object')}")
    if clusters:
        parts.append(f"take add-ons from {plural(len(clusters), 'managed cluster')}")
    place = plan.cluster.description if plan.cluster.is_folder else f"{plan.cluster.context} ({plan.cluster.server})"
    return f"In {place}: {', '.join(parts)}?"


# The report -----------------------------------------------------------------------------------------------------------


def report_text(report: Report, *, columns: int = 0) -> str:
    """The report as text: what was and was not applied, after a blank line that separates it from the plan."""
    lines = [f"{_past_tense(step)} {_name(step.key)}" for step in report.applied]
    if report.failed is not None:
        lines.append(f"FAILED {_name(report.failed.key)}: {_flat(report.failure)}")
    lines += [f"not tried: {step.action} {_name(step.key)}" for step in report.not_tried]
    lines += [f"left out: {_name(step.key)}: {_flat(step.refusal)}" for step in report.left_out]
    lines += [f"still paused: {_name(key)}" for key in report.held]
    if report.revert_result is not None:
        lines += [f"reverted: {_name(key)}" for key in report.revert_result.reverted]
        lines += [f"left in place: {_name(key)}" for key in report.revert_result.kept]
        lines += [f"NOT reverted: {_name(key)}" for key in report.revert_result.not_reverted]
    lines += _rollout(report)
    if report.before is not None:
        lines.append(f"before: {report.before.tag}")
    if report.after is not None:
        lines.append(f"after:  {report.after.tag}")
    if report.after_problem:
        lines.append(f"warning: there is no sample after the rollback: {_flat(report.after_problem)}")
    counts = [f"{len(report.applied)} applied"]
    if report.failed is not None:
        counts += ["1 failed", f"{len(report.not_tried)} not tried"]
    if report.revert_result is not None:
        counts.append(f"{len(report.revert_result.reverted)} reverted")
    if report.left_out:
        counts.append(f"{len(report.left_out)} left out")
    lines.append(f"rollback: {', '.join(counts)}")
    return "\n" + "\n".join(wrapped(line, columns) for line in lines) + "\n"


def _past_tense(step: Step) -> str:
    """What happened to an object. A deleted object with finalizers exists until its controllers remove them."""
    finalizers = ((step.live or {}).get("metadata") or {}).get("finalizers")
    return "being deleted:" if step.action is Action.DELETE and finalizers else _PAST_TENSE[step.action]


def _rollout(report: Report) -> list[str]:
    """A line for each profile that arrived, and a line for every other profile and cluster."""
    lines = []
    arrived: dict[ObjectKey, list[str]] = {}
    for status in report.rollout:
        if status.outcome in ("arrived", "withdrawn"):
            arrived.setdefault(status.profile, []).append(str(status.cluster))
        else:
            detail = f": {_flat(status.detail)}" if status.detail else ""
            lines.append(f"{status.outcome.upper()} on {status.cluster}: {_name(status.profile)}{detail}")
    for profile, clusters in sorted(arrived.items()):
        lines.append(f"arrived: {_name(profile)} on {_first_names(clusters)}")
    return lines
