"""Failures in the middle of a rollback: cluster, archive and report agree, and undo restores the state before.

The tests use a cluster in memory that fails at a chosen write, and a real archive.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import (
    AccessDeniedError,
    BusyError,
    ClusterUnreachableError,
    ConflictError,
    GitsnapError,
    GoneError,
    RejectedError,
)
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import RevertedError, StoppedError, past_rollbacks, rollback_to_undo, unfinished
from gitsnap.rollback.plan import Action, Selection
from gitsnap.sveltos import kinds
from tests.support.followers import config_map
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import changed, custom, with_metadata
from tests.support.rollbacks import Story, delete, put
from tests.support.sveltos.matches import Matches

_PAUSED = "profile.projectsveltos.io/paused"
WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
EVENT = custom(kinds.EVENT_SOURCE, "e", {"collectResources": False})


def _profile(env: str) -> JsonObject:
    names = ("one", "two")
    references = [{"kind": "ConfigMap", "name": name, "namespace": "default"} for name in names]
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, "guestbook", spec)


class Killed(BaseException):
    """The end of the process. gitsnap must not handle it."""


class _Scene:
    """A rollback of six writes: an update, a creation, a hold, a label, the profile, and an event source."""

    def __init__(self, folder: Path) -> None:
        self.cluster = MemoryCluster()
        self.story = Story(folder, self.cluster)
        for document in (WEST, EVENT, _profile("fv"), config_map("one", "1"), config_map("two", "2")):
            put(self.cluster, document)
        self.first = self.story.capture()
        put(self.cluster, config_map("one", "changed"))
        delete(self.cluster, config_map("two", "2"))
        put(self.cluster, with_metadata(WEST, labels={"env": "prod"}))
        put(self.cluster, _profile("prod"))
        put(self.cluster, changed(EVENT, spec={"collectResources": True}))
        self.before = self.story.configuration(self.story.capture())
        self.plan = self.story.plan(self.first)
        self.cluster.writes.clear()

    def fail(self, position: int, failure: BaseException, *, answered: bool, always: bool = False) -> None:
        """Make the write at a position fail, or lose its answer after the write if not ``answered``.

        ``always``: each attempt fails, not only the first. A conflict needs this, because gitsnap retries it.
        """

        def strike(_verb: str, _key: ObjectKey) -> None:
            if len(self.cluster.writes) == position + (0 if answered else 1):
                if not always:
                    self.heal()
                raise failure

        if answered:
            self.cluster.before_write = strike
        else:
            self.cluster.after_write = strike

    def heal(self) -> None:
        """Stop all failures."""
        self.cluster.before_write = self.cluster.after_write = lambda _verb, _key: None

    def now(self) -> dict[str, str]:
        """The live configuration, as a sample stores it."""
        return self.story.configuration(self.story.capture())

    def held(self) -> bool:
        """Whether the profile is paused."""
        profile = self.cluster.get(ObjectKey.of(_profile("fv")))
        return _PAUSED in (profile["metadata"].get("annotations") or {})


@pytest.fixture
def scene(tmp_path: Path) -> _Scene:
    """See _Scene."""
    return _Scene(tmp_path)


STEPS = 6
_ERRORS: list[Callable[[], GitsnapError]] = [
    lambda: AccessDeniedError("403"),
    lambda: ConflictError("409"),
    lambda: GoneError("410"),
    lambda: RejectedError("422"),
    lambda: BusyError("429"),
    lambda: ClusterUnreachableError("500"),
]


def test_the_scene(scene: _Scene) -> None:
    """The plan has the steps that these tests rely on."""
    assert [f"{step.action} {step.key.name}" for step in scene.plan.writes] == [
        "create two",
        "update one",
        "update e",
        "hold guestbook",
        "update west",
        "update guestbook",
    ]


@pytest.mark.parametrize("position", range(1, STEPS))
@pytest.mark.parametrize("error", _ERRORS, ids=["403", "409", "410", "422", "429", "500"])
def test_a_failure_stops_and_reports_the_written_steps(
    scene: _Scene, position: int, error: Callable[[], GitsnapError]
) -> None:
    """The steps before, at and after the failure are applied, failed and not tried. Undo restores the state before."""
    scene.fail(position, error(), answered=True, always=isinstance(error(), ConflictError))

    with pytest.raises(StoppedError) as caught:
        scene.story.apply(scene.plan)
    scene.heal()

    report = caught.value.report
    steps = scene.plan.writes
    released = [step for step in report.applied if step.action is Action.RELEASE]
    assert [step for step in report.applied if step.action is not Action.RELEASE] == list(steps[:position])
    assert not released
    assert report.failed == steps[position]
    assert report.unknown is (type(error()) is ClusterUnreachableError)
    assert report.not_tried == steps[position + 1 :]
    assert scene.held() is bool(report.held)
    scene.story.undo()
    assert scene.now() == scene.before
    assert not scene.held()


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", _ERRORS[:5], ids=["403", "409", "410", "422", "429"])
def test_a_refused_first_write_changes_nothing(scene: _Scene, error: Callable[[], GitsnapError]) -> None:
    """The error of the cluster is raised, and the archive has no unfinished rollback."""
    key = scene.plan.writes[0].key
    scene.cluster.before_write = lambda _verb, found: _raise(error()) if found == key else None

    with pytest.raises(type(error())):
        scene.story.apply(scene.plan)
    scene.heal()

    assert scene.now() == scene.before
    assert unfinished(scene.story.archive.samples()) is None
    assert [past.result for past in past_rollbacks(scene.story.archive.samples())] == ["nothing-written"]


@pytest.mark.parametrize("position", range(STEPS))
def test_a_lost_answer_is_reported_as_unknown(scene: _Scene, position: int) -> None:
    """The server writes the object and its response is lost. The report says `unknown`, and undo works."""
    scene.fail(position, ClusterUnreachableError("the connection broke"), answered=False)

    with pytest.raises(StoppedError) as caught:
        scene.story.apply(scene.plan)

    assert caught.value.report.unknown
    assert "unknown whether this object was written" in caught.value.message
    scene.story.undo()
    assert scene.now() == scene.before
    assert not scene.held()


@pytest.mark.parametrize("answered", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("position", range(STEPS))
def test_killed_at_any_step(scene: _Scene, position: int, *, answered: bool) -> None:
    """The archive has the unfinished rollback, and undo restores the state before."""
    scene.fail(position, Killed(), answered=answered)
    with pytest.raises(Killed):
        scene.story.apply(scene.plan)

    past = unfinished(scene.story.archive.samples())

    assert past is not None
    assert past == rollback_to_undo(scene.story.archive.samples())
    assert past.record.target == scene.first.tag
    plan = scene.story.plan_undo()
    if plan.writes:
        scene.story.apply(plan)
    assert scene.now() == scene.before
    assert not scene.held()


@pytest.mark.parametrize("position", range(STEPS))
def test_killed_and_finished_by_the_same_rollback(scene: _Scene, position: int) -> None:
    """A rerun of the rollback completes it, and no profile stays paused."""
    scene.fail(position, Killed(), answered=False)
    with pytest.raises(Killed):
        scene.story.apply(scene.plan)

    plan = scene.story.plan(scene.first)
    assert not plan.withdrawals
    if plan.writes:
        scene.story.apply(plan)

    assert scene.now() == scene.story.configuration(scene.first)
    assert not scene.held()


@pytest.mark.parametrize("answered", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("position", range(1, STEPS))
def test_atomic_reverts_all_writes(scene: _Scene, position: int, *, answered: bool) -> None:
    """All writes are reverted in reverse order, and the archive has no unfinished rollback."""
    error = RejectedError("422") if answered else ClusterUnreachableError("the connection broke")
    scene.fail(position, error, answered=answered)

    with pytest.raises(RevertedError) as caught:
        scene.story.apply(scene.plan, atomic=True)

    assert exit_code_of(caught.value) == 17
    assert scene.now() == scene.before
    assert not scene.held()
    assert unfinished(scene.story.archive.samples()) is None
    back = caught.value.report.revert_result
    assert back is not None
    written = [step.key for step in scene.plan.writes[: position + (0 if answered else 1)]]
    assert list(back.reverted) == written[::-1]


def test_atomic_reports_a_failed_revert(scene: _Scene) -> None:
    """The objects that are not reverted are listed, and the exit code is that of a stopped rollback."""
    key = ObjectKey.of(WEST)
    scene.fail(4, RejectedError("422"), answered=True)
    stubborn = ObjectKey.of(config_map("two", ""))
    watch = scene.cluster.before_write

    def strike(verb: str, found: ObjectKey) -> None:
        if verb == "delete" and found == stubborn:
            raise AccessDeniedError("it may not be deleted")
        watch(verb, found)

    def heal() -> None:
        scene.cluster.before_write = lambda verb, found: strike(verb, found) if verb == "delete" else None

    scene.heal = heal  # type: ignore[method-assign]
    scene.cluster.before_write = strike

    with pytest.raises(StoppedError) as caught:
        scene.story.apply(scene.plan, atomic=True)

    back = caught.value.report.revert_result
    assert exit_code_of(caught.value) == 15
    assert back is not None
    assert back.problem == "it may not be deleted"
    assert [key.name for key in back.not_reverted] == ["two"]
    assert "The revert failed too, at ConfigMap default/two" in caught.value.message
    assert scene.cluster.get(key)["metadata"]["labels"] == {"env": "prod"}


def test_nothing_is_written_when_the_sample_before_cannot_be_taken(scene: _Scene) -> None:
    """Without a sample before the rollback there would be no undo."""

    def refuse(*_arguments: object) -> None:
        raise GitsnapError("the disk is full")

    from gitsnap import rollback  # noqa: PLC0415

    with pytest.raises(GitsnapError, match="the disk is full"):
        rollback.apply(scene.cluster, scene.plan, take_sample=refuse)

    assert not scene.cluster.writes


@pytest.mark.parametrize("position", range(STEPS))
def test_another_writer_before_any_step_is_never_overwritten(scene: _Scene, position: int) -> None:
    """A change of an object after the plan is a conflict, and the change stays."""
    step = scene.plan.writes[position]
    if step.action is Action.CREATE:
        put(scene.cluster, changed(config_map("two", "theirs")))
    else:
        live = scene.cluster.get(step.key)
        labels = {**(live["metadata"].get("labels") or {}), "theirs": "yes"}
        scene.cluster.disturb(step.key, metadata={**live["metadata"], "labels": labels, "resourceVersion": "900"})
    theirs = scene.cluster.get(step.key)

    with pytest.raises(GitsnapError):
        scene.story.apply(scene.plan)

    found = scene.cluster.get(step.key)
    assert found.get("data") == theirs.get("data")
    assert found["metadata"].get("labels") == theirs["metadata"].get("labels")


def test_a_status_that_moves_is_no_conflict(scene: _Scene) -> None:
    """Sveltos often writes status. The step is rebuilt on the newest version of the object."""
    key = ObjectKey.of(_profile("fv"))

    def report(_verb: str, found: ObjectKey) -> None:
        if found == key and not scene.cluster.get(key).get("status"):
            scene.cluster.disturb(key, status={"matchingClusters": []})

    scene.cluster.before_write = report

    scene.story.apply(scene.plan)

    assert scene.cluster.get(key)["status"] == {"matchingClusters": []}
    assert scene.now() == scene.story.configuration(scene.first)


def test_undo_of_an_undo_that_was_killed(scene: _Scene) -> None:
    """The newest, unfinished rollback is the undo. An undo `--of` the first rollback finishes it."""
    scene.story.apply(scene.plan)
    plan = scene.story.plan_undo()
    first = rollback_to_undo(scene.story.archive.samples())
    scene.cluster.writes.clear()
    scene.fail(2, Killed(), answered=False)
    with pytest.raises(Killed):
        scene.story.apply(plan, undoes=plan.sample)

    past = unfinished(scene.story.archive.samples())
    assert past is not None
    assert past.record.undoes == first.before.tag
    scene.story.apply(scene.story.plan_undo(of=first.before.tag))
    assert scene.now() == scene.before


def test_an_undo_writes_only_the_selection_of_its_rollback(scene: _Scene) -> None:
    """A rollback of an object is undone by a single write."""
    scene.story.roll_back(scene.first, Selection(resources=("configmap/one",)))
    plan = scene.story.plan_undo()
    assert [str(step.key) for step in plan.writes] == ["ConfigMap default/one"]


def test_atomic_pauses_a_profile_again_after_a_lost_answer(scene: _Scene) -> None:
    """The answer to the write that ends the pause of the profile is lost. The revert pauses the profile again."""
    sveltos = Matches(scene.cluster.objects)
    sveltos.act()
    scene.fail(5, ClusterUnreachableError("the connection broke"), answered=False)
    strike = scene.cluster.after_write

    def act(_verb: str, _key: ObjectKey) -> None:
        sveltos.act()

    def after(verb: str, key: ObjectKey) -> None:
        act(verb, key)
        strike(verb, key)

    def heal() -> None:
        scene.cluster.after_write = act

    scene.heal = heal  # type: ignore[method-assign]
    scene.cluster.after_write = after

    with pytest.raises(RevertedError):
        scene.story.apply(scene.plan, atomic=True)

    assert not sveltos.lost
    assert not scene.held()


def test_a_rollback_killed_before_its_first_write_can_be_undone(scene: _Scene) -> None:
    """The undo has no writes, and afterwards the archive has no unfinished rollback."""
    scene.fail(0, Killed(), answered=True)
    with pytest.raises(Killed):
        scene.story.apply(scene.plan)
    assert unfinished(scene.story.archive.samples()) is not None

    plan = scene.story.plan_undo()
    scene.story.apply(plan, undoes=plan.sample)

    assert not plan.writes
    assert unfinished(scene.story.archive.samples()) is None
    assert not past_rollbacks(scene.story.archive.samples())[-1].changed_something


def test_a_rollback_killed_after_its_last_write_can_be_finished(scene: _Scene) -> None:
    """A rerun has no writes and finishes the rollback, and undo reverts the rollback."""
    scene.fail(5, Killed(), answered=False)
    with pytest.raises(Killed):
        scene.story.apply(scene.plan)

    part = scene.story.plan(scene.first, Selection(resources=("configmap/one",)))
    scene.story.apply(part)
    assert unfinished(scene.story.archive.samples()) is not None
    scene.story.apply(scene.story.plan(scene.first))

    assert unfinished(scene.story.archive.samples()) is None
    scene.story.undo(allow_withdraw=True)
    assert scene.now() == scene.before
