"""Tells the cluster what happened: the status of Snapshots, Events, and finalizers of the old feature taken off.

A thread of its own, so that an API server that is away delays nothing; only the newest status of a Snapshot counts.
This module must not decide what is said.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gitsnap.controller.run import Connect
from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import ControlPlane
from gitsnap.policy.snapshot import API_VERSION, SNAPSHOT

REPORTER = "gitsnap.io/controller"
OLD_FINALIZER = "snapshotfinalizer.projectsveltos.io"
"""Of the feature that this one succeeds: nobody else takes it off any more (sveltosctl v0.57)."""

EVENT = Kind("events.k8s.io", "Event")
EVENT_NAMESPACE = "default"
"""Where the Events of cluster-scoped objects are kept."""

_LONGEST_NOTE = 1000
_MOST_PENDING = 2000
_PAUSES = (1.0, 30.0)

_Job = Callable[[ControlPlane], object]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Happening:
    """One Kubernetes Event about a Snapshot."""

    name: str
    uid: str
    reason: str
    """One word: ``Captured``, ``CaptureFailed`` …"""
    note: str
    at: datetime
    warning: bool = False


class Reporter:
    """What is to be told, in order, and the thread that tells it."""

    def __init__(self, connect: Connect, *, instance: str) -> None:
        self._connect = connect
        self._instance = instance
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._changed = threading.Condition()
        self._busy = False

    def start(self) -> None:
        """Report in a thread that ends with the process."""
        threading.Thread(target=self._forever, name="report", daemon=True).start()

    def status(self, name: str, status: JsonObject) -> None:
        """Make this the status of a Snapshot, in place of one that could not be told yet; None takes a field away."""
        self._add("status", name, lambda cluster: cluster.patch_status(_key(name), {"status": status}))

    def event(self, happening: Happening) -> None:
        """Record an Event; it is lost where very many could not be told."""
        document = _event_document(happening, self._instance)
        self._add("event", str(document["metadata"]["name"]), lambda cluster: cluster.create(document))

    def release(self, document: JsonObject) -> None:
        """Take the old feature's finalizer off a Snapshot that is to be deleted."""
        metadata = document["metadata"]
        name, left = str(metadata["name"]), [one for one in metadata["finalizers"] if one != OLD_FINALIZER]
        patch: JsonObject = {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
        self._add("finalizers", name, lambda cluster: cluster.patch(_key(name), patch))

    def forget(self, name: str) -> None:
        """The Snapshot is gone: its status is nobody's business."""
        with self._changed:
            self._jobs.pop(("status", name), None)

    def flush(self, seconds: float) -> bool:
        """Wait until everything is told, at most so long; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, seconds)

    def _add(self, kind: str, name: str, job: _Job) -> None:
        with self._changed:
            if len(self._jobs) < _MOST_PENDING or kind != "event":
                self._jobs[kind, name] = job
            self._changed.notify_all()

    def _forever(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs))
                self._busy = True
            try:
                self._tell_all(self._connect())
                failures = 0
            except GitsnapError as error:
                failures += 1
                _log.warning("what happened cannot be reported now: %s", error.message)
            except Exception:  # a thread that ends would leave every status as it is for ever
                failures += 1
                _log.exception("a defect of gitsnap")
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
            if failures:
                first, longest = _PAUSES
                threading.Event().wait(min(first * 2 ** min(failures - 1, 10), longest))

    def _tell_all(self, cluster: ControlPlane) -> None:
        """Raises what may pass by itself, the job kept; what the server refuses is logged and dropped."""
        while True:
            with self._changed:
                if not self._jobs:
                    return
                place = next(iter(self._jobs))
                job = self._jobs.pop(place)
            try:
                job(cluster)
            except NotFoundError:
                _log.info("the Snapshot %s is gone: its %s is not reported", place[1], place[0])
            except GitsnapError as error:
                moved = isinstance(error, ConflictError) and place[0] == "finalizers"  # it is seen, and released, anew
                if error.retryable and not moved:
                    with self._changed:
                        self._jobs.setdefault(place, job)
                    raise
                _log.warning("%s of %s: %s", place[0], place[1], error.message)


def _key(name: str) -> ObjectKey:
    return ObjectKey(SNAPSHOT, "", name)


def _event_document(happening: Happening, instance: str) -> JsonObject:
    """An Event of events.k8s.io/v1, which ``kubectl describe`` and ``kubectl events`` show."""
    note = happening.note
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{happening.name}.{uuid.uuid4().hex[:16]}", "namespace": EVENT_NAMESPACE},
        "eventTime": happening.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": instance[:128],
        "action": "Capture",
        "reason": happening.reason,
        "type": "Warning" if happening.warning else "Normal",
        "note": note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": SNAPSHOT.name,
            "name": happening.name,
            "uid": happening.uid,
        },
    }
