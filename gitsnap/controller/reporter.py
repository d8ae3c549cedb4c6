"""Writes reports to the cluster: statuses and Events of Snapshots, and the removal of the old feature's finalizer.

A separate thread writes the reports, so that an unreachable API server delays nothing else. Only the newest status of a
Snapshot is kept until it can be written.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gitsnap.controller.run import Connect
from gitsnap.core.consequences import Backoff, consequence_of
from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import ControlPlane
from gitsnap.policy.snapshot import API_VERSION, SNAPSHOT

REPORTER = "gitsnap.io/controller"
OLD_FINALIZER = "snapshotfinalizer.projectsveltos.io"
"""Finalizer of the old Snapshot feature of Sveltos. No other controller removes it (sveltosctl v0.57)."""

EVENT = Kind("events.k8s.io", "Event")
EVENT_NAMESPACE = "default"
"""The namespace of Events about cluster-scoped objects."""

_LONGEST_NOTE = 1000
"""Characters; the API server takes 1024 bytes."""

_MOST_PENDING = 2000
"""The largest number of reports that wait. Further Events are dropped."""

_BACKOFF = Backoff(1.0, 30.0)

_Job = Callable[[ControlPlane], object]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """A Kubernetes Event about a Snapshot."""

    name: str
    uid: str
    reason: str
    """``Captured``, ``CaptureFailed`` …"""
    note: str
    at: datetime
    warning: bool = False


class Reporter:
    """A queue of reports and the thread that writes them."""

    def __init__(self, connect: Connect, *, instance: str) -> None:
        """``instance`` names this process in Events."""
        self._connect = connect
        self._instance = instance
        self._jobs: dict[tuple[str, str], _Job] = {}
        """Reports that wait, by subject (status, event, finalizers) and name, in the order in which they were added."""
        self._changed = threading.Condition()
        self._busy = False
        self._started = False

    def start(self) -> None:
        """Write reports in a thread that ends with the process."""
        self._started = True
        threading.Thread(target=self._forever, name="report", daemon=True).start()

    def write_status(self, name: str, status: JsonObject) -> None:
        """Write the status of a Snapshot. It replaces a status that waits. A field that is None is removed."""
        self._add("status", name, lambda cluster: cluster.patch_status(_key(name), {"status": status}))

    def write_event(self, event: KubeEvent) -> None:
        """Write an Event. The Event is dropped while too many reports wait."""
        document = _event_document(event, self._instance)
        self._add("event", str(document["metadata"]["name"]), lambda cluster: cluster.create(document))

    def remove_finalizer(self, document: JsonObject) -> None:
        """Remove the old feature's finalizer from a Snapshot that is being deleted."""
        metadata = document["metadata"]
        name = str(metadata["name"])
        left = [finalizer for finalizer in metadata["finalizers"] if finalizer != OLD_FINALIZER]
        patch: JsonObject = {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
        self._add("finalizers", name, lambda cluster: cluster.patch(_key(name), patch))

    def forget(self, name: str) -> None:
        """Drop the waiting status of a Snapshot that was deleted."""
        with self._changed:
            self._jobs.pop(("status", name), None)

    def flush(self, seconds: float) -> bool:
        """Wait until every report is written, at most ``seconds``. Returns whether every report is written."""
        if not self._started:
            return not self._jobs
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, seconds)

    def _add(self, subject: str, name: str, job: _Job) -> None:
        with self._changed:
            if len(self._jobs) < _MOST_PENDING or subject != "event":
                self._jobs[subject, name] = job
            self._changed.notify_all()

    def _forever(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs))
                self._busy = True
            try:
                self._write_all(self._connect())
                failures = 0
            except GitsnapError as error:
                failures += 1
                _log.warning("status and Events cannot be written now: %s", error.message)
            except Exception:  # without this thread no status would change
                failures += 1
                _log.exception("a defect of gitsnap")
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
            if failures:
                threading.Event().wait(_BACKOFF.pause(failures))

    def _write_all(self, cluster: ControlPlane) -> None:
        """Write the reports that wait. A report that the server refuses is logged and dropped.

        Raises an error that may pass by itself, and keeps the report.
        """
        while True:
            with self._changed:
                if not self._jobs:
                    return
                subject, name = next(iter(self._jobs))
                job = self._jobs.pop((subject, name))
            try:
                job(cluster)
            except NotFoundError:
                _log.info("the Snapshot %s is gone: its %s is not written", name, subject)
            except GitsnapError as error:
                # After a conflict about finalizers the watch reports the Snapshot again: the finalizer is removed then.
                outdated = isinstance(error, ConflictError) and subject == "finalizers"
                if consequence_of(error).transient and not outdated:
                    with self._changed:
                        self._jobs.setdefault((subject, name), job)
                    raise
                _log.warning("%s of %s cannot be written: %s", subject, name, error.message)


def _key(name: str) -> ObjectKey:
    return ObjectKey(SNAPSHOT, "", name)


def _event_document(event: KubeEvent, instance: str) -> JsonObject:
    """The Event as an object of events.k8s.io/v1, which ``kubectl describe`` and ``kubectl events`` show."""
    note = event.note
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{event.name}.{uuid.uuid4().hex[:16]}", "namespace": EVENT_NAMESPACE},
        "eventTime": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": instance[:128],
        "action": "Capture",
        "reason": event.reason,
        "type": "Warning" if event.warning else "Normal",
        "note": note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": SNAPSHOT.name,
            "name": event.name,
            "uid": event.uid,
        },
    }
