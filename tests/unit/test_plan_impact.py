"""The effects of each step of a plan: which managed clusters it affects, and what Sveltos does there."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.rollback.plan import EffectType, Plan
from gitsnap.sveltos import kinds
from tests.support.plans import changed, custom, plan_of, step_of, with_metadata

_PAUSED = {"profile.projectsveltos.io/paused": "true"}


def _cluster(name: str, env: str, namespace: str = "default") -> JsonObject:
    return custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels={"env": env})


def _profile(env: str = "fv", *, name: str = "guestbook", annotations: Any = None, **spec: Any) -> JsonObject:
    metadata = {"annotations": annotations} if annotations else {}
    return custom(kinds.CLUSTER_PROFILE, name, {"clusterSelector": {"matchLabels": {"env": env}}, **spec}, **metadata)


def _config_map(text: str, name: str = "database", namespace: str = "default") -> JsonObject:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


def _refers_to(name: str = "database", namespace: str | None = "default") -> JsonObject:
    place = {"namespace": namespace} if namespace is not None else {}
    return {"policyRefs": [{"kind": "ConfigMap", "name": name, **place}]}


def _effects(plan: Plan, name: str) -> dict[str, list[str]]:
    """The effects of a step: type, profile and clusters."""
    return {
        f"{effect.type} {effect.by.name}": [cluster.name for cluster in effect.clusters]
        for effect in step_of(plan, name).effects
    }


CLUSTERS = [_cluster("east", "fv"), _cluster("west", "fv"), _cluster("other", "prod")]


def test_content_affects_the_clusters_of_referring_profiles() -> None:
    """The clusters of each profile that refers to the object, and no others."""
    profiles = [_profile(**_refers_to()), _profile("prod", name="else", **_refers_to("frontend"))]
    plan = plan_of([*profiles, _config_map("1")], [*CLUSTERS, *profiles, _config_map("2")])
    assert _effects(plan, "database") == {"redeploys guestbook": ["east", "west"]}
    assert [str(cluster) for cluster in sorted(plan.reached)] == ["default/sveltos--east", "default/sveltos--west"]


@pytest.mark.parametrize(("name", "namespace"), [("{{ .ClusterName }}", "default"), ("database", None)])
def test_a_reference_can_have_a_target_per_cluster(name: str, namespace: str | None) -> None:
    """A template or an empty namespace: only the cluster for which the reference means this object is affected."""
    profile = _profile(**_refers_to(name, namespace))
    clusters = [_cluster("east", "fv", "default"), _cluster("west", "fv", "elsewhere")]
    target = "east" if "{{" in name else "database"
    plan = plan_of([profile, _config_map("1", target)], [*clusters, profile, _config_map("2", target)])
    assert [effect.clusters[0].name for effect in step_of(plan, target).effects if effect.by.name == "guestbook"] == [
        "east"
    ]


@pytest.mark.parametrize(
    ("mode", "doing"), [("OneTime", "once"), ("DryRun", "reports"), ("ContinuousWithDriftDetection", "redeploys")]
)
def test_the_sync_mode_decides_what_a_change_does(mode: str, doing: str) -> None:
    """For the spec of the profile and for its content alike; effects without a deployment reach no cluster."""
    live = [*CLUSTERS, _profile(syncMode=mode, tier=1, **_refers_to()), _config_map("2")]
    plan = plan_of([_profile(syncMode=mode, tier=2, **_refers_to()), _config_map("1")], live)
    assert _effects(plan, "guestbook") == {f"{doing} guestbook": ["east", "west"]}
    assert _effects(plan, "database") == {f"{doing} guestbook": ["east", "west"]}
    assert bool(plan.reached) is (doing == "redeploys")


def test_a_paused_profile_waits_and_its_content_does_not() -> None:
    """A pause freezes the spec; Sveltos still deploys the content of references."""
    live = [*CLUSTERS, _profile(tier=1, annotations=_PAUSED, **_refers_to()), _config_map("2")]
    plan = plan_of([_profile(tier=2, annotations=_PAUSED, **_refers_to()), _config_map("1")], live)
    assert _effects(plan, "guestbook") == {"waits guestbook": ["east", "west"]}
    assert _effects(plan, "database") == {"redeploys guestbook": ["east", "west"]}


def test_a_new_profile_is_deployed_and_labels_alone_do_nothing() -> None:
    """Sveltos deploys the spec of the profile."""
    labelled = with_metadata(_profile(name="labelled"), labels={"team": "a"})
    plan = plan_of([_profile(), labelled], [*CLUSTERS, _profile(name="labelled")])
    assert _effects(plan, "guestbook") == {"deploys guestbook": ["east", "west"]}
    assert _effects(plan, "labelled") == {}


@pytest.mark.parametrize(("behavior", "doing"), [("WithdrawPolicies", "withdraws"), ("LeavePolicies", "leaves")])
def test_a_label_brings_one_profile_and_ends_another(behavior: str, doing: str) -> None:
    """The step of a cluster affects that cluster only; the profile decides whether its add-ons stay."""
    profiles = [_profile("fv"), _profile("prod", name="late", stopMatchingBehavior=behavior)]
    plan = plan_of([_cluster("east", "fv")], [_cluster("east", "prod"), _cluster("west", "fv"), *profiles])
    assert _effects(plan, "east") == {"deploys guestbook": ["east"], f"{doing} late": ["east"]}


def test_a_label_and_a_selector_that_changed_together_redeploy() -> None:
    """The match exists before and after: the label's step has no effect, the profile's own step redeploys."""
    plan = plan_of(
        [_cluster("east", "fv"), _profile("fv", tier=1)], [_cluster("east", "prod"), _profile("prod", tier=2)]
    )
    assert _effects(plan, "east") == {}
    steps = {str(step.action): [effect.type for effect in step.effects] for step in plan.writes if step.effects}
    assert steps == {"update": [EffectType.REDEPLOYS]}


def test_a_set_reaches_through_the_profiles_that_name_it() -> None:
    """Clusters that join the set start to match."""
    chosen = custom(kinds.CLUSTER_SET, "eu", {"clusterSelector": {"matchLabels": {"env": "fv"}}, "maxReplicas": 5})
    profile = custom(kinds.CLUSTER_PROFILE, "guestbook", {"setRefs": ["eu"]})
    narrow = changed(chosen, spec={"clusterSelector": {"matchLabels": {"env": "prod"}}, "maxReplicas": 5})
    plan = plan_of([chosen], [*CLUSTERS, narrow, profile])
    assert _effects(plan, "eu") == {"deploys guestbook": ["east", "west"], "withdraws guestbook": ["other"]}


def test_effects_of_other_kinds() -> None:
    """An EventTrigger affects the clusters that it watches, also through its EventSource; a Classifier affects all."""
    trigger = {"eventSourceName": "e", "sourceClusterSelector": {"matchLabels": {"env": "fv"}}}
    classifier = {"classifierLabels": [{"key": "gpu", "value": "yes"}]}
    sample = [
        custom(kinds.EVENT_TRIGGER, "t", trigger),
        custom(kinds.EVENT_SOURCE, "e", {"collectResources": True}),
        custom(kinds.CLASSIFIER, "c", classifier),
    ]
    live = [custom(kinds.EVENT_TRIGGER, "t", trigger), custom(kinds.EVENT_SOURCE, "e", {"collectResources": False})]
    plan = plan_of(sample, [*CLUSTERS, *live])
    assert _effects(plan, "e") == {"applies t": ["east", "west"]}
    assert _effects(plan, "c") == {"applies c": ["east", "other", "west"]}
