"""Substitutes for kinds and objects that could not be read: those of the previous sample, or none (*missing*).

This module must not read a cluster or decide whether a substitute is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gitsnap.core.model import (
    Area,
    BlobId,
    IncompleteKind,
    IncompleteReason,
    Kind,
    ObjectKey,
    Substitute,
    TreeInfo,
)
from gitsnap.core.objects import KubeObject
from gitsnap.core.ports import Tree
from gitsnap.format import path_of
from gitsnap.format.archived import document_at, documents_of_kind, files_of_kind, files_of_object
from gitsnap.format.masking import fields_of
from gitsnap.secrets.sealing import Store

_MOST_NAMED = 500
"""If more objects of a kind are incomplete, the sample names the whole kind instead."""


class Substitutes:
    """Carries kinds and objects of the previous sample forward, and records which of them are incomplete."""

    def __init__(
        self, info: TreeInfo, previous: Tree | None, files: Mapping[Area, dict[str, BlobId]], store: Store
    ) -> None:
        """``files``: the files of the new sample by area and path, to which those of substitutes are added."""
        self._info = info
        self._previous = previous
        self._files = files
        self._store = store
        self._kinds: dict[Kind, IncompleteKind] = {}
        self._objects: dict[ObjectKey, IncompleteKind] = {}

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """The incomplete kinds and objects, sorted; without the objects of a kind that is incomplete itself."""
        kinds = dict(self._kinds)
        by_kind: dict[Kind, list[IncompleteKind]] = {}
        for entry in self._objects.values():
            by_kind.setdefault(entry.kind, []).append(entry)
        for kind, entries in by_kind.items():
            if len(entries) > _MOST_NAMED and kind not in kinds:
                kinds[kind] = IncompleteKind(kind, _worst(entries), min(entry.reason for entry in entries))
        objects = (entry for entry in self._objects.values() if entry.kind not in kinds)
        return tuple(sorted([*kinds.values(), *objects]))

    def is_missing(self, key: ObjectKey) -> bool:
        """Whether an object has no substitute. The object may still exist in the cluster."""
        entries = (self._kinds.get(key.kind), self._objects.get(key))
        return any(entry is not None and entry.substitute is Substitute.MISSING for entry in entries)

    def carry_kind(self, kind: Kind, reason: IncompleteReason) -> Iterator[KubeObject]:
        """Carry all objects of a kind forward. Yields those below ``configuration/``."""
        previous = self._previous
        if previous is None or not carries(previous, kind, self._info):
            self._kinds[kind] = IncompleteKind(kind, Substitute.MISSING, reason)
            return
        self._kinds[kind] = IncompleteKind(kind, Substitute.CARRIED, reason)
        for area, path, blob in files_of_kind(previous, kind):
            self._files[area][path] = self._store(previous.read(blob))
        yield from map(KubeObject.of, documents_of_kind(previous, kind))

    def carry_object(self, key: ObjectKey, reason: IncompleteReason) -> KubeObject | None:
        """Carry one object forward. None if the previous sample does not have it below ``configuration/``."""
        carried = self._carry(key)
        substitute = Substitute.CARRIED if carried else Substitute.MISSING
        self._objects[key] = IncompleteKind.of_object(key, substitute, reason)
        if not carried or self._previous is None:
            return None
        document = document_at(self._previous, path_of(key))
        return KubeObject.of(document) if document is not None else None

    def carry_referenced(self, kind: Kind, keys: Iterable[ObjectKey], reason: IncompleteReason) -> None:
        """Carry the referenced objects of a kind forward. The kind is *missing* if one of them cannot be carried."""
        carried = [self._carry(key) for key in keys]
        recorded = self._kinds.get(kind)
        complete = all(carried) and (recorded is None or recorded.substitute is Substitute.CARRIED)
        self._kinds[kind] = IncompleteKind(kind, Substitute.CARRIED if complete else Substitute.MISSING, reason)

    def _carry(self, key: ObjectKey) -> bool:
        """Add the files of an object. False if the previous sample lacks it or hides other fields of the kind."""
        previous = self._previous
        if previous is None or not _hides_same_fields(previous, key.kind, self._info):
            return False
        files = files_of_object(previous, key)
        for area, blob in files.items():
            self._files[area][path_of(key)] = self._store(previous.read(blob))
        return bool(files)


def carries(previous: Tree, kind: Kind, info: TreeInfo) -> bool:
    """Whether the previous tree can stand in for a kind in a sample with the settings ``info``.

    It must have asked for the same objects of the kind, hide the same fields, and not miss the kind itself.
    """
    if not _hides_same_fields(previous, kind, info):
        return False
    is_missing = any(
        entry.kind == kind and entry.substitute is Substitute.MISSING and entry.key is None
        for entry in previous.incomplete
    )
    selectors = {selector for selector in info.resources if selector.kind == kind}
    previous_selectors = {selector for selector in previous.info.resources if selector.kind == kind}
    captured = kind in previous.info.kinds or bool(previous_selectors)
    return captured and selectors == previous_selectors and not is_missing


def _hides_same_fields(previous: Tree, kind: Kind, info: TreeInfo) -> bool:
    return fields_of(kind, previous.info.secrets) == fields_of(kind, info.secrets)


def _worst(entries: Iterable[IncompleteKind]) -> Substitute:
    missing = any(entry.substitute is Substitute.MISSING for entry in entries)
    return Substitute.MISSING if missing else Substitute.CARRIED
