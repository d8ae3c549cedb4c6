"""Rows where the inventory alone misleads: moved resources, failures elsewhere, patches, namespaces, labels."""

from __future__ import annotations

from typing import Any

from gitsnap.compare import compare
from gitsnap.model import JsonObject
from gitsnap.sveltos.kinds import CAPI_CLUSTER
from gitsnap.sveltos.matching import ClusterRef
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

_SEE = "use --raw-diff option to see diff"


def _service(name: str, port: int = 1, namespace: str = "test") -> str:
    place = f"\n  namespace: {namespace}" if namespace else ""
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}{place}\nspec:\n  port: {port}\n"


def _rows(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, str, str, str]]:
    found = compare(build(before), build(after))
    return [(row.resource_type, f"{row.namespace}/{row.name}", str(row.action), row.message) for row in found.rows]


def _two(owner: str, port: int = 1, *, failed: str = "", lost: bool = False) -> list[JsonObject]:
    """Two profiles, of which one deploys a Service to a cluster."""
    objects = [
        cluster(W),
        config_map("content", {"all.yaml": _service("a", port)}),
        *(profile(name, {"policyRefs": [policy_ref("content")] if name == owner else []}, W) for name in ("p", "q")),
        inventory_of(W, deployed_by(owner, *([] if lost else ["/Service test/a"]))),
    ]
    return [*objects, summary(W, failed, Resources="Failed aaaa")] if failed else objects


def test_a_resource_that_another_profile_deploys_now() -> None:
    """It is there before and after: no row, unless what is deployed differs."""
    assert _rows(_two("p"), _two("q")) == []
    assert _rows(_two("p"), _two("q", port=2)) == [("/Service", "test/a", "modified", _SEE)]


def test_a_resource_on_its_way_to_a_profile_that_fails() -> None:
    """The new profile's deployment failed before it listed the resource: it runs on."""
    assert _rows(_two("p"), _two("q", failed="q", lost=True)) == []


def test_a_resource_that_changes_while_it_moves_to_or_from_a_profile_that_fails() -> None:
    """Whichever inventory lacks it, or both do: it is one changed resource."""
    before, after = _two("p"), _two("q", port=2)
    lost_before, lost_after = _two("p", failed="p", lost=True), _two("q", port=2, failed="q", lost=True)

    for old, new in ((before, lost_after), (lost_before, after), (lost_before, lost_after)):
        assert [row[:3] for row in _rows(old, new)] == [("/Service", "test/a", "modified")]


def test_a_failure_excuses_only_what_is_still_asked_for() -> None:
    """A document that nobody configures any more is a deletion, whatever else failed."""
    after = _two("p", failed="p", lost=True)
    after[1]["data"] = {"all.yaml": ""}

    assert [row[:3] for row in _rows(_two("p"), after)] == [("/Service", "test/a", "deleted")]


def _patched(*patches: JsonObject, **spec: Any) -> list[JsonObject]:
    return [
        cluster(W),
        config_map("content", {"all.yaml": _service("a") + "---\n" + _service("b")}),
        profile("p", {"policyRefs": [policy_ref("content")], "patches": list(patches), **spec}, W),
        inventory_of(W, deployed_by("p", "/Service test/a", "/Service test/b")),
    ]


def test_a_patch_modifies_what_it_selects() -> None:
    """The documents are the same, the resources are not."""
    patch = {"target": {"kind": "Service", "name": "a.*"}, "patch": "- op: add\n  path: /spec/x\n  value: 1\n"}

    assert _rows(_patched(), _patched(patch)) == [
        ("/Service", "test/a", "modified", "patched otherwise, compare ClusterProfile p")
    ]
    assert _rows(_patched(patch), _patched(patch)) == []


def test_a_patch_without_a_target_or_with_a_pattern_that_cannot_be_read_selects_all() -> None:
    """Better a row too many, which says why, than a change that nobody sees."""
    for target in ({}, {"name": "("}):
        rows = _rows(_patched(), _patched({"target": target, "patch": "- op: remove\n  path: /spec/x\n"}))
        assert [row[1] for row in rows] == ["test/a", "test/b"]


def test_a_patch_from_a_config_map() -> None:
    """Its text is compared, and its row names it."""

    def stage(value: int) -> list[JsonObject]:
        text = f"target:\n  kind: Service\n  name: b\npatch: |\n  - op: add\n    path: /spec/x\n    value: {value}\n"
        return [
            *_patched(patchesFrom=[policy_ref("patches")]),
            config_map("patches", {"one": text}),
        ]

    assert _rows(stage(1), stage(2)) == [
        ("/Service", "test/b", "modified", "patched otherwise, compare ConfigMap default/patches")
    ]


def test_a_patch_from_a_secret_is_noticed_and_not_shown() -> None:
    """Its values are fingerprints: whom it selects cannot be told."""

    def stage(value: str) -> list[JsonObject]:
        spec = {"patchesFrom": [policy_ref("patches", "Secret")]}
        return [*_patched(**spec), secret("patches", {"one": value})]

    rows = _rows(stage("very-secret-a"), stage("very-secret-b"))

    assert [row[1] for row in rows] == ["test/a", "test/b"]
    assert all("compare Secret default/patches" in row[3] for row in rows)


def test_a_cluster_scoped_document_that_loses_its_namespace() -> None:
    """A namespace means nothing there: the same resource, and no change."""

    def stage(namespace: str, kind: str, deployed: str) -> list[JsonObject]:
        text = _service("a", namespace=namespace).replace("Service", kind).replace("v1", "example.com/v1", 1)
        return [
            cluster(W),
            config_map("content", {"all.yaml": text}),
            profile("p", {"policyRefs": [policy_ref("content")]}, W),
            inventory_of(W, deployed_by("p", deployed)),
        ]

    everywhere = ("example.com/Realm /a", "example.com/Realm /a")
    assert _rows(stage("test", "Realm", everywhere[0]), stage("", "Realm", everywhere[1])) == []
    moved = _rows(stage("test", "Room", "example.com/Room test/a"), stage("", "Room", "example.com/Room default/a"))
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


def _moving(owner: str, port: int, listed: str, *others: str) -> list[JsonObject]:
    """Two profiles, of which ``owner`` is asked to deploy a Service that the inventory lists under ``listed``."""
    names = sorted({"p", owner, *others})
    return [
        cluster(W),
        config_map("content", {"all.yaml": _service("a", port)}),
        *(profile(name, {"policyRefs": [policy_ref("content")] if name == owner else []}, W) for name in names),
        *(summary(W, name, Resources="Provisioned aaaa") for name in names),
        inventory_of(W, deployed_by(listed, "/Service test/a")),
    ]


def test_a_resource_that_is_to_move_and_to_change() -> None:
    """Sveltos has not followed: the change is a row now, since no later comparison can tell; the move is none."""
    before = _moving("p", 1, "p", "q")

    assert _rows(before, _moving("q", 2, "p")) == [("/Service", "test/a", "modified", f"{_SEE} (not applied yet)")]
    assert _rows(before, _moving("q", 1, "p")) == []
    assert _rows(_moving("q", 2, "p"), _moving("q", 2, "q")) == []


def test_a_resource_that_is_to_move_to_a_new_profile() -> None:
    """The profile it moves to was not there before."""
    rows = _rows(_moving("p", 1, "p"), _moving("new", 2, "p"))

    assert rows == [("/Service", "test/a", "modified", f"{_SEE} (not applied yet)")]


def test_a_resource_of_a_profile_that_is_gone_and_that_is_to_change() -> None:
    """The profile was replaced by another one, old or new, and Sveltos has not followed."""
    for others in ((), ("q",)):
        before, after = _moving("p", 1, "p", *others), _moving("q", 2, "p", *others)
        gone = [one for one in after if (one["kind"], one["metadata"]["name"]) != ("ClusterProfile", "p")]

        assert _rows(before, gone) == [("/Service", "test/a", "modified", f"{_SEE} (not applied yet)")]


def test_a_document_that_leaves_beside_a_secret_that_changes() -> None:
    """What came from a document is none of the Secret's resources, while the inventory still lists it."""

    def stage(password: str, *references: JsonObject) -> list[JsonObject]:
        return [
            cluster(W),
            config_map("content", {"all.yaml": _service("a")}),
            secret("hidden", {"all.yaml": password}),
            profile("p", {"policyRefs": [policy_ref("hidden", "Secret"), *references]}, W),
            inventory_of(W, deployed_by("p", "/Service test/a", "/Secret test/b")),
        ]

    rows = _rows(stage("one", policy_ref("content")), stage("another"))

    assert rows == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]


def test_clusters_of_one_name_and_two_types_are_two() -> None:
    """A Cluster and a SveltosCluster may have the same name in the same namespace."""
    twin = ClusterRef(CAPI_CLUSTER, W.namespace, W.name)

    def stage(port: int) -> list[JsonObject]:
        return [
            cluster(W),
            cluster(twin),
            config_map("one", {"all.yaml": _service("a", 1)}),
            config_map("two", {"all.yaml": _service("a", port)}),
            profile("p", {"policyRefs": [policy_ref("one")]}, W),
            profile("q", {"policyRefs": [policy_ref("two")]}, twin),
            inventory_of(W, deployed_by("p", "/Service test/a")),
            inventory_of(twin, deployed_by("q", "/Service test/a")),
        ]

    found = compare(build(stage(1)), build(stage(2)))

    assert [row.cluster for row in found.rows] == ["default/capi--west"]


def test_a_cluster_that_is_gone() -> None:
    """Everything that it had goes with it, and the profiles that matched it are named."""
    before = _labelled("production", "p")
    before.append(inventory_of(W, deployed_by("p", "/Service test/a")))
    after = [one for one in _labelled("other", "p") if one["metadata"]["name"] != W.name]

    found = compare(build(before), build(after))

    assert [(row.cluster, row.name, str(row.action)) for row in found.rows] == [(str(W), "a", "deleted")]
    assert [(row.name, row.message) for row in found.management] == [("west", "no longer matched by ClusterProfile p")]


def test_a_selector_that_leaves_a_cluster_before_sveltos_does() -> None:
    """What is listed is there: it goes when the inventory says so; the profile's own row tells of the selector."""

    def stage(value: str) -> list[JsonObject]:
        selector = {"clusterSelector": {"matchLabels": {"env": value}}, "policyRefs": [policy_ref("content")]}
        return [
            cluster(W, env="a"),
            config_map("content", {"all.yaml": _service("a")}),
            profile("p", selector, W),
            inventory_of(W, deployed_by("p", "/Service test/a")),
        ]

    found = compare(build(stage("a")), build(stage("b")))

    assert found.rows == ()
    assert [row.message for row in found.management] == ["spec.clusterSelector.matchLabels.env"]


def test_a_resource_of_a_secret_that_moves_and_changes() -> None:
    """Its document cannot be read, but the Secret changed: the row names it."""

    def stage(owner: str, password: str) -> list[JsonObject]:
        return [
            cluster(W),
            secret("hidden", {"all.yaml": password}),
            *(
                profile(name, {"policyRefs": [policy_ref("hidden", "Secret")] if name == owner else []}, W)
                for name in ("p", "q")
            ),
            inventory_of(W, deployed_by(owner, "/Secret test/b")),
        ]

    rows = _rows(stage("p", "one"), stage("q", "another"))

    assert rows == [("/Secret", "test/b", "modified", "To see diff compare Secret default/hidden")]
    assert _rows(stage("p", "one"), stage("q", "one")) == []
