"""The plan of a rollback: an ordered list of steps with reasons, and its consequences for managed clusters.

A plan is a pure function of a sample, the live cluster, a selection and options: this package does no I/O. No text of a
plan contains a value of a Secret.
"""

from gitsnap.core.text import describe, plural
from gitsnap.rollback.plan.alternatives import unselected_losing_profiles, unselected_lost_clusters, without_loss
from gitsnap.rollback.plan.builder import add_deployed_content, make_plan, order_plan, releasable_after
from gitsnap.rollback.plan.cluster_effects import (
    Conflict,
    Effect,
    EffectType,
    Hold,
    Retained,
    Uncertainty,
    Wait,
    Withdrawal,
    WithdrawalCause,
    conflict_lines,
    withdrawal_lines,
)
from gitsnap.rollback.plan.deletions import PRUNED_KINDS
from gitsnap.rollback.plan.effect_texts import EFFECTS
from gitsnap.rollback.plan.inputs import LiveState, SampleState, Unrestorable
from gitsnap.rollback.plan.match_states import MATCHING_KINDS
from gitsnap.rollback.plan.plan_file import (
    PlanFile,
    changes_since_approval,
    differences,
    plan_file,
    plan_hash,
    read_plan_file,
)
from gitsnap.rollback.plan.reductions import Reductions
from gitsnap.rollback.plan.selection import Selection, labels_match, resolve
from gitsnap.rollback.plan.step_changes import changes_lines, step_diff, step_texts
from gitsnap.rollback.plan.steps import Action, DryRunResult, Options, Outcome, Plan, Step
from gitsnap.rollback.plan.template_inputs import TemplateInputs
from gitsnap.rollback.plan.unselected import Relation, Unselected
from gitsnap.rollback.plan.writes import (
    Create,
    Delete,
    MergePatch,
    Replace,
    Request,
    build_request,
    changed_since,
    has_no_effect,
)

__all__ = [
    "EFFECTS",
    "MATCHING_KINDS",
    "PRUNED_KINDS",
    "Action",
    "Conflict",
    "Create",
    "Delete",
    "DryRunResult",
    "Effect",
    "EffectType",
    "Hold",
    "LiveState",
    "MergePatch",
    "Options",
    "Outcome",
    "Plan",
    "PlanFile",
    "Reductions",
    "Relation",
    "Replace",
    "Request",
    "Retained",
    "SampleState",
    "Selection",
    "Step",
    "TemplateInputs",
    "Uncertainty",
    "Unrestorable",
    "Unselected",
    "Wait",
    "Withdrawal",
    "WithdrawalCause",
    "add_deployed_content",
    "build_request",
    "changed_since",
    "changes_lines",
    "changes_since_approval",
    "conflict_lines",
    "describe",
    "differences",
    "has_no_effect",
    "labels_match",
    "make_plan",
    "order_plan",
    "plan_file",
    "plan_hash",
    "plural",
    "read_plan_file",
    "releasable_after",
    "resolve",
    "step_diff",
    "step_texts",
    "unselected_losing_profiles",
    "unselected_lost_clusters",
    "withdrawal_lines",
    "without_loss",
]
