"""The clusters that the rules of an object select, with an index of labels and without.

The facts about sets and dependencies are those of docs/SVELTOS.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.kube.label_selectors import selector_matches
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    SELECTOR_PATHS,
    ClusterIndex,
    ClusterLabels,
    ClusterRef,
    Dependents,
    Selection,
    matching_clusters,
    selects,
)
from tests.support.plans import custom

_EAST = ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", "east")
_WEST = ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", "west")
_OTHER = ClusterRef(kinds.CAPI_CLUSTER, "other", "east")
_BARE = ClusterRef(kinds.CAPI_CLUSTER, "other", "bare")
_LABELS = {
    _EAST: {"env": "prod", "zone": "a"},
    _WEST: {"env": "prod", "zone": "b"},
    _OTHER: {"env": "test", "zone": "a"},
    _BARE: dict[str, str](),
}


def _index() -> ClusterIndex:
    index = ClusterIndex()
    for cluster, labels in _LABELS.items():
        index.add(cluster, labels)
    return index


_LABEL_SETS: list[JsonObject] = [
    {}, {"zone": "a"}, {"zone": "b"}, {"zone": ""}, {"zone": "7"}, {"zone": 7}, {"zone": ["a"], "env": "prod"},
    {"env": "prod"}, {"env": "prod", "zone": "a"},
]  # fmt: skip
"""The labels may be malformed, as in a folder of files."""
_SELECTORS: list[JsonObject] = [
    {"matchLabels": {"zone": "a"}},
    {"matchLabels": {"zone": "a", "env": "prod"}},
    *(
        {**required, "matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}
        for required in ({}, {"matchLabels": {"env": "prod"}})
        for operator in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Other")
        for values in (["a"], ["a", "b"], ["6"], [7], [])
    ),
]


@pytest.fixture(params=["plain", "index"])
def clusters(request: pytest.FixtureRequest) -> ClusterLabels:
    """The same clusters as a plain mapping and as a ClusterIndex."""
    return _index() if request.param == "index" else _LABELS


def _profile(kind: Kind = kinds.CLUSTER_PROFILE, namespace: str = "", **spec: Any) -> JsonObject:
    return custom(kind, "one", spec, namespace)


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}, {"matchExpressions": []}, {"matchLabels": None}])
@pytest.mark.parametrize("kind", sorted(SELECTOR_PATHS))
def test_an_empty_selector_matches_nothing(clusters: ClusterLabels, kind: Kind, selector: JsonObject) -> None:
    """For every kind. In Kubernetes an empty selector would match everything."""
    spec: JsonObject = {"clusterSelector": selector, "sourceClusterSelector": selector}
    spec["stages"] = [{"name": "first", "clusterSelector": selector}]
    namespace = "fleet" if kind in (kinds.PROFILE, kinds.SET) else ""
    assert selects(custom(kind, "one", spec, namespace), clusters) == Selection(frozenset())


@pytest.mark.parametrize(
    ("expression", "matched"),
    [
        ({"key": "zone", "operator": "In", "values": ["a"]}, {_EAST, _OTHER}),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, {_WEST, _BARE}),
        ({"key": "zone", "operator": "Exists"}, {_EAST, _WEST, _OTHER}),
        ({"key": "zone", "operator": "DoesNotExist"}, {_BARE}),
        ({"key": "zone", "operator": "Unknown"}, set()),
    ],
)
def test_expressions_alone_and_with_labels(
    clusters: ClusterLabels, expression: JsonObject, matched: set[ClusterRef]
) -> None:
    """Expressions alone are evaluated on every cluster, even without labels; with matchLabels, both must match."""
    alone = selects(_profile(clusterSelector={"matchExpressions": [expression]}), clusters)
    both = {"matchLabels": {"env": "prod"}, "matchExpressions": [expression]}
    assert alone.clusters == matched
    assert selects(_profile(clusterSelector=both), clusters).clusters == matched & {_EAST, _WEST}


@pytest.mark.parametrize("first", _LABEL_SETS)
@pytest.mark.parametrize("second", _LABEL_SETS)
def test_a_relabelled_cluster_is_selected_by_its_new_labels(first: JsonObject, second: JsonObject) -> None:
    """The result depends only on the new labels."""
    index = ClusterIndex()
    for labels in (first, second):
        index.add(_EAST, labels)
        for selector in _SELECTORS:
            expected = {_EAST} if selector_matches(selector, labels) else set()
            assert selects(_profile(clusterSelector=selector), index).clusters == expected, selector


def test_every_required_label_must_fit(clusters: ClusterLabels) -> None:
    """The index looks up the first label only; the other labels are compared as well."""
    for labels in ({"env": "prod", "zone": "a"}, {"zone": "a", "env": "prod"}):
        assert selects(_profile(clusterSelector={"matchLabels": labels}), clusters).clusters == {_EAST}


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("env=prod", {_EAST, _WEST}),
        ("env==prod, zone=a", {_EAST}),
        ("env!=prod", {_OTHER, _BARE}),
        ("zone in (a, c),env", {_EAST, _OTHER}),
        ("zone notin (a)", {_WEST, _BARE}),
        ("!zone", {_BARE}),
        ("", set()),
    ],
)
@pytest.mark.parametrize("kind", sorted(SELECTOR_PATHS))
def test_a_selector_in_text_form(clusters: ClusterLabels, kind: Kind, text: str, matched: set[ClusterRef]) -> None:
    """The form of Sveltos' API v1alpha1, for every kind with selectors; an empty text matches nothing."""
    spec: JsonObject = {"clusterSelector": text, "sourceClusterSelector": text}
    spec["stages"] = [{"name": "first", "clusterSelector": text}]
    namespace = "fleet" if kind in (kinds.PROFILE, kinds.SET) else ""
    in_scope = {cluster for cluster in matched if namespace in ("", cluster.namespace)}

    assert selects(custom(kind, "one", spec, namespace), clusters) == Selection(frozenset(in_scope))


@pytest.mark.parametrize(
    "selector",
    [
        "env in prod",
        "env = prod = test",
        [1],
        7,
        {"matchLabels": "env=prod"},
        {"matchLabels": {"env": ["prod"]}},
        {"matchExpressions": "env"},
        {"matchExpressions": ["env"]},
        {"matchExpressions": [{"key": "env", "operator": "In", "values": "prod"}]},
    ],
)
def test_a_malformed_selector_matches_nothing_and_is_not_certain(clusters: ClusterLabels, selector: Any) -> None:
    """A directory of files may hold such an object. The other rules of the object still apply."""
    reference = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "namespace": "other", "name": "bare"}

    selection = selects(_profile(clusterSelector=selector, clusterRefs=[reference]), clusters)

    assert selection == Selection(frozenset({_BARE}), certain=False)


def test_a_profile_selects_in_its_own_namespace(clusters: ClusterLabels) -> None:
    """By selector and by reference; the namespace in the reference is ignored."""
    reference = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "namespace": "fleet", "name": "bare"}
    spec: JsonObject = {"clusterSelector": {"matchLabels": {"zone": "a"}}, "clusterRefs": [reference]}
    assert selects(_profile(kinds.PROFILE, "other", **spec), clusters).clusters == {_OTHER, _BARE}
    assert selects(_profile(kinds.PROFILE, "fleet", **spec), clusters).clusters == {_EAST}
    assert selects(_profile(**spec), clusters).clusters == {_EAST, _OTHER}


def _set(name: str = "zone", *, status: JsonObject | None = None, **spec: Any) -> JsonObject:
    document = custom(kinds.CLUSTER_SET, name, {"clusterSelector": {"matchLabels": {"zone": "a"}}, **spec})
    return {**document, "status": status} if status is not None else document


def _cluster_refs(*clusters: ClusterRef) -> list[JsonObject]:
    return [
        {
            "apiVersion": f"{cluster.kind.group}/v1beta1",
            "kind": cluster.kind.name,
            "namespace": cluster.namespace,
            "name": cluster.name,
        }
        for cluster in clusters
    ]


def _by_set(
    clusters: ClusterLabels, document: JsonObject, *, outdated: bool = False, **spec: Any
) -> tuple[set[ClusterRef], bool]:
    key = ObjectKey.of(document)
    selection = selects(
        _profile(setRefs=[key.name, "missing"], **spec), clusters, {key: document}, outdated={key} if outdated else ()
    )
    return set(selection.clusters), selection.certain


def test_clusters_of_sets_are_added_to_those_of_the_selector(clusters: ClusterLabels) -> None:
    """A profile matches by its selector and by each of its sets; a missing set adds nothing."""
    selected = _by_set(clusters, _set(maxReplicas=5), clusterSelector={"matchLabels": {"zone": "b"}})
    assert selected == ({_EAST, _WEST, _OTHER}, True)


@pytest.mark.parametrize("spec", [{}, {"maxReplicas": 0}, {"maxReplicas": None}])
def test_a_set_without_max_replicas_selects_no_cluster(clusters: ClusterLabels, spec: JsonObject) -> None:
    """Neither by its selector nor by its status, in which Sveltos lists the matching clusters nevertheless."""
    assert _by_set(clusters, _set(**spec)) == (set(), True)
    status = {"matchingClusterRefs": _cluster_refs(_EAST, _OTHER)}
    assert _by_set(clusters, _set(status=status, **spec)) == (set(), True)


def test_a_profile_reads_the_status_of_a_set(clusters: ClusterLabels) -> None:
    """A profile reads selectedClusterRefs and not the selector, until a change makes the status out of date."""
    status = {"matchingClusterRefs": _cluster_refs(_EAST, _WEST), "selectedClusterRefs": _cluster_refs(_WEST)}
    assert _by_set(clusters, _set(maxReplicas=5, status=status)) == ({_WEST}, True)
    assert _by_set(clusters, _set(maxReplicas=5, status=status), outdated=True) == ({_EAST, _OTHER}, True)


def test_a_set_that_was_just_written_is_evaluated(clusters: ClusterLabels) -> None:
    """The status of a new set is empty, and an archived set has none."""
    statuses: tuple[JsonObject | None, ...] = (None, {})
    for status in statuses:
        assert _by_set(clusters, _set(maxReplicas=5, status=status)) == ({_EAST, _OTHER}, True)


def test_a_cluster_that_is_no_longer_registered_is_not_selected(clusters: ClusterLabels) -> None:
    """The status of a set may name the cluster until Sveltos writes the status again."""
    gone = ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", "gone")
    assert _by_set(clusters, _set(maxReplicas=5, status={"selectedClusterRefs": _cluster_refs(_EAST, gone)})) == (
        {_EAST},
        True,
    )


@pytest.mark.parametrize(
    ("limit", "selected", "expected"),
    [
        (1, [], ({_EAST, _OTHER}, False)),
        (1, [_OTHER], ({_OTHER}, True)),
        (1, [_WEST], ({_EAST, _OTHER}, False)),
        (1, [_EAST, _OTHER], ({_EAST, _OTHER}, False)),
        (2, [_WEST], ({_EAST, _OTHER}, True)),
    ],
)
def test_a_changed_set_keeps_its_selected_clusters(
    clusters: ClusterLabels, limit: int, selected: list[ClusterRef], expected: tuple[set[ClusterRef], bool]
) -> None:
    """A cluster that still matches stays selected. Which others Sveltos adds or drops is not certain."""
    document = _set(maxReplicas=limit, status={"selectedClusterRefs": _cluster_refs(*selected)})
    assert _by_set(clusters, document, outdated=True) == expected


def test_a_capture_keeps_a_cluster_that_is_not_ready(clusters: ClusterLabels) -> None:
    """Sveltos drops the cluster from the status of the set and of the profile; the sample must keep the cluster."""
    key = ObjectKey.of(_set())
    sets = {key: _set(maxReplicas=5, status={"matchingClusterRefs": _cluster_refs(_EAST), "selectedClusterRefs": []})}
    assert matching_clusters(_profile(setRefs=["zone"]), clusters, sets) == {_EAST, _OTHER}


def _depending(name: str, *others: str, kind: Kind = kinds.CLUSTER_PROFILE, namespace: str = "") -> JsonObject:
    return custom(kind, name, {"dependsOn": list(others)}, namespace)


def _key(name: str) -> ObjectKey:
    return ObjectKey(kinds.CLUSTER_PROFILE, "", name)


def test_a_prerequisite_is_deployed_where_its_dependents_are() -> None:
    """Direct and indirect dependents count, also in a circle; the selector of the prerequisite does not matter."""
    matches = {"base": {_WEST}, "middle": set[ClusterRef](), "top": {_EAST}, "other": {_BARE}}
    profiles = [_depending("top", "middle"), _depending("middle", "base", "missing"), _depending("base", "top")]
    dependents = Dependents([*profiles, _depending("other")])

    def own(key: ObjectKey) -> frozenset[ClusterRef]:
        return frozenset(matches[key.name])

    assert dependents.deployed_on(_key("base"), own) == {_WEST, _EAST}
    assert dependents.deployed_on(_key("other"), own) == {_BARE}
    assert dependents.of(_key("missing")) == {_key("middle"), _key("top"), _key("base")}
    assert dependents.prerequisites(_key("top")) == {_key("middle"), _key("base"), _key("missing")}


def test_a_profile_depends_on_profiles_of_its_own_namespace() -> None:
    """``dependsOn`` names profiles of the same kind, and for a Profile of the same namespace."""
    dependents = Dependents([_depending("a", "b", kind=kinds.PROFILE, namespace="fleet"), _depending("a", "b")])
    assert dependents.of(ObjectKey(kinds.PROFILE, "fleet", "b")) == {ObjectKey(kinds.PROFILE, "fleet", "a")}
    assert dependents.of(_key("b")) == {_key("a")}
    assert not dependents.of(ObjectKey(kinds.PROFILE, "other", "b"))


def test_the_clusters_of_all_stages_match_a_promotion(clusters: ClusterLabels) -> None:
    """Each stage has its own selector; an empty selector adds nothing."""
    selectors: list[JsonObject] = [{"matchLabels": {"env": "test"}}, {}, {"matchLabels": {"zone": "b"}}]
    stages = [{"name": str(number), "clusterSelector": selector} for number, selector in enumerate(selectors)]
    assert selects(custom(kinds.CLUSTER_PROMOTION, "one", {"stages": stages}), clusters).clusters == {_OTHER, _WEST}


def test_a_copy_of_the_index_can_be_relabelled_alone() -> None:
    """A plan evaluates several states of the labels."""
    index = _index()
    profile = _profile(clusterSelector={"matchLabels": {"zone": "a"}})

    copy = index.copied()
    copy.add(_EAST, {"zone": "b"})
    copy.add(_BARE, {"zone": "a"})

    assert selects(profile, copy).clusters == {_OTHER, _BARE}
    assert selects(profile, index).clusters == {_EAST, _OTHER}
    new = ClusterRef(kinds.CAPI_CLUSTER, "other", "new")
    index.add(new, {"zone": "a"})
    assert selects(profile, index).clusters == {_EAST, _OTHER, new}
