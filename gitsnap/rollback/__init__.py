"""Puts objects back as a sample holds them: prepare a plan, try it on the server, carry it out, report; and back again.

Written against ports.Cluster and ports.Tree. This package must not print, ask, or read a clock.
"""

from gitsnap.rollback.dry_run import try_on_server
from gitsnap.rollback.executor import Report, StoppedError, TakeSample, UndoneError, apply
from gitsnap.rollback.planner import prepare
from gitsnap.rollback.readiness import Patience, Settling
from gitsnap.rollback.records import Asked, Past, past_rollbacks, rollback_to_undo, sample_made, unfinished
from gitsnap.rollback.rollout import Arrival, await_arrival, states
from gitsnap.rollback.undo import prepare_undo

__all__ = [
    "Arrival",
    "Asked",
    "Past",
    "Patience",
    "Report",
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
