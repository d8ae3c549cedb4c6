"""Rolls objects back to a sample: plan, dry run, apply, wait for the rollout, undo.

Written against ``ports.Cluster`` and ``ports.Tree``.
"""

from gitsnap.rollback.dry_run import try_on_server
from gitsnap.rollback.executor import Report, StoppedError, TakeSample, UndoneError, apply
from gitsnap.rollback.planner import prepare
from gitsnap.rollback.readiness import Patience, Settling
from gitsnap.rollback.records import Asked, Past, past_rollbacks, rollback_to_undo, sample_made, unfinished
from gitsnap.rollback.rollout import RolloutStatus, await_arrival, states
from gitsnap.rollback.undo import prepare_undo

__all__ = [
    "Asked",
    "Past",
    "Patience",
    "Report",
    "RolloutStatus",
    "Settling",
    "StoppedError",
    "TakeSample",
    "UndoneError",
    "apply",
    "await_arrival",
    "past_rollbacks",
    "prepare",
    "prepare_undo",
    "rollback_to_undo",
    "sample_made",
    "states",
    "try_on_server",
    "unfinished",
]
