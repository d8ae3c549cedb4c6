"""The controller's loop by single steps, without threads of its own and without a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap.controller import Controller, Settings
from gitsnap.controller import loop as loop_module
from gitsnap.controller.clock import Instant
from gitsnap.controller.due import Decision, RunState, decide
from gitsnap.controller.policy_state import ServedPolicy
from gitsnap.controller.run import Sampler
from gitsnap.core.errors import ClusterUnreachableError
from gitsnap.core.model import JsonObject
from gitsnap.policy.snapshot import Policy

_START = datetime(2026, 1, 1, tzinfo=UTC)


class _Lease:
    """A Lease that the test gives and takes; term 0 means that another process holds it."""

    term = 1
    renewed = True
    problem = ""

    def held(self, _monotonic: float) -> bool:
        return bool(self.term) and self.renewed

    def start(self) -> None:
        """The test decides."""

    def release(self, _seconds: float) -> None:
        self.term = 0


class _Stage:
    """A controller without threads of its own, and a clock that the test moves."""

    def __init__(self, storage: Path = Path("/collection")) -> None:
        self.now = _START
        self.lease = _Lease()
        settings = Settings(storage, "gitsnap", "gitsnap-0", ("127.0.0.1", 0), workers=1, grace_seconds=20)
        self.controller = Controller(settings, self._connect, now=lambda: self.now, lease=self.lease)

    def _connect(self) -> Any:
        raise ClusterUnreachableError("there is no cluster")

    def listed(self, *names: str) -> None:
        self.controller.on_list([_snapshot(name) for name in names])
        self.step()

    def step(self) -> None:
        """Steps of the loop until every archive was read; at least one."""
        self.one_step()
        self._steps_while(lambda: any(served.reading for served in self.policies.values()))

    def one_step(self) -> float:
        return self.controller.step(Instant(self.now, time.monotonic()))

    def until_idle(self) -> None:
        """Steps of the loop until no run is left; the Lease is not held, so that no other run starts."""
        self.lease.renewed = False
        self._steps_while(lambda: any(served.running for served in self.policies.values()))
        self.lease.renewed = True

    def _steps_while(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while condition():
            assert time.monotonic() < deadline
            self.controller.wait(0.1)
            self.one_step()

    def end(self) -> None:
        """Leave no thread and no port behind."""
        self.controller.stop()
        self.one_step()
        self.controller.finish()

    @property
    def policies(self) -> Mapping[str, ServedPolicy]:
        return self.controller.policies

    def status(self, name: str) -> JsonObject:
        return self.policies[name].status

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        conditions: list[JsonObject] = self.status(name).get("conditions") or []
        return {condition["type"]: (condition["reason"], condition["message"]) for condition in conditions}


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
    stage = _Stage()
    yield stage
    stage.end()


def test_a_defect_with_one_policy_stops_no_other(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The condition of this policy reports the defect once, and a new spec is tried again."""
    met = []

    def broken(policy: Policy, state: RunState, now: datetime, *, request: str) -> Decision:
        if policy.name == "bad":
            met.append(now)
            raise KeyError("hunter22")
        return decide(policy, state, now, request=request)

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
    stage.controller.on_change(mended)
    stage.step()
    assert stage.status("bad")["nextScheduleTime"] == "2026-01-02T00:00:00Z"


def test_nothing_is_served_while_another_process_holds_the_lease(stage: _Stage) -> None:
    """The state of a term is dropped at its end; in the next term every Snapshot is read again."""
    stage.lease.term = 0
    stage.listed("hourly")
    assert not stage.policies

    stage.lease.term = 1
    stage.step()
    served = stage.policies["hourly"]
    stage.lease.term = 0
    stage.step()
    assert not stage.policies
    assert b'policy="hourly"' not in stage.controller.metrics.text()

    stage.lease.term = 2
    stage.step()
    assert stage.policies["hourly"] is not served


def test_a_lease_that_cannot_be_renewed_keeps_the_state(stage: _Stage) -> None:
    """While the API server is away no run starts; afterwards the loop continues with the same state."""
    stage.listed("hourly")
    served = stage.policies["hourly"]
    stage.lease.renewed = False
    stage.now += timedelta(hours=2)
    stage.step()
    assert not served.running

    stage.lease.renewed = True
    stage.step()
    assert stage.policies["hourly"] is served
    assert served.running
    stage.until_idle()


@pytest.mark.slow
def test_a_stop_waits_for_running_samples_only(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait for a worker do not start, and their status does not report a start."""
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
    assert stage.one_step() == 0
    finish.set()

    assert stage.controller.finish() is True

    assert begun == ["a"]
    assert "lastRunStatus" not in stage.status("b")
    assert stage.status("a")["lastRunStatus"] == "Failed"


def test_a_recreated_snapshot_is_a_new_one(stage: _Stage) -> None:
    """A Snapshot with another uid is a new one; a Snapshot that is missing from a list is not served."""
    stage.listed("a", "b")
    before = dict(stage.policies)
    again = _snapshot("a")
    again["metadata"]["uid"] = "another"

    stage.controller.on_list([again])
    stage.step()

    assert set(stage.policies) == {"a"}
    assert stage.policies["a"] is not before["a"]


@pytest.mark.parametrize(
    ("before", "after"), [({"suspend": True}, {}), ({}, {"schedule": "30 * * * *"})], ids=["suspended", "rescheduled"]
)
def test_times_missed_by_a_suspension_or_a_new_schedule_stay_missed_after_a_restart(
    stage: _Stage, before: JsonObject, after: JsonObject
) -> None:
    """The status has the time since which the schedule counts; the next controller makes up for none before it."""
    stage.controller.on_list([_snapshot("a", **before)])
    stage.step()
    stage.now += timedelta(minutes=50) if after else timedelta(hours=5, minutes=10)
    stage.controller.on_change(_snapshot("a", **after))
    stage.step()
    status = stage.status("a")

    successor = _Stage()
    successor.now = stage.now + timedelta(minutes=5)
    successor.controller.on_list([_snapshot("a", **after) | {"status": status}])
    successor.step()

    known = successor.policies["a"]
    assert not known.running
    assert known.status["nextScheduleTime"] == ("2026-01-01T01:30:00Z" if after else "2026-01-01T06:00:00Z")
    successor.end()


def test_a_suspension_that_ended_while_no_controller_ran_is_not_made_up_for(stage: _Stage) -> None:
    """The status says that the Snapshot was suspended."""
    stage.controller.on_list([_snapshot("a", suspend=True)])
    stage.step()
    status = stage.status("a")
    stage.controller.on_list([])
    stage.step()

    stage.now += timedelta(hours=5)
    stage.controller.on_list([_snapshot("a") | {"status": status}])
    stage.step()

    assert not stage.policies["a"].running
    assert stage.status("a")["nextScheduleTime"] == "2026-01-01T06:00:00Z"


def test_a_volume_that_hangs_stops_neither_the_loop_nor_other_policies(
    stage: _Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread reads archives, because probes and other Snapshots depend on the thread of the loop."""
    released, looked = threading.Event(), []
    read_archive = Sampler.read_archive

    def hanging(sampler: Sampler, policy: Policy) -> Any:
        looked.append((policy.name, threading.current_thread()))
        if policy.name == "hangs":
            released.wait(60)
        return read_archive(sampler, policy)

    monkeypatch.setattr(Sampler, "read_archive", hanging)
    try:
        stage.controller.on_list([_snapshot("hangs"), _snapshot("works")])
        started = time.monotonic()
        stage.one_step()
        served = stage.policies
        while served["works"].reading:
            stage.controller.wait(0.1)
            stage.one_step()
        stage.now += timedelta(hours=2)
        stage.one_step()
        assert time.monotonic() - started < 10
        assert stage.controller.health_problem(time.monotonic()) == ""
        assert served["works"].running or stage.conditions("works")["Ready"][0] == "Retrying"
        assert not served["hangs"].running  # what its archive holds is not known yet
        assert all(thread is not threading.current_thread() for _, thread in looked)
    finally:
        released.set()
    stage.step()
    stage.until_idle()
    assert not served["hangs"].reading


def test_a_snapshot_whose_storage_does_not_exist_is_not_ready(tmp_path: Path) -> None:
    """The status reports the error before the next scheduled time. An existing storage makes the Snapshot ready."""
    stage = _Stage(tmp_path)
    try:
        stage.controller.on_list([_snapshot("a", storage=str(tmp_path / "missing"))])
        stage.step()
        reason, message = stage.conditions("a")["Ready"]
        assert reason == "NeedsAttention"
        assert f"{tmp_path / 'missing'} does not exist" in message
        assert stage.status("a")["failureMessage"] == message

        stage.controller.on_list([_snapshot("a", storage=str(tmp_path))])
        stage.step()
        assert stage.conditions("a")["Ready"][0] == "Scheduled"
        assert stage.status("a")["failureMessage"] is None
    finally:
        stage.end()
