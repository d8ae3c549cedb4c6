"""Pairs of objects that change in lock step while a capture reads: no sample holds a half pair and calls itself exact.

The writer moves on between any two lists and any two pages, so that nothing depends on timing.
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
from gitsnap.core.model import (
    Area,
    ClusterInfo,
    Consistency,
    Kind,
    ObjectKey,
    ResourceType,
    Sample,
    SecretsMode,
    Trigger,
)
from gitsnap.core.ports import Cluster, Page
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
        """The next number, into every pair."""
        self.number += 1
        patch = {"metadata": {"annotations": {"number": str(self.number)}}}
        for pair in range(_PAIRS):
            for path in (_SOURCES, _PROFILES):
                self._api.ask("PATCH", f"{path}/pair-{pair}", patch, content_type="application/merge-patch+json")


class _Between:
    """A cluster on which something happens before every page (ports.Cluster, as far as a capture needs it)."""

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
        cluster = _Between(connect(kubeconfig=str(self.api.kubeconfig())), act)
        return sampling.capture(cluster, self.archive, request).recorded.sample

    def numbers(self, sample: Sample) -> list[set[str]]:
        """What the sample has of each pair: one number for a whole pair, two for a half one."""
        tree = self.archive.tree(sample)
        found: list[set[str]] = [set() for _ in range(_PAIRS)]
        for blob in tree.files(Area.CONFIGURATION).values():
            document = decode(tree.read(blob))
            name = ObjectKey.of(document).name
            found[int(name.removeprefix("pair-"))].add(document["metadata"]["annotations"]["number"])
        return found


@pytest.fixture
def bench(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Bench:
    """Four pairs, in pages of three."""
    monkeypatch.setattr(client, "PAGE_SIZE", 3)
    return _Bench(api, tmp_path)


def test_an_exact_sample_holds_no_half_pair(bench: _Bench) -> None:
    """However the writer gets ahead between lists and pages, every object is of one instant."""
    for _ in range(3):
        sample = bench.capture(lambda _resource, _version: bench.writer.write())

        assert sample.metadata.consistency is Consistency.EXACT
        (numbers,) = {frozenset(pair) for pair in bench.numbers(sample)}
        assert len(numbers) == 1
    assert bench.writer.number > 60  # so there was something to be torn by


def test_a_sample_that_could_not_be_exact_says_so(bench: _Bench) -> None:
    """With its instant gone, each kind is as it is when it is read: half pairs are in it, and it says so."""

    def act(_resource: ResourceType, version: str) -> None:
        bench.writer.write()
        if version:
            raise GoneError("the version is gone")

    sample = bench.capture(act)

    assert sample.metadata.consistency is Consistency.PER_KIND
    assert all(len(pair) == 2 for pair in bench.numbers(sample))


def test_a_compaction_in_the_middle(bench: _Bench) -> None:
    """etcd forgets all that was, between any two pages: no object is lost, and no half pair is called exact."""

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
