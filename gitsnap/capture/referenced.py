"""Reads the objects that references name, and no others: never all Secrets of a cluster.

Secrets of Sveltos' own type come in one list (field selector ``type``). Every other Secret is read by a list with a
field selector on its name, so that no other value reaches this process. A GET would ignore the resource version of
the capture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from itertools import zip_longest
from typing import NamedTuple

from gitsnap.capture.batch import Batch
from gitsnap.capture.list_reader import ListReader, can_be_selected
from gitsnap.capture.pinned_list import Lister, ObjectPage, VersionExpiredError
from gitsnap.core.errors import AccessDeniedError, ClusterError, GitsnapError, GoneError
from gitsnap.core.model import ObjectKey, ResourceType
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import ADD_ON_TYPE

_FEW = 3
"""Up to this many objects of a namespace are read by name; for more, the namespace is listed."""

_ATTEMPTS = 3


class FailedList(NamedTuple):
    """A list that failed, and the objects that it was read for."""

    error: GitsnapError
    keys: list[ObjectKey]


class _NamedList:
    """A list that is read for some of its objects (``list_reader.Pages``)."""

    def __init__(
        self, lister: Lister, resource: ResourceType, keys: list[ObjectKey], *, namespace: str, field_selector: str
    ) -> None:
        self._lister = lister
        self._resource = resource
        self.keys = keys
        self._wanted = frozenset(keys)
        self.namespace = namespace
        self.field_selector = field_selector
        self.types: dict[ObjectKey, object] = {}
        """The wanted objects of the list, except objects that are being deleted -> their ``type``."""
        self.listed: set[ObjectKey] = set()
        """All wanted objects of the list."""

    def __call__(self, *, metadata_only: bool) -> Iterator[ObjectPage]:
        """The pages with the wanted objects."""
        self.types.clear()
        self.listed.clear()
        for page in self._lister.pages(
            self._resource,
            namespace=self.namespace,
            field_selector=self.field_selector,
            metadata_only=metadata_only,
        ):
            by_key = {obj.key: obj for obj in page.objects if obj.key in self._wanted}
            self.listed.update(by_key)
            self.types.update((key, obj.raw.get("type")) for key, obj in by_key.items() if not obj.is_terminating)
            yield page.select(list(by_key.values()))


class ReferencedReader:
    """Reads objects of one kind by their keys."""

    def __init__(
        self, lister: Lister, reader: ListReader, resource: ResourceType, merge: Callable[[Batch], None]
    ) -> None:
        """``merge`` is called with the batch of each list that was read to its end."""
        self._lister = lister
        self._reader = reader
        self._resource = resource
        self._merge = merge
        self._listed: set[ObjectKey] = set()
        self.types: dict[ObjectKey, object] = {}
        """The objects that exist -> their ``type``, which only Secrets have."""

    def read(self, keys: Collection[ObjectKey]) -> list[FailedList]:
        """Read the objects that exist; returns the lists that failed. Raises VersionExpiredError."""
        keys = [key for key in keys if can_be_selected(key)]  # no object can have another name
        if self._resource.kind == kinds.SECRET:
            # If the server refuses this list for the whole cluster, each Secret is read by its name.
            self._read_list(self._list(keys, field_selector=f"type={ADD_ON_TYPE}"))
            keys = [key for key in keys if key not in self._listed]
        failed = []
        lists = list(self._lists(keys))
        for current, following in zip_longest(lists, lists[1:]):
            if following is not None:
                self._reader.prefetch(
                    self._resource, namespace=following.namespace, field_selector=following.field_selector
                )
            error = self._read_list(current)
            if error is not None:
                failed.append(FailedList(error, current.keys))
        return failed

    def _lists(self, keys: list[ObjectKey]) -> Iterator[_NamedList]:
        """The lists to read, by namespace."""
        by_namespace: dict[str, list[ObjectKey]] = defaultdict(list)
        for key in keys:
            by_namespace[key.namespace].append(key)
        for namespace, group in by_namespace.items():
            if self._resource.kind != kinds.SECRET and len(group) > _FEW:
                yield self._list(group, namespace=namespace)
            else:
                for key in group:
                    yield self._list([key], namespace=namespace, field_selector=f"metadata.name={key.name}")

    def _list(self, keys: list[ObjectKey], *, namespace: str = "", field_selector: str = "") -> _NamedList:
        return _NamedList(self._lister, self._resource, keys, namespace=namespace, field_selector=field_selector)

    def _read_list(self, named: _NamedList) -> GitsnapError | None:
        """Read a list and merge its batch. Returns the error of a list that failed, None otherwise."""
        error: GitsnapError | None = None
        for _ in range(_ATTEMPTS):
            try:
                batch = self._reader.read_once(self._resource, named)
            except VersionExpiredError:
                raise
            except GoneError as gone:
                error = gone
            except (AccessDeniedError, ClusterError) as failure:
                return failure
            else:
                self._merge(batch)
                self._listed |= named.listed
                self.types |= named.types
                return None
        return error
