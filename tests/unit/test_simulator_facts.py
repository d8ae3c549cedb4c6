"""The simulator behaves as a real Sveltos was observed to behave (SVELTOS.md §9 and §10), one test for each fact."""

from __future__ import annotations

import pytest

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.plans import custom
from tests.support.sveltos.lags import INSTANT, Lags
from tests.support.sveltos.sets import select
from tests.support.sveltos.stage import Stage, chart, config_map, managed, profile, ref, slot
from tests.support.sveltos.summaries import key_for

_PAUSED = {"annotations": {"profile.projectsveltos.io/paused": "true"}}
WEST = managed("west", env="fv")
EAST = managed("east", env="else")


def _stage(*documents: JsonObject, lags: Lags | None = None) -> Stage:
    """A stage with the cluster west, after Sveltos is idle."""
    stage = Stage([WEST, *documents], lags)
    stage.settle()
    return stage


def _feature(stage: Stage, name: str, cluster: JsonObject = WEST) -> tuple[str, str]:
    """Status and message of the feature Resources in the ClusterSummary of a ClusterProfile."""
    summary = stage.server.objects[key_for(ObjectKey(kinds.CLUSTER_PROFILE, "", name), ObjectKey.of(cluster))]
    (feature,) = summary["status"]["featureSummaries"]
    return feature["status"], feature.get("failureMessage", "")


def _reported(stage: Stage) -> list[str]:
    """The resources that the ClusterConfiguration of west lists."""
    key = ObjectKey(kinds.CLUSTER_CONFIGURATION, "default", "sveltos--west")
    status = stage.server.objects[key].get("status") or {}
    return [
        resource["name"]
        for entry in status.get("clusterProfileResources") or ()
        for feature in entry.get("Features") or ()
        for resource in feature.get("resources") or ()
    ]


# §10.1 to §10.3: sets and prerequisites -------------------------------------------------------------------------------


def test_10_1_a_profile_reads_the_status_of_a_set_and_not_its_spec() -> None:
    """Until a slow controller fills in the status of a set, the profile of the set loses its clusters."""
    spec = {"clusterSelector": {"matchLabels": {"env": "fv"}}, "maxReplicas": 3}
    lags = Lags(bounds={**INSTANT, "queue ClusterSet": (2.0, 2.0)})
    stage = _stage(config_map("a", "x"), profile("p", ref("a")), lags=lags)

    stage.put(custom(kinds.CLUSTER_SET, "s", spec))
    stage.put(profile("p", ref("a"), clusterSelector=None, setRefs=["s"]))
    stage.settle()

    assert stage.deletions() == [("west", slot("x"))]
    assert slot("x") in stage.running(WEST)


@pytest.mark.parametrize(("limit", "selected"), [({}, False), ({"maxReplicas": 0}, False), ({"maxReplicas": 1}, True)])
def test_10_2_a_set_without_a_limit_selects_no_cluster(limit: dict[str, int], *, selected: bool) -> None:
    """``selectedClusterRefs`` stays empty, although ``matchingClusterRefs`` has the cluster."""
    cluster_set = custom(kinds.CLUSTER_SET, "s", {"clusterSelector": {"matchLabels": {"env": "fv"}}, **limit})
    stage = _stage(cluster_set, config_map("a", "x"), profile("p", ref("a"), clusterSelector=None, setRefs=["s"]))

    status = stage.live(cluster_set)["status"]
    assert [cluster["name"] for cluster in status["matchingClusterRefs"]] == ["west"]
    assert bool(status.get("selectedClusterRefs")) is selected
    assert bool(stage.running(WEST)) is selected


def test_a_set_keeps_the_clusters_that_it_selected() -> None:
    """A set keeps selected clusters. A set that exceeds its limit first drops one cluster too many."""
    a, b, c = (ObjectKey(kinds.SVELTOS_CLUSTER, "default", name) for name in "abc")

    assert select([a, b, c], [c], 2) == [c, a]
    assert select([a, b], [b, c], 1) == [b]
    assert select([a, b, c], [a, b, c], 2) == [a]
    assert select([a, b, c], [a], 2) == [a, b]
    assert select([a, b, c], [a, b], 0) == []


def test_10_3_a_prerequisite_is_deployed_where_its_dependents_are() -> None:
    """The status of a prerequisite has the clusters of its dependents. Without ``dependsOn`` it is withdrawn."""
    base = profile("base", ref("a"), clusterSelector=None)
    stage = _stage(config_map("a", "x"), config_map("b", "y"), base, profile("p", ref("b"), dependsOn=["base"]))
    assert sorted(stage.running(WEST)) == [slot("x"), slot("y")]
    assert [cluster["name"] for cluster in stage.live(base)["status"]["matchingClusters"]] == ["west"]

    stage.put(profile("p", ref("b")))
    stage.settle()

    assert stage.deletions() == [("west", slot("x"))]


def test_10_3_relabelling_the_clusters_of_the_dependent_withdraws_the_prerequisite() -> None:
    """Both profiles are withdrawn, the prerequisite after its dependent."""
    base = profile("base", ref("a"), clusterSelector=None)
    stage = _stage(config_map("a", "x"), config_map("b", "y"), base, profile("p", ref("b"), dependsOn=["base"]))

    stage.put(managed("west", env="else"))
    stage.settle()

    assert stage.deletions() == [("west", slot("y")), ("west", slot("x"))]


def test_10_3_prerequisites_survive_a_restart() -> None:
    """The dependency manager rebuilds its state from statuses. Meanwhile nothing is withdrawn."""
    base = profile("base", ref("a"), clusterSelector=None)
    stage = _stage(config_map("a", "x"), config_map("b", "y"), base, profile("p", ref("b"), dependsOn=["base"]))

    for _ in range(5):
        stage.controller.stop()
        stage.settle(1)
        stage.controller.start()
        stage.settle()

    assert stage.deletions() == []
    assert sorted(stage.running(WEST)) == [slot("x"), slot("y")]


# §10.4 to §10.8: modes ------------------------------------------------------------------------------------------------


def test_10_4_dry_run_keeps_deployed_resources() -> None:
    """A cluster that stops matching keeps its resources until the profile leaves DryRun."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    stage.put(profile("p", ref("a"), syncMode="DryRun"))
    stage.settle()
    stage.put(managed("west", env="else"))
    stage.settle()
    assert stage.deletions() == []
    stage.put(profile("p", ref("a"), syncMode="Continuous"))
    stage.settle()

    assert stage.deletions() == [("west", slot("x"))]


def test_10_4_a_match_that_ends_and_returns_under_dry_run() -> None:
    """The resource is neither withdrawn nor deployed again."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    for document in (
        profile("p", ref("a"), syncMode="DryRun"),
        managed("west", env="else"),
        WEST,
        profile("p", ref("a")),
    ):
        stage.put(document)
        stage.settle()

    assert [event.change for event in stage.log] == ["ADDED"]


def test_10_5_less_configuration_deletes_resources() -> None:
    """The resources of a removed document, reference or chart are deleted."""
    before = profile("p", ref("a"), ref("b"), helmCharts=[chart("pod")])
    stage = _stage(config_map("a", "x", "y"), config_map("b", "z"), before)

    stage.put(config_map("a", "x"))
    stage.settle()
    assert stage.deletions() == [("west", slot("y"))]
    stage.put(profile("p", ref("a"), helmCharts=[chart("pod")]))
    stage.settle()
    assert stage.deletions()[1:] == [("west", slot("z"))]
    stage.put(profile("p", ref("a")))
    stage.settle()
    assert stage.deletions()[2:] == [("west", "HelmRelease pod/pod")]


def test_10_6_a_missing_required_reference_deletes_nothing() -> None:
    """The deployment fails and the objects stay, but the ClusterConfiguration no longer lists the objects."""
    stage = _stage(config_map("a", "x"), config_map("b", "y"), profile("p", ref("a"), ref("b")))

    stage.delete(config_map("b"))
    stage.settle()

    assert stage.deletions() == []
    assert _reported(stage) == []
    assert _feature(stage, "p") == ("FailedNonRetriable", "Referenced resource: ConfigMap default/b does not exist")


def test_10_6_a_missing_optional_reference_is_withdrawn() -> None:
    """The resources of the other references stay."""
    stage = _stage(config_map("a", "x"), config_map("b", "y"), profile("p", ref("a"), ref("b", optional=True)))

    stage.delete(config_map("b"))
    stage.settle()

    assert stage.deletions() == [("west", slot("y"))]


def test_10_7_leave_policies_leaves_the_objects() -> None:
    """A cluster that stops matching keeps its objects. The ClusterConfiguration is deleted."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a"), stopMatchingBehavior="LeavePolicies"))

    stage.put(managed("west", env="else"))
    stage.settle()

    assert [event.change for event in stage.log] == ["ADDED", "LEFT"]
    assert slot("x") in stage.running(WEST)
    assert not any(key.kind == kinds.CLUSTER_CONFIGURATION for key in stage.server.objects)


@pytest.mark.parametrize("profile_first", [True, False])
def test_10_7_the_order_of_the_two_writes_decides(*, profile_first: bool) -> None:
    """LeavePolicies and the label are written within 20 ms. The objects stay only if LeavePolicies is written first."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")), lags=Lags(bounds=INSTANT))
    writes = [profile("p", ref("a"), stopMatchingBehavior="LeavePolicies"), managed("west", env="else")]

    for document in writes if profile_first else reversed(writes):
        stage.put(document)
        stage.settle(0.02)
    stage.settle()

    assert stage.deletions() == ([] if profile_first else [("west", slot("x"))])


def test_10_8_content_is_not_deployed_under_one_time() -> None:
    """Changed content is not deployed, even after a restart of the controller."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a"), syncMode="OneTime"))
    assert slot("x") in stage.running(WEST)

    stage.put(config_map("a", "x", "y"))
    stage.settle()
    stage.controller.stop()
    stage.controller.start()
    stage.settle()

    assert list(stage.running(WEST)) == [slot("x")]


def test_10_8_one_time_deploys_once_after_dry_run() -> None:
    """A profile that changes from DryRun to OneTime deploys the current configuration once."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a"), syncMode="DryRun"))
    assert not stage.running(WEST)

    stage.put(profile("p", ref("a"), syncMode="OneTime"))
    stage.settle()

    assert list(stage.running(WEST)) == [slot("x")]


def test_one_time_ignores_references_removed_with_it() -> None:
    """Observed on a real Sveltos: references that are removed together with the change to OneTime are not withdrawn."""
    stage = _stage(config_map("a", "x"), config_map("b", "y"), profile("p", ref("a"), ref("b")))

    stage.put(profile("p", ref("a"), syncMode="OneTime"))
    stage.settle()

    assert sorted(stage.running(WEST)) == [slot("x"), slot("y")]


def test_one_time_ignores_leave_policies_set_with_it() -> None:
    """Observed on a real Sveltos: LeavePolicies that is set together with OneTime has no effect."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    stage.put(profile("p", ref("a"), syncMode="OneTime", stopMatchingBehavior="LeavePolicies", clusterSelector=None))
    stage.settle()

    assert stage.deletions() == [("west", slot("x"))]


def test_a_restored_required_reference_withdraws_removed_references() -> None:
    """The failed deployment continues, and withdraws resources that no inventory lists."""
    stage = _stage(config_map("a", "x"), config_map("b", "y"), profile("p", ref("a"), ref("b")))
    stage.delete(config_map("b"))
    stage.put(profile("p", ref("b")))
    stage.settle()
    assert sorted(stage.running(WEST)) == [slot("x"), slot("y")]

    stage.put(config_map("b", "y"))
    stage.settle()

    assert stage.deletions() == [("west", slot("x"))]


# §10.9 to §10.12 ------------------------------------------------------------------------------------------------------


def test_10_9_a_label_that_only_a_template_reads_is_not_rendered_again() -> None:
    """The new label is rendered with the next change of the content."""
    template = {"projectsveltos.io/template": "ok"}
    zone = "x-{{ .Cluster.metadata.labels.zone }}"
    stage = Stage(
        [managed("west", env="fv", zone="a"), config_map("a", zone, annotations=template), profile("p", ref("a"))]
    )
    stage.settle()

    stage.put(managed("west", env="fv", zone="b"))
    stage.settle()
    assert list(stage.running(WEST)) == [slot("x-a")]
    stage.put(config_map("a", zone, "y", annotations=template))
    stage.settle()

    assert sorted(stage.running(WEST)) == [slot("x-b"), slot("y")]


def test_10_10_a_paused_profile_keeps_its_matches() -> None:
    """If the profile is paused until both selector and label are written, nothing is deleted."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))
    selector = {"clusterSelector": {"matchLabels": {"env": "new"}}}

    for document in (
        profile("p", ref("a"), metadata=_PAUSED),
        managed("west", env="new"),
        profile("p", ref("a"), metadata=_PAUSED, **selector),
        profile("p", ref("a"), **selector),
    ):
        stage.put(document)
        stage.settle(5)
    stage.settle()

    assert [event.change for event in stage.log] == ["ADDED"]


def test_9_1_a_paused_profile_does_not_hold_its_content() -> None:
    """Sveltos deploys a changed ConfigMap despite the pause. The deletion of the profile waits."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))
    stage.put(profile("p", ref("a"), metadata=_PAUSED))
    stage.settle()

    stage.put(config_map("a", "y"))
    stage.settle()
    assert list(stage.running(WEST)) == [slot("y")]
    stage.delete(profile("p"))
    stage.settle()

    assert stage.exists(profile("p"))
    assert list(stage.running(WEST)) == [slot("y")]


@pytest.mark.parametrize("same_profile", [True, False])
def test_10_11_a_resource_belongs_to_the_source_it_was_deployed_from(*, same_profile: bool) -> None:
    """A second source fails while the first source has the document. Sveltos retries the second source every minute."""
    second = [] if same_profile else [profile("q", ref("b"))]
    refs = [ref("a"), ref("b")] if same_profile else [ref("a")]
    stage = _stage(config_map("a", "x"), config_map("b", "other"), profile("p", *refs), *second)

    stage.put(config_map("b", "x"))
    stage.settle(300)
    failed = _feature(stage, "p" if same_profile else "q")
    assert failed[0] == "Failed"
    assert "currently deployed because of ConfigMap default/a" in failed[1]
    stage.put(config_map("a", "gone"))
    stage.settle(300)

    if not same_profile:
        assert slot("x") in stage.running(WEST)
        assert _feature(stage, "q")[0] == "Provisioned"


def test_10_11_a_document_never_moves_to_another_source() -> None:
    """Both ConfigMaps have the same document. The profile changes its reference, and the old resource keeps running."""
    documents = config_map("v1", "x"), config_map("v2", "x")
    stage = _stage(*documents, profile("p", ref("v2")))

    stage.put(profile("p", ref("v1")))
    stage.settle(600)

    assert _feature(stage, "p")[0] == "Failed"
    assert stage.deletions() == []


def test_10_12_deleting_a_profile_takes_ten_to_thirty_seconds() -> None:
    """Meanwhile the profile has a deletionTimestamp. In DryRun the deletion never ends."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")), profile("q", ref("b"), syncMode="DryRun"))

    stage.delete(profile("p"))
    stage.delete(profile("q"))
    stage.settle(9)
    assert stage.live(profile("p"))["metadata"]["deletionTimestamp"]
    assert stage.deletions() == [("west", slot("x"))]
    stage.settle(25)
    assert not stage.exists(profile("p"))
    stage.settle(300)

    assert stage.exists(profile("q"))


def test_10_13_many_changed_references_are_modified() -> None:
    """No resource is deleted meanwhile."""
    names = [f"c{number:02}" for number in range(40)]
    stage = _stage(*(config_map(name, name) for name in names), profile("p", *(ref(name) for name in names)))

    for name in names:
        stage.put(config_map(name, name, f"{name}-more"))
    stage.settle()

    assert stage.deletions() == []
    assert len(stage.running(WEST)) == 80


# Clusters and restarts ------------------------------------------------------------------------------------------------


def test_a_cluster_that_is_not_ready_matches_nothing() -> None:
    """The cluster keeps its resources, because the withdrawal waits until the cluster is ready."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    stage.server.patch_status(ObjectKey.of(WEST), {"ready": False})
    stage.settle()

    assert stage.live(profile("p"))["status"]["matchingClusters"] == []
    assert stage.deletions() == []


def test_a_deregistered_cluster_keeps_its_resources() -> None:
    """The ClusterSummary is deleted. The resources stay."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    stage.delete(WEST)
    stage.settle()

    assert stage.deletions() == []
    assert not any(key.kind == kinds.CLUSTER_SUMMARY for key in stage.server.objects)


def test_a_cluster_that_matches_again_is_deployed_each_time() -> None:
    """A recreated ClusterSummary of the same name does not inherit the state of the deleted ClusterSummary."""
    stage = _stage(config_map("a", "x"), profile("p", ref("a")))

    for _ in range(3):
        stage.put(managed("west", env="else"))
        stage.settle()
        assert not stage.running(WEST)
        stage.put(WEST)
        stage.settle()
        assert slot("x") in stage.running(WEST)


@pytest.mark.parametrize("moment", [0.05, 0.4, 1, 5, 11])
def test_a_withdrawal_continues_after_a_kill(moment: float) -> None:
    """After a kill of the controller at any moment, withdrawn resources are deleted and other resources stay."""
    stage = _stage(config_map("a", "x"), config_map("b", "y"), profile("p", ref("a")), profile("q", ref("b")))

    stage.delete(profile("p"))
    stage.settle(moment)
    stage.controller.stop()
    stage.settle(30)
    stage.controller.start()
    stage.settle()

    assert list(stage.running(WEST)) == [slot("y")]
    assert not stage.exists(profile("p"))
