"""The lists that bring referenced objects: each choice brings the same objects, and the cheapest is chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.capture.archiver import Archiver
from gitsnap.capture.batch import Batch
from gitsnap.capture.context import CaptureContext
from gitsnap.capture.list_reader import ListReader
from gitsnap.capture.list_sizes import ListSizes, Size
from gitsnap.capture.pinned_list import AHEAD, Lister, requested_ahead
from gitsnap.capture.referenced import FailedList, ReferencedReader
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import AccessDeniedError, BusyError, ClusterError, GitsnapError
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
from gitsnap.core.ports import Cluster, Page
from gitsnap.core.recording import CaptureCache
from gitsnap.secrets.sealing import Sealer
from gitsnap.sveltos.generated import Inclusions
from gitsnap.sveltos.kinds import CONFIG_MAP, SECRET
from gitsnap.sveltos.references import ADD_ON_TYPE
from tests.support.previous_tree import PreviousTree

_INFO = TreeInfo("hourly", "hourly", (CONFIG_MAP, SECRET), SecretsInfo(SecretsMode.PLAINTEXT))
_TYPES = {
    CONFIG_MAP: ResourceType(CONFIG_MAP, "v1", "configmaps", namespaced=True),
    SECRET: ResourceType(SECRET, "v1", "secrets", namespaced=True),
}
_PAGE = 500
_TYPED = f"type={ADD_ON_TYPE}"


@dataclass
class _Server:
    """The part of a cluster that ``Lister`` needs. A list has pages, and says how many objects follow."""

    kind: Kind = CONFIG_MAP
    objects: list[JsonObject] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """The namespaces whose objects may not be listed; ``""`` for the list of all namespaces."""
    named: set[str] = field(default_factory=set)
    """Names that may be listed even in these namespaces."""
    error: GitsnapError | None = None
    """Raised by the list of all namespaces, instead of its first page."""
    says_remaining: bool = True
    asked: list[str] = field(default_factory=list)
    """``namespace selector`` of each list, with ``metadata`` for a list of metadata."""
    bodies: set[str] = field(default_factory=set)
    """The names of the objects that were sent with more than their metadata."""

    def add(self, namespace: str, name: str, *, typed: bool = True, version: int = 1, size: int = 3000) -> None:
        """Create or replace an object. ``typed``: whether a Secret has Sveltos' own type."""
        metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "resourceVersion": str(version)}
        document = {
            "apiVersion": "v1",
            "kind": self.kind.name,
            "metadata": metadata,
            "data": {"a": "YQ==" * (size // 4)},
        }
        if self.kind == SECRET:
            document["type"] = ADD_ON_TYPE if typed else "Opaque"
        self.objects = [raw for raw in self.objects if raw["metadata"]["uid"] != metadata["uid"]]
        self.objects.append(document)

    def list(
        self, resource: ResourceType, *, namespace: str, field_selector: str, metadata_only: bool, **_unused: str
    ) -> Iterator[Page]:
        """See ports.Cluster. Nothing is asked before the first page is read."""
        assert resource == _TYPES[self.kind]
        words = (namespace or "all", field_selector, "metadata" if metadata_only else "")
        self.asked.append(" ".join(filter(None, words)))
        field_name, _, value = field_selector.partition("=")
        if namespace in self.refused and not (field_name == "metadata.name" and value in self.named):
            raise AccessDeniedError(f"{resource.plural} is forbidden")
        if not namespace and self.error is not None:
            raise self.error
        selected = [
            raw
            for raw in self.objects
            if namespace in ("", raw["metadata"]["namespace"])
            and value
            in {"metadata.name": ("", raw["metadata"]["name"]), "type": ("", raw.get("type"))}.get(field_name, "")
        ]
        fields = (
            {"apiVersion", "kind", "metadata"} if metadata_only else {"apiVersion", "kind", "metadata", "data", "type"}
        )
        for start in range(0, max(1, len(selected)), _PAGE):
            items = [
                {name: value for name, value in raw.items() if name in fields}
                for raw in selected[start : start + _PAGE]
            ]
            if not metadata_only:
                self.bodies.update(raw["metadata"]["name"] for raw in items)
            rest = max(0, len(selected) - start - _PAGE)
            says = self.says_remaining and not field_selector
            remaining = rest if says or not rest else None
            yield Page(
                items, "7", whole=not metadata_only, size=sum(len(str(raw)) for raw in items), remaining=remaining
            )


@dataclass
class _Capture:
    """The objects of one capture, and its cache."""

    sample: Batch
    types: Mapping[ObjectKey, object]
    failed: list[FailedList]
    cache: CaptureCache

    @property
    def files(self) -> Mapping[str, BlobId]:
        return self.sample.files[Area.CONFIGURATION]


def _store(content: bytes) -> BlobId:
    return BlobId(hashlib.sha1(content, usedforsecurity=False).hexdigest())


def _capture(
    server: _Server, keys: list[ObjectKey], before: _Capture | None = None, *, sizes: ListSizes | None = None
) -> _Capture:
    """Read the objects of some keys, as a capture does."""
    server.asked.clear()
    server.bodies.clear()
    tree = PreviousTree(_INFO, before.files) if before else None
    unchanged = Unchanged(_INFO, cache=before.cache if before else None, previous=tree, now=1000)
    lister = Lister(cast("Cluster", server), exact=False, pause=lambda _seconds: None)
    sealer = Sealer(_INFO.secrets, None, previous=None, store=_store)
    archiver = Archiver(
        CaptureContext(), sealer, _store, unchanged, inclusions=Inclusions(frozenset(), ()), strict=True
    )
    sample = Batch()

    def merge(batch: Batch) -> None:
        sample.merge(batch)
        unchanged.record(batch.versions)

    reader = ReferencedReader(
        lister,
        ListReader(lister, archiver, unchanged),
        _TYPES[server.kind],
        merge,
        sizes or unchanged.list_sizes(server.kind),
    )
    failed = reader.read(keys)
    unchanged.start_at("7")
    return _Capture(sample, reader.types, failed, unchanged.result())


def _keys(kind: Kind, namespaces: int, names: int) -> list[ObjectKey]:
    return [ObjectKey(kind, f"team-{team}", f"o-{name}") for team in range(namespaces) for name in range(names)]


def _filled(kind: Kind, keys: list[ObjectKey], *, others: int = 0) -> _Server:
    """A server with the objects of some keys, and ``others`` more in their namespaces and another one."""
    server = _Server(kind)
    for key in keys:
        server.add(key.namespace, key.name)
    for number in range(others):
        server.add(("team-0", "elsewhere")[number % 2], f"other-{number}", typed=False)
    return server


def test_many_namespaces_are_read_with_one_list() -> None:
    """The next capture reads metadata, and by name what has changed."""
    keys = _keys(CONFIG_MAP, 60, 5)
    server = _filled(CONFIG_MAP, keys, others=20)
    first = _capture(server, keys)
    assert server.asked == ["all"]
    assert len(first.files) == len(keys)

    server.add("team-3", "o-1", version=2, size=1000)
    second = _capture(server, keys, first)

    assert server.asked == ["all metadata", "team-3 metadata.name=o-1"]
    assert second.files == _capture(server, keys).files != first.files


def test_few_namespaces_of_a_large_cluster_are_read_alone() -> None:
    """The first page says how large the list of all namespaces is. The next capture does not request that list.

    Half of the other objects are in team-0: the next capture reads the objects of that namespace by name.
    """
    keys = _keys(CONFIG_MAP, 3, 10)
    server = _filled(CONFIG_MAP, keys, others=4000)

    first = _capture(server, keys)
    assert server.asked == ["all", "team-0", "team-1", "team-2"]
    assert len(first.files) == len(keys)

    second = _capture(server, keys, first)
    by_name = [f"team-0 metadata.name={key.name} metadata" for key in keys[:10]]
    assert server.asked == [*by_name, "team-1 metadata", "team-2 metadata"]
    assert second.files == first.files


@pytest.mark.parametrize("says_remaining", [True, False])
def test_a_list_that_has_grown_is_given_up(*, says_remaining: bool) -> None:
    """A cluster may have many new objects since the previous capture, whose sizes are the estimate."""
    keys = _keys(CONFIG_MAP, 4, 8)
    server = _filled(CONFIG_MAP, keys)
    first = _capture(server, keys)
    assert server.asked == ["all"]
    for number in range(3000):
        server.add("elsewhere", f"other-{number}")
    server.says_remaining = says_remaining

    second = _capture(server, keys, first)

    assert server.asked[0] == "all metadata"
    assert all(entry.startswith("team-") for entry in server.asked[1:])
    assert len(server.asked) > 1
    assert second.files == first.files


def test_the_rights_may_be_limited_to_namespaces() -> None:
    """A refused list of all namespaces is replaced by lists of the namespaces, and not asked for again."""
    keys = _keys(CONFIG_MAP, 60, 5)
    server = _filled(CONFIG_MAP, keys)
    whole = _capture(server, keys)
    server.refused = {"", "team-7"}

    first = _capture(server, keys)
    assert server.asked == ["all", *(f"team-{team}" for team in range(60))]
    assert [sorted({key.namespace for key in entry.keys}) for entry in first.failed] == [["team-7"]]
    refused = {path for path in whole.files if path.startswith("team-7/")}
    assert first.files == {path: blob for path, blob in whole.files.items() if path not in refused}

    _capture(server, keys, first)
    assert "all metadata" not in server.asked


def test_the_rights_may_be_limited_to_names() -> None:
    """A few objects of a namespace whose list is refused are read by name."""
    keys = _keys(CONFIG_MAP, 60, 2)
    server = _filled(CONFIG_MAP, keys)
    server.refused = {"", *(key.namespace for key in keys)}
    server.named = {"o-1"}
    sizes = ListSizes(namespaces={f"team-{team}": Size(2, 6000) for team in range(60)})

    taken = _capture(server, keys, sizes=sizes)

    assert sorted(taken.files) == sorted(f"team-{team}/ConfigMap/o-1.yaml" for team in range(60))
    assert {key.name for entry in taken.failed for key in entry.keys} == {"o-0"}


def test_a_list_of_all_namespaces_that_fails_hides_nothing() -> None:
    """The lists of the namespaces are read after any failure."""
    keys = _keys(CONFIG_MAP, 60, 5)
    server = _filled(CONFIG_MAP, keys)
    whole = _capture(server, keys)
    server.error = ClusterError("the server is broken")

    taken = _capture(server, keys)

    assert taken.failed == []
    assert taken.files == whole.files


def test_a_busy_server_is_not_asked_again() -> None:
    """The client has already tried as often as is kind. 60 lists of namespaces would add to the load."""
    keys = _keys(CONFIG_MAP, 60, 5)
    server = _filled(CONFIG_MAP, keys)
    server.error = BusyError("too many requests")

    taken = _capture(server, keys)

    assert server.asked == ["all"]
    assert [entry.keys for entry in taken.failed] == [keys]
    assert not taken.files


_SIZES = {
    "all namespaces": (ListSizes(total=Size(300, 900_000)), "all"),
    "by namespace": (ListSizes(refused=True, namespaces={f"team-{n}": Size(5, 15_000) for n in range(40)}), "team-0"),
    "by name": (ListSizes(refused=True, namespaces={f"team-{n}": Size(900, 2_700_000) for n in range(40)}), "by name"),
}


@pytest.mark.parametrize("kind", [CONFIG_MAP, SECRET], ids=["ConfigMap", "Secret"])
@pytest.mark.parametrize("choice", _SIZES)
def test_every_choice_brings_the_same_objects(kind: Kind, choice: str) -> None:
    """The files and types are equal. Absent objects stay absent, and unreferenced Secrets stay unread."""
    keys = [*_keys(kind, 40, 5), *_keys(kind, 2, 7)[-2:], ObjectKey(kind, "nowhere", "none")]
    server = _filled(kind, _keys(kind, 40, 5), others=10)
    server.add("team-1", "o-5", typed=False)
    expected = _capture(server, keys)
    sizes, first_list = _SIZES[choice]

    taken = _capture(server, keys, sizes=ListSizes.of(sizes.document()))

    selector = " " + _TYPED if kind == SECRET else ""
    assert server.asked[0] == ("team-0 metadata.name=o-0" if first_list == "by name" else first_list + selector)
    assert taken.files == expected.files
    assert taken.types == expected.types
    assert len(taken.files) == len(keys) - 2
    assert taken.failed == []
    if kind == SECRET:
        assert all("=" in entry for entry in server.asked)
        assert server.bodies == {f"o-{name}" for name in range(6)}


_KEYS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6)).map(lambda at: (f"team-{at[0]}", f"o-{at[1]}")),
    unique=True,
    max_size=20,
)
_ANY_SIZE = st.builds(Size, st.integers(0, 2000), st.integers(0, 5_000_000))
_ANY_SIZES = st.builds(
    ListSizes,
    total=st.none() | _ANY_SIZE,
    refused=st.booleans(),
    namespaces=st.dictionaries(st.sampled_from([f"team-{number}" for number in range(5)]), _ANY_SIZE),
)


@given(
    kind=st.sampled_from([CONFIG_MAP, SECRET]),
    existing=_KEYS,
    wanted=_KEYS,
    untyped=_KEYS,
    changed=_KEYS,
    removed=_KEYS,
    estimates=st.tuples(_ANY_SIZES, _ANY_SIZES),
)
def test_no_estimate_changes_a_sample(
    kind: Kind,
    existing: list[tuple[str, str]],
    wanted: list[tuple[str, str]],
    untyped: list[tuple[str, str]],
    changed: list[tuple[str, str]],
    removed: list[tuple[str, str]],
    estimates: tuple[ListSizes, ListSizes],
) -> None:
    """A capture with any estimate has the files of a capture by name, also with a cache, and after changes."""
    server = _Server(kind)
    for place in existing:
        server.add(*place, typed=place not in untyped, size=100)
    keys = [ObjectKey(kind, *place) for place in wanted]
    sizes = {f"team-{number}": Size(900, 9_000_000) for number in range(5)}
    by_name = ListSizes(refused=True, namespaces=sizes)

    first = _capture(server, keys, sizes=estimates[0])
    plain = _capture(server, keys, sizes=by_name)
    assert (first.files, first.types, first.failed) == (plain.files, plain.types, [])

    for place in changed:
        server.add(*place, typed=place not in untyped, version=2, size=200)
    server.objects = [raw for raw in server.objects if tuple(raw["metadata"]["uid"].split("/")) not in removed]
    second = _capture(server, keys, first, sizes=estimates[1])
    plain = _capture(server, keys, sizes=by_name)
    assert (second.files, second.types, second.failed) == (plain.files, plain.types, [])


def test_an_unchanged_secret_is_not_sent() -> None:
    """A list that selects a type need not show it. Its metadata finds the Secrets that have changed."""
    keys = _keys(SECRET, 60, 5)
    server = _filled(SECRET, keys, others=20)
    first = _capture(server, keys)
    server.add("team-3", "o-1", version=2, size=1000)

    second = _capture(server, keys, first)

    assert server.asked == [f"all {_TYPED} metadata", "team-3 metadata.name=o-1"]
    assert server.bodies == {"o-1"}
    again = _capture(server, keys)
    assert second.files == again.files != first.files
    assert second.types == again.types == dict.fromkeys(keys, ADD_ON_TYPE)


@pytest.mark.parametrize("document", [None, [], {}, {"namespaces": []}, {"namespaces": {"a": 1}}, {"total": ["x", 1]}])
def test_sizes_of_a_damaged_cache(document: Any) -> None:
    """They count as unknown."""
    assert ListSizes.of(document) == ListSizes()


def test_sizes_are_kept_in_the_cache() -> None:
    """The sizes of the next capture are those that this capture saw."""
    sizes = ListSizes(refused=True)
    sizes.record_namespace("a", Size(4, 8000))
    sizes.record_namespace("a", Size(8, 0))
    sizes.record_all(Size(10, 30_000), {"a": 8, "b": 2})

    assert json.loads(json.dumps(sizes.document())) == sizes.document()  # equal sizes are not written again
    assert ListSizes.of(sizes.document()) == ListSizes(
        Size(10, 30_000), refused=True, namespaces={"a": Size(8, 24_000), "b": Size(2, 6000)}
    )


def test_requests_ahead() -> None:
    """Each item is prefetched once, in order, and at most AHEAD are prefetched and not yet yielded."""
    prefetched: list[int] = []
    for position, item in enumerate(requested_ahead(range(10), prefetched.append)):
        assert item == position
        assert prefetched == list(range(min(10, position + AHEAD)))
