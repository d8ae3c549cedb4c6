"""Of what the capture before saw only the metadata is read, and the batch is that of a list read whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gitsnap.capture.archiver import Archiver
from gitsnap.capture.batch import Batch
from gitsnap.capture.context import CaptureContext
from gitsnap.capture.list_reader import ListReader
from gitsnap.capture.pinned_list import Lister, ObjectPage
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import GoneError
from gitsnap.core.model import (
    Area,
    BlobId,
    IncompleteKind,
    JsonObject,
    Kind,
    ResourceType,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
)
from gitsnap.core.ports import Cluster, Page, Seen
from gitsnap.secrets.sealing import Sealer
from gitsnap.sveltos.generated import Inclusions
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, SECRET

INFO = TreeInfo("hourly", "hourly", (CONFIG_MAP,), SecretsInfo(SecretsMode.OMIT))
CONFIG_MAPS = ResourceType(CONFIG_MAP, "v1", "configmaps", namespaced=True)


def config_map(name: str, text: str = "one", *, version: int = 1, **metadata: Any) -> JsonObject:
    """A ConfigMap as a server gives it."""
    identity = {"name": name, "namespace": "a", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**identity, **metadata}, "data": {"text": text}}


@dataclass
class _Server:
    """What ``Lister`` asks of a cluster: lists of what it holds, each at the revision of that moment."""

    objects: list[JsonObject]
    revision: int = 10
    makes_metadata: bool = True
    moves: bool = False
    """Whether every list finds a newer revision, and another content behind the name ``b``."""
    ignores_selectors: bool = False
    lost: int = 0
    """How many lists of metadata are lost after their page."""
    asked: list[str] = field(default_factory=list)

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str,
        field_selector: str,
        metadata_only: bool,
        **_unused: str,
    ) -> Iterator[Page]:
        """See ports.Cluster."""
        assert resource == CONFIG_MAPS
        self.asked.append("metadata" if metadata_only else field_selector or "whole")
        if self.moves:
            self.revision += 1
            self.objects = [
                config_map("b", f"{self.revision}", version=self.revision) if one["metadata"]["name"] == "b" else one
                for one in self.objects
            ]
        bare = metadata_only and self.makes_metadata
        name = field_selector.removeprefix("metadata.name=")
        selected = ("", *([name] if self.ignores_selectors else []))
        found = [one for one in self.objects if name in (*selected, one["metadata"]["name"])]
        assert not field_selector or namespace == "a"
        kept = ("apiVersion", "kind", "metadata") if bare else ("apiVersion", "kind", "metadata", "data")
        yield Page([{part: one[part] for part in kept} for one in found], str(self.revision), whole=not bare)
        if metadata_only and self.lost:
            self.lost -= 1
            raise GoneError("the continuation is gone")


@dataclass
class _Tree:
    """The sample before (ports.Tree)."""

    held: Mapping[str, BlobId]
    info: TreeInfo = INFO
    incomplete: tuple[IncompleteKind, ...] = ()

    def files(self, area: Area) -> Mapping[str, BlobId]:
        return self.held if area is Area.CONFIGURATION else {}

    def read(self, blob: BlobId) -> bytes:
        raise AssertionError(blob)


@dataclass
class _Capture:
    """One pass over ConfigMaps, and what it leaves to the next."""

    batch: Batch
    seen: Seen

    @property
    def files(self) -> Mapping[str, BlobId]:
        return self.batch.files[Area.CONFIGURATION]


def _store(content: bytes) -> BlobId:
    return BlobId(hashlib.sha1(content, usedforsecurity=False).hexdigest())


def _lister(server: _Server) -> Lister:
    return Lister(cast("Cluster", server), exact=False, pause=lambda _seconds: None)


def _reader(lister: Lister, unchanged: Unchanged) -> ListReader:
    sealer = Sealer(INFO.secrets, None, previous=None, store=_store)
    inclusions = Inclusions(frozenset(), ())
    archiver = Archiver(CaptureContext(), sealer, _store, unchanged, inclusions=inclusions, strict=True)
    return ListReader(lister, archiver, unchanged)


def _capture(server: _Server, before: _Capture | None = None) -> _Capture:
    server.asked.clear()
    tree = _Tree(before.files) if before else None
    unchanged = Unchanged(INFO, seen=before.seen if before else None, previous=tree, now=1000)
    lister = _lister(server)

    def pages(*, metadata_only: bool) -> Iterator[ObjectPage]:
        for page in lister.pages(CONFIG_MAPS, metadata_only=metadata_only):
            yield page.select([obj for obj in page.objects if not obj.key.name.startswith("unwanted")])

    batch = _reader(lister, unchanged).read(CONFIG_MAPS, pages)
    unchanged.record(batch.versions)
    return _Capture(batch, unchanged.result())


def _objects(count: int = 200) -> list[JsonObject]:
    return [config_map("b"), *(config_map(f"c-{number}") for number in range(count)), config_map("unwanted")]


@pytest.fixture
def server() -> _Server:
    """A few hundred ConfigMaps, of which one is not wanted."""
    return _Server(_objects())


def test_what_has_not_changed_is_not_sent(server: _Server) -> None:
    """One list of metadata, and the same files and versions."""
    first = _capture(server)
    assert server.asked == ["whole"]

    second = _capture(server, first)

    assert server.asked == ["metadata"]
    assert second.batch.files == first.batch.files
    assert second.seen.versions == first.seen.versions
    assert len(first.files) == 201


def test_few_that_changed_are_read_by_name(server: _Server) -> None:
    """Changed, new and made anew are read; deleted, terminating and generated objects need not be."""
    first = _capture(server)
    server.objects[0] = config_map("b", "two", version=2)
    server.objects[1] = config_map("c-0", version=3, uid="uid-other")
    del server.objects[2]
    server.objects[2] = config_map("c-2", version=4, deletionTimestamp="2023-08-26T05:00:00Z")
    server.objects[3] = config_map("c-3", version=5, ownerReferences=[{"controller": True}])
    server.objects.append(config_map("d"))

    second = _capture(server, first)

    assert server.asked == ["metadata", "metadata.name=b", "metadata.name=c-0", "metadata.name=d"]
    whole = _capture(server)
    assert second.batch.files == whole.batch.files
    assert second.seen.versions == whole.seen.versions
    assert second.batch.generated == whole.batch.generated != {}


def test_a_cluster_that_ignores_selectors(server: _Server) -> None:
    """Of a list of one name only that object counts, whatever else it brings."""
    first = _capture(server)
    server.objects[0] = config_map("b", "two", version=2)
    server.ignores_selectors = True

    second = _capture(server, first)

    assert server.asked == ["metadata", "metadata.name=b"]
    assert second.batch.files == _capture(server).batch.files


def test_many_that_changed_are_worth_the_list(server: _Server) -> None:
    """A request for each would cost the server more."""
    first = _capture(server)
    for number in range(20):
        server.objects[number] = config_map(server.objects[number]["metadata"]["name"], "two", version=2)

    second = _capture(server, first)

    assert server.asked == ["metadata", "whole"]
    assert second.batch.files == _capture(server).batch.files != first.batch.files


def test_no_batch_is_of_two_moments(server: _Server) -> None:
    """A name that is read at a newer revision than its list was: the list is read whole."""
    first = _capture(server)
    server.moves = True

    second = _capture(server, first)

    assert server.asked == ["metadata", "metadata.name=b", "whole"]
    server.moves = False
    assert second.batch.files == _capture(server).batch.files


def test_a_name_that_is_no_selector(server: _Server) -> None:
    """Roles may have commas in their names; in a field selector they would say something else."""
    first = _capture(server)
    server.objects.append(config_map("e,metadata.namespace!=a"))

    second = _capture(server, first)

    assert server.asked == ["metadata", "whole"]
    assert second.batch.files == _capture(server).batch.files


def test_a_server_that_sends_whole_objects(server: _Server) -> None:
    """One that cannot make metadata of a list: what has changed is taken from what came."""
    first = _capture(server)
    server.makes_metadata = False
    server.objects[0] = config_map("b", "two", version=2)

    second = _capture(server, first)

    assert server.asked == ["metadata"]
    assert second.batch.files == _capture(server).batch.files != first.batch.files


def test_a_list_that_was_lost_begins_again(server: _Server) -> None:
    """Nothing of the lost one is kept, and three in a row are a failure."""
    first = _capture(server)
    server.lost = 2
    assert _capture(server, first).batch.files == first.batch.files
    assert server.asked == ["metadata"] * 3

    server.lost = 3
    with pytest.raises(GoneError, match="configmaps was cut off 3 times"):
        _capture(server, first)


@pytest.mark.parametrize("kind", [SECRET, CLUSTER_PROFILE, Kind("cluster.x-k8s.io", "Cluster")])
def test_whose_metadata_is_never_enough(server: _Server, kind: Kind) -> None:
    """A Secret's type is not in it, nor what a profile refers to, nor what templates see of a cluster."""
    first = _capture(server)
    unchanged = Unchanged(INFO, seen=first.seen, previous=_Tree(first.files), now=1000)
    asked: list[bool] = []

    def pages(*, metadata_only: bool) -> Iterator[ObjectPage]:
        asked.append(metadata_only)
        yield ObjectPage.of(Page([], "11"))

    _reader(_lister(server), unchanged).read(ResourceType(kind, "v1", "things", namespaced=True), pages)

    assert asked == [False]
