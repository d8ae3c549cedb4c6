"""Sample, live cluster and selection -> an ordered plan: each step with its reason, each loss of a match by name.

Pure: it decides, and ``rollback`` does. This package must not do I/O, print, or let a value of a Secret into a text.
"""

from gitsnap.plan.consequences import (
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
from gitsnap.plan.deleting import PRUNED_KINDS
from gitsnap.plan.effects import EFFECTS
from gitsnap.plan.filing import PlanFile, differences, plan_file, plan_hash, read_plan_file
from gitsnap.plan.inputs import Inputs
from gitsnap.plan.labels import labels_match
from gitsnap.plan.making import arranged, make_plan, released, with_deployed
from gitsnap.plan.matching import CONCERNED_KINDS
from gitsnap.plan.selection import Selection, resolve
from gitsnap.plan.sparing import losing_unselected, lost_on_unselected, spared
from gitsnap.plan.states import LiveState, SampleState, Unrestorable
from gitsnap.plan.values import Action, Options, Outcome, Plan, Step, Trial
from gitsnap.plan.withdrawals import Withdrawals
from gitsnap.plan.words import counted, in_words
from gitsnap.plan.writing import Create, Delete, MergePatch, Replace, has_no_effect, moved, request_of

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
