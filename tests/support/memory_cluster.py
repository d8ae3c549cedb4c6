"""A cluster in memory for tests of rollbacks. It records every write, and a test can make any write fail.

It has resource versions, uids, conflicts and dry runs. A test can let a second writer act before each write.
This module must not be imported by the package.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from gitsnap.cluster.semantics import check_immutable, check_preconditions, copy_json, merge_patch, with_status_of
from gitsnap.core.errors import AlreadyExistsError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import ClusterInfo, Page
from gitsnap.sveltos import kinds
from tests.support.plans import CLUSTER, CORE_KINDS, alive


@dataclass
class MemoryCluster:
    """ports.Cluster over a dictionary."""

    objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    writes: list[tuple[str, ObjectKey]] = field(default_factory=list)
    """Each successful write: create, update, patch or delete, and the object."""
    before_write: Callable[[str, ObjectKey], None] = lambda _verb, _key: None
    """Called before each write that is no dry run. It may raise, or write something itself (``disturb``)."""
    after_write: Callable[[str, ObjectKey], None] = lambda _verb, _key: None
    """Called after each write that is no dry run. It may raise, like a connection that breaks before the answer."""
    version: int = 100

    @classmethod
    def of(cls, documents: Iterable[JsonObject]) -> MemoryCluster:
        """A cluster with these objects."""
        raw = [document if "uid" in document["metadata"] else alive(document) for document in documents]
        return cls({ObjectKey.of(document): document for document in raw})

    def info(self) -> ClusterInfo:
        """See ports.Cluster."""
        return CLUSTER

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:  # noqa: ARG002 - see below
        """See ports.Cluster. This cluster answers at once."""
        return nullcontext()

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """See ports.Cluster. Errors of this cluster quote no values."""

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """See ports.Cluster."""
        row = kinds.BY_KIND.get(kind)
        if row is not None:
            return ResourceType(kind, row.versions[0], row.plural, row.namespaced)
        if kind in CORE_KINDS:
            return ResourceType(kind, "v1", f"{kind.name.lower()}s", kind.name != "Namespace")
        return None

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
        """See ports.Cluster. Selectors are ignored, which every caller must tolerate."""
        del label_selector, field_selector, resource_version, metadata_only
        found = [
            copy_json(document)
            for key, document in sorted(self.objects.items())
            if key.kind == resource.kind and namespace in ("", key.namespace)
        ]
        yield Page(found, str(self.version))

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        if key not in self.objects:
            raise NotFoundError(f"{key} does not exist")
        document: JsonObject = copy_json(self.objects[key])
        return document

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """See ports.Cluster."""
        key = ObjectKey.of(document)
        self._begin("create", key, dry_run=dry_run)
        if key in self.objects:
            raise AlreadyExistsError(f"{key} already exists")
        new = copy_json(document)
        new["metadata"]["uid"] = str(uuid.uuid4())
        return self._keep("create", key, new, dry_run=dry_run)

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """See ports.Cluster."""
        key = ObjectKey.of(document)
        self._begin("update", key, dry_run=dry_run)
        live = self.get(key)
        check_preconditions(key, live, document["metadata"])
        check_immutable(key, live, document)
        return self._keep("update", key, with_status_of(live, copy_json(document)), dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """See ports.Cluster."""
        self._begin("patch", key, dry_run=dry_run)
        live = self.get(key)
        check_preconditions(key, live, patch.get("metadata") or {})
        return self._keep("patch", key, merge_patch(live, patch), dry_run=dry_run)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """See ports.Cluster."""
        self._begin("delete", key, dry_run=dry_run)
        check_preconditions(key, self.get(key), {"uid": uid, "resourceVersion": resource_version})
        if not dry_run:
            self._store(key, None)
            self._end("delete", key)

    def disturb(self, key: ObjectKey, **fields: object) -> None:
        """Change top-level fields of an object as another writer does, with a new resource version."""
        self.version += 1
        live = self.get(key)
        metadata = {**live["metadata"], "resourceVersion": str(self.version)}
        self.objects[key] = {**live, "metadata": metadata, **fields}

    def _begin(self, verb: str, key: ObjectKey, *, dry_run: bool) -> None:
        if not dry_run:
            self.before_write(verb, key)

    def _keep(self, verb: str, key: ObjectKey, new: JsonObject, *, dry_run: bool) -> JsonObject:
        if not dry_run:
            self._store(key, new)
            self._end(verb, key)
        answer: JsonObject = copy_json(new)
        return answer

    def _store(self, key: ObjectKey, new: JsonObject | None) -> None:
        """Store an object with the next resource version, or remove the object if ``new`` is None."""
        self.version += 1
        if new is None:
            del self.objects[key]
            return
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = new

    def _end(self, verb: str, key: ObjectKey) -> None:
        self.writes.append((verb, key))
        self.after_write(verb, key)
