"""Plans with a set that matches more clusters than it may select, or that Sveltos evaluates too late."""

from __future__ import annotations

import pytest

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import apply
from gitsnap.rollback.plan import Action, Plan, Selection
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import alive, custom, live_state, plan_of
from tests.support.sveltos.matches import Matches

_PROFILE = ObjectKey(kinds.CLUSTER_PROFILE, "", "p")


def _cluster(name: str, env: str) -> JsonObject:
    return custom(kinds.SVELTOS_CLUSTER, name, {}, "default", labels={"env": env})


def _set(limit: int, env: str) -> JsonObject:
    return custom(kinds.CLUSTER_SET, "s", {"clusterSelector": {"matchLabels": {"env": env}}, "maxReplicas": limit})


def _profile(env: str) -> JsonObject:
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "setRefs": ["s"]}
    return custom(kinds.CLUSTER_PROFILE, "p", spec)


class _Rollback:
    """A plan that rolls a configuration back to another, executed on a cluster with a simulated Sveltos."""

    def __init__(
        self,
        sample: list[JsonObject],
        live: list[JsonObject],
        selection: Selection | None = None,
        *,
        sets_first: bool = True,
    ) -> None:
        cluster = MemoryCluster.of(alive(document) for document in live)
        sveltos = Matches(cluster.objects, sets_first=sets_first)
        sveltos.act()
        self.plan: Plan = plan_of(
            sample, live_state(list(cluster.objects.values())), selection, allow_withdraw=True, skip_refused=True
        )
        cluster.after_write = lambda _verb, _key: sveltos.act()
        apply(cluster, self.plan)
        self.lost = {(profile.name, key.name) for profile, key in sveltos.lost}

    @property
    def uncertainties(self) -> dict[str, str]:
        """Reasons of uncertainties, by profile."""
        return {doubt.key.name: doubt.reason for doubt in self.plan.uncertainties}

    @property
    def withdrawals(self) -> set[tuple[str, str]]:
        """Profile and cluster of each withdraw line."""
        return {(line.profile.name, line.cluster.name) for line in self.plan.withdrawals}


def test_a_profile_is_held_while_its_set_is_too_small_for_its_clusters() -> None:
    """Each cluster matches before and after the rollback. Meanwhile the set must drop a cluster."""
    sample = [_cluster("east", "b"), _cluster("west", "a"), _set(1, "a"), _profile("b")]
    live = [_cluster("east", "a"), _cluster("west", "a"), _set(9, "a"), _profile("none")]

    done = _Rollback(sample, live)

    assert (done.lost, done.uncertainties, done.withdrawals) == (set(), {}, set())
    assert [step.key for step in done.plan.steps if step.action is Action.HOLD] == [_PROFILE]


def test_a_set_that_loses_its_clusters_may_choose_others() -> None:
    """If all clusters leave the set before they return, the former status does not decide which clusters are chosen."""
    sample = [_cluster("east", "b"), _cluster("north", "b"), _cluster("west", "b"), _set(2, "b"), _profile("none")]
    live = [_cluster("east", "b"), _cluster("north", "a"), _cluster("west", "a"), _set(2, "a"), _profile("none")]

    done = _Rollback(sample, live)

    assert done.uncertainties == {"p": "Sveltos chooses the clusters of a set with maxReplicas"}
    assert done.lost


@pytest.mark.parametrize("sets_first", [True, False])
def test_an_unselected_profile_of_a_set_is_uncertain(sets_first: bool) -> None:  # noqa: FBT001
    """Sveltos may evaluate the profile before the set, and an unselected profile must not be held."""
    sample = [_cluster("west", "b"), _set(1, "b")]
    live = [_cluster("west", "a"), _profile("a")]

    done = _Rollback(sample, live, sets_first=sets_first)

    assert done.uncertainties == {
        "p": "on 1 cluster it matches through ClusterSet s, which Sveltos evaluates some time after the write"
    }
    assert done.lost == (set() if sets_first else {("p", "west")})


_A = {"matchLabels": {"env": "a"}}
_NONE = {"matchLabels": {"env": "none"}}
_DEPENDENT = custom(kinds.CLUSTER_PROFILE, "dependent", {"clusterSelector": _A, "dependsOn": ["p"]})


@pytest.mark.parametrize(
    ("before", "after", "further", "providers"),
    [
        (
            custom(kinds.EVENT_TRIGGER, "p", {"sourceClusterSelector": _A}),
            custom(kinds.EVENT_TRIGGER, "p", {"clusterSetRefs": ["s"]}),
            _set(3, "a"),
            "ClusterSet s",
        ),
        (
            custom(kinds.PROFILE, "p", {"clusterSelector": _A}, "default"),
            custom(kinds.PROFILE, "p", {"setRefs": ["s"]}, "default"),
            custom(kinds.SET, "s", {"clusterSelector": _A, "maxReplicas": 3}, "default"),
            "Set s",
        ),
        (
            custom(kinds.CLUSTER_PROFILE, "p", {"clusterSelector": _A}),
            custom(kinds.CLUSTER_PROFILE, "p", {"clusterSelector": _NONE, "setRefs": ["missing"]}),
            _DEPENDENT,
            "the profiles that depend on it",
        ),
    ],
    ids=["EventTrigger", "Profile", "dependent"],
)
def test_the_reason_names_what_an_object_matches_through(
    before: JsonObject, after: JsonObject, further: JsonObject, providers: str
) -> None:
    """An object loses its own selector and matches its cluster through another new object."""
    plan = plan_of([_cluster("west", "a"), after, further], [_cluster("west", "a"), before], wait=0)
    reasons = {doubt.key.name: doubt.reason for doubt in plan.uncertainties}
    assert reasons == {
        "p": f"on 1 cluster it matches through {providers}, which Sveltos evaluates some time after the write"
    }


def test_a_label_that_only_the_new_selector_of_a_set_reads_does_not_change_the_set() -> None:
    """The status lacks ``east``, which is not ready. Sveltos evaluates the set only when its selector changes."""
    live_set = custom(kinds.CLUSTER_SET, "s", {"clusterSelector": _A, "maxReplicas": 3})
    new_set = custom(kinds.CLUSTER_SET, "s", {"clusterSelector": {"matchLabels": {"ring": "1"}}, "maxReplicas": 3})
    west = _cluster("west", "a")
    reference = {"apiVersion": west["apiVersion"], "kind": west["kind"], "namespace": "default", "name": "west"}
    status = {"selectedClusterRefs": [reference]}
    in_ring = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "a", "ring": "1"})

    plan = plan_of([in_ring, new_set], [west, _cluster("east", "a"), live_set | {"status": status}, _profile("none")])

    assert [step.key for step in plan.writes] == [ObjectKey.of(in_ring), ObjectKey.of(new_set)]
    assert (plan.withdrawals, plan.uncertainties) == ((), ())
