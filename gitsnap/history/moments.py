"""Parses moments: ``2h``, ``yesterday``, ``14:30``, ``2023-08-26``, and every date that gitsnap prints.

A moment without a time zone is in UTC. This module reads no clock: ``now`` is an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from gitsnap.core.errors import UsageError

FORMS = (
    "an age (2h, 3d, 1w, 1d12h), a day (today, yesterday, monday, 2023-08-26), a time (14:30), both (yesterday 14:30, "
    "2023-08-26T05:10Z, 2023-08-26 05:10+02:00) or now"
)
"""Examples of every form, for messages."""

_SECOND = timedelta(seconds=1)
_AGE = re.compile(
    r"(?=\d)(?:(?P<weeks>\d{1,9})w)?(?:(?P<days>\d{1,9})d)?(?:(?P<hours>\d{1,9})h)?"
    r"(?:(?P<minutes>\d{1,9})(?-i:m))?(?:(?P<seconds>\d{1,9})s)?(?: ago)?",
    re.ASCII | re.IGNORECASE,
)
"""``M`` is no unit: elsewhere it stands for months."""
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE = r"\d{4}-\d\d-\d\d"
_DAY = rf"(?P<day>{_DATE}|today|yesterday|(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun)"
_NUMBER = r"(?P<number>-[1-9]\d{0,2})?"
_SECONDS = r"(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
_FORMS = (
    # The tag of a sample, and the last part of a tag. The number tells samples of one second apart.
    rf"(?:[^\s@]*/)?(?P<day>{_DATE})T(?P<hour>\d\d)-(?P<minute>\d\d)(?:-(?P<second>\d\d)Z?{_NUMBER}|Z)?",
    # The date in the output of `gitsnap list`.
    rf"(?P<day>{_DATE}):(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d){_NUMBER}",
    rf"{_DAY}(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:\d\d))?",
    rf"{_DAY}[T: ](?P<hour>\d\d)(?::(?P<minute>\d\d)(?::{_SECONDS})?)?{_ZONE}",
    rf"{_DAY} (?P<hour>\d):(?P<minute>\d\d)(?::{_SECONDS})?{_ZONE}",
    rf"(?P<hour>\d\d?):(?P<minute>\d\d)(?::{_SECONDS})?{_ZONE}",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """The time that a text stands for, in UTC: one second, or all seconds of a minute, an hour or a day."""

    first: datetime
    last: datetime
    is_relative: bool = False
    """Whether the text depends on the present time, such as ``2h`` and ``14:30``."""
    is_numbered: bool = False
    """Whether the text is the name of one of several samples of this second, ``2023-08-26:05:00:00-2``."""


@dataclass(frozen=True, slots=True)
class Period:
    """The time between two moments, both included. None stands for no limit."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, time: datetime) -> bool:
        return (self.since is None or self.since <= time) and (self.until is None or time <= self.until)

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return self.since is not None or self.until is not None

    def __str__(self) -> str:
        """``from 2023-08-26 05:10:00 UTC to 2023-08-26 23:59:59 UTC``."""
        limits = (("from", self.since), ("to", self.until))
        return " ".join(f"{word} {format_moment(moment)}" for word, moment in limits if moment is not None)


def parse_moment(text: str, now: datetime | None = None) -> Moment:
    """Parse a moment. It may begin with ``@``, which marks a moment among the names of samples.

    ``2h`` is the second two hours before ``now``. ``14:30`` is the last time that a clock showed 14:30. ``monday`` is
    the last Monday that has begun. Without ``now``, a text that depends on the present time is refused. Raises
    UsageError for any other text, and for a date or time that does not exist.
    """
    words = text.strip().removeprefix("@").strip()
    if now is not None:
        now = now.astimezone(UTC).replace(microsecond=0)
        if words.lower() == "now":
            return Moment(now, now, is_relative=True)
        if match := _AGE.fullmatch(words):
            return _before(now, match, text)
    for form in _FORMS:
        match = re.fullmatch(form, words, re.ASCII | re.IGNORECASE)
        if match is not None and (now is not None or _is_absolute(match)):
            return _on_calendar(match, now, text)
    raise _error(text, "is not a time")


def parse_period(since: str, until: str, now: datetime) -> Period:
    """Parse the values of --since and --until; ``""`` is no limit. A day includes its first and its last second.

    Raises UsageError if the period ends before it begins.
    """
    period = Period(
        parse_moment(since, now).first if since else None,
        parse_moment(until, now).last if until else None,
    )
    if period.since is not None and period.until is not None and period.since > period.until:
        raise UsageError(
            f"--until {until} ({format_moment(period.until)}) is before "
            f"--since {since} ({format_moment(period.since)})",
            hint="Exchange them, or name days: --since 2023-08-26 --until 2023-08-26 is a whole day.",
        )
    return period


def format_moment(moment: datetime) -> str:
    """Return ``2023-08-26 05:10:00 UTC``."""
    # Not strftime: it writes the year 5, from a clock that was never set, with one digit.
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"


def _error(text: str, problem: str) -> UsageError:
    shown = text if text.strip() else repr(text)
    return UsageError(f"{shown} {problem}", hint=f"Write {FORMS}. Without a zone, a time is in UTC.")


def _before(now: datetime, match: re.Match[str], text: str) -> Moment:
    """Return the moment of an age. Raises UsageError for a moment before year 1."""
    try:
        moment = now - timedelta(**{unit: int(count) for unit, count in match.groupdict("0").items()})
    except OverflowError:
        raise _error(text, "is not a time: it is before the year 1") from None
    return Moment(moment, moment, is_relative=True)


def _is_absolute(match: re.Match[str]) -> bool:
    """Return whether the text has a date."""
    return (match.groupdict().get("day") or "")[:1].isdigit()


def _on_calendar(match: re.Match[str], now: datetime | None, text: str) -> Moment:
    """Return the moment of a day, of a time, or of both. Raises UsageError if it does not exist."""
    parts = match.groupdict()
    if parts.get("hour") == "24":  # Python 3.14 reads 24:00 as the begin of the next day
        raise _error(text, "is not a valid date or time")
    try:
        zone = _zone(parts.get("zone") or "Z")
        time = ":".join(f"{int(parts.get(unit) or 0):02}" for unit in ("hour", "minute", "second"))
        day = _date(parts.get("day"), time, now.astimezone(zone) if now is not None else None)
        start = datetime.fromisoformat(f"{day}T{time}.{parts.get('fraction') or 0}").replace(tzinfo=zone)
        first = start.astimezone(UTC)
        is_numbered = bool(parts.get("number"))
        return Moment(first, first + _span(parts), is_relative=not _is_absolute(match), is_numbered=is_numbered)
    except (ValueError, OverflowError):
        raise _error(text, "is not a valid date or time") from None


def _date(day: str | None, time: str, now: datetime | None) -> str:
    """Return the date of a day. None stands for the last day on which a clock showed ``time``.

    ``now``: the present time in the zone of ``time``.
    """
    if day is not None and day[0].isdigit():
        return day
    if now is None:
        raise ValueError("a relative day needs the present time")
    if day is None:
        days = 0 if time <= f"{now:%H:%M:%S}" else 1
    elif day.lower() in ("today", "yesterday"):
        days = int(day.lower() == "yesterday")
    else:
        wanted = next(number for number, name in enumerate(_WEEKDAYS) if name.startswith(day.lower()[:3]))
        days = (now.weekday() - wanted) % 7
    return (now - timedelta(days=days)).date().isoformat()


def _zone(text: str) -> tzinfo:
    """Return the time zone of ``Z``, ``UTC``, ``GMT``, ``+02``, ``+0200`` or ``+02:00``. Raises ValueError."""
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    return datetime.fromisoformat(f"2000-01-01T00:00{text}").tzinfo or UTC


def _span(parts: dict[str, str | None]) -> timedelta:
    """Return the time from the first to the last second of a moment."""
    if parts.get("second"):
        return timedelta()
    if parts.get("minute"):
        return timedelta(minutes=1) - _SECOND
    return (timedelta(hours=1) if parts.get("hour") else timedelta(days=1)) - _SECOND
