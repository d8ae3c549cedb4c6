"""Withdrawals by a plan with deletions that the final state alone does not show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import Plan
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state, with_metadata
from tests.unit.test_plan_reductions import WEST, config_map, deployed, lines, profile

_MATCHES_WEST = {
    "status": {
        "matchingClusters": [
            {
                "apiVersion": "lib.projectsveltos.io/v1beta1",
                "kind": "SveltosCluster",
                "namespace": "default",
                "name": "west",
            }
        ]
    }
}


def _undo(sample: list[JsonObject], live: list[JsonObject]) -> Plan:
    """The plan of an undo, with its withdrawals. The rollback created all objects that the sample lacks."""
    cluster = MemoryCluster.of(live)
    state = sample_state(sample)
    created = cluster.objects.keys() - state.keys
    made = {key: None for key in created if key.kind != kinds.CLUSTER_CONFIGURATION}
    return add_withdrawals(cluster, plan_of(replace(state, created=made), [*cluster.objects.values()]))


@pytest.mark.parametrize(
    ("references", "uncertain"),
    [
        (("b",), ["guestbook"]),  # The profile is deployed once more without "a", and fails after that.
        (("a", "b"), []),  # Nothing is removed before the end, where the deployment fails and withdraws nothing.
        (("b?",), []),  # The deployment does not fail, so the withdrawals are known.
    ],
)
def test_a_deployment_before_a_required_object_is_deleted_is_uncertain(
    references: tuple[str, ...], uncertain: list[str]
) -> None:
    """The step of the profile comes before the deletion, and Sveltos may act in between."""
    live = [WEST, config_map("a", "one"), config_map("b", "two"), profile("a?", "b?"), deployed(WEST, "one", "two")]

    plan = _undo([WEST, config_map("a", "one"), profile(*references)], live)

    assert [uncertainty.key.name for uncertainty in plan.uncertainties] == uncertain
    assert bool(lines(plan)) is (references == ("b?",))


def test_a_deleted_profile_is_withdrawn_from_the_clusters_of_its_status() -> None:
    """The rules of the profile may no longer select the cluster, but Sveltos has not reacted yet."""
    created = profile("a", clusterSelector={"matchLabels": {"env": "none"}}) | _MATCHES_WEST
    live = [WEST, config_map("a", "one"), created, deployed(WEST, "one")]

    assert lines(_undo([WEST, config_map("a", "one")], live)) == [
        "ClusterProfile guestbook stops matching default/sveltos--west: 1 resource withdrawn"
    ]


@pytest.mark.parametrize("paused", ["guestbook", "dependent"])
@pytest.mark.parametrize("others", [[], ["east"]])
def test_deleted_content_is_withdrawn_where_add_ons_remain(paused: str, others: list[str]) -> None:
    """The profile stopped matching the cluster earlier, and the add-ons that remain there are still redeployed.

    A change of the label that the profile reads, on another cluster, does not change this.
    """
    pause = {"annotations": {"profile.projectsveltos.io/paused": "true"}}
    former = profile("a", "b?", clusterSelector={"matchLabels": {"env": "none"}}) | _MATCHES_WEST
    profiles = {
        "guestbook": [with_metadata(former, **pause)],
        "dependent": [former, with_metadata(profile(), **pause, name="dependent") | _MATCHES_WEST],
    }[paused]
    west = with_metadata(WEST, labels={"env": "other"})
    sample = [west, config_map("a", "one"), *profiles]
    live = [*sample, config_map("b", "two"), deployed(WEST, "one", "two")]
    clusters = [custom(kinds.SVELTOS_CLUSTER, name, {}, "default", labels={"env": "third"}) for name in others]
    relabelled = [with_metadata(cluster, labels={"env": "fourth"}) for cluster in clusters]

    plan = _undo([*sample, *relabelled], [*live, *clusters])

    assert lines(plan) == ["ClusterProfile guestbook deploys less to default/sveltos--west: 1 resource withdrawn"]
