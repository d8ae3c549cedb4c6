"""Only the metadata of unchanged objects is read. The batch equals that of a list that is read completely."""

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
    JsonObject,
    Kind,
    ObjectKey,
    ResourceType,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
)
from gitsnap.core.objects import ObjectHead
from gitsnap.core.ports import Cluster, Page
from gitsnap.core.recording import CaptureCache
from gitsnap.secrets.sealing import Sealer
from gitsnap.sveltos.generated import Inclusions
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, SECRET
from tests.support.previous_tree import PreviousTree

INFO = TreeInfo("hourly", "hourly", (CONFIG_MAP,), SecretsInfo(SecretsMode.OMIT))
CONFIG_MAPS = ResourceType(CONFIG_MAP, "v1", "configmaps", namespaced=True)


def config_map(name: str, text: str = "one", *, version: int = 1, **metadata: Any) -> JsonObject:
    """A ConfigMap as a server sends it."""
    identity = {"name": name, "namespace": "a", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**identity, **metadata}, "data": {"text": text}}


@dataclass
class _Server:
    """The part of a cluster that ``Lister`` needs: lists of its objects at the current revision."""

    objects: list[JsonObject]
    revision: int = 10
    makes_metadata: bool = True
    makes_heads: bool = True
    """Whether the objects of a list of metadata are decoded when they are used."""
    moves: bool = False
    """Whether every list has a newer revision, and the object ``b`` another content."""
    ignores_selectors: bool = False
    lost: int = 0
    """How many metadata lists are lost after their first page."""
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
                config_map("b", f"{self.revision}", version=self.revision) if raw["metadata"]["name"] == "b" else raw
                for raw in self.objects
            ]
        bare = metadata_only and self.makes_metadata
        name = field_selector.removeprefix("metadata.name=")
        selected = ("", *([name] if self.ignores_selectors else []))
        found = [raw for raw in self.objects if name in (*selected, raw["metadata"]["name"])]
        assert not field_selector or namespace == "a"
        kept = ("apiVersion", "kind", "metadata") if bare else ("apiVersion", "kind", "metadata", "data")
        items = [{part: raw[part] for part in kept} for raw in found]
        heads = [_head(*numbered) for numbered in enumerate(found)] if bare and self.makes_heads else None
        yield Page(items, str(self.revision), whole=not bare, heads=heads)
        if metadata_only and self.lost:
            self.lost -= 1
            raise GoneError("the continuation is gone")


def _head(position: int, raw: JsonObject) -> ObjectHead:
    metadata = raw["metadata"]
    is_terminating = "deletionTimestamp" in metadata
    return ObjectHead(ObjectKey.of(raw), metadata["uid"], metadata["resourceVersion"], is_terminating, position)


@dataclass
class _Capture:
    """One capture of ConfigMaps, and its cache."""

    batch: Batch
    seen: CaptureCache

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
    tree = PreviousTree(INFO, before.files) if before else None
    unchanged = Unchanged(INFO, cache=before.seen if before else None, previous=tree, now=1000)
    lister = _lister(server)

    def pages(*, metadata_only: bool) -> Iterator[ObjectPage]:
        for page in lister.pages(CONFIG_MAPS, metadata_only=metadata_only):
            yield page.select([entry for entry in page.entries if not entry.key.name.startswith("unwanted")])

    batch = _reader(lister, unchanged).read(CONFIG_MAPS, pages)
    unchanged.record(batch.versions)
    return _Capture(batch, unchanged.result())


def _objects(count: int = 200) -> list[JsonObject]:
    return [config_map("b"), *(config_map(f"c-{number}") for number in range(count)), config_map("unwanted")]


@pytest.fixture(params=[True, False], ids=["heads", "objects"])
def server(request: pytest.FixtureRequest) -> _Server:
    """A few hundred ConfigMaps, one of which is not selected."""
    return _Server(_objects(), makes_heads=request.param)


def test_unchanged_objects_are_not_read(server: _Server) -> None:
    """One metadata list gives the same files and versions."""
    first = _capture(server)
    assert server.asked == ["whole"]

    second = _capture(server, first)

    assert server.asked == ["metadata"]
    assert second.batch.files == first.batch.files
    assert second.seen.versions == first.seen.versions
    assert len(first.files) == 201


def test_unchanged_objects_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head of an unchanged object is enough."""
    server = _Server(_objects())
    first = _capture(server)
    monkeypatch.setattr(ObjectPage, "decoded", lambda _page, entry: pytest.fail(f"decoded {entry}"))
    assert _capture(server, first).batch.files == first.batch.files


def test_a_few_changed_objects_are_read_by_name(server: _Server) -> None:
    """Changed, new and recreated objects are read; deleted, terminating and generated objects are not."""
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
    """Only the named object of a list counts, even if the answer has others."""
    first = _capture(server)
    server.objects[0] = config_map("b", "two", version=2)
    server.ignores_selectors = True

    second = _capture(server, first)

    assert server.asked == ["metadata", "metadata.name=b"]
    assert second.batch.files == _capture(server).batch.files


def test_many_changed_objects_are_read_with_the_list(server: _Server) -> None:
    """A request for each object would cost the server more."""
    first = _capture(server)
    for number in range(20):
        server.objects[number] = config_map(server.objects[number]["metadata"]["name"], "two", version=2)

    second = _capture(server, first)

    assert server.asked == ["metadata", "whole"]
    assert second.batch.files == _capture(server).batch.files != first.batch.files


def test_a_batch_has_one_resource_version(server: _Server) -> None:
    """If a named object is read at a newer revision than its list, the whole list is read."""
    first = _capture(server)
    server.moves = True

    second = _capture(server, first)

    assert server.asked == ["metadata", "metadata.name=b", "whole"]
    server.moves = False
    assert second.batch.files == _capture(server).batch.files


def test_a_name_that_a_field_selector_cannot_have(server: _Server) -> None:
    """The names of Roles may have commas, which have a meaning in a field selector."""
    first = _capture(server)
    server.objects.append(config_map("e,metadata.namespace!=a"))

    second = _capture(server, first)

    assert server.asked == ["metadata", "whole"]
    assert second.batch.files == _capture(server).batch.files


def test_a_server_that_sends_whole_objects(server: _Server) -> None:
    """A server that does not support metadata lists: the changed objects come from its answer."""
    first = _capture(server)
    server.makes_metadata = False
    server.objects[0] = config_map("b", "two", version=2)

    second = _capture(server, first)

    assert server.asked == ["metadata"]
    assert second.batch.files == _capture(server).batch.files != first.batch.files


def test_a_lost_list_starts_again(server: _Server) -> None:
    """Nothing of the lost list is kept. Three lost lists in a row are a failure."""
    first = _capture(server)
    server.lost = 2
    assert _capture(server, first).batch.files == first.batch.files
    assert server.asked == ["metadata"] * 3

    server.lost = 3
    with pytest.raises(GoneError, match="configmaps was cut off 3 times"):
        _capture(server, first)


@pytest.mark.parametrize("kind", [SECRET, CLUSTER_PROFILE, Kind("cluster.x-k8s.io", "Cluster")])
def test_kinds_whose_metadata_is_not_enough(server: _Server, kind: Kind) -> None:
    """Metadata has no type of a Secret, no references of a profile, and no fields of a cluster for templates."""
    first = _capture(server)
    unchanged = Unchanged(INFO, cache=first.seen, previous=PreviousTree(INFO, first.files), now=1000)
    asked: list[bool] = []

    def pages(*, metadata_only: bool) -> Iterator[ObjectPage]:
        asked.append(metadata_only)
        yield ObjectPage.of(Page([], "11"))

    _reader(_lister(server), unchanged).read(ResourceType(kind, "v1", "things", namespaced=True), pages)

    assert asked == [False]
