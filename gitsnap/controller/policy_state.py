"""What the controller knows of one Snapshot, and what it says about it.

This module must not start work: the loop does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from gitsnap.controller import status as reports
from gitsnap.controller.due import Agenda, Decision
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.reporter import Happening, Reporter
from gitsnap.controller.run import Found, PushReport, Taken
from gitsnap.controller.status import Condition, Reason, Statement
from gitsnap.core.errors import AbortedError, GitsnapError, InputError, NotPermittedError, RemoteDivergedError
from gitsnap.core.model import JsonObject, Trigger
from gitsnap.core.objects import same_json
from gitsnap.policy import snapshot as policies

REQUEST_ANNOTATION = "gitsnap.io/capture-requested-at"
INTERRUPTED = "the controller was stopped during the run"
_LOGGED_PROBLEMS = 20
"""Objects that could not be taken; the status counts them all."""

_SUSPENDED = "spec.suspend is set: samples are taken on request only"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Desk:
    """Where news of a Snapshot go (status and Events, metrics, log), and what a Snapshot may ask for."""

    reporter: Reporter
    metrics: Metrics
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    check: Callable[[policies.Policy], None] = lambda _policy: None
    """Raises NotPermittedError for a policy that asks for more than the flags of the controller permit."""


@dataclass(slots=True)
class ServedPolicy:
    """One Snapshot as it is served."""

    document: JsonObject
    desk: Desk
    agenda: Agenda
    policy: policies.Policy | None = None
    """None while the spec is not valid."""
    running: bool = False
    """Whether a sample is being taken, or waits for a free worker."""
    pushing: bool = False
    looking: bool = False
    """Whether it is being found out what the archive holds."""
    status: JsonObject = field(default_factory=dict)
    """As it was told last."""
    upcoming: datetime | None = None
    retention_doubted: bool = False
    """Whether the newest run removed nothing, since the clock is in doubt."""
    spec: object = None
    """What the policy was read from; None before it was."""

    @classmethod
    def new(cls, document: JsonObject, desk: Desk) -> ServedPolicy:
        """A Snapshot that was not known. What an earlier controller said of it is believed."""
        status = document.get("status") or {}
        created = reports.parsed(document["metadata"].get("creationTimestamp")) or desk.now()
        agenda = Agenda(
            served=max(created, reports.parsed(status.get("scheduledSince")) or created),
            handled_request=str(status.get("lastHandledCaptureAt") or ""),
            suspended=reports.condition_of(status, Condition.READY).get("reason") == Reason.SUSPENDED,
        )
        return cls(document, desk, agenda, status=dict(status))

    @property
    def name(self) -> str:
        """Name of the Snapshot, and of its archive."""
        return str(self.document["metadata"]["name"])

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for its deletion; a finalizer may hold it for a while."""
        return bool(self.document["metadata"].get("deletionTimestamp"))

    @property
    def request(self) -> str:
        """Value of the annotation that asks for a sample now, ``""`` without one."""
        annotations = self.document["metadata"].get("annotations") or {}
        return str(annotations.get(REQUEST_ANNOTATION) or "")

    def read(self, document: JsonObject) -> None:
        """Take over what the Snapshot says now."""
        self.document = document
        if same_json(self.spec, document.get("spec") or {}):
            return
        self.spec = document.get("spec") or {}
        self.desk.metrics.ready(self.name, ready=self._is_ready())
        try:
            self.policy = policies.from_resource(document, source=f"Snapshot {self.name}")
            self.desk.check(self.policy)
        except InputError as error:
            self.policy = None
            refused = isinstance(error, NotPermittedError)
            reason = Reason.NOT_PERMITTED if refused else Reason.INVALID_SPEC
            self._say(Statement(Condition.READY, False, reason, error.message), failure=error.message)
            if refused:
                self._event(str(reason), error.message, warning=True)
            self._plan_next(None)
            _log.warning("%s", error.message, extra={"policy": self.name})
            return
        if self.policy.push is None:
            self.desk.metrics.no_remote(self.name)
        was_suspended, served = self.agenda.suspended, self.agenda.served
        self.agenda.sync(self.policy, self.desk.now())
        if self.agenda.served != served:  # told, so that it is known after a restart too
            self.tell(scheduledSince=reports.moment(self.agenda.served))
        if self.policy.suspend:
            self._say(Statement(Condition.READY, True, Reason.SUSPENDED, _SUSPENDED))
        elif was_suspended or self._ready_reason() in ("", Reason.INVALID_SPEC, Reason.NOT_PERMITTED):
            self._say(Statement(Condition.READY, True, Reason.SCHEDULED, "waiting for the next scheduled time"))

    def found(self, known: Found | None) -> None:
        """Take note of what the archive holds after a restart."""
        if known is not None:
            if known.scheduled is not None:
                self.agenda.saw(known.scheduled, self.desk.now())
            facts = known.newest.metadata
            self.desk.metrics.archive(self.name, facts, samples=known.samples, repository_bytes=known.repository_bytes)
        if self.status.get("lastRunStatus") == "InProgress":
            self.tell(lastRunStatus="Failed", failureMessage=INTERRUPTED)

    def plan(self, decision: Decision) -> None:
        """Take note of when it is due next."""
        if decision.missed is not None:
            self.agenda.served = max(self.agenda.served, decision.missed)
            note = f"the sample of {reports.moment(decision.missed)} was missed, and its starting deadline has passed"
            self._event("Missed", note, warning=True)
            _log.warning("%s", note, extra={"policy": self.name})
        self._plan_next(decision.next)

    def _plan_next(self, upcoming: datetime | None) -> None:
        if upcoming != self.upcoming:
            schedule = self.policy.schedule if self.policy is not None else None
            interval = schedule.interval_until(upcoming).total_seconds() if schedule and upcoming else None
            self.desk.metrics.planned(self.name, upcoming=upcoming, interval=interval)
            self.upcoming = upcoming
            when = f"is due at {reports.moment(upcoming)}" if upcoming is not None else "is not due at any time"
            _log.debug("the next sample %s", when, extra={"policy": self.name})
        self.tell(next=upcoming)

    def started(self) -> None:
        """A run begins."""
        _log.debug("taking a sample", extra={"policy": self.name})
        self.tell(lastRunTime=reports.moment(self.desk.now()), lastRunStatus="InProgress")

    def succeeded(self, trigger: Trigger, request: str, taken: Taken) -> None:
        """A run has taken a sample."""
        self.running = False
        sample = taken.result.recorded.sample
        self.agenda.succeeded()
        if request:
            self.agenda.handled_request = request
        if trigger is Trigger.SCHEDULE:
            self.agenda.saw(sample, self.desk.now())
        if self.policy is not None and self.policy.push is not None:
            self.agenda.push_due(self.desk.now(), at_once=bool(request))
        summary = taken.result.summary
        ready = Statement(Condition.READY, True, Reason.COLLECTED, summary)
        if self.policy is not None and self.policy.suspend:
            ready = Statement(Condition.READY, True, Reason.SUSPENDED, f"{summary}; {_SUSPENDED}")
        self._say(
            ready,
            reports.of_completeness(sample.metadata.incomplete, taken.result.not_served),
            reports.of_secrets(taken.mode, taken.recipients, asked_for=taken.mode_asked_for),
            lastRunStatus="Collected",
            lastSample=sample.tag,
            lastCommit=sample.commit,
            sampleCount=taken.samples,
            repositoryBytes=taken.repository_bytes,
            lastHandledCaptureAt=self.agenda.handled_request or None,
        )
        self.desk.metrics.taken(self.name, taken)
        self._event("Captured", summary)
        if taken.result.secrets_changes:
            note = f"{sample.tag}: Secrets are kept differently: {'; '.join(taken.result.secrets_changes)}"
            self._event("SecretsChanged", note, warning=True)
            _log.warning("%s", note, extra={"policy": self.name, "sample": sample.tag})
        _log.info("%s", summary, extra={"policy": self.name, "sample": sample.tag})
        for key, problem in islice(taken.result.problems.items(), _LOGGED_PROBLEMS):
            _log.warning("%s could not be taken: %s", key, problem, extra={"policy": self.name, "sample": sample.tag})
        for remark in taken.result.left_out:
            _log.info("%s", remark, extra={"policy": self.name, "sample": sample.tag})
        if taken.result.recorded.worktree_problem:
            _log.warning("%s", taken.result.recorded.worktree_problem, extra={"policy": self.name})
        self._retained(taken)
        if taken.lag is not None:
            self.desk.metrics.push_lag(self.name, taken.lag)

    def _retained(self, taken: Taken) -> None:
        """Tell what retention removed, and what kept it from removing more."""
        for one in taken.removed:
            reasons = ", ".join(one.reasons)
            _log.info("removed %s: %s", one.sample.tag, reasons, extra={"policy": self.name, "sample": one.sample.tag})
        self.desk.metrics.removed(self.name, len(taken.removed))
        if taken.retention_error is not None:
            self._not_removed(taken.retention_error)
        if taken.retention_doubt and not self.retention_doubted:  # once, not after each sample
            self._event("RetentionHeld", taken.retention_doubt, warning=True)
            _log.warning("%s", taken.retention_doubt, extra={"policy": self.name})
        self.retention_doubted = bool(taken.retention_doubt)

    def _not_removed(self, error: GitsnapError) -> None:
        note = f"retention removed nothing: {error}"
        self.desk.metrics.failed(self.name, type(error).__name__)
        self._event("RetentionFailed", note, warning=True)
        _log.warning("%s", note, extra={"policy": self.name})

    def pushed(self, report: PushReport | None) -> None:
        """The remote was brought up to the archive, or was not."""
        self.pushing = False
        if report is None:  # there is nothing to push yet
            self.agenda.pushed()
            return
        if report.lag is not None:
            self.desk.metrics.push_lag(self.name, report.lag)
        if report.error is not None:
            self._push_failed(report.error, report.lag)
            return
        self.agenda.pushed()
        done = report.pushed
        if done is None:
            return
        statement = Statement(Condition.PUSHED, True, Reason.PUSHED, f"the remote is at {done.commit[:12]}")
        if done.problem:
            message = f"{statement.message}; what retention removed here is still there: {done.problem}"
            statement = Statement(Condition.PUSHED, True, Reason.NOT_PRUNED, message)
        self._say(statement, keep_failure=True, lastPushedCommit=done.commit)
        if done.tags:
            note = f"pushed {done.tags} {'sample' if done.tags == 1 else 'samples'}, commit {done.commit[:12]}"
            self._event("Pushed", note)
            _log.info("%s", note, extra={"policy": self.name})
        if done.problem:
            _log.warning("nothing was removed from the remote: %s", done.problem, extra={"policy": self.name})

    def _push_failed(self, error: GitsnapError, lag: int | None) -> None:
        self.agenda.push_failed(self.desk.now(), transient=error.retryable, jitter=self.desk.jitter)
        reason = Reason.BEHIND if error.retryable else Reason.PUSH_REFUSED
        if isinstance(error, RemoteDivergedError):
            reason = Reason.DIVERGED
        behind = "1 sample is" if lag == 1 else f"{'the newest' if lag is None else lag} samples are"
        message = f"{behind} not on the remote: {error}"
        before = reports.condition_of(self.status, Condition.PUSHED)
        self._say(Statement(Condition.PUSHED, False, reason, message), keep_failure=True)
        self.desk.metrics.failed(self.name, type(error).__name__)
        if not same_json(before.get("reason"), reason):  # once for each kind of trouble, not for each attempt
            self._event("PushFailed", message, warning=True)
        _log.warning("%s", message, extra={"policy": self.name})

    def failed(self, request: str, error: GitsnapError) -> None:
        """A run has taken no sample."""
        self.running = False
        if isinstance(error, AbortedError):
            if self.status.get("lastRunStatus") == "InProgress":
                self.tell(lastRunStatus="Failed", failureMessage=INTERRUPTED)
            return
        self.agenda.failed(self.desk.now(), transient=error.retryable, jitter=self.desk.jitter, request=request)
        if request and not error.retryable:
            self.agenda.handled_request = request  # the answer is given: asking the same again needs a new value
        self._say(
            reports.of_failure(error, transient=error.retryable),
            failure=str(error),
            lastRunStatus="Failed",
            lastHandledCaptureAt=self.agenda.handled_request or None,
        )
        self.desk.metrics.failed(self.name, type(error).__name__)
        self._event("CaptureFailed", str(error), warning=True)
        _log.warning("no sample was taken: %s", error, extra={"policy": self.name})

    def tell(self, **fields: Any) -> None:
        """Report these fields of the status, those that changed; ``next`` is a moment or None."""
        if "next" in fields:
            upcoming = fields.pop("next")
            fields["nextScheduleTime"] = reports.moment(upcoming) if upcoming is not None else None
        fields["observedGeneration"] = self._generation
        if all(name in self.status and same_json(self.status[name], value) for name, value in fields.items()):
            return
        self.status |= fields
        self.desk.reporter.status(self.name, dict(self.status))

    def _say(
        self, *statements: Statement, failure: str | None = None, keep_failure: bool = False, **fields: Any
    ) -> None:
        """Report conditions, and ``failureMessage`` with them unless it is about something else."""
        dropped = () if self.policy is None or self.policy.push is not None else (Condition.PUSHED,)
        conditions = reports.merged(
            self.status.get("conditions") or (),
            statements,
            now=self.desk.now(),
            generation=self._generation,
            dropped=dropped,
        )
        ready = reports.condition_of({"conditions": conditions}, Condition.READY)
        self.desk.metrics.ready(self.name, ready=ready.get("status") == "True")
        if not keep_failure:
            fields["failureMessage"] = reports.shortened(failure) if failure is not None else None
        self.tell(conditions=conditions, **fields)

    def _event(self, reason: str, note: str, *, warning: bool = False) -> None:
        uid = str(self.document["metadata"].get("uid") or "")
        self.desk.reporter.event(Happening(self.name, uid, reason, note, self.desk.now(), warning=warning))

    @property
    def _generation(self) -> int:
        return int(self.document["metadata"].get("generation") or 0)

    def give_up(self, problem: str) -> None:
        """A defect of gitsnap itself with this Snapshot: it waits for another spec, or another gitsnap."""
        self.policy = None
        self._say(Statement(Condition.READY, False, Reason.NEEDS_ATTENTION, problem), failure=problem)
        self._plan_next(None)

    def _is_ready(self) -> bool:
        return reports.condition_of(self.status, Condition.READY).get("status") == "True"

    def _ready_reason(self) -> str:
        return str(reports.condition_of(self.status, Condition.READY).get("reason") or "")
