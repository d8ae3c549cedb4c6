"""Finds changes between samples by time or commit id. Their order is the order of the branch, not of the clock.

This module must not print, and must not know git: it sees samples, and the changes after each of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, Protocol

from gitsnap.core.errors import ArchiveError, NotFoundError
from gitsnap.core.model import CommitId, Sample
from gitsnap.core.states import ChangeState, State
from gitsnap.core.text import join_names
from gitsnap.history.authors import Authors
from gitsnap.history.samples import moment_named, search_sample

if TYPE_CHECKING:
    from gitsnap.core.changes import Change, UnreadableChange

_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_EARLIER = re.compile(r"([0-9a-f]{7,40})~([0-9]{0,6})\Z")
_MOST_NAMED = 5
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


class ChangeArchive(Protocol):
    """The archive whose changes are read."""

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first."""

    def changes(
        self, after: Sample | None, until: Sample | None, unreadable: list[UnreadableChange], /
    ) -> list[Change]:
        """The changes on the branch between two samples, oldest first. None: no limit.

        ``unreadable``: commits that cannot be read are appended.
        """

    def changes_named(self, prefix: str) -> list[Change]:
        """The changes whose commit ids begin with some digits, including changes that are not on the branch."""

    def sample_before(self, change: Change) -> Sample | None:
        """The newest sample on the branch that a change builds on."""

    def author_notes(self) -> Mapping[CommitId, str]:
        """The notes with the names of authors that became known later: commit -> text."""


@dataclass(frozen=True, slots=True)
class FoundState:
    """A sample or a change, and the moment by which it was found."""

    state: State
    moment: datetime | None = None
    """The state is the newest one at this moment. None if it was found by its name."""


class Changes:
    """The changes of an archive, each with its position among the samples."""

    def __init__(self, archive: ChangeArchive, *, until: Sample | None = None) -> None:
        """``until``: the sample with which the history ends. None for the head of the branch."""
        self._archive = archive
        self._until = until
        self._authors = Authors(archive.author_notes)
        self._unreadable: list[UnreadableChange] = []

    @property
    def unreadable(self) -> list[UnreadableChange]:
        """The commits among the changes read so far that cannot be read, each once."""
        return list(dict.fromkeys(self._unreadable))

    def before(self, sample: Sample) -> Changes:
        """The changes before a sample."""
        return Changes(self._archive, until=sample)

    def between(self, after: Sample | None, until: Sample | None) -> list[ChangeState]:
        """The changes between two successive samples on the branch, oldest first. None: before the first, or the end.

        Raises ArchiveError.
        """
        until = until or self._until
        changes = self._archive.changes(after, until, self._unreadable)
        if not changes:
            return []
        most = until.time if until else _LAST
        least = min(after.time, most) if after else _FIRST  # the clock may have been set back
        states = []
        for position, change in enumerate(changes):
            # The time decides only against detached samples, which have the number of the next sample on the branch.
            least = max(least, min(change.time, most))
            order = ((after.sequence if after else 0) + 1, least, f" {position:09}")
            states.append(ChangeState(change, self._authors.of(change), after, order))
        return states

    def newest_first(self, samples: Sequence[Sample]) -> Iterator[State]:
        """All samples and changes, newest first. A change is read when it is needed. ``samples`` are oldest first."""
        later: list[Sample] = []
        until: Sample | None = None
        for sample in reversed(samples):
            if sample.metadata.detached_from is not None:
                later.append(sample)
                continue
            yield from _reversed([*later, *self.between(sample, until)])
            yield sample
            later, until = [], sample
        yield from _reversed([*later, *(self.between(None, until) if until else ())])

    def newest_until(self, samples: Sequence[Sample], sample: Sample | None, time: datetime) -> ChangeState | None:
        """The newest change at a time that is newer than a sample. None if there is none.

        ``sample``: the newest of ``samples`` at the time; None if all are later.
        """
        if sample is None:
            first = _next_on_branch(samples, 0)
            return _newest(self.between(None, first), time) if first else None
        position = bisect_left(samples, sample.order, key=lambda other: other.order)
        preceding = (samples[number] for number in range(position, -1, -1))
        on_branch = next((other for other in preceding if not _is_detached(other)), None)
        newest = _newest(self.between(on_branch, _next_on_branch(samples, position + 1)), time)
        return newest if newest is not None and newest.order > sample.order else None

    def named(self, samples: Sequence[Sample], prefix: str) -> list[ChangeState]:
        """The changes on the branch whose commit ids begin with some digits."""
        states = []
        for change in self._archive.changes_named(prefix):
            after = self._archive.sample_before(change)
            start = bisect_right(samples, after.order, key=lambda other: other.order) if after else 0
            following = self.between(after, _next_on_branch(samples, start))
            states += [state for state in following if state.commit == change.commit]
        return states

    def state_before(self, state: ChangeState) -> State | None:
        """The change or the sample before a change. None if there is none."""
        samples = self._archive.samples()
        start = bisect_right(samples, state.after.order, key=lambda other: other.order) if state.after else 0
        earlier = [
            other for other in self.between(state.after, _next_on_branch(samples, start)) if other.order < state.order
        ]
        return earlier[-1] if earlier else state.after


def _reversed(states: Sequence[State]) -> list[State]:
    return sorted(states, key=lambda state: state.order, reverse=True)


def _is_detached(sample: Sample) -> bool:
    return sample.metadata.detached_from is not None


def _next_on_branch(samples: Sequence[Sample], position: int) -> Sample | None:
    following = (samples[number] for number in range(position, len(samples)))
    return next((sample for sample in following if not _is_detached(sample)), None)


def _newest(changes: Sequence[ChangeState], time: datetime) -> ChangeState | None:
    return next((state for state in reversed(changes) if state.time <= time), None)


def sample_with(samples: Sequence[Sample], state: State) -> Sample | None:
    """The sample itself, or the first sample on the branch after a change. None if there is none yet."""
    if isinstance(state, Sample):
        return state
    return _next_on_branch(samples, bisect_right(samples, state.order, key=lambda sample: sample.order))


def search_state(
    samples: Sequence[Sample], name: str, changes: Changes, *, now: datetime | None = None, end: bool = True
) -> FoundState:
    """Find the sample or the change with a name. ``samples`` are oldest first.

    The names are those of ``samples.search_sample``. A moment, such as ``@2h``, names the newest sample or change at
    that time or before it. The id of the commit of a change, or its first digits, name the change, and
    ``ID~2`` the second sample or change before it. ``latest`` and ``latest~2`` count samples only.

    Raises NotFoundError also for digits with which several commits begin; ArchiveError for a change that cannot be
    read, also if it may be the newest one at a moment; and the errors of ``search_sample``.
    """
    if samples and _COMMIT.match(name) and (named := changes.named(samples, name)):
        return FoundState(_only(name, named, samples))
    if samples and (place := _EARLIER.match(name)) and (named := changes.named(samples, place[1])):
        return FoundState(_before(name, _only(place[1], named, samples), int(place[2] or 1), samples, changes))
    try:
        found = search_sample(samples, name, now=now, end=end)
    except NotFoundError:
        time = moment_named(name, now, end=end) if samples else None
        earlier = changes.newest_until(samples, None, time) if time is not None else None
        if earlier is None or time is None:
            raise
        return FoundState(_certain(name, earlier, time, changes), time)
    if found.moment is None:
        return FoundState(found.sample)
    newest = changes.newest_until(samples, found.sample, found.moment) or found.sample
    return FoundState(_certain(name, newest, found.moment, changes), found.moment)


def _before(name: str, change: ChangeState, count: int, samples: Sequence[Sample], changes: Changes) -> State:
    """The sample or change that is ``count`` places before a change. Raises NotFoundError if there are fewer."""

    def is_other(state: State) -> bool:
        return isinstance(state, Sample) or state.commit != change.commit

    found = next(islice(dropwhile(is_other, changes.newest_first(samples)), count, None), None)
    if found is None:
        hint = "`gitsnap list --changes` lists the samples and the changes."
        raise NotFoundError(f"{name}: there are fewer samples and changes before the {change}", hint=hint)
    return found


def _certain(name: str, state: State, time: datetime, changes: Changes) -> State:
    """The newest state at a time. Raises ArchiveError if a change that cannot be read may be newer."""
    for unreadable in changes.unreadable:
        # A missing commit ends the history: every change that was read is newer.
        if isinstance(state, Sample) if unreadable.time is None else state.time <= unreadable.time <= time:
            raise ArchiveError(
                f"{name}: {unreadable}",
                hint="The change may be the state at that time. Name a sample, or another change of "
                "`gitsnap list --changes`.",
            )
    return state


def _only(name: str, named: Sequence[ChangeState], samples: Sequence[Sample]) -> ChangeState:
    commits = {state.commit for state in named} | {
        sample.commit for sample in samples if sample.commit.startswith(name)
    }
    if len(commits) > 1:
        raise NotFoundError(
            f"{len(commits)} commits begin with {name}: {join_names(sorted(commits), most=_MOST_NAMED)}",
            hint="Write more digits.",
        )
    return named[0]
