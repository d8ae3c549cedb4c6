"""Which clusters a profile, a set or another selecting object matches.

Two sources name the clusters of an object: its rules (selectors, ``clusterRefs`` and sets), which this module
evaluates, and its ``status``, which Sveltos writes. A capture uses both, because Sveltos drops a cluster from
``status`` while the cluster is not ready. A plan uses the rules, because it predicts the effect of a change. Sets are
the exception: a profile reads the status of a set and never its selector, so this module reads the status until a
change makes it out of date. The rules are those of Sveltos' addon-controller; docs/SVELTOS.md describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.kube import label_index
from gitsnap.kube.label_index import LabelIndex
from gitsnap.kube.label_selectors import is_empty, read_selector
from gitsnap.sveltos import kinds

_TYPE_OF_KIND = {kinds.CAPI_CLUSTER: "capi", kinds.SVELTOS_CLUSTER: "sveltos"}


@dataclass(frozen=True, slots=True, order=True)
class ClusterRef:
    """A managed cluster: the object that registers it."""

    kind: Kind
    namespace: str
    name: str

    def __hash__(self) -> int:
        """Two fields are enough: few clusters of different kinds have the same name and namespace."""
        return hash((self.name, self.namespace))

    def __str__(self) -> str:
        """``default/capi--clusterapi-workload``, as in the CLUSTER column of a diff."""
        return f"{self.namespace}/{self.type}--{self.name}"

    @property
    def type(self) -> str:
        """``capi`` or ``sveltos``."""
        return _TYPE_OF_KIND.get(self.kind, self.kind.name.lower())

    @property
    def names(self) -> frozenset[str]:
        """The names that users may give the cluster: ``name``, ``ns/name``, ``capi--name`` and ``ns/capi--name``."""
        typed = f"{self.type}--{self.name}"
        return frozenset({self.name, typed, f"{self.namespace}/{self.name}", str(self)})

    @property
    def key(self) -> ObjectKey:
        """The key of the object that registers the cluster."""
        return ObjectKey(self.kind, self.namespace, self.name)

    @classmethod
    def of_key(cls, key: ObjectKey) -> ClusterRef:
        """The reference to the Cluster or SveltosCluster with a key."""
        return cls(key.kind, key.namespace, key.name)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ClusterRef:
        """The reference to a Cluster or SveltosCluster object."""
        return cls.of_key(ObjectKey.of(document))

    @classmethod
    def of_reference(cls, reference: Mapping[str, Any]) -> ClusterRef:
        """The reference that ``status`` or ``clusterRefs`` writes as ``{apiVersion, kind, namespace, name}``."""
        return _reference(
            str(reference.get("apiVersion", "")),
            str(reference.get("kind", "")),
            str(reference.get("namespace") or ""),
            str(reference.get("name") or ""),
        )


@lru_cache(maxsize=16384)
def _reference(api_version: str, kind: str, namespace: str, name: str) -> ClusterRef:
    """The reference with these fields. Cached, because the status of many profiles names the same cluster."""
    return ClusterRef(Kind.of({"apiVersion": api_version, "kind": kind}), namespace, name)


ClusterLabels = Mapping[ClusterRef, Mapping[str, str]]
"""Every registered cluster with its labels."""


ClusterIndex = LabelIndex[ClusterRef]
"""ClusterLabels that find the clusters of a selector without comparing the labels of every cluster."""

Sets = Mapping[ObjectKey, JsonObject]
"""Every Set and ClusterSet, with its status if the status is known."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The clusters that an object selects, and whether gitsnap could determine them exactly."""

    clusters: frozenset[ClusterRef]
    certain: bool = True
    """False if Sveltos chooses among the candidates of a set. ``clusters`` then contains the candidates that stay
    selected, or all candidates if none is selected yet. Also False if a selector cannot be parsed: such a selector
    selects no cluster."""


SELECTOR_PATHS: Mapping[Kind, tuple[str, ...]] = {
    kinds.CLUSTER_PROFILE: ("clusterSelector",),
    kinds.PROFILE: ("clusterSelector",),
    kinds.CLUSTER_PROMOTION: ("stages[].clusterSelector",),
    kinds.EVENT_TRIGGER: ("sourceClusterSelector",),
    kinds.ROLE_REQUEST: ("clusterSelector",),
    kinds.CLUSTER_HEALTH_CHECK: ("clusterSelector",),
    kinds.CLUSTER_SET: ("clusterSelector",),
    kinds.SET: ("clusterSelector",),
}
"""Paths below ``spec`` of the selectors that select the clusters for which references are resolved."""

STATUS_FIELDS: Mapping[Kind, str] = {
    **dict.fromkeys(SELECTOR_PATHS, "matchingClusters"),
    kinds.CLUSTER_SET: "selectedClusterRefs",
    kinds.SET: "selectedClusterRefs",
}
"""The field of ``status`` in which Sveltos lists the matching clusters."""

_SETS_OF: Mapping[Kind, Kind] = {
    kinds.CLUSTER_PROFILE: kinds.CLUSTER_SET,
    kinds.EVENT_TRIGGER: kinds.CLUSTER_SET,
    kinds.PROFILE: kinds.SET,
}
_OWN_NAMESPACE_ONLY = frozenset({kinds.PROFILE, kinds.SET})


def matching_clusters(
    document: JsonObject, clusters: ClusterLabels, sets: Sets | None = None
) -> AbstractSet[ClusterRef]:
    """The clusters that an object matches by its status or by its rules.

    A set matches the clusters in its status and the clusters of its selector: a cluster that is not ready leaves the
    status of the set, but must stay in the sample.
    """
    selected, _ = _select(document, clusters, sets or {}, ())
    if sets and not sets.keys().isdisjoint(sets_of(document)):
        selected |= _select(document, clusters, sets, sets.keys())[0]
    return selected | label_index.collect(clusters, _observed(document))


def observed_clusters(document: JsonObject) -> frozenset[ClusterRef]:
    """The clusters that ``status`` lists as matching."""
    return frozenset(_observed(document))


def _observed(document: JsonObject) -> Iterator[ClusterRef]:
    field = STATUS_FIELDS.get(Kind.of(document), "matchingClusters")
    references = (document.get("status") or {}).get(field) or ()
    return map(ClusterRef.of_reference, references)


def selects(
    document: JsonObject, clusters: ClusterLabels, sets: Sets | None = None, *, outdated: Collection[ObjectKey] = ()
) -> Selection:
    """The clusters that the rules of an object select: its selectors, its ``clusterRefs`` and the sets that it names.

    A Profile or Set selects only clusters of its own namespace. A cluster in ``clusterRefs`` counts only if it is
    registered, that is, a key of ``clusters``. ``outdated`` names the sets whose status is out of date because the set
    or the labels of a cluster change. The selector of such a set is evaluated; for any other set the status is used if
    Sveltos has written one. A ClusterIndex as ``clusters`` gives the same result faster than another mapping.
    """
    selected, certain = _select(document, clusters, sets or {}, outdated)
    return Selection(frozenset(selected), certain)


def _select(
    document: JsonObject, clusters: ClusterLabels, sets: Sets, outdated: Collection[ObjectKey]
) -> tuple[AbstractSet[ClusterRef], bool]:
    """As ``selects``: the clusters, and whether they are certain."""
    kind = Kind.of(document)
    own_namespace = str(document["metadata"].get("namespace") or "") if kind in _OWN_NAMESPACE_ONLY else ""
    selected: AbstractSet[ClusterRef] = frozenset()
    certain = True
    for selector in map(read_selector, selectors_of(document)):
        if selector is None:
            certain = False
        elif not is_empty(selector):  # in Sveltos an empty selector matches nothing, unlike in Kubernetes
            selected |= label_index.select(clusters, selector, namespace=own_namespace)
    # Sveltos replaces the namespace in the references of a Profile or Set with the object's own namespace.
    named = (
        ClusterRef(cluster.kind, own_namespace or cluster.namespace, cluster.name)
        for cluster in map(ClusterRef.of_reference, (document.get("spec") or {}).get("clusterRefs") or ())
    )
    selected |= label_index.collect(clusters, (cluster for cluster in named if cluster in clusters))
    for key in sets_of(document):
        set_document = sets.get(key)
        if set_document is not None:
            members = members_of(set_document, clusters, outdated=key in outdated)
            selected |= label_index.collect(clusters, members.clusters)
            certain = certain and members.certain
    return selected, certain


def selectors_of(document: JsonObject) -> list[Any]:
    """The values of the cluster selectors of an object, as written."""
    spec = document.get("spec") or {}
    return [value for path in SELECTOR_PATHS.get(Kind.of(document), ()) for value in values_at(spec, path)]


# Sets -----------------------------------------------------------------------------------------------------------------


def sets_of(document: JsonObject) -> tuple[ObjectKey, ...]:
    """The keys of the sets that an object names. A Profile names Sets of its own namespace, other kinds ClusterSets."""
    kind = _SETS_OF.get(Kind.of(document))
    if kind is None:
        return ()
    spec = document.get("spec") or {}
    names = spec.get("setRefs") or spec.get("clusterSetRefs")
    if not names:  # as in most objects
        return ()
    namespace = ObjectKey.of(document).namespace if kind == kinds.SET else ""
    return tuple(ObjectKey(kind, namespace, str(name)) for name in names)


def members_of(document: JsonObject, clusters: ClusterLabels, *, outdated: bool = False) -> Selection:
    """The clusters that a set selects, by the rules of ``controllers/set_utils.go`` in Sveltos' addon-controller.

    Without ``outdated``, the status is used if Sveltos has written one. Otherwise the selector is evaluated. A set
    without ``maxReplicas`` selects no cluster. A selected cluster stays selected as long as it matches. Sveltos then
    adds other matching clusters up to ``maxReplicas``, and gitsnap cannot know which ones.
    """
    if not outdated and has_status(document):
        return Selection(observed_clusters(document) & clusters.keys())
    limit = max_replicas(document)
    if limit <= 0:
        return Selection(frozenset())
    matching = selects(document, clusters)
    if len(matching.clusters) <= limit:
        return matching
    kept = observed_clusters(document) & matching.clusters
    return Selection(kept or matching.clusters, certain=len(kept) == limit)


def max_replicas(document: JsonObject) -> int:
    """The largest number of clusters that a set selects; 0 if the set selects no cluster."""
    limit = (document.get("spec") or {}).get("maxReplicas")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) else 0


def has_status(document: JsonObject) -> bool:
    """Whether Sveltos has written clusters into the status of a set. The status of a new set is empty."""
    status = document.get("status") or {}
    return bool(status.get("selectedClusterRefs") or status.get("matchingClusterRefs"))


# Dependencies ---------------------------------------------------------------------------------------------------------


def prerequisites_of(document: JsonObject) -> frozenset[ObjectKey]:
    """The profiles that a profile names in ``dependsOn``. They have the profile's own kind and namespace."""
    if Kind.of(document) not in kinds.PROFILE_KINDS:
        return frozenset()
    names = (document.get("spec") or {}).get("dependsOn")
    if not names:  # as in most profiles
        return frozenset()
    key = ObjectKey.of(document)
    return frozenset(ObjectKey(key.kind, key.namespace, str(name)) for name in names) - {key}


class Dependents:
    """The graph of ``dependsOn`` between profiles, direct and indirect.

    Sveltos deploys a prerequisite on the clusters of its dependents, whatever the selector of the prerequisite selects.
    """

    def __init__(self, profiles: Iterable[JsonObject]) -> None:
        self._dependents: dict[ObjectKey, set[ObjectKey]] = {}
        self._prerequisites: dict[ObjectKey, frozenset[ObjectKey]] = {}
        for document in profiles:
            prerequisites = prerequisites_of(document)
            if prerequisites:
                key = ObjectKey.of(document)
                self._prerequisites[key] = prerequisites
                for prerequisite in prerequisites:
                    self._dependents.setdefault(prerequisite, set()).add(key)

    def of(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The profiles that depend on a profile, directly or indirectly, without the profile itself."""
        return _closure(key, self._dependents)

    def prerequisites(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The profiles that a profile depends on, directly or indirectly."""
        return _closure(key, self._prerequisites)

    def deployed_on(
        self, key: ObjectKey, matching: Callable[[ObjectKey], frozenset[ClusterRef]]
    ) -> frozenset[ClusterRef]:
        """The clusters on which a profile is deployed: the clusters that it matches and those of its dependents.

        ``matching`` returns the clusters that a profile selects by its own rules.
        """
        return matching(key).union(*(matching(dependent) for dependent in self.of(key)))


def _closure(key: ObjectKey, edges: Mapping[ObjectKey, Collection[ObjectKey]]) -> frozenset[ObjectKey]:
    if key not in edges:
        return frozenset()
    reached: set[ObjectKey] = set()
    pending = [key]
    while pending:
        neighbours = set(edges.get(pending.pop(), ())) - reached
        reached |= neighbours
        pending += neighbours
    return frozenset(reached - {key})
