"""Reads objects that something refers to, and no others: never all Secrets of a cluster.

Secrets of Sveltos' own type come in one list (a field selector on ``type``); every other Secret by a list of one name,
so that no other value ever reaches this process. A GET would do, but ignores the capture's resource version.
This module must not decide what is kept of an object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from gitsnap.capture.list_reader import ListReader, Pages, can_be_named
from gitsnap.capture.pinned_list import InstantLostError, Lister
from gitsnap.core.errors import AccessDeniedError, ClusterError, GitsnapError, GoneError
from gitsnap.core.model import JsonObject, ObjectKey, ResourceType
from gitsnap.core.ports import Page
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import ADD_ON_TYPE

_FEW = 3
"""Up to this many objects of a namespace are asked for by name; more are worth a list of the namespace."""

_ATTEMPTS = 3


Failure = tuple[GitsnapError, list[ObjectKey]]
"""Why a list failed, and the objects that it was asked for."""

Receive = Callable[[Pages], None]
"""Reads one list; called again where the list was lost half-way."""


class _Wanted(NamedTuple):
    """A list, and the objects that it is to bring."""

    keys: list[ObjectKey]
    namespace: str
    field_selector: str


class ReferencedReader:
    """Reads objects of one kind by their keys, page by page: a namespace may hold more than fits into memory."""

    def __init__(self, lister: Lister, reader: ListReader, resource: ResourceType, receive: Receive) -> None:
        """``receive`` may keep what it took only when the pages have ended: an error of the list comes out of them.

        ``reader`` is what it reads with.
        """
        self._lister = lister
        self._reader = reader
        self._resource = resource
        self._receive = receive
        self._brought: set[ObjectKey] = set()

    def read(self, keys: list[ObjectKey]) -> list[Failure]:
        """Hand over the objects behind ``keys`` that exist; what could not be asked for. Raises InstantLostError."""
        keys = [key for key in keys if can_be_named(key)]  # under another name nothing can exist
        if self._resource.kind == kinds.SECRET:
            # Where that list is not allowed, or not possible, for the whole cluster, each is asked for by name.
            self._read_list(keys, field_selector=f"type={ADD_ON_TYPE}")
            keys = [key for key in keys if key not in self._brought]
        failures = []
        lists = list(self._lists(keys))
        for one, following in zip_longest(lists, lists[1:]):
            if following is not None:
                self._reader.begin(
                    self._resource, namespace=following.namespace, field_selector=following.field_selector
                )
            error = self._read_list(one.keys, namespace=one.namespace, field_selector=one.field_selector)
            if error is not None:
                failures.append((error, one.keys))
        return failures

    def _lists(self, keys: list[ObjectKey]) -> Iterator[_Wanted]:
        """The lists that bring the wanted objects, by namespace."""
        by_namespace: dict[str, list[ObjectKey]] = defaultdict(list)
        for key in keys:
            by_namespace[key.namespace].append(key)
        for namespace, group in by_namespace.items():
            if self._resource.kind != kinds.SECRET and len(group) > _FEW:
                yield _Wanted(group, namespace, "")
            else:
                yield from (_Wanted([key], namespace, f"metadata.name={key.name}") for key in group)

    def _read_list(
        self, keys: list[ObjectKey], *, namespace: str = "", field_selector: str = ""
    ) -> GitsnapError | None:
        wanted = frozenset(keys)
        error: GitsnapError | None = None
        for _ in range(_ATTEMPTS):
            brought: set[ObjectKey] = set()
            try:
                self._receive(self._pages(wanted, brought, namespace=namespace, field_selector=field_selector))
            except InstantLostError:
                raise
            except GoneError as gone:
                error = gone
            except (AccessDeniedError, ClusterError) as failure:
                return failure
            else:
                self._brought |= brought
                return None
        return error

    def _pages(
        self, wanted: frozenset[ObjectKey], brought: set[ObjectKey], *, namespace: str, field_selector: str
    ) -> Pages:
        def pages(*, metadata_only: bool) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
            brought.clear()
            for page in self._lister.pages(
                self._resource, namespace=namespace, field_selector=field_selector, metadata_only=metadata_only
            ):
                found = {key: raw for raw in page.items if (key := ObjectKey.of(raw)) in wanted}
                brought.update(found)
                yield page, list(found.values())

        return pages
