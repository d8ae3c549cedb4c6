"""The state of one served Snapshot, and the reports about it.

Time comes in as an argument. The loop starts runs and pushes; this module records their outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitsnap.archive.remote import describe_unpushed
from gitsnap.controller import status as reports
from gitsnap.controller.due import Decision, RunState
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.reporter import KubeEvent, Reporter
from gitsnap.controller.run_results import ArchiveState, PushResult, RunResult
from gitsnap.controller.status import Condition, ConditionUpdate, Reason
from gitsnap.core.consequences import FailureReason, consequence_of
from gitsnap.core.errors import GitsnapError, InputError, InternalError
from gitsnap.core.model import JsonObject, Trigger
from gitsnap.core.objects import same_json
from gitsnap.core.text import parse_time, time_text
from gitsnap.policy import snapshot as policies

REQUEST_ANNOTATION = "gitsnap.io/capture-requested-at"
INTERRUPTED = "the controller was stopped during the run"
_SUSPENDED = "spec.suspend is set: samples are taken on request only"
_SCHEDULED = ConditionUpdate(Condition.READY, True, Reason.SCHEDULED, "waiting for the next scheduled time")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Services:
    """The services that all served policies share."""

    reporter: Reporter
    metrics: Metrics
    jitter: Callable[[], float]
    """A random number from 0 to 1."""
    check: Callable[[policies.Policy], None] = lambda _policy: None
    """Raises NotPermittedError for a policy that asks for more than the flags of the controller permit."""


@dataclass(slots=True)
class ServedPolicy:
    """One Snapshot that the controller serves."""

    document: JsonObject
    """The last report of the watch about the Snapshot."""
    services: Services
    runs: RunState
    policy: policies.Policy | None = None
    """None while the spec is not valid or not permitted."""
    running: bool = False
    """Whether a sample is being taken, or waits for a free worker."""
    pushing: bool = False
    reading: bool = False
    """Whether the archive is being read for the first time."""
    status: JsonObject = field(default_factory=dict)
    """The status that was reported last."""
    upcoming: datetime | None = None
    """The next scheduled time, as reported last."""
    retention_held: bool = False
    """Whether the newest run removed nothing because the clock is in doubt."""
    unreadable: bool = False
    """Whether the first reading of the archive failed."""
    spec: object = None
    """The spec that ``policy`` was read from; None before the first spec."""

    @classmethod
    def new(cls, document: JsonObject, services: Services, now: datetime) -> ServedPolicy:
        """A Snapshot that this controller did not serve yet. The status that an earlier controller wrote is trusted."""
        status = document.get("status") or {}
        created = parse_time(document["metadata"].get("creationTimestamp")) or now
        runs = RunState(
            served=max(created, parse_time(status.get("scheduledSince")) or created),
            handled_request=str(status.get("lastHandledCaptureAt") or ""),
            suspended=reports.find_condition(status, Condition.READY).get("reason") == Reason.SUSPENDED,
        )
        return cls(document, services, runs, status=dict(status))

    @property
    def name(self) -> str:
        """Name of the Snapshot and of its archive."""
        return str(self.document["metadata"]["name"])

    @property
    def deleting(self) -> bool:
        """Whether the Snapshot is being deleted; a finalizer may delay that."""
        return bool(self.document["metadata"].get("deletionTimestamp"))

    @property
    def followed(self) -> policies.Policy | None:
        """The policy to follow; None if the Snapshot is not followed now."""
        policy = self.policy
        if policy is None or policy.follow is None or policy.suspend or self.reading or self.deleting:
            return None
        return policy

    @property
    def request(self) -> str:
        """Value of the annotation that requests a sample, ``""`` without one."""
        annotations = self.document["metadata"].get("annotations") or {}
        return str(annotations.get(REQUEST_ANNOTATION) or "")

    @property
    def busy(self) -> bool:
        """Whether work for this policy runs in another thread."""
        return self.running or self.pushing or self.reading

    def read(self, document: JsonObject, now: datetime) -> None:
        """Read a Snapshot that the watch reported. A changed spec becomes the policy."""
        self.document = document
        if same_json(self.spec, document.get("spec") or {}):
            return
        self.spec = document.get("spec") or {}
        self.services.metrics.set_ready(self.name, ready=self._is_ready())
        try:
            self.policy = policies.from_resource(document, source=f"Snapshot {self.name}")
            self.services.check(self.policy)
        except InputError as error:
            self._refuse_spec(error, now)
            return
        if self.policy.push is None:
            self.services.metrics.remove_push_lag(self.name)
        was_suspended, served = self.runs.suspended, self.runs.served
        self.runs.update_policy(self.policy, now)
        if self.runs.served != served:  # the next controller reads it from the status
            self.report(scheduledSince=time_text(self.runs.served))
        if self.policy.suspend:
            self._report_conditions(now, ConditionUpdate(Condition.READY, True, Reason.SUSPENDED, _SUSPENDED))
        elif was_suspended or self._ready_reason() in ("", FailureReason.INVALID_SPEC, FailureReason.NOT_PERMITTED):
            self._report_conditions(now, _SCHEDULED)

    def _refuse_spec(self, error: InputError, now: datetime) -> None:
        self.policy = None
        notice = consequence_of(error).spec
        update = ConditionUpdate(Condition.READY, False, notice.reason, error.message)
        self._report_conditions(now, update, failure=error.message)
        if notice.event:
            self.event(now, notice.event, error.message, warning=True)
        self._report_next(None)
        _log.warning("%s", error.message, extra={"policy": self.name})

    def note_archive(self, archive: ArchiveState | None, now: datetime) -> None:
        """Record the state of the archive when this controller first read it; None for an archive without a sample."""
        if archive is not None:
            if archive.scheduled is not None:
                self.runs.note_sample(archive.scheduled, now)
            self.services.metrics.set_archive(
                self.name,
                archive.newest.metadata,
                samples=archive.samples,
                repository_bytes=archive.repository_bytes,
            )
        if self.status.get("lastRunStatus") == "InProgress":
            self.report(lastRunStatus="Failed", failureMessage=INTERRUPTED)
        elif self.unreadable:
            self._report_conditions(now, _SCHEDULED)
        self.unreadable = False

    def note_unreadable(self, error: GitsnapError, now: datetime) -> None:
        """Report that the archive cannot be read, for example because the storage folder does not exist.

        The Snapshot becomes ready when a run takes a sample, or when spec.storage names a readable folder.
        """
        _log.warning("the archive cannot be read: %s", error, extra={"policy": self.name})
        if self.policy is None or self.policy.suspend:  # no sample is due, and the reason Suspended must stay
            return
        self.unreadable = True
        notice = consequence_of(error).run
        update = ConditionUpdate(Condition.READY, False, notice.reason, str(error))
        self._report_conditions(now, update, failure=str(error))
        self.event(now, notice.event, str(error), warning=True)

    def note_decision(self, decision: Decision, now: datetime) -> None:
        """Report the next scheduled time, and a scheduled time that was given up."""
        if decision.missed is not None:
            self.runs.served = max(self.runs.served, decision.missed)
            time = time_text(decision.missed)
            note = f"the sample of {time} was missed, and its starting deadline has passed"
            self.event(now, "Missed", note, warning=True)
            _log.warning("%s", note, extra={"policy": self.name})
        self._report_next(decision.next)

    def _report_next(self, upcoming: datetime | None) -> None:
        time = time_text(upcoming) if upcoming is not None else None
        if upcoming != self.upcoming:
            schedule = self.policy.schedule if self.policy is not None else None
            interval = schedule.interval_until(upcoming).total_seconds() if schedule and upcoming else None
            self.services.metrics.set_schedule(self.name, upcoming=upcoming, interval=interval)
            self.upcoming = upcoming
            if time is None:
                _log.debug("no sample is scheduled", extra={"policy": self.name})
            else:
                _log.debug("the next sample is due at %s", time, extra={"policy": self.name})
        self.report(nextScheduleTime=time)

    def note_started(self, now: datetime) -> None:
        """Report that a run has started."""
        _log.debug("taking a sample", extra={"policy": self.name})
        self.report(lastRunTime=time_text(now), lastRunStatus="InProgress")

    def note_success(self, trigger: Trigger, request: str, run: RunResult, now: datetime) -> None:
        """Record and report a run that took a sample. ``request`` is the request that it served, if any."""
        self.running = False
        sample = run.capture.recorded.sample
        self.runs.note_success()
        if request:
            self.runs.handled_request = request
        if trigger is Trigger.SCHEDULE:
            self.runs.note_sample(sample, now)
        if self.policy is not None and self.policy.push is not None:
            self.runs.request_push(now, at_once=bool(request))
        summary = run.capture.summary
        complete = reports.completeness(sample.metadata, run.capture.not_served)
        self._report_suspect(complete, now)
        ready = ConditionUpdate(Condition.READY, True, Reason.COLLECTED, summary)
        if self.policy is not None and self.policy.suspend:
            ready = ConditionUpdate(Condition.READY, True, Reason.SUSPENDED, f"{summary}; {_SUSPENDED}")
        self._report_conditions(
            now,
            ready,
            complete,
            reports.restorability(run.mode, run.recipients, requested=run.mode_requested),
            lastRunStatus="Collected",
            lastSample=sample.tag,
            lastCommit=sample.commit,
            sampleCount=run.samples,
            repositoryBytes=run.repository_bytes,
            lastHandledCaptureAt=self.runs.handled_request or None,
        )
        self.services.metrics.count_run(self.name, run)
        self.event(now, "Captured", summary)
        if run.lag is not None:
            self.services.metrics.set_push_lag(self.name, run.lag, run.lag_changes)

    def _report_suspect(self, complete: ConditionUpdate, now: datetime) -> None:
        """Report a sample without objects, or a kind that is not served, but not again for each later sample."""
        known = reports.find_condition(self.status, Condition.COMPLETE)
        is_suspect = complete.reason in (Reason.NO_OBJECTS, Reason.KINDS_NOT_SERVED)
        if is_suspect and not same_json(known.get("reason"), str(complete.reason)):
            self.event(now, str(complete.reason), complete.message, warning=True)
            _log.warning("%s", complete.message, extra={"policy": self.name})

    def note_failure(self, request: str, error: GitsnapError, now: datetime) -> None:
        """Record and report a run that took no sample. ``request`` is the request that it was to serve, if any."""
        self.running = False
        follows = consequence_of(error)
        if follows.interrupted:
            if self.status.get("lastRunStatus") == "InProgress":
                self.report(lastRunStatus="Failed", failureMessage=INTERRUPTED)
            return
        self.runs.note_failure(now, backoff=follows.backoff, jitter=self.services.jitter, request=request)
        if request and not follows.transient:
            self.runs.handled_request = request  # the request is answered: another attempt needs a new value
        self._report_conditions(
            now,
            ConditionUpdate(Condition.READY, False, follows.run.reason, str(error)),
            failure=str(error),
            lastRunStatus="Failed",
            lastHandledCaptureAt=self.runs.handled_request or None,
        )
        self.services.metrics.count_failure(self.name, type(error).__name__)
        self.event(now, follows.run.event, str(error), warning=True)
        _log.warning("no sample was taken: %s", error, extra={"policy": self.name})

    def note_push(self, result: PushResult | None, now: datetime) -> None:
        """Record and report the end of a push; None where there was nothing to push."""
        self.pushing = False
        if result is None:
            self.runs.note_push_success()
            return
        if result.lag is not None:
            self.services.metrics.set_push_lag(self.name, result.lag, result.lag_changes)
        if result.error is not None:
            self._note_push_failure(result.error, result, now)
            return
        self.runs.note_push_success()
        pushed = result.pushed
        if pushed is None:
            return
        commit = pushed.commit[:12]
        update = ConditionUpdate(Condition.PUSHED, True, Reason.PUSHED, f"the remote is at {commit}")
        if pushed.problem:
            message = f"the remote is at {commit}; samples that retention removed are still there: {pushed.problem}"
            update = ConditionUpdate(Condition.PUSHED, True, Reason.NOT_PRUNED, message)
        self._report_conditions(now, update, keep_failure=True, lastPushedCommit=pushed.commit)
        if named := describe_unpushed(pushed.tags, pushed.changes):
            note = f"pushed {named}, commit {commit}"
            if pushed.tags:  # an Event for each change would hide the others
                self.event(now, "Pushed", note)
            _log.info("%s", note, extra={"policy": self.name})
        if pushed.notes_problem:
            _log.warning("names of authors were not pushed: %s", pushed.notes_problem, extra={"policy": self.name})
        if pushed.problem:
            _log.warning("nothing was removed from the remote: %s", pushed.problem, extra={"policy": self.name})

    def _note_push_failure(self, error: GitsnapError, result: PushResult, now: datetime) -> None:
        follows = consequence_of(error)
        self.runs.note_push_failure(now, backoff=follows.backoff, jitter=self.services.jitter)
        lacking = describe_unpushed(result.lag or 0, result.lag_changes)
        verb = "is" if (result.lag or 0) + result.lag_changes == 1 else "are"
        behind = f"{lacking} {verb}" if lacking else "the newest samples are"
        message = f"{behind} not on the remote: {error}"
        before = reports.find_condition(self.status, Condition.PUSHED)
        update = ConditionUpdate(Condition.PUSHED, False, follows.push.reason, message)
        self._report_conditions(now, update, keep_failure=True)
        self.services.metrics.count_failure(self.name, type(error).__name__)
        if not same_json(before.get("reason"), follows.push.reason):  # one Event for each reason, not for each attempt
            self.event(now, follows.push.event, message, warning=True)
        _log.warning("%s", message, extra={"policy": self.name})

    def give_up(self, problem: str, now: datetime) -> None:
        """Stop serving this Snapshot after a defect of gitsnap, until its spec changes."""
        self.policy = None
        update = ConditionUpdate(Condition.READY, False, consequence_of(InternalError).spec.reason, problem)
        self._report_conditions(now, update, failure=problem)
        self._report_next(None)

    def report(self, **fields: Any) -> None:
        """Report these fields of the status if any of them changed; None removes a field."""
        fields["observedGeneration"] = self._generation
        if all(name in self.status and same_json(self.status[name], value) for name, value in fields.items()):
            return
        self.status |= fields
        self.services.reporter.write_status(self.name, dict(self.status))

    def report_condition(self, update: ConditionUpdate | None, now: datetime) -> None:
        """Report a condition. None: drop the conditions that no longer apply."""
        self._report_conditions(now, *([update] if update is not None else []), keep_failure=True)

    def _report_conditions(
        self,
        now: datetime,
        *updates: ConditionUpdate,
        failure: str | None = None,
        keep_failure: bool = False,
        **fields: Any,
    ) -> None:
        """Report conditions and other fields; ``failureMessage`` becomes ``failure`` unless ``keep_failure`` is set."""
        policy = self.policy
        dropped = [Condition.PUSHED] if policy is not None and policy.push is None else []
        if policy is not None and (policy.follow is None or policy.suspend):
            dropped.append(Condition.FOLLOWING)
        conditions = reports.update_conditions(
            self.status.get("conditions") or (),
            updates,
            now=now,
            generation=self._generation,
            dropped=dropped,
        )
        ready = reports.find_condition({"conditions": conditions}, Condition.READY)
        self.services.metrics.set_ready(self.name, ready=ready.get("status") == "True")
        if not keep_failure:
            fields["failureMessage"] = reports.shorten(failure) if failure is not None else None
        self.report(conditions=conditions, **fields)

    def event(self, now: datetime, reason: str, note: str, *, warning: bool = False) -> None:
        """Write an Event about the Snapshot."""
        uid = str(self.document["metadata"].get("uid") or "")
        self.services.reporter.write_event(KubeEvent(self.name, uid, reason, note, now, warning=warning))

    @property
    def _generation(self) -> int:
        return int(self.document["metadata"].get("generation") or 0)

    def _is_ready(self) -> bool:
        return reports.find_condition(self.status, Condition.READY).get("status") == "True"

    def _ready_reason(self) -> str:
        return str(reports.find_condition(self.status, Condition.READY).get("reason") or "")
