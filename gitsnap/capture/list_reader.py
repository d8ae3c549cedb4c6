"""Reads lists into batches, without asking again for what the capture before saw.

Of kinds from which nothing is learnt a list brings the metadata first: a sixth of the bytes, and of the server's work.
An object with a known uid and resource version needs no more. The others are read by their names where they are few,
else with the whole list. A batch is of one instant all the same: what cannot be read at the version at which the
metadata was is read with the whole list, too.
This module must not decide what is kept of an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from gitsnap.capture.batch import Batch, Converter
from gitsnap.capture.context import Knowledge
from gitsnap.capture.pinned_list import InstantLostError, Lister
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import GoneError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Page
from gitsnap.sveltos import kinds

_ATTEMPTS = 3

_OBJECTS_PER_NAME = 30
"""A list of one name costs as much as so many objects of a whole list: 23 to 34 on a kube-apiserver 1.37."""

_NAME = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9:._-]{1,253}")


def can_be_named(key: ObjectKey) -> bool:
    """Whether an object may be asked for by its name.

    A reference may hold any text, such as commas, which would say something else in a field selector.
    """
    return bool(_NAME.fullmatch(key.name) and _NAME.fullmatch(key.namespace or "-"))


class Pages(Protocol):
    """Starts a list from its beginning; again where it was lost half-way, and where the metadata was not enough."""

    def __call__(self, *, metadata_only: bool) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
        """Each page, and which of its objects are wanted."""


class ListReader:
    """Lists in, batches out."""

    def __init__(self, lister: Lister, converter: Converter, unchanged: Unchanged) -> None:
        self._lister = lister
        self._converter = converter
        self._unchanged = unchanged

    def read(self, resource: ResourceType, pages: Pages) -> Batch:
        """What a list brings, read to its end. Raises what ``Lister.pages`` raises, GoneError after some attempts."""
        for _ in range(_ATTEMPTS):
            try:
                return self.read_once(resource, pages)
            except InstantLostError:
                raise
            except GoneError:
                continue
        raise GoneError(f"the list of {resource.plural} was cut off {_ATTEMPTS} times")

    def read_once(self, resource: ResourceType, pages: Pages) -> Batch:
        """As ``read``, but a list that was lost half-way is the caller's to ask for again (GoneError)."""
        batch = self._read_what_changed(resource, pages) if self._spares(resource.kind) else None
        return batch if batch is not None else self._read_whole(pages)

    def begin(self, resource: ResourceType, *, namespace: str = "", field_selector: str = "") -> None:
        """Have a list begun that will be read next, while another is worked on."""
        metadata_only = self._spares(resource.kind)
        self._lister.begin(resource, namespace=namespace, field_selector=field_selector, metadata_only=metadata_only)

    def _spares(self, kind: Kind) -> bool:
        """Whether metadata may be enough. A Secret's type counts as well as its metadata."""
        return self._unchanged.believes and kind != kinds.SECRET and not Knowledge.learns_from(kind)

    def _read_whole(self, pages: Pages) -> Batch:
        batch = Batch()
        for page, objects in pages(metadata_only=False):
            self._unchanged.at(page.resource_version)
            for raw in objects:
                self._converter.take(batch, raw)
        return batch

    def _read_what_changed(self, resource: ResourceType, pages: Pages) -> Batch | None:
        """The batch where metadata was enough for nearly all objects, else None."""
        batch, cost = Batch(), 0.0
        changed: list[ObjectKey] = []
        versions: set[str] = set()
        for page, objects in pages(metadata_only=True):
            self._unchanged.at(page.resource_version)
            versions.add(page.resource_version)
            cost += 1 + len(page.items) / _OBJECTS_PER_NAME
            changed += [ObjectKey.of(raw) for raw in objects if not self._converter.take(batch, raw, whole=page.whole)]
        if len(changed) > cost or not all(map(can_be_named, changed)):
            return None
        for key in changed:
            named = self._lister.pages(resource, namespace=key.namespace, field_selector=f"metadata.name={key.name}")
            for page in named:
                versions.add(page.resource_version)
                for raw in page.items:
                    if ObjectKey.of(raw) == key:
                        self._converter.take(batch, raw)
        return batch if len(versions) <= 1 or not changed else None
