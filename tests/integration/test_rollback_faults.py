"""What goes wrong in the middle of a rollback: state, record and report agree, and undo restores what was before.

On a cluster in memory that fails where it is told to, with a real archive.
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
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import changed, custom, with_metadata
from tests.support.rollbacks import Story, delete, put
from tests.support.sveltos.matches import Matches

_PAUSED = "profile.projectsveltos.io/paused"
WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
EVENT = custom(kinds.EVENT_SOURCE, "e", {"collectResources": False})


def _config_map(name: str, text: str) -> JsonObject:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


def _profile(env: str) -> JsonObject:
    names = ("one", "two")
    references = [{"kind": "ConfigMap", "name": name, "namespace": "default"} for name in names]
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, "guestbook", spec)


class Killed(BaseException):
    """The process is gone: nothing of gitsnap may handle this."""


class _Scene:
    """A rollback of six writes: an update, a creation, a hold, a label, the profile, and an event source."""

    def __init__(self, folder: Path) -> None:
        self.cluster = MemoryCluster()
        self.story = Story(folder, self.cluster)
        for document in (WEST, EVENT, _profile("fv"), _config_map("one", "1"), _config_map("two", "2")):
            put(self.cluster, document)
        self.first = self.story.capture()
        put(self.cluster, _config_map("one", "changed"))
        delete(self.cluster, _config_map("two", "2"))
        put(self.cluster, with_metadata(WEST, labels={"env": "prod"}))
        put(self.cluster, _profile("prod"))
        put(self.cluster, changed(EVENT, spec={"collectResources": True}))
        self.before = self.story.configuration(self.story.capture())
        self.plan = self.story.plan(self.first)
        self.cluster.writes.clear()

    def fail(self, position: int, failure: BaseException, *, answered: bool, always: bool = False) -> None:
        """The write of this number does not take place, or does and its answer is lost; once, or whenever it is tried.

        A conflict must come always: the same write is tried again a few times.
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
        """Nothing fails any more."""
        self.cluster.before_write = self.cluster.after_write = lambda _verb, _key: None

    def now(self) -> dict[str, str]:
        """The configuration as it is, as a sample would have it."""
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
    """The plan of these tests has the steps that they count on."""
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
def test_a_failure_stops_and_says_what_was_written(
    scene: _Scene, position: int, error: Callable[[], GitsnapError]
) -> None:
    """Applied, failed and not tried are the steps before, at and after the failure; undo restores what was before."""
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
def test_a_first_write_that_is_refused_changes_nothing(scene: _Scene, error: Callable[[], GitsnapError]) -> None:
    """The cluster's own error is passed on, and the archive does not take it for an unfinished rollback."""
    key = scene.plan.writes[0].key
    scene.cluster.before_write = lambda _verb, found: _raise(error()) if found == key else None

    with pytest.raises(type(error())):
        scene.story.apply(scene.plan)
    scene.heal()

    assert scene.now() == scene.before
    assert unfinished(scene.story.archive.samples()) is None
    assert [past.result for past in past_rollbacks(scene.story.archive.samples())] == ["nothing-written"]


@pytest.mark.parametrize("position", range(STEPS))
def test_a_lost_answer_is_not_taken_for_a_failure_or_a_success(scene: _Scene, position: int) -> None:
    """The server wrote the object and its response was lost: the report says so, and undo finds out."""
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
    """The archive tells of the rollback that was never finished; undo restores what was before."""
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
    """The same rollback again goes on from there, and leaves nothing paused."""
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
def test_atomic_takes_back_and_says_so(scene: _Scene, position: int, *, answered: bool) -> None:
    """All that was written is undone, in reverse order, and the archive knows that nothing is left to undo."""
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


def test_atomic_says_if_even_going_back_failed(scene: _Scene) -> None:
    """What could not be taken back is listed, and the exit code is that of a rollback that stopped half-way."""
    key = ObjectKey.of(WEST)
    scene.fail(4, RejectedError("422"), answered=True)
    stubborn = ObjectKey.of(_config_map("two", ""))
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
    """No way back, no rollback."""

    def refuse(*_arguments: object) -> None:
        raise GitsnapError("the disk is full")

    from gitsnap import rollback  # noqa: PLC0415

    with pytest.raises(GitsnapError, match="the disk is full"):
        rollback.apply(scene.cluster, scene.plan, take_sample=refuse)

    assert not scene.cluster.writes


@pytest.mark.parametrize("position", range(STEPS))
def test_another_writer_before_any_step_is_never_overwritten(scene: _Scene, position: int) -> None:
    """An object that somebody changes after the plan is a conflict; what he wrote stays."""
    step = scene.plan.writes[position]
    if step.action is Action.CREATE:
        put(scene.cluster, changed(_config_map("two", "theirs")))
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
    """Sveltos writes status all the time: the step is built anew on the newest version."""
    key = ObjectKey.of(_profile("fv"))

    def report(_verb: str, found: ObjectKey) -> None:
        if found == key and not scene.cluster.get(key).get("status"):
            scene.cluster.disturb(key, status={"matchingClusters": []})

    scene.cluster.before_write = report

    scene.story.apply(scene.plan)

    assert scene.cluster.get(key)["status"] == {"matchingClusters": []}
    assert scene.now() == scene.story.configuration(scene.first)


def test_undo_of_an_undo_that_was_killed(scene: _Scene) -> None:
    """The newest rollback is the undo: undoing it goes forward again, and `--of` the first one finishes it."""
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


def test_a_selection_is_all_that_an_undo_touches(scene: _Scene) -> None:
    """A rollback of one object is undone by one write."""
    scene.story.roll_back(scene.first, Selection(resources=("configmap/one",)))
    plan = scene.story.plan_undo()
    assert [str(step.key) for step in plan.writes] == ["ConfigMap default/one"]


def test_atomic_holds_again_what_a_lost_answer_had_let_go(scene: _Scene) -> None:
    """The profile's own step, which ends its pause, was written unseen: it is paused again until the label is back."""
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


def test_a_rollback_that_was_killed_before_its_first_write_can_be_ended(scene: _Scene) -> None:
    """Nothing is left to take back, and it is not called unfinished for ever: the undo says so in the archive."""
    scene.fail(0, Killed(), answered=True)
    with pytest.raises(Killed):
        scene.story.apply(scene.plan)
    assert unfinished(scene.story.archive.samples()) is not None

    plan = scene.story.plan_undo()
    scene.story.apply(plan, undoes=plan.sample)

    assert not plan.writes
    assert unfinished(scene.story.archive.samples()) is None
    assert not past_rollbacks(scene.story.archive.samples())[-1].changed_something


def test_a_rollback_that_was_killed_after_its_last_write_can_be_ended(scene: _Scene) -> None:
    """Going on finds nothing left to write; from then on it is a finished rollback that undo takes back."""
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
