"""Relative names after rollbacks: a repeated command never restores another state without a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.changes import UNKNOWN_AUTHOR, Change, Revision
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import CommitId, Kind, ObjectKey, Sample, Trigger
from gitsnap.core.states import ChangeState
from gitsnap.format import Result, RollbackRecord, record_lines
from gitsnap.history.samples import find_sample, is_relative
from gitsnap.rollback import ShiftedName, find_shift
from tests.support.samples import NOON, sample

_WRITTEN = (("update", ObjectKey(Kind("", "ConfigMap"), "default", "shop")),)
_MINUTE = timedelta(minutes=1)


class _Archive:
    """Samples of an archive, and rollbacks as a user requests them."""

    def __init__(self, count: int) -> None:
        self.samples: list[Sample] = []
        self.now = NOON
        for _ in range(count):
            self.take()

    def take(self, trigger: Trigger = Trigger.SCHEDULE, record: RollbackRecord | None = None) -> Sample:
        """Take a sample, a minute after the newest one."""
        self.now += _MINUTE
        taken = sample(len(self.samples) + 1, self.now, trigger)
        if record is not None:
            taken = replace(taken, metadata=replace(taken.metadata, extra=record_lines(record)))
        self.samples.append(taken)
        return taken

    def find(self, name: str) -> Sample:
        """The sample that a name stands for now."""
        return find_sample(self.samples, name, now=self.now)

    def roll_back(self, name: str, result: str = Result.DONE) -> Sample:
        """Roll back to a sample, and return this sample. Without ``result`` the rollback is killed."""
        target = self.find(name)
        before = self.take(Trigger.BEFORE_ROLLBACK, RollbackRecord(target=target.tag, objects=_WRITTEN))
        if result:
            record = RollbackRecord(target=target.tag, before=before.tag, result=result)
            self.take(Trigger.AFTER_ROLLBACK, record)
        return target

    def shift(self, name: str) -> ShiftedName | None:
        """How rollbacks shifted a name, as the command line asks."""

        def find(samples: Sequence[Sample], time: datetime) -> Sample | None:
            try:
                return find_sample(samples, name, now=time)
            except NotFoundError:
                return None

        return find_shift(self.samples, self.find(name), find)


_NAMES = st.one_of(
    st.integers(0, 6).map("latest~{}".format),
    st.just("latest"),
    st.integers(1, 12).map("@{}m".format),
)


@given(count=st.integers(3, 8), name=_NAMES, result=st.sampled_from([*Result, ""]), later=st.integers(0, 8))
def test_the_same_command_again(count: int, name: str, result: str, later: int) -> None:
    """The name stands for the same sample, for a state newer than the rollback, or is reported as shifted."""
    archive = _Archive(count)
    try:
        target = archive.roll_back(name, result)
        before, after = archive.samples[count], archive.samples[-1]
        for _ in range(later):
            archive.take()
        chosen, shift = archive.find(name), archive.shift(name)
    except NotFoundError:
        return  # the name goes back beyond the first sample

    left = after if result in (Result.NOTHING, Result.REVERTED) else before
    if chosen.order > left.order:
        assert shift is None
    elif chosen != target:
        assert shift is not None
        assert shift.past.before == before
        assert chosen == before or left == after or shift.former is not None


@given(count=st.integers(1, 8), name=_NAMES)
def test_without_a_rollback_no_name_is_shifted(count: int, name: str) -> None:
    """Ordinary samples shift names as users expect."""
    archive = _Archive(count)
    try:
        assert archive.shift(name) is None
    except NotFoundError:
        return


@pytest.mark.parametrize(
    ("names", "then", "safe"),
    [
        (["latest~1"], "latest~1", False),  # the sample before
        (["latest~1"], "latest", True),  # the sample after
        (["latest~1"], "latest~3", True),  # the target
        (["latest~2"], "latest~2", False),  # a sample between the target and the rollback
        (["latest~3"], "latest~5", True),  # the target, counted anew
        (["latest~1"], "latest~2", True),  # older than the rollback, but the name never was its target
        (["latest~1", "latest~3"], "latest~3", False),
        (["latest~1", "latest~3"], "latest~1", False),
        (["latest~1", "latest~3"], "latest", True),
        (["@2m"], "@2m", False),
        (["@2m"], "@1m", False),
        (["@2m"], "@0m", True),
    ],
)
def test_names_after_rollbacks(names: list[str], then: str, *, safe: bool) -> None:
    """A name of a state after the rollback, or of an older state that was not the target, needs no question."""
    archive = _Archive(6)
    for name in names:
        archive.roll_back(name)

    assert (archive.shift(then) is None) is safe


@pytest.mark.parametrize(
    ("result", "safe"), [(Result.DONE, True), (Result.NOTHING, False), (Result.REVERTED, False), ("", False)]
)
def test_latest_after_a_rollback(result: str, *, safe: bool) -> None:
    """After a failure `latest` is the state that the rollback was to replace, so nothing would be written."""
    archive = _Archive(3)
    archive.roll_back("latest", result)

    assert (archive.shift("latest") is None) is safe


def test_the_question_may_take_minutes() -> None:
    """A relative time was looked up before the user read the plan, and the first sample was taken after it."""
    archive = _Archive(30)
    target = archive.find("@5m")
    archive.now += 9 * _MINUTE
    record = RollbackRecord(target=target.tag, objects=_WRITTEN)
    before = archive.take(Trigger.BEFORE_ROLLBACK, record)
    archive.take(Trigger.AFTER_ROLLBACK, RollbackRecord(target=target.tag, before=before.tag, result=Result.DONE))

    assert archive.find("@5m") != target
    assert archive.shift("@5m") is not None


@pytest.mark.parametrize(
    ("name", "relative"),
    [
        ("latest", True),
        ("latest~3", True),
        ("@2h", True),
        ("@yesterday", True),
        ("@14:30", True),
        ("@2026-01-01", True),  # the day has not ended
        ("@2025-12-31", False),
        ("@2026-01-01T11:00Z", False),
        ("2026-01-01:11:00:00", False),
        ("hourly/2026-01-01T11-00-00Z", False),
        ("0123456789ab", False),
    ],
)
def test_relative_names(name: str, *, relative: bool) -> None:
    """A name is relative if it may stand for another sample later."""
    assert is_relative(name, now=NOON) is relative


def test_a_name_that_stood_for_a_change_is_shifted_too() -> None:
    """A rollback to a change records its commit. The name stands for a sample from before the rollback now."""
    archive = _Archive(2)
    commit = CommitId("c" * 40)
    change = Change(commit, None, UNKNOWN_AUTHOR, NOON, (Revision("1"),), late=False, objects=(), message="m")
    state = ChangeState(change, UNKNOWN_AUTHOR, archive.samples[0], (2, archive.samples[0].time, " "))
    before = archive.take(Trigger.BEFORE_ROLLBACK, RollbackRecord(target=commit, objects=_WRITTEN))
    archive.take(Trigger.AFTER_ROLLBACK, RollbackRecord(target=commit, before=before.tag, result=Result.DONE))

    def find_change(name: str) -> ChangeState | None:
        return state if name == commit else None

    shift = find_shift(archive.samples, archive.samples[0], lambda _earlier, _time: state, find_change)
    assert shift is not None
    assert shift.former == state
    assert find_shift(archive.samples, state, lambda _earlier, _time: state, find_change) is None
