"""Reads lists into batches, and reads completely only the objects that have changed.

For kinds without facts (see ``CaptureContext``) the first list has metadata only: a sixth of the bytes and of the
server's work. An object with a known uid and resource version needs nothing else. The other objects are read by name
if they are few, otherwise with the whole list. All objects of a batch have one resource version: if an object cannot be
read at the version of the metadata list, the whole list is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from gitsnap.capture.archiver import Archiver
from gitsnap.capture.batch import Batch
from gitsnap.capture.context import CaptureContext
from gitsnap.capture.pinned_list import Lister, ObjectPage, VersionExpiredError, requested_ahead
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import GoneError
from gitsnap.core.model import Kind, ObjectKey, ResourceType
from gitsnap.core.objects import ObjectHead
from gitsnap.sveltos import kinds

_ATTEMPTS = 3

_OBJECTS_PER_REQUEST = 30
"""A list of one name costs as much as this many objects of a whole list (23 to 34, measured on kube-apiserver 1.37)."""

_NAME = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9:._-]{1,253}")


def can_be_selected(key: ObjectKey) -> bool:
    """Whether a field selector can name an object.

    A reference may hold any text, such as commas, which have a meaning in a field selector.
    """
    return bool(_NAME.fullmatch(key.name) and _NAME.fullmatch(key.namespace or "-"))


def name_selector(key: ObjectKey) -> str:
    """The field selector for the name of an object that can be selected."""
    return f"metadata.name={key.name}"


class Pages(Protocol):
    """Starts a list from its beginning. Called again if the list is lost, or if its metadata is not enough."""

    def __call__(self, *, metadata_only: bool) -> Iterator[ObjectPage]:
        """The pages with the selected objects."""


class ListReader:
    """Reads a list into a batch."""

    def __init__(self, lister: Lister, archiver: Archiver, unchanged: Unchanged) -> None:
        self._lister = lister
        self._archiver = archiver
        self._unchanged = unchanged

    def read(self, resource: ResourceType, pages: Pages) -> Batch:
        """Read a list to its end. Raises the errors of ``Lister.pages``, and GoneError after some attempts."""
        for _ in range(_ATTEMPTS):
            try:
                return self.read_once(resource, pages)
            except VersionExpiredError:
                raise
            except GoneError:
                continue
        raise GoneError(f"the list of {resource.plural} was cut off {_ATTEMPTS} times")

    def read_once(self, resource: ResourceType, pages: Pages, *, field_selector: str = "") -> Batch:
        """As ``read`` with a single attempt: raises GoneError if the server drops the list between two pages.

        ``field_selector``: that of the list.
        """
        metadata_first = self.metadata_first(resource.kind, field_selector)
        batch = self._read_changed(resource, pages) if metadata_first else None
        return batch if batch is not None else self._read_whole(pages)

    def prefetch(self, resource: ResourceType, *, namespace: str = "", field_selector: str = "") -> None:
        """Request the first page of a list that will be read next, while the current list is processed."""
        self._lister.prefetch(
            resource,
            namespace=namespace,
            field_selector=field_selector,
            metadata_only=self.metadata_first(resource.kind, field_selector),
        )

    def metadata_first(self, kind: Kind, field_selector: str = "") -> bool:
        """Whether metadata may be enough. For Secrets it is only if the field selector of the list says their type."""
        is_enough = not CaptureContext.needs(kind) if kind != kinds.SECRET else field_selector.startswith("type=")
        return self._unchanged.is_usable and is_enough

    def _read_whole(self, pages: Pages) -> Batch:
        batch = Batch()
        for page in pages(metadata_only=False):
            self._unchanged.start_at(page.resource_version)
            for obj in page.objects:
                self._archiver.add(batch, obj)
        return batch

    def _add_page(self, batch: Batch, resource: ResourceType, page: ObjectPage) -> Iterator[ObjectKey]:
        """Add the objects of a page of metadata, and yield the keys of the objects that must be read as a whole."""
        for entry in page.entries:
            if isinstance(entry, ObjectHead) and self._archiver.add_unchanged(batch, resource, entry):
                continue
            if not self._archiver.add(batch, page.decoded(entry), whole=page.whole):
                yield entry.key

    def _read_changed(self, resource: ResourceType, pages: Pages) -> Batch | None:
        """Read metadata, and the few objects that have changed. None if reading the whole list is cheaper."""
        batch, cost = Batch(), 0.0
        changed: list[ObjectKey] = []
        versions: set[str] = set()
        for page in pages(metadata_only=True):
            self._unchanged.start_at(page.resource_version)
            versions.add(page.resource_version)
            cost += 1 + page.listed / _OBJECTS_PER_REQUEST
            changed += self._add_page(batch, resource, page)
        if len(changed) > cost or not all(map(can_be_selected, changed)):
            return None

        def prefetch(key: ObjectKey) -> None:
            self._lister.prefetch(
                resource, namespace=key.namespace, field_selector=name_selector(key), metadata_only=False
            )

        for key in requested_ahead(changed, prefetch):
            for page in self._lister.pages(resource, namespace=key.namespace, field_selector=name_selector(key)):
                versions.add(page.resource_version)
                for obj in page.objects:
                    if obj.key == key:
                        self._archiver.add(batch, obj)
        return batch if len(versions) <= 1 or not changed else None
