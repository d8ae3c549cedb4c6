"""A copy of the lists that a capture reads, kept up to date by watches. A capture can read the copy.

A list is read from the server once. Later reads take the copy, so the collector of a capture needs no request and sees
the state of one moment. Each list needs one watch.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, NoReturn

from gitsnap.core.changes import ChangedObject
from gitsnap.core.errors import ClusterError, GoneError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.objects import KubeObject, same_json
from gitsnap.core.ports import Cluster, ClusterInfo, Page

_PAGE_SIZE = 500
_NAME_SELECTOR = "metadata.name="
_MOST_DELETED = 10_000
"""The largest number of deleted objects that are remembered for each list."""

_MOST_CHANGED = 1000
"""The largest number of changed objects that are remembered. More changes take a whole collection."""

_LEVEL = 1
"""The compression level of the objects. Speed is more important than size."""


class Query(NamedTuple):
    """The parameters of a list."""

    resource: ResourceType
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


class HeldChange(NamedTuple):
    """An object of a list before and after its change; None if the list did not have the object."""

    before: KubeObject | None
    after: KubeObject | None


@dataclass(slots=True)
class _HeldObject:
    version: int
    metadata: JsonObject
    """``metadata`` without ``managedFields``."""
    content: bytes
    """The whole object, compressed."""

    def document(self) -> JsonObject:
        document: JsonObject = json.loads(zlib.decompress(self.content))
        return document


@dataclass(slots=True)
class _HeldList:
    version: str
    """The resource version of the list when it was read."""
    objects: dict[ObjectKey, _HeldObject] = field(default_factory=dict)
    deleted: dict[ObjectKey, int] = field(default_factory=dict)
    """The newest deleted objects with the resource version of their deletion: an older event does not restore them."""

    def apply(self, key: ObjectKey, held: _HeldObject, *, deleted: bool) -> None:
        """Apply an event."""
        self.deleted.pop(key, None)
        if not deleted:
            self.objects[key] = held
            return
        self.objects.pop(key, None)
        self.deleted[key] = held.version
        if len(self.deleted) > _MOST_DELETED:
            del self.deleted[next(iter(self.deleted))]


def _selects(query: Query, key: ObjectKey, document: JsonObject) -> bool:
    """Whether a list certainly has an object. Only the server evaluates label selectors."""
    field, _, value = query.field_selector.partition("=")
    return (
        query.resource.kind == key.kind
        and not query.label_selector
        and query.namespace in ("", key.namespace)
        and (
            not field
            or (field == "metadata.name" and key.name == value)
            or (field == "type" and same_json(document.get("type"), value))
        )
    )


def version_number(text: object) -> int:
    """A resource version as a number, 0 for any other text. Versions of one server can be compared."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 else 0


class Mirror:
    """The lists of one server (ports.Cluster, read-only)."""

    def __init__(self, source: Cluster, *, start: int = 0) -> None:
        """``start``: the resource version at which to read the lists if the server still has it; 0: current lists."""
        self._source = source
        self._start = str(start or "")
        self._lists: dict[Query, _HeldList] = {}
        self._requested: set[Query] = set()
        self._absent: set[Kind] = set()
        self._changed: dict[tuple[Query, ObjectKey], _HeldObject | None] = {}
        """The objects that changed after the last collection, as this collection read them."""
        self.version = ""
        """The highest resource version that the copies contain."""

    @property
    def absent_kinds(self) -> frozenset[Kind]:
        """The kinds that the server did not serve."""
        return frozenset(self._absent)

    # Lists and watches ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a collection, and record which lists it reads."""
        self._requested.clear()

    def finish(self) -> dict[Query, str]:
        """End a collection, and drop the copies of the lists that it did not read.

        Returns the lists to watch, each with the resource version at which its watch starts.
        """
        self._lists = {query: held for query, held in self._lists.items() if query in self._requested}
        self._changed.clear()
        return {query: held.version for query, held in self._lists.items()}

    def has(self, resource: ResourceType, namespace: str, field_selector: str) -> bool:
        """Whether a list is read from a copy (list_sizes.HasCopy)."""
        return Query(resource, namespace, field_selector=field_selector) in self._lists

    def is_news(self, query: Query, key: ObjectKey, version: int) -> bool:
        """Whether an event of a watch is newer than the copy. ``version``: the resource version of the event."""
        held = self._lists.get(query)
        return held is not None and version > max(version_number(held.version), self.held_version(query, key))

    def documents(self, query: Query) -> Iterator[JsonObject]:
        """The objects of a list."""
        for copy in self._lists[query].objects.values():
            yield copy.document()

    def held(self, query: Query, key: ObjectKey) -> KubeObject | None:
        """An object in the copy of a list; None if the copy lacks it."""
        held = self._lists[query].objects.get(key) if query in self._lists else None
        return KubeObject.of(held.document()) if held is not None else None

    def held_version(self, query: Query, key: ObjectKey) -> int:
        """The resource version of an object of a list, or of its deletion; 0 if the copy never had the object."""
        held = self._lists.get(query)
        if held is None:
            return 0
        return held.objects[key].version if key in held.objects else held.deleted.get(key, 0)

    def changes(self) -> list[HeldChange] | None:
        """The objects that changed since the last collection.

        None if they are too many, or if two lists have different versions of one object.
        """
        if len(self._changed) > _MOST_CHANGED:
            return None
        changes = []
        for (query, key), before in self._changed.items():
            lists = (held for other, held in self._lists.items() if other.resource.kind == key.kind)
            if len({held.objects[key].version for held in lists if key in held.objects}) > 1:
                return None
            old = KubeObject.of(before.document()) if before is not None else None
            changes.append(HeldChange(old, self.held(query, key)))
        return changes

    def newest_version(self, key: ObjectKey) -> int:
        """The highest resource version of an object in the copies; 0 if no copy has the object."""
        lists = (query for query in self._lists if query.resource.kind == key.kind)
        return max((self.held_version(query, key) for query in lists), default=0)

    def versions(self, key: ObjectKey) -> frozenset[int]:
        """The resource versions of an object in the copies. They differ while the watch of one list is behind."""
        return frozenset(held.objects[key].version for held in self._lists.values() if key in held.objects)

    def changed_object(self, key: ObjectKey) -> ChangedObject:
        """An object with uid and newest resource version; without both if no copy has the object."""
        copies = (held.objects[key] for held in self._lists.values() if key in held.objects)
        newest = max(copies, key=lambda copy: copy.version, default=None)
        metadata = newest.metadata if newest is not None else {}
        return ChangedObject(key, str(metadata.get("uid") or ""), str(metadata.get("resourceVersion") or ""))

    def apply(self, query: Query, key: ObjectKey, document: JsonObject, *, deleted: bool) -> None:
        """Apply an event of a watch to the copies of all lists that select the object.

        A copy that is not older than the event is left as it is. ``query``: the list that the watch follows; it may
        have no copy any more, because the collector chose another list for the object.
        """
        version = version_number((document.get("metadata") or {}).get("resourceVersion"))
        for other, held in self._lists.items():
            if (other == query or _selects(other, key, document)) and self.is_news(other, key, version):
                if len(self._changed) <= _MOST_CHANGED:
                    self._changed.setdefault((other, key), held.objects.get(key))
                held.apply(key, _hold(document), deleted=deleted)
                self.contains(str(version))

    def contains(self, version: str) -> None:
        """Record that the copies contain everything up to a resource version."""
        if version_number(version) >= version_number(self.version):
            self.version = version

    # ports.Cluster ----------------------------------------------------------------------------------------------------

    def info(self) -> ClusterInfo:
        """See ports.Cluster."""
        return self._source.info()

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """See ports.Cluster."""
        resource = self._source.resource_type(kind)
        if resource is None:
            self._absent.add(kind)
        else:
            self._absent.discard(kind)
        return resource

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """See ports.Cluster. Whole objects are read from the server even if metadata is enough."""
        query = Query(resource, namespace, label_selector, field_selector)
        source = self._list_with(query)
        self._requested.add(source)
        if source in self._lists:
            return self._copied(source, query, metadata_only=metadata_only)
        return self._read(query, resource_version)

    def _list_with(self, query: Query) -> Query:
        """The copied list that has all objects of a query; the query itself if there is none.

        The collector chooses between the lists of all namespaces, of a namespace and of a name by their cost, and may
        choose another list for each change. A list that has a copy is not read from the server again.
        """
        if query in self._lists or query.label_selector:
            return query
        wider = [query._replace(namespace="")]
        if query.field_selector.startswith(_NAME_SELECTOR):
            wider += [query._replace(field_selector=""), Query(query.resource)]
        return next((candidate for candidate in wider if candidate in self._lists), query)

    def _read(self, query: Query, version: str) -> Iterator[Page]:
        """Read a list from the server, and keep a copy if it is read to its end. ``version``: ``""`` for ``start``."""
        held: _HeldList | None = None
        pages = self._pages(query, version or self._start)
        try:
            first = next(pages)
        except GoneError:
            if version or not self._start:
                raise
            self._start = ""  # the server no longer has the version, or does not have it yet
            pages = self._pages(query, "")
            first = next(pages)
        for page in chain([first], pages):
            held = held or _HeldList(page.resource_version)
            for item in page.items:
                held.objects[ObjectKey.of(item)] = _hold(item)
            yield page
        if held is not None:
            self._lists[query] = held
            self.contains(held.version)

    def _pages(self, query: Query, version: str) -> Iterator[Page]:
        return self._source.list(
            query.resource,
            namespace=query.namespace,
            label_selector=query.label_selector,
            field_selector=query.field_selector,
            resource_version=version,
        )

    def _copied(self, source: Query, query: Query, *, metadata_only: bool) -> Iterator[Page]:
        """The pages of a query that the copy of the list ``source`` answers."""
        field, _, name = (query.field_selector if query != source else "").partition("=")
        objects = [
            copy
            for key, copy in self._lists[source].objects.items()
            if query.namespace in ("", key.namespace) and (field != "metadata.name" or key.name == name)
        ]
        resource = query.resource
        for start in range(0, max(len(objects), 1), _PAGE_SIZE):
            page = objects[start : start + _PAGE_SIZE]
            if metadata_only:
                identity = {"apiVersion": resource.api_version, "kind": resource.kind.name}
                items = [{**identity, "metadata": held.metadata} for held in page]
            else:
                items = [held.document() for held in page]
            yield Page(items, self.version, whole=not metadata_only)

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """See ports.Cluster."""
        return self._source.reading_within(seconds)

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """See ports.Cluster."""
        self._source.redact_errors_for(kinds)

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        return self._source.get(key)

    def _refuse(self) -> NoReturn:
        raise ClusterError("follow mode writes nothing to the cluster")

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:  # noqa: ARG002 - ports.Cluster
        """Refused."""
        self._refuse()

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:  # noqa: ARG002 - ports.Cluster
        """Refused."""
        self._refuse()

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:  # noqa: ARG002
        """Refused."""
        self._refuse()

    def delete(
        self,
        key: ObjectKey,  # noqa: ARG002 - ports.Cluster
        *,
        uid: str,  # noqa: ARG002
        resource_version: str = "",  # noqa: ARG002
        dry_run: bool = False,  # noqa: ARG002
    ) -> None:
        """Refused."""
        self._refuse()


def _hold(document: JsonObject) -> _HeldObject:
    metadata = {name: value for name, value in (document.get("metadata") or {}).items() if name != "managedFields"}
    content = zlib.compress(json.dumps(document, separators=(",", ":")).encode(errors="surrogatepass"), _LEVEL)
    return _HeldObject(version_number(metadata.get("resourceVersion")), metadata, content)
