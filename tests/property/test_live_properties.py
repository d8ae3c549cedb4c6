"""A plan names every loss of a managed cluster, even if Sveltos lags, is killed and starts again.

State B is rolled back to sample A, and the rollback is undone. Every resource that disappears from a managed cluster is
named by a line of a plan. ``promises.GAPS`` are known exceptions, which count only if ``GITSNAP_LIVE_STRICT`` is set.
``GITSNAP_LIVE_CASES`` sets the number of cases and makes the cases random. A long manual run has 2,000 cases.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import JsonObject, ObjectKey, Sample
from gitsnap.rollback import WaitOptions
from gitsnap.rollback.plan import Plan
from gitsnap.sveltos import kinds
from tests.support.rollbacks import Story
from tests.support.sveltos import summaries
from tests.support.sveltos.configurations import configurations, lags
from tests.support.sveltos.lags import INSTANT, Lags
from tests.support.sveltos.promises import gaps, losses, unannounced
from tests.support.sveltos.stage import Stage

_STRICT = bool(os.environ.get("GITSNAP_LIVE_STRICT"))
CASES = int(os.environ.get("GITSNAP_LIVE_CASES", "0"))
_settings = settings(
    max_examples=CASES or 20,
    derandomize=not CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - temporary archives
ALLOWED: dict[str, Any] = {"allow_withdraw": True, "skip_refused": True, "recreate": True}


@dataclass(frozen=True)
class Outage:
    """The controller is killed after a write of the rollback, and starts again after some seconds."""

    after: int
    seconds: float


_seconds = st.sampled_from((0.0, 0.2, 1.0, 20.0, 300.0))
_outages = st.lists(st.builds(Outage, st.integers(0, 12), _seconds), max_size=2, unique_by=lambda outage: outage.after)


class Scene:
    """A sample of configuration A, and a cluster that has been in configuration B since."""

    def __init__(self, folder: Path, first: Sequence[JsonObject], second: Sequence[JsonObject], delays: Lags) -> None:
        self.stage = Stage(first, Lags(bounds=INSTANT))
        self.stage.settle(300)
        timeline = self.stage.timeline
        self.story = Story(
            folder,
            self.stage.server,
            patience=lambda seconds: WaitOptions(seconds, lambda: timeline.now, timeline.advance),
        )
        self.sample: Sample = self.story.capture()
        for key in {ObjectKey.of(document) for document in first} - {ObjectKey.of(document) for document in second}:
            self.stage.delete(self.stage.server.objects[key])
        self.stage.settle(60)
        self.stage.put(*second)
        self.stage.settle(600)
        self.stage.lags.seed, self.stage.lags.bounds = delays.seed, {**delays.bounds, "request": (0.001, 0.03)}

    def execute(self, plan: Plan, outages: Sequence[Outage] = (), *, undoes: str = "") -> list[str]:
        """Execute a plan during outages, wait until Sveltos is idle, and return losses that the plan does not name."""
        since, left_out = len(self.stage.log), self._leaving() | (set() if _STRICT else gaps(plan))
        writes = 0

        def after_write_hook(_verb: str, _key: ObjectKey) -> None:
            nonlocal writes
            for outage in outages:
                if outage.after == writes:
                    self._fail(outage.seconds)
            writes += 1

        self.stage.server.after_write = after_write_hook
        try:
            self.story.apply(plan, undoes=undoes)
        except GitsnapError:
            pass
        finally:
            self.stage.server.after_write = lambda _verb, _key: None
        self.stage.settle(900)
        lost = losses(self.stage.log, since)
        return unannounced(plan, [pair for pair in lost if (pair.owner, pair.cluster) not in left_out])

    def _leaving(self) -> set[tuple[ObjectKey | None, ObjectKey]]:
        """The profile and cluster of each deployment that Sveltos was withdrawing before the rollback."""
        return {
            (summaries.profile_of(document), summaries.cluster_of(document))
            for key, document in self.stage.server.objects.items()
            if key.kind == kinds.CLUSTER_SUMMARY and "deletionTimestamp" in document["metadata"]
        }

    def _fail(self, seconds: float) -> None:
        controller = self.stage.controller
        controller.stop()
        self.stage.timeline.after(seconds, lambda: controller.start() if not controller.running else None)


@_settings
@given(configurations(), configurations())
def test_every_loss_is_named_if_sveltos_acts_at_once(first: list[JsonObject], second: list[JsonObject]) -> None:
    """Sveltos reacts to each write before the next write."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        scene = Scene(Path(folder), first, second, Lags(bounds=INSTANT))

        assert scene.execute(scene.story.plan(scene.sample, **ALLOWED)) == []


@_settings
@given(configurations(), configurations(), lags(), _outages)
def test_every_loss_is_named_if_sveltos_lags_and_dies(
    first: list[JsonObject], second: list[JsonObject], delays: Lags, outages: list[Outage]
) -> None:
    """Lags are random, and the controller is killed at random writes."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        scene = Scene(Path(folder), first, second, delays)

        assert scene.execute(scene.story.plan(scene.sample, **ALLOWED), outages) == []


@_settings
@given(configurations(), configurations(), lags(), _outages)
def test_every_loss_is_named_when_a_rollback_is_undone(
    first: list[JsonObject], second: list[JsonObject], delays: Lags, outages: list[Outage]
) -> None:
    """The plan of the undo names every loss that the undo causes."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        scene = Scene(Path(folder), first, second, delays)
        plan = scene.story.plan(scene.sample, prune=True, max_delete=100, **ALLOWED)
        assert scene.execute(plan) == []
        if not plan.writes:
            return
        undo = scene.story.plan_undo(**ALLOWED)

        assert scene.execute(undo, outages, undoes=undo.sample) == []
