"""A simulated API server with watches, which remembers each of its states. The package must not import this.

Lists at a resource version, watches, compaction (410), outages and a restored backup behave as those of
a kube-apiserver. A test can also take the events of a watch one by one (``events``), in any order of the watches.
"""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gitsnap.capture.follow.mirror import Query
from gitsnap.core.errors import BehindError, ClusterUnreachableError, GoneError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import ClusterInfo, Page, WatchEvent
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import CLUSTER


class _Entry(NamedTuple):
    version: int
    key: ObjectKey
    document: JsonObject
    """Of a deletion: the last state, with the resource version of the deletion."""
    change: str


class WatchedServer:
    """ports.Cluster and ports.Watchable over a log of writes."""

    def __init__(self, *, version: int = 1000) -> None:
        self.version = version
        self.clock = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.compacted = version
        """Lists and watches need at least this version."""
        self.identity = CLUSTER
        self.unserved: set[Kind] = {kinds.DEPLOYMENT}
        """Kinds whose CRD is not installed."""
        self.down = False
        """Whether no request is answered."""
        self.writers: defaultdict[tuple[ObjectKey, str], set[str]] = defaultdict(set)
        """Object and resource version -> who wrote that version. After a restore versions repeat."""
        self.requests: list[Query] = []
        """The lists that were requested."""
        self._base: dict[ObjectKey, JsonObject] = {}
        self._log: list[_Entry] = []
        self._start = version
        self._uids = 0
        self._changed = threading.Condition()
        self._cut = 0
        self._types = MemoryCluster()

    # Writes -----------------------------------------------------------------------------------------------------------

    def write(self, document: JsonObject, manager: str = "kubectl") -> JsonObject:
        """Create or replace an object, as a field manager does at ``clock``."""
        with self._changed:
            key = ObjectKey.of(document)
            before = self._state(self.version).get(key)
            self.version += 1
            self._uids += before is None
            metadata = {
                **document["metadata"],
                "uid": before["metadata"]["uid"] if before else f"uid-{self._uids}",
                "resourceVersion": str(self.version),
            }
            entries = [e for e in (before["metadata"]["managedFields"] if before else ()) if e["manager"] != manager]
            time = self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["managedFields"] = [*entries, {"manager": manager, "operation": "Update", "time": time}]
            stored = copy.deepcopy({**document, "metadata": metadata})
            self._append(_Entry(self.version, key, stored, "MODIFIED" if before else "ADDED"), manager)
            return stored

    def touch(self, key: ObjectKey) -> None:
        """Write an object so that its configuration stays the same."""
        with self._changed:
            before = self._state(self.version).get(key)
            if before is None:
                return
            self.version += 1
            metadata = {**before["metadata"], "resourceVersion": str(self.version), "finalizers": [f"f/{self.version}"]}
            self._append(_Entry(self.version, key, {**before, "metadata": metadata}, "MODIFIED"), "")

    def remove(self, key: ObjectKey) -> None:
        """Delete an object, if it exists."""
        with self._changed:
            before = self._state(self.version).get(key)
            if before is None:
                return
            self.version += 1
            metadata = {**before["metadata"], "resourceVersion": str(self.version)}
            self._append(_Entry(self.version, key, {**before, "metadata": metadata}, "DELETED"), "")

    def _append(self, entry: _Entry, writer: str) -> None:
        self._log.append(entry)
        self.writers[entry.key, str(entry.version)].add(writer)
        self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock += timedelta(seconds=seconds)

    # Faults -----------------------------------------------------------------------------------------------------------

    def compact(self) -> None:
        """Forget all states but the current one."""
        self.compacted = self.version

    def restore(self, version: int) -> None:
        """Go back to an earlier state, as a restored etcd does. Later versions are assigned again."""
        with self._changed:
            version = max(version, self._start)
            self._log = [entry for entry in self._log if entry.version <= version]
            self.version, self.compacted = version, min(version, self.compacted)
            self._cut += 1
            self._changed.notify_all()

    def cut(self) -> None:
        """End all watches silently."""
        with self._changed:
            self._cut += 1
            self._changed.notify_all()

    # States -----------------------------------------------------------------------------------------------------------

    def _state(self, version: int) -> dict[ObjectKey, JsonObject]:
        state = dict(self._base)
        for entry in self._log:
            if entry.version > version:
                break
            if entry.change == "DELETED":
                state.pop(entry.key, None)
            else:
                state[entry.key] = entry.document
        return state

    def objects(self) -> dict[ObjectKey, JsonObject]:
        """The current objects."""
        return self._state(self.version)

    def written(self, key: ObjectKey, version: str) -> JsonObject | None:
        """The object as the write of a resource version left it; None after a deletion."""
        entry = next(entry for entry in self._log if entry.key == key and str(entry.version) == version)
        return None if entry.change == "DELETED" else entry.document

    def events(self, query: Query, after: int) -> list[WatchEvent]:
        """The events of the watch of a list after a resource version. Raises GoneError."""
        if after < self.compacted:
            raise GoneError("too old resource version")
        if after > self.version:
            raise BehindError("Too large resource version")
        return [
            WatchEvent(entry.change, copy.deepcopy(entry.document))
            for entry in self._log
            if entry.version > after and _selects(query, entry.key, entry.document)
        ]

    # ports.Cluster ----------------------------------------------------------------------------------------------------

    def info(self) -> ClusterInfo:
        """See ports.Cluster."""
        self._check()
        return self.identity

    def _check(self) -> None:
        if self.down:
            raise ClusterUnreachableError("the server is down")

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:  # noqa: ARG002 - ports.Cluster
        """See ports.Cluster."""
        return nullcontext()

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """See ports.Cluster."""

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """See ports.Cluster."""
        self._check()
        return None if kind in self.unserved else self._types.resource_type(kind)

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """See ports.Cluster."""
        del metadata_only
        query = Query(resource, namespace, label_selector, field_selector)
        self.requests.append(query)
        with self._changed:
            self._check()
            version = int(resource_version or self.version)
            if version < self.compacted:
                raise GoneError("the resource version is too old")
            if version > self.version:
                raise BehindError("Too large resource version")
            state = sorted(self._state(version).items())
        items = [copy.deepcopy(document) for key, document in state if _selects(query, key, document)]
        half = len(items) // 2
        yield Page(items[:half], str(version))
        yield Page(items[half:], str(version))

    def watch(
        self,
        resource: ResourceType,
        *,
        resource_version: str,
        seconds: int,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Iterator[WatchEvent]:
        """See ports.Watchable."""
        del seconds
        query = Query(resource, namespace, label_selector, field_selector)
        position, cut = int(resource_version), self._cut
        with self._changed:
            self._check()
            self.events(query, position)
        yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": resource_version}})
        while True:
            with self._changed:
                self._check()
                if self._cut != cut:
                    return
                events = self.events(query, position)
                if not events:
                    self._changed.wait(0.05)
            for event in events:
                position = int(event.document["metadata"]["resourceVersion"])
                yield event

    def refresh(self) -> None:
        """See ports.Watchable. Nothing is remembered."""

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        return copy.deepcopy(self.objects()[key])


def _selects(query: Query, key: ObjectKey, document: JsonObject) -> bool:
    field, _, value = query.field_selector.partition("=")
    selected = {"": True, "metadata.name": key.name == value, "type": document.get("type") == value}
    return key.kind == query.resource.kind and query.namespace in ("", key.namespace) and selected[field]
