"""The simulated addon-controller as a child process, for a real API server.

``python -m tests.support.sveltos.process --kubeconfig FILE --state FILE --log FILE`` runs until it is killed. The
state file keeps the managed clusters when the process ends. Their changes are appended to the log.
This module must not be imported by the package.
"""

from __future__ import annotations

import argparse
import json
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.core.errors import GitsnapError, GoneError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import ControlPlane
from tests.support import adapters
from tests.support.sveltos.addon_controller import AddonController
from tests.support.sveltos.lags import DEFAULT, Lags
from tests.support.sveltos.managed import Happening, ManagedClusters, Slot, key_of, key_text
from tests.support.sveltos.timeline import Timeline

Event = tuple[str, JsonObject]
_WATCH_SECONDS = 3600


@dataclass
class ServerApi:
    """manager.Api on a real API server. Each kind is watched from the resource version of its list."""

    cluster: ControlPlane
    events: queue.Queue[Event] = field(default_factory=queue.Queue)

    def objects_of(self, kind: Kind) -> list[JsonObject]:
        """See manager.Api."""
        resource = self.cluster.resource_type(kind)
        if resource is None:
            return []
        found, version = self._listed(resource)
        threading.Thread(target=self._follow, args=(resource, version, dict(found)), daemon=True).start()
        return list(found.values())

    def _listed(self, resource: ResourceType) -> tuple[dict[ObjectKey, JsonObject], str]:
        pages = list(self.cluster.list(resource))
        return {ObjectKey.of(item): item for page in pages for item in page.items}, pages[0].resource_version

    def _follow(self, resource: ResourceType, version: str, known: dict[ObjectKey, JsonObject]) -> None:
        while True:
            try:
                for event in self.cluster.watch(resource, resource_version=version, seconds=_WATCH_SECONDS):
                    version = event.document["metadata"]["resourceVersion"]
                    if event.change != "BOOKMARK":
                        self._tell(event.change, event.document, known)
            except GoneError:
                found, version = self._listed(resource)
                for key in list(known.keys() - found.keys()):
                    self._tell("DELETED", known[key], known)
                for document in found.values():
                    self._tell("MODIFIED", document, known)
            except GitsnapError:
                time.sleep(0.5)

    def _tell(self, change: str, document: JsonObject, known: dict[ObjectKey, JsonObject]) -> None:
        known[ObjectKey.of(document)] = document
        if change == "DELETED":
            del known[ObjectKey.of(document)]
        self.events.put((change, document))

    def get(self, key: ObjectKey) -> JsonObject:
        """See manager.Api."""
        return self.cluster.get(key)

    def create(self, document: JsonObject) -> None:
        """See manager.Api."""
        self.cluster.create(document)

    def patch(self, key: ObjectKey, patch: JsonObject) -> None:
        """See manager.Api."""
        self.cluster.patch(key, patch)

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> None:
        """See manager.Api."""
        self.cluster.patch_status(key, {"status": patch})

    def delete(self, key: ObjectKey) -> None:
        """See manager.Api."""
        try:
            self.cluster.delete(key, uid=self.cluster.get(key)["metadata"]["uid"])
        except NotFoundError:
            return


@dataclass
class Files:
    """The files that outlive the process."""

    state: Path
    log: Path

    def note(self, happening: Happening, managed: ManagedClusters) -> None:
        """Append a line to the log, and write the state."""
        line = {
            "time": time.time(),
            "cluster": key_text(happening.cluster),
            "change": happening.change,
            "slot": [happening.slot.kind, happening.slot.namespace, happening.slot.name, happening.slot.local],
            "owner": key_text(happening.owner),
            "why": happening.why,
        }
        with self.log.open("a") as output:
            output.write(json.dumps(line) + "\n")
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(managed.dump()))
        new.replace(self.state)


def read_log(path: Path) -> list[Happening]:
    """The log of the managed clusters so far."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else ():
        line = json.loads(text)
        cluster = key_of(line["cluster"])
        if cluster is not None:
            slot = Slot(*line["slot"])
            found.append(Happening(line["time"], cluster, line["change"], slot, key_of(line["owner"]), line["why"]))
    return found


def read_state(path: Path) -> list[Any]:
    """The entries of the managed clusters."""
    return list(json.loads(path.read_text())) if path.exists() else []


def run(kubeconfig: str, files: Files, lags: Lags, speed: float) -> None:
    """Run forever. ``speed`` is the number of simulated seconds per second."""
    timeline = Timeline()
    managed = ManagedClusters(lambda: timeline.now)
    managed.load(read_state(files.state))
    managed.on_change = lambda happening: files.note(happening, managed)
    api = ServerApi(adapters.connect(kubeconfig=kubeconfig))
    controller = AddonController(api, timeline, lags, managed)
    controller.start()
    begin = time.monotonic()
    while True:
        timeline.run_until((time.monotonic() - begin) * speed)
        pause = 0.2 if timeline.due is None else min(0.2, max(0.0, (timeline.due - timeline.now) / speed))
        try:
            controller.receive(*api.events.get(timeout=pause or 0.0001))
        except queue.Empty:
            continue


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The simulated addon-controller.")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lag", type=float, default=0.3, help="longest lag of a cache and of a queue, in seconds")
    parser.add_argument("--speed", type=float, default=10.0, help="seconds of Sveltos in a second")
    given = parser.parse_args()
    lag = (0.0, given.lag * given.speed)
    lags = Lags(seed=given.seed, bounds={**DEFAULT, "cache": lag, "queue": lag, "sync": lag})
    run(given.kubeconfig, Files(given.state, given.log), lags, given.speed)


if __name__ == "__main__":
    main()
