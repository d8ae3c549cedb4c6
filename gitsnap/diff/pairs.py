"""Which (profile, cluster) pairs a change can reach, and what changed in the documents that each pair deploys.

A change reaches a pair through the profile, what it refers to once its references are resolved for the cluster, or the
cluster itself. For the profiles that Sveltos makes of a ClusterPromotion or an EventTrigger, that object stands.
This module must not know inventories or rows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.changes import Change
from gitsnap.diff.patches import Patch, changed_patches
from gitsnap.diff.rows import short_name
from gitsnap.diff.sides import Side
from gitsnap.diff.source_documents import (
    Described,
    DocumentChange,
    SourceChanges,
    Text,
    compare_sources,
    described,
    texts_of,
)
from gitsnap.diff.source_spec import asked_otherwise, same_content, same_values
from gitsnap.diff.template_context import CLUSTER, NOTHING, Filling, Input
from gitsnap.diff.tree_files import differing
from gitsnap.format import kind_folder
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.documents import RENDERED_ANNOTATIONS, is_rendered
from gitsnap.sveltos.inventory import DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import Reference, UnresolvedReason

POLICY = "policyRefs[]"
KUSTOMIZATION = "kustomizationRefs[]"
TEMPLATE_INPUT = "templateResourceRefs[].resource"

_DEPLOYING = kinds.PROFILE_KINDS | kinds.PRODUCER_KINDS

_Print = tuple[ObjectKey, tuple[str, ...], bool]
"""What a reference brings: its target, the state of that, and whether it is deployed to the management cluster."""


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
    unreadable: frozenset[ObjectKey]
    """Sources whose documents cannot be told: not in the archive, or refused by Sveltos, too."""

    def explains(self, key: ObjectKey, *, local: bool, besides: Container[ObjectKey] = ()) -> bool:
        """Whether a deployed resource may have come from one of the documents, those of some sources left out."""
        return any(one.explains(key, local=local) for one in self.documents if one.source not in besides)

    def find(self, key: ObjectKey, *, local: bool) -> Described | None:
        """The document that a deployed resource came from."""
        return next((document for document in self.documents if document.explains(key, local=local)), None)


class Pairs:
    """Looks changes up by pair; documents that are the same for all clusters are compared once."""

    def __init__(self, before: Side, after: Side, changes: Iterable[Change], excluded: frozenset[Kind]) -> None:
        self._before = before
        self._after = after
        self._sides = (before, after)
        self._excluded = excluded
        self._changed = {change.key: change for change in changes}
        self._compared: dict[tuple[frozenset[_Print], frozenset[_Print], Filling, Filling], SourceChanges] = {}
        self._described: dict[tuple[_Print, Filling], tuple[list[Described], frozenset[ObjectKey]]] = {}
        self._referred: dict[tuple[bool, ObjectKey, ClusterRef], list[Reference]] = {}
        self._contents: dict[tuple[bool, ObjectKey, ClusterRef], Content] = {}

    def change(self, key: ObjectKey) -> Change | None:
        """How an object changed, None where it did not."""
        return self._changed.get(key)

    def covers(self, key: ObjectKey) -> bool:
        """Whether both sides captured the kind of an object."""
        return key.kind not in self._excluded

    @cached_property
    def profiles(self) -> list[ObjectKey]:
        """The profiles that changed, or may refer to something that did, sorted."""
        changed = self._changed.keys() | self._moved_sources
        names = {key.name for key in changed if key.kind not in _DEPLOYING | kinds.CLUSTER_KINDS}
        found = {key for key in self._changed if key.kind in _DEPLOYING}
        for kind in _DEPLOYING - self._excluded if names else ():
            documents_of_kind = (self._after.at(path) for path in self._after.naming(kind, names))
            found |= {ObjectKey.of(document) for document in documents_of_kind if document is not None}
        return sorted(found)

    @cached_property
    def reported(self) -> list[str]:
        """Paths below ``inventory/`` whose content differs, sorted."""
        return differing(self._before.inventory, self._after.inventory)

    @cached_property
    def _reported(self) -> frozenset[ObjectKey]:
        """Clusters and Flux sources about which something else is reported."""
        folders = {kind_folder(kind) for kind in (kinds.CLUSTER_KINDS | kinds.SOURCE_KINDS) - self._excluded}
        paths = (path for path in self.reported if path.split("/", 2)[1:2] and path.split("/", 2)[1] in folders)
        found = (self._after.reported_at(path) or self._before.reported_at(path) for path in paths)
        return frozenset(ObjectKey.of(document) for document in found if document is not None)

    @cached_property
    def _moved_sources(self) -> frozenset[ObjectKey]:
        return frozenset(key for key in self._reported if key.kind in kinds.SOURCE_KINDS)

    @cached_property
    def _changed_clusters(self) -> frozenset[ClusterRef]:
        """Clusters whose object changed: templates may come out differently for them."""
        keys = {key for key in self._changed.keys() | self._reported if key.kind in kinds.CLUSTER_KINDS}
        return frozenset(ClusterRef(key.kind, key.namespace, key.name) for key in keys)

    @cached_property
    def by_cluster(self) -> Mapping[ClusterRef, list[ObjectKey]]:
        """The pairs that a change may reach and that exist on both sides: cluster -> profiles, sorted."""
        found: dict[ClusterRef, list[ObjectKey]] = {}
        reached = frozenset(self.profiles)
        for profile in sorted(reached | self._templated):
            if self._before.blob(profile) is None or self._after.blob(profile) is None:
                continue
            for cluster in self._clusters_of(self._before, profile) & self._clusters_of(self._after, profile):
                refilled = profile in self._templated and cluster in self._changed_clusters
                if refilled or (profile in reached and self._reaches(profile, cluster)):
                    found.setdefault(cluster, []).append(profile)
        return found

    @staticmethod
    def _clusters_of(side: Side, profile: ObjectKey) -> frozenset[ClusterRef]:
        if profile.kind in kinds.PROFILE_KINDS:
            return side.clusters_of(profile)
        document = side.get(profile)
        return frozenset() if document is None else side.matching(document) | side.destinations(document)

    @cached_property
    def departed(self) -> frozenset[ObjectKey]:
        """The profiles that only the older side has."""
        return frozenset(
            key for key, change in self._changed.items() if change.after is None and key.kind in kinds.PROFILE_KINDS
        )

    @cached_property
    def departed_from(self) -> frozenset[ClusterRef]:
        """The clusters to which they deployed, and may still do until Sveltos follows."""
        return frozenset(cluster for profile in self.departed for cluster in self._before.clusters_of(profile))

    def is_from(self, entry: DeployedResource, profile: ObjectKey) -> bool:
        """Whether a profile deployed a resource, or one may have done so that Sveltos made of ``profile``."""
        if profile.kind in kinds.PROFILE_KINDS:
            return entry.profile == profile
        return all(side.blob(entry.profile) is None for side in self._sides)

    def makers(self, cluster: ClusterRef) -> Iterator[ObjectKey]:
        """What Sveltos may have made profiles of for a cluster, on both sides; in order."""
        for kind in sorted(kinds.PRODUCER_KINDS - self._excluded):
            for path in self._after.paths(kind):
                document = self._after.at(path)
                maker = ObjectKey.of(document or {})
                if all(cluster in self._clusters_of(side, maker) for side in self._sides):
                    yield maker

    def new_profiles(self, cluster: ClusterRef) -> list[ObjectKey]:
        """The profiles that only the newer side has and that match a cluster there, sorted."""
        found = []
        for profile in self.profiles:
            document = self._after.get(profile) if self._before.blob(profile) is None else None
            if document is not None and cluster in self._after.matching(document):
                found.append(profile)
        return found

    @cached_property
    def _templated(self) -> frozenset[ObjectKey]:
        """The profiles that come out differently when a cluster changes: they, or what they name, are templates."""
        if not self._changed_clusters:
            return frozenset()
        sources = (
            self._after.at(path)
            for kind in kinds.REFERENCED_KINDS - self._excluded
            for path in self._after.paths(kind)
            if any(mark.encode() in self._after.raw(path) for mark in RENDERED_ANNOTATIONS)
        )
        names = {ObjectKey.of(document).name for document in sources if document is not None}
        found = (
            self._after.at(path) for kind in _DEPLOYING - self._excluded for path in self._after.naming(kind, names)
        )
        return frozenset(ObjectKey.of(document) for document in found if document is not None)

    def _reaches(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        """Whether the profile, or something that it refers to for this cluster, changed."""
        return profile in self._changed or any(
            reference.target in self._changed or reference.target in self._moved_sources
            for side in (self._before, self._after)
            for reference in self._references(side, profile, cluster)
        )

    def changes(self, profile: ObjectKey, cluster: ClusterRef) -> PairChanges:
        """What changed in what a profile deploys to a cluster."""
        policies = self.between(profile, profile, cluster)
        old, new = ((side.get(profile), self.filling(side, profile, cluster)) for side in self._sides)
        kept = [_targets_below(self._references(side, profile, cluster), KUSTOMIZATION) for side in self._sides]
        kustomizations = {target for target in kept[0] & kept[1] if self.content_changed(target)}
        if asked_otherwise(old, new, KUSTOMIZATION):
            kustomizations.add(profile)
        opaque = policies.opaque | ({profile} if asked_otherwise(old, new, POLICY) else set())
        return PairChanges(policies.documents, opaque, frozenset(kustomizations))

    def between(self, former: ObjectKey, profile: ObjectKey, cluster: ClusterRef) -> SourceChanges:
        """What differs between what one profile deployed to a cluster and what another one deploys there now."""
        old = self._references(self._before, former, cluster)
        new = self._references(self._after, profile, cluster)
        fillings = self._filling(self._before, cluster, old), self._filling(self._after, cluster, new)
        return self._policies(_of_path(old, POLICY), _of_path(new, POLICY), fillings)

    def patches(self, profile: ObjectKey, cluster: ClusterRef) -> tuple[Patch, ...]:
        """The patches that only one side has for a pair."""
        return changed_patches(
            (side, side.get(profile), self._references(side, profile, cluster)) for side in self._sides
        )

    def filling(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Filling:
        """What the templates of a profile are filled in with for a cluster."""
        return self._filling(side, cluster, self._references(side, profile, cluster))

    @staticmethod
    def _filling(side: Side, cluster: ClusterRef, listed: Iterable[Reference]) -> Filling:
        inputs = {Input(CLUSTER, cluster.key, side.state(cluster.key))}
        for reference in _of_path(listed, TEMPLATE_INPUT):
            inputs.add(Input(reference.identifier, reference.target, side.state(reference.target)))
        return Filling(cluster, frozenset(inputs), side.cluster_object)

    def content(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Content:
        """The documents of a pair on one side."""
        pair = side is self._before, profile, cluster
        if pair not in self._contents:
            self._contents[pair] = self._read_content(side, profile, cluster)
        return self._contents[pair]

    def _read_content(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> Content:
        found: list[Described] = []
        # What Sveltos made of another object is not in the archive.
        unreadable = {profile} if side.blob(profile) is None else set()
        references = self._references(side, profile, cluster)
        filling = self._filling(side, cluster, references)
        for reference in _of_path(references, POLICY):
            texts = _texts(side, reference)
            # Where a required source is missing, Sveltos deploys nothing of the profile, and leaves what is there.
            if texts is None or not (reference.optional or side.blob(reference.target)):
                unreadable.add(reference.target)
                continue
            slot = (_print(side, reference), filling if any(text.evaluated for text in texts) else NOTHING)
            if slot not in self._described:
                self._described[slot] = described(texts, filling)
            found += self._described[slot][0]
            unreadable |= self._described[slot][1]
        return Content(tuple(found), frozenset(unreadable))

    def lacks_source(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        """Whether a required source of a profile did not exist when the newer side was captured."""
        return any(
            self._after.lacks(reference.target) is UnresolvedReason.NOT_FOUND
            for reference in _of_path(self._references(self._after, profile, cluster), POLICY)
            if not reference.optional
        )

    def content_changed(self, key: ObjectKey) -> bool:
        """Whether what is deployed of a source changed, rather than its labels; it is on both sides.

        What a Flux source holds is known by its revision. Where one side has none, it cannot be told.
        """
        moved = key in self._moved_sources and all(side.state(key)[1] for side in self._sides)
        change = self._changed.get(key)
        if change is None:
            return moved
        if change.before is None or change.after is None:
            return False
        return moved or not same_content(change.before, change.after)

    def values_changed(self, key: ObjectKey) -> bool:
        """Whether the values of a chart that are taken from a ConfigMap or Secret changed."""
        change = self._changed.get(key)
        if change is None or not self.content_changed(key):
            return False
        old, new = (side or {} for side in (change.before, change.after))
        texts = [document.get("data") or {} for document in (old, new)]
        if same_json(*texts) and is_rendered(old) == is_rendered(new):
            return False
        if key.kind == kinds.SECRET or is_rendered(old) != is_rendered(new) or texts[0].keys() != texts[1].keys():
            return True
        return not all(same_values(str(text), str(texts[1][name])) for name, text in texts[0].items())

    def names(self, sources: Iterable[ObjectKey]) -> str:
        """Objects to compare, as messages name them: a Flux source with what it was and is at."""
        return ", ".join(map(self._name, sorted(sources)))

    def _name(self, source: ObjectKey) -> str:
        if source in self._moved_sources:
            revisions = [inventory.revision_of(side.reported(source) or {}) for side in self._sides]
            if all(revisions) and revisions[0] != revisions[1]:
                return f"{short_name(source)} (revision {revisions[0]}, now {revisions[1]})"
        return short_name(source)

    def _references(self, side: Side, profile: ObjectKey, cluster: ClusterRef) -> list[Reference]:
        pair = side is self._before, profile, cluster
        if pair not in self._referred:
            found = side.references(side.get(profile), cluster)
            self._referred[pair] = [one for one in found if one.target.kind not in self._excluded]
        return self._referred[pair]

    def _policies(self, old: list[Reference], new: list[Reference], fillings: tuple[Filling, Filling]) -> SourceChanges:
        """Compares the sources that changed, came or went, and templates that are filled in otherwise."""
        prints = (
            frozenset(_print(self._before, reference) for reference in old),
            frozenset(_print(self._after, reference) for reference in new),
        )
        refilled = fillings[0] != fillings[1]
        if prints[0] == prints[1] and not refilled:
            return SourceChanges()
        touched = prints[0] ^ prints[1]
        if refilled:
            listed = [*((self._before, one) for one in old), *((self._after, one) for one in new)]
            touched |= {_print(side, one) for side, one in listed if is_rendered(side.get(one.target) or {})}
        texts_before, unreadable_before = _read(self._before, old, touched)
        texts_after, unreadable_after = _read(self._after, new, touched)
        if not any(text.rendered for text in texts_before + texts_after):
            fillings = NOTHING, NOTHING
        slot = (prints[0] & touched, prints[1] & touched, *fillings)
        if slot not in self._compared:
            self._compared[slot] = compare_sources(texts_before, texts_after, fillings)
        compared = self._compared[slot]
        kept = {reference.target for reference in old} & {reference.target for reference in new}
        unreadable = {
            target for target in (unreadable_before | unreadable_after) & kept if self.content_changed(target)
        }
        return SourceChanges(compared.documents, compared.opaque | unreadable)


def _read(side: Side, listed: list[Reference], touched: frozenset[_Print]) -> tuple[list[Text], set[ObjectKey]]:
    """The texts of the sources that were touched, and the sources whose values are not in the archive."""
    texts: list[Text] = []
    unreadable: set[ObjectKey] = set()
    for reference in listed:
        if _print(side, reference) in touched:
            own = _texts(side, reference)
            if own is None:
                unreadable.add(reference.target)
            else:
                texts += own
    return texts, unreadable


def _print(side: Side, reference: Reference) -> _Print:
    return reference.target, side.state(reference.target), reference.local


def _texts(side: Side, reference: Reference) -> list[Text] | None:
    """The texts behind a reference, None where they are not in the archive, as those of a Flux source."""
    document = side.get(reference.target)
    if reference.target.kind in kinds.SOURCE_KINDS:
        return None
    return [] if document is None else texts_of(document, local=reference.local, as_stream=side.splits_streams)


def _of_path(references: Iterable[Reference], path: str) -> list[Reference]:
    """The references at a path below what is to be deployed."""
    return [one for one in references if one.path == f"{ADD_ONS_AT.get(one.by.kind)}.{path}"]


def _targets_below(references: Iterable[Reference], path: str) -> set[ObjectKey]:
    return {one.target for one in references if one.path.startswith(f"{ADD_ONS_AT.get(one.by.kind)}.{path}")}
