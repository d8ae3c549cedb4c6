"""The traces of a running Sveltos, played on the simulator: the same events in the same order.

The writes of the rollback are made at the moments of the trace, and the lags of the caches are those that the trace
shows. Skipped where the recordings are not beside the checkout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.sveltos import kinds
from tests.support.plans import custom
from tests.support.sveltos.lags import INSTANT, Lags
from tests.support.sveltos.stage import Stage, chart, config_map, managed, profile, ref

_PAUSED = "profile.projectsveltos.io/paused"
BOTH = "clusterapi-workload,orders"


@dataclass(frozen=True)
class Line:
    """One event of a trace."""

    time: float
    server: str
    change: str
    kind: str
    name: str
    rest: str

    @property
    def matches(self) -> str:
        """The clusters that a profile matches, sorted."""
        return _names(self.rest.partition("match=")[2].split(","))


class Trace:
    """A recording; times are seconds since its first line."""

    def __init__(self, path: Path) -> None:
        found = [re.fullmatch(r"(\S+) (\S+) (\S+) (\S+) (\S+)(.*)", line) for line in path.read_text().splitlines()]
        raw = [match for match in found if match is not None]
        times = [datetime.strptime(match[1], "%H:%M:%S.%f") for match in raw]  # noqa: DTZ007 - a difference only
        self.lines = [
            Line((time - times[0]).total_seconds(), match[2], match[3], match[4], match[5], match[6].strip())
            for time, match in zip(times, raw, strict=True)
        ]

    def matches(self) -> list[str]:
        """What the profile matched, each change once."""
        return _changes(line.matches for line in self.lines if line.kind == "ClusterProfile")

    def on_managed(self) -> list[tuple[str, str, str]]:
        """Additions and deletions of ConfigMaps on the managed clusters: change, server and name."""
        return [
            (line.change, line.server, line.name)
            for line in self.lines
            if line.server != "mgmt" and line.kind == "ConfigMap"
        ]

    def moment(self, change: str, kind: str, after: float = -1.0, containing: str = "") -> float:
        """When the first such event was."""
        return next(
            line.time
            for line in self.lines
            if (line.change, line.kind) == (change, kind) and line.time > after and containing in line.rest
        )


def _changes(values: Iterable[str]) -> list[str]:
    found: list[str] = []
    for value in values:
        if not found or found[-1] != value:
            found.append(value)
    return found


def _names(names: Iterable[str]) -> str:
    return ",".join(sorted(name for name in names if name))


class Recorder:
    """Watches a stage as the traces were watched."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._matches: list[str] = []
        self._selected: list[bool] = []
        self._since = len(stage.log)
        stage.server.listeners.append(self._see)

    def _see(self, _change: str, document: JsonObject) -> None:
        status = document.get("status") or {}
        if document["kind"] == "ClusterProfile":
            self._matches.append(_names(one["name"] for one in status.get("matchingClusters") or ()))
        if document["kind"] == "ClusterSet":
            self._selected.append(bool(status.get("selectedClusterRefs")))

    @property
    def matches(self) -> list[str]:
        """What the profile matched, each change once."""
        return _changes(self._matches)

    def on_managed(self) -> list[tuple[str, str, str]]:
        """See Trace."""
        servers = {"clusterapi-workload": "work", "orders": "ord"}
        return [
            (one.change, servers[one.cluster.name], f"{one.slot.namespace}/{one.slot.name}")
            for one in self._stage.log[self._since :]
            if one.slot.kind == "ConfigMap"
        ]


WORK = managed("clusterapi-workload", env="fv", s06="in", s29="in")
_ORDERS: JsonObject = {
    "apiVersion": "cluster.x-k8s.io/v1beta2",
    "kind": "Cluster",
    "metadata": {"name": "orders", "namespace": "tenant-a", "labels": {"s06": "in", "s29": "in"}},
    "spec": {},
    "status": {"initialization": {"controlPlaneInitialized": True}},
}


@pytest.fixture
def trace(shared: Path, request: pytest.FixtureRequest) -> Trace:
    """The recording that a test names."""
    path = shared / "recorded" / "live" / str(request.param)
    if not path.is_file():
        pytest.skip("the recordings of a running Sveltos are not beside this checkout")
    return Trace(path)


def _cluster_set(name: str, label: str, value: str) -> JsonObject:
    return custom(kinds.CLUSTER_SET, name, {"clusterSelector": {"matchLabels": {label: value}}, "maxReplicas": 3})


def _settled(stage: Stage, **exact: list[float]) -> None:
    """Let everything come to rest, then give the lags of the trace to what follows."""
    stage.settle()
    stage.lags.exact.update({name.replace("_", " "): values for name, values in exact.items()})


def _assert_same(recorder: Recorder, trace: Trace) -> None:
    assert recorder.matches == trace.matches()
    assert sorted(recorder.on_managed()) == sorted(trace.on_managed())


def _assert_back_in_time(stage: Stage, since: int) -> None:
    """What was deleted comes back 10 to 25 seconds later, as in the traces."""
    deleted = {(one.cluster, one.slot): one.time for one in stage.log[since:] if one.change == "DELETED"}
    added = {(one.cluster, one.slot): one.time for one in stage.log[since:] if one.change == "ADDED"}
    assert deleted.keys() == added.keys() != set()
    assert all(10 <= round(added[slot] - deleted[slot], 3) <= 25 for slot in deleted)


@pytest.mark.parametrize("trace", ["set-recreated.log"], indirect=True)
def test_a_set_is_created_again_20_ms_before_its_profile(trace: Trace) -> None:
    """The profile controller reads the set without its status: no match for a moment, and both clusters lose it."""
    moment = trace.moment("ADDED", "ClusterSet")
    status_after = trace.moment("MODIFIED", "ClusterSet") - moment
    profile_after = trace.moment("MODIFIED", "ClusterProfile") - moment
    empty_after = trace.moment("MODIFIED", "ClusterProfile", after=moment + profile_after) - moment
    again_after = trace.moment("MODIFIED", "ClusterProfile", after=moment + empty_after) - moment
    old = profile("s06", ref("s06"), clusterSelector={"matchLabels": {"s06": "in"}})
    stage = Stage([WORK, _ORDERS, config_map("s06", "s06res"), old], Lags(bounds=INSTANT))
    _settled(
        stage,
        queue_ClusterSet=[status_after],
        cache_ClusterSet=[0.0, again_after - status_after],
        queue_ClusterProfile=[empty_after - profile_after],
    )
    recorder, since = Recorder(stage), len(stage.log)

    stage.put(_cluster_set("s06", "s06", "in"))
    stage.settle(profile_after)
    stage.put(profile("s06", ref("s06"), clusterSelector=None, setRefs=["s06"]))
    stage.settle()

    _assert_same(recorder, trace)
    _assert_back_in_time(stage, since)


@pytest.mark.parametrize("trace", ["set-recreated-controller-down.log"], indirect=True)
def test_the_same_race_at_the_start_of_the_controller(trace: Trace) -> None:
    """The set and the profile are written while the controller is down; its own controllers race when it starts."""
    created = trace.moment("ADDED", "ClusterSet")
    status = trace.moment("MODIFIED", "ClusterSet")
    first = trace.moment("MODIFIED", "ClusterProfile", after=status)
    again = trace.moment("MODIFIED", "ClusterProfile", after=first)
    old = profile("s29", ref("s29"), clusterSelector={"matchLabels": {"s29": "in"}})
    stage = Stage([WORK, _ORDERS, config_map("s29", "s29res"), old], Lags(bounds=INSTANT))
    stage.settle()
    recorder, since = Recorder(stage), len(stage.log)
    stage.controller.stop()
    stage.put(_cluster_set("s29", "s29", "in"))
    stage.put(profile("s29", ref("s29"), clusterSelector=None, setRefs=["s29"]))
    stage.settle(status - created)
    stage.lags.exact.update({"cache ClusterSet": [again - status], "queue ClusterProfile": [first - status]})

    stage.controller.start()
    stage.settle()

    _assert_same(recorder, trace)
    _assert_back_in_time(stage, since)


@pytest.mark.parametrize("trace", ["set-and-label-held.log"], indirect=True)
def test_a_held_profile_is_released_before_the_set_follows(trace: Trace) -> None:
    """The set's status is empty for 386 ms, since its controller has not seen the label; the release falls into it."""
    start = trace.moment("MODIFIED", "ClusterSet")
    emptied = trace.moment("MODIFIED", "ClusterSet", after=start, containing="{}")
    filled = trace.moment("MODIFIED", "ClusterSet", after=emptied)
    released = trace.moment("MODIFIED", "ClusterProfile", after=emptied)
    looked = trace.moment("MODIFIED", "ClusterProfile", after=filled)
    again = trace.moment("MODIFIED", "ClusterProfile", after=looked)
    work = managed("clusterapi-workload", env="fv", ring="a")
    spec = {"clusterSelector": None, "setRefs": ["s07b"]}
    paused = profile("s07b", ref("s07b"), metadata={"annotations": {_PAUSED: "gitsnap-rollback"}}, **spec)
    stage = Stage(
        [work, config_map("s07b", "s07bres"), _cluster_set("s07b", "ring", "a"), profile("s07b", ref("s07b"), **spec)],
        Lags(bounds=INSTANT),
    )
    stage.settle()
    stage.put(paused)
    stage.settle()
    recorder, since = Recorder(stage), len(stage.log)
    stage.lags.exact.update({
        "queue ClusterSet": [emptied - start],
        "cache SveltosCluster": [filled - start],
        "cache ClusterSet": [0.0, looked - emptied - 0.01, again - filled],
        "queue ClusterProfile": [looked - released],
    })  # fmt: skip

    stage.put(_cluster_set("s07b", "rinb", "a"))
    stage.put(managed("clusterapi-workload", env="fv", ring="a", rinb="a"))
    stage.settle(released - start)
    stage.put(profile("s07b", ref("s07b"), **spec))
    stage.settle()

    _assert_same(recorder, trace)
    _assert_back_in_time(stage, since)


@pytest.mark.parametrize("trace", ["fewer-refs.log"], indirect=True)
def test_fewer_references_documents_and_charts(trace: Trace) -> None:
    """The document goes with its ConfigMap at once, the reference and the release ten seconds later."""
    before = profile("s30", ref("one"), ref("two"), helmCharts=[chart("s30")])
    after = profile("s30", ref("one"))
    stage = Stage(
        [WORK, config_map("one", "s30one", "s30three"), config_map("two", "s30two"), before], Lags(bounds=INSTANT)
    )
    # The profile controller updates a ClusterSummary that it has not seen the last status of: a conflict.
    stage.lags.bounds = {**INSTANT, "deploy": (0.2, 0.4), "cache ClusterSummary": (0.1, 0.1)}
    stage.settle()
    since, start = len(stage.log), stage.timeline.now

    stage.put(config_map("one", "s30one"))
    stage.settle(0.02)
    stage.put(after)
    stage.settle(5)
    stage.lags.bounds = {**INSTANT, "deploy": (0.2, 0.4)}
    stage.settle()

    gone = [(one.slot.name, one.time - start) for one in stage.log[since:] if one.change == "DELETED"]
    recorded = [line.name.rpartition("/")[2] for line in trace.lines if line.change == "DELETED"]
    assert gone[0][0] == recorded[0] == "s30three"
    assert {name for name, _ in gone} == {name for name in recorded if not name.startswith(("s30-", "sh."))}
    assert gone[0][1] < 1
    assert all(9 < time < 11 for _, time in gone[1:])
