"""The Lease between controllers, on a folder of YAML files that behaves as an API server does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

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
    """A cluster with the kind Lease, and what can go wrong with it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "lease.yaml").write_text(_CRD)
        (folder / "namespace.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: gitsnap\n")
        self.folder = folder
        self.problem: Exception | None = None

    def connect(self) -> Any:
        if self.problem is not None:
            raise self.problem
        return open_directory(self.folder)

    def guard(self, identity: str) -> LeaseGuard:
        return LeaseGuard(
            self.connect,
            namespace="gitsnap",
            name="gitsnap-controller",
            identity=identity,
            on_change=lambda: None,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )

    def lease(self) -> JsonObject:
        found: JsonObject = self.connect().get(_KEY)["spec"]
        return found


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """An empty cluster."""
    return _Place(tmp_path / "cluster")


def test_one_holds_it_and_the_other_waits(place: _Place) -> None:
    """Waiting is no problem, and the waiting one has no term."""
    first, second = place.guard("a"), place.guard("b")
    first._attempt()
    second._attempt()

    assert (first.held, first.term, first.problem) == (True, 1, "")
    assert (second.held, second.term, second.problem) == (False, 0, "")
    assert place.lease()["holderIdentity"] == "a"


def test_a_released_lease_is_taken_at_once(place: _Place) -> None:
    """A term ends with its holder, and the next one's begins."""
    first, second = place.guard("a"), place.guard("b")
    first._attempt()
    first.release(20)
    second._attempt()
    first._attempt()  # as if it had not been asked to stop

    assert (second.held, second.term) == (True, 1)
    assert (first.held, first.term) == (False, 0)
    assert place.lease()["leaseTransitions"] == 2


def test_a_holder_that_was_replaced_begins_another_term(place: _Place) -> None:
    """Who had the Lease before somebody else did, and has it again, knows that it missed something."""
    first, second = place.guard("a"), place.guard("b")
    first._attempt()
    first.release(20)
    second._attempt()
    first._attempt()
    second.release(20)
    first._attempt()

    assert (first.held, first.term) == (True, 2)


def test_its_own_lease_goes_on(place: _Place) -> None:
    """A process of the same identity, and one whose Lease somebody deleted, goes on in the same term."""
    guard = place.guard("a")
    guard._attempt()
    guard._attempt()
    place.connect().delete(_KEY, uid=place.connect().get(_KEY)["metadata"]["uid"])
    with pytest.raises(NotFoundError):
        place.lease()
    guard._attempt()
    assert (guard.held, guard.term) == (True, 1)

    again = place.guard("a")
    again._attempt()
    assert (again.held, again.term) == (True, 1)


@pytest.mark.parametrize("error", [ClusterUnreachableError("away"), KeyError("metadata")], ids=["away", "defect"])
def test_what_keeps_it_from_being_held_is_told(place: _Place, error: Exception) -> None:
    """Whatever it is, the thread goes on, and says so until it works again."""
    guard = place.guard("a")
    assert guard.problem
    place.problem = error
    guard._attempt()
    assert (guard.held, guard.term) == (False, 0)
    assert "cannot be renewed" in guard.problem

    place.problem = None
    guard._attempt()
    assert (guard.held, guard.problem) == (True, "")


def test_a_standby_is_quiet_and_keeps_its_connection(
    place: _Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder renews thousands of times a day: one line for a holder, and one connection."""
    first, second = place.guard("first"), place.guard("second")
    first._attempt()
    connections = []

    def connect() -> Any:
        connections.append(place.connect())
        return connections[-1]

    monkeypatch.setattr(second, "_connect", connect)
    with caplog.at_level("INFO", logger="gitsnap"):
        for _ in range(20):
            first._attempt()
            second._attempt()
    assert [record.getMessage() for record in caplog.records] == ["waiting for the lease that first holds"]
    assert len(connections) == 1
    assert not second.held


def test_a_connection_that_failed_is_not_used_again(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one may have credentials that were renewed, or reach a server that has moved."""
    guard = place.guard("first")
    guard._attempt()
    used = guard._cluster
    assert used is not None

    def broken(_key: ObjectKey) -> JsonObject:
        raise ClusterUnreachableError("gone")

    monkeypatch.setattr(used, "get", broken)
    guard._attempt()
    assert guard.problem
    guard._attempt()
    assert guard._cluster not in (None, used)
    assert guard.problem == ""


@pytest.mark.parametrize("seconds", [10**9, -5, 0, "long", None, True, [30]])
def test_a_lease_of_a_duration_without_sense_is_not_waited_for_for_ever(
    place: _Place, monkeypatch: pytest.MonkeyPatch, seconds: Any
) -> None:
    """Whatever another holder wrote, one that does not move is taken over after the usual time."""
    place.guard("first")._attempt()
    cluster = place.connect()
    lease = cluster.get(_KEY)
    lease["spec"]["leaseDurationSeconds"] = seconds
    cluster.update(lease)
    second, now = place.guard("second"), [1000.0]
    monkeypatch.setattr("gitsnap.controller.lease.time.monotonic", lambda: now[0])
    second._attempt()
    assert not second.held
    now[0] += 31
    second._attempt()
    assert second.held
