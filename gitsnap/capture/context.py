"""What a capture learns while it reads, and needs to go on: clusters, sets, classifier labels, references.

It keeps small facts, never whole objects. This module must not read a cluster or write files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.inventory import classifier_labels
from gitsnap.sveltos.matching import ClusterRef, Dependents, LabelIndex, matching_clusters
from gitsnap.sveltos.references import REFERENCE_PATHS, Reference, Unresolved, UnresolvedReason, references

_CLASSIFIERS = frozenset({kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER})
_SETS = frozenset({kinds.SET, kinds.CLUSTER_SET})
_TEACHING = _CLASSIFIERS | _SETS | kinds.CLUSTER_KINDS | REFERENCE_PATHS.keys()
_NO_WARNING = frozenset({UnresolvedReason.OMITTED, UnresolvedReason.OPTIONAL})


@dataclass(frozen=True, slots=True)
class Deployed:
    """A profile that others may depend on, or that depends on others."""

    clusters: frozenset[ClusterRef]
    """The clusters that it matches itself."""
    document: JsonObject
    """What it depends on and refers to; without its references where these are the same for all clusters."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one object teaches."""

    controller_labels: frozenset[str] = frozenset()
    cluster: tuple[ClusterRef, Mapping[str, str]] | None = None
    cluster_object: JsonObject | None = None
    """What templates see of the cluster."""
    members: tuple[ObjectKey, JsonObject] | None = None
    profile: Deployed | None = None
    references: tuple[Reference, ...] = ()


class Knowledge:
    """Facts in the order in which kinds are read (kinds.reading_order): clusters before what matches them."""

    def __init__(self) -> None:
        self.controller_labels: frozenset[str] = frozenset()
        self._clusters = LabelIndex()
        self._objects: dict[ClusterRef, JsonObject] = {}
        self._sets: dict[ObjectKey, JsonObject] = {}
        self._profiles: dict[ObjectKey, Deployed] = {}
        self._references: list[Reference] = []

    @staticmethod
    def learns_from(kind: Kind) -> bool:
        """Whether objects of a kind teach anything at all."""
        return kind in _TEACHING

    def study(self, document: JsonObject) -> Lesson | None:
        """What an object teaches, None for nothing; ``document`` has its status, live or from the inventory."""
        kind = Kind.of(document)
        if not self.learns_from(kind):
            return None
        if kind in _CLASSIFIERS:
            return Lesson(controller_labels=classifier_labels(document))
        if kind in kinds.CLUSTER_KINDS:
            labels = (document.get("metadata") or {}).get("labels") or {}
            ref, seen = ClusterRef.of(document), template_view(document)
            found = tuple(references(document, (), lambda _: seen))
            return Lesson(cluster=(ref, labels), cluster_object=seen, references=found)
        if kind in _SETS:
            return Lesson(
                members=(ObjectKey.of(document), _set_facts(document)), references=self._references_of(document)
            )
        matched = matching_clusters(document, self._clusters, self._sets)
        found = tuple(references(document, matched, self._objects.get))
        deployed = Deployed(matched, _deployed_facts(document)) if kind in kinds.PROFILE_KINDS else None
        return Lesson(profile=deployed, references=found) if found or deployed else None

    def learn(self, lesson: Lesson) -> None:
        """Take over what was studied; done once the whole kind was read."""
        self.controller_labels |= lesson.controller_labels
        if lesson.cluster is not None:
            self._clusters.add(*lesson.cluster)
            if lesson.cluster_object is not None:
                self._objects[lesson.cluster[0]] = lesson.cluster_object
        if lesson.members is not None:
            self._sets[lesson.members[0]] = lesson.members[1]
        if lesson.profile is not None:
            self._profiles[ObjectKey.of(lesson.profile.document)] = lesson.profile
        self._references += lesson.references

    def follow_dependents(self) -> None:
        """Learn what prerequisites refer to on the clusters of the profiles that depend on them.

        To be called once, when all profiles were read. Sveltos says so in the status of a prerequisite, too, but not of
        a cluster that is not ready.
        """
        dependents = Dependents(profile.document for profile in self._profiles.values())
        for key, profile in sorted(self._profiles.items()):
            more = dependents.deployed_on(key, self._matched) - profile.clusters
            self._references += references(profile.document, more, self._objects.get) if more else ()

    def _matched(self, key: ObjectKey) -> frozenset[ClusterRef]:
        profile = self._profiles.get(key)
        return profile.clusters if profile is not None else frozenset()

    def wanted(self) -> dict[Kind, dict[ObjectKey, list[Reference]]]:
        """The objects that something refers to, each with who does, by kind; sorted."""
        found: dict[Kind, dict[ObjectKey, list[Reference]]] = {}
        for reference in self._references:
            if reference.unresolved is None:
                of_kind = found.setdefault(reference.target.kind, {})
                of_kind.setdefault(reference.target, []).append(reference)
        return {kind: dict(sorted(of_kind.items())) for kind, of_kind in sorted(found.items())}

    def unresolvable(self) -> list[Unresolved]:
        """References whose target cannot be worked out."""
        return [reference.as_unresolved() for reference in self._references if reference.unresolved is not None]

    def _references_of(self, document: JsonObject) -> tuple[Reference, ...]:
        return tuple(references(document, matching_clusters(document, self._clusters, self._sets), self._objects.get))


def unresolved_documents(unresolved: Iterable[Unresolved]) -> list[JsonObject]:
    """The entries of ``inventory/unresolved.yaml``, sorted (docs/FORMAT.md)."""
    return [
        {
            "by": {"kind": str(one.by.kind), "namespace": one.by.namespace, "name": one.by.name},
            "kind": str(one.target.kind),
            "namespace": one.target.namespace,
            "name": one.target.name,
            "reason": str(one.reason),
        }
        for one in sorted(set(unresolved))
    ]


def counts_as_unresolved(one: Unresolved) -> bool:
    """Whether a sample should warn: what was left out on purpose, and what Sveltos does without, is recorded only."""
    return one.reason not in _NO_WARNING


_ANY = "any-cluster-of-a-dependent"
_ANY_CLUSTER = ClusterRef(kinds.SVELTOS_CLUSTER, _ANY, _ANY)


def _deployed_facts(document: JsonObject) -> JsonObject:
    """The part of a profile that its dependents, and its references for their clusters, need."""
    spec = document.get("spec") or {}
    identity = {field: document[field] for field in ("apiVersion", "kind")}
    identity["metadata"] = {field: document["metadata"].get(field) for field in ("name", "namespace")}
    found = references(document, (_ANY_CLUSTER,))
    if all(each.unresolved is None and _ANY not in each.target.namespace + each.target.name for each in found):
        return {**identity, "spec": {"dependsOn": spec.get("dependsOn")}}
    charts = [{field: chart[field] for field in chart if field != "values"} for chart in spec.get("helmCharts") or ()]
    return {**identity, "spec": {**spec, "helmCharts": charts}}


def _set_facts(document: JsonObject) -> JsonObject:
    """The part of a set that matching needs."""
    return {
        field: document[field] for field in ("apiVersion", "kind", "metadata", "spec", "status") if field in document
    }
