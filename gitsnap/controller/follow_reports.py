"""Reports about follow mode: log, Events and metrics of a Snapshot with ``spec.follow``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from gitsnap.capture.follow import Runner
from gitsnap.controller.policy_state import ServedPolicy
from gitsnap.controller.run_results import RunResult
from gitsnap.controller.status import Condition, ConditionUpdate, Reason
from gitsnap.core.consequences import consequence_of
from gitsnap.core.errors import GitsnapError, IncompleteError
from gitsnap.core.recording import RecordedChange
from gitsnap.core.text import plural

_log = logging.getLogger(__name__)


def note_changes(served: ServedPolicy, changes: Sequence[RecordedChange], now: datetime) -> None:
    """Report changes that follow mode recorded, and request a push."""
    for change in changes:
        late = ", seen late" if change.late else ""
        _log.info("%s by %s%s", change.subject, change.author, late, extra={"policy": served.name})
    served.services.metrics.count_follow_changes(served.name, changes)
    served.report(lastCommit=changes[-1].commit)
    if served.policy is not None and served.policy.push is not None:
        served.runs.request_push(now, at_once=False)


def note_names(names: int) -> Callable[[ServedPolicy, datetime], None]:
    """Reports names of authors that became known after their changes were recorded, and requests a push."""

    def note(served: ServedPolicy, now: datetime) -> None:
        _log.info("%s of authors became known late", plural(names, "name"), extra={"policy": served.name})
        if served.policy is not None and served.policy.push is not None:
            served.runs.request_push(now, at_once=False)

    return note


def note_runner(served: ServedPolicy, runner: Runner) -> None:
    """Make the metrics show the state of follow mode."""
    served.services.metrics.observe_runner(
        served.name, lag=lambda: runner.lag_seconds, watches=lambda: runner.open_watches
    )


def note_problem(served: ServedPolicy, problem: GitsnapError | None, now: datetime) -> None:
    """Report why no changes, or not all changes, are followed. None: all changes are followed."""
    served.services.metrics.set_following(served.name, following=problem is None)
    served.report_condition(_following(problem), now)
    if problem is None:
        _log.info("changes are followed", extra={"policy": served.name})
        return
    partly = isinstance(problem, IncompleteError)
    note = f"{'not all changes are' if partly else 'changes are not'} followed: {problem}"
    served.event(now, consequence_of(problem).follow.event, note, warning=True)
    _log.warning("%s", note, extra={"policy": served.name})


def note_end(served: ServedPolicy, now: datetime) -> None:
    """Report the end of follow mode."""
    served.services.metrics.remove_following(served.name)
    served.report_condition(None, now)
    _log.info("changes are no longer followed", extra={"policy": served.name})


def note_missed(served: ServedPolicy, run: RunResult, now: datetime) -> None:
    """Report the number of objects whose changes follow mode missed. A sample found these objects."""
    missed = run.capture.missed
    if missed is None:
        return
    served.services.metrics.count_missed(served.name, missed)
    if missed:
        note = f"{run.capture.recorded.sample.tag}: follow mode missed {plural(missed, 'object')}"
        served.event(now, "FollowMissed", note, warning=True)
        _log.warning("%s", note, extra={"policy": served.name})


def _following(problem: GitsnapError | None) -> ConditionUpdate:
    """The condition Following."""
    if problem is None:
        return ConditionUpdate(Condition.FOLLOWING, True, Reason.FOLLOWING, "every change is recorded")
    return ConditionUpdate(Condition.FOLLOWING, False, consequence_of(problem).follow.reason, str(problem))
