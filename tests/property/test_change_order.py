"""Moments among samples and changes: for any history, the answer is that of a search through all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.changes import UNKNOWN_AUTHOR, Change, Revision
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import CommitId, Sample
from gitsnap.core.states import ChangeState
from gitsnap.history.change_finder import Changes, search_state
from gitsnap.history.moments import format_moment
from tests.support.samples import sample

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class _Archive:
    """A branch in memory: samples and changes, oldest first."""

    branch: list[Sample | Change] = field(default_factory=list)

    def samples(self) -> Sequence[Sample]:
        return [entry for entry in self.branch if isinstance(entry, Sample)]

    def changes(self, after: Sample | None, until: Sample | None, _unreadable: object = None, /) -> list[Change]:
        start = self.branch.index(after) + 1 if after else 0
        end = self.branch.index(until) if until else len(self.branch)
        return [entry for entry in self.branch[start:end] if isinstance(entry, Change)]

    def changes_named(self, prefix: str) -> list[Change]:
        return [entry for entry in self.branch if isinstance(entry, Change) and entry.commit.startswith(prefix)]

    def sample_before(self, change: Change) -> Sample | None:
        earlier = self.branch[: self.branch.index(change)]
        return next((entry for entry in reversed(earlier) if isinstance(entry, Sample)), None)

    def author_notes(self) -> Mapping[CommitId, str]:
        return {}


@st.composite
def _archives(draw: st.DrawFn, *, least: int = 0) -> _Archive:
    """Histories with at least one sample. Entries may have the same time, and retention may have removed samples.

    ``least``: the least time between two entries, in minutes; negative if the clock was set back.
    """
    archive, time, sequence = _Archive(), _START, 0
    kinds = draw(st.lists(st.sampled_from("sccp"), min_size=1, max_size=12))
    for number, kind in enumerate([*kinds, "s"]):
        time += timedelta(minutes=draw(st.integers(least, 2)))
        if kind == "p":
            sequence += 1  # a sample that retention removed
        elif kind == "s":
            sequence += 1
            archive.branch.append(sample(sequence, time))
        else:
            commit = CommitId(f"{number:040x}")
            archive.branch.append(
                Change(
                    commit, None, UNKNOWN_AUTHOR, time, (Revision(str(number)),), late=False, objects=(), message="m"
                )
            )
    for number in range(draw(st.integers(0, 3))):  # changes after the newest sample
        time += timedelta(minutes=draw(st.integers(least, 2)))
        commit = CommitId(f"{100 + number:040x}")
        archive.branch.append(
            Change(commit, None, UNKNOWN_AUTHOR, time, (Revision(str(number)),), late=False, objects=(), message="m")
        )
    return archive


def _entry(state: Sample | ChangeState) -> Sample | Change:
    return state.change if isinstance(state, ChangeState) else state


@given(archive=_archives(least=-2))
def test_all_samples_and_changes_are_listed_in_the_order_of_the_branch(archive: _Archive) -> None:
    """Each entry is listed once. The sort keys have the same order, even if the clock was set back."""
    states = list(Changes(archive).newest_first(archive.samples()))

    assert [_entry(state) for state in states] == archive.branch[::-1]
    assert sorted(states, key=lambda state: state.order, reverse=True) == states


@given(archive=_archives(), minutes=st.integers(-1, 30))
def test_a_moment_is_the_last_entry_of_the_branch_until_then(archive: _Archive, minutes: int) -> None:
    """If several entries have the same time, the moment is the last of them."""
    time = _START + timedelta(minutes=minutes)
    name = f"@{time:%Y-%m-%dT%H:%M:%SZ}"
    until = [entry for entry in archive.branch if entry.time <= time]
    if not until:
        with pytest.raises(NotFoundError, match=format_moment(time)):
            search_state(archive.samples(), name, Changes(archive))
        return
    assert _entry(search_state(archive.samples(), name, Changes(archive)).state) == until[-1]


@given(archive=_archives())
def test_each_change_is_found_by_its_commit_and_follows_the_entry_before(archive: _Archive) -> None:
    """The state before a change is the entry before it on the branch."""
    changes = Changes(archive)
    for position, entry in enumerate(archive.branch):
        if isinstance(entry, Change):
            state = search_state(archive.samples(), entry.commit, changes).state
            assert isinstance(state, ChangeState)
            before = changes.state_before(state)
            assert _entry(state) == entry
            assert (_entry(before) if before else None) == (archive.branch[position - 1] if position else None)
