"""The context of a capture: facts about the objects read so far that later objects need to be interpreted.

These are the labels of clusters, the members of sets, the labels that classifiers set, and the references between
objects. Only these facts are kept in memory, never whole objects. This module must not read a cluster or write files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject, same_json
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.inventory import classifier_labels
from gitsnap.sveltos.matching import ClusterIndex, ClusterRef, Dependents, matching_clusters
from gitsnap.sveltos.references import (
    REFERENCE_PATHS,
    Reference,
    Unresolved,
    UnresolvedReason,
    WrittenReferences,
    references,
)

_CLASSIFIERS = frozenset({kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER})
_SETS = frozenset({kinds.SET, kinds.CLUSTER_SET})
_KINDS_WITH_FACTS = _CLASSIFIERS | _SETS | kinds.CLUSTER_KINDS | REFERENCE_PATHS.keys()
_NO_WARNING = frozenset({UnresolvedReason.OMITTED, UnresolvedReason.OPTIONAL})

ReferencedObjects = Mapping[ObjectKey, list[Reference]]
"""Objects of one kind, each with the references to it."""


@dataclass(frozen=True, slots=True)
class DeployedProfile:
    """A profile that depends on other profiles, or that other profiles may depend on."""

    key: ObjectKey
    clusters: AbstractSet[ClusterRef]
    """The clusters that the profile itself matches."""
    document: JsonObject
    """The profile, reduced to its dependencies and to the references that differ from cluster to cluster."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about one object."""

    controller_labels: frozenset[str] = frozenset()
    """Of a classifier: the label keys that it sets on clusters."""
    cluster: tuple[ClusterRef, Mapping[str, str]] | None = None
    """Of a cluster: its labels."""
    cluster_view: JsonObject | None = None
    """Of a cluster: its fields that templates may use."""
    cluster_set: tuple[ObjectKey, JsonObject] | None = None
    """Of a Set or ClusterSet: the fields that decide its members."""
    profile: DeployedProfile | None = None
    references: tuple[Reference, ...] = ()


def same_facts(first: Facts | None, second: Facts | None) -> bool:
    """Whether two objects have the same facts."""
    if first is None or second is None:
        return first is second
    documents = [(facts.cluster_view, facts.profile.document if facts.profile else None) for facts in (first, second)]
    return first == second and all(map(same_json, *documents))


class CaptureContext:
    """Collects facts. Kinds must be read in the order of ``kinds.reading_order``: clusters before profiles."""

    def __init__(self) -> None:
        self.controller_labels: frozenset[str] = frozenset()
        self._clusters = ClusterIndex()
        self._cluster_views: dict[ClusterRef, JsonObject] = {}
        self._sets: dict[ObjectKey, JsonObject] = {}
        self._profiles: dict[ObjectKey, DeployedProfile] = {}
        self._references: list[Reference] = []

    @staticmethod
    def needs(kind: Kind) -> bool:
        """Whether objects of a kind have facts."""
        return kind in _KINDS_WITH_FACTS

    def facts_of(self, obj: KubeObject) -> Facts | None:
        """The facts about an object with its status, live or from the archive. None if there are none."""
        kind = obj.kind
        if not self.needs(kind):
            return None
        if kind in _CLASSIFIERS:
            return Facts(controller_labels=classifier_labels(obj.raw))
        if kind in kinds.CLUSTER_KINDS:
            cluster, view = ClusterRef(kind, obj.key.namespace, obj.key.name), template_view(obj.raw)
            own_references = tuple(references(obj.raw, (), lambda _: view))
            return Facts(cluster=(cluster, obj.labels), cluster_view=view, references=own_references)
        matched = matching_clusters(obj.raw, self._clusters, self._sets)
        written = WrittenReferences(obj.raw)
        resolved = tuple(written.resolve(matched, self._cluster_views.get))
        if kind in _SETS:
            return Facts(cluster_set=(obj.key, _set_fields(obj.raw)), references=resolved)
        profile = None
        if kind in kinds.PROFILE_KINDS:
            profile = DeployedProfile(obj.key, matched, _profile_fields(obj, written))
        return Facts(profile=profile, references=resolved) if resolved or profile else None

    def add(self, facts: Facts) -> None:
        """Add the facts about an object. Call this after the list of its kind was read to the end."""
        self.controller_labels |= facts.controller_labels
        if facts.cluster is not None:
            self._clusters.add(*facts.cluster)
            if facts.cluster_view is not None:
                self._cluster_views[facts.cluster[0]] = facts.cluster_view
        if facts.cluster_set is not None:
            key, fields = facts.cluster_set
            self._sets[key] = fields
        if facts.profile is not None:
            self._profiles[facts.profile.key] = facts.profile
        self._references += facts.references

    def forget_references(self) -> None:
        """Keep the clusters, sets and labels only, on which the facts about objects depend."""
        self._profiles, self._references = {}, []

    def add_dependent_clusters(self) -> None:
        """Resolve the references of each profile for the clusters of the profiles that depend on it.

        Call this once, after all profiles were read. The status of a prerequisite has these clusters too, but
        Sveltos leaves out those that are not ready.
        """
        dependents = Dependents(profile.document for profile in self._profiles.values())
        for key, profile in sorted(self._profiles.items()):
            if not dependents.of(key):
                continue
            further = dependents.deployed_on(key, self._matched_clusters) - profile.clusters
            self._references += references(profile.document, further, self._cluster_views.get) if further else ()

    def _matched_clusters(self, key: ObjectKey) -> frozenset[ClusterRef]:
        profile = self._profiles.get(key)
        return frozenset(profile.clusters) if profile is not None else frozenset()

    def referenced_objects(self) -> dict[Kind, dict[ObjectKey, list[Reference]]]:
        """The targets of all resolved references by kind, sorted."""
        by_kind: dict[Kind, dict[ObjectKey, list[Reference]]] = {}
        for reference in self._references:
            if reference.unresolved is None:
                targets = by_kind.setdefault(reference.target.kind, {})
                targets.setdefault(reference.target, []).append(reference)
        return {kind: dict(sorted(targets.items())) for kind, targets in sorted(by_kind.items())}

    def unresolvable(self) -> list[Unresolved]:
        """The references whose target cannot be determined, such as a name with an unsupported template."""
        return [reference.as_unresolved() for reference in self._references if reference.unresolved is not None]


def unresolved_documents(unresolved: Iterable[Unresolved]) -> list[JsonObject]:
    """The entries of ``inventory/unresolved.yaml``, sorted (docs/FORMAT.md)."""
    return [
        {
            "by": {"kind": str(entry.by.kind), "namespace": entry.by.namespace, "name": entry.by.name},
            "kind": str(entry.target.kind),
            "namespace": entry.target.namespace,
            "name": entry.target.name,
            "reason": str(entry.reason),
        }
        for entry in sorted(set(unresolved))
    ]


def counts_as_unresolved(entry: Unresolved) -> bool:
    """Whether a sample warns about a reference. Omitted targets and optional references are only recorded."""
    return entry.reason not in _NO_WARNING


def _profile_fields(obj: KubeObject, written: WrittenReferences) -> JsonObject:
    """The fields of a profile that decide its dependencies, and its references on the clusters of its dependents.

    References that are the same on every cluster are left out: they have been resolved already.
    """
    identity = {field: obj.raw[field] for field in ("apiVersion", "kind")}
    identity["metadata"] = {field: obj.metadata.get(field) for field in ("name", "namespace")}
    if not written.depend_on_clusters:
        return {**identity, "spec": {"dependsOn": obj.spec.get("dependsOn")}}
    charts = [
        {field: value for field, value in chart.items() if field != "values"}
        for chart in obj.spec.get("helmCharts") or ()
    ]
    return {**identity, "spec": {**obj.spec, "helmCharts": charts}}


def _set_fields(document: JsonObject) -> JsonObject:
    """The fields of a set that decide its members."""
    return {
        field: document[field] for field in ("apiVersion", "kind", "metadata", "spec", "status") if field in document
    }
