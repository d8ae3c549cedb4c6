"""Which clusters a profile, a set or another selecting object matches.

A rule is what a selector says; an observation is what Sveltos wrote into ``status``. Captures use both, because Sveltos
drops a cluster from ``status`` while the cluster is not ready. Plans use the rules, to predict the effect of a change.
A set is the exception: a profile reads the set's status, never its selector, so that status is followed until a change
makes it out of date. This module must not resolve references or change objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.kube.label_selectors import matches_all, parse_requirements
from gitsnap.sveltos import kinds

_TYPE_OF_KIND = {kinds.CAPI_CLUSTER: "capi", kinds.SVELTOS_CLUSTER: "sveltos"}


@dataclass(frozen=True, slots=True, order=True)
class ClusterRef:
    """A managed cluster: the object that registers it."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        """``default/capi--clusterapi-workload``, as the CLUSTER column of a diff has it."""
        return f"{self.namespace}/{self.type}--{self.name}"

    @property
    def type(self) -> str:
        """``capi`` or ``sveltos``."""
        return _TYPE_OF_KIND.get(self.kind, self.kind.name.lower())

    @property
    def names(self) -> frozenset[str]:
        """What people may call it: ``name``, ``ns/name``, ``capi--name`` or ``ns/capi--name``."""
        typed = f"{self.type}--{self.name}"
        return frozenset({self.name, typed, f"{self.namespace}/{self.name}", str(self)})

    @property
    def key(self) -> ObjectKey:
        """The key of the object that registers the cluster."""
        return ObjectKey(self.kind, self.namespace, self.name)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ClusterRef:
        """The reference to a Cluster or SveltosCluster object."""
        key = ObjectKey.of(document)
        return cls(key.kind, key.namespace, key.name)

    @classmethod
    def of_reference(cls, reference: Mapping[str, Any]) -> ClusterRef:
        """From ``{apiVersion, kind, namespace, name}`` as status and ``clusterRefs`` have it."""
        return cls(Kind.of(reference), str(reference.get("namespace") or ""), str(reference.get("name") or ""))


ClusterLabels = Mapping[ClusterRef, Mapping[str, str]]
"""Every registered cluster with its labels."""


class LabelIndex(dict[ClusterRef, Mapping[str, str]]):
    """ClusterLabels that know who has a label: with many profiles and clusters, asking each about each is slow."""

    def __init__(self) -> None:
        super().__init__()
        self._having: dict[tuple[str, str], dict[ClusterRef, None]] = {}

    def add(self, cluster: ClusterRef, labels: Mapping[str, str]) -> None:
        """Register a cluster, or give it other labels."""
        for pair in self.get(cluster, {}).items():
            del self._having[pair][cluster]
        self[cluster] = labels
        for pair in labels.items():
            self._having.setdefault(pair, {})[cluster] = None

    def copied(self) -> LabelIndex:
        """An index of its own with the same clusters."""
        copy = LabelIndex()
        copy.update(self)
        copy._having = {pair: dict(having) for pair, having in self._having.items()}
        return copy

    def having(self, key: str, value: str) -> Iterable[ClusterRef]:
        """The clusters with this label."""
        return self._having.get((key, value), ())


Sets = Mapping[ObjectKey, JsonObject]
"""Every Set and ClusterSet, with its status where that is known."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector selects, and whether that could be worked out."""

    clusters: frozenset[ClusterRef]
    certain: bool = True
    """False where Sveltos chooses among the candidates of a set: ``clusters`` are then those that stay selected, or all
    candidates if none is selected yet. Also False for a selector that cannot be parsed; it selects nothing."""


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
"""Where below ``spec`` a kind selects the clusters that its references are resolved for."""

STATUS_FIELDS: Mapping[Kind, str] = {
    **dict.fromkeys(SELECTOR_PATHS, "matchingClusters"),
    kinds.CLUSTER_SET: "selectedClusterRefs",
    kinds.SET: "selectedClusterRefs",
}
"""Where in ``status`` Sveltos says which clusters match."""

_SETS_OF: Mapping[Kind, Kind] = {
    kinds.CLUSTER_PROFILE: kinds.CLUSTER_SET,
    kinds.EVENT_TRIGGER: kinds.CLUSTER_SET,
    kinds.PROFILE: kinds.SET,
}
_OWN_NAMESPACE_ONLY = frozenset({kinds.PROFILE, kinds.SET})


def matching_clusters(document: JsonObject, clusters: ClusterLabels, sets: Sets | None = None) -> frozenset[ClusterRef]:
    """The clusters an object matches: those in its status, and those that its selectors select.

    Sets are evaluated as well as followed: a cluster that is not ready leaves a set's status, not the sample.
    """
    followed = selects(document, clusters, sets).clusters
    evaluated = selects(document, clusters, sets, moved=(sets or {}).keys()).clusters
    return observed(document) | followed | evaluated


def observed(document: JsonObject) -> frozenset[ClusterRef]:
    """The clusters that Sveltos says an object matches."""
    field = STATUS_FIELDS.get(Kind.of(document), "matchingClusters")
    references = (document.get("status") or {}).get(field) or ()
    return frozenset(ClusterRef.of_reference(reference) for reference in references)


def selects(
    document: JsonObject, clusters: ClusterLabels, sets: Sets | None = None, *, moved: Collection[ObjectKey] = ()
) -> Selection:
    """The clusters that an object's own rules select: selectors, ``clusterRefs``, and the sets it names.

    A Profile and a Set see only clusters of their own namespace. A named cluster counts only if it is registered.
    ``moved`` are the sets whose status is out of date, because the set or the labels of a cluster change: these are
    evaluated. Of any other set the status is followed, where it has one.
    """
    kind = Kind.of(document)
    own_namespace = str(document["metadata"].get("namespace") or "") if kind in _OWN_NAMESPACE_ONLY else ""
    spec = document.get("spec") or {}
    selected: set[ClusterRef] = set()
    certain = True
    for path in SELECTOR_PATHS.get(kind, ()):
        for written in values_at(spec, path):
            selector = label_selector(written)
            if selector is None:
                certain = False
                continue
            pool = (cluster for cluster in _pool(selector, clusters) if own_namespace in ("", cluster.namespace))
            selected.update(cluster for cluster in pool if selector_matches(selector, clusters[cluster]))
    for reference in spec.get("clusterRefs") or ():
        cluster = ClusterRef.of_reference(reference)
        # Sveltos forces the namespace of a Profile's and a Set's references to its own.
        cluster = ClusterRef(cluster.kind, own_namespace or cluster.namespace, cluster.name)
        if cluster in clusters:
            selected.add(cluster)
    for key in sets_of(document):
        chosen = (sets or {}).get(key)
        if chosen is not None:
            members = members_of(chosen, clusters, moved=key in moved)
            selected |= members.clusters
            certain = certain and members.certain
    return Selection(frozenset(selected), certain)


# Sets -----------------------------------------------------------------------------------------------------------------


def sets_of(document: JsonObject) -> tuple[ObjectKey, ...]:
    """The sets that an object names: a Profile those of its own namespace, any other kind ClusterSets."""
    key, spec = ObjectKey.of(document), document.get("spec") or {}
    kind = _SETS_OF.get(key.kind)
    if kind is None:
        return ()
    namespace = key.namespace if kind == kinds.SET else ""
    names = spec.get("setRefs") or spec.get("clusterSetRefs") or ()
    return tuple(ObjectKey(kind, namespace, str(name)) for name in names)


def members_of(document: JsonObject, clusters: ClusterLabels, *, moved: bool = False) -> Selection:
    """The clusters that a set stands for, as ``controllers/set_utils.go`` chooses them.

    Without ``moved`` the status is followed where Sveltos has written one. Otherwise the set is evaluated. A set
    without ``maxReplicas`` selects no cluster. A selected cluster stays selected while it matches. Sveltos adds others
    up to ``maxReplicas``; which ones cannot be known.
    """
    if not moved and evaluated_by_sveltos(document):
        return Selection(observed(document) & clusters.keys())
    limit = max_replicas(document)
    if limit <= 0:
        return Selection(frozenset())
    matching = selects(document, clusters)
    if len(matching.clusters) <= limit:
        return matching
    kept = observed(document) & matching.clusters
    return Selection(kept or matching.clusters, certain=len(kept) == limit)


def max_replicas(document: JsonObject) -> int:
    """How many clusters a set selects at most; 0 where it selects none at all."""
    limit = (document.get("spec") or {}).get("maxReplicas")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) else 0


def evaluated_by_sveltos(document: JsonObject) -> bool:
    """Whether a set's status says which clusters match. An empty status is that of a set just written."""
    status = document.get("status") or {}
    return bool(status.get("selectedClusterRefs") or status.get("matchingClusterRefs"))


# Dependencies ---------------------------------------------------------------------------------------------------------


def prerequisites_of(document: JsonObject) -> frozenset[ObjectKey]:
    """The profiles that a profile names in ``dependsOn``: of its own kind and namespace."""
    key = ObjectKey.of(document)
    if key.kind not in kinds.PROFILE_KINDS:
        return frozenset()
    names = (document.get("spec") or {}).get("dependsOn") or ()
    return frozenset(ObjectKey(key.kind, key.namespace, str(name)) for name in names) - {key}


class Dependents:
    """Which profiles are deployed because others depend on them, directly or through further profiles.

    Sveltos deploys a prerequisite on the clusters of its dependents, whatever its own selector says.
    """

    def __init__(self, profiles: Iterable[JsonObject]) -> None:
        self._dependents: dict[ObjectKey, set[ObjectKey]] = {}
        self._prerequisites: dict[ObjectKey, frozenset[ObjectKey]] = {}
        for document in profiles:
            key, prerequisites = ObjectKey.of(document), prerequisites_of(document)
            if prerequisites:
                self._prerequisites[key] = prerequisites
            for prerequisite in prerequisites:
                self._dependents.setdefault(prerequisite, set()).add(key)

    def of(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The profiles that depend on a profile, transitively; a circle does not make it one of them."""
        return _closure(key, self._dependents)

    def prerequisites(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The profiles that a profile depends on, transitively."""
        return _closure(key, self._prerequisites)

    def deployed_on(
        self, key: ObjectKey, matching: Callable[[ObjectKey], frozenset[ClusterRef]]
    ) -> frozenset[ClusterRef]:
        """The clusters that a profile is deployed on: those that it matches itself, and those of its dependents.

        ``matching`` gives the clusters that a profile selects by its own rules.
        """
        return matching(key).union(*(matching(dependent) for dependent in self.of(key)))


def _closure(key: ObjectKey, edges: Mapping[ObjectKey, Collection[ObjectKey]]) -> frozenset[ObjectKey]:
    found: set[ObjectKey] = set()
    pending = [key]
    while pending:
        more = set(edges.get(pending.pop(), ())) - found
        found |= more
        pending += more
    return frozenset(found - {key})


# Selectors ------------------------------------------------------------------------------------------------------------


def label_selector(written: Any) -> Mapping[str, Any] | None:
    """What an object has for a selector, as v1beta1 writes it; v1alpha1 had a text. None for what is no selector."""
    if isinstance(written, str):
        try:
            return {"matchExpressions": parse_requirements(written)} if written else {}
        except ValueError:
            return None
    if not isinstance(written, dict):
        return None
    labels, terms = written.get("matchLabels") or {}, written.get("matchExpressions") or []
    is_one = isinstance(labels, dict) and isinstance(terms, list) and all(map(_is_term, terms))
    return written if is_one and all(isinstance(value, str) for value in labels.values()) else None


def _is_term(term: Any) -> bool:
    return isinstance(term, dict) and isinstance(term.get("values") or [], list)


def _pool(selector: Mapping[str, Any], clusters: ClusterLabels) -> Iterable[ClusterRef]:
    """Clusters that a selector may match: those with one of the labels it requires, where that can be looked up."""
    required = selector.get("matchLabels")
    if required and isinstance(clusters, LabelIndex):
        return clusters.having(*next(iter(required.items())))
    return clusters


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches nothing in Sveltos (unlike in Kubernetes)."""
    if not selector:
        return False
    required = selector.get("matchLabels") or {}
    requirements = selector.get("matchExpressions") or ()
    if not required and not requirements:
        return False
    return all(labels.get(key) == value for key, value in required.items()) and matches_all(requirements, labels)


def values_at(root: Any, path: str) -> Iterator[Any]:
    """Every value at a path such as ``helmCharts[].valuesFrom[]``; what is missing or of another shape gives none."""
    found: Iterable[Any] = (root,)
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [value[name] for value in found if isinstance(value, dict) and value.get(name) is not None]
        if part.endswith("[]"):
            found = [item for value in found if isinstance(value, list) for item in value]
    yield from found
