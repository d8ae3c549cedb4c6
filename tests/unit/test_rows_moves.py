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
    """Two profiles, of which one deploys a Service to a cluster."""
    source = content(service("a", port))
    objects = [
        cluster(W),
        source,
        *(referring(*([source] if name == owner else []), name=name) for name in ("p", "q")),
        inventory_of(W, deployed_by(owner, *([] if lost else listed("a")))),
    ]
    return [*objects, summary(W, failed, Resources="Failed aaaa")] if failed else objects


def test_a_resource_that_another_profile_deploys_now() -> None:
    """It is there before and after: no row, unless what is deployed differs."""
    assert rows(_two("p"), _two("q")) == []
    assert rows(_two("p"), _two("q", port=2)) == [("/Service", "test/a", "modified", SEE)]


def test_a_resource_on_its_way_to_a_profile_that_fails() -> None:
    """The new profile's deployment failed before it listed the resource: it runs on."""
    assert rows(_two("p"), _two("q", failed="q", lost=True)) == []


def test_a_resource_that_changes_while_it_moves_to_or_from_a_profile_that_fails() -> None:
    """Whichever inventory lacks it, or both do: it is one changed resource."""
    before, after = _two("p"), _two("q", port=2)
    lost_before, lost_after = _two("p", failed="p", lost=True), _two("q", port=2, failed="q", lost=True)

    for old, new in ((before, lost_after), (lost_before, after), (lost_before, lost_after)):
        assert [row[:3] for row in rows(old, new)] == [("/Service", "test/a", "modified")]


def test_a_failure_excuses_only_what_is_still_asked_for() -> None:
    """A document that nobody configures any more is a deletion, whatever else failed."""
    after = _two("p", failed="p", lost=True)
    after[1]["data"] = {"all.yaml": ""}

    assert [row[:3] for row in rows(_two("p"), after)] == [("/Service", "test/a", "deleted")]


def _patched(*patches: JsonObject, **spec: Any) -> list[JsonObject]:
    return stage(content(services("ab")), *listed("a", "b"), patches=list(patches), **spec)


def test_a_patch_modifies_what_it_selects() -> None:
    """The documents are the same, the resources are not."""
    patch = {"target": {"kind": "Service", "name": "a.*"}, "patch": "- op: add\n  path: /spec/x\n  value: 1\n"}

    assert rows(_patched(), _patched(patch)) == [
        ("/Service", "test/a", "modified", "patched otherwise, compare ClusterProfile p")
    ]
    assert rows(_patched(patch), _patched(patch)) == []


def test_a_patch_without_a_target_or_with_a_pattern_that_cannot_be_read_selects_all() -> None:
    """Better a row too many, which says why, than a change that nobody sees."""
    for target in ({}, {"name": "("}):
        found = rows(_patched(), _patched({"target": target, "patch": "- op: remove\n  path: /spec/x\n"}))
        assert [row[1] for row in found] == ["test/a", "test/b"]


def test_a_patch_from_a_config_map() -> None:
    """Its text is compared, and its row names it."""

    def patched(value: int) -> list[JsonObject]:
        text = f"target:\n  kind: Service\n  name: b\npatch: |\n  - op: add\n    path: /spec/x\n    value: {value}\n"
        return [
            *_patched(patchesFrom=[policy_ref("patches")]),
            config_map("patches", {"one": text}),
        ]

    assert rows(patched(1), patched(2)) == [
        ("/Service", "test/b", "modified", "patched otherwise, compare ConfigMap default/patches")
    ]


def test_a_patch_from_a_secret_is_noticed_and_not_shown() -> None:
    """Its values are fingerprints: whom it selects cannot be told."""

    def patched(value: str) -> list[JsonObject]:
        spec = {"patchesFrom": [policy_ref("patches", "Secret")]}
        return [*_patched(**spec), secret("patches", {"one": value})]

    found = rows(patched("very-secret-a"), patched("very-secret-b"))

    assert [row[1] for row in found] == ["test/a", "test/b"]
    assert all("compare Secret default/patches" in row[3] for row in found)


def test_a_cluster_scoped_document_that_loses_its_namespace() -> None:
    """A namespace means nothing there: the same resource, and no change."""

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


def test_the_label_of_a_cluster_says_which_profiles_it_brings_and_takes() -> None:
    """In the row of the cluster; many are counted."""
    (came,) = compare(build(_labelled("test", "p")), build(_labelled("production", "p"))).management
    (went,) = compare(build(_labelled("production", "p")), build(_labelled("test", "p"))).management

    assert came.message == "metadata.labels.env; now matched by ClusterProfile p"
    assert went.message == "metadata.labels.env; no longer matched by ClusterProfile p"

    names = ("a", "b", "c", "d", "e")
    (many,) = compare(build(_labelled("test", *names)), build(_labelled("production", *names))).management
    assert many.message.endswith("now matched by ClusterProfile a, ClusterProfile b, ClusterProfile c and 2 more")


def _moving(owner: str, port: int, deployer: str, *others: str) -> list[JsonObject]:
    """Two profiles, of which ``owner`` is asked to deploy a Service that the inventory lists under ``deployer``."""
    names, source = sorted({"p", owner, *others}), content(service("a", port))
    return [
        cluster(W),
        source,
        *(referring(*([source] if name == owner else []), name=name) for name in names),
        *(summary(W, name, Resources="Provisioned aaaa") for name in names),
        inventory_of(W, deployed_by(deployer, *listed("a"))),
    ]


def test_a_resource_that_is_to_move_and_to_change() -> None:
    """Sveltos has not followed: the change is a row now, since no later comparison can tell; the move is none."""
    before = _moving("p", 1, "p", "q")

    assert rows(before, _moving("q", 2, "p")) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]
    assert rows(before, _moving("q", 1, "p")) == []
    assert rows(_moving("q", 2, "p"), _moving("q", 2, "q")) == []


def test_a_resource_that_is_to_move_to_a_new_profile() -> None:
    """The profile it moves to was not there before."""
    found = rows(_moving("p", 1, "p"), _moving("new", 2, "p"))

    assert found == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]


def test_a_resource_of_a_profile_that_is_gone_and_that_is_to_change() -> None:
    """The profile was replaced by another one, old or new, and Sveltos has not followed."""
    for others in ((), ("q",)):
        before, after = _moving("p", 1, "p", *others), _moving("q", 2, "p", *others)
        gone = [one for one in after if (one["kind"], one["metadata"]["name"]) != ("ClusterProfile", "p")]

        assert rows(before, gone) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]


def test_a_document_that_leaves_beside_a_secret_that_changes() -> None:
    """What came from a document is none of the Secret's resources, while the inventory still lists it."""
    source = content(service("a"))

    def hiding(password: str, *sources: JsonObject) -> list[JsonObject]:
        hidden = content(password, "hidden", "Secret")
        deployed = inventory_of(W, deployed_by("p", *listed("a"), "/Secret test/b"))
        return [cluster(W), source, hidden, referring(hidden, *sources), deployed]

    found = rows(hiding("one", source), hiding("another"))

    assert found == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]


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

    found = compare(build(twins(1)), build(twins(2)))

    assert [row.cluster for row in found.rows] == ["default/capi--west"]


def test_a_cluster_that_is_gone() -> None:
    """Sveltos withdraws nothing from a cluster that it no longer knows, and the profiles that matched it are named."""
    before = _labelled("production", "p")
    before.append(inventory_of(W, deployed_by("p", *listed("a"))))
    after = [one for one in _labelled("other", "p") if one["metadata"]["name"] != W.name]

    found = compare(build(before), build(after))

    assert [(row.cluster, row.name, str(row.action)) for row in found.rows] == [(str(W), "a", "left in place")]
    assert [(row.name, row.message) for row in found.management] == [("west", "no longer matched by ClusterProfile p")]


def test_a_selector_that_leaves_a_cluster_before_sveltos_does() -> None:
    """What is listed is there: it goes when the inventory says so; the profile's own row tells of the selector."""

    def selecting(value: str) -> list[JsonObject]:
        selector = {"matchLabels": {"env": value}}
        return [cluster(W, env="a"), *stage(content(service("a")), *listed("a"), clusterSelector=selector)[1:]]

    found = compare(build(selecting("a")), build(selecting("b")))

    assert found.rows == ()
    assert [row.message for row in found.management] == ["spec.clusterSelector.matchLabels.env"]


def test_a_resource_of_a_secret_that_moves_and_changes() -> None:
    """Its document cannot be read, but the Secret changed: the row names it."""

    def hiding(owner: str, password: str) -> list[JsonObject]:
        hidden = content(password, "hidden", "Secret")
        return [
            cluster(W),
            hidden,
            *(referring(*([hidden] if name == owner else []), name=name) for name in ("p", "q")),
            inventory_of(W, deployed_by(owner, "/Secret test/b")),
        ]

    found = rows(hiding("p", "one"), hiding("q", "another"))

    assert found == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]
    assert rows(hiding("p", "one"), hiding("q", "one")) == []


# Releases -------------------------------------------------------------------------------------------------------------


def _releasing(owner: str, deployer: str, *, state: str = "Provisioned", **asked: Any) -> list[JsonObject]:
    """Three profiles, of which ``owner`` is asked for a release that the inventory lists under ``deployer``."""
    return [
        cluster(W),
        *(profile(name, {"helmCharts": [chart(**asked)] if name == owner else []}, W) for name in ("p", "q", "r")),
        *(summary(W, name, Helm=f"{state if name == owner else 'Provisioned'} aaaa") for name in ("p", "q", "r")),
        inventory_of(W, *([deployed_by(deployer, charts=[installed()])] if deployer else ())),
    ]


def test_a_release_that_another_profile_is_to_deploy() -> None:
    """Its move is no row, before and after Sveltos follows; another value is one, at once."""
    before, moving, moved = _releasing("p", "p"), _releasing("q", "p"), _releasing("q", "q")

    assert rows(before, moving) == rows(moving, moved) == rows(before, moved) == []
    assert rows(before, _releasing("q", "p", values="a: 1")) == [
        ("helm release", "shop/web", "modified", "values changed, compare ClusterProfile q")
    ]


def test_a_release_that_nobody_asks_for_any_more() -> None:
    """It is deleted when it is: nothing else of it changes before."""
    before, withdrawn = _releasing("p", "p"), _releasing("", "p")

    assert rows(before, withdrawn) == []
    assert rows(withdrawn, _releasing("", "")) == [("helm release", "shop/web", "deleted", "")]


def test_a_release_that_moves_between_profiles_that_fail() -> None:
    """No inventory lists it: it is one release all the same, and another version of it is a change."""
    before = _releasing("p", "", state="Failed")

    assert rows(before, _releasing("q", "", state="Failed")) == []
    for owner in ("p", "q"):
        after = _releasing(owner, "", state="Failed", version="2.0.0", chartName="other")
        (row,) = rows(before, after)
        assert row[2:] == ("modified", "To version: 2.0.0 From version 1.0.0 (deployment failed)")


def test_a_release_of_a_profile_that_matched_no_cluster_while_another_failed() -> None:
    """Who asks for it elsewhere did not have it here."""
    before = [one for one in _releasing("q", "") if one["kind"] != "ClusterProfile" or one["metadata"]["name"] != "q"]
    before += [profile("q", {"helmCharts": [chart()]}), summary(W, "p", Helm="Failed bbbb")]
    before = [one for one in before if one["metadata"]["name"] != "q-sveltos-west"]

    assert rows(before, _releasing("q", "q")) == [("helm release", "shop/web", "added", "")]


def test_a_document_of_the_same_name_in_the_management_cluster() -> None:
    """Two resources that only share a name: what changed is the one whose document did."""

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
    """It is another resource there: what the inventory still lists has not changed."""

    def moved(owner: str, port: int, **more: str) -> list[JsonObject]:
        source = content(service("a", port))
        refs = [policy_ref("content", **more)]
        profiles = [profile(name, {"policyRefs": refs if name == owner else []}, W) for name in ("p", "q")]
        return [cluster(W), source, *profiles, inventory_of(W, deployed_by("p", *listed("a")))]

    assert rows(moved("p", 1), moved("q", 2, deploymentType="Local")) == []
    assert rows(moved("p", 1), moved("q", 2)) == [("/Service", "test/a", "modified", SEE + NOT_APPLIED)]
