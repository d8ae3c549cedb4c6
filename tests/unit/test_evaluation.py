"""When the status of profiles and sets shows the live configuration, and that a player waits for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import ControlPlane
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, with_metadata
from tests.support.sveltos.evaluation import unevaluated
from tests.support.sveltos.playing import Player, Surroundings
from tests.support.sveltos.situations import Names, Situation

N = Names("n")
PAUSED = {"annotations": {"profile.projectsveltos.io/paused": "true"}}
CLUSTERS = N.both(env="n")


def _status(document: JsonObject, *letters: str) -> JsonObject:
    """The object with clusters in its status."""
    field = "selectedClusterRefs" if document["kind"] == "ClusterSet" else "matchingClusters"
    references = [
        {"apiVersion": cluster["apiVersion"], "kind": cluster["kind"], "namespace": "n", "name": f"n-{letter}"}
        for letter in letters
        for cluster in CLUSTERS[:1]
    ]
    return {**document, "status": {field: references}}


def _summary(letter: str, *references: str, profile: str = "n") -> JsonObject:
    """The ClusterSummary of a profile on a cluster."""
    copy = N.profile(*references)["spec"]
    spec = {
        "clusterType": "Sveltos",
        "clusterNamespace": "n",
        "clusterName": f"n-{letter}",
        "clusterProfileSpec": copy,
    }
    owners = [{"kind": "ClusterProfile", "name": profile}]
    return custom(kinds.CLUSTER_SUMMARY, f"{profile}-{letter}", spec, "n", ownerReferences=owners)


BOTH = [_summary("a", "c"), _summary("b", "c")]


@pytest.mark.parametrize(
    ("documents", "summaries", "expected"),
    [
        ([_status(N.profile("c"), "a", "b")], BOTH, []),
        ([N.profile("c")], BOTH, ["n"]),
        ([_status(N.profile("c"), "a")], BOTH, ["n"]),
        ([_status(N.profile("c"), "a", "b")], BOTH[:1], ["n"]),
        ([_status(N.profile("d"), "a", "b")], BOTH, ["n"]),
        ([_status(N.profile("d", syncMode="OneTime"), "a", "b")], BOTH, []),
        ([_status(N.profile("c", clusterSelector=N.selects("none")), "a", "b")], BOTH, ["n"]),
        ([_status(with_metadata(N.profile("c", clusterSelector=N.selects("none")), name="n", **PAUSED), "a")], [], []),
        ([with_metadata(_status(N.profile("c"), "a", "b"), deletionTimestamp="2026-01-01T00:00:00Z")], BOTH, ["n"]),
        ([N.set("env", 1)], [], ["n"]),
        ([_status(N.set("env", 1), "a")], [], []),
        ([_status(N.set("env", 1), "a", "b")], [], ["n"]),
        ([_status(N.set("none"), "a")], [], ["n"]),
        ([_status(N.set("env"), "a", "b"), _status(N.profile("c", setRefs=["n"]), "a")], BOTH, ["n"]),
        (
            [
                _status(N.profile("c", dependsOn=["n-base"]), "a", "b"),
                N.profile("c", name="-base", clusterSelector=N.selects("none")),
            ],
            BOTH,
            ["n-base"],
        ),
    ],
)
def test_what_sveltos_has_not_evaluated(
    documents: list[JsonObject], summaries: list[JsonObject], expected: list[str]
) -> None:
    """Each row leaves out one part of what Sveltos writes."""
    assert [key.name for key in unevaluated([*CLUSTERS, *documents], summaries)] == expected


class _Late(MemoryCluster):
    """Sveltos evaluates the profile after a number of reads."""

    reads = 0
    evaluate: Callable[[], None]

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        self.reads += key.kind == kinds.CLUSTER_PROFILE
        if self.reads == 20:
            self.evaluate()
        return super().get(key)


def test_a_player_rests_until_sveltos_has_evaluated_its_write(tmp_path: Path) -> None:
    """Nothing happens on the managed clusters meanwhile; the wait also ends when the patience does."""
    profile = N.profile("c")
    cluster = _Late.of([*CLUSTERS, profile])
    assert isinstance(cluster, _Late)

    def evaluate() -> None:
        shown: list[Any] = [_status(profile, "a", "b"), *BOTH]
        cluster.objects.update(MemoryCluster.of(shown).objects)

    cluster.evaluate = evaluate
    situation = Situation("late", lambda _names: [*CLUSTERS, profile], lambda _names: [])
    control_plane = cast("ControlPlane", cluster)  # a player that only rests neither watches nor writes
    place = Surroundings(control_plane, list, lambda _namespace: {}, quiet=0.01, patience=30)
    Player(situation, N, place, tmp_path).rest()
    assert cluster.reads > 20

    cluster.reads, cluster.evaluate = 100, lambda: None
    del cluster.objects[ObjectKey.of(BOTH[0])]
    place.patience = 0.05
    Player(situation, N, place, tmp_path).rest()
