"""Rows for add-ons of ClusterProfiles that Sveltos generates from a ClusterPromotion or an EventTrigger."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from tests.support.rows import (
    HAD_FAILED,
    SEE,
    chart,
    content,
    installed,
    joined,
    listed,
    referring,
    rows_by_name,
    service,
)
from tests.support.trees import W, build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile, summary

_MARK = {
    "promotion": "config.projectsveltos.io/promotionname",
    "trigger": "eventtrigger.lib.projectsveltos.io/eventtriggername",
}


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
    source, other = content(joined(service("a", port), service("b"))), content(service("c", port), "other")
    made = referring(source, name="made")
    made["metadata"]["labels"] = {_MARK[mark]: maker["metadata"]["name"]}
    deployed = deployed_by("made", *([] if failed else listed("a", "b"))), deployed_by("p", *listed("c"))
    return [
        cluster(W, env="a"),
        maker,
        made,
        source,
        other,
        referring(other),
        summary(W, "made", Resources=f"{'Failed' if failed else 'Provisioned'} {port}"),
        inventory_of(W, *deployed),
    ]


def test_a_document_that_a_promotion_rolls_out() -> None:
    """The generated profile is not archived. What it deploys is compared all the same."""
    maker = _promotion({"policyRefs": [policy_ref("content")]})

    assert rows_by_name(_stage(maker), _stage(maker, 2)) == [("a", "modified", SEE), ("c", "modified", SEE)]
    assert rows_by_name(_stage(maker), _stage(maker)) == []


def test_a_document_that_an_event_trigger_deploys() -> None:
    """The documents are deployed to the clusters that the trigger watches."""
    maker = _trigger({"policyRefs": [policy_ref("content")]})

    actual = rows_by_name(_stage(maker, mark="trigger"), _stage(maker, 2, mark="trigger"))

    assert [row[:2] for row in actual] == [("a", "modified"), ("c", "modified")]


def test_a_patch_of_a_promotion() -> None:
    """The patch belongs to the generated profile: resources of other profiles are not patched."""
    patch = {"target": {"kind": "Service"}, "patch": "- op: remove\n  path: /spec\n"}
    plain = _promotion({"policyRefs": [policy_ref("content")]})
    patched = _promotion({"policyRefs": [policy_ref("content")], "patches": [patch]})

    message = "patches changed, compare ClusterPromotion rollout (not applied yet)"
    assert rows_by_name(_stage(plain), _stage(patched)) == [("a", "modified", message), ("b", "modified", message)]


def test_a_failure_of_a_generated_profile() -> None:
    """What the generated profile deployed is unknown, so nothing is reported as deleted."""
    maker = _promotion({"policyRefs": [policy_ref("content")]})

    assert rows_by_name(_stage(maker), _stage(maker, failed=True)) == []


# Releases -------------------------------------------------------------------------------------------------------------


def _chart(version: str = "1.0.0", **more: Any) -> JsonObject:
    return chart(version, **{"chartName": "web", "values": "a: 1", "valuesFrom": [policy_ref("values")], **more})


def _charted(
    maker: JsonObject, values: str = "b: 1", *, deployed: bool = True, hashed: str = "x", **labels: str
) -> list[JsonObject]:
    """Return a producer with a chart, and the release that the generated profile deployed."""
    reported = summary(W, "made", Helm=f"Provisioned {hashed}")
    reported["status"]["helmReleaseSummaries"] = [
        {"releaseNamespace": "shop", "releaseName": "web", "valuesHash": hashed, "status": "Managing"}
    ]
    return [
        cluster(W, env="a", **labels),
        maker,
        config_map("values", {"values.yaml": values}),
        *([reported, inventory_of(W, deployed_by("made", charts=[installed()]))] if deployed else ()),
    ]


_MAKERS = {"promotion": _promotion, "trigger": _trigger}
_NAMES = {"promotion": "ClusterPromotion rollout", "trigger": "EventTrigger on-service"}


@pytest.mark.parametrize("kind", sorted(_MAKERS))
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"values": "a: 2"}, "values changed, compare {maker} (not applied yet)"),
        ({"values": "a: 2", "hashed": "y"}, "values changed, compare {maker}"),
        ({"values": "zone: {{ .Cluster.metadata.labels.zone }}"}, "values changed, compare {maker} (not applied yet)"),
        ({"valuesFrom": []}, "values changed, compare {maker} (not applied yet)"),
        ({"chartVersion": "2.0.0"}, "To version: 2.0.0 From version 1.0.0 (not applied yet)"),
        ({"chartName": "other"}, "To chart: other From chart web"),
        ({"values": "a: 1 # why"}, None),
    ],
)
def test_a_changed_chart_of_a_producer(kind: str, asked: dict[str, Any], message: str | None) -> None:
    """The generated profile is not archived: the chart is compared in its producer."""
    make, changed = _MAKERS[kind], {field: value for field, value in asked.items() if field != "hashed"}
    before = _charted(make({"helmCharts": [_chart()]}), zone="x")
    after = _charted(make({"helmCharts": [_chart(**changed)]}), zone="x", hashed=asked.get("hashed", "x"))

    wanted = [] if message is None else [("web", "modified", message.format(maker=_NAMES[kind]))]
    assert rows_by_name(before, after) == wanted


@pytest.mark.parametrize("kind", sorted(_MAKERS))
def test_values_of_a_producers_chart_from_another_object(kind: str) -> None:
    """The values are in a ConfigMap, or in a label of the cluster that a template reads."""
    maker = _MAKERS[kind]({"helmCharts": [_chart(values="zone: {{ .Cluster.metadata.labels.zone }}")]})
    before = _charted(maker, zone="x")

    assert rows_by_name(before, _charted(maker, "b: 2", zone="x")) == [
        ("web", "modified", "values changed, compare ConfigMap default/values (not applied yet)")
    ]
    assert rows_by_name(before, _charted(maker, zone="y")) == [
        ("web", "modified", "values changed, compare SveltosCluster default/west (not applied yet)")
    ]


def test_a_release_of_two_producers() -> None:
    """Two producers have a chart for the release: the one that the profile is generated from is unknown."""
    makers = [_promotion({"helmCharts": [_chart(values=values)]}) for values in ("a: 1", "a: 2")]
    other = _trigger({"helmCharts": [_chart()]})
    before, after = ([*_charted(maker), other] for maker in makers)

    assert rows_by_name(before, after) == []


def test_a_failed_release_of_a_generated_profile() -> None:
    """A known producer decides, as a profile does. With an unknown one the release may run, and nothing is deleted."""
    maker = _promotion({"helmCharts": [_chart()]})
    upgraded = _promotion({"helmCharts": [_chart("2.0.0")]})
    withdrawn = _promotion({"helmCharts": []})

    def failing(made_of: JsonObject) -> list[JsonObject]:
        return [*_charted(made_of, deployed=False), summary(W, "made", Helm="Failed y"), inventory_of(W)]

    assert rows_by_name(_charted(maker), failing(maker)) == []
    assert rows_by_name(_charted(maker), failing(upgraded)) == [
        ("web", "modified", "To version: 2.0.0 From version 1.0.0 (deployment failed)")
    ]
    assert rows_by_name(_charted(maker), failing(withdrawn)) == [("web", "deleted", "")]
    assert rows_by_name(_charted(withdrawn), failing(withdrawn)) == []
    assert rows_by_name(failing(withdrawn), _charted(withdrawn)) == [("web", "added", HAD_FAILED)]


# The management cluster -----------------------------------------------------------------------------------------------


def _management(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[Any, ...]]:
    comparison = compare(build(before), build(after))
    assert not comparison.rows
    return [(row.name, str(row.action), row.message) for row in comparison.management]


@pytest.mark.parametrize("kind", sorted(_MAKERS))
def test_a_producer_without_deployments_has_its_own_row(kind: str) -> None:
    """The row of the management cluster names the changed fields. No managed cluster has any of its add-ons yet."""
    make = _MAKERS[kind]
    before, after = (
        _charted(make({"helmCharts": [_chart(values=values)]}), deployed=False) for values in ("a: 1", "a: {{ .x }}")
    )

    place = "spec.profileSpec.helmCharts" if kind == "promotion" else "spec.helmCharts"
    name = before[1]["metadata"]["name"]
    assert _management(before, after) == [(name, "modified", f"{place}[0].values")]


@pytest.mark.parametrize("kind", sorted(_MAKERS))
def test_a_config_map_that_only_a_producer_refers_to(kind: str) -> None:
    """No resource may show the change, so the row names the producer, unless a profile refers to the ConfigMap, too."""
    maker = _MAKERS[kind]({"helmCharts": [_chart()]})
    before, after = (_charted(maker, values, deployed=False) for values in ("b: 1", "b: 2"))

    assert _management(before, after) == [
        ("values", "modified", f"data.values.yaml; referred to by {_NAMES[kind]}"),
    ]
    user = profile("p", {"policyRefs": [policy_ref("values")]}, W)
    assert _management([*before, user], [*after, user]) == [("values", "modified", "data.values.yaml")]
