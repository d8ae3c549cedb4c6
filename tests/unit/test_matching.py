"""Which clusters an object's own rules select: every caller rests on these, with an index of labels or without."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import SELECTOR_PATHS, ClusterLabels, ClusterRef, LabelIndex, Selection, selects
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


def _index() -> LabelIndex:
    index = LabelIndex()
    for cluster, labels in _LABELS.items():
        index.add(cluster, labels)
    return index


@pytest.fixture(params=["plain", "index"])
def clusters(request: pytest.FixtureRequest) -> ClusterLabels:
    """The same clusters twice: gone through, and looked up by label."""
    return _index() if request.param == "index" else _LABELS


def _profile(kind: Kind = kinds.CLUSTER_PROFILE, namespace: str = "", **spec: Any) -> JsonObject:
    return custom(kind, "one", spec, namespace)


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}, {"matchExpressions": []}, {"matchLabels": None}])
@pytest.mark.parametrize("kind", sorted(SELECTOR_PATHS))
def test_an_empty_selector_matches_nothing(clusters: ClusterLabels, kind: Kind, selector: JsonObject) -> None:
    """Whatever the kind: in Sveltos no selector is no match, where Kubernetes would take it for all."""
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
        ({"key": "zone", "operator": "Unheard"}, set()),
    ],
)
def test_expressions_alone_and_with_labels(
    clusters: ClusterLabels, expression: JsonObject, matched: set[ClusterRef]
) -> None:
    """Alone they look at every cluster, also one without any label; labels beside them must fit as well."""
    alone = selects(_profile(clusterSelector={"matchExpressions": [expression]}), clusters)
    both = {"matchLabels": {"env": "prod"}, "matchExpressions": [expression]}
    assert alone.clusters == matched
    assert selects(_profile(clusterSelector=both), clusters).clusters == matched & {_EAST, _WEST}


def test_every_required_label_must_fit(clusters: ClusterLabels) -> None:
    """Not only the one that is looked up, whichever comes first."""
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
    """As Sveltos' API had it up to v1alpha1, for each kind that selects; an empty one is none here, too."""
    spec: JsonObject = {"clusterSelector": text, "sourceClusterSelector": text}
    spec["stages"] = [{"name": "first", "clusterSelector": text}]
    namespace = "fleet" if kind in (kinds.PROFILE, kinds.SET) else ""
    seen = {one for one in matched if namespace in ("", one.namespace)}

    assert selects(custom(kind, "one", spec, namespace), clusters) == Selection(frozenset(seen))


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
def test_what_is_no_selector_matches_nothing_and_is_not_certain(clusters: ClusterLabels, selector: Any) -> None:
    """A folder may hold anything; what else the object selects holds all the same."""
    reference = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "namespace": "other", "name": "bare"}

    found = selects(_profile(clusterSelector=selector, clusterRefs=[reference]), clusters)

    assert found == Selection(frozenset({_BARE}), certain=False)


def test_a_profile_sees_its_own_namespace(clusters: ClusterLabels) -> None:
    """By selector and by reference, where the namespace that is written does not count."""
    reference = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "namespace": "fleet", "name": "bare"}
    spec: JsonObject = {"clusterSelector": {"matchLabels": {"zone": "a"}}, "clusterRefs": [reference]}
    assert selects(_profile(kinds.PROFILE, "other", **spec), clusters).clusters == {_OTHER, _BARE}
    assert selects(_profile(kinds.PROFILE, "fleet", **spec), clusters).clusters == {_EAST}
    assert selects(_profile(**spec), clusters).clusters == {_EAST, _OTHER}


def test_sets_are_united_with_what_is_selected(clusters: ClusterLabels) -> None:
    """One that Sveltos chooses from makes it uncertain; one that is missing adds nothing."""
    all_of_zone = custom(kinds.CLUSTER_SET, "zone", {"clusterSelector": {"matchLabels": {"zone": "a"}}})
    chosen = custom(kinds.CLUSTER_SET, "chosen", {"clusterSelector": {"matchLabels": {"zone": "a"}}, "maxReplicas": 1})
    sets = {ObjectKey.of(one): one for one in (all_of_zone, chosen)}
    selector = {"matchLabels": {"zone": "b"}}

    united = selects(_profile(clusterSelector=selector, setRefs=["zone", "missing"]), clusters, sets)

    assert united == Selection(frozenset({_EAST, _WEST, _OTHER}))
    assert selects(_profile(setRefs=["chosen"]), clusters, sets) == Selection(frozenset({_EAST, _OTHER}), certain=False)


def test_the_stages_of_a_promotion_are_united(clusters: ClusterLabels) -> None:
    """Each has a selector of its own; an empty one among them adds nothing."""
    selectors: list[JsonObject] = [{"matchLabels": {"env": "test"}}, {}, {"matchLabels": {"zone": "b"}}]
    stages = [{"name": str(number), "clusterSelector": one} for number, one in enumerate(selectors)]
    assert selects(custom(kinds.CLUSTER_PROMOTION, "one", {"stages": stages}), clusters).clusters == {_OTHER, _WEST}


def test_a_relabelled_copy_leaves_the_index_as_it_was() -> None:
    """Plans look at many states beside each other."""
    index = _index()
    profile = _profile(clusterSelector={"matchLabels": {"zone": "a"}})

    moved = index.relabelled(_EAST, {"zone": "b"}).relabelled(_BARE, {"zone": "a"})

    assert selects(profile, moved).clusters == {_OTHER, _BARE}
    assert selects(profile, index).clusters == {_EAST, _OTHER}
    new = ClusterRef(kinds.CAPI_CLUSTER, "other", "new")
    assert selects(profile, index.relabelled(new, {"zone": "a"})).clusters == {_EAST, _OTHER, new}
