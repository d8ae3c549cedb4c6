"""Watches of Snapshots on a real API server: events, interruptions, and expired resource versions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gitsnap.controller.snapshot_watch import SnapshotWatch
from gitsnap.core.errors import BehindError, GoneError
from gitsnap.core.model import JsonObject, ResourceType
from gitsnap.core.ports import ControlPlane, WatchEvent
from gitsnap.policy.snapshot import SNAPSHOT
from tests.support.adapters import connect
from tests.support.controllers import SNAPSHOTS, Installation, wait_for
from tests.support.interruption import Switch
from tests.testbed.apiserver import ApiServer


class _RecordingListener:
    """A listener that records lists, known names and deletions."""

    def __init__(self) -> None:
        self.lists: list[list[str]] = []
        self.known: set[str] = set()
        self.deletions: list[str] = []

    def on_list(self, documents: Sequence[JsonObject]) -> None:
        names = [str(document["metadata"]["name"]) for document in documents]
        self.lists.append(names)
        self.known = set(names)

    def on_change(self, document: JsonObject) -> None:
        self.known.add(str(document["metadata"]["name"]))

    def on_delete(self, document: JsonObject) -> None:
        self.deletions.append(str(document["metadata"]["name"]))
        self.known.discard(self.deletions[-1])


@pytest.fixture
def installed(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """An installation from the base manifests."""
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
    """Change and name of each event of a watch, and the resource version of the last event."""
    found = []
    for event in watch(version):
        version = str(event.document["metadata"]["resourceVersion"])
        found.append(f"{event.change} {event.document['metadata'].get('name', '')}".strip())
    return found, version


def test_a_watch_continues_after_its_last_event(installed: Installation) -> None:
    """The next watch starts at the version of the last event. No event is repeated or lost."""
    cluster, resource, version = _watched(installed)

    def watch(since: str) -> Iterator[WatchEvent]:
        return cluster.watch(resource, resource_version=since, seconds=2)

    installed.snapshot("a", {"schedule": "@yearly"})
    installed.snapshot("b", {"schedule": "@yearly"})
    first, version = _all_events(watch, version)
    installed.change("a", {"spec": {"suspend": True}})
    installed.api.ask("DELETE", f"{SNAPSHOTS}/b")
    second, _ = _all_events(watch, version)

    assert [event for event in first if event != "BOOKMARK"] == ["ADDED a", "ADDED b"]
    assert [event for event in second if event != "BOOKMARK"] == ["MODIFIED a", "DELETED b"]


def test_an_expired_resource_version_raises_gone(installed: Installation) -> None:
    """GoneError makes the watch list the Snapshots again."""
    cluster, resource, _ = _watched(installed)

    with pytest.raises(GoneError):
        list(cluster.watch(resource, resource_version="1", seconds=5))


def test_a_version_that_the_server_does_not_have_yet_raises_behind(installed: Installation) -> None:
    """As after etcd was restored. The server itself would answer, and omit all events up to the version."""
    cluster, resource, version = _watched(installed)

    with pytest.raises(BehindError):
        list(cluster.watch(resource, resource_version=str(int(version) + 1_000_000), seconds=5))


def test_changes_during_an_outage_are_reported(installed: Installation) -> None:
    """A creation and a deletion during an outage are known after the outage, and the problem is cleared."""
    switch = Switch(int(installed.api.url.rpartition(":")[2]))
    config = str(installed.token_kubeconfig(server=f"https://127.0.0.1:{switch.port}"))
    installed.snapshot("old", {"schedule": "@yearly"})
    listener = _RecordingListener()
    watch = SnapshotWatch(lambda: connect(kubeconfig=config), listener)
    watch.start()
    wait_for(lambda: listener.known == {"old"}, "the first list")
    installed.snapshot("live", {"schedule": "@yearly"})
    wait_for(lambda: listener.known == {"old", "live"}, "an event")

    switch.off()
    wait_for(lambda: watch.problem, "the outage to be noticed")
    installed.api.ask("DELETE", f"{SNAPSHOTS}/old")
    installed.snapshot("new", {"schedule": "@yearly"})
    switch.on()

    wait_for(lambda: listener.known == {"live", "new"}, "the second list", seconds=90)
    wait_for(lambda: not watch.problem, "the problem to go")
    switch.close()
    assert sorted(map(sorted, (listener.lists[0], listener.lists[-1]))) == [["live", "new"], ["old"]]
    assert listener.deletions == []  # the deletion had no event: the second list reported it


def test_the_watch_waits_for_a_missing_definition(api: ApiServer, tmp_path: Path) -> None:
    """The watch reports the missing CRD, and starts by itself after the CRD is installed."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/snapshots.utils.projectsveltos.io"
    api.request("DELETE", path)
    wait_for(lambda: api.request("GET", SNAPSHOTS)[0] == 404, "the definition to be gone")
    listener = _RecordingListener()
    config = str(api.kubeconfig())
    watch = SnapshotWatch(lambda: connect(kubeconfig=config), listener, sleep=_short)
    watch.start()
    wait_for(lambda: "CRD" in watch.problem, "the complaint")
    assert listener.known == set()

    installation = Installation(api, tmp_path)
    installation.apply()
    installation.snapshot("first", {"schedule": "@yearly"})

    wait_for(lambda: listener.known == {"first"}, "the Snapshot", seconds=60)
    installation.remove()


def _short(_seconds: float) -> None:
    time.sleep(0.5)
