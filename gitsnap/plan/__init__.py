"""Sample, live cluster and selection -> an ordered plan: each step with its reason, each loss of a match by name.

Pure: it decides, and ``rollback`` does. This package must not do I/O, print, or let a value of a Secret into a text.
"""

from gitsnap.plan.making import LiveState, SampleState, Unrestorable, arranged, make_plan, with_deployed
from gitsnap.plan.matching import CONCERNED_KINDS
from gitsnap.plan.selection import Selection, resolve
from gitsnap.plan.values import Action, Doubt, Moment, Options, Outcome, Plan, Step, Trial, Withdraw
from gitsnap.plan.writing import Create, MergePatch, Replace, has_no_effect, moved, request_of

__all__ = [
    "CONCERNED_KINDS",
    "Action",
    "Create",
    "Doubt",
    "LiveState",
    "MergePatch",
    "Moment",
    "Options",
    "Outcome",
    "Plan",
    "Replace",
    "SampleState",
    "Selection",
    "Step",
    "Trial",
    "Unrestorable",
    "Withdraw",
    "arranged",
    "has_no_effect",
    "make_plan",
    "moved",
    "request_of",
    "resolve",
    "with_deployed",
]
