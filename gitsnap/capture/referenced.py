"""Reads objects that something refers to, and no others: never all Secrets of a cluster.

Secrets of Sveltos' own type come in one list (a field selector on ``type``); every other Secret by a list of one name,
so that no other value ever reaches this process. A GET would do, but ignores the capture's resource version.
This module must not decide what is kept of an object.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from gitsnap.capture.listing import InstantLostError, Lister
from gitsnap.errors import AccessDeniedError, ClusterError, GitsnapError, GoneError
from gitsnap.model import JsonObject, ObjectKey, ResourceType
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import ADD_ON_TYPE

_FEW = 3
"""Up to this many objects of a namespace are asked for by name; more are worth a list of the namespace."""

_ATTEMPTS = 3

_NAME = re.compile(r"[A-Za-z0-9:._-]{1,253}")
"""What may be the name of an object, or of a namespace. A reference may hold any text, such as commas, which would say
something else in a field selector; nothing can exist under it."""


@dataclass(slots=True)
class Found:
    """What was read, and what could not be."""

    objects: list[JsonObject] = field(default_factory=list)
    failures: list[tuple[GitsnapError, list[ObjectKey]]] = field(default_factory=list)


class ReferencedReader:
    """Reads objects of one kind by their keys."""

    def __init__(self, lister: Lister, resource: ResourceType) -> None:
        self._lister = lister
        self._resource = resource

    def read(self, keys: list[ObjectKey]) -> Found:
        """The objects behind ``keys`` that exist, and the keys that could not be asked for. Raises InstantLostError."""
        found = Found()
        keys = [key for key in keys if _NAME.fullmatch(key.name) and _NAME.fullmatch(key.namespace or "-")]
        if self._resource.kind == kinds.SECRET:
            keys = self._read_add_ons(keys, found)
        by_namespace: dict[str, list[ObjectKey]] = defaultdict(list)
        for key in keys:
            by_namespace[key.namespace].append(key)
        for namespace, group in by_namespace.items():
            if self._resource.kind != kinds.SECRET and len(group) > _FEW:
                self._read_list(found, group, namespace=namespace)
            else:
                for key in group:
                    self._read_list(found, [key], namespace=namespace, field_selector=f"metadata.name={key.name}")
        return found

    def _read_add_ons(self, keys: list[ObjectKey], found: Found) -> list[ObjectKey]:
        """One list for all Secrets that Sveltos reads content from; the keys that it did not bring."""
        before = len(found.failures)
        self._read_list(found, keys, field_selector=f"type={ADD_ON_TYPE}")
        if len(found.failures) > before:
            # Not allowed, or not possible, for the whole cluster: ask for each by name instead.
            del found.failures[before:]
            return keys
        brought = {ObjectKey.of(raw) for raw in found.objects}
        return [key for key in keys if key not in brought]

    def _read_list(self, found: Found, keys: list[ObjectKey], *, namespace: str = "", field_selector: str = "") -> None:
        wanted = set(keys)
        error: GitsnapError | None = None
        for _ in range(_ATTEMPTS):
            try:
                objects = [
                    raw
                    for page in self._lister.pages(self._resource, namespace=namespace, field_selector=field_selector)
                    for raw in page.items
                    if ObjectKey.of(raw) in wanted
                ]
            except InstantLostError:
                raise
            except GoneError as gone:
                error = gone
                continue
            except (AccessDeniedError, ClusterError) as failure:
                error = failure
                break
            found.objects += objects
            return
        if error is not None:
            found.failures.append((error, keys))
