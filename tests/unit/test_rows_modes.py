"""Rows that depend on the mode of a profile: what is deployed, and what stays when a cluster stops matching."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from gitsnap.diff.entry_actions import DEREGISTERED, MAY_BE_WITHDRAWN
from gitsnap.history.resolved_references import read_references
from tests.support.rows import (
    HAD_FAILED,
    NOT_APPLIED,
    SEE,
    chart,
    content,
    deployments,
    installed,
    listed,
    referring,
    rows_by_name,
    service,
    services,
    stage,
)
from tests.support.trees import O, W, build, cluster, deployed_by, inventory_of, profile, summary

# What stays ----------------------------------------------------------------------------------------------------------


def _matching(*, leave: bool, mode: str = "Continuous") -> list[JsonObject]:
    """A profile that deployed a Service and a release to a cluster."""
    return _profile("prod", "prod", leave=leave, mode=mode, deployed=True)


def _profile(label: str, selected: str, *, leave: bool, mode: str = "Continuous", deployed: bool) -> list[JsonObject]:
    source = content(service("a"))
    behavior = {"stopMatchingBehavior": "LeavePolicies"} if leave else {}
    made = referring(
        source,
        helmCharts=[chart()],
        clusterSelector={"matchLabels": {"env": selected}},
        syncMode=mode,
        **behavior,
    )
    if not deployed:
        return [cluster(W, env=label), source, {**made, "status": {}}]
    there = inventory_of(W, deployed_by("p", *listed("a"), charts=[installed()]))
    return [cluster(W, env=label), source, made, there]


def test_leave_policies_deletes_nothing() -> None:
    """The cluster lost its label: Sveltos lists nothing any more, but everything still runs."""
    actual = rows_by_name(_matching(leave=True), _profile("other", "prod", leave=True, deployed=False))

    message = "ClusterProfile p no longer matches the cluster and withdraws nothing (LeavePolicies)"
    assert actual == [("a", "left in place", message), ("web", "left in place", message)]


def test_a_deleted_profile_that_leaves_its_add_ons() -> None:
    """The behavior in the last version of the profile applies."""
    before = _matching(leave=True)
    after = [document for document in before if document["kind"] not in ("ClusterProfile", "ClusterConfiguration")]

    message = "ClusterProfile p was deleted and withdraws nothing (LeavePolicies)"
    assert rows_by_name(before, after) == [("a", "left in place", message), ("web", "left in place", message)]


def test_a_behavior_that_changes_together_with_the_label() -> None:
    """The result depends on the order of the two writes, which is unknown."""
    for leave in (False, True):
        actual = rows_by_name(_matching(leave=leave), _profile("other", "prod", leave=not leave, deployed=False))

        assert {row[1] for row in actual} == {"left in place"}
        assert all(row[2].endswith(MAY_BE_WITHDRAWN) for row in actual)


def test_withdraw_policies_deletes() -> None:
    """By default, the add-ons are deleted."""
    actual = rows_by_name(_matching(leave=False), _profile("other", "prod", leave=False, deployed=False))

    assert actual == [("a", "deleted", ""), ("web", "deleted", "")]


def test_less_configuration_is_deleted_under_leave_policies() -> None:
    """The cluster still matches, so Sveltos withdraws what is no longer configured."""
    before = _matching(leave=True)
    after = [*before[:3], inventory_of(W, deployed_by("p", charts=[installed()]))]

    assert rows_by_name(before, after) == [("a", "deleted", "")]


def test_a_cluster_that_is_no_longer_registered() -> None:
    """Sveltos cannot reach the cluster any more and withdraws nothing."""
    before = _matching(leave=False)
    after = [{**before[2], "status": {}}, before[1]]

    assert rows_by_name(before, after) == [("a", "left in place", DEREGISTERED), ("web", "left in place", DEREGISTERED)]


def test_a_dry_run_withdraws_nothing() -> None:
    """The inventory lists nothing of a profile in DryRun. Its resources stay, and may have run before."""
    before, after = _matching(leave=False), _profile("prod", "prod", leave=False, mode="DryRun", deployed=True)[:3]

    message = "ClusterProfile p is in the mode DryRun, which withdraws nothing"
    assert rows_by_name(before, after) == [("a", "left in place", message), ("web", "left in place", message)]
    message = "may have run before: ClusterProfile p was in the mode DryRun"
    assert rows_by_name(after, before) == [("a", "added", message), ("web", "added", message)]


# What is deployed ----------------------------------------------------------------------------------------------------


def _stage(port: int, mode: str, *, state: str = "Provisioned aaaa", names: str = "a") -> list[JsonObject]:
    return [*stage(content(services(names, port)), *listed("a"), syncMode=mode), summary(W, "p", Resources=state)]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Continuous", "Continuous", SEE + NOT_APPLIED),
        ("OneTime", "OneTime", f"{SEE} (not deployed: syncMode OneTime)"),
        ("Continuous", "OneTime", SEE + NOT_APPLIED),
        ("Continuous", "DryRun", f"{SEE} (not deployed: syncMode DryRun)"),
        ("DryRun", "Continuous", SEE + NOT_APPLIED),
    ],
)
def test_content_that_changes_under_a_mode(before: str, after: str, message: str) -> None:
    """OneTime deploys once, when the mode changes to it, and never deploys a change of content."""
    assert rows_by_name(_stage(1, before), _stage(2, after)) == [("a", "modified", message)]


def test_content_that_was_deployed_when_the_mode_changed() -> None:
    """The new hash shows that the one deployment took place."""
    actual = rows_by_name(_stage(1, "Continuous"), _stage(2, "OneTime", state="Provisioned bbbb"))

    assert actual == [("a", "modified", SEE)]


def test_a_new_document_under_one_time() -> None:
    """The document is never deployed."""
    actual = rows_by_name(_stage(1, "OneTime"), _stage(1, "OneTime", names="ab"))

    assert actual == []
    changed = rows_by_name(_stage(1, "OneTime", names="ab"), _stage(2, "OneTime", names="ab"))
    assert ("b", "modified", f"not in the inventory, not deployed: syncMode OneTime; {SEE}") in changed


@pytest.mark.parametrize(
    ("former", "mode"), [("OneTime", "Continuous"), ("DryRun", "Continuous"), ("DryRun", "OneTime")]
)
def test_a_mode_that_deploys_again(former: str, mode: str) -> None:
    """The source changed before both samples, so the resource may have changed with the mode."""
    message = f"may have changed: ClusterProfile p deploys again, after syncMode {former}"

    assert rows_by_name(_stage(2, former), _stage(2, mode, state="Provisioned bbbb")) == [("a", "modified", message)]
    assert rows_by_name(_stage(2, former), _stage(2, mode)) == []


def test_a_pause_that_ends() -> None:
    """Only the hash shows whether the profile changed while it was paused."""
    before, after = _stage(2, "Continuous"), _stage(2, "Continuous", state="Provisioned bbbb")
    before[2]["metadata"]["annotations"] = {"profile.projectsveltos.io/paused": "true"}
    message = "may have changed: ClusterProfile p deploys again, after a pause"

    assert rows_by_name(before, after) == [("a", "modified", message)]
    assert rows_by_name(before, _stage(2, "Continuous")) == []
    assert rows_by_name(before[:4], after[:4]) == []


def test_a_version_under_one_time() -> None:
    """OneTime does not upgrade a release either."""
    sides: list[list[JsonObject]] = []
    for version in ("1.0.0", "2.0.0"):
        made = profile("p", {"helmCharts": [chart(version)], "syncMode": "OneTime"}, W)
        sides.append([cluster(W), made, inventory_of(W, deployed_by("p", charts=[installed()]))])

    assert rows_by_name(*sides) == [
        ("web", "modified", "To version: 2.0.0 From version 1.0.0 (not deployed: syncMode OneTime)")
    ]


# Failures and late deployments ---------------------------------------------------------------------------------------


def test_a_deployment_that_fails_on_one_side_only() -> None:
    """Sveltos refuses a resource of another source. The documents are equal, but what runs is not known."""
    good, bad = _stage(1, "Continuous"), _stage(1, "Continuous", state="FailedNonRetriable aaaa")

    assert deployments(good, bad) == [(str(W), "p", "deployment failed (Resources): what runs there is not known")]
    assert deployments(bad, good) == [
        (str(W), "p", "deployment had failed (Resources): what ran there before is not known")
    ]
    assert deployments(bad, bad) == []
    assert compare(build(good), build(bad))


def test_a_missing_required_reference_deletes_nothing() -> None:
    """The deployment fails, and the resource still runs although its source is gone."""
    whole = _stage(1, "Continuous")
    missing = [whole[0], whole[2], inventory_of(W), summary(W, "p", Resources="FailedNonRetriable")]
    not_reported = [whole[0], whole[2], inventory_of(W), whole[4]]

    assert rows_by_name(whole, missing) == []
    assert deployments(whole, missing) == [(str(W), "p", "deployment failed (Resources): what runs there is not known")]
    assert rows_by_name(whole, not_reported) == []
    assert rows_by_name(missing, whole) == [("a", "added", HAD_FAILED)]


def test_a_missing_required_reference_keeps_nothing_on_a_cluster_that_left() -> None:
    """Sveltos withdraws from a cluster that stops matching without reading the sources, whether or not they exist."""
    whole = _stage(1, "Continuous")
    left = [whole[0], {**whole[2], "status": {}}, inventory_of(W)]

    assert rows_by_name(whole, left) == [("a", "deleted", "")]
    assert rows_by_name(whole, [whole[0], whole[2], inventory_of(W)]) == []


def test_a_missing_optional_reference_withdraws() -> None:
    """Sveltos deploys without the optional source. Another failure does not keep the resource."""
    source, other = content(service("a")), content(service("b"), "other")
    references = [{"kind": "ConfigMap", "namespace": "default", "name": "content", "optional": True}]
    references.append({"kind": "ConfigMap", "namespace": "default", "name": "other"})
    made = profile("p", {"policyRefs": references}, W)
    whole = [cluster(W), source, other, made, inventory_of(W, deployed_by("p", *listed("a", "b")))]
    without = [cluster(W), other, made, inventory_of(W), summary(W, "p", Resources="Failed")]

    assert rows_by_name(whole, without) == [("a", "deleted", "")]


def test_when_not_applied_yet_ends() -> None:
    """The first sample shows the change before Sveltos deployed it. The next sample has a row for the deployment."""
    before, changed = _stage(1, "Continuous"), _stage(2, "Continuous")
    applied = _stage(2, "Continuous", state="Provisioned bbbb")

    assert rows_by_name(before, changed) == [("a", "modified", SEE + NOT_APPLIED)]
    assert rows_by_name(changed, applied) == []
    assert deployments(changed, applied) == [(str(W), "p", "redeployed (Resources): an earlier change was applied")]
    assert deployments(before, applied) == []


# Matching ------------------------------------------------------------------------------------------------------------


def _messages(before: list[JsonObject], after: list[JsonObject]) -> dict[str, str]:
    return {row.name: row.message for row in compare(build(before), build(after)).management}


@pytest.mark.parametrize(
    ("selected", "match"),
    [(("old", "new"), ""), (("other", "new"), "now matched by"), (("old", "old"), "no longer matched by")],
)
def test_only_what_was_not_matched_is_now_matched(selected: tuple[str, str], match: str) -> None:
    """If the selector changes with the label, the profile matched the cluster before and still does."""
    sides: list[list[JsonObject]] = []
    for label, selector in zip(("old", "new"), selected, strict=True):
        made: dict[str, Any] = profile("p", {"clusterSelector": {"matchLabels": {"env": selector}}})
        sides.append([cluster(W, env=label), {**made, "status": {}}])

    message = _messages(*sides)[W.name]

    assert message == (f"metadata.labels.env; {match} ClusterProfile p" if match else "metadata.labels.env")


def test_a_prerequisite_is_deployed_where_its_dependents_are() -> None:
    """Its own selector matches no cluster. The dependency may lead through another profile."""
    source = content(service("a"))
    labels = {"matchLabels": {"env": "prod"}}
    first = {**referring(source, name="first"), "status": {}}
    middle = {**profile("middle", {"dependsOn": ["first"]}), "status": {}}
    last = {**profile("last", {"dependsOn": ["middle"], "clusterSelector": labels}), "status": {}}
    there = inventory_of(W, deployed_by("first", *listed("a")))
    report = summary(W, "first", Resources="Provisioned aaaa")
    changed = content(service("a", 2))

    actual = rows_by_name(
        [cluster(W, env="prod"), cluster(O, env="dev"), source, first, middle, last, there, report],
        [cluster(W, env="prod"), cluster(O, env="dev"), changed, first, middle, last, there, report],
    )

    assert actual == [("a", "modified", SEE + NOT_APPLIED)]


def test_references_of_a_prerequisite_hold_for_the_clusters_of_its_dependents() -> None:
    """A reference without a namespace uses the namespace of each cluster, also before Sveltos reports anything."""
    first = {**profile("first", {"policyRefs": [{"kind": "ConfigMap", "namespace": "", "name": "own"}]}), "status": {}}
    last = profile("last", {"dependsOn": ["first"], "clusterSelector": {"matchLabels": {"env": "prod"}}})
    tree = build([cluster(O, env="prod"), cluster(W, env="dev"), first, {**last, "status": {}}])

    (reference,) = read_references(tree, first)

    assert (reference.target.namespace, reference.clusters) == (O.namespace, (O,))


def test_a_set_without_max_replicas_gives_no_row() -> None:
    """Such a set selects no cluster, so a label in its selector changes no match."""
    members: JsonObject = {
        "apiVersion": "lib.projectsveltos.io/v1beta1",
        "kind": "ClusterSet",
        "metadata": {"name": "prod"},
        "spec": {"clusterSelector": {"matchLabels": {"env": "prod"}}},
    }
    limited = {**members, "spec": {**members["spec"], "maxReplicas": 3}}
    using = {**profile("p", {"setRefs": ["prod"]}), "status": {}}

    for document, message in ((members, ""), (limited, "; now matched by ClusterProfile p")):
        sides = [[cluster(W, env=label), document, using] for label in ("dev", "prod")]

        assert _messages(*sides)[W.name] == f"metadata.labels.env{message}"


def test_the_status_of_a_set_says_nothing_about_other_labels() -> None:
    """Sveltos updated the status of the set after the label changed."""
    members: JsonObject = {
        "apiVersion": "lib.projectsveltos.io/v1beta1",
        "kind": "ClusterSet",
        "metadata": {"name": "prod"},
        "spec": {"clusterSelector": {"matchLabels": {"env": "prod"}}, "maxReplicas": 3},
    }
    chosen = {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": W.kind.name, "namespace": W.namespace}
    status = {field: [{**chosen, "name": W.name}] for field in ("matchingClusterRefs", "selectedClusterRefs")}
    using = {**profile("p", {"setRefs": ["prod"]}), "status": {}}

    message = _messages(
        [cluster(W, env="dev"), members, using], [cluster(W, env="prod"), {**members, "status": status}, using]
    )[W.name]

    assert message == "metadata.labels.env; now matched by ClusterProfile p"
