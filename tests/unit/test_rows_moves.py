"""Rows where the inventory alone misleads: moved resources, failures elsewhere, patches, namespaces, labels."""

from __future__ import annotations

from typing import Any

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from gitsnap.sveltos.kinds import CAPI_CLUSTER
from gitsnap.sveltos.matching import ClusterRef
from tests.support.rows import (
    NOT_APPLIED,
    SEE,
    chart,
    content,
    installed,
    listed,
    referring,
    rows,
    service,
    services,
    stage,
)
from tests.support.trees import (
    O,
    W,
    build,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    summary,
)


def _two(owner: str, port: int = 1, *, failed: str = "", lost: bool = False) -> list[JsonObject]:
    """Return two profiles. One of them deploys a Service to a cluster."""
    source = content(service("a", port))
    objects = [
        cluster(W),
        source,
        *(referring(*([source] if name == owner else []), name=name) for name in ("p", "q")),
        inventory_of(W, deployed_by(owner, *([] if lost else listed("a")))),
    ]
    return [*objects, summary(W, failed, Resources="Failed aaaa")] if failed else objects


def test_a_resource_that_another_profile_deploys_now() -> None:
    """The resource exists before and after: there is no row unless its document differs."""
    assert rows(_two("p"), _two("q")) == []
    assert rows(_two("p"), _two("q", port=2)) == [("/Service", "test/a", "modified", SEE)]


def test_a_resource_on_its_way_to_a_profile_that_fails() -> None:
    """The deployment of the new profile failed before it listed the resource, which still runs."""
    assert rows(_two("p"), _two("q", failed="q", lost=True)) == []


def test_a_resource_that_changes_while_it_moves_to_or_from_a_profile_that_fails() -> None:
    """One inventory or both lack the entry. The resource has one row in each case."""
    before, after = _two("p"), _two("q", port=2)
    lost_before, lost_after = _two("p", failed="p", lost=True), _two("q", port=2, failed="q", lost=True)

    for old, new in ((before, lost_after), (lost_before, after), (lost_before, lost_after)):
        assert [row[:3] for row in rows(old, new)] == [("/Service", "test/a", "modified")]


def test_a_failure_keeps_only_configured_resources() -> None:
    """A document that no profile configures any more is deleted, whatever else failed."""
    after = _two("p", failed="p", lost=True)
    after[1]["data"] = {"all.yaml": ""}

    assert [row[:3] for row in rows(_two("p"), after)] == [("/Service", "test/a", "deleted")]


def _patched(*patches: JsonObject, **spec: Any) -> list[JsonObject]:
    return stage(content(services("ab")), *listed("a", "b"), patches=list(patches), **spec)


def test_a_patch_modifies_selected_resources() -> None:
    """The documents are the same, but the resources differ."""
    patch = {"target": {"kind": "Service", "name": "a.*"}, "patch": "- op: add\n  path: /spec/x\n  value: 1\n"}

    assert rows(_patched(), _patched(patch)) == [
        ("/Service", "test/a", "modified", "patches changed, compare ClusterProfile p")
    ]
    assert rows(_patched(patch), _patched(patch)) == []


def test_a_patch_without_a_target_or_with_a_pattern_that_cannot_be_read_selects_all() -> None:
    """Such a patch may apply to every resource: an extra row is better than a hidden change."""
    for target in ({}, {"name": "("}):
        actual = rows(_patched(), _patched({"target": target, "patch": "- op: remove\n  path: /spec/x\n"}))
        assert [row[1] for row in actual] == ["test/a", "test/b"]


def test_a_patch_from_a_config_map() -> None:
    """The text of the patch is compared, and the row names its ConfigMap."""

    def patched(value: int) -> list[JsonObject]:
        text = f"target:\n  kind: Service\n  name: b\npatch: |\n  - op: add\n    path: /spec/x\n    value: {value}\n"
        return [
            *_patched(patchesFrom=[policy_ref("patches")]),
            config_map("patches", {"one": text}),
        ]

    assert rows(patched(1), patched(2)) == [
        ("/Service", "test/b", "modified", "patches changed, compare ConfigMap default/patches")
    ]


def test_a_patch_from_a_secret_is_noticed_and_not_shown() -> None:
    """The values are fingerprints, so the target of the patch is unknown."""

    def patched(value: str) -> list[JsonObject]:
        spec = {"patchesFrom": [policy_ref("patches", "Secret")]}
        return [*_patched(**spec), secret("patches", {"one": value})]

    actual = rows(patched("very-secret-a"), patched("very-secret-b"))

    assert [row[1] for row in actual] == ["test/a", "test/b"]
    assert all("compare Secret default/patches" in row[3] for row in actual)


def test_a_cluster_scoped_document_that_loses_its_namespace() -> None:
    """The namespace has no meaning: the resource is the same and does not change."""

    def written(namespace: str, kind: str, deployed: str) -> list[JsonObject]:
        text = service("a", namespace=namespace).replace("Service", kind).replace("v1", "example.com/v1", 1)
        return stage(content(text), f"example.com/{kind} {deployed}")

    assert rows(written("test", "Realm", "/a"), written("", "Realm", "/a")) == []
    moved = rows(written("test", "Room", "test/a"), written("", "Room", "default/a"))
    assert [row[1:3] for row in moved] == [("default/a", "added"), ("test/a", "deleted")]


def _labelled(env: str, *names: str) -> list[JsonObject]:
    selector = {"clusterSelector": {"matchLabels": {"env": "production"}}}
    fleet = [profile(name, selector, *([W] if env == "production" else [])) for name in names]
    return [cluster(W, env=env), cluster(O), *fleet]


def test_the_label_of_a_cluster_names_profiles_that_start_and_stop_matching() -> None:
    """The row of the cluster names the first profiles and counts the others."""
    (came,) = compare(build(_labelled("test", "p")), build(_labelled("production", "p"))).management
    (went,) = compare(build(_labelled("production", "p")), build(_labelled("test", "p"))).management

    assert came.message == "metadata.labels.env; now matched by ClusterProfile p"
    assert went.message == "metadata.labels.env; no longer matched by ClusterProfile p"

    names = ("a", "b", "c", "d", "e")
    (many,) = compare(build(_labelled("test", *names)), build(_labelled("production", *names))).management
    assert many.message.endswith("now matched by ClusterProfile a, ClusterProfile b, ClusterProfile c and 2 more")


def _moving(owner: str, port: int, deployer: str, *others: str) -> list[JsonObject]:
    """Return two profiles: ``owner`` is configured to deploy a Service, ``deployer`` is listed in the inventory."""
    names, source = sorted({"p", owner, *others}), content(service("a", port))
    return [
        cluster(W),
        source,
        *(referring(*([source] if name == owner else []), name=name) for name in names),
        *(summary(W, name, Resources="Provisioned aaaa") for name in names),
        inventory_of(W, deployed_by(deployer, *listed("a"))),
    ]


def test_a_resource_that_is_to_move_and_to_change() -> None:
    """The inventory is not up to date. The change is a row now, since no later comparison shows it; the move is not."""
    before = _moving("p", 1, "p", "q")

    assert rows(before, _moving("q", 2, "p")) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]
    assert rows(before, _moving("q", 1, "p")) == []
    assert rows(_moving("q", 2, "p"), _moving("q", 2, "q")) == []


def test_a_resource_that_is_to_move_to_a_new_profile() -> None:
    """The new profile did not exist before."""
    actual = rows(_moving("p", 1, "p"), _moving("new", 2, "p"))

    assert actual == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]


def test_a_resource_of_a_profile_that_is_gone_and_that_is_to_change() -> None:
    """Another profile, old or new, replaced the profile, and the inventory is not up to date."""
    for others in ((), ("q",)):
        before, after = _moving("p", 1, "p", *others), _moving("q", 2, "p", *others)
        gone = [
            document
            for document in after
            if (document["kind"], document["metadata"]["name"]) != ("ClusterProfile", "p")
        ]

        assert rows(before, gone) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]


def test_a_document_that_leaves_beside_a_secret_that_changes() -> None:
    """A resource of the removed document does not come from the Secret, although the inventory still lists it."""
    source = content(service("a"))

    def hiding(password: str, *sources: JsonObject) -> list[JsonObject]:
        hidden = content(password, "hidden", "Secret")
        deployed = inventory_of(W, deployed_by("p", *listed("a"), "/Secret test/b"))
        return [cluster(W), source, hidden, referring(hidden, *sources), deployed]

    actual = rows(hiding("one", source), hiding("another"))

    assert actual == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]


def test_clusters_of_one_name_and_two_types_are_two() -> None:
    """A Cluster and a SveltosCluster may have the same name in the same namespace."""
    twin = ClusterRef(CAPI_CLUSTER, W.namespace, W.name)

    def twins(port: int) -> list[JsonObject]:
        return [
            *stage(content(service("a", 1), "one"), *listed("a")),
            cluster(twin),
            content(service("a", port), "two"),
            profile("q", {"policyRefs": [policy_ref("two")]}, twin),
            inventory_of(twin, deployed_by("q", *listed("a"))),
        ]

    comparison = compare(build(twins(1)), build(twins(2)))

    assert [row.cluster for row in comparison.rows] == ["default/capi--west"]


def test_a_cluster_that_is_gone() -> None:
    """Sveltos withdraws nothing from an unknown cluster. The row of the cluster names the profiles that matched it."""
    before = _labelled("production", "p")
    before.append(inventory_of(W, deployed_by("p", *listed("a"))))
    after = [document for document in _labelled("other", "p") if document["metadata"]["name"] != W.name]

    comparison = compare(build(before), build(after))

    assert [(row.cluster, row.name, str(row.action)) for row in comparison.rows] == [(str(W), "a", "left in place")]
    assert [(row.name, row.message) for row in comparison.management] == [
        ("west", "no longer matched by ClusterProfile p")
    ]


def test_a_selector_that_leaves_a_cluster_before_sveltos_does() -> None:
    """A listed resource still exists, and is deleted when the inventory changes. The selector has a row of its own."""

    def selecting(value: str) -> list[JsonObject]:
        selector = {"matchLabels": {"env": value}}
        return [cluster(W, env="a"), *stage(content(service("a")), *listed("a"), clusterSelector=selector)[1:]]

    comparison = compare(build(selecting("a")), build(selecting("b")))

    assert comparison.rows == ()
    assert [row.message for row in comparison.management] == ["spec.clusterSelector.matchLabels.env"]


def test_a_resource_of_a_secret_that_moves_and_changes() -> None:
    """The document cannot be read, so the row names the Secret that changed."""

    def hiding(owner: str, password: str) -> list[JsonObject]:
        hidden = content(password, "hidden", "Secret")
        return [
            cluster(W),
            hidden,
            *(referring(*([hidden] if name == owner else []), name=name) for name in ("p", "q")),
            inventory_of(W, deployed_by(owner, "/Secret test/b")),
        ]

    actual = rows(hiding("p", "one"), hiding("q", "another"))

    assert actual == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]
    assert rows(hiding("p", "one"), hiding("q", "one")) == []


# Releases -------------------------------------------------------------------------------------------------------------


def _releasing(owner: str, deployer: str, *, state: str = "Provisioned", **asked: Any) -> list[JsonObject]:
    """Return three profiles: ``owner`` has the chart of a release, ``deployer`` is listed in the inventory."""
    return [
        cluster(W),
        *(profile(name, {"helmCharts": [chart(**asked)] if name == owner else []}, W) for name in ("p", "q", "r")),
        *(summary(W, name, Helm=f"{state if name == owner else 'Provisioned'} aaaa") for name in ("p", "q", "r")),
        inventory_of(W, *([deployed_by(deployer, charts=[installed()])] if deployer else ())),
    ]


def test_a_release_that_another_profile_is_to_deploy() -> None:
    """The move is never a row. Other values are a row at once."""
    before, moving, moved = _releasing("p", "p"), _releasing("q", "p"), _releasing("q", "q")

    assert rows(before, moving) == rows(moving, moved) == rows(before, moved) == []
    assert rows(before, _releasing("q", "p", values="a: 1")) == [
        ("helm release", "shop/web", "modified", "values changed, compare ClusterProfile q")
    ]


def test_a_release_that_is_no_longer_configured() -> None:
    """The release is deleted when the inventory no longer lists it. Before that, nothing about it changes."""
    before, withdrawn = _releasing("p", "p"), _releasing("", "p")

    assert rows(before, withdrawn) == []
    assert rows(withdrawn, _releasing("", "")) == [("helm release", "shop/web", "deleted", "")]


def test_a_release_that_moves_between_profiles_that_fail() -> None:
    """No inventory lists the release. It is one release all the same, and another version is a change."""
    before = _releasing("p", "", state="Failed")

    assert rows(before, _releasing("q", "", state="Failed")) == []
    for owner in ("p", "q"):
        after = _releasing(owner, "", state="Failed", version="2.0.0", chartName="other")
        (row,) = rows(before, after)
        assert row[2:] == ("modified", "To version: 2.0.0 From version 1.0.0 (deployment failed)")


def test_a_release_of_a_profile_that_matched_no_cluster_while_another_failed() -> None:
    """A profile with the chart that did not match the cluster before did not deploy the release there."""
    before = [
        document
        for document in _releasing("q", "")
        if document["kind"] != "ClusterProfile" or document["metadata"]["name"] != "q"
    ]
    before += [profile("q", {"helmCharts": [chart()]}), summary(W, "p", Helm="Failed bbbb")]
    before = [document for document in before if document["metadata"]["name"] != "q-sveltos-west"]

    assert rows(before, _releasing("q", "q")) == [("helm release", "shop/web", "added", "")]


def test_a_document_of_the_same_name_in_the_management_cluster() -> None:
    """Two resources share a name. Only the resource whose document changed has a row."""

    def both(port: int, *, local_port: int) -> list[JsonObject]:
        here, there = content(service("a", local_port), "here"), content(service("a", port), "there")
        refs = [policy_ref("there"), policy_ref("here", deploymentType="Local")]
        listed_as = deployed_by("p", *listed("a"), "Local /Service test/a")
        return [cluster(W), here, there, profile("p", {"policyRefs": refs}, W), inventory_of(W, listed_as)]

    one_row = [("/Service", "test/a", "modified", SEE)]
    assert rows(both(1, local_port=1), both(2, local_port=1)) == one_row
    assert rows(both(1, local_port=1), both(1, local_port=2)) == one_row
    assert rows(both(1, local_port=1), both(2, local_port=2)) == one_row * 2


def test_a_document_that_moves_to_another_profile_and_to_the_management_cluster() -> None:
    """The resource in the management cluster is another one: the listed resource has not changed."""

    def moved(owner: str, port: int, **more: str) -> list[JsonObject]:
        source = content(service("a", port))
        refs = [policy_ref("content", **more)]
        profiles = [profile(name, {"policyRefs": refs if name == owner else []}, W) for name in ("p", "q")]
        return [cluster(W), source, *profiles, inventory_of(W, deployed_by("p", *listed("a")))]

    assert rows(moved("p", 1), moved("q", 2, deploymentType="Local")) == []
    assert rows(moved("p", 1), moved("q", 2)) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]
