"""The Lease between controllers, on a folder of YAML files that behaves as an API server does, by single steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitsnap.controller.clock import Instant
from gitsnap.controller.lease import LEASE, LeaseGuard
from gitsnap.core.errors import ClusterUnreachableError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from tests.support.adapters import open_directory

_KEY = ObjectKey(LEASE, "gitsnap", "gitsnap-controller")
_CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: leases.coordination.k8s.io
spec:
  group: coordination.k8s.io
  scope: Namespaced
  names: {kind: Lease, plural: leases}
  versions:
  - {name: v1, served: true, storage: true}
"""


class _Place:
    """A cluster with the kind Lease, its possible problem, and the clock of all guards."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "lease.yaml").write_text(_CRD)
        (folder / "namespace.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: gitsnap\n")
        self.folder = folder
        self.problem: Exception | None = None
        self.monotonic = time.monotonic()
        self.connections: list[Any] = []

    def connect(self) -> Any:
        if self.problem is not None:
            raise self.problem
        self.connections.append(open_directory(self.folder))
        return self.connections[-1]

    @property
    def now(self) -> Instant:
        return Instant(datetime(2026, 1, 1, tzinfo=UTC), self.monotonic)

    def step(self, *guards: LeaseGuard) -> None:
        for guard in guards:
            guard.step(self.now)

    def state(self, guard: LeaseGuard) -> tuple[bool, int]:
        """Whether it holds the Lease, and its term."""
        return guard.held(self.monotonic), guard.term

    def guard(self, identity: str, on_change: Callable[[], None] = lambda: None) -> LeaseGuard:
        return LeaseGuard(
            self.connect,
            namespace="gitsnap",
            name="gitsnap-controller",
            identity=identity,
            on_change=on_change,
            now=lambda: self.now.time,
        )

    def lease(self) -> JsonObject:
        spec: JsonObject = self.connect().get(_KEY)["spec"]
        return spec


def _unreachable(_key: ObjectKey) -> JsonObject:
    raise ClusterUnreachableError("gone")


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """An empty cluster."""
    return _Place(tmp_path / "cluster")


def test_one_process_holds_the_lease_and_the_other_waits(place: _Place) -> None:
    """Waiting is not a problem, and a process that waits has no term."""
    first, second = place.guard("a"), place.guard("b")
    place.step(first, second)

    assert (*place.state(first), first.problem) == (True, 1, "")
    assert (*place.state(second), second.problem) == (False, 0, "")
    assert place.lease()["holderIdentity"] == "a"


def test_a_released_lease_is_taken_at_once(place: _Place) -> None:
    """The term of the former holder ends, and the term of the next holder begins."""
    first, second = place.guard("a"), place.guard("b")
    place.step(first)
    first.release(20)
    place.step(second)
    place.step(first)  # as if it had not been asked to stop

    assert place.state(second) == (True, 1)
    assert place.state(first) == (False, 0)
    assert place.lease()["leaseTransitions"] == 2


def test_a_holder_that_was_replaced_begins_another_term(place: _Place) -> None:
    """A process that takes the Lease again after another holder has a new term: it missed changes."""
    first, second = place.guard("a"), place.guard("b")
    place.step(first)
    first.release(20)
    place.step(second, first)
    second.release(20)
    place.step(first)

    assert place.state(first) == (True, 2)


def test_the_own_lease_continues(place: _Place) -> None:
    """The term continues for a process of the same identity, and after somebody deleted the Lease."""
    guard = place.guard("a")
    place.step(guard, guard)
    place.connect().delete(_KEY, uid=place.connect().get(_KEY)["metadata"]["uid"])
    with pytest.raises(NotFoundError):
        place.lease()
    place.step(guard)
    assert place.state(guard) == (True, 1)

    again = place.guard("a")
    place.step(again)
    assert place.state(again) == (True, 1)


@pytest.mark.parametrize("error", [ClusterUnreachableError("away"), KeyError("metadata")], ids=["away", "defect"])
def test_a_problem_is_reported_until_it_is_gone(place: _Place, error: Exception) -> None:
    """After any error the guard continues, and reports the problem until it works again."""
    guard = place.guard("a")
    assert guard.problem
    place.problem = error
    place.step(guard)
    assert place.state(guard) == (False, 0)
    assert "cannot be renewed" in guard.problem

    place.problem = None
    place.step(guard)
    assert (*place.state(guard), guard.problem) == (True, 1, "")


def test_a_standby_is_quiet_and_keeps_its_connection(place: _Place, caplog: pytest.LogCaptureFixture) -> None:
    """The holder renews thousands of times a day: one line for a holder, and one connection."""
    first, second = place.guard("first"), place.guard("second")
    place.step(first)
    place.connections.clear()
    with caplog.at_level("INFO", logger="gitsnap"):
        for _ in range(20):
            place.step(first, second)
    assert [record.getMessage() for record in caplog.records] == ["waiting for the lease that first holds"]
    assert len(place.connections) == 1
    assert not second.held(place.monotonic)


def test_a_connection_that_failed_is_not_used_again(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection has renewed credentials, and reaches a server that has moved."""
    guard = place.guard("first")
    place.step(guard)
    (used,) = place.connections

    monkeypatch.setattr(used, "get", _unreachable)
    place.step(guard)
    assert guard.problem
    place.step(guard)
    assert len(place.connections) == 2
    assert guard.problem == ""


@pytest.mark.parametrize("seconds", [10**9, -5, 0, "long", None, True, [30]])
def test_a_lease_with_an_invalid_duration_is_taken_over(place: _Place, seconds: Any) -> None:
    """A Lease with an invalid duration is taken over after the usual time without a renewal."""
    place.step(place.guard("first"))
    cluster = place.connect()
    lease = cluster.get(_KEY)
    lease["spec"]["leaseDurationSeconds"] = seconds
    cluster.update(lease)
    second = place.guard("second")
    place.step(second)
    assert not second.held(place.monotonic)
    place.monotonic += 31
    place.step(second)
    assert second.held(place.monotonic)


def test_a_lease_that_is_lost_while_the_server_is_away_is_announced_once(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Lease expires between two steps. The next step reports it, although it fails too."""
    changes: list[float] = []
    guard = place.guard("a", on_change=lambda: changes.append(place.monotonic))
    place.step(guard)
    start = place.monotonic
    place.problem = ClusterUnreachableError("away")
    monkeypatch.setattr(place.connections[-1], "get", _unreachable)
    pauses = set()
    for _ in range(20):
        place.monotonic += 3
        pauses.add(guard.step(place.now))

    assert changes == [start, start + 30]
    assert pauses == {8.0, 2.0}  # a holder renews in time; a process without the Lease tries again soon
