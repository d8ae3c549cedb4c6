"""Reports about a run that took a sample: log, Events and metrics of its Snapshot."""

from __future__ import annotations

import logging
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from gitsnap.controller.run import RunReport

if TYPE_CHECKING:
    from gitsnap.controller.policy_state import ServedPolicy

_MOST_LOGGED = 20
"""The largest number of objects that are logged because they could not be captured."""

_log = logging.getLogger(__name__)


def log_run(served: ServedPolicy, run: RunReport, now: datetime) -> None:
    """Log the sample of a run and its problems. An Event reports Secrets that are kept in another way than before."""
    sample = run.result.recorded.sample
    extra = {"policy": served.name, "sample": sample.tag}
    if run.result.secrets_changes:
        note = f"{sample.tag}: Secrets are kept differently: {'; '.join(run.result.secrets_changes)}"
        served.event(now, "SecretsChanged", note, warning=True)
        _log.warning("%s", note, extra=extra)
    _log.info("%s", run.result.summary, extra=extra)
    for key, problem in islice(run.result.problems.items(), _MOST_LOGGED):
        _log.warning("%s could not be captured: %s", key, problem, extra=extra)
    for remark in run.result.left_out:
        _log.info("%s", remark, extra=extra)
    if run.result.recorded.worktree_error:
        _log.warning("%s", run.result.recorded.worktree_error, extra={"policy": served.name})


def note_retention(served: ServedPolicy, run: RunReport, now: datetime) -> None:
    """Report the samples that retention removed, or why it removed none."""
    metrics = served.services.metrics
    for decision in run.removed:
        reasons, tag = ", ".join(decision.reasons), decision.sample.tag
        _log.info("removed %s: %s", tag, reasons, extra={"policy": served.name, "sample": tag})
    metrics.count_removed(served.name, len(run.removed))
    if run.retention_error is not None:
        note = f"retention removed nothing: {run.retention_error}"
        metrics.count_failure(served.name, type(run.retention_error).__name__)
        served.event(now, "RetentionFailed", note, warning=True)
        _log.warning("%s", note, extra={"policy": served.name})
    if run.clock_problem and not served.retention_held:  # reported once, not after each sample
        served.event(now, "RetentionHeld", run.clock_problem, warning=True)
        _log.warning("%s", run.clock_problem, extra={"policy": served.name})
    served.retention_held = bool(run.clock_problem)
