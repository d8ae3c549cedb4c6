"""Responses to list requests: a list of metadata is read in two steps, with the result of one step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.cluster.api.list_pages import ListPage, PageRequests, read_page
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
        (obj.key, obj.metadata.get("uid") or "", obj.metadata.get("resourceVersion") or "", obj.is_terminating, number)
        for number, obj in enumerate(objects)
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


@pytest.mark.parametrize("kind", [None, "", 7, "Table"])
def test_metadata_in_a_list_of_another_kind_is_refused(kind: Any) -> None:
    """Otherwise metadata would be archived as whole objects, without their other fields."""
    content = _list([{"kind": "PartialObjectMetadata", "metadata": {"name": "a"}}], kind)
    with pytest.raises(ClusterError, match="list healthchecks: kind of the answer is not PartialObjectMetadataList"):
        read_page(content, RESOURCE, REQUEST, metadata_only=True)


def test_a_list_that_is_not_utf8_is_refused() -> None:
    """Also in a part that is not decoded. Otherwise the damaged name of a field, such as ``continue``, is ignored."""
    content = _list([{"metadata": {"name": "a"}}], metadata={"continue": "next"})
    with pytest.raises(ClusterError, match="not JSON"):
        read_page(content.replace(b"continue", b"cont\xffnue"), RESOURCE, REQUEST, metadata_only=True)


def test_an_object_is_checked_when_it_is_used() -> None:
    """Other fields of the metadata, such as labels, are checked when an object is used."""
    items = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "labels": 7}}]
    page = read_page(_list(items), RESOURCE, REQUEST, metadata_only=True).page
    assert page.items[0]["metadata"] == {"name": "a"}
    with pytest.raises(ClusterError, match="labels is not a mapping"):
        page.items[1]


def test_deeply_nested_metadata_is_truncated() -> None:
    """The other objects of the list are read if one object is nested too deeply."""
    nested = b"[" * 5000 + b"]" * 5000
    content = _list([{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "x": 7}}]).replace(b"7", nested)
    page = read_page(content, RESOURCE, REQUEST, metadata_only=True).page
    assert [item["metadata"]["name"] for item in page.items] == ["a", "b"]


class _Executor(Executor):
    """Runs the functions when the test calls ``run``, so that the order does not depend on threads."""

    def __init__(self) -> None:
        self.submitted: list[Callable[[], None]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_unused: Any) -> Future[Any]:
        """See Executor."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(function(*arguments))
            except ClusterError as error:
                future.set_exception(error)

        self.submitted.append(run)
        return future

    def run(self) -> None:
        """Run all functions, also those that are submitted meanwhile."""
        while self.submitted:
            self.submitted.pop(0)()


def _requests(executor: Executor, last: int, most: int, asked: list[str]) -> PageRequests:
    """The requests for the pages 0 to ``last``. The request for page 7 fails."""

    def read(query: Mapping[str, str]) -> ListPage:
        asked.append(query["continue"])
        number = int(query["continue"])
        if number == 7:
            raise ClusterError("no page 7")
        return ListPage(Page([{"number": number}], "1"), str(number + 1) if number < last else "")

    return PageRequests(read, executor, REQUEST, query={"continue": "0"}, most=most)


@pytest.mark.parametrize(("last", "most"), [(0, 1), (1, 1), (4, 1), (4, 2), (4, 4), (4, 5), (4, 9)])
def test_pages_are_requested_ahead(last: int, most: int) -> None:
    """Each page is requested once, in order, and at most ``most`` pages before they are used."""
    executor, asked = _Executor(), list[str]()
    pages = _requests(executor, last, most, asked).pages()
    for number in range(last + 1):
        executor.run()
        assert len(asked) == min(number + most, last + 1)
        assert [item["number"] for item in next(pages).items] == [number]
    assert next(pages, None) is None
    assert asked == [str(number) for number in range(last + 1)]


def test_the_error_of_a_page_is_raised_when_the_page_is_used() -> None:
    """The pages before the failed page are yielded."""
    executor, asked = _Executor(), list[str]()
    pages = _requests(executor, 9, 9, asked).pages()
    executor.run()
    assert len([next(pages) for _ in range(7)]) == 7
    with pytest.raises(ClusterError, match="no page 7"):
        next(pages)


@pytest.mark.parametrize("most", [1, 3, 8])
def test_pages_of_threads_arrive_in_order(most: int) -> None:
    """The order of the pages does not depend on the order of the threads."""
    with ThreadPoolExecutor(3) as executor:
        for _ in range(50):
            pages = _requests(executor, 6, most, []).pages()
            assert [item["number"] for page in pages for item in page.items] == list(range(7))


@pytest.mark.parametrize("most", [1, 2, 8])
@pytest.mark.parametrize("period", [1, 2, 5])
def test_a_value_of_continue_that_repeats_is_an_error(period: int, most: int) -> None:
    """The list would never end. The pages before the repetition are not affected."""
    asked = list[str]()

    def read(query: Mapping[str, str]) -> ListPage:
        assert len(asked) < 20
        asked.append(query.get("continue", ""))
        return ListPage(Page([], "1"), f"token-{len(asked) % period}")

    with ThreadPoolExecutor(1) as executor:
        pages = PageRequests(read, executor, REQUEST, query={}, most=most).pages()
        assert len([next(pages) for _ in range(period)]) == period
        with pytest.raises(ClusterError, match=r"list healthchecks: metadata\.continue .* repeats") as caught:
            next(pages)
    assert "token" not in caught.value.message
