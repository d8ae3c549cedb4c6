"""The controller's loop: hears of Snapshots, starts a run where one is due, and takes note of how it went.

Only this thread touches what is known of a Snapshot; others talk to it through a queue.
This module must not take samples itself, nor talk to a cluster.
"""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from gitsnap.controller.due import decide
from gitsnap.controller.http import Endpoints
from gitsnap.controller.lease import LeaseGuard
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.permissions import Permissions
from gitsnap.controller.policy_state import Desk, ServedPolicy
from gitsnap.controller.reporter import OLD_FINALIZER, Reporter
from gitsnap.controller.run import Connect, Found, PushReport, Sampler, Taken
from gitsnap.controller.snapshot_watch import SnapshotWatch
from gitsnap.core.errors import AbortedError, GitsnapError, InternalError
from gitsnap.core.model import JsonObject, Trigger
from gitsnap.core.objects import same_json
from gitsnap.policy.snapshot import Policy

LEASE_NAME = "gitsnap-controller"
_LONGEST_WAIT = 10.0
"""Seconds between two looks at the clock: so soon is a step of it noticed."""

_STALLED_SECONDS = 120.0

_PUSHERS = 4
"""Pushes at one time. They have workers of their own: a remote that hangs must not keep samples from being taken."""

_LOOKERS = 8
"""Archives that are looked at at one time when they are served anew: a volume that hangs must not stop the loop."""

_chance = random.SystemRandom()
_R = TypeVar("_R")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a controller runs."""

    storage: Path
    """Folder of the archives whose Snapshot names none."""
    namespace: str
    """Where the Lease is."""
    identity: str
    """Who holds the Lease: the pod's name."""
    listen: tuple[str, int]
    """Address and port of the probes and metrics."""
    workers: int = 2
    """Samples taken at one time."""
    permissions: Permissions = field(default_factory=Permissions)
    """What Snapshots may ask for beyond what every Snapshot may."""
    grace_seconds: float = 20.0
    """How long a run may go on once the process is asked to stop."""


def _outcome(policy: Policy, job: Callable[[], _R]) -> _R | GitsnapError:
    try:
        return job()
    except GitsnapError as error:
        return error
    except Exception as error:  # one policy's trouble, whatever it is, must not be that of the others
        return InternalError(_defect(policy.name, error))


def _defect(name: str, error: Exception) -> str:
    """To be called where the exception is handled: it goes to the log, the words that are returned to the status."""
    _log.exception("a defect of gitsnap", extra={"policy": name})
    return f"a defect of gitsnap: {type(error).__name__} (the log has more)"


class Controller:
    """Serves the Snapshots of one cluster."""

    def __init__(
        self,
        settings: Settings,
        connect: Connect,
        *,
        now: Callable[[], datetime],
        jitter: Callable[[], float] = _chance.random,
    ) -> None:
        self._settings = settings
        self._now = now
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._documents: dict[str, JsonObject] = {}
        """Every Snapshot as it was heard of last, also while another process serves them."""
        self._unread: set[str] = set()
        """Names of those that are new, changed or gone since they were taken over."""
        self._served: dict[str, ServedPolicy] = {}
        self._term = 0
        """The lease's term that ``_served`` was made in: what somebody else did since is known only to the cluster."""
        self._metrics = Metrics()
        self._reporter = Reporter(connect, instance=settings.identity)
        self._sampler = Sampler(storage=settings.storage, connect=connect, now=now, permissions=settings.permissions)
        self._desk = Desk(self._reporter, self._metrics, now, jitter, self._sampler.check)
        self._watch = SnapshotWatch(connect, self)
        self._lease = LeaseGuard(
            connect,
            namespace=settings.namespace,
            name=LEASE_NAME,
            identity=settings.identity,
            on_change=self.wake,
            now=now,
        )
        self._endpoints = Endpoints(
            *settings.listen, healthy=self._unhealthy, ready=self._not_ready, metrics=self._metrics.text
        )
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="sample")
        self._pushers = ThreadPoolExecutor(_PUSHERS, thread_name_prefix="push")
        self._lookers = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="look")
        self._stopping = False
        self._abandon_at = float("inf")
        self._beat = time.monotonic()

    @property
    def port(self) -> int:
        """Where the probes and metrics are."""
        return self._endpoints.port

    # From other threads -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask the loop to end: running samples are finished within the grace period, or abandoned."""
        self._abandon_at = time.monotonic() + self._settings.grace_seconds
        self._inbox.put(self._stop)

    def wake(self) -> None:
        """Make the loop look again."""
        self._inbox.put(lambda: None)

    def listed(self, documents: Sequence[JsonObject]) -> None:
        """From the watch: all Snapshots there are."""
        self._inbox.put(lambda: self._note_list(documents))

    def changed(self, document: JsonObject) -> None:
        """From the watch: a Snapshot is new, or another than before."""
        self._inbox.put(lambda: self._note_document(document))

    def gone(self, document: JsonObject) -> None:
        """From the watch: a Snapshot was deleted."""
        self._inbox.put(lambda: self._note_gone(str(document["metadata"]["name"])))

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Serve until ``stop`` is called. Whether every run has ended; a process that waits for others may hang."""
        self._endpoints.start()
        self._lease.start()
        self._reporter.start()
        self._watch.start()
        _log.info("serving Snapshots; probes and metrics on port %d", self.port)
        wait = 0.0
        while not self._stopping:
            self._hear(wait)
            if not self._stopping:
                wait = self._look()
        return self._finish()

    def _hear(self, seconds: float) -> None:
        """Do what other threads asked for: wait for the first, then take what is there."""
        try:
            self._inbox.get(timeout=max(seconds, 0.0) or 0.001)()
            while not self._inbox.empty():
                self._inbox.get_nowait()()
        except queue.Empty:
            pass
        self._beat = time.monotonic()

    def _look(self) -> float:
        """Start what is due; how many seconds to wait at most before the next look."""
        now = self._now()
        next_look = now + timedelta(seconds=_LONGEST_WAIT)
        if self._lease.term != self._term:
            self._change_term()
        self._metrics.leading(leading=self._lease.held)
        if self._lease.held:
            self._take_over()
            for served in list(self._served.values()):
                look_again = self._guarded(served, partial(self._serve, served, now))
                next_look = min(next_look, look_again or next_look)
        return (next_look - now).total_seconds()

    def _serve(self, served: ServedPolicy, now: datetime) -> datetime | None:
        """Start what is due for one policy; when to look again, None where something else will make the loop look."""
        if served.policy is None or served.running or served.looking or served.deleting:
            return None
        decision = decide(served.policy, served.agenda, now, request=served.request)
        served.plan(decision)
        if decision.trigger is not None:
            self._start_sample(served, served.policy, decision.trigger, decision.request)
            return None
        if decision.push and not served.pushing:
            self._start_push(served, served.policy)
        return decision.look_again

    def _start_sample(self, served: ServedPolicy, policy: Policy, trigger: Trigger, request: str) -> None:
        served.running = True

        def job() -> Taken:
            self._inbox.put(lambda: self._note(policy.name, ServedPolicy.started))
            return self._sampler.take(policy, trigger, cancelled=self._cancelled)

        def note(known: ServedPolicy, outcome: Taken | GitsnapError) -> None:
            """Runs in the thread of the loop, where the policy may be changed."""
            if isinstance(outcome, Taken):
                known.succeeded(trigger, request, outcome)
            else:
                known.failed(request, outcome)

        self._work(self._workers, policy, job, note)

    def _start_push(self, served: ServedPolicy, policy: Policy) -> None:
        served.pushing = True
        served.agenda.push_started()

        def note(known: ServedPolicy, outcome: PushReport | GitsnapError | None) -> None:
            """An error that is not of the remote, such as a volume that cannot be read, counts as a failed push too."""
            if isinstance(outcome, GitsnapError):
                outcome = PushReport(None, outcome, None)
            known.pushed(outcome)

        self._work(self._pushers, policy, lambda: self._sampler.push(policy), note)

    def _work(
        self,
        pool: ThreadPoolExecutor,
        policy: Policy,
        job: Callable[[], _R],
        note: Callable[[ServedPolicy, _R | GitsnapError], None],
    ) -> None:
        """Do a job in another thread, and take note of its outcome in this one."""

        def work() -> None:
            outcome = AbortedError("the controller is asked to stop") if self._stopping else _outcome(policy, job)
            self._inbox.put(lambda: self._note(policy.name, lambda known: note(known, outcome)))

        pool.submit(work)

    def _cancelled(self) -> bool:
        return time.monotonic() >= self._abandon_at

    def _note(self, name: str, note: Callable[[ServedPolicy], None]) -> None:
        served = self._served.get(name)
        if served is not None:  # else deleted meanwhile; the sample stays
            self._guarded(served, lambda: note(served))

    def _guarded(self, served: ServedPolicy, action: Callable[[], _R]) -> _R | None:
        """Do something for one policy: a defect with it must neither end the loop nor be met again at every look."""
        try:
            return action()
        except Exception as error:
            served.give_up(_defect(served.name, error))
            return None

    def _busy(self) -> bool:
        return any(one.running or one.pushing or one.looking for one in self._served.values())

    def _finish(self) -> bool:
        """Wait for what runs; what does not end in time is left as the kill that follows would leave it."""
        if self._busy():
            _log.info("asked to stop: finishing the samples that are being taken")
        deadline = self._abandon_at + 2.0
        for pool in (self._workers, self._pushers, self._lookers):
            pool.shutdown(wait=False)
        while self._busy() and time.monotonic() < deadline:
            self._hear(0.2)
        self._reporter.flush(2.0)
        self._lease.release(2.0)
        self._endpoints.close()
        _log.info("stopped")
        return not self._busy()

    # What the watch says ----------------------------------------------------------------------------------------------

    def _note_list(self, documents: Sequence[JsonObject]) -> None:
        self._unread |= self._documents.keys()
        self._documents = {str(one["metadata"]["name"]): one for one in documents}
        self._unread |= self._documents.keys()

    def _note_document(self, document: JsonObject) -> None:
        name = str(document["metadata"]["name"])
        self._documents[name] = document
        self._unread.add(name)

    def _note_gone(self, name: str) -> None:
        self._documents.pop(name, None)
        self._unread.add(name)

    def _change_term(self) -> None:
        """Another process has had the lease, or has it now: what is known of the policies is known no more."""
        for name in list(self._served):
            self._drop(name)
        self._unread = set(self._documents)
        self._term = self._lease.term

    def _take_over(self) -> None:
        """Read what the watch has told since."""
        unread, self._unread = sorted(self._unread), set()
        for name in unread:
            document = self._documents.get(name)
            known = self._served.get(name)
            if known is not None and (
                document is None
                or not same_json(known.document["metadata"].get("uid"), document["metadata"].get("uid"))
            ):
                _log.info("the Snapshot is gone; its archive stays", extra={"policy": name})
                self._drop(name)
            if document is not None:
                self._take(name, document)

    def _take(self, name: str, document: JsonObject) -> None:
        known = self._served.get(name)
        served = known or ServedPolicy.new(document, self._desk)
        self._served[name] = served
        self._guarded(served, lambda: served.read(document))
        if known is None and served.policy is not None:
            self._find_newest(served, served.policy)
        if served.deleting and OLD_FINALIZER in (document["metadata"].get("finalizers") or ()):
            self._reporter.release(document)

    def _find_newest(self, served: ServedPolicy, policy: Policy) -> None:
        """Look at the archive, in another thread; no run begins before it is known what the archive holds."""
        served.looking = True

        def note(known: ServedPolicy, outcome: Found | GitsnapError | None) -> None:
            """Runs in the thread of the loop."""
            known.looking = False
            if isinstance(outcome, AbortedError):
                return
            if isinstance(outcome, GitsnapError):  # the run that is due meets the same, and reports it
                _log.warning("the archive cannot be read: %s", outcome, extra={"policy": known.name})
            else:
                known.found(outcome)

        self._work(self._lookers, policy, lambda: self._sampler.find(policy), note)

    def _drop(self, name: str) -> None:
        """Serve it no more. Its archive stays."""
        del self._served[name]
        self._reporter.forget(name)
        self._metrics.forget(name)

    def _stop(self) -> None:
        self._stopping = True

    # Probes -----------------------------------------------------------------------------------------------------------

    def _unhealthy(self) -> str:
        silent = time.monotonic() - self._beat
        return f"the loop has been silent for {silent:.0f} s" if silent > _STALLED_SECONDS else ""

    def _not_ready(self) -> str:
        """What keeps Snapshots from being served; a process that waits for another one's lease is ready to."""
        return self._unhealthy() or self._watch.problem or self._lease.problem
