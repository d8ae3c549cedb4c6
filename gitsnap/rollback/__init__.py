"""Rolls objects back to a sample: plan, dry run, apply, wait for the rollout, undo.

Written against ``ports.Cluster`` and ``ports.Tree``.
"""

from gitsnap.rollback.dry_run import try_on_server
from gitsnap.rollback.executor import Report, RevertedError, StoppedError, TakeSample, apply
from gitsnap.rollback.planner import prepare
from gitsnap.rollback.readiness import ReadinessWaiter, WaitOptions
from gitsnap.rollback.records import (
    PastRollback,
    RecordedRequest,
    SampleOrigin,
    origin_of,
    past_rollbacks,
    rollback_to_undo,
    sample_with_created,
    unfinished,
)
from gitsnap.rollback.rollout import RolloutStatus, read_rollout_state, wait_for_rollout
from gitsnap.rollback.shifted_names import ShiftedName, find_shift
from gitsnap.rollback.undo import prepare_undo

__all__ = [
    "PastRollback",
    "ReadinessWaiter",
    "RecordedRequest",
    "Report",
    "RevertedError",
    "RolloutStatus",
    "SampleOrigin",
    "ShiftedName",
    "StoppedError",
    "TakeSample",
    "WaitOptions",
    "apply",
    "find_shift",
    "origin_of",
    "past_rollbacks",
    "prepare",
    "prepare_undo",
    "read_rollout_state",
    "rollback_to_undo",
    "sample_with_created",
    "try_on_server",
    "unfinished",
    "wait_for_rollout",
]
