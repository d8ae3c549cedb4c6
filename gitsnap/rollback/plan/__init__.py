"""Sample, live cluster and selection -> an ordered plan: each step with its reason, each loss of a match by name.

Pure: it decides, and ``rollback`` does. This package must not do I/O, print, or let a value of a Secret into a text.
"""

from gitsnap.core.text import counted, in_words
from gitsnap.rollback.plan.alternatives import losing_unselected, lost_on_unselected, spared
from gitsnap.rollback.plan.builder import arranged, make_plan, released, with_deployed
from gitsnap.rollback.plan.consequences import (
    Conflict,
    Doing,
    Doubt,
    Effect,
    Hold,
    Moment,
    Stay,
    Wait,
    Withdraw,
    conflict_lines,
    summed_up,
)
from gitsnap.rollback.plan.deletions import PRUNED_KINDS
from gitsnap.rollback.plan.effects import EFFECTS
from gitsnap.rollback.plan.inputs import LiveState, SampleState, Unrestorable
from gitsnap.rollback.plan.match_states import CONCERNED_KINDS
from gitsnap.rollback.plan.plan_file import PlanFile, differences, plan_file, plan_hash, read_plan_file
from gitsnap.rollback.plan.reductions import Withdrawals
from gitsnap.rollback.plan.selection import Selection, labels_match, resolve
from gitsnap.rollback.plan.steps import Action, Options, Outcome, Plan, Step, Trial
from gitsnap.rollback.plan.template_inputs import Inputs
from gitsnap.rollback.plan.writes import Create, Delete, MergePatch, Replace, has_no_effect, moved, request_of

__all__ = [
    "CONCERNED_KINDS",
    "EFFECTS",
    "PRUNED_KINDS",
    "Action",
    "Conflict",
    "Create",
    "Delete",
    "Doing",
    "Doubt",
    "Effect",
    "Hold",
    "Inputs",
    "LiveState",
    "MergePatch",
    "Moment",
    "Options",
    "Outcome",
    "Plan",
    "PlanFile",
    "Replace",
    "SampleState",
    "Selection",
    "Stay",
    "Step",
    "Trial",
    "Unrestorable",
    "Wait",
    "Withdraw",
    "Withdrawals",
    "arranged",
    "conflict_lines",
    "counted",
    "differences",
    "has_no_effect",
    "in_words",
    "labels_match",
    "losing_unselected",
    "lost_on_unselected",
    "make_plan",
    "moved",
    "plan_file",
    "plan_hash",
    "read_plan_file",
    "released",
    "request_of",
    "resolve",
    "spared",
    "summed_up",
    "with_deployed",
]
