"""Which clusters a profile, a set or another selecting object matches.

A rule is what a selector says, an observation what Sveltos wrote into ``status``. Captures use both, since Sveltos
drops a cluster from ``status`` while it is not ready; plans use the rule alone, to know what a change would do.
This module must not resolve references or change objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.selector_text import expressions

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
        self._having: dict[tuple[str, str], list[ClusterRef]] = {}

    def add(self, cluster: ClusterRef, labels: Mapping[str, str]) -> None:
        """Register a cluster; each is added once."""
        self[cluster] = labels
        for pair in labels.items():
            self._having.setdefault(pair, []).append(cluster)

    def relabelled(self, cluster: ClusterRef, labels: Mapping[str, str]) -> LabelIndex:
        """A copy in which one cluster has these labels."""
        copy = LabelIndex()
        copy.update(self)
        copy._having = dict(self._having)
        for pair in self.get(cluster, {}).items():
            copy._having[pair] = [one for one in copy._having[pair] if one != cluster]
        copy[cluster] = labels
        for pair in labels.items():
            copy._having[pair] = [*copy._having.get(pair, ()), cluster]
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
    """False when Sveltos decides (a set with fewer replicas than candidates), and ``clusters`` are all candidates; also
    for a selector that is none, with which Sveltos does as little as is done here."""


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
    """The clusters an object matches: those in its status, and those that its selectors select."""
    return observed(document) | selects(document, clusters, sets).clusters


def observed(document: JsonObject) -> frozenset[ClusterRef]:
    """The clusters that Sveltos says an object matches."""
    field = STATUS_FIELDS.get(Kind.of(document), "matchingClusters")
    references = (document.get("status") or {}).get(field) or ()
    return frozenset(ClusterRef.of_reference(reference) for reference in references)


def selects(document: JsonObject, clusters: ClusterLabels, sets: Sets | None = None) -> Selection:
    """The clusters that an object's own rules select: selectors, ``clusterRefs``, and the sets it names.

    A Profile and a Set see only clusters of their own namespace. A named cluster counts only if it is registered.
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
            pool = (one for one in _pool(selector, clusters) if own_namespace in ("", one.namespace))
            selected.update(cluster for cluster in pool if selector_matches(selector, clusters[cluster]))
    for reference in spec.get("clusterRefs") or ():
        cluster = ClusterRef.of_reference(reference)
        # Sveltos forces the namespace of a Profile's and a Set's references to its own.
        cluster = ClusterRef(cluster.kind, own_namespace or cluster.namespace, cluster.name)
        if cluster in clusters:
            selected.add(cluster)
    for name in spec.get("setRefs") or spec.get("clusterSetRefs") or ():
        members = _members((sets or {}).get(ObjectKey(_SETS_OF[kind], own_namespace, str(name))), clusters)
        selected |= members.clusters
        certain = certain and members.certain
    return Selection(frozenset(selected), certain)


def label_selector(written: Any) -> Mapping[str, Any] | None:
    """What an object has for a selector, as v1beta1 writes it; v1alpha1 had a text. None for what is no selector."""
    if isinstance(written, str):
        try:
            return {"matchExpressions": expressions(written)} if written else {}
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


def _members(document: JsonObject | None, clusters: ClusterLabels) -> Selection:
    """The clusters a set stands for; with ``maxReplicas`` below the number of candidates Sveltos chooses among them."""
    if document is None:
        return Selection(frozenset())
    pool = selects(document, clusters).clusters
    limit = (document.get("spec") or {}).get("maxReplicas") or 0
    if not limit or len(pool) <= limit:
        return Selection(pool)
    chosen = observed(document) & pool
    return Selection(chosen or pool, certain=False)


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches nothing in Sveltos (unlike in Kubernetes)."""
    if not selector:
        return False
    required = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    if not required and not expressions:
        return False
    return all(labels.get(key) == value for key, value in required.items()) and all(
        expression_matches(expression, labels) for expression in expressions
    )


def expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether one term of ``matchExpressions`` fits; ``Gt`` and ``Lt`` stand only in texts."""
    key, values = str(expression.get("key", "")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            return _is_beyond(labels.get(key), operator, values)
        case _:
            return False


def _is_beyond(value: Any, operator: str, bounds: Sequence[Any]) -> bool:
    try:
        number, bound = int(str(value)), int(bounds[0])
    except (ValueError, TypeError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def values_at(root: Any, path: str) -> Iterator[Any]:
    """Every value at a path such as ``helmCharts[].valuesFrom[]``; what is missing or of another shape gives none."""
    found: Iterable[Any] = (root,)
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [value[name] for value in found if isinstance(value, dict) and value.get(name) is not None]
        if part.endswith("[]"):
            found = [item for value in found if isinstance(value, list) for item in value]
    yield from found
