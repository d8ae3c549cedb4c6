"""Recorded traces of a running Sveltos, replayed as rollbacks on the simulator with the recorded lags.

Some traces are also replayed without waiting. Sveltos then deletes the add-ons as in the trace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import RefusedError
from gitsnap.core.model import JsonObject, ObjectKey, Sample
from gitsnap.rollback import StoppedError, WaitOptions
from gitsnap.rollback.plan import Plan, WithdrawalCause
from gitsnap.sveltos import kinds
from tests.support.rollbacks import Story
from tests.support.sveltos.lags import INSTANT, Lags
from tests.support.sveltos.promises import losses, unannounced
from tests.support.sveltos.situations import SITUATIONS, Names, Situation
from tests.support.sveltos.stage import Stage

_ALLOWED: dict[str, Any] = {"allow_withdraw": True, "max_delete": 100}
_REQUESTS = {**INSTANT, "request": (0.014, 0.028)}
"""The writes of the rollback are 14 to 28 ms apart."""
_SLOW_SETS = {**_REQUESTS, "queue ClusterSet": (0.4, 0.4)}
"""The controller of sets reacts after 400 ms."""
_SLOW_LABELS = {**_REQUESTS, "cache SveltosCluster": (0.39, 0.39)}
"""The controllers see a new label after 390 ms."""


class Scene:
    """A situation after its sample was taken and its second configuration was written."""

    def __init__(self, name: str, folder: Path, *, waits: bool = True) -> None:
        (situation,) = (entry for entry in SITUATIONS if entry.name == name)
        self.situation: Situation = situation
        names = Names("s")
        first, second = situation.sample(names), situation.live(names)
        lags = Lags(bounds=_SLOW_LABELS if name == "set-and-label" else _SLOW_SETS)
        self.stage = Stage([_ready(document) for document in first], lags)
        self.stage.settle()
        timeline = self.stage.timeline
        self.story = Story(
            folder,
            self.stage.server,
            patience=(lambda seconds: WaitOptions(seconds, lambda: timeline.now, timeline.advance)) if waits else None,
        )
        self.sample: Sample = self.story.capture()
        for key in {ObjectKey.of(document) for document in first} - {ObjectKey.of(document) for document in second}:
            self.stage.delete(self.stage.server.objects[key])
        self.stage.put(*second)
        self.stage.settle(300)
        self.since = len(self.stage.log)

    def plan(self, **options: Any) -> Plan:
        """The plan of the rollback."""
        return self.story.plan(self.sample, prune=self.situation.prune, **{**_ALLOWED, **options})

    @property
    def lost(self) -> list[str]:
        """The slots that Sveltos deleted since the rollback began."""
        self.stage.settle(300)
        return [str(loss.slot) for loss in losses(self.stage.log, self.since)]

    def profile(self) -> JsonObject:
        """The live ClusterProfile."""
        return self.stage.server.objects[ObjectKey(kinds.CLUSTER_PROFILE, "", "s")]


def _ready(document: JsonObject) -> JsonObject:
    return {**document, "status": {"ready": True}} if document["kind"] == "SveltosCluster" else document


@pytest.mark.parametrize("name", ["set-recreated", "set-by-selector", "set-and-label"])
def test_a_rollback_waits_for_the_status_of_a_set(name: str, tmp_path: Path) -> None:
    """``set-recreated.log`` and ``set-and-label-held.log``: the profile is written after the set has its clusters."""
    scene = Scene(name, tmp_path)

    scene.story.apply(scene.plan())

    assert scene.lost == []


@pytest.mark.parametrize("name", ["set-recreated", "set-and-label"])
def test_without_waiting_the_add_ons_are_deleted(name: str, tmp_path: Path) -> None:
    """Without waiting, Sveltos deletes the add-ons on both clusters as in the traces."""
    scene = Scene(name, tmp_path, waits=False)

    scene.story.apply(scene.plan())

    assert scene.lost == ["ConfigMap s/s-x", "ConfigMap s/s-x"]


def test_a_rollback_waits_for_a_controller_that_is_down(tmp_path: Path) -> None:
    """``set-recreated-controller-down.log``: at the time limit the profile is unchanged, and a rerun completes."""
    scene = Scene("set-recreated-down", tmp_path)
    scene.stage.controller.stop()

    with pytest.raises(StoppedError, match="Sveltos did not report it within 60 seconds: waited until ClusterSet s"):
        scene.story.apply(scene.plan())
    scene.stage.controller.start()
    assert scene.lost == []
    scene.story.apply(scene.plan())

    assert scene.lost == []
    assert scene.profile()["spec"]["setRefs"] == ["s"]


def test_without_waiting_a_controller_that_is_down_deletes_add_ons(tmp_path: Path) -> None:
    """As in the trace, the parts of the controller race when it starts."""
    scene = Scene("set-recreated-down", tmp_path, waits=False)
    scene.stage.controller.stop()
    scene.story.apply(scene.plan())

    scene.stage.controller.start()

    assert scene.lost == ["ConfigMap s/s-x", "ConfigMap s/s-x"]


def test_removed_content_is_named_and_needs_consent(tmp_path: Path) -> None:
    """``fewer-refs.log``: two resources and a release leave each cluster, and a line names them."""
    scene = Scene("fewer-refs", tmp_path)
    with pytest.raises(RefusedError, match="--allow-withdraw"):
        scene.story.apply(scene.plan(allow_withdraw=False))
    plan = scene.plan()

    scene.story.apply(plan)

    assert sorted(scene.lost) == sorted(["ConfigMap s/s-y", "ConfigMap s/s-z", "HelmRelease s/s-pod"] * 2)
    assert {line.cause for line in plan.withdrawals} == {WithdrawalCause.REDUCED}
    assert unannounced(plan, scene.stage.log[scene.since :]) == []
