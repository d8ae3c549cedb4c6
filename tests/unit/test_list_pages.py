"""Responses to list requests: a list of metadata is read in two steps, with the result of one step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.cluster.api.list_pages import read_page
from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import ClusterError
from gitsnap.core.model import JsonObject, Kind, ResourceType
from gitsnap.core.objects import KubeObject
from gitsnap.core.ports import Page

RESOURCE = ResourceType(Kind("lib.projectsveltos.io", "HealthCheck"), "v1beta1", "healthchecks", namespaced=True)
REQUEST = Request("list healthchecks", "https://server")
TEXTS = st.none() | st.text(max_size=4)
METADATA = st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=4)},
    optional={
        "namespace": TEXTS,
        "uid": TEXTS,
        "resourceVersion": TEXTS,
        "deletionTimestamp": TEXTS,
        "labels": st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        "managedFields": st.lists(
            st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False, allow_infinity=False))
        ),
    },
)
LIST_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "resourceVersion": st.text(max_size=3),
        "continue": st.text(max_size=3),
        "remainingItemCount": st.integers(0),
    },
)


def _list(items: Any, kind: str = "PartialObjectMetadataList", metadata: JsonObject | None = None) -> bytes:
    return json.dumps({"kind": kind, "metadata": metadata or {}, "items": items}).encode()


def _fields(page: Page) -> tuple[object, ...]:
    return page.resource_version, page.whole, page.size, page.remaining, len(page.items), list(page.items)


@given(
    items=st.none() | st.lists(METADATA.map(lambda metadata: {"metadata": metadata}), max_size=3), fields=LIST_FIELDS
)
def test_metadata_is_read_as_in_one_step(items: list[JsonObject] | None, fields: JsonObject) -> None:
    """A list of metadata has the objects that a decoder of whole objects returns, and the heads of these objects."""
    content = _list(items, metadata=fields)
    whole, quick = (read_page(content, RESOURCE, REQUEST, metadata_only=quick) for quick in (False, True))
    assert _fields(quick.page) == _fields(whole.page)
    assert quick.more == whole.more
    assert whole.page.heads is None
    objects = [KubeObject.of(item) for item in whole.page.items]
    assert quick.page.heads == [
        (obj.key, obj.metadata.get("uid") or "", obj.metadata.get("resourceVersion") or "", obj.is_terminating)
        for obj in objects
    ]


def test_whole_objects_are_read_as_such() -> None:
    """A server that cannot send metadata alone sends whole objects, which have no heads."""
    page = read_page(
        _list([{"metadata": {"name": "a"}, "spec": 1}], "HealthCheckList"), RESOURCE, REQUEST, metadata_only=True
    ).page
    assert page.heads is None
    assert page.whole
    assert page.items[0]["spec"] == 1


@pytest.mark.parametrize(
    "items",
    [[{}], [{"metadata": {"name": ""}}], [{"metadata": {"name": 7}}], [{"metadata": {"name": "a", "uid": 1}}], {}, [1]],
    ids=str,
)
def test_invalid_metadata_is_refused(items: object) -> None:
    """The message of a list of metadata is that of a list of whole objects."""
    messages = []
    for metadata_only in (False, True):
        with pytest.raises(ClusterError) as caught:
            read_page(_list(items), RESOURCE, REQUEST, metadata_only=metadata_only)
        messages.append(caught.value.message)
    assert messages[0] == messages[1]


def test_an_object_is_checked_when_it_is_used() -> None:
    """Other fields of the metadata, such as labels, are checked when an object is used."""
    items = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "labels": 7}}]
    page = read_page(_list(items), RESOURCE, REQUEST, metadata_only=True).page
    assert page.items[0]["metadata"] == {"name": "a"}
    with pytest.raises(ClusterError, match="labels is not a mapping"):
        page.items[1]


def test_deeply_nested_metadata_is_truncated() -> None:
    """An object that is nested too deeply does not keep the others from being read."""
    nested = b"[" * 5000 + b"]" * 5000
    content = _list([{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "x": 7}}]).replace(b"7", nested)
    page = read_page(content, RESOURCE, REQUEST, metadata_only=True).page
    assert [item["metadata"]["name"] for item in page.items] == ["a", "b"]
