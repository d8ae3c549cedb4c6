"""Prometheus metrics. The series of a policy exist as long as its Snapshot.

Names and units follow Prometheus's "Metric and label naming": base units, seconds and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from gitsnap.controller.run_results import RunResult
from gitsnap.core.changes import AuthorSource
from gitsnap.core.model import SampleMetadata
from gitsnap.core.recording import RecordedChange

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one controller."""

    def __init__(self) -> None:
        disable_created_metrics()  # otherwise each counter has a second series
        self._registry = CollectorRegistry()
        self._success = self._gauge("last_success_timestamp_seconds", "Time of the newest sample.")
        self._interval = self._gauge(
            "expected_interval_seconds",
            "Time between two scheduled samples; absent without a schedule or while suspended.",
        )
        self._next = self._gauge("next_schedule_timestamp_seconds", "Time of the next scheduled sample.")
        self._duration = self._gauge("capture_duration_seconds", "Duration of the newest capture.")
        self._objects = self._gauge("sample_objects", "Objects in the newest sample.")
        self._incomplete = self._gauge("sample_incomplete_kinds", "Kinds that the newest sample could not read wholly.")
        self._unresolved = self._gauge(
            "sample_unresolved_references", "References of the newest sample that could not be followed."
        )
        self._samples = self._gauge("archive_samples", "Samples in the archive.")
        self._bytes = self._gauge("archive_bytes", "Size of .git on disk.")
        self._lag = self._gauge("push_lag_samples", "Samples that the remote lacks; absent without a remote.")
        self._lag_changes = self._gauge(
            "push_lag_changes", "Changes by follow mode that the remote lacks; absent without a remote."
        )
        self._ready = self._gauge("ready", "1 if the condition Ready is True, otherwise 0.")
        self._leading = Gauge(
            "gitsnap_leading",
            "1 while this process holds the Lease and takes samples, otherwise 0.",
            registry=self._registry,
        )
        self._captures = self._counter("captures", "Samples taken.", "trigger")
        self._changes = self._counter("changes", "Objects that changed between samples.", "action")
        self._removed = Counter(
            "gitsnap_removed_samples", "Samples that retention removed.", ["policy"], registry=self._registry
        )
        self._errors = self._counter(
            "errors", "Captures, pushes and retentions that failed, by class of the error.", "error"
        )
        self._following = self._gauge(
            "following", "1 while changes are followed, otherwise 0; absent without spec.follow."
        )
        self._follow_lag = self._gauge(
            "follow_lag_seconds", "How long the oldest change has waited to be committed; 0 if none waits."
        )
        self._follow_watches = self._gauge(
            "follow_watches", "Lists whose changes arrive: open watches, and lists that are read every 10 seconds."
        )
        self._follow_changes = self._counter(
            "follow_changes", "Changes that follow mode recorded, by the source of the author's name.", "source"
        )
        self._follow_missed = Counter(
            "gitsnap_follow_missed_objects",
            "Objects whose change follow mode missed, as a sample found.",
            ["policy"],
            registry=self._registry,
        )
        self._audit: dict[str, Counter] = {}
        self._by_policy = (
            self._success, self._interval, self._next, self._duration, self._objects, self._incomplete,
            self._unresolved, self._samples, self._bytes, self._ready, self._lag, self._lag_changes, self._following,
            self._follow_lag, self._follow_watches,
        )  # fmt: skip

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gitsnap_{name}", text, ["policy"], registry=self._registry)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"gitsnap_{name}", text, ["policy", label], registry=self._registry)

    def count_run(self, policy: str, run: RunResult) -> None:
        """Count a run that took a sample, and set the gauges of its archive."""
        recorded, metadata = run.capture.recorded, run.capture.recorded.sample.metadata
        self.set_archive(policy, metadata, samples=run.samples, repository_bytes=run.repository_bytes)
        self._duration.labels(policy).set(run.seconds)
        self._captures.labels(policy, str(metadata.trigger)).inc()
        changes = recorded.changes
        for action, count in (("added", changes.added), ("modified", changes.modified), ("deleted", changes.deleted)):
            self._changes.labels(policy, action).inc(count)

    def count_removed(self, policy: str, count: int) -> None:
        """Count samples that retention removed."""
        self._removed.labels(policy).inc(count)

    def set_push_lag(self, policy: str, samples: int, changes: int) -> None:
        """Set the numbers of samples and changes that the remote lacks."""
        self._lag.labels(policy).set(samples)
        self._lag_changes.labels(policy).set(changes)

    def set_archive(self, policy: str, newest: SampleMetadata, *, samples: int, repository_bytes: int) -> None:
        """Set the gauges of an archive, after a sample or after a restart of the controller."""
        self._success.labels(policy).set(newest.time.timestamp())
        self._objects.labels(policy).set(newest.objects)
        self._incomplete.labels(policy).set(len({entry.kind for entry in newest.incomplete}))
        self._unresolved.labels(policy).set(newest.unresolved)
        self._samples.labels(policy).set(samples)
        self._bytes.labels(policy).set(repository_bytes)

    def set_leading(self, *, leading: bool) -> None:
        """Set whether this process holds the Lease."""
        self._leading.set(1 if leading else 0)

    def count_failure(self, policy: str, error: str) -> None:
        """Count a failure; ``error`` is the name of the error's class."""
        self._errors.labels(policy, error).inc()

    def set_following(self, policy: str, *, following: bool) -> None:
        """Set whether changes are followed."""
        self._following.labels(policy).set(1 if following else 0)
        self._follow_missed.labels(policy)  # counters begin at 0: `increase` does not see the first value of a series
        for source in AuthorSource:
            self._follow_changes.labels(policy, str(source))

    def observe_runner(self, policy: str, *, lag: Callable[[], float], watches: Callable[[], float]) -> None:
        """Read lag and number of watches from follow mode whenever the metrics are read."""
        self._follow_lag.labels(policy).set_function(lag)
        self._follow_watches.labels(policy).set_function(watches)

    def remove_following(self, policy: str) -> None:
        """Remove the gauges of a policy that is not to be followed."""
        for gauge in (self._following, self._follow_lag, self._follow_watches):
            gauge.remove_by_labels({"policy": policy})

    def count_follow_changes(self, policy: str, changes: Sequence[RecordedChange]) -> None:
        """Count changes that follow mode recorded."""
        for change in changes:
            self._follow_changes.labels(policy, str(change.author.source)).inc()

    def count_missed(self, policy: str, objects: int) -> None:
        """Count the objects that follow mode missed."""
        self._follow_missed.labels(policy).inc(objects)

    def enable_audit(self) -> None:
        """Add the series of the audit receiver, which are absent without it."""
        for name, text, labels in (
            ("audit_requests", "Requests to the audit receiver, by status of the answer.", ["code"]),
            ("audit_events", "Audit events that arrived.", []),
            ("audit_unread", "Documents that are not audit events.", []),
            ("audit_dropped_events", "Audit events that were dropped because too many waited.", []),
            ("audit_late_names", "Names of authors that became known after their change was recorded.", ["policy"]),
        ):
            self._audit[name] = Counter(f"gitsnap_{name}", text, labels, registry=self._registry)

    def count_audit_request(self, status: int) -> None:
        """Count a request to the audit receiver."""
        self._audit["audit_requests"].labels(str(status)).inc()

    def count_audit_events(self, events: int, *, unread: int) -> None:
        """Count events that were read, and documents that are not events."""
        self._audit["audit_events"].inc(events)
        self._audit["audit_unread"].inc(unread)

    def count_dropped_audit_events(self, events: int) -> None:
        """Count events that were dropped."""
        self._audit["audit_dropped_events"].inc(events)

    def count_late_names(self, policy: str, names: int) -> None:
        """Count names that became known late."""
        self._audit["audit_late_names"].labels(policy).inc(names)

    def remove_push_lag(self, policy: str) -> None:
        """Remove the push lag of a policy without a remote."""
        for gauge in (self._lag, self._lag_changes):
            gauge.remove_by_labels({"policy": policy})

    def set_schedule(self, policy: str, *, upcoming: datetime | None, interval: float | None) -> None:
        """Set the next scheduled time and the seconds between two scheduled times; None removes a series."""
        for gauge, value in ((self._next, upcoming.timestamp() if upcoming else None), (self._interval, interval)):
            if value is None:
                gauge.remove_by_labels({"policy": policy})
            else:
                gauge.labels(policy).set(value)

    def set_ready(self, policy: str, *, ready: bool) -> None:
        """Set whether the condition Ready is True."""
        self._ready.labels(policy).set(1 if ready else 0)

    def forget(self, policy: str) -> None:
        """Remove the series of a Snapshot that was deleted."""
        for metric in (
            *self._by_policy,
            self._captures,
            self._changes,
            self._removed,
            self._errors,
            self._follow_changes,
            self._follow_missed,
            *(metric for name, metric in self._audit.items() if name == "audit_late_names"),
        ):
            metric.remove_by_labels({"policy": policy})

    def text(self) -> bytes:
        """All series in the text exposition format."""
        return generate_latest(self._registry)
