"""The order of a plan's steps: withdrawals, holds and uncertainties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitsnap.core.errors import RejectedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import try_on_server
from gitsnap.rollback.plan import Action, LiveState, Outcome, Plan, Selection, WithdrawalCause, add_deployed_content
from gitsnap.rollback.plan.match_states import StepChange
from gitsnap.rollback.plan.simulation import Delta, Simulation
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import alive, custom, live_state, plan_of, with_metadata

_PAUSED = "profile.projectsveltos.io/paused"


def _cluster(name: str = "west", **labels: str) -> JsonObject:
    return custom(kinds.SVELTOS_CLUSTER, name, {}, "default", labels=labels)


def _profile(name: str = "guestbook", *, annotations: dict[str, str] | None = None, **spec: Any) -> JsonObject:
    return custom(kinds.CLUSTER_PROFILE, name, spec, annotations=annotations or {})


def _matching(**labels: str) -> dict[str, Any]:
    return {"clusterSelector": {"matchLabels": labels}}


def _set(**labels: str) -> JsonObject:
    return custom(kinds.CLUSTER_SET, "s", {**_matching(**labels), "maxReplicas": 3})


_ANY_ENV: dict[str, Any] = {"clusterSelector": {"matchExpressions": [{"key": "env", "operator": "Exists"}]}}


def _texts(plan: Plan) -> list[str]:
    return [f"{step.action} {step.key.name}" for step in plan.writes]


def _withdraws(plan: Plan) -> list[tuple[str, str, WithdrawalCause]]:
    return [(withdrawal.profile.name, withdrawal.cluster.name, withdrawal.cause) for withdrawal in plan.withdrawals]


# Orders -----------------------------------------------------------------------------------------------------------


def test_content_comes_before_referring_profiles() -> None:
    """A ConfigMap is written before the profile that reads it, regardless of their names."""
    database = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "z", "namespace": "default"}}
    plan = plan_of([_profile("a", **_matching(a="b")), database], live_state([]))
    assert _texts(plan) == ["create z", "create a"]


def test_optional_content_is_created_before_required_content() -> None:
    """A successful deployment withdraws the content of optional references that do not exist yet."""
    names = "abc"
    refs = [{"kind": "ConfigMap", "name": name, "optional": name != "a"} for name in names]
    contents = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": n, "namespace": "default"}} for n in "abc"
    ]
    live = [_cluster(env="fv"), _profile(**_matching(env="fv"), policyRefs=refs)]
    assert _texts(plan_of(contents, live_state(live))) == ["create b", "create c", "create a"]


def test_a_label_and_a_selector_that_changed_together_are_held() -> None:
    """No order of the two writes keeps the match, so the profile is paused first, and its own step ends the pause."""
    plan = plan_of(
        [_cluster(env="fv"), _profile(**_matching(env="fv"))], [_cluster(env="prod"), _profile(**_matching(env="prod"))]
    )
    assert _texts(plan) == ["hold guestbook", "update west", "update guestbook"]
    assert not plan.withdrawals
    assert not plan.blocked
    assert "default/sveltos--west" in plan.writes[0].reason


def test_a_selector_that_grows_comes_before_the_label() -> None:
    """If an order keeps the match, no profile is held: here the selector must come first."""
    plan = plan_of(
        [_cluster(env="fv"), _profile(**_ANY_ENV)], [_cluster(env="prod"), _profile(**_matching(env="prod"))]
    )
    assert _texts(plan) == ["update guestbook", "update west"]
    assert not plan.withdrawals


def test_a_selector_that_shrinks_comes_after_the_label() -> None:
    """In the opposite case the label must come first."""
    plan = plan_of([_cluster(env="fv"), _profile(**_matching(env="fv"))], [_cluster(env="prod"), _profile(**_ANY_ENV)])
    assert _texts(plan) == ["update west", "update guestbook"]
    assert not plan.withdrawals


def test_a_held_profile_without_its_own_step_is_released_last() -> None:
    """If a set's selector and a label change together, the profile that refers to the set is held."""
    profile = _profile(setRefs=["s"])
    before = [_cluster(env="fv"), profile, _set(env="fv")]
    after = [_cluster(env="prod"), profile, _set(env="prod")]
    plan = plan_of(before, after)
    assert _texts(plan) == ["hold guestbook", "update west", "update s", "release guestbook"]
    assert not plan.withdrawals


def test_a_profile_outside_the_selection_is_not_held_but_named() -> None:
    """gitsnap never writes an unselected profile: the interruption is a withdraw line."""
    profile = _profile(setRefs=["s"])
    before = [_cluster(env="fv"), profile, _set(env="fv")]
    after = [_cluster(env="prod"), profile, _set(env="prod")]
    plan = plan_of(before, after, Selection(clusters=("west",), resources=("clusterset/s",)))
    assert _texts(plan) == ["update west", "update s"]
    assert _withdraws(plan) == [("guestbook", "west", WithdrawalCause.INTERRUPTED)]
    assert plan.blocked


def test_a_match_of_an_earlier_step_is_kept() -> None:
    """A cluster that starts to match by the old rules must not stop matching before the new rules apply."""
    nothing: dict[str, Any] = {"clusterSelector": {"matchLabels": {}}}
    before = [
        _cluster(env="a"),
        _profile(**_matching(env="a")),
        custom(kinds.CLUSTER_SET, "s", {**nothing, "maxReplicas": 3}),
    ]
    after = [_cluster(), _profile(**nothing, setRefs=["s"]), _set(env="a")]
    texts = _texts(plan_of(before, after))
    assert texts.index("update s") > min(texts.index("update guestbook"), texts.index("update west"))
    assert texts.index("update guestbook") < texts.index("update s") or texts.index("update s") < texts.index(
        "update west"
    )


def test_a_temporary_match_is_held_or_named() -> None:
    """A hold avoids a deployment that the rollback withdraws again; without a hold there is a withdraw line."""
    selected = plan_of(
        [_cluster(env="a"), _profile(**_matching(env="b"))], [_cluster(env="b"), _profile(**_matching(env="a"))]
    )
    assert _texts(selected) == ["hold guestbook", "update west", "update guestbook"]
    assert not selected.withdrawals
    profile = _profile(setRefs=["s"])
    before = [_cluster(env="a"), profile, _set(env="b")]
    after = [_cluster(env="b"), profile, _set(env="a")]
    outside = plan_of(before, after, Selection(clusters=("west",), resources=("clusterset/s",)))
    assert _withdraws(outside) == [("guestbook", "west", WithdrawalCause.TRANSIENT)]


def test_a_paused_profile_stays_paused_until_its_clusters_match() -> None:
    """The own step of a profile that a user paused ends the pause only after the label is restored."""
    paused = _profile(annotations={_PAUSED: "true"}, **_matching(env="fv"))
    live = {**alive(paused), "status": {"matchingClusters": [_reference("west")]}}
    plan = plan_of([_cluster(env="fv"), _profile(**_matching(env="fv"))], [_cluster(env="prod"), live])
    assert _texts(plan) == ["update west", "update guestbook"]
    assert not plan.withdrawals


def test_a_paused_profile_that_loses_a_cluster_when_released_is_named() -> None:
    """When the pause ends, the profile loses its add-ons on clusters that its selector no longer matches."""
    paused = _profile(annotations={_PAUSED: "true"}, **_matching(env="fv"))
    live = {**alive(paused), "status": {"matchingClusters": [_reference("west")]}}
    plan = plan_of([_profile(**_matching(env="fv"))], [_cluster(env="prod"), live])
    assert _withdraws(plan) == [("guestbook", "west", WithdrawalCause.ENDED)]


def _reference(name: str) -> JsonObject:
    kind = kinds.SVELTOS_CLUSTER
    return {"apiVersion": f"{kind.group}/v1beta1", "kind": kind.name, "namespace": "default", "name": name}


def test_a_profile_that_argo_cd_owns_is_not_held() -> None:
    """Argo CD would remove the annotation, so the profile is not held and the loss is a withdraw line."""
    argo = {"argocd.argoproj.io/instance": "apps"}
    profile = with_metadata(_profile(setRefs=["s"]), labels=argo)
    before = [_cluster(env="fv"), profile, _set(env="fv")]
    after = [_cluster(env="prod"), profile, _set(env="prod")]
    assert _withdraws(plan_of(before, after)) == [("guestbook", "west", WithdrawalCause.INTERRUPTED)]
    assert _texts(plan_of(before, after, force_owned=True))[0] == "hold guestbook"


def test_a_hold_that_the_server_refuses_becomes_a_withdraw_line() -> None:
    """The plan is made again without the rejected hold, and nothing is held without a step."""
    live = [_cluster(env="prod"), _profile(**_matching(env="prod"))]
    plan = plan_of([_cluster(env="fv"), _profile(**_matching(env="fv"))], live)
    cluster = _Refusing.of(live)
    tried = try_on_server(cluster, plan)
    assert "hold guestbook" not in _texts(tried)
    assert ("guestbook", "west", WithdrawalCause.INTERRUPTED) in _withdraws(tried)


class _Refusing(MemoryCluster):
    """Rejects patches of profiles, as a policy engine may do."""

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        if key.kind == kinds.CLUSTER_PROFILE:
            raise RejectedError("pausing is forbidden here")
        return super().patch(key, patch, dry_run=dry_run)


# Withdrawals ------------------------------------------------------------------------------------------------------


def test_a_match_that_the_sample_lacks_is_a_withdraw() -> None:
    """The withdrawal needs `--allow-withdraw`, and its line names the cluster."""
    arguments = ([_profile(**_matching(env="fv"))], [_cluster(env="prod"), _profile(**_matching(env="prod"))])
    plan = plan_of(*arguments)
    assert _withdraws(plan) == [("guestbook", "west", WithdrawalCause.ENDED)]
    assert any("--allow-withdraw" in reason for reason in plan.blocked)
    assert not plan_of(*arguments, allow_withdraw=True).blocked


def test_a_withdraw_line_counts_releases_and_resources() -> None:
    """The line counts the releases and resources of that profile on that cluster only."""
    plan = plan_of([_profile(**_matching(env="fv"))], [_cluster(env="prod"), _profile(**_matching(env="prod"))])
    entries = {"charts": [{"repoURL": "u", "releaseName": "r", "chartVersion": "1"}], "featureID": "Helm"}
    resources = {
        "resources": [{"kind": "Service", "name": "s", "version": "v1", "group": ""}],
        "featureID": "Resources",
    }
    configuration = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterConfiguration",
        "metadata": {"name": "sveltos--west", "namespace": "default"},
        "status": {
            "clusterProfileResources": [
                {"clusterProfileName": "guestbook", "Features": [entries, resources]},
                {"clusterProfileName": "other", "Features": [resources]},
            ]
        },
    }
    (line,) = add_deployed_content(plan, [configuration]).withdrawals
    assert str(line).endswith("stops matching default/sveltos--west: 1 Helm release and 1 resource withdrawn")


def test_leave_policies_keeps_add_ons() -> None:
    """`stopMatchingBehavior: LeavePolicies` before and after the plan keeps the add-ons."""
    leave: dict[str, Any] = {"stopMatchingBehavior": "LeavePolicies"}
    plan = plan_of(
        [_profile(**_matching(env="fv"), **leave)], [_cluster(env="prod"), _profile(**_matching(env="prod"), **leave)]
    )
    assert "stays (stopMatchingBehavior LeavePolicies)" in str(plan.withdrawals[0])


def test_leave_policies_of_the_sample_is_written_before_the_label() -> None:
    """SVELTOS.md 10.7: the order of the two writes decides; add-ons that the sample leaves in place stay."""
    leave = _profile(**_matching(env="prod"), stopMatchingBehavior="LeavePolicies")
    plan = plan_of([_cluster(env="fv"), leave], [_cluster(env="prod"), _profile(**_matching(env="prod"))])
    assert _texts(plan) == ["update guestbook", "update west"]
    assert "stays (stopMatchingBehavior LeavePolicies)" in str(plan.withdrawals[0])
    assert not plan.blocked


def test_a_profile_withdraws_when_it_leaves_dry_run() -> None:
    """SVELTOS.md 10.4: add-ons stay on a cluster that no longer matches until the profile leaves DryRun."""
    west = ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
    live = live_state([_cluster(env="prod"), _profile(**_matching(env="fv"), syncMode="DryRun")])
    live = replace(live, summary_clusters={ObjectKey(kinds.CLUSTER_PROFILE, "", "guestbook"): frozenset({west})})
    going_on = plan_of([_profile(**_matching(env="fv"))], live)
    assert _withdraws(going_on) == [("guestbook", "west", WithdrawalCause.ENDED)]
    assert going_on.blocked
    staying = plan_of([_profile(**_matching(env="x"), syncMode="DryRun")], live)
    assert "stays (until it leaves syncMode DryRun)" in str(staying.withdrawals[0])
    assert not staying.blocked


def test_add_ons_of_a_profile_paused_in_the_sample_stay() -> None:
    """The line says how long the add-ons stay; nothing is withdrawn, so no consent is needed."""
    paused = _profile(annotations={_PAUSED: "true"}, **_matching(env="fv"))
    plan = plan_of([paused], [_cluster(env="prod"), _profile(**_matching(env="prod"))])
    assert "stays (until it is no longer paused)" in str(plan.withdrawals[0])
    assert not plan.blocked


@pytest.mark.parametrize(
    ("annotations", "fields", "until"),
    [
        ({_PAUSED: "true"}, {}, "until it is no longer paused"),
        ({}, {"syncMode": "DryRun"}, "until it leaves syncMode DryRun"),
        ({}, {"stopMatchingBehavior": "LeavePolicies"}, "stopMatchingBehavior LeavePolicies"),
    ],
)
def test_a_pause_or_dry_run_is_written_before_the_label(
    annotations: dict[str, str], fields: dict[str, Any], until: str
) -> None:
    """A label that is written first would end the match of a profile that is not yet paused or in DryRun."""
    sample = [_cluster(env="fv"), _profile(annotations=annotations, **_matching(env="x"), **fields)]
    plan = plan_of(sample, [_cluster(env="prod"), _profile(**_matching(env="prod"))])
    assert _texts(plan) == ["update guestbook", "update west"]
    assert [withdrawal.retention_reason for withdrawal in plan.withdrawals] == [until]


def test_under_one_time_the_former_behavior_applies() -> None:
    """OneTime and LeavePolicies in one step: the ClusterSummary keeps WithdrawPolicies (seen on a real controller)."""
    live = [_cluster(env="prod"), _profile(**_matching(env="prod"))]
    fields: dict[str, Any] = {"syncMode": "OneTime", "stopMatchingBehavior": "LeavePolicies"}
    plan = plan_of([_profile(**_matching(env="fv"), **fields)], live)
    assert [(withdrawal.needs_consent, withdrawal.cause) for withdrawal in plan.withdrawals] == [
        (True, WithdrawalCause.ENDED)
    ]
    assert plan.blocked
    assert [effect.type for effect in plan.writes[0].effects] == ["withdraws"]
    leaving = [_cluster(env="prod"), _profile(**_matching(env="prod"), stopMatchingBehavior="LeavePolicies")]
    assert [
        withdrawal.needs_consent
        for withdrawal in plan_of([_profile(**_matching(env="fv"), **fields)], leaving).withdrawals
    ] == [False]


# Differences that existed before the plan -----------------------------------------------------------------------------


_EAST = ObjectKey(kinds.SVELTOS_CLUSTER, "default", "east")
_PAUSE = {_PAUSED: "true"}


def _on_west(document: JsonObject) -> JsonObject:
    """The profile with ``west`` in its status."""
    return {**alive(document), "status": {"matchingClusters": [_reference("west")]}}


_REMAINING: dict[str, tuple[JsonObject, ...]] = {
    "paused": (_on_west(_profile("q", annotations=_PAUSE, **_matching(env="q"))),),
    "held by another rollback": (
        _on_west(_profile("q", annotations={_PAUSED: "gitsnap-rollback"}, **_matching(env="q"))),
    ),
    "prerequisite of a paused profile": (
        _on_west(_profile("q", annotations=_PAUSE, **_matching(env="q"), dependsOn=["p"])),
        _on_west(_profile("p", **_matching(env="p"))),
    ),
    "former prerequisite of a paused profile": (
        _on_west(_profile("q", annotations=_PAUSE, **_matching(env="q"))),
        _on_west(_profile("p", **_matching(env="p"))),
    ),
    "DryRun": (_profile("q", **_matching(env="q"), syncMode="DryRun"),),
}
"""Profiles with add-ons on ``west``, which matched ``west`` earlier and match no cluster now. ``q`` is the first."""


def _remaining(name: str, *others: JsonObject) -> tuple[JsonObject, LiveState]:
    """The profile ``q``, and a live state with ``west``, on which the add-ons of these profiles remain."""
    west = ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
    live = live_state([_cluster(env="other"), *_REMAINING[name], *others])
    summaries = {ObjectKey(kinds.CLUSTER_PROFILE, "", "q"): frozenset({west})} if name == "DryRun" else {}
    return _REMAINING[name][0], replace(live, summary_clusters=summaries)


@pytest.mark.parametrize("name", _REMAINING)
def test_a_match_that_ended_before_the_plan_is_not_named(name: str) -> None:
    """The plan relabels another cluster; the profiles only read the same label key."""
    _, live = _remaining(name, _cluster("east", env="b"))
    plan = plan_of([_cluster("east", env="a")], live, Selection(keys=(_EAST,)))
    assert _texts(plan) == ["update east"]
    assert not plan.withdrawals
    assert not plan.blocked


@pytest.mark.parametrize("name", _REMAINING)
def test_a_match_that_the_same_label_change_ends_is_named_alone(name: str) -> None:
    """The profile also matches the relabelled cluster: only the line about that cluster is the plan's own."""
    _, live = _remaining(name, _cluster("east", env="q"))
    plan = plan_of([_cluster("east", env="a")], live, Selection(keys=(_EAST,)))
    assert {cluster for _, cluster, _ in _withdraws(plan)} == {"east"}


@pytest.mark.parametrize("name", _REMAINING)
@pytest.mark.parametrize("step", ["profile", "cluster"])
def test_a_match_that_a_step_touches_is_named(name: str, step: str) -> None:
    """The plan ends the pause or the DryRun, or relabels the cluster on which the add-ons remain."""
    profile, live = _remaining(name, _cluster("east", env="b"))
    spec = {field: value for field, value in profile["spec"].items() if field != "syncMode"}
    target = {"profile": _profile("q", **spec), "cluster": _cluster(env="third")}[step]
    plan = plan_of([_cluster("east", env="a"), target], live)
    assert len(plan.writes) == 2
    expected = {document["metadata"]["name"] for document in _REMAINING[name]}
    assert {(profile, cluster) for profile, cluster, _ in _withdraws(plan)} == {(name, "west") for name in expected}


@pytest.mark.parametrize(
    ("behavior", "reason"), [("WithdrawPolicies", ""), ("LeavePolicies", "stopMatchingBehavior LeavePolicies")]
)
def test_the_end_of_a_pause_withdraws_former_prerequisites(behavior: str, reason: str) -> None:
    """``q`` no longer depends on ``p``, which has its add-ons on ``west`` only until Sveltos evaluates ``q`` again."""
    paused = _on_west(_profile("q", annotations=_PAUSE, **_matching(env="fv")))
    former = _on_west(_profile("p", **_matching(env="none"), stopMatchingBehavior=behavior))
    live = [_cluster(env="fv"), _cluster("east", env="fv"), paused, former]
    plan = plan_of([_profile("q", **_matching(env="fv"))], live)
    assert _withdraws(plan) == [("p", "west", WithdrawalCause.ENDED)]
    assert [withdrawal.retention_reason for withdrawal in plan.withdrawals] == [reason]
    still_paused = _profile("q", annotations=_PAUSE, **_matching(env="fv"), tier=7)
    assert not plan_of([still_paused], live).withdrawals


def test_a_set_that_a_step_changes_touches_the_profiles_that_use_it() -> None:
    """The step ends the match through the set, which the paused profile still has in its status."""
    paused = _on_west(_profile("q", annotations=_PAUSE, setRefs=["s"]))
    live = [_cluster(env="fv"), paused, _set(env="fv")]
    plan = plan_of([_set(env="prod")], live)
    assert _withdraws(plan) == [("q", "west", WithdrawalCause.ENDED)]


# Prerequisites ------------------------------------------------------------------------------------------------------


def test_a_prerequisite_is_withdrawn_with_its_dependents() -> None:
    """SVELTOS.md 10.3: removing dependsOn, or relabelling a dependent's cluster, withdraws the prerequisite there."""
    base, nothing = _profile("base", clusterSelector={"matchLabels": {}}), _matching(env="fv")
    live = [_cluster(env="fv"), base, _profile("middle", dependsOn=["base"]), _profile(**nothing, dependsOn=["middle"])]
    plan = plan_of([_profile(**nothing)], live)
    assert _withdraws(plan) == [("base", "west", WithdrawalCause.ENDED), ("middle", "west", WithdrawalCause.ENDED)]
    relabelled = plan_of([_cluster(env="prod")], live)
    assert {name for name, _, _ in _withdraws(relabelled)} == {"base", "middle", "guestbook"}


def test_a_prerequisite_waits_for_its_new_dependents() -> None:
    """The profile loses its own selector and is deployed for another profile, which Sveltos evaluates later."""
    live = [_cluster(env="fv"), _profile("base", **_matching(env="fv")), _profile(**_matching(env="fv"))]
    base = _profile("base", clusterSelector={"matchLabels": {}})
    plan = plan_of([base, _profile(**_matching(env="fv"), dependsOn=["base"])], live)
    assert _texts(plan) == ["hold base", "update guestbook", "update base"]
    assert [str(wait) for wait in plan.writes[-1].waits] == [
        "until ClusterProfile guestbook matches default/sveltos--west",
        "until Sveltos knows that other profiles need ClusterProfile base",
    ]
    assert not plan.withdrawals


# Uncertainties ---------------------------------------------------------------------------------------------------


def test_a_set_with_max_replicas_is_uncertain() -> None:
    """Sveltos chooses among the candidates of the set, so the effect is uncertain."""
    profile, clusters = _profile(setRefs=["s"]), [_cluster(env="fv"), _cluster("east", env="fv")]
    before = custom(kinds.CLUSTER_SET, "s", {**_matching(env="fv"), "maxReplicas": 1})
    after = custom(kinds.CLUSTER_SET, "s", {**_matching(env="fv"), "maxReplicas": 2})
    plan = plan_of([*clusters, profile, before], [*clusters, profile, after])
    assert [uncertainty.key.name for uncertainty in plan.uncertainties] == ["guestbook"]
    assert any("may cause Sveltos to withdraw add-ons" in reason for reason in plan.blocked)


def test_a_changed_classifier_is_uncertain_for_profiles_of_its_label() -> None:
    """The labels that a classifier will set are unknown before Sveltos acts."""

    def classifier(value: str) -> JsonObject:
        return custom(kinds.CLASSIFIER, "c", {"classifierLabels": [{"key": "gpu", "value": value}]})

    others = [_cluster(gpu="yes"), _profile(**_matching(gpu="yes")), _profile("other", **_matching(env="fv"))]
    plan = plan_of([classifier("yes"), *others], [classifier("no"), *others])
    assert [uncertainty.key.name for uncertainty in plan.uncertainties] == ["guestbook"]
    assert "Classifier c sets" in plan.uncertainties[0].reason


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (kinds.EVENT_TRIGGER, {"eventSourceName": "a"}, {"eventSourceName": "b"}),
        (kinds.CLUSTER_PROMOTION, {"stages": [{"name": "a"}]}, {"stages": [{"name": "b"}]}),
    ],
)
def test_generated_profiles_are_uncertain(kind: Any, before: JsonObject, after: JsonObject) -> None:
    """The API does not show what happens to generated profiles."""
    plan = plan_of([custom(kind, "x", before)], [custom(kind, "x", after)])
    assert "profiles that Sveltos generates" in str(plan.uncertainties[0])


def test_steps_of_a_hold_show_the_dry_run() -> None:
    """The dry run tries the hold; it does not try the release, which reverts an earlier step."""
    profile = _profile(setRefs=["s"])
    before = [_cluster(env="fv"), profile, _set(env="fv")]
    after = [_cluster(env="prod"), profile, _set(env="prod")]
    tried = try_on_server(MemoryCluster.of(after), plan_of(before, after))
    outcomes = {step.action: step.dry_run.outcome for step in tried.writes if step.dry_run is not None}
    assert outcomes == {Action.HOLD: Outcome.OK, Action.UPDATE: Outcome.OK, Action.RELEASE: Outcome.NOT_TRIED}


def test_the_order_of_many_steps_is_found_in_near_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many clusters take twice as many evaluations, even if half of the steps wait for all others."""
    evaluations = {number: _count_tried_steps(number, monkeypatch) for number in (30, 60)}
    assert evaluations[60] <= 2.2 * evaluations[30]


def _count_tried_steps(number: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of tried steps: the labels ``a`` wait for the profile, and the profile waits for the labels ``b``."""
    count = 0
    apply = Simulation.apply

    def counted(simulation: Simulation, change: StepChange) -> list[Delta]:
        nonlocal count
        count += 1
        return apply(simulation, change)

    monkeypatch.setattr(Simulation, "apply", counted)
    old = [_cluster(f"a{index}", env="fv", zone="x") for index in range(number)]
    old += [_cluster(f"b{index}", env="fv") for index in range(number)]
    new = [_cluster(f"a{index}", zone="x") for index in range(number)]
    new += [_cluster(f"b{index}", env="fv", zone="x") for index in range(number)]
    plan = plan_of([*new, _profile(**_matching(zone="x"))], [*old, _profile(**_matching(env="fv"))])
    monkeypatch.setattr(Simulation, "apply", apply)
    assert (plan.withdrawals, plan.holds) == ((), ())
    return count
