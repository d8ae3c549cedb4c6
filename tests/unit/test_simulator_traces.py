"""The simulator replays recorded traces of a real Sveltos: the same events in the same order.

Each test writes at the times of the trace, and gives the simulated caches the lags of the trace. The tests are skipped
if the recordings are not beside the checkout.
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
    """An event of a trace."""

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
    """A recording. Times are in seconds since its first line."""

    def __init__(self, path: Path) -> None:
        found = [re.fullmatch(r"(\S+) (\S+) (\S+) (\S+) (\S+)(.*)", line) for line in path.read_text().splitlines()]
        raw = [match for match in found if match is not None]
        times = [datetime.strptime(match[1], "%H:%M:%S.%f") for match in raw]  # noqa: DTZ007 - a difference only
        self.lines = [
            Line((time - times[0]).total_seconds(), match[2], match[3], match[4], match[5], match[6].strip())
            for time, match in zip(times, raw, strict=True)
        ]

    def matches(self) -> list[str]:
        """The clusters that the profile matched, one text for each change."""
        return _changes(line.matches for line in self.lines if line.kind == "ClusterProfile")

    def on_managed(self) -> list[tuple[str, str, str]]:
        """Additions and deletions of ConfigMaps on the managed clusters: change, server and name."""
        return [
            (line.change, line.server, line.name)
            for line in self.lines
            if line.server != "mgmt" and line.kind == "ConfigMap"
        ]

    def moment(self, change: str, kind: str, after: float = -1.0, containing: str = "") -> float:
        """The time of the first such event, in seconds."""
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
    """Records the same events of a stage as a trace."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._matches: list[str] = []
        self._selected: list[bool] = []
        self._since = len(stage.log)
        stage.server.listeners.append(self._see)

    def _see(self, _change: str, document: JsonObject) -> None:
        status = document.get("status") or {}
        if document["kind"] == "ClusterProfile":
            self._matches.append(_names(cluster["name"] for cluster in status.get("matchingClusters") or ()))
        if document["kind"] == "ClusterSet":
            self._selected.append(bool(status.get("selectedClusterRefs")))

    @property
    def matches(self) -> list[str]:
        """The clusters that the profile matched, one text for each change."""
        return _changes(self._matches)

    def on_managed(self) -> list[tuple[str, str, str]]:
        """See Trace.on_managed."""
        servers = {"clusterapi-workload": "work", "orders": "ord"}
        return [
            (event.change, servers[event.cluster.name], f"{event.slot.namespace}/{event.slot.name}")
            for event in self._stage.log[self._since :]
            if event.slot.kind == "ConfigMap"
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
    """The recording with the file name of the parameter."""
    path = shared / "recorded" / "live" / str(request.param)
    if not path.is_file():
        pytest.skip("the recordings of a running Sveltos are not beside this checkout")
    return Trace(path)


def _cluster_set(name: str, label: str, value: str) -> JsonObject:
    return custom(kinds.CLUSTER_SET, name, {"clusterSelector": {"matchLabels": {label: value}}, "maxReplicas": 3})


def _settle_with_lags(stage: Stage, **exact: list[float]) -> None:
    """Wait until the stage is idle, then set the lags of the trace."""
    stage.settle()
    stage.lags.exact.update({name.replace("_", " "): values for name, values in exact.items()})


def _assert_same(recorder: Recorder, trace: Trace) -> None:
    assert recorder.matches == trace.matches()
    assert sorted(recorder.on_managed()) == sorted(trace.on_managed())


def _assert_redeployed_in_time(stage: Stage, since: int) -> None:
    """Each deleted resource is deployed again after 10 to 25 seconds, as in the traces."""
    deleted = {(event.cluster, event.slot): event.time for event in stage.log[since:] if event.change == "DELETED"}
    added = {(event.cluster, event.slot): event.time for event in stage.log[since:] if event.change == "ADDED"}
    assert deleted.keys() == added.keys() != set()
    assert all(10 <= round(added[slot] - deleted[slot], 3) <= 25 for slot in deleted)


@pytest.mark.parametrize("trace", ["set-recreated.log"], indirect=True)
def test_a_set_is_recreated_20_ms_before_its_profile(trace: Trace) -> None:
    """The profile controller reads the set before its status is set, so both clusters lose the match for a moment."""
    moment = trace.moment("ADDED", "ClusterSet")
    status_after = trace.moment("MODIFIED", "ClusterSet") - moment
    profile_after = trace.moment("MODIFIED", "ClusterProfile") - moment
    empty_after = trace.moment("MODIFIED", "ClusterProfile", after=moment + profile_after) - moment
    again_after = trace.moment("MODIFIED", "ClusterProfile", after=moment + empty_after) - moment
    old = profile("s06", ref("s06"), clusterSelector={"matchLabels": {"s06": "in"}})
    stage = Stage([WORK, _ORDERS, config_map("s06", "s06res"), old], Lags(bounds=INSTANT))
    _settle_with_lags(
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
    _assert_redeployed_in_time(stage, since)


@pytest.mark.parametrize("trace", ["set-recreated-controller-down.log"], indirect=True)
def test_the_same_race_at_the_start_of_the_controller(trace: Trace) -> None:
    """Set and profile are written while Sveltos is stopped. The controllers of Sveltos race at the start."""
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
    _assert_redeployed_in_time(stage, since)


@pytest.mark.parametrize("trace", ["set-and-label-held.log"], indirect=True)
def test_a_held_profile_is_released_before_the_set_is_updated(trace: Trace) -> None:
    """The status of the set is empty for 386 ms, until its controller sees the label. The release occurs meanwhile."""
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
    _assert_redeployed_in_time(stage, since)


@pytest.mark.parametrize("trace", ["fewer-refs.log"], indirect=True)
def test_fewer_references_documents_and_charts(trace: Trace) -> None:
    """The resource of the removed document is deleted at once, those of reference and chart ten seconds later."""
    before = profile("s30", ref("one"), ref("two"), helmCharts=[chart("s30")])
    after = profile("s30", ref("one"))
    stage = Stage(
        [WORK, config_map("one", "s30one", "s30three"), config_map("two", "s30two"), before], Lags(bounds=INSTANT)
    )
    # The profile controller updates an old version of a ClusterSummary, which is a conflict.
    stage.lags.bounds = {**INSTANT, "deploy": (0.2, 0.4), "cache ClusterSummary": (0.1, 0.1)}
    stage.settle()
    since, start = len(stage.log), stage.timeline.now

    stage.put(config_map("one", "s30one"))
    stage.settle(0.02)
    stage.put(after)
    stage.settle(5)
    stage.lags.bounds = {**INSTANT, "deploy": (0.2, 0.4)}
    stage.settle()

    gone = [(event.slot.name, event.time - start) for event in stage.log[since:] if event.change == "DELETED"]
    recorded = [line.name.rpartition("/")[2] for line in trace.lines if line.change == "DELETED"]
    assert gone[0][0] == recorded[0] == "s30three"
    assert {name for name, _ in gone} == {name for name in recorded if not name.startswith(("s30-", "sh."))}
    assert gone[0][1] < 1
    assert all(9 < time < 11 for _, time in gone[1:])
