"""The controller's loop by single steps, without threads of its own and without a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap.controller import Controller, Settings
from gitsnap.controller import loop as loop_module
from gitsnap.controller.due import Agenda, Decision, decide
from gitsnap.controller.run import Sampler
from gitsnap.core.errors import ClusterUnreachableError
from gitsnap.core.model import JsonObject
from gitsnap.policy.snapshot import Policy

_START = datetime(2026, 1, 1, tzinfo=UTC)


class _Stage:
    """A controller that holds the lease, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = _START
        settings = Settings(Path("/collection"), "gitsnap", "gitsnap-0", ("127.0.0.1", 0), workers=1, grace_seconds=20)
        self.controller = Controller(settings, self._connect, now=lambda: self.now)
        self.hold(term=1)

    def _connect(self) -> Any:
        raise ClusterUnreachableError("there is no cluster")

    def hold(self, *, term: int) -> None:
        """As if the lease had just been renewed; in no term it is somebody else's."""
        self.controller._lease.term = term
        self.controller._lease._renewed = time.monotonic() if term else float("-inf")

    def listed(self, *names: str) -> None:
        self.controller.listed([_snapshot(name) for name in names])
        self.step()

    def step(self) -> None:
        """Turns of the loop until every archive was looked at, and one more."""
        self.controller._hear(0)
        self.controller._look()
        deadline = time.monotonic() + 20
        while any(one.looking for one in self.controller._served.values()):
            assert time.monotonic() < deadline
            self.controller._hear(0.1)
            self.controller._look()

    def until_idle(self) -> None:
        """Turns of the loop until no run is left."""
        deadline = time.monotonic() + 20
        while any(one.running for one in self.controller._served.values()):
            assert time.monotonic() < deadline
            self.controller._hear(0.1)

    def end(self) -> None:
        """Leave no thread and no port behind."""
        for pool in (self.controller._workers, self.controller._pushers, self.controller._lookers):
            pool.shutdown()
        self.controller._endpoints.close()

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        found: list[JsonObject] = self.controller._served[name].status.get("conditions") or []
        return {one["type"]: (one["reason"], one["message"]) for one in found}


def _snapshot(name: str, **spec: Any) -> JsonObject:
    metadata = {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": metadata,
        "spec": {"schedule": "@hourly", "storage": "/collection", **spec},
    }


@pytest.fixture
def stage() -> Iterator[_Stage]:
    """A controller; its worker ends with the test."""
    made = _Stage()
    yield made
    made.end()


def test_a_defect_with_one_policy_stops_no_other(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in the condition of that one, once, and its next spec is another chance."""
    met = []

    def broken(policy: Policy, agenda: Agenda, now: datetime, *, request: str) -> Decision:
        if policy.name == "bad":
            met.append(now)
            raise KeyError("hunter22")
        return decide(policy, agenda, now, request=request)

    monkeypatch.setattr(loop_module, "decide", broken)
    stage.listed("bad", "good")
    stage.now += timedelta(hours=2)
    stage.step()
    stage.until_idle()

    assert stage.conditions("bad")["Ready"] == ("NeedsAttention", "a defect of gitsnap: KeyError (the log has more)")
    assert stage.conditions("good")["Ready"][0] == "Retrying"
    assert len(met) == 1

    monkeypatch.setattr(loop_module, "decide", decide)
    mended = _snapshot("bad")
    mended["spec"]["schedule"] = "@daily"
    stage.controller.changed(mended)
    stage.step()
    assert stage.controller._served["bad"].status["nextScheduleTime"] == "2026-01-02T00:00:00Z"


def test_nothing_is_served_under_somebody_elses_lease(stage: _Stage) -> None:
    """What was known is dropped with the term; in the next one all is read anew."""
    stage.hold(term=0)
    stage.listed("hourly")
    assert stage.controller._served == {}

    stage.hold(term=1)
    stage.step()
    served = stage.controller._served["hourly"]
    stage.hold(term=0)
    stage.step()
    assert stage.controller._served == {}
    assert b'policy="hourly"' not in stage.controller._metrics.text()

    stage.hold(term=2)
    stage.step()
    assert stage.controller._served["hourly"] is not served


def test_a_lease_that_cannot_be_renewed_changes_nothing_known(stage: _Stage) -> None:
    """While the API server is away nothing is started, and afterwards it goes on where it was."""
    stage.listed("hourly")
    served = stage.controller._served["hourly"]
    stage.controller._lease._renewed = float("-inf")
    stage.now += timedelta(hours=2)
    stage.step()
    assert not served.running

    stage.hold(term=1)
    stage.step()
    assert stage.controller._served["hourly"] is served
    assert served.running
    stage.until_idle()


def test_a_stop_waits_for_what_runs_and_not_for_what_waits(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait for a free worker are not begun; their status does not claim that they were."""
    begun: list[str] = []
    finish = threading.Event()

    def take(_sampler: Sampler, policy: Policy, *_arguments: Any, **_options: Any) -> Any:
        begun.append(policy.name)
        finish.wait(20)
        raise ClusterUnreachableError("there is no cluster")

    monkeypatch.setattr(Sampler, "take", take)
    stage.listed("a", "b", "c")
    stage.now += timedelta(hours=2)
    stage.step()
    stage.controller.stop()
    stage.controller._hear(0)
    finish.set()

    assert stage.controller._finish() is True

    assert begun == ["a"]
    assert "lastRunStatus" not in stage.controller._served["b"].status
    assert stage.controller._served["a"].status["lastRunStatus"] == "Failed"


def test_a_snapshot_that_was_made_anew_is_another_one(stage: _Stage) -> None:
    """The same name with another uid, and a name that is gone from a list: neither is served as before."""
    stage.listed("a", "b")
    before = dict(stage.controller._served)
    again = _snapshot("a")
    again["metadata"]["uid"] = "another"

    stage.controller.listed([again])
    stage.step()

    assert set(stage.controller._served) == {"a"}
    assert stage.controller._served["a"] is not before["a"]


@pytest.mark.parametrize(
    ("before", "after"), [({"suspend": True}, {}), ({}, {"schedule": "30 * * * *"})], ids=["suspended", "rescheduled"]
)
def test_what_a_suspension_or_another_schedule_missed_stays_missed_after_a_restart(
    stage: _Stage, before: JsonObject, after: JsonObject
) -> None:
    """The status says since when the schedule counts; times before that are not made up for by the next controller."""
    stage.controller.listed([_snapshot("a", **before)])
    stage.step()
    stage.now += timedelta(minutes=50) if after else timedelta(hours=5, minutes=10)
    stage.controller.changed(_snapshot("a", **after))
    stage.step()
    status = stage.controller._served["a"].status

    successor = _Stage()
    successor.now = stage.now + timedelta(minutes=5)
    successor.controller.listed([_snapshot("a", **after) | {"status": status}])
    successor.step()

    known = successor.controller._served["a"]
    assert not known.running
    assert known.status["nextScheduleTime"] == ("2026-01-01T01:30:00Z" if after else "2026-01-01T06:00:00Z")
    successor.end()


def test_a_suspension_that_ended_while_no_controller_ran_is_not_made_up_for(stage: _Stage) -> None:
    """The status says that the Snapshot was suspended when it was seen last."""
    stage.controller.listed([_snapshot("a", suspend=True)])
    stage.step()
    status = stage.controller._served["a"].status
    stage.controller.listed([])
    stage.step()

    stage.now += timedelta(hours=5)
    stage.controller.listed([_snapshot("a") | {"status": status}])
    stage.step()

    assert not stage.controller._served["a"].running
    assert stage.controller._served["a"].status["nextScheduleTime"] == "2026-01-01T06:00:00Z"


def test_a_volume_that_hangs_stops_neither_the_loop_nor_other_policies(
    stage: _Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at an archive is no work for the loop's own thread: probes and other Snapshots depend on it."""
    released, looked = threading.Event(), []
    find = Sampler.find

    def hanging(sampler: Sampler, policy: Policy) -> Any:
        looked.append((policy.name, threading.current_thread()))
        if policy.name == "hangs":
            released.wait(60)
        return find(sampler, policy)

    monkeypatch.setattr(Sampler, "find", hanging)
    try:
        stage.controller.listed([_snapshot("hangs"), _snapshot("works")])
        started = time.monotonic()
        stage.controller._hear(0)
        stage.controller._look()
        served = stage.controller._served
        while served["works"].looking:
            stage.controller._hear(0.1)
        stage.now += timedelta(hours=2)
        stage.controller._look()
        assert time.monotonic() - started < 10
        assert stage.controller._unhealthy() == ""
        assert served["works"].running or stage.conditions("works")["Ready"][0] == "Retrying"
        assert not served["hangs"].running  # what its archive holds is not known yet
        assert all(thread is not threading.current_thread() for _, thread in looked)
    finally:
        released.set()
    stage.step()
    stage.until_idle()
    assert not served["hangs"].looking
