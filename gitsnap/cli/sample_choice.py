"""Finds the sample, the change and the period that a user names. A message gives the moment of a time, in UTC."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gitsnap.cli import clock, terminal
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Sample
from gitsnap.core.states import SHORT_ID, ChangeState, State
from gitsnap.core.text import plural
from gitsnap.history.change_finder import Changes, search_state
from gitsnap.history.moments import Period, format_moment, parse_period
from gitsnap.history.samples import describe_period, search_sample

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive

_MOST_NAMED = 3


def choose_sample(samples: Sequence[Sample], name: str, *, end: bool = True, noun: str = "sample") -> Sample:
    """Return the sample with a name. If the name is a moment, print the moment and the sample to stderr.

    ``end``: whether a day stands for its last second or its first (``history.samples.search_sample``, which also lists
    the errors). ``noun``: the word for ``samples`` in messages.
    """
    match = search_sample(samples, name, now=clock.now(), end=end)
    if match.moment is not None:
        _say_newest(samples, name, match.sample, match.moment, noun)
    return match.sample


def _say_newest(samples: Sequence[Sample], name: str, sample: Sample, moment: datetime, noun: str = "sample") -> None:
    """Print a moment, and its newest sample."""
    later = f" The archive has no later {noun}." if sample == samples[-1] else ""
    text = f"{name} is {format_moment(moment)}. The newest {noun} at that time: {sample.tag}.{later}"
    terminal.say(text)


def choose_state(archive: GitArchive, name: str, *, end: bool = True) -> State:
    """Return the sample or the change with a name. If the name is a moment, print the moment and what it names.

    ``end``: as for ``choose_sample``. Raises the errors of ``history.change_finder.search_state``.
    """
    samples = archive.samples()
    match = search_state(samples, name, Changes(archive), now=clock.now(), end=end)
    if match.moment is None:
        return match.state
    if isinstance(match.state, Sample):
        _say_newest(samples, name, match.state, match.moment)
    else:
        text = f"{name} is {format_moment(match.moment)}. The newest change or sample at that time: {match.state}."
        terminal.say(text)
    return match.state


def say_newer_changes(archive: GitArchive, command: Sequence[str], rest: Sequence[str] = ()) -> None:
    """Print how many changes the newest sample lacks.

    ``command``, ``rest``: the words before and after the newest change in the command that shows the changes.
    """
    newer = archive.changes(archive.samples()[-1], None)
    if newer:
        words = shlex.join([*command, newer[-1].commit[:SHORT_ID], *rest])
        shows = f"`gitsnap {words}` includes {'it' if len(newer) == 1 else 'them'}"
        terminal.say(f"note: {plural(len(newer), 'change', 'is')} newer than the newest sample; {shows}")


def choose_sample_only(archive: GitArchive, name: str, *, reason: str, hint: Callable[[ChangeState], str]) -> Sample:
    """Return the sample with a name, for a command that takes no change.

    ``reason``: why the command takes no change, and ``hint``: what to do instead, for the UsageError about a change.
    Raises the errors of ``choose_sample``.
    """
    try:
        return choose_sample(archive.samples(), name)
    except NotFoundError:
        change = change_named(archive, name)
        if change is None:
            raise
        raise UsageError(f"{name} is a change between samples, and {reason}", hint=hint(change)) from None


def change_named(archive: GitArchive, name: str) -> ChangeState | None:
    """Return the change with a commit id; None if the name is not that of a change."""
    try:
        match = search_state(archive.samples(), name, Changes(archive))
    except (NotFoundError, UsageError):
        return None
    return match.state if isinstance(match.state, ChangeState) and match.moment is None else None


def revert_hint(archive: GitArchive, change: ChangeState) -> str:
    """Return how to revert what a change did."""
    before = Changes(archive).state_before(change)
    keys = [changed.key for changed in change.change.objects]
    objects = ["/".join(filter(None, (key.kind.name, key.namespace, key.name))) for key in keys]
    words = [before.moment if before else "SAMPLE", *(objects if len(objects) <= _MOST_NAMED else ())]
    return f"To revert the change, restore the state before it: `gitsnap rollback {shlex.join(words)}`."


def say_changes_stay(archive: GitArchive) -> None:
    """Print that the removal of samples removes no change, if the archive has changes. Raises ArchiveError."""
    if count := len(archive.changes(None, None)):
        verb, pronoun = ("stays", "it") if count == 1 else ("stay", "them")
        terminal.say(
            f"{plural(count, 'change')} between samples {verb} in the history; `gitsnap list --changes` lists {pronoun}"
        )


def choose_period(since: str, until: str) -> Period:
    """Return the period of --since and --until. Raises UsageError."""
    return parse_period(since, until, clock.now())


def say_period(samples: Sequence[Sample], period: Period, policy: str = "") -> None:
    """Print the limits of a period and its samples to stderr, or the nearest samples if the period has none.

    ``policy``: the policy of the samples, if there are several archives.
    """
    if period:
        text = f"{policy}{': ' if policy else ''}{describe_period(samples, period)}"
        terminal.say(text)
