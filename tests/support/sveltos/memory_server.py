"""A management cluster in memory with simulated time, finalizers, status subresources and watches.

Each request of a client takes time, in which controllers may act. Writes of controllers take no time.
This module must not know what the controllers do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gitsnap.cluster.semantics import copy_json, merge_patch
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import WatchEvent
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import alive
from tests.support.sveltos.lags import Lags
from tests.support.sveltos.timeline import Timeline

_DELETION = "2026-06-01T00:00:00Z"
REQUEST = "request"
"""The name of the lag of a client's request."""


@dataclass
class MemoryServer(MemoryCluster):
    """A MemoryCluster with a clock."""

    timeline: Timeline = field(default_factory=Timeline)
    lags: Lags = field(default_factory=Lags)
    listeners: list[Callable[[str, JsonObject], None]] = field(default_factory=list)
    """Called for each change: ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object."""
    _events: list[tuple[int, WatchEvent]] = field(default_factory=list)
    _quiet: bool = False

    def fill(self, documents: Iterable[JsonObject]) -> None:
        """Store objects as they are, with their status."""
        for document in documents:
            raw = alive(document) if "uid" not in document["metadata"] else copy_json(document)
            with self.quiet():
                self._store(ObjectKey.of(raw), raw)

    # Requests of clients ------------------------------------------------------------------------------------------

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        self._pass()
        return super().get(key)

    def refresh(self) -> None:
        """See ports.Watchable. Nothing is remembered."""

    def watch(self, resource: ResourceType, *, resource_version: str, seconds: int) -> Iterator[WatchEvent]:
        """See ports.ControlPlane. The time advances until the next event."""
        end, seen = self.timeline.now + seconds, int(resource_version)
        while True:
            for version, event in [entry for entry in self._events if entry[0] > seen]:
                seen = version
                if Kind.of(event.document) == resource.kind:
                    yield WatchEvent(event.change, copy_json(event.document))
            due = self.timeline.due
            if self.timeline.now >= end:
                return
            self.timeline.run_until(end if due is None else min(end, max(due, self.timeline.now)))

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> JsonObject:
        """See ports.ControlPlane."""
        self._pass()
        live = super().get(key)
        return self._keep("patch", key, {**live, "status": merge_patch(live.get("status") or {}, patch)}, dry_run=False)

    def _pass(self) -> None:
        if not self._quiet:
            self.timeline.advance(self.lags.draw(REQUEST))

    # Writes -------------------------------------------------------------------------------------------------------

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """A context in which no time passes and no write counts as a client's write."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _begin(self, verb: str, key: ObjectKey, *, dry_run: bool) -> None:
        if not self._quiet:
            self._pass()
            super()._begin(verb, key, dry_run=dry_run)

    def _end(self, verb: str, key: ObjectKey) -> None:
        if not self._quiet:
            super()._end(verb, key)

    def _store(self, key: ObjectKey, new: JsonObject | None) -> None:
        """Store or delete an object. A deleted object stays until its last finalizer is removed."""
        old = self.objects.get(key)
        if new is None and old is not None and old["metadata"].get("finalizers"):
            if "deletionTimestamp" in old["metadata"]:
                return
            new = copy_json(old)
            new["metadata"]["deletionTimestamp"] = _DELETION
        if new is not None and "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            new = None
        super()._store(key, new)
        shown = old if new is None else new
        if shown is not None:
            change = "DELETED" if new is None else "ADDED" if old is None else "MODIFIED"
            self._events.append((self.version, WatchEvent(change, copy_json(shown))))
            for listener in self.listeners:
                listener(change, copy_json(shown))


@dataclass
class MemoryApi:
    """manager.Api on a MemoryServer."""

    server: MemoryServer

    def objects_of(self, kind: Kind) -> list[JsonObject]:
        """See manager.Api."""
        return [copy_json(document) for key, document in sorted(self.server.objects.items()) if key.kind == kind]

    def get(self, key: ObjectKey) -> JsonObject:
        """See manager.Api."""
        with self.server.quiet():
            return self.server.get(key)

    def create(self, document: JsonObject) -> None:
        """See manager.Api."""
        with self.server.quiet():
            self.server.create(document)

    def patch(self, key: ObjectKey, patch: JsonObject) -> None:
        """See manager.Api."""
        with self.server.quiet():
            self.server.patch(key, patch)

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> None:
        """See manager.Api."""
        with self.server.quiet():
            self.server.patch_status(key, patch)

    def delete(self, key: ObjectKey) -> None:
        """See manager.Api."""
        with self.server.quiet():
            try:
                live = self.server.get(key)
            except NotFoundError:
                return
            self.server.delete(key, uid=live["metadata"]["uid"])
