"""Lists at one resource version: every list of a capture is requested at the version of the first list.

A kube-apiserver can serve lists of different kinds at one resource version, but the Kubernetes API does not guarantee
it. Each answer is therefore checked. A list that cannot be read at that version is read as it is now, and the sample
is marked as ``Consistency.PER_KIND``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from gitsnap.core.errors import BehindError, GoneError
from gitsnap.core.model import Consistency, JsonObject, ResourceType
from gitsnap.core.objects import KubeObject, ObjectHead
from gitsnap.core.ports import Cluster, Page

RETRY_SECONDS = 5.0
"""How long one capture retries lists at a version that the server does not have, or does not have yet.

The time that the server takes to answer counts: for a kind with a failed conversion webhook it is three seconds.
"""

PAUSE_SECONDS = 0.5


class VersionExpiredError(GoneError):
    """The server no longer has the resource version of this capture. The capture must start again without one."""


Entry = KubeObject | ObjectHead
"""An object of a page, or its head if the object has not been decoded."""


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a list with its objects."""

    entries: Sequence[Entry]
    """The selected objects of the page."""
    resource_version: str
    whole: bool
    """False if the objects have no fields but their metadata."""
    listed: int
    """How many objects the server sent on the page, before any selection."""
    size: int = 0
    """Length of the answer in bytes."""
    remaining: int | None = 0
    """How many objects follow on further pages. None if the server does not say so."""
    items: Sequence[JsonObject] = ()
    """All objects that the server sent, in the positions of their heads. Each is decoded when it is used."""

    @classmethod
    def of(cls, page: Page) -> ObjectPage:
        """A page with all objects that the server sent."""
        version, listed = page.resource_version, len(page.items)
        if page.heads is None:
            objects = [KubeObject.of(item) for item in page.items]
            return cls(objects, version, page.whole, listed, page.size, page.remaining)
        return cls(page.heads, version, page.whole, listed, page.size, page.remaining, page.items)

    def select(self, entries: Sequence[Entry]) -> ObjectPage:
        """The same page with some of its objects."""
        return replace(self, entries=entries)

    @property
    def objects(self) -> Sequence[KubeObject]:
        """The selected objects of the page."""
        return [self.decoded(entry) for entry in self.entries]

    def decoded(self, entry: Entry) -> KubeObject:
        """The object of an entry. Raises ClusterError if it does not have the form of an object."""
        return entry if isinstance(entry, KubeObject) else KubeObject.of(self.items[entry.position])


AHEAD = 4
"""The largest number of lists that a capture requests at the same time. A server limits each user's requests, too."""

_T = TypeVar("_T")


def requested_ahead(items: Sequence[_T], prefetch: Callable[[_T], None]) -> Iterator[_T]:
    """The items in order. When an item is yielded, the item itself and the following ones have been prefetched."""
    requested = 0
    for position, item in enumerate(items):
        for following in items[requested : position + AHEAD]:
            prefetch(following)
        requested = max(requested, position + AHEAD)
        yield item


class _Query(NamedTuple):
    """The parameters of a list."""

    resource: ResourceType
    namespace: str
    label_selector: str
    field_selector: str
    metadata_only: bool
    version: str = ""


class Lister:
    """Reads lists page by page, all at the resource version of the first list while ``exact`` is true.

    ``pause`` waits for a number of seconds.
    """

    def __init__(self, cluster: Cluster, *, exact: bool, pause: Callable[[float], None]) -> None:
        self._cluster = cluster
        self._exact = exact
        self._pause = pause
        self._retry_seconds = RETRY_SECONDS
        self._version = ""
        self._prefetched: dict[_Query, Iterator[Page]] = {}
        self.consistency = Consistency.EXACT if exact else Consistency.PER_KIND

    @property
    def can_prefetch(self) -> bool:
        """Whether ``prefetch`` may request lists: the capture has its resource version, or needs none."""
        return bool(self._version) or not self._exact

    def prefetch(
        self, resource: ResourceType, *, namespace: str = "", field_selector: str = "", metadata_only: bool
    ) -> None:
        """Request the first page of a list that ``pages`` will read next with the same arguments.

        An error of the request is raised by ``pages``. Does nothing while the capture has no resource version yet.
        """
        if self.can_prefetch:
            query = _Query(resource, namespace, "", field_selector, metadata_only, self._version)
            self._prefetched[query] = self._request(query)

    def pages(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> Iterator[ObjectPage]:
        """The pages of one list, at least one.

        Raises VersionExpiredError if the server no longer has the resource version of the capture. Without such a
        version, GoneError means that the server dropped the list between two pages: the caller discards the
        pages of this list and reads the list again. If the server is too far behind with a kind, this list is read in
        its current state; the other lists keep their version.
        """
        query = _Query(resource, namespace, label_selector, field_selector, metadata_only, self._version)
        try:
            page, rest = self._first_page(query)
        except BehindError:
            page, rest = self._first_page(query._replace(version=""))
        yield self._checked(page)
        try:
            for page in rest:
                yield self._checked(page)
        except GoneError as error:
            raise self._expired(error) from error

    def _request(self, query: _Query) -> Iterator[Page]:
        return self._cluster.list(
            query.resource,
            namespace=query.namespace,
            label_selector=query.label_selector,
            field_selector=query.field_selector,
            resource_version=query.version,
            metadata_only=query.metadata_only,
        )

    def _first_page(self, query: _Query) -> tuple[Page, Iterator[Page]]:
        """The first page and the rest. Tries again if the server may not have the resource version yet (504)."""
        while True:
            started = time.monotonic()
            pages = self._prefetched.pop(query, None) or self._request(query)
            try:
                return next(pages), pages
            except GoneError as error:
                self._retry_seconds -= time.monotonic() - started
                if query.version and self._retry_seconds > 0:
                    self._pause(PAUSE_SECONDS)
                    self._retry_seconds -= PAUSE_SECONDS
                elif query.version and isinstance(error, BehindError):
                    raise
                else:
                    raise self._expired(error) from error

    def _expired(self, error: GoneError) -> GoneError:
        return VersionExpiredError(error.message) if self._exact else error

    def _checked(self, page: Page) -> ObjectPage:
        if self._exact:
            if not self._version:
                self._version = page.resource_version
            elif page.resource_version != self._version:
                self.consistency = Consistency.PER_KIND
        return ObjectPage.of(page)
