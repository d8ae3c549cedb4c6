"""References are resolved once for all clusters only if they are the same for each cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import WrittenReferences
from tests.support.plans import custom

_CLUSTERS = [
    ClusterRef(kinds.SVELTOS_CLUSTER, namespace, name) for namespace in ("n", "m") for name in ("east", "west")
]
_NAME, _NAMESPACE = "{{ .Cluster.metadata.name }}", "{{ .Cluster.metadata.namespace }}"
_TEXTS = st.sampled_from(["", "x", "y", _NAME, _NAMESPACE, f"a-{_NAME}"])

_Fields = Callable[[list[JsonObject]], JsonObject]

_FORCED, _FREE = "the namespace of a Profile applies", "the namespace of a Profile does not apply"
_FIELDS: dict[str, tuple[str, _Fields]] = {
    "spec.policyRefs[]": (_FORCED, lambda refs: {"policyRefs": refs}),
    "spec.kustomizationRefs[].valuesFrom[]": (_FORCED, lambda refs: {"kustomizationRefs": [{"valuesFrom": refs}]}),
    "spec.helmCharts[].valuesFrom[]": (_FREE, lambda refs: {"helmCharts": [{"valuesFrom": refs}]}),
    "spec.patchesFrom[]": (_FREE, lambda refs: {"patchesFrom": refs}),
}


def _rendered(text: str, cluster: ClusterRef) -> str:
    return text.replace(_NAME, cluster.name).replace(_NAMESPACE, cluster.namespace)


def _targets(
    path: str, rule: str, entry: JsonObject, profile_namespace: str, clusters: Sequence[ClusterRef]
) -> set[tuple[str, str, str]]:
    """Path, namespace and name of the targets of an entry, evaluated for each cluster."""
    forced = profile_namespace if rule == _FORCED else ""
    namespace, name = forced or entry["namespace"], entry["name"]
    if namespace and name and "{{" not in name and (forced or "{{" not in namespace):
        return {(path, namespace, name)}
    return {
        (
            path,
            forced or _rendered(namespace, cluster) or cluster.namespace,
            _rendered(name, cluster) or cluster.namespace,
        )
        for cluster in clusters
    }


@settings(max_examples=300)
@given(
    st.sampled_from(["", "own"]),
    st.lists(st.tuples(st.sampled_from(sorted(_FIELDS)), _TEXTS, _TEXTS), min_size=1, max_size=3),
    st.lists(st.sampled_from(_CLUSTERS), unique=True),
)
def test_targets_are_those_of_each_cluster(
    namespace: str, written: list[tuple[str, str, str]], clusters: list[ClusterRef]
) -> None:
    """For templates in the name or the namespace, an empty name, and an empty namespace (rule R)."""
    spec: JsonObject = {}
    entries: dict[str, list[dict[str, Any]]] = {}
    for path, entry_namespace, name in written:
        entries.setdefault(path, []).append({"kind": "ConfigMap", "namespace": entry_namespace, "name": name})
    for path, own in entries.items():
        spec |= _FIELDS[path][1](own)
    profile = custom(kinds.PROFILE if namespace else kinds.CLUSTER_PROFILE, "p", spec, namespace)
    references = WrittenReferences(profile)

    def resolved(selected: Sequence[ClusterRef]) -> set[tuple[str, str, str]]:
        found = list(references.resolve(selected, _object))
        assert all(reference.unresolved is None for reference in found)
        return {(reference.path, reference.target.namespace, reference.target.name) for reference in found}

    def expected(selected: Sequence[ClusterRef]) -> set[tuple[str, str, str]]:
        rules = ((path, _FIELDS[path][0], entry) for path, own in entries.items() for entry in own)
        return set().union(*(_targets(path, rule, entry, namespace, selected) for path, rule, entry in rules))

    assert resolved(clusters) == expected(clusters)
    is_same = all(expected([cluster]) == expected([]) for cluster in _CLUSTERS)
    assert references.depend_on_clusters or is_same


def _object(cluster: ClusterRef) -> JsonObject:
    return {"metadata": {"name": cluster.name, "namespace": cluster.namespace}}
