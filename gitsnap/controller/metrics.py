"""What Prometheus scrapes: one series for each policy, gone when its Snapshot is. The only importer of its client.

Names and units follow Prometheus's "Metric and label naming": base units, seconds and bytes.
This module must not decide when a value changes.
"""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from gitsnap.controller.run import Taken
from gitsnap.core.model import SampleMetadata

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one controller."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each counter that nothing here asks for
        self._registry = CollectorRegistry()
        self._success = self._gauge("last_success_timestamp_seconds", "When the newest sample was taken.")
        self._interval = self._gauge(
            "expected_interval_seconds", "Time between two scheduled samples; absent without a schedule or suspended."
        )
        self._next = self._gauge("next_schedule_timestamp_seconds", "When the next sample is due.")
        self._duration = self._gauge("capture_duration_seconds", "How long the newest capture took.")
        self._objects = self._gauge("sample_objects", "Objects in the newest sample.")
        self._incomplete = self._gauge(
            "sample_incomplete_kinds", "Kinds of which the newest sample could not read something."
        )
        self._unresolved = self._gauge("sample_unresolved_references", "References that could not be followed.")
        self._samples = self._gauge("archive_samples", "Samples in the archive.")
        self._bytes = self._gauge("archive_bytes", "Size of the archive on disk, without its working tree.")
        self._lag = self._gauge("push_lag_samples", "Samples that the remote lacks; absent without a remote.")
        self._ready = self._gauge("ready", "1 where the condition Ready is true, else 0.")
        self._leading = Gauge(
            "gitsnap_leading",
            "1 while this process holds the Lease and takes samples, else 0.",
            registry=self._registry,
        )
        self._captures = self._counter("captures", "Samples taken.", "trigger")
        self._changes = self._counter("changes", "Objects that changed between samples.", "action")
        self._removed = Counter(
            "gitsnap_removed_samples", "Samples that retention took.", ["policy"], registry=self._registry
        )
        self._errors = self._counter("errors", "Captures, pushes and retentions that failed, by class.", "error")
        self._by_policy = (
            self._success, self._interval, self._next, self._duration, self._objects, self._incomplete,
            self._unresolved, self._samples, self._bytes, self._ready, self._lag,
        )  # fmt: skip

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gitsnap_{name}", text, ["policy"], registry=self._registry)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"gitsnap_{name}", text, ["policy", label], registry=self._registry)

    def taken(self, policy: str, taken: Taken) -> None:
        """A sample was taken."""
        recorded, facts = taken.result.recorded, taken.result.recorded.sample.metadata
        self.archive(policy, facts, samples=taken.samples, repository_bytes=taken.repository_bytes)
        self._duration.labels(policy).set(taken.seconds)
        self._captures.labels(policy, str(facts.trigger)).inc()
        changes = recorded.changes
        for action, count in (("added", changes.added), ("modified", changes.modified), ("deleted", changes.deleted)):
            self._changes.labels(policy, action).inc(count)

    def removed(self, policy: str, count: int) -> None:
        """Retention took so many samples."""
        self._removed.labels(policy).inc(count)

    def push_lag(self, policy: str, samples: int) -> None:
        """How many samples the remote lacks."""
        self._lag.labels(policy).set(samples)

    def archive(self, policy: str, newest: SampleMetadata, *, samples: int, repository_bytes: int) -> None:
        """What the archive holds, after a sample as after a restart."""
        self._success.labels(policy).set(newest.time.timestamp())
        self._objects.labels(policy).set(newest.objects)
        self._incomplete.labels(policy).set(len({one.kind for one in newest.incomplete}))
        self._unresolved.labels(policy).set(newest.unresolved)
        self._samples.labels(policy).set(samples)
        self._bytes.labels(policy).set(repository_bytes)

    def leading(self, *, leading: bool) -> None:
        """Whether this process is the one that works."""
        self._leading.set(1 if leading else 0)

    def failed(self, policy: str, error: str) -> None:
        """A run failed; ``error`` is the name of the error's class."""
        self._errors.labels(policy, error).inc()

    def no_remote(self, policy: str) -> None:
        """The policy names no remote, or none any more."""
        self._lag.remove_by_labels({"policy": policy})

    def planned(self, policy: str, *, upcoming: datetime | None, interval: float | None) -> None:
        """When the next sample is due, and how many seconds lie between two."""
        for gauge, value in ((self._next, upcoming.timestamp() if upcoming else None), (self._interval, interval)):
            if value is None:
                gauge.remove_by_labels({"policy": policy})
            else:
                gauge.labels(policy).set(value)

    def ready(self, policy: str, *, ready: bool) -> None:
        """The condition Ready."""
        self._ready.labels(policy).set(1 if ready else 0)

    def forget(self, policy: str) -> None:
        """The Snapshot is gone, and with it its series."""
        for metric in (*self._by_policy, self._captures, self._changes, self._removed, self._errors):
            metric.remove_by_labels({"policy": policy})

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
