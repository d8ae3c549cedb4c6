"""Pairs of objects that change together during a capture: no sample with half a pair claims to be exact.

The writer makes its next change between any two lists and any two pages, so the tests do not depend on timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap import capture as sampling
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster.api import client
from gitsnap.core.errors import GoneError
from gitsnap.core.model import Area, Consistency, Kind, ObjectKey, ResourceType, Sample, SecretsMode, Trigger
from gitsnap.core.ports import Cluster, ClusterInfo, Page
from gitsnap.format import decode
from gitsnap.policy import snapshot
from tests.support.adapters import connect
from tests.testbed.apiserver import ApiServer

_START = datetime(2026, 1, 1, tzinfo=UTC)
_PAIRS = 4
_SOURCES = "/apis/lib.projectsveltos.io/v1beta1/eventsources"
_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"


class _Writer:
    """Writes the same number into an EventSource and a ClusterProfile, pair after pair."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self.number = 0
        for pair in range(_PAIRS):
            for path, kind, spec in (
                (_SOURCES, "lib.projectsveltos.io/v1beta1 EventSource", {"collectResources": True}),
                (_PROFILES, "config.projectsveltos.io/v1beta1 ClusterProfile", {}),
            ):
                version, name = kind.split()
                metadata = {"name": f"pair-{pair}", "annotations": {"number": "0"}}
                api.ask("POST", path, {"apiVersion": version, "kind": name, "metadata": metadata, "spec": spec})

    def write(self) -> None:
        """Write the next number into every pair."""
        self.number += 1
        patch = {"metadata": {"annotations": {"number": str(self.number)}}}
        for pair in range(_PAIRS):
            for path in (_SOURCES, _PROFILES):
                self._api.ask("PATCH", f"{path}/pair-{pair}", patch, content_type="application/merge-patch+json")


class _ActingCluster:
    """A cluster that calls a function before every page (the part of ports.Cluster that a capture needs)."""

    def __init__(self, cluster: Cluster, act: Callable[[ResourceType, str], None]) -> None:
        self._cluster = cluster
        self._act = act

    def info(self) -> ClusterInfo:
        return self._cluster.info()

    def resource_type(self, kind: Kind) -> ResourceType | None:
        return self._cluster.resource_type(kind)

    def list(self, resource: ResourceType, *, resource_version: str = "", **more: Any) -> Iterator[Page]:
        self._act(resource, resource_version)
        for page in self._cluster.list(resource, resource_version=resource_version, **more):
            yield page
            self._act(resource, resource_version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class _Bench:
    def __init__(self, api: ApiServer, folder: Path) -> None:
        self.api = api
        self.writer = _Writer(api)
        self.archive: GitArchive = create_archive(folder, "hourly")

    def capture(self, act: Callable[[ResourceType, str], None]) -> Sample:
        made = snapshot.Policy("hourly", secrets_mode=SecretsMode.OMIT)
        info = sampling.tree_info(made, branch="hourly", keeper=None)
        moment = _START + timedelta(minutes=len(self.archive.samples()))
        request = sampling.Request(info, None, moment, Trigger.MANUAL, full=True)
        cluster = _ActingCluster(connect(kubeconfig=str(self.api.kubeconfig())), act)
        return sampling.capture(cluster, self.archive, request).recorded.sample

    def numbers(self, sample: Sample) -> list[set[str]]:
        """Return the numbers of each pair in the sample: one number for a whole pair, two for a half pair."""
        tree = self.archive.tree(sample)
        numbers: list[set[str]] = [set() for _ in range(_PAIRS)]
        for blob in tree.files(Area.CONFIGURATION).values():
            document = decode(tree.read(blob))
            name = ObjectKey.of(document).name
            numbers[int(name.removeprefix("pair-"))].add(document["metadata"]["annotations"]["number"])
        return numbers


@pytest.fixture
def bench(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Bench:
    """Four pairs, in pages of three."""
    monkeypatch.setattr(client, "PAGE_SIZE", 3)
    return _Bench(api, tmp_path)


def test_an_exact_sample_holds_no_half_pair(bench: _Bench) -> None:
    """The writer writes between lists and pages. All objects of the sample are of one instant."""
    for _ in range(3):
        sample = bench.capture(lambda _resource, _version: bench.writer.write())

        assert sample.metadata.consistency is Consistency.EXACT
        (numbers,) = {frozenset(pair) for pair in bench.numbers(sample)}
        assert len(numbers) == 1
    assert bench.writer.number > 60  # the writer made changes during the capture


def test_an_inexact_sample_is_marked(bench: _Bench) -> None:
    """The instant is gone, so each kind is read as it is. The sample has half pairs and records that."""

    def act(_resource: ResourceType, version: str) -> None:
        bench.writer.write()
        if version:
            raise GoneError("the version is gone")

    sample = bench.capture(act)

    assert sample.metadata.consistency is Consistency.PER_KIND
    assert all(len(pair) == 2 for pair in bench.numbers(sample))


def test_a_compaction_in_the_middle(bench: _Bench) -> None:
    """etcd drops its history between any two pages: no object is lost, and no half pair is called exact."""

    def act(resource: ResourceType, _version: str) -> None:
        bench.writer.write()
        if resource.plural == "eventsources":
            version = bench.api.ask("GET", f"{_SOURCES}?limit=1")["metadata"]["resourceVersion"]
            bench.api.compact(version)

    sample = bench.capture(act)

    assert sample.metadata.objects == 2 * _PAIRS
    assert not sample.metadata.incomplete
    halves = [pair for pair in bench.numbers(sample) if len(pair) > 1]
    assert not halves or sample.metadata.consistency is Consistency.PER_KIND
