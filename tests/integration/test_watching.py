"""Watching Snapshots on a real API server: events, going on after a cut, and versions that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gitsnap.controller.snapshot_watch import SnapshotWatch
from gitsnap.core.errors import GoneError
from gitsnap.core.model import JsonObject, ResourceType
from gitsnap.core.ports import ControlPlane, WatchEvent
from gitsnap.policy.snapshot import SNAPSHOT
from tests.support.adapters import connect
from tests.support.controllers import SNAPSHOTS, Installation, wait_for
from tests.support.interruption import Switch
from tests.testbed.apiserver import ApiServer


class _Heard:
    """What a listener heard, in order."""

    def __init__(self) -> None:
        self.lists: list[list[str]] = []
        self.known: set[str] = set()
        self.deletions: list[str] = []

    def on_list(self, documents: Sequence[JsonObject]) -> None:
        names = [str(one["metadata"]["name"]) for one in documents]
        self.lists.append(names)
        self.known = set(names)

    def on_change(self, document: JsonObject) -> None:
        self.known.add(str(document["metadata"]["name"]))

    def on_delete(self, document: JsonObject) -> None:
        self.deletions.append(str(document["metadata"]["name"]))
        self.known.discard(self.deletions[-1])


@pytest.fixture
def installed(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """The base of the manifests."""
    installation = Installation(api, tmp_path)
    installation.apply()
    yield installation
    installation.remove()


def _watched(installed: Installation) -> tuple[ControlPlane, ResourceType, str]:
    cluster = connect(kubeconfig=str(installed.token_kubeconfig()))
    resource = cluster.resource_type(SNAPSHOT)
    assert resource is not None
    return cluster, resource, next(iter(cluster.list(resource))).resource_version


def _all_events(watch: Callable[[str], Iterator[WatchEvent]], version: str) -> tuple[list[str], str]:
    """Change and name of each event of one watch, and the version to go on from."""
    found = []
    for event in watch(version):
        version = str(event.document["metadata"]["resourceVersion"])
        found.append(f"{event.change} {event.document['metadata'].get('name', '')}".strip())
    return found, version


def test_events_and_going_on(installed: Installation) -> None:
    """A watch that the server ended goes on after its last event: nothing is told twice or left out."""
    cluster, resource, version = _watched(installed)

    def watch(since: str) -> Iterator[WatchEvent]:
        return cluster.watch(resource, resource_version=since, seconds=2)

    installed.snapshot("a", {"schedule": "@yearly"})
    installed.snapshot("b", {"schedule": "@yearly"})
    first, version = _all_events(watch, version)
    installed.change("a", {"spec": {"suspend": True}})
    installed.api.ask("DELETE", f"{SNAPSHOTS}/b")
    second, _ = _all_events(watch, version)

    assert [one for one in first if one != "BOOKMARK"] == ["ADDED a", "ADDED b"]
    assert [one for one in second if one != "BOOKMARK"] == ["MODIFIED a", "DELETED b"]


def test_a_version_that_the_server_has_forgotten(installed: Installation) -> None:
    """It is an error of its own, upon which the Snapshots are listed anew."""
    cluster, resource, _ = _watched(installed)

    with pytest.raises(GoneError):
        list(cluster.watch(resource, resource_version="1", seconds=5))


def test_what_happened_during_an_outage_is_heard_of(installed: Installation) -> None:
    """Made, and deleted, while the server could not be reached: both are known afterwards, and the problem is gone."""
    switch = Switch(int(installed.api.url.rpartition(":")[2]))
    config = str(installed.token_kubeconfig(server=f"https://127.0.0.1:{switch.port}"))
    installed.snapshot("old", {"schedule": "@yearly"})
    heard = _Heard()
    watch = SnapshotWatch(lambda: connect(kubeconfig=config), heard)
    watch.start()
    wait_for(lambda: heard.known == {"old"}, "the first list")
    installed.snapshot("live", {"schedule": "@yearly"})
    wait_for(lambda: heard.known == {"old", "live"}, "an event")

    switch.off()
    wait_for(lambda: watch.problem, "the outage to be noticed")
    installed.api.ask("DELETE", f"{SNAPSHOTS}/old")
    installed.snapshot("new", {"schedule": "@yearly"})
    switch.on()

    wait_for(lambda: heard.known == {"live", "new"}, "the second list", seconds=90)
    wait_for(lambda: not watch.problem, "the problem to go")
    switch.close()


def test_a_definition_that_is_not_there_yet(api: ApiServer, tmp_path: Path) -> None:
    """The watch says so and waits, and begins by itself once the CRD is installed."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/snapshots.utils.projectsveltos.io"
    api.request("DELETE", path)
    wait_for(lambda: api.request("GET", SNAPSHOTS)[0] == 404, "the definition to be gone")
    heard = _Heard()
    config = str(api.kubeconfig())
    watch = SnapshotWatch(lambda: connect(kubeconfig=config), heard, sleep=_short)
    watch.start()
    wait_for(lambda: "CRD" in watch.problem, "the complaint")
    assert heard.known == set()

    installation = Installation(api, tmp_path)
    installation.apply()
    installation.snapshot("first", {"schedule": "@yearly"})

    wait_for(lambda: heard.known == {"first"}, "the Snapshot", seconds=60)
    installation.remove()


def _short(_seconds: float) -> None:

    time.sleep(0.5)
