"""What stands in a sample for what could not be taken: objects of the previous sample, or nothing, and said so.

This module must not read a cluster, nor decide that something could not be taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gitsnap import format as archive_format
from gitsnap.capture.previous import (
    carried_document,
    carried_documents,
    carries,
    files_of_kind,
    files_of_object,
    hides_the_same,
)
from gitsnap.core.model import (
    Area,
    BlobId,
    IncompleteKind,
    IncompleteReason,
    JsonObject,
    Kind,
    ObjectKey,
    Substitute,
    TreeInfo,
)
from gitsnap.core.ports import Tree
from gitsnap.secrets.sealing import Store

_MOST_NAMED = 500
"""More objects of a kind are not named one by one: the kind as a whole counts as incomplete then."""


class Substitutes:
    """Carries kinds and objects forward into the files of a sample, and knows which ones."""

    def __init__(
        self, info: TreeInfo, previous: Tree | None, files: Mapping[Area, dict[str, BlobId]], store: Store
    ) -> None:
        """``files``: those of the sample, by area and path."""
        self._info = info
        self._previous = previous
        self._files = files
        self._store = store
        self._kinds: dict[Kind, IncompleteKind] = {}
        self._objects: dict[ObjectKey, IncompleteKind] = {}

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds and single objects, sorted; an object is not named where its kind is."""
        kinds = dict(self._kinds)
        by_kind: dict[Kind, list[IncompleteKind]] = {}
        for one in self._objects.values():
            by_kind.setdefault(one.kind, []).append(one)
        for kind, listed in by_kind.items():
            if len(listed) > _MOST_NAMED and kind not in kinds:
                kinds[kind] = IncompleteKind(kind, _worst(listed), min(one.reason for one in listed))
        return tuple(sorted([*kinds.values(), *(one for one in self._objects.values() if one.kind not in kinds)]))

    def misses(self, key: ObjectKey) -> bool:
        """Whether nothing stands in for an object, so that its absence says nothing."""
        found = (self._kinds.get(key.kind), self._objects.get(key))
        return any(one is not None and one.substitute is Substitute.MISSING for one in found)

    def of_kind(self, kind: Kind, reason: IncompleteReason) -> Iterator[JsonObject]:
        """Carry a whole kind forward; the objects that are carried."""
        previous = self._previous
        if previous is None or not carries(previous, kind, self._info):
            self._kinds[kind] = IncompleteKind(kind, Substitute.MISSING, reason)
            return
        self._kinds[kind] = IncompleteKind(kind, Substitute.CARRIED, reason)
        for area, path, blob in files_of_kind(previous, kind):
            self._files[area][path] = self._store(previous.read(blob))
        yield from carried_documents(previous, kind)

    def of_object(self, key: ObjectKey, reason: IncompleteReason) -> Iterator[JsonObject]:
        """Carry a single object forward; the object, if the configuration has it."""
        carried = self._carry(key)
        substitute = Substitute.CARRIED if carried else Substitute.MISSING
        self._objects[key] = IncompleteKind.of_object(key, substitute, reason)
        if carried and self._previous is not None:
            yield from carried_document(self._previous, archive_format.path_of(key))

    def all_named(self, kind: Kind, keys: Iterable[ObjectKey], reason: IncompleteReason) -> None:
        """Carry the objects of a kind that something refers to; the kind is *missing* when they are not all there."""
        carried = [self._carry(key) for key in keys]
        before = self._kinds.get(kind)
        complete = all(carried) and (before is None or before.substitute is Substitute.CARRIED)
        self._kinds[kind] = IncompleteKind(kind, Substitute.CARRIED if complete else Substitute.MISSING, reason)

    def _carry(self, key: ObjectKey) -> bool:
        """Whether the previous sample has an object, and hides the same of it; then its files are taken over."""
        previous = self._previous
        if previous is None or not hides_the_same(previous, key.kind, self._info):
            return False
        files = files_of_object(previous, key)
        for area, blob in files.items():
            self._files[area][archive_format.path_of(key)] = self._store(previous.read(blob))
        return bool(files)


def _worst(listed: Iterable[IncompleteKind]) -> Substitute:
    missing = any(one.substitute is Substitute.MISSING for one in listed)
    return Substitute.MISSING if missing else Substitute.CARRIED
