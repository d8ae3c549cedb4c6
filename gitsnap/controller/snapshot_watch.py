"""Watches the Snapshots of a cluster as long as the process lives: lists, watches, and lists again when needed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gitsnap.controller.run import Connect
from gitsnap.core.consequences import Backoff
from gitsnap.core.errors import GitsnapError, GoneError
from gitsnap.core.model import JsonObject
from gitsnap.core.ports import ControlPlane
from gitsnap.policy.snapshot import SNAPSHOT

WATCH_SECONDS = 240
"""The server ends a watch after this time."""

_BACKOFF = Backoff(1.0, 30.0)

_MISSING_PAUSE = 15.0
"""Seconds between two checks for the CRD."""

_SHORTEST_WATCH = 1.0
"""Seconds. After a shorter watch the next watch starts after a pause of this length, to spare a proxy that ends it."""

_system_random = random.SystemRandom()
_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Receives the Snapshots. The methods are called from the thread of the watch."""

    def on_list(self, documents: Sequence[JsonObject]) -> None:
        """Receive all Snapshots that exist."""

    def on_change(self, document: JsonObject) -> None:
        """Receive a new or changed Snapshot."""

    def on_delete(self, document: JsonObject) -> None:
        """Receive a deleted Snapshot."""


class SnapshotWatch:
    """The watch and its thread."""

    def __init__(self, connect: Connect, listener: Listener, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._connect = connect
        self._listener = listener
        self._sleep = sleep
        self.problem = "Snapshots were not listed yet"
        """Why Snapshots cannot be watched; ``""`` while they are watched."""

    def start(self) -> None:
        """Watch in a thread that ends with the process."""
        threading.Thread(target=self._forever, name="watch", daemon=True).start()

    def _forever(self) -> None:
        failures = 0
        while True:
            try:
                cluster = self._connect()
                pause = self.list_and_watch(cluster)
                failures = 0
            except GitsnapError as error:
                failures += 1
                pause = self._fail(str(error), failures)
            except Exception as error:  # without this thread the controller would receive no Snapshots
                failures += 1
                _log.exception("a defect of gitsnap")
                pause = self._fail(f"a defect of gitsnap: {type(error).__name__}", failures)
            self._sleep(pause)

    def _fail(self, problem: str, failures: int) -> float:
        """Record a problem; returns the seconds to wait, which grow with each failure."""
        if problem != self.problem:
            _log.warning("the Snapshots cannot be watched: %s", problem)
        self.problem = problem
        return _BACKOFF.pause(failures) * _system_random.uniform(0.75, 1.25)

    def list_and_watch(self, cluster: ControlPlane) -> float:
        """List and watch until a new list is needed. Returns the seconds to wait before it.

        Raises ClusterError, AccessDeniedError.
        """
        resource = cluster.resource_type(SNAPSHOT)
        if resource is None:
            if "CRD" not in self.problem:
                _log.warning("the kind Snapshot is not installed: waiting for its CRD")
            self.problem = "the CRD of Snapshot is not installed"
            self._listener.on_list(())
            return _MISSING_PAUSE
        documents: list[JsonObject] = []
        version = ""
        for page in cluster.list(resource):
            documents += page.items
            version = page.resource_version
        self._listener.on_list(documents)
        self.problem = ""
        try:
            while True:
                started = time.monotonic()
                for event in cluster.watch(resource, resource_version=version, seconds=WATCH_SECONDS):
                    version = str(event.document["metadata"]["resourceVersion"])
                    if event.change == "DELETED":
                        self._listener.on_delete(event.document)
                    elif event.change != "BOOKMARK":
                        self._listener.on_change(event.document)
                if time.monotonic() - started < _SHORTEST_WATCH:
                    self._sleep(_SHORTEST_WATCH)
        except GoneError:
            return 0.0  # the server no longer has this version: list again
