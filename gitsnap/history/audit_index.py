"""The writes of an audit log by object. Audit events name resources (``configmaps``), the archive names kinds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from gitsnap.core.model import ObjectKey
from gitsnap.kube.audit_writes import AuditWrite
from gitsnap.sveltos.kind_names import resource_names

_Place = tuple[str, str, str]
"""API group, namespace and name of an object."""


class AuditIndex:
    """The writes of a log, by object."""

    def __init__(self, writes: Iterable[AuditWrite]) -> None:
        self._by_object: dict[_Place, list[AuditWrite]] = defaultdict(list)
        self._collections: dict[str, list[AuditWrite]] = defaultdict(list)
        """API group -> the deletions of collections whose objects the log does not have."""
        self._kinds: dict[tuple[str, str], str] = {}
        """API group and resource -> kind, where responses in the log have both."""
        for write in writes:
            if write.kind:
                self._kinds[write.group, write.resource] = write.kind
            if write.name:
                self._by_object[write.group, write.namespace, write.name].append(write)
            elif write.verb == "deletecollection":
                self._collections[write.group].append(write)

    def writes_to(self, key: ObjectKey) -> list[AuditWrite]:
        """The writes to an object, and the deletions of collections that may have had the object."""
        group = key.kind.group
        named = self._by_object.get((group, key.namespace, key.name), ())
        collections = [write for write in self._collections.get(group, ()) if write.namespace in ("", key.namespace)]
        return [write for write in (*named, *collections) if self._is_of(write, key)]

    def _is_of(self, write: AuditWrite, key: ObjectKey) -> bool:
        known = self._kinds.get((write.group, write.resource))
        return known == key.kind.name if known else write.resource in resource_names(key.kind)
