"""Which (profile, cluster) pairs a change can reach, and what changed in the documents that each pair deploys.

A change reaches a pair through the profile itself or through a ConfigMap or Secret that the profile refers to, once
its references are resolved for the cluster. This module must not know inventories or rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gitsnap.compare.changes import Change
from gitsnap.compare.sides import Side
from gitsnap.compare.sources import DocumentChange, SourceChanges, Text, compare_sources, identities, texts_of
from gitsnap.model import BlobId, JsonObject, Kind, ObjectKey
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.documents import Identity
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference

POLICY = "spec.policyRefs[]"
KUSTOMIZATION = "spec.kustomizationRefs[]"

_Print = tuple[ObjectKey, BlobId | None, bool]
"""What a reference brings: its target, the content of that, and whether it is deployed to the management cluster."""


@dataclass(frozen=True, slots=True)
class PairChanges:
    """What changed in what one profile deploys to one cluster."""

    documents: tuple[DocumentChange, ...] = ()
    opaque: frozenset[ObjectKey] = frozenset()
    """Sources of ``policyRefs`` that changed in a way that no document could be made out for."""
    kustomizations: frozenset[ObjectKey] = frozenset()
    """Changed sources of ``kustomizationRefs`` and of their values."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the documents of a pair say they are, each with whether it is deployed to the management cluster."""

    identities: tuple[tuple[Identity, bool], ...]
    complete: bool
    """Whether every source could be read."""

    def explains(self, key: ObjectKey, *, local: bool) -> bool:
        """Whether a deployed resource may have come from one of the documents."""
        return any(is_local == local and identity.fits(key) for identity, is_local in self.identities)


class Pairs:
    """Looks changes up by pair; documents that are the same for all clusters are compared once."""

    def __init__(self, before: Side, after: Side, changes: Iterable[Change], excluded: frozenset[Kind]) -> None:
        self._before = before
        self._after = after
        self._excluded = excluded
        self._changed = {change.key: change for change in changes}
        self._compared: dict[tuple[frozenset[_Print], frozenset[_Print], ClusterRef | None], SourceChanges] = {}
        self._identities: dict[tuple[_Print, ClusterRef], list[tuple[Identity, bool]]] = {}

    def change(self, key: ObjectKey) -> Change | None:
        """How an object changed, None where it did not."""
        return self._changed.get(key)

    @cached_property
    def profiles(self) -> list[ObjectKey]:
        """The profiles that changed, or may refer to something that did, sorted."""
        names = {key.name for key in self._changed if key.kind in kinds.REFERENCED_KINDS}
        found = {key for key in self._changed if key.kind in kinds.PROFILE_KINDS}
        for kind in kinds.PROFILE_KINDS - self._excluded if names else ():
            documents_of_kind = (self._after.at(path) for path in self._after.naming(kind, names))
            found |= {ObjectKey.of(document) for document in documents_of_kind if document is not None}
        return sorted(found)

    @cached_property
    def by_cluster(self) -> Mapping[ClusterRef, list[ObjectKey]]:
        """The pairs that a change may reach and that exist on both sides: cluster -> profiles, sorted."""
        found: dict[ClusterRef, list[ObjectKey]] = {}
        for profile in self.profiles:
            if self._before.blob(profile) is None or self._after.blob(profile) is None:
                continue
            for cluster in self._before.clusters_of(profile) & self._after.clusters_of(profile):
                if self._reaches(profile, cluster):
                    found.setdefault(cluster, []).append(profile)
        return found

    def _reaches(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        """Whether the profile, or something that it refers to for this cluster, changed."""
        return profile in self._changed or any(
            reference.target in self._changed
            for side in (self._before, self._after)
            for reference in self._references(side, profile, cluster)
        )

    def changes(self, profile: ObjectKey, cluster: ClusterRef) -> PairChanges:
        """What changed in what a profile deploys to a cluster."""
        old = self._references(self._before, profile, cluster)
        new = self._references(self._after, profile, cluster)
        policies = self._policies(_of_path(old, POLICY), _of_path(new, POLICY), cluster)
        kept = _targets_below(old, KUSTOMIZATION) & _targets_below(new, KUSTOMIZATION)
        kustomizations = frozenset(target for target in kept if self.content_changed(target))
        return PairChanges(policies.documents, policies.opaque, kustomizations)

    def described(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Described:
        """What the documents of a pair are on one side."""
        found: list[tuple[Identity, bool]] = []
        complete = True
        for reference in _of_path(self._references(side, profile, cluster), POLICY):
            slot = (_print(side, reference), cluster)
            if slot not in self._identities:
                texts = _texts(side, reference)
                if texts is None:
                    complete = False
                    continue
                self._identities[slot] = identities(texts, cluster)
            found += self._identities[slot]
        return Described(tuple(found), complete)

    def content_changed(self, key: ObjectKey) -> bool:
        """Whether what is deployed of a ConfigMap or Secret changed, rather than its labels; it is on both sides."""
        change = self._changed.get(key)
        if change is None or change.before is None or change.after is None:
            return False
        return _content(change.before) != _content(change.after)

    def _references(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> list[Reference]:
        found = side.references(side.get(profile), cluster)
        return [reference for reference in found if reference.target.kind not in self._excluded]

    def _policies(self, old: list[Reference], new: list[Reference], cluster: ClusterRef) -> SourceChanges:
        """Compares the sources that changed, came or went; the others cannot bring a change."""
        prints = (
            frozenset(_print(self._before, reference) for reference in old),
            frozenset(_print(self._after, reference) for reference in new),
        )
        if prints[0] == prints[1]:
            return SourceChanges()
        moved = prints[0] ^ prints[1]
        texts_before, unreadable_before = _read(self._before, old, moved)
        texts_after, unreadable_after = _read(self._after, new, moved)
        rendered = any(text.rendered for text in texts_before + texts_after)
        slot = (prints[0] & moved, prints[1] & moved, cluster if rendered else None)
        if slot not in self._compared:
            self._compared[slot] = compare_sources(texts_before, texts_after, cluster if rendered else None)
        compared = self._compared[slot]
        unreadable = {target for target in unreadable_before | unreadable_after if self.content_changed(target)}
        return SourceChanges(compared.documents, compared.opaque | unreadable)


def _read(side: Side, listed: list[Reference], moved: frozenset[_Print]) -> tuple[list[Text], set[ObjectKey]]:
    """The texts of the sources that moved, and the sources whose values are not in the archive."""
    texts: list[Text] = []
    unreadable: set[ObjectKey] = set()
    for reference in listed:
        if _print(side, reference) in moved:
            own = _texts(side, reference)
            if own is None:
                unreadable.add(reference.target)
            else:
                texts += own
    return texts, unreadable


def _print(side: Side, reference: Reference) -> _Print:
    return reference.target, side.blob(reference.target), reference.local


def _texts(side: Side, reference: Reference) -> list[Text] | None:
    document = side.get(reference.target)
    return [] if document is None else texts_of(document, local=reference.local)


def _of_path(references: Iterable[Reference], path: str) -> list[Reference]:
    return [reference for reference in references if reference.path == path]


def _targets_below(references: Iterable[Reference], path: str) -> set[ObjectKey]:
    return {reference.target for reference in references if reference.path.startswith(path)}


def _content(document: JsonObject) -> tuple[object, ...]:
    return document.get("data") or {}, document.get("binaryData") or {}, documents.is_rendered(document)
