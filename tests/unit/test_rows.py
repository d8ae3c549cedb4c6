"""The rows of a diff: exactly the clusters and resources that changed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from gitsnap.core.model import (
    IncompleteKind,
    IncompleteReason,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsMode,
    Substitute,
)
from gitsnap.diff.comparison import compare
from gitsnap.diff.object_actions import object_actions_between
from gitsnap.diff.object_changes import ObjectChange
from gitsnap.diff.rows import Comparison
from gitsnap.sveltos.filters import Filters
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, SECRET
from tests.support.rows import (
    SEE,
    chart,
    content,
    installed,
    joined,
    listed,
    rows,
    service,
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
    tree_info,
)

_PEM = "-----BEGIN CERTIFICATE-----\n    MIIB{}\n    -----END CERTIFICATE-----\n"


def _stage(*documents: str, deployed: Iterable[str] = ("a",), **metadata: Any) -> list[JsonObject]:
    """A profile that deploys a ConfigMap with these documents to one cluster, and the Services that are listed."""
    return stage(content(joined(*documents), **metadata), *listed(*deployed))


def test_one_document_of_several() -> None:
    """The resource whose document changed, and none of the others of the same ConfigMap."""
    deployed = "ab"
    before = _stage(service("a"), service("b"), deployed=deployed)
    after = _stage(service("a"), service("b", port=2), deployed=deployed)

    assert rows(before, after) == [("/Service", "test/b", "modified", SEE)]


def test_order_comments_and_times_are_no_change() -> None:
    """Documents in another order, another comment, entries in another order and stamped anew."""
    deployed = "ab"
    before = _stage(service("a"), service("b", comment="old"), deployed=deployed)
    after = _stage(service("b", comment="new"), service("a"), deployed="ba")

    assert rows(before, after) == []


def test_added_and_deleted_by_the_inventory() -> None:
    """Entries that only one inventory lists."""
    before = _stage(service("a"), deployed="a")
    after = _stage(service("b"), deployed="b")

    assert rows(before, after) == [
        ("/Service", "test/a", "deleted", ""),
        ("/Service", "test/b", "added", ""),
    ]


def test_defect_12_a_change_that_is_not_deployed_yet_is_a_row() -> None:
    """The configuration is compared, not only what Sveltos has deployed."""
    before = _stage(service("a"))
    after = _stage(service("a", port=2))

    assert rows(before, after) == [("/Service", "test/a", "modified", SEE)]


def test_defect_11_a_certificate_in_a_document() -> None:
    """Dashes inside a value do not separate documents. Only the Secret that changed has a row."""
    text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  namespace: test\nstringData:\n  crt: |\n    " + _PEM
    deployed = ("/Secret test/x", "/Secret test/xy")
    before = stage(content(joined(text.format("x", "A"), text.format("xy", "A"))), *deployed)
    after = stage(content(joined(text.format("x", "B"), text.format("xy", "A"))), *deployed)

    assert rows(before, after) == [("/Secret", "test/x", "modified", SEE)]


def test_an_annotation_that_makes_a_template_modifies_every_resource() -> None:
    """The text is the same, but Sveltos evaluates its actions now."""
    deployed = "ab"
    texts = [service(name, comment='{{ now "x" }}') for name in ("a", "b")]
    before = _stage(*texts, deployed=deployed)
    after = _stage(*texts, deployed=deployed, annotations={"projectsveltos.io/template": "ok"})

    assert [(row[1], row[2]) for row in rows(before, after)] == [("test/a", "modified"), ("test/b", "modified")]


def test_an_annotation_that_evaluates_to_the_same_is_no_change() -> None:
    """A template without actions evaluates to its own text."""
    before, after = _stage(service("a")), _stage(service("a"), annotations={"projectsveltos.io/template": "ok"})

    assert rows(before, after) == []


def test_an_annotation_that_makes_a_program_modifies_every_resource() -> None:
    """The manifest becomes a Lua program. Its result is not known here, so the row names the source to compare."""
    deployed = "ab"
    before = _stage(service("a"), service("b"), deployed=deployed)
    after = _stage(service("a"), service("b"), deployed=deployed, annotations={"projectsveltos.io/lua": "ok"})

    actual = rows(before, after)

    assert [(row[1], row[2]) for row in actual] == [("test/a", "modified"), ("test/b", "modified")]
    assert all("compare ConfigMap default/content" in row[3] for row in actual)


def test_a_failed_deployment_is_no_deletion() -> None:
    """After a failure Sveltos lists only the resources deployed before it. The others still run."""
    deployed = "ab"
    before = _stage(service("a"), service("b"), deployed=deployed)
    after = _stage(service("a"), service("b"), deployed="a")
    after.append(summary(W, "p", Resources="Failed aaaa"))

    assert rows(before, after) == []


def test_content_of_a_secret_is_never_shown() -> None:
    """If the archive contains only fingerprints, the row names the Secret to compare."""
    before, after = (stage(content(service("a", port), kind="Secret"), *listed("a")) for port in (1, 2))

    assert rows(before, after) == [("/Service", "test/a", "modified", "To see diff compare Secret default/content")]
    comparison = compare(build(before), build(after))
    assert "port" not in "".join(raw.text for raw in comparison.raw_diffs("a", "b"))


def test_only_the_clusters_that_a_change_affects() -> None:
    """A reference without a namespace uses that of the cluster: a ConfigMap changes the clusters of its namespace."""

    def fleet(port: int) -> list[JsonObject]:
        entry = deployed_by("p", *listed("a"))
        return [
            cluster(W),
            cluster(O),
            profile("p", {"policyRefs": [policy_ref("content", namespace="")]}, W, O),
            content(service("a"), namespace=W.namespace),
            content(service("a", port), namespace=O.namespace),
            inventory_of(W, entry),
            inventory_of(O, entry),
        ]

    comparison = compare(build(fleet(1)), build(fleet(2)))

    assert [row.cluster for row in comparison.rows] == ["tenant-a/capi--orders"]


def test_defect_13_clusters_have_one_name_and_filters_take_each_form() -> None:
    """Releases and resources. A filter accepts the name with or without namespace and type."""
    before, after = _stage(service("a")), _stage(service("a", port=2))

    for name in ("west", "default/west", "sveltos--west", "default/sveltos--west"):
        assert len(rows(before, after, filters=Filters(clusters=(name,)))) == 1
    for name in ("wes", "other/west", "capi--west"):
        assert rows(before, after, filters=Filters(clusters=(name,))) == []
    assert rows(before, after, filters=Filters(namespaces=("other",))) == []


# Releases -------------------------------------------------------------------------------------------------------------


def _helm(version: str = "1.0.0", **more: Any) -> list[JsonObject]:
    values_from = [policy_ref("values")]
    asked = chart(more.get("asked", version), values=more.get("values", "a: 1"), valuesFrom=values_from)
    repository = {"repoURL": more["repository"]} if "repository" in more else {}
    entry = installed(version, lastAppliedTime=more.get("time", "2026-01-01T00:00:00Z"), **repository)
    return [
        cluster(W),
        profile("p", {"helmCharts": [asked]}, W),
        config_map("values", {"values.yaml": more.get("from_map", "b: 1")}),
        inventory_of(W, deployed_by("p", charts=() if more.get("absent") else (entry,))),
    ]


@pytest.mark.parametrize(
    ("before", "after", "action", "message"),
    [
        ({"absent": True}, {}, "added", ""),
        ({}, {"absent": True}, "deleted", ""),
        ({}, {"version": "2.0.0"}, "modified", "To version: 2.0.0 From version 1.0.0"),
        ({}, {"repository": "https://other.example.com"}, "modified", "To repository: https://other.example.com"),
        ({}, {"values": "a: 2"}, "modified", "values changed, compare ClusterProfile p"),
        ({}, {"from_map": "b: 2"}, "modified", "values changed, compare ConfigMap default/values"),
        ({}, {"asked": "3.0.0"}, "modified", "To version: 3.0.0 From version 1.0.0 (not applied yet)"),
    ],
)
def test_releases(before: dict[str, Any], after: dict[str, Any], action: str, message: str) -> None:
    """Each kind of change has its own message. Equal versions are never a change."""
    actual = rows(_helm(**before), _helm(**after))

    assert [row[:3] for row in actual] == [("helm release", "shop/web", action)]
    assert actual[0][3].startswith(message)


def test_a_release_with_a_new_time_is_no_change() -> None:
    """The time of the last upgrade is not part of the configuration."""
    assert rows(_helm(), _helm(time="2026-01-02T00:00:00Z")) == []


def test_equivalent_values_are_no_change() -> None:
    """Comments, order and quoting. Sveltos sees no change either, so the row would never go away."""
    assert rows(_helm(values="a: 1\nb: 2"), _helm(values="# why\nb: 2\na: 1")) == []
    assert rows(_helm(from_map="b: 1"), _helm(from_map="b: 1 # why")) == []
    assert len(rows(_helm(values="a: 1"), _helm(values="a: {{ .ClusterName }}"))) == 1


# The management cluster -----------------------------------------------------------------------------------------------


def _management(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    return [(row.resource_type, row.name, str(row.action), row.message) for row in comparison.management]


def test_changed_fields_are_named_three_at_most() -> None:
    """Further fields are counted."""
    before = [profile("p", {"tier": 1})]
    after = [profile("p", {"tier": 2, "a": 1, "b": 2, "c": 3})]

    assert _management(compare(build(before), build(after))) == [
        ("config.projectsveltos.io/ClusterProfile", "p", "modified", "spec.a, spec.b, spec.c and 1 more")
    ]


def test_objects_that_become_or_stop_being_referenced() -> None:
    """These objects are neither added nor deleted: they may have existed all the time."""
    without = [profile("p", {"policyRefs": []}), config_map("content", {"a": "b"})]
    with_it = [profile("p", {"policyRefs": [policy_ref("content")]}, W), config_map("content", {"a": "b"})]

    there = {row[1]: row[2:] for row in _management(compare(build(without), build(with_it)))}
    gone = {row[1]: row[2:] for row in _management(compare(build(with_it), build(without)))}

    assert there["content"] == ("now referenced", "by ClusterProfile p")
    assert gone["content"] == ("no longer referenced", "by ClusterProfile p")


def test_a_label_of_a_cluster() -> None:
    """The row of the cluster names the label."""
    comparison = compare(build([cluster(W, env="a")]), build([cluster(W, env="b")]))

    assert _management(comparison)[0][:3] == ("lib.projectsveltos.io/SveltosCluster", "west", "modified")
    assert "metadata.labels.env" in _management(comparison)[0][3]


def test_kinds_that_could_not_be_read_are_not_comparable() -> None:
    """A failed list is never a deletion."""
    gone = IncompleteKind(CLUSTER_PROFILE, Substitute.MISSING, IncompleteReason.FORBIDDEN)
    comparison = compare(build([profile("p", {})]), build([], incomplete=(gone,)))

    assert (comparison.rows, comparison.management) == ((), ())
    assert [(entry.kind, entry.reason) for entry in comparison.not_comparable] == [(CLUSTER_PROFILE, "not comparable")]


def test_a_wider_scope_is_not_covered_before() -> None:
    """Objects of a kind that the older sample did not capture are not added."""
    narrow = tree_info(captured=[CLUSTER_PROFILE])
    wide = tree_info(captured=[CLUSTER_PROFILE, CONFIG_MAP])
    objects = [profile("p", {"policyRefs": [policy_ref("content")]}, W), config_map("content", {"a": "b"})]

    comparison = compare(build(objects, info=narrow), build(objects, info=wide))

    assert comparison.management == ()
    assert [(entry.kind, entry.reason) for entry in comparison.not_comparable] == [(CONFIG_MAP, "not covered")]


def test_another_fingerprint_key_hides_changes() -> None:
    """All fingerprints differ, but no Secret is reported as changed."""
    objects = [profile("p", {"policyRefs": [policy_ref("content", "Secret")]}, W), secret("content", {"a": "b"})]
    other = tree_info(mode=SecretsMode.REDACT, key_id="other")

    comparison = compare(build(objects), build(objects, info=other, key=b"x" * 32))

    assert (comparison.rows, comparison.management) == ((), ())
    assert [(entry.kind, entry.reason) for entry in comparison.not_comparable] == [(SECRET, "cannot tell")]


def test_the_same_two_trees_have_the_same_rows() -> None:
    """The order of the objects in the response of the API server does not matter."""
    before = _stage(service("a"), service("b"), deployed="ab")
    after = _stage(service("a", 2), service("b", 2), deployed="ba")

    first = compare(build(before), build(after))
    second = compare(build(before[::-1]), build(after[::-1]))

    assert first.rows == second.rows == tuple(sorted(first.rows))
    assert [raw.text for raw in first.raw_diffs("a", "b")] == [raw.text for raw in second.raw_diffs("a", "b")]


def _action_with_scopes(
    objects: list[JsonObject], before: tuple[ResourceSelector, ...], after: tuple[ResourceSelector, ...]
) -> str:
    """Return the action of the one object that only the newer side has."""
    trees = [build(objects if scope else [], info=tree_info(resources=scope)) for scope in (before, after)]
    key = ObjectKey.of(objects[0])
    (action,) = object_actions_between(trees[0], trees[1], [ObjectChange(key, None, objects[0])]).values()
    return str(action[0])


def test_objects_of_another_scope() -> None:
    """The object is new if the older scope certainly covered it. Labels that it had before are unknown."""
    role = Kind("rbac.authorization.k8s.io", "Role")
    role_object = {
        "apiVersion": f"{role.group}/v1",
        "kind": "Role",
        "metadata": {"namespace": "shop", "name": "reader"},
    }
    everywhere, labelled = ResourceSelector(role), ResourceSelector(role, label_selector="a=b")
    here, there = (ResourceSelector(role, namespaces=(name,)) for name in ("shop", "other"))

    for before, after, action in (
        ((), (everywhere,), "now covered"),
        ((there,), (everywhere,), "now covered"),
        ((labelled,), (everywhere,), "now covered"),
        ((here,), (everywhere,), "added"),
        ((here, labelled), (everywhere,), "added"),
        ((everywhere,), (everywhere,), "added"),
        ((labelled,), (labelled,), "added"),
    ):
        assert _action_with_scopes([role_object], before, after) == action
