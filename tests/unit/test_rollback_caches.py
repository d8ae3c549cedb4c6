"""Sveltos reads labels and selectors from caches with different lags. A real controller lost an add-on in this way.

The plan was: hold the profile, write the label, write the profile. The controller had the released profile and the old
label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gitsnap.core.errors import RejectedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import ReadinessWaiter, RevertedError, WaitOptions, apply
from gitsnap.rollback.plan import Action
from gitsnap.rollback.readiness import CACHE_SECONDS
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state

PAUSED = "profile.projectsveltos.io/paused"
_ANY_ENV = {"matchExpressions": [{"key": "env", "operator": "Exists"}]}


def cluster(env: str, name: str = "west") -> JsonObject:
    """A managed cluster."""
    return custom(kinds.SVELTOS_CLUSTER, name, {}, "default", labels={"env": env})


def profile(selector: Any, name: str = "p", **annotations: str) -> JsonObject:
    """A profile that selects by a label, or by a selector."""
    chosen = {"matchLabels": {"env": selector}} if isinstance(selector, str) else selector
    return custom(kinds.CLUSTER_PROFILE, name, {"clusterSelector": chosen}, annotations=annotations)


@dataclass
class Controller:
    """A profile controller with a cache for each kind, each some seconds behind. It acts on every event."""

    api: MemoryCluster
    lags: dict[str, float]
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache = dict(self.api.objects)
        self.due: list[tuple[float, ObjectKey, JsonObject | None]] = []
        self.deployed = {key.name for key in self.cache if self._matches(key)}
        self.api.after_write = self._written

    def _written(self, _verb: str, key: ObjectKey) -> None:
        self.due.append((self.now + self.lags.get(key.kind.name, 0.0), key, self.api.objects.get(key)))
        self.look()

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds
        self.look()

    def look(self) -> None:
        """Update the caches to the current time, and act on each event."""
        for event in sorted(self.due, key=lambda event: event[0]):
            if event[0] <= self.now:
                self.due.remove(event)
                if event[2] is None:
                    self.cache.pop(event[1], None)
                else:
                    self.cache[event[1]] = event[2]
                self._reconcile()

    def _reconcile(self) -> None:
        for key, document in self.cache.items():
            if key.kind != kinds.CLUSTER_PROFILE:
                continue
            if PAUSED in (document["metadata"].get("annotations") or {}):
                self.api.objects[key]["status"] = {"suspensionReason": "paused"}
            elif self._matches(key):
                self.deployed.add(key.name)
            elif key.name in self.deployed:
                self.deployed.discard(key.name)
                self.lost.append(key.name)

    def _matches(self, key: ObjectKey) -> bool:
        if key.kind != kinds.CLUSTER_PROFILE:
            return False
        selector = self.cache[key]["spec"]["clusterSelector"]
        labels = [
            document["metadata"].get("labels") or {}
            for document in self.cache.values()
            if document["kind"] == "SveltosCluster"
        ]
        wanted = selector.get("matchLabels", {}).items()
        return any(wanted <= found.items() if wanted else "env" in found for found in labels)

    def waiter(self, seconds: float = 60) -> ReadinessWaiter:
        """The wait options, with the clock of this world."""
        return ReadinessWaiter(self.api, WaitOptions(seconds, lambda: self.now, self.pause, self.said.append))


TOGETHER = [cluster("a"), profile("a")], [cluster("b"), profile("b")]
GROWING = [cluster("a"), profile(_ANY_ENV)], [cluster("b"), profile("b")]
UNPAUSED = [cluster("a"), profile("a")], [cluster("b"), profile("a", **{PAUSED: "true"})]
CLUSTERS_LATE, PROFILES_LATE = {"SveltosCluster": 2.0}, {"ClusterProfile": 2.0}


@pytest.mark.parametrize("seconds", [60, 0])
@pytest.mark.parametrize("lags", [CLUSTERS_LATE, PROFILES_LATE])
@pytest.mark.parametrize(("sample", "live"), [TOGETHER, GROWING, UNPAUSED], ids=["held", "growing", "unpaused"])
def test_no_lag_of_a_cache_loses_a_match(
    sample: list[JsonObject], live: list[JsonObject], lags: dict[str, float], seconds: float
) -> None:
    """A held profile, a profile whose selector grows first, and a profile whose pause ends; also with --wait 0."""
    controller = Controller(MemoryCluster.of(live), lags)
    controller.deployed = {"p"}
    plan = plan_of(sample_state(sample), list(controller.api.objects.values()))
    apply(controller.api, plan, waiter=controller.waiter(seconds))
    controller.pause(10)
    assert controller.lost == []
    assert controller.deployed == {"p"}


def test_a_revert_waits_as_well() -> None:
    """With `--atomic`: the profile is released once the labels are as before."""
    controller = Controller(MemoryCluster.of(TOGETHER[1]), CLUSTERS_LATE)
    plan = plan_of(sample_state(TOGETHER[0]), list(controller.api.objects.values()))

    def refuse(verb: str, key: ObjectKey) -> None:
        if verb == "update" and key.kind == kinds.CLUSTER_PROFILE:
            raise RejectedError("refused")

    controller.api.before_write = refuse
    with pytest.raises(RevertedError):
        apply(controller.api, plan, waiter=controller.waiter(), atomic=True)
    controller.pause(10)
    assert controller.lost == []


def test_one_pause_is_enough_for_all_profiles() -> None:
    """Twenty profiles and three clusters: one pause, between the last label and the first profile."""
    names = [f"p{number:02}" for number in range(20)]
    sides = [[*(cluster(env, name) for name in "xyz"), *(profile(env, name) for name in names)] for env in "ab"]
    controller = Controller(MemoryCluster.of(sides[1]), CLUSTERS_LATE)
    plan = plan_of(sample_state(sides[0]), list(controller.api.objects.values()))
    assert plan.writes[0].action is Action.HOLD
    apply(controller.api, plan, waiter=controller.waiter())
    assert [pause for pause in controller.pauses if pause == CACHE_SECONDS] == [CACHE_SECONDS]
    assert sum(controller.pauses) == CACHE_SECONDS
    assert controller.lost == []


def test_no_wait_if_no_match_depends_on_the_label() -> None:
    """A label that no selector of the plan reads, and a folder of YAML, which nobody watches."""
    live = [custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "a", "tier": "x"}), profile("a")]
    sample = [cluster("a"), profile(_ANY_ENV)]
    controller = Controller(MemoryCluster.of(live), CLUSTERS_LATE)
    plan = plan_of(sample_state(sample), list(controller.api.objects.values()))
    apply(controller.api, plan, waiter=controller.waiter())
    assert len(plan.writes) == 2
    assert controller.pauses == []

    held = MemoryCluster.of(TOGETHER[1])
    apply(held, plan_of(sample_state(TOGETHER[0]), list(held.objects.values())))
