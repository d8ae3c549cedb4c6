"""Reads the responses to list requests.

The fields that tell whether an object has changed are decoded at once. The whole metadata of an object is decoded and
checked when it is used, because most objects of a capture have not changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import cached_property
from threading import Lock
from typing import NamedTuple, overload

import msgspec

from gitsnap.cluster.api.responses import Request
from gitsnap.cluster.api.shapes import bad_answer, check_items, mapping
from gitsnap.cluster.api.transport import JSON, json_object
from gitsnap.core.model import JsonObject, ObjectKey, ResourceType
from gitsnap.core.objects import ObjectHead
from gitsnap.core.ports import Page

_METADATA_LIST, _METADATA_ITEM = "PartialObjectMetadataList", "PartialObjectMetadata"
METADATA_JSON = f"application/json;as={_METADATA_LIST};g=meta.k8s.io;v=v1,{JSON}"
"""Accept header for a list of metadata (Kubernetes API concepts). Other servers send whole objects."""


class ListPage(NamedTuple):
    """One response."""

    page: Page
    more: str
    """The value of ``continue`` for the next page, ``""`` if this page is the last one."""


class _ListFields(msgspec.Struct, rename="camel"):
    """``metadata`` of a list."""

    resource_version: str = ""
    remaining_item_count: int | None = None
    more: str = msgspec.field(default="", name="continue")


class _Head(msgspec.Struct, rename="camel", gc=False):
    """The fields of an object's ``metadata`` that are decoded at once."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    deletion_timestamp: str | None = None


class _Item(msgspec.Struct, gc=False):
    metadata: _Head


class _MetadataList(msgspec.Struct):
    kind: str
    metadata: _ListFields
    items: list[_Item] | None
    """An empty list of metadata has null."""


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None


_METADATA = msgspec.json.Decoder(_MetadataList)
_RAW = msgspec.json.Decoder(_RawList)


class PageRequests:
    """The requests for the pages of one list. Some pages are requested before they are used."""

    def __init__(
        self,
        read: Callable[[Mapping[str, str]], ListPage],
        executor: Executor,
        request: Request,
        *,
        query: Mapping[str, str],
        most: int,
    ) -> None:
        """Request the first page. ``read`` requests a page with additional parameters and returns the page.

        ``request``: for messages. ``query``: the additional parameters of the first page. ``most``: the largest number
        of pages that are requested or kept.
        """
        self._read = read
        self._executor = executor
        self._request = request
        self._most = most
        self._requested: deque[Future[ListPage]] = deque()
        self._stopped_at = ""
        """The value of ``continue`` for the next page, if there was no room for the page. Using a page makes room."""
        self._continued: set[str] = set()
        """All values of ``continue`` so far."""
        self._lock = Lock()
        self._submit(query)

    def _submit(self, query: Mapping[str, str]) -> None:
        self._requested.append(self._executor.submit(self._read_and_continue, query))

    def _read_and_continue(self, query: Mapping[str, str]) -> ListPage:
        """Read a page, and request the next page if there is room. Runs in a worker thread."""
        answer = self._read(query)
        if answer.more in self._continued:
            raise bad_answer(self._request, "metadata.continue of the answer repeats, so that the list has no end")
        if answer.more:
            self._continued.add(answer.more)
        with self._lock:
            if answer.more and len(self._requested) < self._most:
                self._submit({"continue": answer.more})
            else:
                self._stopped_at = answer.more
        return answer

    def pages(self) -> Iterator[Page]:
        """The pages in order. Raises the error of a request."""
        while self._requested:
            answer = self._requested[0].result()
            with self._lock:
                self._requested.popleft()
                if self._stopped_at:  # all pages have the resource version of the first page
                    self._submit({"continue": self._stopped_at})
                    self._stopped_at = ""
            yield answer.page


def read_page(content: bytes, resource: ResourceType, request: Request, *, metadata_only: bool) -> ListPage:
    """The page in a response. Raises ClusterError for an invalid response.

    ``metadata_only``: whether metadata was requested. The server may have sent whole objects.
    """
    page = _read_metadata(content, resource, request) if metadata_only else None
    return page if page is not None else _read_whole(content, resource, request)


def _read_whole(content: bytes, resource: ResourceType, request: Request) -> ListPage:
    """The page with all fields of its objects."""
    answer = json_object(content, request, truncate=True)
    metadata = mapping(answer.get("metadata"), request, "metadata")
    more = metadata.get("continue")
    remaining = metadata.get("remainingItemCount") if more else 0
    page = Page(
        _items(answer, resource, request),
        str(metadata.get("resourceVersion", "")),
        whole=answer.get("kind") != _METADATA_LIST,
        size=len(content),
        remaining=remaining if isinstance(remaining, int) else None,
    )
    return ListPage(page, str(more) if more else "")


def _items(answer: JsonObject, resource: ResourceType, request: Request) -> Sequence[JsonObject]:
    """The objects of a list, with apiVersion and kind: lists omit both, and lists of metadata have other values."""
    items = answer.get("items")
    is_metadata = isinstance(items, list) and any(
        isinstance(item, dict) and item.get("kind") == _METADATA_ITEM for item in items
    )
    if is_metadata and answer.get("kind") != _METADATA_LIST:  # would be archived as objects without other fields
        raise bad_answer(
            request, f"kind of the answer is not {_METADATA_LIST}, but that of an item is {_METADATA_ITEM}"
        )
    if items is None and "items" in answer:
        return []  # an empty list of metadata has null
    if not isinstance(items, list):
        raise bad_answer(request, "the answer is not a list")
    return _checked(items, resource, request)


def _checked(items: list[JsonObject], resource: ResourceType, request: Request) -> Sequence[JsonObject]:
    check_items(items, request)
    for item in items:
        item["apiVersion"] = resource.api_version
        item["kind"] = resource.kind.name
    return items


def _read_metadata(content: bytes, resource: ResourceType, request: Request) -> ListPage | None:
    """The page of a list of metadata. None for a response of another form, which ``_read_whole`` reads."""
    try:
        content.decode()  # msgspec checks only the texts that it returns
        answer = _METADATA.decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    heads = [item.metadata for item in answer.items or ()]
    if answer.kind != _METADATA_LIST or not all(head.name for head in heads):
        return None
    more = answer.metadata.more
    kind = resource.kind
    page = Page(
        _MetadataItems(content, len(heads), resource, request),
        answer.metadata.resource_version,
        whole=False,
        size=len(content),
        remaining=answer.metadata.remaining_item_count if more else 0,
        heads=[
            ObjectHead(
                ObjectKey(kind, head.namespace or "", head.name),
                head.uid or "",
                head.resource_version or "",
                bool(head.deletion_timestamp),
                position,
            )
            for position, head in enumerate(heads)
        ],
    )
    return ListPage(page, more)


class _MetadataItems(Sequence[JsonObject]):
    """The objects of a list of metadata. An object is decoded and checked when it is used."""

    def __init__(self, content: bytes, length: int, resource: ResourceType, request: Request) -> None:
        self._content = content
        self._length = length
        self._resource = resource
        self._request = request

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, position: int) -> JsonObject: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[JsonObject]: ...
    def __getitem__(self, position: int | slice) -> JsonObject | Sequence[JsonObject]:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(self._length))]
        item = json_object(bytes(self._raw[position]), self._request, truncate=True)
        return _checked([item], self._resource, self._request)[0]

    @cached_property
    def _raw(self) -> Sequence[msgspec.Raw]:
        return _RAW.decode(self._content).items or ()
