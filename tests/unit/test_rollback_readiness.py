"""Waiting for what Sveltos evaluates late: the recorded races with sets, replayed with a set controller that lags.

``set-recreated.log``, ``set-and-label-held.log`` and ``set-recreated-controller-down.log`` of the recorded traces.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import NotReconciledError, RejectedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import ReadinessWaiter, Report, RevertedError, StoppedError, WaitOptions, apply
from gitsnap.rollback.plan import Action, Plan, Selection, Step, Wait
from gitsnap.rollback.readiness import CACHE_SECONDS
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state
from tests.support.rollbacks import Story, put

PAUSED = "profile.projectsveltos.io/paused"
CLUSTER_SET = ObjectKey(kinds.CLUSTER_SET, "", "s")
PROFILE = ObjectKey(kinds.CLUSTER_PROFILE, "", "guestbook")


def west(**labels: str) -> JsonObject:
    """The managed cluster."""
    return custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels=labels)


def profile(**spec: Any) -> JsonObject:
    """The profile that is deployed to the cluster."""
    return custom(kinds.CLUSTER_PROFILE, "guestbook", spec) | {"status": {"matchingClusters": [_LISTED]}}


def cluster_set(env: str) -> JsonObject:
    """A set that selects by the label env, with the status that Sveltos writes."""
    document = custom(kinds.CLUSTER_SET, "s", {**matching(env), "maxReplicas": 3})
    return document | {"status": {"selectedClusterRefs": [_LISTED], "matchingClusterRefs": [_LISTED]}}


def matching(env: str) -> JsonObject:
    """A selector."""
    return {"clusterSelector": {"matchLabels": {"env": env}}}


_LISTED = {
    "apiVersion": "lib.projectsveltos.io/v1beta1",
    "kind": "SveltosCluster",
    "namespace": "default",
    "name": "west",
}


@dataclass
class Sveltos:
    """A set controller that acts some time after the last write, and a profile controller that acts at once."""

    cluster: MemoryCluster
    lag: float
    eager: bool = False
    """Whether the set controller also acts after the very first write, as in ``set-and-label-held.log``."""
    up: bool = True
    now: float = 0.0
    due: float = 0.0
    deployed: bool = True
    losses: int = 0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.after_write = self._written

    def _written(self, _verb: str, key: ObjectKey) -> None:
        if key.kind in (kinds.CLUSTER_SET, kinds.SVELTOS_CLUSTER):
            self.due = self.now + self.lag
            if self.eager:
                self.eager = False
                self._set_controller()
        self._profile_controller()

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.up and self.now >= self.due:
            self._set_controller()
            self._profile_controller()

    def _set_controller(self) -> None:
        for key, document in self.cluster.objects.items():
            if key.kind == kinds.CLUSTER_SET:
                document["status"] = {"selectedClusterRefs": [_LISTED]} if self._selects(document) else {}

    def _selects(self, document: JsonObject) -> bool:
        (cluster,) = (document for key, document in self.cluster.objects.items() if key.kind == kinds.SVELTOS_CLUSTER)
        wanted = (document["spec"].get("clusterSelector") or {}).get("matchLabels") or {}
        return bool(wanted) and wanted.items() <= (cluster["metadata"].get("labels") or {}).items()

    def _profile_controller(self) -> None:
        document = self.cluster.objects[PROFILE]
        if not self.up:
            return
        if PAUSED in (document["metadata"].get("annotations") or {}):
            document["status"] = {**document.get("status", {}), "suspensionReason": "ClusterProfile is paused"}
            return
        used = [ObjectKey(kinds.CLUSTER_SET, "", name) for name in document["spec"].get("setRefs") or ()]
        listed = [(self.cluster.objects.get(key) or {}).get("status") or {} for key in used]
        matches = self._selects(document) or any(status.get("selectedClusterRefs") for status in listed)
        self.losses += self.deployed and not matches
        self.deployed = matches

    def waiter(self, seconds: float = 60) -> ReadinessWaiter:
        """The wait options, with the clock of this world."""
        return ReadinessWaiter(self.cluster, WaitOptions(seconds, lambda: self.now, self.pause, self.said.append))


RECREATED = (
    [west(env="a"), profile(setRefs=["s"]), cluster_set("a")],
    [west(env="a"), profile(**matching("a"))],
)
"""The set was deleted and the profile got a selector; the rollback creates the set and removes the selector."""

LABEL_AND_SET = (
    [west(env="a"), profile(setRefs=["s"]), cluster_set("a")],
    [west(env="b"), profile(setRefs=["s"]), cluster_set("b")],
)
"""The label and the selector of the set changed together."""

SITUATIONS = pytest.mark.parametrize(("sample", "live"), [RECREATED, LABEL_AND_SET], ids=["recreated", "label"])


def world(sample: list[JsonObject], live: list[JsonObject], lag: float = 5.0, **options: Any) -> tuple[Sveltos, Plan]:
    """A running Sveltos and the plan of the rollback."""
    cluster = MemoryCluster.of(live)
    live_objects = copy.deepcopy([*cluster.objects.values()])
    return Sveltos(cluster, lag), plan_of(sample_state(sample), live_objects, **options)


@SITUATIONS
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("lag", [0.0, 0.3, 20.0, 59.0])
def test_a_slow_set_loses_nothing(sample: list[JsonObject], live: list[JsonObject], lag: float, *, eager: bool) -> None:
    """SVELTOS.md 10.1: the profile is held, and is released once the status of the set names the cluster."""
    sveltos, plan = world(sample, live, lag)
    sveltos.eager = eager
    assert not plan.blocked
    assert plan.writes[0].action is Action.HOLD
    apply(sveltos.cluster, plan, waiter=sveltos.waiter())
    assert sveltos.losses == 0
    assert sveltos.deployed
    assert PAUSED not in (sveltos.cluster.objects[PROFILE]["metadata"].get("annotations") or {})
    assert any("until ClusterSet s selects default/sveltos--west" in text for text in sveltos.said)


@SITUATIONS
def test_without_waiting_the_add_ons_would_go(sample: list[JsonObject], live: list[JsonObject]) -> None:
    """The traces show the loss that happens without a wait. So the plan without waits needs consent."""
    sveltos, plan = world(sample, live)
    sveltos.eager = live is LABEL_AND_SET[1]
    apply(sveltos.cluster, plan)
    assert sveltos.losses + (not sveltos.deployed) > 0
    _, hasty = world(sample, live, wait=0)
    assert [uncertainty.key for uncertainty in hasty.uncertainties] == [PROFILE]
    assert hasty.blocked


def test_the_former_status_is_not_the_final_status() -> None:
    """Both statuses name the cluster, so the status in between must be seen before the label is restored."""
    _, plan = world(*LABEL_AND_SET)
    waits = [wait for step in plan.writes for wait in step.waits]
    cluster = ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
    assert waits == [Wait(CLUSTER_SET, lacks=(cluster,)), Wait(CLUSTER_SET, shows=(cluster,))]


@SITUATIONS
def test_at_the_limit_the_profile_stays_held_and_the_command_can_continue(
    sample: list[JsonObject], live: list[JsonObject]
) -> None:
    """While the controller is down, no profile that would lose a match is released; the rollback finishes later."""
    sveltos, plan = world(sample, live)
    sveltos.up = False
    report = _stopped(sveltos, plan)
    # As long as the profile still has the selector, it may go on: it does not rest on the set yet.
    assert report.held == ((PROFILE,) if live is LABEL_AND_SET[1] else ())
    assert "did not report it within 60 seconds" in report.failure
    sveltos.up = True
    sveltos.pause(10)
    again = plan_of(sample_state(sample), [*sveltos.cluster.objects.values()])
    assert not again.blocked
    apply(sveltos.cluster, again, waiter=sveltos.waiter())
    assert (sveltos.losses, sveltos.deployed) == (0, True)
    assert PAUSED not in (sveltos.cluster.objects[PROFILE]["metadata"].get("annotations") or {})


def _stopped(sveltos: Sveltos, plan: Plan) -> Report:
    with pytest.raises(StoppedError) as caught:
        apply(sveltos.cluster, plan, waiter=sveltos.waiter())
    return caught.value.report


def test_a_profile_that_is_not_selected_is_uncertain() -> None:
    """The profile may not be held. No state loses a match, but Sveltos may see one set before it sees the other."""

    def chosen(name: str, *, selects: bool) -> JsonObject:
        spec = {**matching("a" if selects else "other"), "maxReplicas": 3}
        return custom(kinds.CLUSTER_SET, name, spec) | {"status": {"selectedClusterRefs": [_LISTED]} if selects else {}}

    live = [west(env="a"), profile(setRefs=["s", "t"]), chosen("s", selects=True), chosen("t", selects=False)]
    sample = [chosen("s", selects=False), chosen("t", selects=True)]
    plan = plan_of(sample_state(sample), live, Selection(resources=("clusterset/s", "clusterset/t")))
    assert [step.key.name for step in plan.writes] == ["t", "s"]
    assert not plan.withdrawals
    assert [uncertainty.key for uncertainty in plan.uncertainties] == [PROFILE]
    assert plan.blocked


def test_a_pause_is_seen_before_anything_else_is_written() -> None:
    """A profile controller that has not seen the pause would act on the first change."""
    sveltos, plan = world(*LABEL_AND_SET)
    apply(sveltos.cluster, plan, waiter=sveltos.waiter())
    assert sveltos.said[0] == "waiting until Sveltos sees the pause of guestbook"


def test_a_sveltos_that_never_reports_a_pause_is_waited_for_once() -> None:
    """Versions before 1.0 report no pause; the wait is fifteen seconds in all, for any number of held profiles."""
    sveltos = Sveltos(MemoryCluster.of([west(env="a"), profile(), cluster_set("b")]), lag=0)
    sveltos.up = False
    sveltos.waiter().wait_for_pauses([PROFILE] * 20)
    assert 15 <= sveltos.now < 20


def test_a_wait_without_end_is_named() -> None:
    """The set, the cluster and the object to watch."""
    sveltos = Sveltos(MemoryCluster.of([west(env="a"), profile(), cluster_set("b") | {"status": {}}]), lag=0)
    sveltos.up = False
    cluster = ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
    with pytest.raises(NotReconciledError, match="until ClusterSet s selects default/sveltos--west"):
        sveltos.waiter(seconds=3).wait_for([Wait(CLUSTER_SET, shows=(cluster,))])
    assert 3 <= sveltos.now < 4


def test_an_undo_may_hold_what_the_rollback_held(tmp_path: Path) -> None:
    """A profile that the rollback only paused has no step in the undo; the record shows that it may be paused."""
    sample, live = LABEL_AND_SET
    cluster = MemoryCluster.of(sample)
    story = Story(tmp_path, cluster)
    taken = story.capture()
    for document in live:
        put(cluster, document)
    sveltos = Sveltos(cluster, lag=0.3)
    apply(cluster, story.plan(taken), take_sample=story.capture, waiter=sveltos.waiter())
    undo = story.plan_undo()
    assert [step.action for step in undo.writes][:1] == [Action.HOLD]
    assert not undo.blocked
    apply(cluster, undo, take_sample=story.capture, waiter=sveltos.waiter())
    assert (sveltos.losses, sveltos.deployed) == (0, True)


def test_a_reverted_profile_is_released_after_its_set_is_restored() -> None:
    """With `--atomic`: the last write fails, and the status must return to its former value."""
    sveltos, plan = world(*LABEL_AND_SET, lag=2.0)

    def refuse(verb: str, key: ObjectKey) -> None:
        if verb == "update" and key == CLUSTER_SET:
            raise RejectedError("refused")

    sveltos.cluster.before_write = refuse
    with pytest.raises(RevertedError):
        apply(sveltos.cluster, plan, waiter=sveltos.waiter(), atomic=True)
    assert (sveltos.losses, sveltos.deployed) == (0, True)
    assert PAUSED not in (sveltos.cluster.objects[PROFILE]["metadata"].get("annotations") or {})


def test_a_profile_reads_the_status_of_a_set_from_a_cache() -> None:
    """The caches of Sveltos may lag behind the API server: the same time passes as after a write, once for a set."""
    sveltos = Sveltos(MemoryCluster.of([west(env="a"), profile(setRefs=["s"]), cluster_set("a")]), lag=0)
    waiter, cluster = sveltos.waiter(), ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
    release = Step(Action.RELEASE, PROFILE, live=profile(setRefs=["s"]))
    for _ in range(20):
        waiter.wait_for([Wait(CLUSTER_SET, shows=(cluster,))])
        waiter.wait_for_caches(release, frozenset())
    assert sveltos.now == CACHE_SECONDS
