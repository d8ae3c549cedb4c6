"""Which clusters an object's own rules select: every caller rests on these, with an index of labels or without.

Facts about sets and dependencies are those of SVELTOS.md, section 10.
"""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    SELECTOR_PATHS,
    ClusterLabels,
    ClusterRef,
    Dependents,
    LabelIndex,
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


def _set(name: str = "zone", *, status: JsonObject | None = None, **spec: Any) -> JsonObject:
    document = custom(kinds.CLUSTER_SET, name, {"clusterSelector": {"matchLabels": {"zone": "a"}}, **spec})
    return {**document, "status": status} if status is not None else document


def _listed(*clusters: ClusterRef) -> list[JsonObject]:
    return [
        {"apiVersion": f"{one.kind.group}/v1beta1", "kind": one.kind.name, "namespace": one.namespace, "name": one.name}
        for one in clusters
    ]


def _by_set(
    clusters: ClusterLabels, document: JsonObject, *, moved: bool = False, **spec: Any
) -> tuple[set[ClusterRef], bool]:
    key = ObjectKey.of(document)
    found = selects(
        _profile(setRefs=[key.name, "missing"], **spec), clusters, {key: document}, moved={key} if moved else ()
    )
    return set(found.clusters), found.certain


def test_sets_are_united_with_what_is_selected(clusters: ClusterLabels) -> None:
    """A profile matches by its selector and by each of its sets; a set that is missing adds nothing."""
    found = _by_set(clusters, _set(maxReplicas=5), clusterSelector={"matchLabels": {"zone": "b"}})
    assert found == ({_EAST, _WEST, _OTHER}, True)


@pytest.mark.parametrize("spec", [{}, {"maxReplicas": 0}, {"maxReplicas": None}])
def test_a_set_without_max_replicas_selects_no_cluster(clusters: ClusterLabels, spec: JsonObject) -> None:
    """SVELTOS.md 10.2: neither evaluated nor by its status, where Sveltos lists what matches all the same."""
    assert _by_set(clusters, _set(**spec)) == (set(), True)
    status = {"matchingClusterRefs": _listed(_EAST, _OTHER)}
    assert _by_set(clusters, _set(status=status, **spec)) == (set(), True)


def test_a_profile_follows_the_status_of_a_set(clusters: ClusterLabels) -> None:
    """SVELTOS.md 10.1: a profile reads selectedClusterRefs, not the selector, until a change makes that out of date."""
    status = {"matchingClusterRefs": _listed(_EAST, _WEST), "selectedClusterRefs": _listed(_WEST)}
    assert _by_set(clusters, _set(maxReplicas=5, status=status)) == ({_WEST}, True)
    assert _by_set(clusters, _set(maxReplicas=5, status=status), moved=True) == ({_EAST, _OTHER}, True)


def test_a_set_that_was_just_written_is_evaluated(clusters: ClusterLabels) -> None:
    """Its status is empty, as that of a set which an archive keeps without one."""
    written: tuple[JsonObject | None, ...] = (None, {})
    for status in written:
        assert _by_set(clusters, _set(maxReplicas=5, status=status)) == ({_EAST, _OTHER}, True)


def test_a_cluster_that_is_no_longer_registered_is_not_selected(clusters: ClusterLabels) -> None:
    """The status of a set may name it until Sveltos writes it again."""
    gone = ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", "gone")
    assert _by_set(clusters, _set(maxReplicas=5, status={"selectedClusterRefs": _listed(_EAST, gone)})) == (
        {_EAST},
        True,
    )


@pytest.mark.parametrize(
    ("limit", "selected", "found"),
    [
        (1, [], ({_EAST, _OTHER}, False)),
        (1, [_OTHER], ({_OTHER}, True)),
        (1, [_WEST], ({_EAST, _OTHER}, False)),
        (1, [_EAST, _OTHER], ({_EAST, _OTHER}, False)),
        (2, [_WEST], ({_EAST, _OTHER}, True)),
    ],
)
def test_a_changed_set_keeps_what_it_selected(
    clusters: ClusterLabels, limit: int, selected: list[ClusterRef], found: tuple[set[ClusterRef], bool]
) -> None:
    """A cluster that still matches stays selected; which other ones Sveltos takes, or drops, is not certain."""
    document = _set(maxReplicas=limit, status={"selectedClusterRefs": _listed(*selected)})
    assert _by_set(clusters, document, moved=True) == found


def test_a_capture_keeps_a_cluster_that_is_not_ready(clusters: ClusterLabels) -> None:
    """Sveltos drops it from the status of the set and of the profile; an outage removes nothing from a sample."""
    key = ObjectKey.of(_set())
    down = {key: _set(maxReplicas=5, status={"matchingClusterRefs": _listed(_EAST), "selectedClusterRefs": []})}
    assert matching_clusters(_profile(setRefs=["zone"]), clusters, down) == {_EAST, _OTHER}


def _depending(name: str, *others: str, kind: Kind = kinds.CLUSTER_PROFILE, namespace: str = "") -> JsonObject:
    return custom(kind, name, {"dependsOn": list(others)}, namespace)


def _key(name: str) -> ObjectKey:
    return ObjectKey(kinds.CLUSTER_PROFILE, "", name)


def test_a_prerequisite_is_deployed_where_its_dependents_are() -> None:
    """SVELTOS.md 10.3: transitively, whatever its own selector says, and in circles too."""
    rows = {"base": {_WEST}, "middle": set[ClusterRef](), "top": {_EAST}, "other": {_BARE}}
    profiles = [_depending("top", "middle"), _depending("middle", "base", "missing"), _depending("base", "top")]
    dependents = Dependents([*profiles, _depending("other")])

    def own(key: ObjectKey) -> frozenset[ClusterRef]:
        return frozenset(rows[key.name])

    assert dependents.deployed_on(_key("base"), own) == {_WEST, _EAST}
    assert dependents.deployed_on(_key("other"), own) == {_BARE}
    assert dependents.of(_key("missing")) == {_key("middle"), _key("top"), _key("base")}
    assert dependents.prerequisites(_key("top")) == {_key("middle"), _key("base"), _key("missing")}


def test_a_profile_depends_on_profiles_of_its_own_namespace() -> None:
    """``dependsOn`` has names only: of the same kind, and for a Profile of the same namespace."""
    dependents = Dependents([_depending("a", "b", kind=kinds.PROFILE, namespace="fleet"), _depending("a", "b")])
    assert dependents.of(ObjectKey(kinds.PROFILE, "fleet", "b")) == {ObjectKey(kinds.PROFILE, "fleet", "a")}
    assert dependents.of(_key("b")) == {_key("a")}
    assert not dependents.of(ObjectKey(kinds.PROFILE, "other", "b"))


def test_the_stages_of_a_promotion_are_united(clusters: ClusterLabels) -> None:
    """Each has a selector of its own; an empty one among them adds nothing."""
    selectors: list[JsonObject] = [{"matchLabels": {"env": "test"}}, {}, {"matchLabels": {"zone": "b"}}]
    stages = [{"name": str(number), "clusterSelector": one} for number, one in enumerate(selectors)]
    assert selects(custom(kinds.CLUSTER_PROMOTION, "one", {"stages": stages}), clusters).clusters == {_OTHER, _WEST}


def test_a_copy_of_the_index_can_be_relabelled_alone() -> None:
    """Plans look at many states beside each other."""
    index = _index()
    profile = _profile(clusterSelector={"matchLabels": {"zone": "a"}})

    moved = index.copied()
    moved.add(_EAST, {"zone": "b"})
    moved.add(_BARE, {"zone": "a"})

    assert selects(profile, moved).clusters == {_OTHER, _BARE}
    assert selects(profile, index).clusters == {_EAST, _OTHER}
    new = ClusterRef(kinds.CAPI_CLUSTER, "other", "new")
    index.add(new, {"zone": "a"})
    assert selects(profile, index).clusters == {_EAST, _OTHER, new}
