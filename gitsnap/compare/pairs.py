"""Which (profile, cluster) pairs a change can reach, and what changed in the documents that each pair deploys.

A change reaches a pair through the profile itself or through a ConfigMap or Secret that the profile refers to, once
its references are resolved for the cluster. This module must not know inventories or rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gitsnap.compare.changes import Change
from gitsnap.compare.patches import Patch, changed_patches
from gitsnap.compare.sides import Side
from gitsnap.compare.sources import Described, DocumentChange, SourceChanges, Text, compare_sources, described, texts_of
from gitsnap.model import BlobId, JsonObject, Kind, ObjectKey
from gitsnap.sveltos import archives, documents, kinds
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.matching import ClusterRef, values_at
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
class Content:
    """The documents of a pair on one side."""

    documents: tuple[Described, ...]
    complete: bool
    """Whether every source could be read."""

    def explains(self, key: ObjectKey, *, local: bool) -> bool:
        """Whether a deployed resource may have come from one of the documents."""
        return self.find(key, local=local) is not None

    def find(self, key: ObjectKey, *, local: bool) -> Described | None:
        """The document that a deployed resource came from."""
        return next((document for document in self.documents if document.explains(key, local=local)), None)


class Pairs:
    """Looks changes up by pair; documents that are the same for all clusters are compared once."""

    def __init__(self, before: Side, after: Side, changes: Iterable[Change], excluded: frozenset[Kind]) -> None:
        self._before = before
        self._after = after
        self._excluded = excluded
        self._changed = {change.key: change for change in changes}
        self._compared: dict[tuple[frozenset[_Print], frozenset[_Print], ClusterRef | None], SourceChanges] = {}
        self._described: dict[tuple[_Print, ClusterRef | None], list[Described]] = {}
        self._contents: dict[tuple[bool, ObjectKey, ClusterRef], Content] = {}

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
        kustomizations = {target for target in kept if self.content_changed(target)}
        if _asked_otherwise(self._before.get(profile), self._after.get(profile)):
            kustomizations.add(profile)
        return PairChanges(policies.documents, policies.opaque, frozenset(kustomizations))

    def between(self, former: ObjectKey, profile: ObjectKey, cluster: ClusterRef) -> SourceChanges:
        """What differs between what one profile deployed to a cluster and what another one deploys there now."""
        old = self._references(self._before, former, cluster)
        new = self._references(self._after, profile, cluster)
        return self._policies(_of_path(old, POLICY), _of_path(new, POLICY), cluster)

    def patches(self, profile: ObjectKey, cluster: ClusterRef) -> tuple[Patch, ...]:
        """The patches that only one side has for a pair."""
        return changed_patches(
            (side, side.get(profile), self._references(side, profile, cluster)) for side in (self._before, self._after)
        )

    def content(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Content:
        """The documents of a pair on one side."""
        pair = side is self._before, profile, cluster
        if pair not in self._contents:
            self._contents[pair] = self._read_content(side, profile, cluster)
        return self._contents[pair]

    def _read_content(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Content:
        found: list[Described] = []
        complete = True
        for reference in _of_path(self._references(side, profile, cluster), POLICY):
            texts = _texts(side, reference)
            if texts is None:
                complete = False
                continue
            slot = (_print(side, reference), cluster if any(text.evaluated for text in texts) else None)
            if slot not in self._described:
                self._described[slot] = described(texts, cluster)
            found += self._described[slot]
        return Content(tuple(found), complete)

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
        kept = {reference.target for reference in old} & {reference.target for reference in new}
        unreadable = {
            target for target in (unreadable_before | unreadable_after) & kept if self.content_changed(target)
        }
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
    listed = archives.listed(document)
    return (
        listed.get("data") or {},
        listed.get("binaryData") or {},
        documents.is_rendered(document),
        documents.is_program(document),
    )


def _asked_otherwise(old: JsonObject | None, new: JsonObject | None) -> bool:
    """Whether a kustomization that a profile kept is to be built otherwise: another path, another target namespace."""
    before, after = (
        {
            tuple(str(entry.get(field, "")) for field in ("kind", "namespace", "name", "remoteURL")): entry
            for entry in values_at(without_defaults(document or {}), KUSTOMIZATION)
        }
        for document in (old, new)
    )
    return any(before[kept] != after[kept] for kept in before.keys() & after.keys())
