"""Withdrawals from clusters that still match: each way to reduce a configuration.

The facts are in SVELTOS.md, section 10. The recorded trace ``fewer-refs.log`` is the first case.
"""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.render.plan import plan_text, question
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import EffectType, Plan, Selection, WithdrawalCause
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state, step_of, with_metadata

WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
EAST = custom(kinds.SVELTOS_CLUSTER, "east", {}, "default", labels={"env": "fv"})


def config_map(name: str, *documents: str, **annotations: str) -> JsonObject:
    """A ConfigMap that deploys ConfigMaps of these names to the namespace ``app``."""
    texts = [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {document}\n  namespace: app\n" for document in documents
    ]
    metadata = {"name": name, "namespace": "default", **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"all.yaml": "---\n".join(texts)}}


def profile(*references: str, charts: tuple[str, ...] = (), **spec: Any) -> JsonObject:
    """A ClusterProfile of the clusters with ``env: fv``; a reference that ends in ``?`` is optional."""
    policies = [
        {"kind": "ConfigMap", "namespace": "default", "name": reference.rstrip("?")}
        | ({"optional": True} if reference.endswith("?") else {})
        for reference in references
    ]
    releases = [
        {"releaseNamespace": "web", "releaseName": chart, "helmChartAction": "Install", "chartName": "x/y"}
        for chart in charts
    ]
    fields = {"clusterSelector": {"matchLabels": {"env": "fv"}}, "policyRefs": policies, "helmCharts": releases}
    return custom(kinds.CLUSTER_PROFILE, "guestbook", {**fields, **spec})


def deployed(cluster: JsonObject, *names: str, charts: tuple[str, ...] = ()) -> JsonObject:
    """The ClusterConfiguration that lists what the profile deployed."""
    resources = [
        {"kind": "ConfigMap", "group": "", "version": "v1", "namespace": "app", "name": name} for name in names
    ]
    releases = [
        {"releaseNamespace": "web", "namespace": "web", "releaseName": chart, "chartVersion": "1", "repoURL": "u"}
        for chart in charts
    ]
    features = [{"featureID": "Resources", "resources": resources}, {"featureID": "Helm", "charts": releases}]
    name = cluster["metadata"]["name"]
    document = custom(kinds.CLUSTER_CONFIGURATION, f"sveltos--{name}", {}, "default")
    del document["spec"]
    return document | {
        "status": {"clusterProfileResources": [{"clusterProfileName": "guestbook", "Features": features}]}
    }


def planned(
    sample: list[JsonObject], live: list[JsonObject], selection: Selection | None = None, **options: Any
) -> Plan:
    """The plan with its withdrawals."""
    cluster = MemoryCluster.of(live)
    plan = plan_of(sample_state(sample), [*cluster.objects.values()], selection, **options)
    return add_withdrawals(cluster, plan)


def lines(plan: Plan) -> list[str]:
    """The withdrawal lines."""
    return [str(withdrawal) for withdrawal in plan.withdrawals]


def effect_types(plan: Plan, name: str) -> set[EffectType]:
    """The types of the effects of an object's step."""
    return {effect.type for effect in step_of(plan, name).effects}


TWO = [WEST, config_map("a", "one"), config_map("b", "two")]


def test_fewer_references_and_charts_are_a_withdraw_line() -> None:
    """SVELTOS.md 10.5: the resources of a removed reference and the removed release, with cluster and consent."""
    live = [*TWO, profile("a", "b", charts=("web",)), deployed(WEST, "one", "two", charts=("web",))]
    plan = planned([profile("a")], live)
    assert lines(plan) == [
        "ClusterProfile guestbook deploys less to default/sveltos--west: 1 Helm release and 1 resource withdrawn"
    ]
    assert any("--allow-withdraw-resources" in reason for reason in plan.blocked)
    assert effect_types(plan, "guestbook") == {EffectType.REDEPLOYS, EffectType.REDUCES}
    assert not planned([profile("a")], live, allow_withdraw=True).blocked
    assert not planned([profile("a")], live, allow_less=True).blocked
    assert "take add-ons from 1 managed cluster" in question(plan)


def test_fewer_documents_in_a_config_map_are_a_withdraw_line() -> None:
    """Also if only the ConfigMap is rolled back, through the profile that refers to it."""
    live = [WEST, config_map("a", "one", "two"), profile("a"), deployed(WEST, "one", "two")]
    plan = planned([config_map("a", "one")], live, Selection(resources=("ConfigMap/default/a",)))
    assert lines(plan) == ["ClusterProfile guestbook deploys less to default/sveltos--west: 1 resource withdrawn"]
    assert effect_types(plan, "a") == {EffectType.REDEPLOYS, EffectType.REDUCES}


def test_changed_documents_withdraw_nothing() -> None:
    """The same resources with other content, and new resources: no line, no question."""
    live = [WEST, config_map("a", "one"), profile("a"), deployed(WEST, "one")]
    plan = planned([config_map("a", "one", "two")], live, Selection(resources=("ConfigMap/default/a",)))
    assert not plan.withdrawals
    assert not plan.blocked
    assert effect_types(plan, "a") == {EffectType.REDEPLOYS}


def test_a_document_that_moves_to_a_kept_reference_withdraws_nothing() -> None:
    """Both references deploy the resource before the plan, one of them after it."""
    live = [
        WEST,
        config_map("a", "one", "two"),
        config_map("b", "two"),
        profile("a", "b"),
        deployed(WEST, "one", "two"),
    ]
    assert not planned([profile("a")], live).withdrawals


def test_a_profile_without_references_withdraws_everything() -> None:
    """A profile without references withdraws everything; it does not redeploy."""
    live = [*TWO, profile("a", "b"), deployed(WEST, "one", "two")]
    plan = planned([profile()], live)
    assert effect_types(plan, "guestbook") == {EffectType.WITHDRAWS}


def test_many_clusters_are_one_line() -> None:
    """Many clusters share a line with their number and the total."""
    clusters = [custom(kinds.SVELTOS_CLUSTER, f"c{n}", {}, "default", labels={"env": "fv"}) for n in range(9)]
    live = [*clusters, config_map("a", "one"), config_map("b", "two"), profile("a", "b")]
    live += [deployed(cluster, "one", "two") for cluster in clusters]
    text = plan_text(planned([profile("a")], live), columns=0)
    (line,) = [line for line in text.splitlines() if line.startswith("withdraw:")]
    assert "9 clusters (default/sveltos--c0" in line
    assert line.endswith("9 resources withdrawn")


@pytest.mark.parametrize(("optional", "expected"), [(True, EffectType.REDUCES), (False, EffectType.FAILS)])
def test_a_reference_without_a_target(*, optional: bool, expected: EffectType) -> None:
    """SVELTOS.md 10.6: an optional reference is withdrawn, a required one fails the deployment, and add-ons stay."""
    live = [WEST, config_map("a", "one"), config_map("b", "two"), profile("a", "b"), deployed(WEST, "one", "two")]
    plan = planned([profile("a", "gone?" if optional else "gone")], live)
    assert expected in effect_types(plan, "guestbook")
    assert bool(plan.withdrawals) is optional
    assert (EffectType.REDEPLOYS in effect_types(plan, "guestbook")) is optional


def test_a_new_profile_with_a_reference_without_a_target() -> None:
    """The deployment also fails if a cluster starts to match, or if the plan creates the profile."""
    created = planned([profile("gone")], [WEST, EAST])
    assert effect_types(created, "guestbook") == {EffectType.FAILS}
    live = [with_metadata(WEST, labels={}), profile("gone")]
    assert effect_types(planned([WEST], live, Selection(clusters=("west",))), "west") == {EffectType.FAILS}


def test_a_secret_of_another_type_is_no_target() -> None:
    """Sveltos does not find a Secret of another type, so the deployment fails."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "type": "Opaque"}
    reference = {"kind": "Secret", "namespace": "default", "name": "s"}
    live = [WEST, config_map("a", "one"), secret, profile("a"), deployed(WEST, "one")]
    wrong = profile("a")
    wrong["spec"]["policyRefs"].append(reference)
    assert effect_types(planned([wrong], live), "guestbook") == {EffectType.FAILS}


def test_a_resource_that_moves_to_another_source_is_refused_by_sveltos() -> None:
    """SVELTOS.md 10.11: the resource belongs to the ConfigMap that deployed it. The plan needs consent."""
    live = [WEST, config_map("app-v1", "x"), config_map("app-v2", "x"), profile("app-v2"), deployed(WEST, "x")]
    plan = planned([profile("app-v1")], live)
    assert effect_types(plan, "guestbook") == {EffectType.FAILS}
    (conflict,) = plan.conflicts
    assert (conflict.source.name, conflict.former.name) == ("app-v1", "app-v2")
    assert "First remove it from ConfigMap default/app-v2" in str(conflict)
    assert plan.blocked
    assert "conflict:" in plan_text(plan, columns=80)


@pytest.mark.parametrize(
    ("before", "after", "expected", "takes"),
    [
        ("Continuous", "OneTime", EffectType.LAST, True),
        ("OneTime", "OneTime", EffectType.ONCE, False),
        ("Continuous", "DryRun", EffectType.REPORTS, False),
        ("DryRun", "Continuous", EffectType.REDEPLOYS, True),
    ],
)
def test_modes(before: str, after: str, expected: EffectType, *, takes: bool) -> None:
    """SVELTOS.md 10.8: a change to OneTime deploys once; under OneTime and in DryRun nothing is withdrawn."""
    live = [*TWO, profile("a", "b", syncMode=before), deployed(WEST, "one", "two")]
    plan = planned([profile("a", syncMode=after)], live)
    assert expected in effect_types(plan, "guestbook")
    assert bool(plan.withdrawals) is takes


def test_leave_policies_after_a_reduction() -> None:
    """The profile is written first, for its LeavePolicies: the cluster still matches, so the profile deploys less."""
    live = [*TWO, profile("a", "b"), deployed(WEST, "one", "two")]
    plan = planned([with_metadata(WEST, labels={}), profile("a", stopMatchingBehavior="LeavePolicies")], live)
    assert [step.key.name for step in plan.writes] == ["guestbook", "west"]
    assert {withdrawal.cause: withdrawal.retention_reason for withdrawal in plan.withdrawals} == {
        WithdrawalCause.ENDED: "stopMatchingBehavior LeavePolicies",
        WithdrawalCause.REDUCED: "",
    }


def test_a_pause_holds_the_spec_and_not_the_content() -> None:
    """SVELTOS.md 9.1: fewer references of a paused profile withdraw nothing, fewer documents do."""
    paused = {"annotations": {"profile.projectsveltos.io/paused": "true"}}
    status = {"matchingClusters": [{"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster"}]}
    status["matchingClusters"][0] |= {"namespace": "default", "name": "west"}
    live = [*TWO, with_metadata(profile("a", "b"), **paused) | {"status": status}, deployed(WEST, "one", "two")]
    assert not planned([with_metadata(profile("a"), **paused)], live).withdrawals
    fewer = planned([config_map("b")], live, Selection(resources=("ConfigMap/default/b",)))
    assert [withdrawal.cause for withdrawal in fewer.withdrawals] == [WithdrawalCause.REDUCED]


def test_a_removed_flux_source_is_uncertain() -> None:
    """One of several Flux sources is removed: it is unknown which resources came from it."""
    flux = {"kind": "GitRepository", "namespace": "flux", "name": "apps", "path": "a"}
    other = {"kind": "GitRepository", "namespace": "flux", "name": "more", "path": "b"}
    live = [WEST, profile(policyRefs=[flux, other]), deployed(WEST, "one", "two")]
    plan = planned([profile(policyRefs=[flux])], live)
    assert [uncertainty.key.name for uncertainty in plan.uncertainties] == ["guestbook"]
    assert plan.blocked


def test_text_without_an_object_is_ignored() -> None:
    """A password beside documents deploys nothing, so its change is no uncertainty."""
    before, after = config_map("a", "one"), config_map("a", "one")
    before["data"]["password"], after["data"]["password"] = "old", "new"
    live = [WEST, before, profile("a"), deployed(WEST, "one")]
    plan = planned([after], live, Selection(resources=("ConfigMap/default/a",)))
    assert (plan.uncertainties, plan.withdrawals) == ((), ())


def test_text_that_sveltos_refuses_fails_the_deployment() -> None:
    """Text behind a separator: Sveltos rejects the whole object, and running add-ons stay."""
    broken = config_map("a")
    broken["data"] = {"x": "a: b\n---oops\n"}
    live = [WEST, config_map("a", "one"), profile("a"), deployed(WEST, "one")]
    plan = planned([broken], live, Selection(resources=("ConfigMap/default/a",)))
    assert effect_types(plan, "a") == {EffectType.FAILS}
    assert not plan.withdrawals


def test_a_template_that_keeps_its_documents_withdraws_nothing() -> None:
    """Names with template actions are recognized by the text around the actions."""
    template = {"projectsveltos.io/template": "ok"}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one-{{ .Cluster.metadata.name }}\n  namespace: app\n"
    before, after = config_map("a", **template), config_map("a", **template)
    before["data"] = {"x": text + "data: {a: b}\n"}
    after["data"] = {"x": text + "data: {a: c}\n"}
    live = [WEST, before, profile("a"), deployed(WEST, "one-west")]
    plan = planned([after], live, Selection(resources=("ConfigMap/default/a",)))
    assert not plan.withdrawals
    assert not plan.uncertainties


class _Forbidding(MemoryCluster):
    """A cluster in which this user may not read ConfigMap ``b``."""

    def get(self, key: ObjectKey) -> JsonObject:
        if key.name == "b":
            raise AccessDeniedError("forbidden")
        return super().get(key)


def test_forbidden_content_is_still_withdrawn() -> None:
    """The resources of a removed reference are withdrawn, even if the user may not read the reference's target."""
    cluster = _Forbidding.of([*TWO, profile("a", "b"), deployed(WEST, "one", "two")])
    plan = plan_of(sample_state([profile("a")]), [*cluster.objects.values()])
    assert lines(add_withdrawals(cluster, plan)) == [
        "ClusterProfile guestbook deploys less to default/sveltos--west: 1 resource withdrawn"
    ]


@pytest.mark.parametrize("where", ["content", "spec", "nowhere"])
def test_a_label_that_a_template_reads_may_change_what_is_deployed(where: str) -> None:
    """SVELTOS.md 10.9: Sveltos does not always notice the change, so the effect is possible only."""
    template = {"projectsveltos.io/template": "ok"}
    reading = "{{ .Cluster.metadata.labels.zone }}"
    content = config_map("a", "one", **template)
    content["data"]["more"] = reading if where == "content" else "{{ .ClusterName }}"
    values: dict[str, Any] = {
        "templateResourceRefs": [{"identifier": "x", "resource": {"kind": "ConfigMap", "name": reading}}]
    }
    live = [WEST, content, profile("a", **(values if where == "spec" else {})), deployed(WEST, "one")]
    relabelled = with_metadata(WEST, labels={"env": "fv", "zone": "b"})
    plan = planned([relabelled], live, Selection(clusters=("west",)))
    assert effect_types(plan, "west") == (set() if where == "nowhere" else {EffectType.MAY_CHANGE})
    assert ("may change" in plan_text(plan, columns=0)) is (where != "nowhere")


class _ListingOnly(MemoryCluster):
    """A cluster whose role may list ClusterConfigurations, but not get one: the role of the controller."""

    def get(self, key: ObjectKey) -> JsonObject:
        if key.kind == kinds.CLUSTER_CONFIGURATION:
            raise AccessDeniedError("forbidden")
        return super().get(key)


def test_a_role_that_may_only_list_sees_withdrawals() -> None:
    """In the controller's pod, the plan has the same numbers as on a laptop."""
    cluster = _ListingOnly.of([*TWO, profile("a", "b"), deployed(WEST, "one", "two")])
    plan = plan_of(sample_state([profile("a")]), [*cluster.objects.values()])
    assert lines(add_withdrawals(cluster, plan)) == [
        "ClusterProfile guestbook deploys less to default/sveltos--west: 1 resource withdrawn"
    ]


def summary(cluster: JsonObject, state: str, **spec: Any) -> JsonObject:
    """The ClusterSummary of the profile; its feature Resources is in the given state."""
    name = cluster["metadata"]["name"]
    fields = {"clusterNamespace": "default", "clusterName": name, "clusterType": "Sveltos"}
    document = custom(kinds.CLUSTER_SUMMARY, f"guestbook-sveltos-{name}", {**fields, "clusterProfileSpec": spec})
    document["metadata"] |= {"namespace": "default", "labels": {"projectsveltos.io/cluster-profile-name": "guestbook"}}
    return document | {"status": {"featureSummaries": [{"featureID": "Resources", "status": state}]}}


def own(plan: Plan) -> list[tuple[str, set[str]]]:
    """The cluster of each withdrawal, and the names of the withdrawn entries."""
    return [
        (withdrawal.cluster.name, {entry.name for entry in withdrawal.deployed or ()})
        for withdrawal in plan.withdrawals
        if withdrawal.needs_consent
    ]


@pytest.mark.parametrize(
    ("fields", "annotations"),
    [
        ({"syncMode": "DryRun"}, {}),
        ({"syncMode": "OneTime"}, {}),
        ({"stopMatchingBehavior": "LeavePolicies", "clusterSelector": {"matchLabels": {"env": "none"}}}, {}),
        ({}, {"profile.projectsveltos.io/paused": "true"}),
    ],
)
def test_content_is_deployed_by_the_profile_as_it_is_live(fields: dict[str, Any], annotations: dict[str, str]) -> None:
    """The ConfigMap is written before the step that pauses the profile, changes its mode or ends its match."""
    live = [WEST, config_map("a", "one", "two"), profile("a"), deployed(WEST, "one", "two")]
    sample = [config_map("a", "one"), with_metadata(profile("a", **fields), annotations=annotations)]
    plan = planned(sample, live)
    assert own(plan) == [("west", {"two"})]
    assert plan.blocked
    assert EffectType.REDUCES in effect_types(plan, "a")


@pytest.mark.parametrize("mode", ["DryRun", "OneTime"])
def test_content_of_a_profile_that_does_not_deploy_withdraws_nothing(mode: str) -> None:
    """The live profile is in DryRun or OneTime."""
    live = [WEST, config_map("a", "one", "two"), profile("a", syncMode=mode), deployed(WEST, "one", "two")]
    plan = planned([config_map("a", "one")], live, Selection(resources=("ConfigMap/default/a",)))
    assert not plan.withdrawals


@pytest.mark.parametrize("state", ["FailedNonRetriable", "Failed", "Provisioning"])
@pytest.mark.parametrize("mode", ["Continuous", "OneTime"])
def test_resources_after_a_failed_deployment_are_uncertain(state: str, mode: str) -> None:
    """No ClusterConfiguration lists the resources, and the deployment continues once the missing ConfigMap exists."""
    live = [WEST, profile("a", syncMode=mode), summary(WEST, state, policyRefs=[{}], syncMode=mode)]
    plan = planned([config_map("a", "one")], live)
    (doubt,) = plan.uncertainties
    assert "default/sveltos--west failed or is in progress" in str(doubt)
    assert plan.blocked
    settled = [*live[:2], summary(WEST, "Provisioned", policyRefs=[{}], syncMode=mode)]
    assert not planned([config_map("a", "one")], settled).uncertainties


def test_a_deployment_that_still_fails_is_certain() -> None:
    """The deployment withdraws nothing while the target of the other reference is missing."""
    live = [WEST, profile("a", "gone"), summary(WEST, "FailedNonRetriable", policyRefs=[{}])]
    assert not planned([config_map("a", "one")], live).uncertainties


def test_a_prerequisite_of_a_paused_dependent_is_where_its_status_says() -> None:
    """The paused profile depended on the prerequisite when it was paused; its spec no longer does."""
    listed = {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster", "namespace": "default"}
    status = {"status": {"matchingClusters": [{**listed, "name": "west"}]}}
    paused = with_metadata(profile(), annotations={"profile.projectsveltos.io/paused": "true"}, name="other") | status
    base = profile("a", clusterSelector={"matchLabels": {"env": "none"}}) | status
    live = [WEST, config_map("a", "one", "two"), base, paused, deployed(WEST, "one", "two")]
    plan = planned([config_map("a", "one")], live, Selection(resources=("ConfigMap/default/a",)))
    assert own(plan) == [("west", {"two"})]


def test_a_document_that_moves_between_two_sources_is_deleted_for_a_moment() -> None:
    """Both ConfigMaps are written, one after the other; the profile refers to both throughout."""
    live = [WEST, config_map("a", "one", "two"), config_map("b", "three"), profile("a", "b")]
    live.append(deployed(WEST, "one", "two", "three"))
    plan = planned([config_map("a", "one"), config_map("b", "three", "two")], live)
    assert own(plan) == [("west", {"two"})]
    assert plan.conflicts
