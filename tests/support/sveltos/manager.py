"""A simulated controller-runtime: a lagging cache, a queue for each controller, and restarts.

A controller only reads the cache, so it may act on outdated objects. It sees its own writes through the cache, too.
This module must not know what the controllers do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from tests.support.sveltos.lags import Lags
from tests.support.sveltos.timeline import Timeline

RETRY = 10.0
"""``normalRequeueAfter`` and ``deleteRequeueAfter`` of the addon-controller."""


class Api(Protocol):
    """The API that controllers write to."""

    def objects_of(self, kind: Kind) -> list[JsonObject]:
        """All live objects of a kind."""

    def get(self, key: ObjectKey) -> JsonObject:
        """The live object. Raises NotFoundError."""

    def create(self, document: JsonObject) -> None:
        """Create an object."""

    def patch(self, key: ObjectKey, patch: JsonObject) -> None:
        """Apply a JSON merge patch."""

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> None:
        """Apply a JSON merge patch to the status."""

    def delete(self, key: ObjectKey) -> None:
        """Delete an object. An object with finalizers stays until its finalizers are removed."""


@dataclass(frozen=True)
class Change:
    """A watch event for handlers: the object before and after the change of the cache."""

    old: JsonObject | None
    new: JsonObject | None


@dataclass
class Queue:
    """The keys that a controller must reconcile, without duplicates."""

    name: str
    reconcile: Callable[[ObjectKey], float | None]
    """Reconciles an object. Returns the seconds until the next reconciliation, or None."""
    waiting: set[ObjectKey] = field(default_factory=set)
    again: dict[ObjectKey, float] = field(default_factory=dict)


@dataclass
class Manager:
    """A controller process. After ``stop`` nothing of the process acts."""

    api: Api
    timeline: Timeline
    lags: Lags
    kinds: tuple[Kind, ...]
    alive: bool = False
    ready: bool = False
    """Whether the first lists are in the cache, so that the workers run."""
    cache: dict[Kind, dict[ObjectKey, JsonObject]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Errors of the API that led to a retry."""
    _handlers: list[tuple[Kind, Callable[[Change], None]]] = field(default_factory=list)
    _latest: dict[Kind, float] = field(default_factory=dict)

    # The life of the process --------------------------------------------------------------------------------------

    def start(self, on_ready: Callable[[], None]) -> None:
        """List all kinds. The workers start when all lists are in the cache."""
        self.alive = True
        self.cache = {kind: {} for kind in self.kinds}
        slowest = 0.0
        for kind in self.kinds:
            lag = self.lags.draw("sync", kind.name)
            slowest = max(slowest, lag)
            self._latest[kind] = self.timeline.now + lag
            for document in self.api.objects_of(kind):
                self._deliver_after(lag, "ADDED", document)

        def run() -> None:
            self.ready = True
            on_ready()

        self.after(slowest + 1e-9, run)

    def stop(self) -> None:
        """End the process with its cache and its queues."""
        self.alive = self.ready = False

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action later, if the process still runs."""

        def act() -> None:
            if self.alive:
                action()

        self.timeline.after(seconds, act)

    # The cache ----------------------------------------------------------------------------------------------------

    def on(self, kind: Kind, handler: Callable[[Change], None]) -> None:
        """Call a handler for each change of a kind in the cache."""
        self._handlers.append((kind, handler))

    def receive(self, change: str, document: JsonObject) -> None:
        """Receive an event of the server. It enters the cache after a lag, and after earlier events of its kind."""
        kind = Kind.of(document)
        if not self.alive or kind not in self.cache:
            return
        moment = max(self._latest.get(kind, 0.0), self.timeline.now + self.lags.draw("cache", kind.name))
        self._latest[kind] = moment
        self._deliver_after(moment - self.timeline.now, change, document)

    def _deliver_after(self, seconds: float, change: str, document: JsonObject) -> None:
        self.after(seconds, lambda: self._deliver(change, document))

    def _deliver(self, change: str, document: JsonObject) -> None:
        key = ObjectKey.of(document)
        held = self.cache[key.kind]
        old = held.pop(key, None)
        if change != "DELETED":
            held[key] = document
        for kind, handler in self._handlers:
            if kind == key.kind:
                handler(Change(old, None if change == "DELETED" else document))

    def get(self, key: ObjectKey) -> JsonObject | None:
        """An object of the cache."""
        return self.cache.get(key.kind, {}).get(key)

    def all(self, kind: Kind) -> dict[ObjectKey, JsonObject]:
        """The objects of a kind in the cache, sorted."""
        return dict(sorted(self.cache.get(kind, {}).items()))

    # Queues -------------------------------------------------------------------------------------------------------

    def add(self, queue: Queue, key: ObjectKey) -> None:
        """Queue an object for reconciliation as soon as a worker is free."""
        if key not in queue.waiting:
            queue.waiting.add(key)
            self.after(self.lags.draw("queue", queue.name), lambda: self._work(queue, key))

    def add_later(self, queue: Queue, key: ObjectKey, seconds: float) -> None:
        """Queue an object for a later reconciliation. The earlier of two times counts."""
        moment = self.timeline.now + seconds
        if queue.again.get(key, moment + 1) <= moment:
            return
        queue.again[key] = moment

        def add() -> None:
            if queue.again.get(key) == moment:
                del queue.again[key]
                self.add(queue, key)

        self.after(seconds, add)

    def _work(self, queue: Queue, key: ObjectKey) -> None:
        if not self.ready:
            self.after(0.01, lambda: self._work(queue, key))
            return
        queue.waiting.discard(key)
        try:
            again = queue.reconcile(key)
        except GitsnapError as error:
            self.problems.append(f"{queue.name} {key}: {error.message}")
            again = RETRY
        if again is not None:
            self.add_later(queue, key, again)


def status_patch(old: JsonObject, new: JsonObject) -> JsonObject:
    """The merge patch between two statuses. Controllers patch, so a stale base is not detected."""
    return {name: new.get(name) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)}
