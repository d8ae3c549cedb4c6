"""Finds the sample, the change and the period that a user names. A message gives the moment of a time, in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gitsnap.cli import clock, terminal
from gitsnap.core.model import Sample
from gitsnap.core.states import State
from gitsnap.history.changes import Changes, search_state
from gitsnap.history.moments import Period, format_moment, parse_period
from gitsnap.history.samples import describe_period, search_sample
from gitsnap.render import wrapped

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive


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
    terminal.say(wrapped(text, terminal.width()))


def choose_state(archive: GitArchive, name: str, *, end: bool = True) -> State:
    """Return the sample or the change with a name. If the name is a moment, print the moment and what it names.

    ``end``: as for ``choose_sample``. Raises the errors of ``history.changes.search_state``.
    """
    samples = archive.samples()
    match = search_state(samples, name, Changes(archive), now=clock.now(), end=end)
    if match.moment is None:
        return match.state
    if isinstance(match.state, Sample):
        _say_newest(samples, name, match.state, match.moment)
    else:
        text = f"{name} is {format_moment(match.moment)}. The newest change or sample at that time: {match.state}."
        terminal.say(wrapped(text, terminal.width()))
    return match.state


def choose_period(since: str, until: str) -> Period:
    """Return the period of --since and --until. Raises UsageError."""
    return parse_period(since, until, clock.now())


def say_period(samples: Sequence[Sample], period: Period, policy: str = "") -> None:
    """Print the limits of a period and its samples to stderr, or the nearest samples if the period has none.

    ``policy``: the policy of the samples, if there are several archives.
    """
    if period:
        text = f"{policy}{': ' if policy else ''}{describe_period(samples, period)}"
        terminal.say(wrapped(text, terminal.width()))
