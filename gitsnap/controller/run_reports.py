"""Reports about a run that took a sample: log, Events and metrics of its Snapshot."""

from __future__ import annotations

import logging
from datetime import datetime
from itertools import islice

from gitsnap.controller import follow_reports
from gitsnap.controller.policy_state import ServedPolicy
from gitsnap.controller.run_results import RunResult
from gitsnap.core.consequences import consequence_of

_MOST_LOGGED = 20
"""The largest number of objects that are logged because they could not be captured."""

_log = logging.getLogger(__name__)


def report_run(served: ServedPolicy, run: RunResult, now: datetime) -> None:
    """Report what a run did: its sample, the changes that follow mode missed, and the samples that it removed."""
    _report_sample(served, run, now)
    follow_reports.note_missed(served, run, now)
    _report_retention(served, run, now)


def _report_sample(served: ServedPolicy, run: RunResult, now: datetime) -> None:
    """Log the sample of a run and its problems. An Event reports Secrets that are kept in another way than before."""
    sample = run.capture.recorded.sample
    extra = {"policy": served.name, "sample": sample.tag}
    if run.capture.secrets_changes:
        note = f"{sample.tag}: Secrets are kept differently: {'; '.join(run.capture.secrets_changes)}"
        served.event(now, "SecretsChanged", note, warning=True)
        _log.warning("%s", note, extra=extra)
    _log.info("%s", run.capture.summary, extra=extra)
    for key, problem in islice(run.capture.problems.items(), _MOST_LOGGED):
        _log.warning("%s could not be captured: %s", key, problem, extra=extra)
    for remark in run.capture.left_out:
        _log.info("%s", remark, extra=extra)
    if run.capture.recorded.worktree_error:
        _log.warning("%s", run.capture.recorded.worktree_error, extra={"policy": served.name})


def _report_retention(served: ServedPolicy, run: RunResult, now: datetime) -> None:
    """Report the samples that retention removed, or why it removed none."""
    metrics = served.services.metrics
    for decision in run.removed:
        reasons, tag = ", ".join(decision.reasons), decision.sample.tag
        _log.info("removed %s: %s", tag, reasons, extra={"policy": served.name, "sample": tag})
    metrics.count_removed(served.name, len(run.removed))
    if run.retention_error is not None:
        note = f"retention removed nothing: {run.retention_error}"
        metrics.count_failure(served.name, type(run.retention_error).__name__)
        served.event(now, consequence_of(run.retention_error).retention, note, warning=True)
        _log.warning("%s", note, extra={"policy": served.name})
    if run.clock_problem and not served.retention_held:  # reported once, not after each sample
        served.event(now, "RetentionHeld", run.clock_problem, warning=True)
        _log.warning("%s", run.clock_problem, extra={"policy": served.name})
    served.retention_held = bool(run.clock_problem)
