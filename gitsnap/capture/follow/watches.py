"""Watches lists of a cluster in threads, and delivers their events."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gitsnap.capture.follow.mirror import Query
from gitsnap.capture.follow.pending import POLLED
from gitsnap.core.consequences import Backoff
from gitsnap.core.errors import ClusterUnreachableError, GitsnapError, InternalError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster, Watchable, WatchEvent

WATCH_SECONDS = 240
"""The server ends a watch after this time."""

MOST_WATCHES = 100
"""The largest number of watches. Each is a connection and a thread. Further lists are read every POLL_SECONDS."""

POLL_SECONDS = 10.0
"""The time between two reads of a list that is not watched."""

_SHORTEST_WATCH = 1.0
"""In seconds. A watch that ends earlier, for example because of a proxy, starts again only after this time."""

_BACKOFF = Backoff(0.5, 15.0)

FAILING_SECONDS = 10.0
"""A watch that has failed for this time is reported. A shorter failure, such as a restart of the server, is not."""

_system_random = random.SystemRandom()


class WatchedCluster(Cluster, Watchable, Protocol):
    """A cluster that can be followed."""


@dataclass(frozen=True, slots=True)
class Report:
    """An event of the watch of a list, or the error that ended the watch."""

    generation: int
    query: Query
    moment: float
    """When the event or the error arrived, on the monotonic clock."""
    event: WatchEvent | None = None
    """None for a watch that was opened again: another server may answer it."""
    error: GitsnapError | None = None


@dataclass(slots=True)
class _Watch:
    generation: int
    query: Query
    version: str
    """The resource version of the last event."""
    ended: threading.Event = field(default_factory=threading.Event)
    objects: dict[ObjectKey, tuple[str, WatchEvent]] = field(default_factory=dict)
    """For a list that is read again instead of watched: the objects of the last read, with their resource versions."""
    has_opened: bool = False
    """Whether the server has accepted the watch. A list that is read again instead of watched needs no acceptance."""
    failing: tuple[float, GitsnapError] | None = None
    """Since when the watch has failed, on the monotonic clock, and the newest error; None while the watch is open."""


class WatchThreads:
    """The watches of lists. Each watch runs in a thread that ends with the process."""

    def __init__(
        self,
        cluster: WatchedCluster,
        deliver: Callable[[Report], None],
        held: Callable[[Query], Iterable[JsonObject]],
    ) -> None:
        """``deliver`` is called from the threads. ``held``: the objects of a list when its watch starts."""
        self._cluster = cluster
        self._held = held
        self._deliver = deliver
        self._watches: dict[Query, _Watch] = {}
        self._closed = threading.Event()

    def watch(self, lists: Mapping[Query, str], generation: int) -> None:
        """Watch some lists, and end the watches of all others.

        ``lists``: each list with the resource version at which its watch starts. A running watch of the same
        ``generation`` continues.
        """
        for query, watch in list(self._watches.items()):
            if query not in lists or watch.generation != generation:
                watch.ended.set()
                del self._watches[query]
        for query in lists.keys() - self._watches.keys():
            watch = _Watch(generation, query, lists[query])
            target = self._follow
            if len(self._watches) >= MOST_WATCHES:
                target, watch.has_opened = self._poll, True
                watch.objects = {ObjectKey.of(document): _polled(document) for document in self._held(query)}
            self._watches[query] = watch
            threading.Thread(target=self._run, args=(target, watch), name="follow", daemon=True).start()

    @property
    def open(self) -> int:
        """The number of watches that are open, and of lists that are read in place of a watch."""
        return sum(watch.has_opened and watch.failing is None for watch in list(self._watches.values()))

    @property
    def have_opened(self) -> bool:
        """Whether the server has accepted every watch. A watch that failed later was accepted, too."""
        return all(watch.has_opened for watch in list(self._watches.values()))

    @property
    def failure(self) -> GitsnapError | None:
        """The error of a watch that has failed for ``FAILING_SECONDS``; None if there is none."""
        failing = [watch.failing for watch in list(self._watches.values()) if watch.failing is not None]
        since, error = min(failing, key=lambda entry: entry[0], default=(float("inf"), None))
        return error if time.monotonic() - since >= FAILING_SECONDS else None

    def close(self) -> None:
        """End all watches. Their threads may end later."""
        self._closed.set()
        self.watch({}, 0)

    def _run(self, target: Callable[[_Watch], None], watch: _Watch) -> None:
        failures = 0
        while not watch.ended.is_set():
            started = time.monotonic()
            try:
                target(watch)
                failures, watch.failing = 0, None
                watch.ended.wait(max(_SHORTEST_WATCH - (time.monotonic() - started), 0.0))
            except ClusterUnreachableError as error:
                since = watch.failing[0] if watch.failing is not None else time.monotonic()
                watch.failing = since, error
                failures = failures + 1 if time.monotonic() - started < _SHORTEST_WATCH else 1
                watch.ended.wait(_BACKOFF.pause(failures) * _system_random.uniform(0.75, 1.25))
            except GitsnapError as error:
                self._end(watch, error)
            except Exception as error:  # noqa: BLE001 - without this report the list would not be followed
                self._end(watch, InternalError(f"the watch of {watch.query.resource.plural}: {type(error).__name__}"))

    def _end(self, watch: _Watch, error: GitsnapError) -> None:
        if not watch.ended.is_set():
            watch.ended.set()
            self._deliver(Report(watch.generation, watch.query, time.monotonic(), error=error))

    def _follow(self, watch: _Watch) -> None:
        """Deliver the events of one watch, until the server ends the watch."""
        query, is_first = watch.query, True
        for event in self._cluster.watch(
            query.resource,
            resource_version=watch.version,
            seconds=WATCH_SECONDS,
            namespace=query.namespace,
            label_selector=query.label_selector,
            field_selector=query.field_selector,
        ):
            if watch.ended.is_set():
                return
            if is_first:
                watch.has_opened, watch.failing, is_first = True, None, False
                self._deliver(Report(watch.generation, query, time.monotonic()))
            watch.version = str(event.document["metadata"]["resourceVersion"])
            self._deliver(Report(watch.generation, query, time.monotonic(), event))

    def _poll(self, watch: _Watch) -> None:
        """Read a list, deliver the differences from the last read as events, and wait."""
        events = list(self._differences(watch))
        for event in events:
            self._deliver(Report(watch.generation, watch.query, time.monotonic(), event))
        watch.ended.wait(POLL_SECONDS)

    def _differences(self, watch: _Watch) -> Iterator[WatchEvent]:
        query = watch.query
        current: dict[ObjectKey, tuple[str, WatchEvent]] = {}
        for page in self._cluster.list(
            query.resource,
            namespace=query.namespace,
            label_selector=query.label_selector,
            field_selector=query.field_selector,
        ):
            for item in page.items:
                current[ObjectKey.of(item)] = _polled(item)
            watch.version = page.resource_version
        for key, (version, event) in current.items():
            if key not in watch.objects or watch.objects[key][0] != version:
                yield event
        for key in watch.objects.keys() - current.keys():
            document = watch.objects[key][1].document
            metadata = {**document["metadata"], "resourceVersion": watch.version}
            yield WatchEvent("DELETED", {**document, "metadata": metadata})
        watch.objects = current


def _polled(document: JsonObject) -> tuple[str, WatchEvent]:
    return str(document["metadata"].get("resourceVersion")), WatchEvent(POLLED, document)
