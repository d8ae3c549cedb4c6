"""The resource version and frequency of watches; tests/integration/test_watching.py has a real server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from gitsnap.controller.snapshot_watch import SnapshotWatch
from gitsnap.core.errors import ClusterUnreachableError, GoneError
from gitsnap.core.model import JsonObject, ResourceType
from gitsnap.core.ports import Page, WatchEvent
from gitsnap.policy.snapshot import SNAPSHOT

_RESOURCE = ResourceType(SNAPSHOT, "v1beta1", "snapshots", namespaced=False)


def _event(change: str, version: str, name: str = "a") -> WatchEvent:
    return WatchEvent(change, {"metadata": {"name": name, "resourceVersion": version}})


class _Server:
    """Prepared responses of a server, one for each watch; an error is raised."""

    def __init__(self, *answers: list[WatchEvent] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def resource_type(self, _kind: object) -> ResourceType:
        return _RESOURCE

    def list(self, _resource: ResourceType) -> Iterator[Page]:
        self.asked.append("list")
        yield Page([], "10")

    def watch(self, _resource: ResourceType, *, resource_version: str, seconds: int) -> Iterator[WatchEvent]:
        assert seconds > 0
        self.asked.append(resource_version)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from answer


def _run(server: _Server) -> tuple[list[str], list[float]]:
    """The reported changes and the pauses, until the prepared responses end."""
    heard: list[str] = []

    def on_list(documents: Sequence[JsonObject]) -> None:
        assert not documents

    def on_change(document: JsonObject) -> None:
        heard.append(f"changed {document['metadata']['name']}")

    def on_delete(document: JsonObject) -> None:
        heard.append(f"gone {document['metadata']['name']}")

    pauses: list[float] = []
    listener: Any = SimpleNamespace(on_list=on_list, on_change=on_change, on_delete=on_delete)
    cluster: Any = server
    watch = SnapshotWatch(lambda: cluster, listener, sleep=pauses.append)
    with pytest.raises(ClusterUnreachableError):
        watch.list_and_watch(cluster)
    return heard, pauses


def test_a_watch_continues_from_a_bookmark() -> None:
    """A bookmark only moves the resource version."""
    server = _Server([_event("ADDED", "11"), _event("BOOKMARK", "50")], [_event("DELETED", "51")])
    server._answers.append(ClusterUnreachableError("the end"))

    heard, _ = _run(server)

    assert heard == ["changed a", "gone a"]
    assert server.asked == ["list", "10", "50", "51"]


def test_a_watch_that_ends_at_once_is_followed_by_a_pause() -> None:
    """If a proxy ends every watch, there is about one watch per second."""
    server = _Server([], [], [], ClusterUnreachableError("the end"))

    _, pauses = _run(server)

    assert pauses == [1.0, 1.0, 1.0]


def test_a_version_that_is_gone_means_a_new_list() -> None:
    """A new list follows at once, and readiness is not affected."""
    cluster: Any = _Server([_event("ADDED", "11")], GoneError("too old"))
    listener: Any = SimpleNamespace(on_list=lambda _: None, on_change=lambda _: None, on_delete=lambda _: None)
    watch = SnapshotWatch(lambda: cluster, listener, sleep=lambda _: None)

    assert watch.list_and_watch(cluster) == 0.0
    assert watch.problem == ""
