"""The check of cluster and namespace filters: every source of names is used, and an error suggests other names."""

from __future__ import annotations

import pytest

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import IncompleteKind, IncompleteReason, JsonObject, Substitute
from gitsnap.history import filter_check
from gitsnap.sveltos import kinds
from gitsnap.sveltos.filters import Filters
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import O, W, build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile

_SUMMARY = {
    "apiVersion": "config.projectsveltos.io/v1beta1",
    "kind": "ClusterSummary",
    "metadata": {"namespace": "tenant-a", "name": "base-capi-orders"},
    "spec": {"clusterNamespace": "tenant-a", "clusterName": "orders", "clusterType": "Capi"},
}
_KNOWING = {
    "registered": cluster(O),
    "with a configuration": inventory_of(O, deployed_by("base", "/Service test/web")),
    "with a summary": _SUMMARY,
    "matched": profile("base", {}, O),
    "destination": {
        "apiVersion": "lib.projectsveltos.io/v1beta1",
        "kind": "EventTrigger",
        "metadata": {"name": "pods"},
        "spec": {},
        "status": {"destinationMatchingClusterRefs": profile("base", {}, O)["status"]["matchingClusters"]},
    },
}


@pytest.mark.parametrize("document", _KNOWING.values(), ids=_KNOWING.keys())
@pytest.mark.parametrize("name", ["orders", "capi--orders", "tenant-a/orders", "tenant-a/capi--orders"])
def test_all_sources_of_cluster_names(document: JsonObject, name: str) -> None:
    """On either side of a comparison, in each notation of its name, and with its namespace."""
    for trees in ([build([document]), build([])], [build([]), build([document])]):
        assert filter_check.check_filters(Filters(("tenant-a",), (name,)), trees, where="a or b") == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("order", "The nearest names: orders."),
        ("sveltos--orders", "The nearest names: sveltos--west, capi--orders."),
        ("tenat-a/orders", "The nearest names: tenant-a/orders."),
        ("default/capi--orders", "The nearest names: tenant-a/capi--orders, default/sveltos--west."),
        ("zzz", "Existing names: orders, west."),
    ],
)
def test_an_unknown_cluster_name(name: str, hint: str) -> None:
    """The name is an error also beside known names, and the suggestions use its notation."""
    trees = [build([cluster(O)]), build([cluster(O), cluster(W)])]

    with pytest.raises(NotFoundError) as caught:
        filter_check.check_filters(Filters(clusters=("west", name)), trees, where="a or b")

    assert caught.value.message == f"there is no managed cluster {name} in a or b"
    assert caught.value.hint == hint


def test_without_any_cluster() -> None:
    """Without any cluster the error has no suggestion."""
    with pytest.raises(NotFoundError) as caught:
        filter_check.check_filters(Filters(clusters=("west",)), [build([])], where="a")

    assert caught.value.hint == "It has no managed clusters."


def test_a_known_name_reads_no_file() -> None:
    """The check of a known name reads no file."""
    tree = build([cluster(W), *_KNOWING.values()])

    filter_check.check_filters(Filters(("default",), ("west", "orders")), [tree], where="a")

    assert tree.reads == 0


def test_an_empty_namespace() -> None:
    """A namespace without objects and clusters on both sides is misspelled or empty."""
    referring = profile("base", {"policyRefs": [policy_ref("web", namespace="team-a")]}, W)
    trees = [build([referring, config_map("web", {}, namespace="team-a")]), build([cluster(W)])]
    assert filter_check.check_filters(Filters(("team-a", "default")), trees, where="a or b") == []

    remarks = filter_check.check_filters(Filters(("default", "teama")), trees, where="a or b")

    assert remarks == ["there is nothing in the namespace teama in a or b. The nearest names: team-a."]


def test_missing_kinds_may_have_the_name() -> None:
    """A tree that lacks a kind cannot prove absence. A tree that carried the kind forward can."""

    def lacking(substitute: Substitute) -> list[IncompleteKind]:
        return [IncompleteKind(kinds.SVELTOS_CLUSTER, substitute, IncompleteReason.FORBIDDEN)]

    filters = Filters(("team-a",), ("west",))
    unsure = build([], incomplete=tuple(lacking(Substitute.MISSING)))
    assert filter_check.check_filters(filters, [unsure], where="a") == []
    with pytest.raises(NotFoundError, match="cluster west"):
        filter_check.check_filters(filters, [build([], incomplete=tuple(lacking(Substitute.CARRIED)))], where="a")


def test_the_names_of_a_cluster() -> None:
    """All notations in the help of --cluster."""
    assert ClusterRef(kinds.CAPI_CLUSTER, "ns", "a").names == {"a", "capi--a", "ns/a", "ns/capi--a"}
