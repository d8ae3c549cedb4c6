"""Rows for what Sveltos deploys by ClusterProfiles that it made itself, of a ClusterPromotion or an EventTrigger."""

from __future__ import annotations

from typing import Any

from gitsnap.compare import compare
from gitsnap.model import JsonObject
from tests.support.trees import W, build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile, summary

_SEE = "use --raw-diff option to see diff"
_MARK = {
    "promotion": "config.projectsveltos.io/promotionname",
    "trigger": "eventtrigger.lib.projectsveltos.io/eventtriggername",
}


def _service(name: str, port: int) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: test\nspec:\n  port: {port}\n"


def _promotion(add_ons: JsonObject) -> JsonObject:
    stage = {"name": "all", "clusterSelector": {"matchLabels": {"env": "a"}}, "trigger": {"auto": {}}}
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterPromotion",
        "metadata": {"name": "rollout"},
        "spec": {"profileSpec": add_ons, "stages": [stage]},
    }


def _trigger(add_ons: JsonObject) -> JsonObject:
    return {
        "apiVersion": "lib.projectsveltos.io/v1beta1",
        "kind": "EventTrigger",
        "metadata": {"name": "on-service"},
        "spec": {"sourceClusterSelector": {"matchLabels": {"env": "a"}}, "eventSourceName": "x", **add_ons},
    }


def _stage(maker: JsonObject, port: int = 1, *, failed: bool = False, mark: str = "promotion") -> list[JsonObject]:
    made = profile("made", {"policyRefs": [policy_ref("content")]}, W)
    made["metadata"]["labels"] = {_MARK[mark]: maker["metadata"]["name"]}
    return [
        cluster(W, env="a"),
        maker,
        made,
        config_map("content", {"all.yaml": _service("a", port) + "---\n" + _service("b", 1)}),
        config_map("other", {"all.yaml": _service("c", port)}),
        profile("p", {"policyRefs": [policy_ref("other")]}, W),
        summary(W, "made", Resources=f"{'Failed' if failed else 'Provisioned'} {port}"),
        inventory_of(
            W,
            deployed_by("made", *([] if failed else ["/Service test/a", "/Service test/b"])),
            deployed_by("p", "/Service test/c"),
        ),
    ]


def _rows(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[Any, ...]]:
    return [(row.name, str(row.action), row.message) for row in compare(build(before), build(after)).rows]


def test_a_document_that_a_promotion_rolls_out() -> None:
    """The profile that Sveltos made of it is no configuration; what it deployed is compared all the same."""
    maker = _promotion({"policyRefs": [policy_ref("content")]})

    assert _rows(_stage(maker), _stage(maker, 2)) == [("a", "modified", _SEE), ("c", "modified", _SEE)]
    assert _rows(_stage(maker), _stage(maker)) == []


def test_a_document_that_an_event_trigger_deploys() -> None:
    """On the clusters that it watches."""
    maker = _trigger({"policyRefs": [policy_ref("content")]})

    rows = _rows(_stage(maker, mark="trigger"), _stage(maker, 2, mark="trigger"))

    assert [row[:2] for row in rows] == [("a", "modified"), ("c", "modified")]


def test_a_patch_of_a_promotion() -> None:
    """It is the profile's, so that what another profile deploys is not patched."""
    patch = {"target": {"kind": "Service"}, "patch": "- op: remove\n  path: /spec\n"}
    plain = _promotion({"policyRefs": [policy_ref("content")]})
    patched = _promotion({"policyRefs": [policy_ref("content")], "patches": [patch]})

    message = "patched otherwise, compare ClusterPromotion rollout (not applied yet)"
    assert _rows(_stage(plain), _stage(patched)) == [("a", "modified", message), ("b", "modified", message)]


def test_a_failure_of_a_made_profile() -> None:
    """What it deployed cannot be told, so that nothing is said to be deleted."""
    maker = _promotion({"policyRefs": [policy_ref("content")]})

    assert _rows(_stage(maker), _stage(maker, failed=True)) == []
