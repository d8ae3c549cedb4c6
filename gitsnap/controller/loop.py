"""The controller's loop: receives Snapshots, starts runs that are due, and records their outcome.

Only the thread of the loop touches the state of served Snapshots. Other threads send messages to it through a queue.
"""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar

from gitsnap.controller import follow_reports
from gitsnap.controller.audit import AuditReceiver, AuditSettings
from gitsnap.controller.clock import Instant
from gitsnap.controller.due import decide
from gitsnap.controller.followers import Followers
from gitsnap.controller.http import Endpoints
from gitsnap.controller.lease import LeaseGuard
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.permissions import Permissions
from gitsnap.controller.policy_state import ServedPolicy, Services
from gitsnap.controller.reporter import OLD_FINALIZER, Reporter
from gitsnap.controller.run import Connect, Sampler
from gitsnap.controller.snapshot_watch import SnapshotWatch
from gitsnap.controller.workers import Note, Workers, report_defect
from gitsnap.core.changes import Author
from gitsnap.core.model import CommitId, JsonObject
from gitsnap.core.objects import same_json
from gitsnap.policy.snapshot import Policy

LEASE_NAME = "gitsnap-controller"
_LONGEST_WAIT = 10.0
"""The longest time between two steps, in seconds, so that a change of the wall clock is noticed soon."""

_FOLLOW_PAUSE = timedelta(seconds=0.5)
"""The time between two checks whether follow mode has started, while a sample is due."""

_STALLED_SECONDS = 120.0
"""A loop without a step for this time is reported as unhealthy."""

_FLUSH_SECONDS = 2.0
"""How long the process waits at its end for reports, and for the release of the Lease."""

_system_random = random.SystemRandom()
_R = TypeVar("_R")
_Message = Callable[[datetime], None]
"""Runs in the thread of the loop, with the time of the step."""

_log = logging.getLogger(__name__)


class Lease(Protocol):
    """Decides whether this process works; ``LeaseGuard`` implements it."""

    term: int
    problem: str

    def held(self, monotonic: float) -> bool:
        """Whether this process may work at a monotonic time."""

    def start(self) -> None:
        """Take and renew the Lease in a thread."""

    def release(self, seconds: float) -> None:
        """Release the Lease within ``seconds``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a controller runs."""

    storage: Path
    """Folder of the archives of Snapshots that name no other folder."""
    namespace: str
    """Namespace of the Lease."""
    identity: str
    """Holder of the Lease: the pod's name."""
    listen: tuple[str, int]
    """Address and port of the probes and metrics."""
    workers: int = 2
    """Samples taken at a time."""
    permissions: Permissions = field(default_factory=Permissions)
    grace_seconds: float = 20.0
    """How long a run may continue after the process was asked to stop."""
    audit: AuditSettings | None = None
    """The audit receiver. None: there is none."""


class Controller:
    """Serves the Snapshots of one cluster."""

    def __init__(
        self,
        settings: Settings,
        connect: Connect,
        *,
        now: Callable[[], datetime],
        jitter: Callable[[], float] = _system_random.random,
        lease: Lease | None = None,
    ) -> None:
        """Bind the ports. Raises InputError if a port cannot be bound, or the audit receiver cannot be secured.

        ``now`` is the wall clock. ``jitter`` returns a number from 0 to 1. ``lease`` replaces the Lease in the cluster.
        """
        self._settings = settings
        self._now = now
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        """Messages from other threads, and from signal handlers: its ``put`` may interrupt any line of the loop."""
        self._received: list[_Message] = []
        """Messages that ``wait`` took from the inbox."""
        self._documents: dict[str, JsonObject] = {}
        """The last report of the watch about every Snapshot. Kept up to date while another process holds the Lease."""
        self._unread: set[str] = set()
        """Names of Snapshots that were created, changed or deleted since ``_read_changes``."""
        self._served: dict[str, ServedPolicy] = {}
        self._term = 0
        """The term of the Lease in which ``_served`` was filled. After a new term another holder may have worked."""
        self.metrics = Metrics()
        self._reporter = Reporter(connect, instance=settings.identity)
        sampler = Sampler(storage=settings.storage, connect=connect, now=now, permissions=settings.permissions)
        self._services = Services(self._reporter, self.metrics, jitter, sampler.check)
        self._watch = SnapshotWatch(connect, self)
        self._lease = lease or LeaseGuard(
            connect,
            namespace=settings.namespace,
            name=LEASE_NAME,
            identity=settings.identity,
            on_change=self.wake,
            now=now,
        )
        self._endpoints = Endpoints(
            *settings.listen,
            healthy=lambda: self.health_problem(time.monotonic()),
            ready=lambda: self.readiness_problem(time.monotonic()),
            metrics=self.metrics.text,
        )
        self._audit: AuditReceiver | None = None
        if settings.audit is not None:
            self._audit = AuditReceiver(settings.audit, self.metrics, note_authors=self._note_authors)
            sampler.audit = self._audit
        self._sampler = sampler
        self._workers = Workers(
            sampler,
            samplers=settings.workers,
            send=self._send,
        )
        self._followers = Followers(
            sampler, lambda name, note: self._inbox.put(lambda now: self._note(name, note, now))
        )
        self._stopping = False
        self._last_step = time.monotonic()

    @property
    def port(self) -> int:
        """Port of the probes and metrics."""
        return self._endpoints.port

    @property
    def policies(self) -> Mapping[str, ServedPolicy]:
        """The Snapshots that are served, by name. For the thread of the loop only."""
        return MappingProxyType(self._served)

    @property
    def busy(self) -> bool:
        """Whether a sample is taken, a push runs or an archive is read. For the thread of the loop only."""
        return any(served.busy for served in self._served.values())

    # Called from other threads ----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Make the loop end. Running samples are finished within the grace period, or abandoned."""
        self._workers.abandon_at = time.monotonic() + self._settings.grace_seconds
        self._inbox.put(self._stop)

    def wake(self) -> None:
        """Make the loop take a step now."""
        self._inbox.put(lambda _now: None)

    def _send(self, name: str, note: Note) -> None:
        self._inbox.put(lambda now: self._note(name, note, now))

    def _note_authors(self, policy: Policy, authors: Mapping[CommitId, Author]) -> None:
        """Write notes with names that became known late, and request a push. Raises GitsnapError."""
        self._sampler.note_authors(policy, authors)
        self._send(policy.name, follow_reports.note_names(len(authors)))

    def on_list(self, documents: Sequence[JsonObject]) -> None:
        """Receive all Snapshots that exist, from the watch."""
        self._inbox.put(lambda _now: self._note_list(documents))

    def on_change(self, document: JsonObject) -> None:
        """Receive a new or changed Snapshot, from the watch."""
        self._inbox.put(lambda _now: self._note_document(document))

    def on_delete(self, document: JsonObject) -> None:
        """Receive a deleted Snapshot, from the watch."""
        self._inbox.put(lambda _now: self._note_deletion(str(document["metadata"]["name"])))

    def health_problem(self, monotonic: float) -> str:
        """Why the process should be restarted; ``""`` where it is healthy."""
        silent = monotonic - self._last_step
        return f"the loop has been silent for {silent:.0f} s" if silent > _STALLED_SECONDS else ""

    def readiness_problem(self, monotonic: float) -> str:
        """Why Snapshots are not served; ``""`` where they are, and where another process holds the Lease."""
        return self.health_problem(monotonic) or self._watch.problem or self._lease.problem

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Serve until ``stop`` is called.

        Returns whether every run has ended. If not, threads still run, and the process must not wait for them.
        """
        self._endpoints.start()
        self._lease.start()
        self._reporter.start()
        self._watch.start()
        _log.info("serving Snapshots; probes and metrics on port %d", self.port)
        if self._audit is not None:
            self._audit.start()
            _log.info("receiving audit events on port %d", self._audit.port)
        wait = 0.0
        while not self._stopping:
            self.wait(wait)
            wait = self.step(Instant.read(self._now))
        return self.finish()

    def wait(self, seconds: float) -> None:
        """Wait for a message, at most ``seconds``."""
        with suppress(queue.Empty):
            self._received.append(self._inbox.get(timeout=max(seconds, 0.001)))

    def step(self, now: Instant) -> float:
        """Handle the messages that wait, and start the work that is due; returns the seconds until the next step."""
        self._last_step = now.monotonic
        self._handle_messages(now.time)
        if self._stopping:
            return 0.0
        next_step = now.time + timedelta(seconds=_LONGEST_WAIT)
        if self._lease.term != self._term:
            self._change_term()
        held = self._lease.held(now.monotonic)
        self.metrics.set_leading(leading=held)
        if held:
            self._read_changes(now.time)
            for served in list(self._served.values()):
                look_again = self._start_due_work(served, now.time)
                next_step = min(next_step, look_again or next_step)
        self._follow(held=held)
        return (next_step - now.time).total_seconds()

    def _follow(self, *, held: bool) -> None:
        """Start and end the follow modes of the served policies. Without the Lease none runs."""
        ready = {name: served.followed for name, served in self._served.items()} if held else {}
        self._followers.update({name: policy for name, policy in ready.items() if policy is not None})

    def finish(self) -> bool:
        """Wait for running work within the grace period, write the last reports, release the Lease, free the port.

        Returns whether all work has ended. Other work is abandoned and leaves its archive as a killed process would;
        the next run cleans up.
        """
        if self.busy:
            _log.info("asked to stop: finishing the samples that are being taken")
        deadline = self._workers.abandon_at + 2.0
        while self.busy and time.monotonic() < deadline:
            self.wait(0.2)
            self._handle_messages(self._now())
        self._followers.close(_FLUSH_SECONDS)
        self._reporter.flush(_FLUSH_SECONDS)
        self._lease.release(_FLUSH_SECONDS)
        self._endpoints.close()
        if self._audit is not None:
            self._audit.close()
        _log.info("stopped")
        return not self.busy

    def _stop(self, _now: datetime) -> None:
        self._stopping = True
        self._workers.close()

    def _handle_messages(self, now: datetime) -> None:
        while self._received or not self._inbox.empty():
            message = self._received.pop(0) if self._received else self._inbox.get_nowait()
            message(now)

    # One policy -------------------------------------------------------------------------------------------------------

    def _start_due_work(self, served: ServedPolicy, now: datetime) -> datetime | None:
        """Start the due work of a policy. Returns the time of the next decision; None to wait for a message."""
        return self._guarded(served, now, lambda: self._start(served, now))

    def _start(self, served: ServedPolicy, now: datetime) -> datetime | None:
        if served.policy is None or served.running or served.reading or served.deleting:
            return None
        decision = decide(served.policy, served.runs, now, request=served.request)
        served.note_decision(decision, now)
        if decision.trigger is not None and served.followed is not None and self._followers.is_starting(served.name):
            return now + _FOLLOW_PAUSE
        if decision.trigger is not None:
            follow = self._followers.runner(served.name)
            self._workers.start_sample(served, served.policy, decision.trigger, decision.request, follow=follow)
            return None
        if decision.push and not served.pushing:
            self._workers.start_push(served, served.policy)
        return decision.look_again

    def _note(self, name: str, note: Note, now: datetime) -> None:
        served = self._served.get(name)
        if served is not None:  # otherwise the Snapshot was deleted meanwhile; the sample stays
            self._guarded(served, now, lambda: note(served, now))

    @staticmethod
    def _guarded(served: ServedPolicy, now: datetime, action: Callable[[], _R]) -> _R | None:
        """Act on one policy. After a defect the policy is no longer served, so that the loop continues without it."""
        try:
            return action()
        except Exception as error:  # a defect with one policy must not stop the other policies
            served.give_up(report_defect(served.name, error), now)
            return None

    # Snapshots from the watch -----------------------------------------------------------------------------------------

    def _note_list(self, documents: Sequence[JsonObject]) -> None:
        self._unread |= self._documents.keys()
        self._documents = {str(document["metadata"]["name"]): document for document in documents}
        self._unread |= self._documents.keys()

    def _note_document(self, document: JsonObject) -> None:
        name = str(document["metadata"]["name"])
        self._documents[name] = document
        self._unread.add(name)

    def _note_deletion(self, name: str) -> None:
        self._documents.pop(name, None)
        self._unread.add(name)

    def _change_term(self) -> None:
        """Forget every policy: another process held the Lease, or holds it now, and may have changed the archives."""
        for name in list(self._served):
            self._drop(name)
        self._unread = set(self._documents)
        self._term = self._lease.term

    def _read_changes(self, now: datetime) -> None:
        """Read the Snapshots that the watch reported since the last step."""
        unread, self._unread = sorted(self._unread), set()
        for name in unread:
            document = self._documents.get(name)
            known = self._served.get(name)
            if known is not None and (
                document is None
                or not same_json(known.document["metadata"].get("uid"), document["metadata"].get("uid"))
            ):
                _log.info("the Snapshot was deleted; its archive stays", extra={"policy": name})
                self._drop(name)
            if document is not None:
                self._serve(name, document, now)

    def _serve(self, name: str, document: JsonObject, now: datetime) -> None:
        known = self._served.get(name)
        served = known or ServedPolicy.new(document, self._services, now)
        self._served[name] = served
        storage = served.policy.storage if served.policy is not None else None
        self._guarded(served, now, lambda: served.read(document, now))
        if served.policy is not None and served.policy.storage != storage and not served.busy:
            self._workers.start_reading(served, served.policy)
        if served.deleting and OLD_FINALIZER in (document["metadata"].get("finalizers") or ()):
            self._reporter.remove_finalizer(document)

    def _drop(self, name: str) -> None:
        """Stop serving a Snapshot. Its archive stays."""
        del self._served[name]
        self._reporter.forget(name)
        self.metrics.forget(name)
