"""Finds the sample and the period that a user names. A message gives the moment of a relative time, in UTC."""

from __future__ import annotations

from collections.abc import Sequence

from gitsnap.cli import clock, terminal
from gitsnap.core.model import Sample
from gitsnap.history.moments import Period, format_moment, parse_period
from gitsnap.history.samples import describe_period, search_sample
from gitsnap.render import wrapped


def choose_sample(samples: Sequence[Sample], name: str, *, end: bool = True, noun: str = "sample") -> Sample:
    """Return the sample with a name. If the name is a moment, print the moment and the sample to stderr.

    ``end``: whether a day stands for its last second or its first (``history.samples.search_sample``, which also lists
    the errors). ``noun``: the word for ``samples`` in messages.
    """
    match = search_sample(samples, name, now=clock.now(), end=end)
    if match.moment is not None:
        later = f" The archive has no later {noun}." if match.sample == samples[-1] else ""
        moment = format_moment(match.moment)
        text = f"{name} is {moment}. The newest {noun} at that time: {match.sample.tag}.{later}"
        terminal.say(wrapped(text, terminal.width()))
    return match.sample


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
