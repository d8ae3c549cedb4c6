"""Label selectors compared with a simple evaluation by the Kubernetes API conventions, with and without an index.

The index must give the same clusters as a comparison of every cluster, also after labels have changed.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.kube.label_selectors import is_empty, selector_matches
from gitsnap.sveltos import kinds
from gitsnap.sveltos.kinds import CAPI_CLUSTER
from gitsnap.sveltos.matching import (
    SELECTOR_PATHS,
    ClusterIndex,
    ClusterRef,
    matching_clusters,
    selects,
)

_KEYS = st.sampled_from(["env", "zone", "tier"])
_WORDS = st.sampled_from(["a", "b", "", "c"])
_LABELS = st.dictionaries(_KEYS, _WORDS, max_size=3)
_EXPRESSION = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        **({"values": values} if operator in ("In", "NotIn") else {}),
    },
    _KEYS,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(_WORDS, min_size=1, max_size=3),
)
_SELECTOR = st.fixed_dictionaries(
    {}, optional={"matchLabels": _LABELS, "matchExpressions": st.lists(_EXPRESSION, max_size=3)}
)


def _expected_match(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return False  # Sveltos takes an empty selector for none, not for all
    for key, value in selector.get("matchLabels", {}).items():
        if key not in labels or labels[key] != value:
            return False
    for expression in selector.get("matchExpressions", []):
        there = expression["key"] in labels
        value = labels.get(expression["key"])
        fits = {
            "Exists": there,
            "DoesNotExist": not there,
            "In": there and value in expression.get("values", []),
            "NotIn": not there or value not in expression.get("values", []),
        }[expression["operator"]]
        if not fits:
            return False
    return True


@given(_SELECTOR, _LABELS)
def test_selectors(selector: dict[str, Any], labels: dict[str, str]) -> None:
    """Every operator, alone and in combination."""
    matches = not is_empty(selector) and selector_matches(selector, labels)
    assert matches == _expected_match(selector, labels)


@given(_SELECTOR, st.lists(_LABELS, max_size=8))
def test_an_index_selects_the_same_clusters(selector: dict[str, Any], clusters: list[dict[str, str]]) -> None:
    """A ClusterIndex and a plain mapping give the same result."""
    plain = {ClusterRef(CAPI_CLUSTER, "default", f"c{number}"): labels for number, labels in enumerate(clusters)}
    index = ClusterIndex()
    for ref, labels in plain.items():
        index.add(ref, labels)
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "p"},
        "spec": {"clusterSelector": selector},
    }

    assert set(matching_clusters(profile, index)) == set(matching_clusters(profile, plain))
    assert set(matching_clusters(profile, plain)) == {
        ref for ref, own in plain.items() if _expected_match(selector, own)
    }


# Every form of rules, and clusters that change ------------------------------------------------------------------------

_NAMESPACES = ("a", "b")
_CLUSTERS = [ClusterRef(kind, namespace, name) for kind in sorted(kinds.CLUSTER_KINDS) for namespace in _NAMESPACES
             for name in ("x", "y")][:6]  # fmt: skip
_ODD_LABELS = st.dictionaries(
    _KEYS,
    st.one_of(_WORDS, st.sampled_from(["7", "12", "-3"]), st.sampled_from([7, True, None, 1.5, ["a"]])),
    max_size=3,
)
"""A folder of files may have label values that are no text."""
_NUMBERS = st.builds(
    lambda key, operator, bound: {"key": key, "operator": operator, "values": [bound]},
    _KEYS,
    st.sampled_from(["Gt", "Lt"]),
    st.sampled_from(["5", "7", "x"]),
)
_ODD_EXPRESSION = st.builds(
    lambda key, operator, values: {"key": key, "operator": operator, "values": values},
    _KEYS,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Other", None]),
    st.lists(st.one_of(_WORDS, st.sampled_from([7, 1, None, ["a"]])), max_size=3),
)
_OBJECT_SELECTOR = st.one_of(
    _SELECTOR,
    st.fixed_dictionaries(
        {"matchExpressions": st.lists(st.one_of(_EXPRESSION, _NUMBERS, _ODD_EXPRESSION), max_size=3)},
        optional={"matchLabels": _LABELS},
    ),
)
_ANY_SELECTOR = st.one_of(
    _OBJECT_SELECTOR,
    st.sampled_from(["env=a", "env!=a,zone", "tier in (a, b),!env", "zone>5", "env in", "", 7, None]),
)
_REFERENCES = st.lists(
    st.sampled_from(_CLUSTERS).map(
        lambda cluster: {
            "apiVersion": f"{cluster.kind.group}/v1beta1",
            "kind": cluster.kind.name,
            "namespace": cluster.namespace,
            "name": cluster.name,
        }
    ),
    max_size=3,
)
_SETS = [ObjectKey(kinds.CLUSTER_SET, "", "s"), ObjectKey(kinds.SET, "a", "s"), ObjectKey(kinds.SET, "b", "t")]


def _document(key: ObjectKey, spec: JsonObject, status: JsonObject) -> JsonObject:
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    return {
        "apiVersion": f"{key.kind.group}/v1beta1",
        "kind": key.kind.name,
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


@st.composite
def _selecting(draw: st.DrawFn, kind: Kind) -> JsonObject:
    key = ObjectKey(kind, draw(st.sampled_from(_NAMESPACES)) if kinds.is_namespaced(kind) else "", "object")
    selector = draw(_ANY_SELECTOR)
    spec: JsonObject = {"clusterSelector": selector, "sourceClusterSelector": selector}
    spec["stages"] = [{"clusterSelector": selector}, {"clusterSelector": draw(_SELECTOR)}]
    spec |= {"clusterRefs": draw(_REFERENCES), "setRefs": draw(st.lists(st.sampled_from("st"), max_size=2))}
    return _document(key, spec, {"matchingClusters": draw(_REFERENCES)})


@st.composite
def _some_sets(draw: st.DrawFn) -> dict[ObjectKey, JsonObject]:
    """Sets with and without a status, some with fewer replicas than clusters."""
    return {
        key: _document(
            key,
            {"clusterSelector": draw(_SELECTOR), "maxReplicas": draw(st.integers(0, 4))},
            {"selectedClusterRefs": draw(_REFERENCES)},
        )
        for key in draw(st.sets(st.sampled_from(_SETS)))
    }


_RELABELLINGS = st.lists(st.tuples(st.sampled_from(_CLUSTERS), _ODD_LABELS), min_size=4, max_size=12)


@given(
    _RELABELLINGS,
    _RELABELLINGS,
    _some_sets(),
    st.lists(st.sampled_from(sorted(SELECTOR_PATHS)).flatmap(_selecting), min_size=1, max_size=4),
    st.booleans(),
)
def test_an_index_after_changes_equals_a_comparison_of_every_cluster(
    first: list[tuple[ClusterRef, JsonObject]],
    second: list[tuple[ClusterRef, JsonObject]],
    sets: dict[ObjectKey, JsonObject],
    documents: list[JsonObject],
    outdated: bool,  # noqa: FBT001 - hypothesis passes the arguments by name
) -> None:
    """For every kind that selects clusters, with sets, references and a status. A copy of the index is independent."""
    index = ClusterIndex()
    for cluster, labels in first:
        index.add(cluster, labels)
    copy = index.copied()
    for cluster, labels in second:
        copy.add(cluster, labels)
    for clusters, plain in ((index, dict(first)), (copy, {**dict(first), **dict(second)})):
        for document in documents:
            named = sets.keys() if outdated else ()
            assert selects(document, clusters, sets, outdated=named) == selects(document, plain, sets, outdated=named)
            assert matching_clusters(document, clusters, sets) == matching_clusters(document, plain, sets)
            assert set(matching_clusters(document, clusters, sets)) == matching_clusters(document, plain, sets)


@given(
    _RELABELLINGS,
    _OBJECT_SELECTOR,
    st.sampled_from(["", *_NAMESPACES]),
)
def test_sets_of_an_index(clusters: list[tuple[ClusterRef, JsonObject]], selector: JsonObject, namespace: str) -> None:
    """They behave like other sets, and later changes of the index do not change them."""
    index = ClusterIndex()
    for cluster, labels in clusters:
        index.add(cluster, labels)
    selected: AbstractSet[object] = index.select(selector, namespace=namespace)
    expected = frozenset(selected)
    others = index.collect(_CLUSTERS[:5])

    for cluster in _CLUSTERS:
        index.add(cluster, {"env": "a"})

    assert selected == expected
    assert len(selected) == len(expected)
    assert [cluster in selected for cluster in _CLUSTERS] == [cluster in expected for cluster in _CLUSTERS]
    assert selected | others == others | selected == expected | frozenset(_CLUSTERS[:5])
    assert selected & others == expected & frozenset(_CLUSTERS[:5])
    assert frozenset(_CLUSTERS) - selected == frozenset(_CLUSTERS) - expected
    assert "no cluster" not in selected
