"""The sizes of the lists of one kind, and an estimate of what a list costs.

A cost is a number of bytes: a request counts as much as the bytes of a list that take the server and gitsnap as long.
The sizes are those of the lists of the previous capture. They are part of the capture cache, and only an estimate: no
sample depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gitsnap.core.model import ResourceType

_REQUEST_BYTES = 90_000
"""A request costs as much as 30 objects of 3 kB in a whole list (23 to 34, measured on kube-apiserver 1.37)."""

_METADATA_BYTES = 600
"""The metadata of an object costs a fifth of an object of 3 kB."""

_OBJECT_BYTES = 3000
"""The assumed size of an object while no list has shown it."""

_ASSUMED_OBJECTS = 90
"""The assumed number of objects of a namespace while no list has shown it: up to three objects are read by name."""

_PAGE_OBJECTS = 500

HasCopy = Callable[[ResourceType, str, str], bool]
"""(Resource, namespace, field selector) -> whether the list is read from a copy, so that it costs nothing."""


def has_no_copy(_resource: ResourceType, _namespace: str, _field_selector: str) -> bool:
    """Every list is read from the server (HasCopy)."""
    return False


class Size(NamedTuple):
    """The size of a list."""

    objects: int
    bytes: int
    """Length of the JSON text of all objects, 0 if it is not known."""


@dataclass(slots=True)
class ListSizes:
    """The sizes of the lists of one kind."""

    total: Size | None = None
    """The list of all namespaces. None if it is not known."""
    refused: bool = False
    """Whether the server refused the list of all namespaces."""
    namespaces: dict[str, Size] = field(default_factory=dict)
    was_read: bool = False
    """Whether the list of all namespaces was chosen and read. The next capture then requests its first pages early."""

    @classmethod
    def of(cls, document: Any) -> ListSizes:
        """The sizes of ``document``. A text of another form, such as that of a damaged cache, has no sizes."""
        try:
            total = Size(*map(int, document["total"])) if document.get("total") else None
            namespaces = {str(name): Size(*map(int, size)) for name, size in document["namespaces"].items()}
            return cls(total, bool(document.get("refused")), namespaces, bool(document.get("wasRead")))
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    def document(self) -> Mapping[str, Any]:
        """The sizes as a JSON object (``of``)."""
        namespaces = {name: list(size) for name, size in self.namespaces.items()}
        return {
            "total": list(self.total) if self.total else None,
            "refused": self.refused,
            "namespaces": namespaces,
            "wasRead": self.was_read,
        }

    def cost_of_all(self, wanted: int, *, metadata_only: bool) -> float:
        """The cost of the list of all namespaces; the least possible cost if its size is not known.

        ``wanted``: how many of its objects are needed. Infinite if the server refused the list.
        """
        if self.refused:
            return float("inf")
        return self._cost(self.total, wanted, metadata_only=metadata_only)

    def cost_of_namespace(self, namespace: str, wanted: int, *, metadata_only: bool) -> float:
        """The cost of the list of a namespace, of which ``wanted`` objects are needed."""
        size = self.namespaces.get(namespace)
        return self._cost(size, wanted if size is not None else _ASSUMED_OBJECTS, metadata_only=metadata_only)

    def _cost(self, size: Size | None, wanted: int, *, metadata_only: bool) -> float:
        objects = max(wanted, size.objects if size is not None else 0)
        length = _METADATA_BYTES * objects if metadata_only else self._bytes(size, objects)
        return cost(Size(objects, length))

    def _bytes(self, size: Size | None, objects: int) -> int:
        """The length of a list with ``objects`` objects."""
        for known in (size, self.total):
            if known is not None and known.bytes and known.objects:
                return objects * known.bytes // known.objects
        return objects * _OBJECT_BYTES

    def record_namespace(self, namespace: str, size: Size) -> None:
        """Record the list of a namespace. A list of metadata has no ``bytes``: the mean of an earlier list is kept."""
        self.namespaces[namespace] = self._with_bytes(self.namespaces.get(namespace), size)

    def record_all(self, size: Size, namespaces: Mapping[str, int]) -> None:
        """Record the list of all namespaces. ``namespaces``: namespace -> number of objects, as far as it is known."""
        self.total = self._with_bytes(self.total, size)
        mean = self.total.bytes // max(1, self.total.objects)
        self.namespaces.update((name, Size(count, count * mean)) for name, count in namespaces.items())

    @staticmethod
    def _with_bytes(known: Size | None, size: Size) -> Size:
        if size.bytes or known is None or not known.objects:
            return size
        return Size(size.objects, size.objects * known.bytes // known.objects)


def cost(size: Size) -> float:
    """The cost of a list that is read in pages."""
    return requests_cost(max(1, -(-size.objects // _PAGE_OBJECTS))) + size.bytes


def requests_cost(requests: int) -> int:
    """The cost of requests for single objects."""
    return requests * _REQUEST_BYTES
