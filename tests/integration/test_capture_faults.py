"""A server that answers late, wrongly or not at all: the sample is complete, reports what it lacks, or is not taken.

A proxy in front of a real API server injects the faults. Pauses are recorded, not made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap import capture as sampling
from gitsnap.archive import GitArchive, create_archive
from gitsnap.capture import pinned_list
from gitsnap.cluster.api import client as kubernetes_api
from gitsnap.cluster.api import transport
from gitsnap.core.errors import ClusterError, ClusterUnreachableError
from gitsnap.core.model import Area, Consistency, Kind, ResourceSelector, Sample, SecretsMode, Trigger
from gitsnap.policy import snapshot
from tests.support.adapters import connect
from tests.support.commands import gitsnap
from tests.support.read_faults import Fault, FaultyProxy, faulty_proxy
from tests.testbed.apiserver import ApiServer

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SOURCES = "/eventsources"
_OBJECTS = 7
_BEHIND = Fault(504, message="Too large resource version: 99, current: 1")
_ONCE = {
    "busy": Fault(429, retry_after="1"),
    "internal error": Fault(500),
    "unavailable": Fault(503),
    "behind": _BEHIND,
    "reset": Fault(reset=True),
    "truncated": Fault(truncate=True),
}


class _Bench:
    """Seven objects of one kind, in pages of three, and an archive."""

    def __init__(self, api: ApiServer, proxy: FaultyProxy, folder: Path) -> None:
        self.api = api
        self.proxy = proxy
        self.folder = folder
        self.archive: GitArchive = create_archive(folder, "hourly")
        self.resources: tuple[ResourceSelector, ...] = ()
        for number in range(_OBJECTS):
            self.put(number)

    def put(self, number: int) -> None:
        document = {
            "apiVersion": "lib.projectsveltos.io/v1beta1",
            "kind": "EventSource",
            "metadata": {"name": f"s{number}"},
            "spec": {"collectResources": True},
        }
        self.api.ask("POST", "/apis/lib.projectsveltos.io/v1beta1/eventsources", document)

    def capture(self, *, reading_seconds: float = sampling.READING_SECONDS) -> Sample:
        """Take the next sample through the proxy."""
        made = snapshot.Policy("hourly", secrets_mode=SecretsMode.OMIT, resources=self.resources)
        info = sampling.tree_info(made, branch="hourly", keeper=None)
        moment = _START + timedelta(minutes=len(self.archive.samples()))
        request = sampling.Request(
            info, None, moment, Trigger.MANUAL, full=True, reading_seconds=reading_seconds, allow_empty=True
        )
        cluster = connect(kubeconfig=self.proxy.kubeconfig())
        return sampling.capture(cluster, self.archive, request).recorded.sample

    def names(self, sample: Sample, kind: str = "EventSource") -> list[str]:
        files = self.archive.tree(sample).files(Area.CONFIGURATION)
        return [Path(path).stem for path in files if f"/{kind}." in path]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of the pauses that the code asked for. No pause is made."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


@pytest.fixture
def bench(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[_Bench]:
    """A _Bench behind a proxy."""
    monkeypatch.setattr(kubernetes_api, "PAGE_SIZE", 3)
    assert not waits
    with faulty_proxy(api) as proxy:
        yield _Bench(api, proxy, tmp_path)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("fault", _ONCE.values(), ids=_ONCE)
def test_a_transient_fault_is_retried(bench: _Bench, fault: Fault, page: int) -> None:
    """One bad answer on any page of a list: the sample is complete, with the same content as without the fault."""
    bench.proxy.once(fault, where=_SOURCES, at=page)

    sample = bench.capture()

    assert bench.names(sample) == [f"s{number}" for number in range(_OBJECTS)]
    assert not sample.metadata.incomplete
    bench.proxy.judge = lambda _path: None
    again = bench.capture()
    assert again.metadata.content_sha256 == sample.metadata.content_sha256


def test_retry_after_sets_the_pause(bench: _Bench, waits: list[float]) -> None:
    """The pause is as long as the server's `Retry-After`."""
    bench.proxy.once(Fault(429, retry_after="7"), where=_SOURCES)

    bench.capture()

    assert waits == [7.0]


_FOR_EVER = {
    "busy": (Fault(429), "unreachable"),
    "internal error": (Fault(500), "unreachable"),
    "gateway timeout": (Fault(504), "unreachable"),
    "reset": (Fault(reset=True), "unreachable"),
    "truncated": (Fault(truncate=True), "unreachable"),
    "garbage": (Fault(garbage=True), "bad-answer"),
    "forbidden": (Fault(403), "forbidden"),
}


@pytest.mark.parametrize(("fault", "reason"), _FOR_EVER.values(), ids=_FOR_EVER)
def test_a_kind_that_stays_unreadable_is_carried_forward(bench: _Bench, fault: Fault, reason: str) -> None:
    """The kind looks neither deleted nor changed, the other kinds are read, and the number of retries is limited."""
    before = bench.capture()
    bench.put(_OBJECTS)
    bench.api.ask(
        "POST",
        "/apis/config.projectsveltos.io/v1beta1/clusterprofiles",
        {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": "ClusterProfile",
            "metadata": {"name": "new"},
            "spec": {},
        },
    )
    bench.proxy.asked.clear()
    bench.proxy.always(fault, where=_SOURCES)

    sample = bench.capture()

    assert [(entry.kind.name, entry.substitute, entry.reason) for entry in sample.metadata.incomplete] == [
        ("EventSource", "carried", reason)
    ]
    assert bench.names(sample) == bench.names(before)
    assert bench.names(sample, "ClusterProfile") == ["new"]
    assert sum(_SOURCES in path for path in bench.proxy.asked) <= 10


@pytest.mark.parametrize("fault", [Fault(429), Fault(503), Fault(reset=True), Fault(garbage=True)], ids=str)
def test_a_server_that_answers_nothing_gives_no_sample(bench: _Bench, fault: Fault) -> None:
    """The error names the server in bounded time, and the archive is unchanged."""
    bench.capture()
    bench.proxy.asked.clear()
    bench.proxy.always(fault, where="/")

    with pytest.raises(ClusterError, match=r"127\.0\.0\.1"):
        bench.capture()

    assert len(bench.archive.samples()) == 1
    assert len(bench.proxy.asked) <= 4


def test_a_server_that_stops_answering_half_way(bench: _Bench, waits: list[float]) -> None:
    """Kinds that were not read are carried forward. The wait for a restart ends once, for all kinds together."""
    first = bench.capture()
    count = 0

    def judge(path: str) -> Fault | None:
        nonlocal count
        count += _SOURCES in path
        return Fault(reset=True) if count else None

    bench.proxy.judge = judge
    waits.clear()

    sample = bench.capture()

    assert sample.metadata.objects == first.metadata.objects
    assert sample.metadata.incomplete
    assert {entry.substitute for entry in sample.metadata.incomplete} == {"carried"}
    assert 0 < sum(waits) <= 30


def test_a_server_that_restarts_is_waited_for(bench: _Bench, waits: list[float]) -> None:
    """Six lost connections in the middle of a list: the sample is complete and at one instant."""
    count = 0

    def judge(path: str) -> Fault | None:
        nonlocal count
        count += _SOURCES in path
        return Fault(reset=True) if 2 <= count <= 7 else None

    bench.proxy.judge = judge

    sample = bench.capture()

    assert len(bench.names(sample)) == _OBJECTS
    assert not sample.metadata.incomplete
    assert sample.metadata.consistency is Consistency.EXACT
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_server_that_is_silent(bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout the capture skips the kind and continues."""
    monkeypatch.setattr(transport, "READ_SECONDS", 3.0)
    over = threading.Event()
    bench.proxy.always(Fault(silent=over), where=_SOURCES)
    try:
        sample = bench.capture()
    finally:
        over.set()

    assert [str(entry.reason) for entry in sample.metadata.incomplete] == ["unreachable"]


_HANGING = {"silent": lambda over: Fault(silent=over), "byte by byte": lambda over: Fault(trickle=over)}


@pytest.mark.parametrize("fault", _HANGING.values(), ids=_HANGING)
def test_a_server_that_hangs_from_some_moment_on(bench: _Bench, fault: Callable[[threading.Event], Fault]) -> None:
    """All lists together have a time limit. Kinds that are not read by then are carried forward."""
    first = bench.capture()
    over = threading.Event()
    reached: list[str] = []

    def judge(path: str) -> Fault | None:
        reached.extend([path] if _SOURCES in path else [])
        return fault(over) if reached else None

    bench.proxy.judge = judge
    started = time.monotonic()
    try:
        sample = bench.capture(reading_seconds=4.0)
        seconds = time.monotonic() - started
    finally:
        over.set()

    assert seconds < 30  # READ_SECONDS is 60 for each list, and a trickle is never silent for so long
    assert len(bench.names(sample)) == _OBJECTS
    assert sample.metadata.objects == first.metadata.objects
    assert "EventSource" in {entry.kind.name for entry in sample.metadata.incomplete}
    assert {(entry.substitute, entry.reason) for entry in sample.metadata.incomplete} <= {
        ("carried", "unreachable"), ("carried", "discovery-failed"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", _HANGING.values(), ids=_HANGING)
def test_a_server_that_hangs_from_the_first_list_on(bench: _Bench, fault: Callable[[threading.Event], Fault]) -> None:
    """No kind was read, so no sample is taken. The error names the limit."""
    over = threading.Event()
    bench.proxy.judge = lambda path: None if "kube-system" in path or "version" in path else fault(over)
    try:
        with pytest.raises(ClusterUnreachableError, match=r"the cluster was not read within 2 s"):
            bench.capture(reading_seconds=2.0)
    finally:
        over.set()

    assert not bench.archive.samples()


@pytest.mark.parametrize("page", [1, 2])
def test_an_instant_that_is_gone(bench: _Bench, page: int) -> None:
    """410 on the second list or between two pages: the kinds are read again as they are now, and the sample says so."""
    bench.proxy.once(Fault(410, message="The provided continue parameter is too old"), where=_SOURCES, at=page)

    sample = bench.capture()

    assert len(bench.names(sample)) == _OBJECTS
    if page == 2:
        assert sample.metadata.consistency is Consistency.PER_KIND
        listed = gitsnap(bench.folder, "list", "--wide", code=0).stdout
        assert "not at one instant" in listed


def test_a_server_whose_cache_stays_behind(bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the cache ends. Then each kind is read as it is, and the sample records that."""
    monkeypatch.setattr(pinned_list, "RETRY_SECONDS", 3.0)
    monkeypatch.setattr(pinned_list, "PAUSE_SECONDS", 1.0)

    def judge(path: str) -> Fault | None:
        if _SOURCES not in path or "resourceVersionMatch" not in path:
            return None
        bench.put(_OBJECTS + sum(_SOURCES in path for path in bench.proxy.asked))  # later than the instant
        return _BEHIND

    bench.proxy.judge = judge

    sample = bench.capture()

    assert len(bench.names(sample)) == _OBJECTS + 4
    assert sample.metadata.consistency is Consistency.PER_KIND
    assert sum(_SOURCES in path and "resourceVersionMatch" in path for path in bench.proxy.asked) == 4


def test_a_server_that_reports_a_stale_cache_slowly(bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the server counts: the limit is a number of seconds, not of retries."""
    monkeypatch.setattr(pinned_list, "RETRY_SECONDS", 2.0)
    monkeypatch.setattr(pinned_list, "PAUSE_SECONDS", 0.001)
    tries: list[str] = []

    def judge(path: str) -> Fault | None:
        if _SOURCES not in path or "resourceVersionMatch" not in path:
            return None
        tries.append(path)
        threading.Event().wait(0.7)
        return _BEHIND

    bench.proxy.judge = judge

    sample = bench.capture()

    assert len(bench.names(sample)) == _OBJECTS
    assert len(tries) in (2, 3)


def test_broken_neighbours(api: ApiServer, bench: _Bench) -> None:
    """A dead aggregated API, a dead conversion webhook and a forbidden kind: each is reported, other kinds are read."""
    dead, converted = Kind("dead.gitsnap.test", "Thing"), Kind("converted.gitsnap.test", "Thing")
    bench.resources = tuple(sorted(ResourceSelector(kind) for kind in (dead, converted)))
    _install_dead_api(api, dead.group)
    _install_dead_conversion(api, converted.group)
    try:
        bench.proxy.always(Fault(403), where=_SOURCES)
        sample = bench.capture()
    finally:
        api.ask("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{dead.group}")
        api.ask("DELETE", f"{_DEFINITIONS}/things.{converted.group}")

    assert sample.metadata.consistency is Consistency.EXACT  # what could be read
    assert {str(entry.kind): (entry.substitute, entry.reason) for entry in sample.metadata.incomplete} == {
        "EventSource.lib.projectsveltos.io": ("missing", "forbidden"),
        "Thing.dead.gitsnap.test": ("missing", "discovery-failed"),
        "Thing.converted.gitsnap.test": ("missing", "unreachable"),
    }
    wide = gitsnap(bench.folder, "list", "--wide", code=0).stdout
    shown = gitsnap(bench.folder, "show", code=0).stderr
    for kind in ("EventSource", "Thing"):
        assert f"{kind} missing" in wide
    for kind in ("EventSource.lib.projectsveltos.io", "Thing.dead.gitsnap.test", "Thing.converted.gitsnap.test"):
        assert f"incomplete: {kind} was missing" in shown


_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _install_dead_api(api: ApiServer, group: str) -> None:
    """Register an API group whose Service does not exist."""
    spec: dict[str, Any] = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "default"},
    }
    document = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1.{group}"}}
    api.ask("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {**document, "spec": spec})


def _install_dead_conversion(api: ApiServer, group: str) -> None:
    """Install a kind, stored as v1 and read as v2, whose conversion webhook does not answer, with one object."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    client = {"url": "https://127.0.0.1:1/convert"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
            "versions": [
                {"name": version, "served": True, "storage": version == "v1", "schema": schema}
                for version in ("v1", "v2")
            ],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
            },
        },
    }
    api.install([definition])
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one"}}
    api.ask("POST", f"/apis/{group}/v1/things", thing)


def test_the_first_request_is_not_retried(bench: _Bench, waits: list[float]) -> None:
    """A user who mistypes an address gets the error at once."""
    bench.proxy.always(Fault(reset=True), where="/")

    with pytest.raises(ClusterUnreachableError):
        bench.capture()

    assert not waits
