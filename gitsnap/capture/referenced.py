"""Reads the objects that references name, and no others: never all Secrets of a cluster.

Three kinds of lists can bring an object: the list of all namespaces, the list of its namespace, and the list of its
name. The lists that cost least are chosen (``list_sizes``). A list of Secrets always has a field selector: on Sveltos'
own type, or on one name. So no other value reaches this process. A GET would ignore the resource version of the
capture.

If the list of all namespaces fails, for example because the user may read only some namespaces, the lists of the
namespaces are read, unless the server is busy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from gitsnap.capture.batch import Batch
from gitsnap.capture.list_reader import ListReader, can_be_selected, name_selector
from gitsnap.capture.list_sizes import HasCopy, ListSizes, Size, cost, has_no_copy, requests_cost
from gitsnap.capture.pinned_list import Lister, ObjectPage, VersionExpiredError, requested_ahead
from gitsnap.core.errors import AccessDeniedError, BusyError, ClusterError, GitsnapError, GoneError
from gitsnap.core.model import Kind, ObjectKey, ResourceType
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import ADD_ON_TYPE

_ATTEMPTS = 3

_FEW = 3
"""Up to this many objects are read by name where the list of their namespace is refused."""

_OF_ADD_ON_TYPE = f"type={ADD_ON_TYPE}"


def type_selector(kind: Kind) -> str:
    """The field selector of a list of several objects. A list of several Secrets selects Sveltos' own type."""
    return _OF_ADD_ON_TYPE if kind == kinds.SECRET else ""


class FailedList(NamedTuple):
    """A list that failed, and the objects that it was read for."""

    error: GitsnapError
    keys: list[ObjectKey]


class _TooLargeError(ClusterError):
    """The list of all namespaces has so many other objects that the lists of the namespaces cost less."""


class _ReferencedList:
    """A list that is read for some of its objects (``list_reader.Pages``)."""

    def __init__(
        self,
        lister: Lister,
        resource: ResourceType,
        keys: list[ObjectKey],
        *,
        namespace: str = "",
        field_selector: str = "",
        most: float = float("inf"),
    ) -> None:
        """``most``: the cost at which the list is given up."""
        self._lister = lister
        self._resource = resource
        self.keys = keys
        self._wanted = frozenset(keys)
        self.namespace = namespace
        self.field_selector = field_selector
        self._most = most
        self.types: dict[ObjectKey, object] = {}
        """The wanted objects of the list, except objects that are being deleted -> their ``type``."""
        self.listed: set[ObjectKey] = set()
        """All wanted objects of the list."""
        self.size = Size(0, 0)
        """The size of the list, estimated for a list that was given up."""
        self.namespaces: Counter[str] = Counter()
        """Namespace -> number of objects of the list."""

    def __call__(self, *, metadata_only: bool) -> Iterator[ObjectPage]:
        """The pages with the wanted objects. Raises _TooLargeError, and the errors of ``Lister.pages``."""
        self.types.clear()
        self.listed.clear()
        self.namespaces.clear()
        objects = length = 0
        for page in self._lister.pages(
            self._resource,
            namespace=self.namespace,
            field_selector=self.field_selector,
            metadata_only=metadata_only,
        ):
            objects, length = objects + page.listed, length + page.size
            self._check_cost(objects, length, page.remaining, whole=page.whole)
            self.namespaces.update([entry.key.namespace for entry in page.entries])
            by_key = {entry.key: entry for entry in page.entries if entry.key in self._wanted}
            self.listed.update(by_key)
            for key, entry in by_key.items():
                if not entry.is_terminating:
                    self.types[key] = page.decoded(entry).raw.get("type") if page.whole else self._known_type
            yield page.select(list(by_key.values()))

    @property
    def _known_type(self) -> object:
        """The type of all objects of the list, where the field selector says it."""
        return ADD_ON_TYPE if self.field_selector == _OF_ADD_ON_TYPE else None

    def _check_cost(self, objects: int, length: int, remaining: int | None, *, whole: bool) -> None:
        """Record the size of the list so far. Raises _TooLargeError if the rest costs more than ``most``.

        If the server does not say how many objects remain, as many are assumed as were read.
        """
        rest = objects if remaining is None else remaining
        mean = length // max(1, objects)
        self.size = Size(objects, length if whole else 0)
        if remaining != 0 and cost(Size(rest, rest * mean)) > self._most:
            self.size = Size(objects + rest, (objects + rest) * mean if whole else 0)
            raise _TooLargeError(f"the list of all {self._resource.plural} has {self.size.objects} objects")


class ReferencedReader:
    """Reads objects of one kind by their keys."""

    def __init__(
        self,
        lister: Lister,
        reader: ListReader,
        resource: ResourceType,
        merge: Callable[[Batch], None],
        sizes: ListSizes,
        *,
        has_copy: HasCopy = has_no_copy,
    ) -> None:
        """``merge`` is called with the batch of each list that was read to its end.

        ``sizes``: the sizes of the lists of the previous capture, to which those of this capture are added.
        """
        self._has_copy = has_copy
        self._lister = lister
        self._reader = reader
        self._resource = resource
        self._merge = merge
        self._sizes = sizes
        self._type_selector = type_selector(resource.kind)
        self._metadata_only = reader.metadata_first(resource.kind, self._type_selector)
        self._listed: set[ObjectKey] = set()
        self.types: dict[ObjectKey, object] = {}
        """The objects that exist -> their ``type``, which only Secrets have."""

    def read(self, keys: Collection[ObjectKey]) -> list[FailedList]:
        """Read the objects that exist; returns the lists that failed. Raises VersionExpiredError."""
        keys = [key for key in keys if can_be_selected(key)]  # no object can have another name
        groups = _by_namespace(keys)
        narrow_cost = sum(self._cost_of(*item) for item in groups.items())
        if self._cost_of_all(keys) < narrow_cost:
            error = self._read_all(keys, narrow_cost)
            if error is None:
                missing = [key for key in keys if key not in self._listed]
                # Other ConfigMaps do not exist. Other Secrets may have another type.
                return self._read_lists([self._named(key) for key in missing]) if self._is_typed else []
            if isinstance(error, BusyError):  # further lists would only add to the load
                return [FailedList(error, keys)]
        failed = self._read_lists([entry for item in groups.items() for entry in self._lists_of(*item)])
        names = list(self._names_after(groups, failed))
        retried = {key.namespace for key in names}
        failed = [entry for entry in failed if len(entry.keys) == 1 or entry.keys[0].namespace not in retried]
        return failed + self._read_lists([self._named(key) for key in names])

    # The choice of lists ----------------------------------------------------------------------------------------------

    @property
    def _is_typed(self) -> bool:
        """Whether a list of several objects selects a type, so that it may lack existing objects."""
        return bool(self._type_selector)

    def _prefers_names(self, namespace: str, group: list[ObjectKey]) -> bool:
        """Whether the objects of a namespace are read by name."""
        return self._cost_of_names(group) <= self._cost_of_namespace(namespace, group)

    def _cost_of_all(self, keys: list[ObjectKey]) -> float:
        if self._has_copy(self._resource, "", self._type_selector):
            return 0.0
        return self._sizes.cost_of_all(len(keys), metadata_only=self._metadata_only)

    def _cost_of(self, namespace: str, group: list[ObjectKey]) -> float:
        """The cost of the lists for the objects of a namespace (``_lists_of``)."""
        return min(self._cost_of_names(group), self._cost_of_namespace(namespace, group))

    def _cost_of_names(self, group: list[ObjectKey]) -> float:
        return requests_cost(
            sum(not self._has_copy(self._resource, key.namespace, name_selector(key)) for key in group)
        )

    def _cost_of_namespace(self, namespace: str, group: list[ObjectKey]) -> float:
        if self._has_copy(self._resource, namespace, self._type_selector):
            return 0.0
        return self._sizes.cost_of_namespace(namespace, len(group), metadata_only=self._metadata_only)

    def _lists_of(self, namespace: str, group: list[ObjectKey]) -> list[_ReferencedList]:
        """The lists for the objects of a namespace: that of the namespace, or one for each name."""
        if self._prefers_names(namespace, group):
            return [self._named(key) for key in group]
        return [self._list(group, namespace=namespace, field_selector=self._type_selector)]

    def _names_after(
        self, groups: Mapping[str, list[ObjectKey]], failed: Collection[FailedList]
    ) -> Iterator[ObjectKey]:
        """The objects to read by name after the lists of the namespaces.

        These are Secrets that may have another type, and objects of a namespace whose list the server refused: the
        rights may be limited to names. Objects of other kinds are read by name only if they are few.
        """
        failed_keys = {key for entry in failed for key in entry.keys}
        refused = {
            entry.keys[0].namespace
            for entry in failed
            if isinstance(entry.error, AccessDeniedError) and (self._is_typed or len(entry.keys) <= _FEW)
        }
        for namespace, group in groups.items():
            if not self._prefers_names(namespace, group):
                missing = (key for key in group if key not in self._listed)
                yield from (
                    key for key in missing if namespace in refused or (self._is_typed and key not in failed_keys)
                )

    def _list(
        self, keys: list[ObjectKey], *, namespace: str = "", field_selector: str = "", most: float = float("inf")
    ) -> _ReferencedList:
        return _ReferencedList(
            self._lister, self._resource, keys, namespace=namespace, field_selector=field_selector, most=most
        )

    def _named(self, key: ObjectKey) -> _ReferencedList:
        return self._list([key], namespace=key.namespace, field_selector=name_selector(key))

    # Reading ----------------------------------------------------------------------------------------------------------

    def _read_all(self, keys: list[ObjectKey], most: float) -> GitsnapError | None:
        """Read the list of all namespaces. Returns its error: _TooLargeError if the list costs more than ``most``."""
        whole = self._list(keys, field_selector=self._type_selector, most=most)
        error = self._read_list(whole)
        if error is None:
            self._sizes.record_all(whole.size, whole.namespaces)
            self._sizes.was_read = True
        elif isinstance(error, _TooLargeError):
            self._sizes.record_all(whole.size, {})
        elif isinstance(error, AccessDeniedError):
            self._sizes.refused = True
        return error

    def _read_lists(self, lists: list[_ReferencedList]) -> list[FailedList]:
        """Read lists, some at a time; returns those that failed."""
        failed = []
        for entry in requested_ahead(lists, self._prefetch):
            error = self._read_list(entry)
            if error is not None:
                failed.append(FailedList(error, entry.keys))
            elif entry.field_selector == self._type_selector:
                self._sizes.record_namespace(entry.namespace, entry.size)
        return failed

    def _prefetch(self, entry: _ReferencedList) -> None:
        self._reader.prefetch(self._resource, namespace=entry.namespace, field_selector=entry.field_selector)

    def _read_list(self, entry: _ReferencedList) -> GitsnapError | None:
        """Read a list and merge its batch. Returns the error of a list that failed, None otherwise."""
        error: GitsnapError | None = None
        for _ in range(_ATTEMPTS):
            try:
                batch = self._reader.read_once(self._resource, entry, field_selector=entry.field_selector)
            except VersionExpiredError:
                raise
            except GoneError as gone:
                error = gone
            except (AccessDeniedError, ClusterError) as failure:
                return failure
            else:
                self._merge(batch)
                self._listed |= entry.listed
                self.types |= entry.types
                return None
        return error


def _by_namespace(keys: Collection[ObjectKey]) -> dict[str, list[ObjectKey]]:
    by_namespace: dict[str, list[ObjectKey]] = defaultdict(list)
    for key in keys:
        by_namespace[key.namespace].append(key)
    return by_namespace
