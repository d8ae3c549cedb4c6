"""Schedules of robfig/cron's standard parser, as the controllers of Kubernetes use it: pure arithmetic on times.

A schedule has five fields, or is ``@hourly`` and the like, or ``@every 10m``; a ``TZ=`` or ``CRON_TZ=`` prefix sets the
time zone. Times are arguments, in UTC.

croniter finds the next match of five fields: a search over months, days and weekdays with leap years and months of
different lengths. The fields are parsed here first, for three reasons:
- A schedule must mean the same as in a CronJob, but robfig/cron and croniter disagree about steps, 7 as Sunday, ranges
  over the end, ``L`` and ``#``, and about which of the two day fields is unrestricted.
- An error must name the field of the schedule.
- Times that clocks skip or repeat follow robfig/cron: croniter gets wall-clock times with a constant offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import lru_cache

from gitsnap.core.errors import InputError
from gitsnap.core.time_zones import check_zone

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE_PREFIX = re.compile(r"(?:CRON_)?TZ=([^ ]*) +(.*)\Z", re.DOTALL)
_EVERY = "@every "
_DURATION = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,9})?(?:ns|us|µs|μs|ms|s|m|h))+\Z")
_DURATION_PART = re.compile(r"([0-9]+)\.?([0-9]*)([a-zµμ]+)")
_UNITS = {  # nanoseconds, as Go's time.ParseDuration has them (both micro signs)
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_LONGEST_TEXT = 1024
_LONGEST_EVERY = 10 * 366 * 86400

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(
    r"(?:(?P<star>[*?])|(?P<low>[0-9]{1,4}|[a-z]{3})(?:-(?P<high>[0-9]{1,4}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,4}))?\Z"
)
_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_LONGEST_DISTANCE = timedelta(days=9 * 366)
"""The longest time between two times of a schedule: the 29th of February, around a year such as 2100."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Names of the numbers, from ``low`` upwards."""


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A valid schedule."""

    cron: str = ""
    """Five fields, ``""`` for a schedule with ``every``."""
    every: timedelta = timedelta()
    """Whole seconds, at least one; zero for a schedule with ``cron``."""
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str, *, time_zone: str = "") -> Schedule:
        """Parse ``spec.schedule`` and ``spec.timeZone``. Without a time zone in either, the schedule is in UTC.

        Refuses every schedule that robfig/cron v3 refuses, and a few that its parser accepts by accident: ``*-5``,
        empty items of a list, a duration of zero. Raises InputError that names the invalid part.
        """
        if len(text) > _LONGEST_TEXT:
            raise InputError(f"a schedule is not longer than {_LONGEST_TEXT} characters")
        zone, rest = time_zone or "UTC", text.strip()
        if match := _ZONE_PREFIX.match(rest):
            if time_zone:
                raise InputError(f"{text!r}: the time zone is set twice, in the schedule and in timeZone")
            zone, rest = match[1] or "UTC", match[2].strip()
        check_zone(zone)
        if rest.startswith(_EVERY):
            return cls(every=_every(text, rest.removeprefix(_EVERY).strip()), zone=zone)
        if rest.startswith("@") and rest not in _NAMED:
            raise InputError(f"{text!r}: {rest} is unknown; use one of {', '.join(sorted(_NAMED))} or @every 10m")
        cron = " ".join(_NAMED.get(rest, rest).split())
        _expressions(cron)
        return cls(cron=cron, zone=zone)

    def next_after(self, time: datetime) -> datetime:
        """The first time of the schedule after ``time``, in UTC.

        As in robfig/cron, times that do not exist because clocks go forward are skipped, and times that occur twice
        because clocks go back count twice.
        """
        start = _whole_second(time)
        if self.every:
            return start + self.every
        zone = check_zone(self.zone)
        offset = _offset(zone, start)
        while True:  # once for each change of the offset before the next time
            upcoming = _next_wall_time(self.cron, start + offset) - offset
            change = _offset_change(zone, offset, start, upcoming)
            if change is None:
                return upcoming
            start, offset = change - _SECOND, _offset(zone, change)

    def interval_until(self, upcoming: datetime) -> timedelta:
        """The time between ``upcoming`` and the previous time of the schedule, which may be days earlier."""
        if self.every:
            return self.every
        back = timedelta(minutes=2)
        newest = None
        while newest is None and back < _LONGEST_DISTANCE:
            back = min(back * 8, _LONGEST_DISTANCE)
            newest = _newest_until(self, upcoming - back, upcoming - _SECOND)
        return back if newest is None else upcoming - newest


@dataclass(frozen=True, slots=True)
class Due:
    """The state of a schedule at one time."""

    run: datetime | None
    """The scheduled time for which a sample is due now; None if no sample is due."""
    next: datetime
    """The first scheduled time after now."""
    missed: datetime | None = None
    """The newest scheduled time that was not served and whose starting deadline has passed."""


def due(schedule: Schedule, *, last: datetime, now: datetime, starting_deadline: timedelta | None = None) -> Due:
    """The state of a schedule at ``now`` if every time up to ``last`` was served.

    ``last`` is the newest of: the last run, the creation of the policy, the end of its suspension. One run serves all
    missed times, but no run is due if the newest missed time is older than ``starting_deadline``. A ``last`` after
    ``now`` (the clock was set back) counts as ``now``; the caller must then remember ``now`` instead.
    """
    last, now = min(_whole_second(last), _whole_second(now)), _whole_second(now)
    newest = _newest_until(schedule, last, now)
    upcoming = (newest or last) + schedule.every if schedule.every else schedule.next_after(now)
    if newest is not None and starting_deadline is not None and now - newest > starting_deadline:
        return Due(None, upcoming, newest)
    return Due(newest, upcoming)


# Parsing --------------------------------------------------------------------------------------------------------------


def _every(text: str, duration: str) -> timedelta:
    """Parse the duration after @every, rounded down to seconds, at least one. Raises InputError."""
    if not _DURATION.match(duration):
        raise InputError(f"{text!r}: a duration such as 10m, 1h30m or 90s is required after @every, not {duration!r}")
    nanoseconds = sum(
        Fraction(f"{whole}.{fraction or '0'}") * _UNITS[unit]
        for whole, fraction, unit in _DURATION_PART.findall(duration)
    )
    if not nanoseconds:
        raise InputError(f"{text!r}: the duration after @every is zero")
    seconds = max(int(nanoseconds // 10**9), 1)
    if seconds > _LONGEST_EVERY:
        raise InputError(f"{text!r}: the duration after @every is longer than ten years")
    return timedelta(seconds=seconds)


@lru_cache(maxsize=64)
def _expressions(cron: str) -> tuple[str, ...]:
    """The five fields as expressions for croniter; a time matches the schedule if it matches any of them.

    Each field is a list of numbers, which croniter and robfig/cron read alike. Raises InputError.
    """
    parts = cron.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise InputError(f"{cron!r} is not a schedule: it must have five fields ({names}) and has {len(parts)}")
    minute, hour, day, month, weekday = (
        _expression(_numbers(cron, field, part), field) for field, part in zip(_FIELDS, parts, strict=True)
    )
    if _unrestricted(parts[2]) or _unrestricted(parts[4]):
        expressions = [f"{minute} {hour} {day} {month} {weekday}"]
    else:
        expressions = [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]
    possible = tuple(filter(_ever_matches, expressions))
    if not possible:
        raise InputError(f"{cron!r}: the day of month {parts[2]} does not exist in the month {parts[3]}")
    return possible


def _ever_matches(expression: str) -> bool:
    """Whether any time matches an expression. No time matches the 30th of February."""
    from croniter.croniter import CroniterBadDateError  # noqa: PLC0415 - see _next_match

    try:
        _next_match(expression, _ANY_MOMENT)
    except CroniterBadDateError:
        return False
    return True


def _next_match(expression: str, wall: datetime) -> datetime:
    """The first match of one expression after ``wall``. Raises CroniterBadDateError if no time matches."""
    from croniter.croniter import croniter  # noqa: PLC0415 - takes 15 ms, and few commands need a schedule

    match: datetime = croniter(expression, wall).get_next(datetime)
    return match


def _unrestricted(part: str) -> bool:
    """Whether a field has a star without a step. If one day field has it, both must match, otherwise one of them."""
    return any(re.fullmatch(r"[*?](?:/0*1)?", item) for item in part.split(","))


def _numbers(cron: str, field: _Field, part: str) -> set[int]:
    numbers: set[int] = set()
    for item in part.lower().split(","):
        match = _ITEM.match(item)
        if match is None:
            raise InputError(f"{cron!r}: the field {field.name} is not valid: {part!r}")
        low = field.low if match["star"] else _number(cron, field, match["low"])
        # "5/15" means from 5 to the end; "5" means only 5.
        to_the_end = match["star"] or (match["step"] and not match["high"])
        high = field.high if to_the_end else _number(cron, field, match["high"] or match["low"])
        step = int(match["step"] or 1)
        if low > high or not step:
            problem = "a step of 0" if not step else f"{item!r} ends before it begins"
            raise InputError(f"{cron!r}: the field {field.name} is not valid: {problem}")
        numbers.update(range(low, high + 1, step))
    return numbers


def _number(cron: str, field: _Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    number = int(text) if text.isdigit() else -1
    if not field.low <= number <= field.high:
        names = f" or {', '.join(field.names)}" if field.names else ""
        raise InputError(
            f"{cron!r}: the field {field.name} is not valid: {text!r} is not {field.low} to {field.high}{names}"
        )
    return number


def _expression(numbers: Iterable[int], field: _Field) -> str:
    ordered = sorted(numbers)
    return "*" if len(ordered) == field.high - field.low + 1 else ",".join(map(str, ordered))


# Arithmetic -----------------------------------------------------------------------------------------------------------


def _newest_until(schedule: Schedule, last: datetime, now: datetime) -> datetime | None:
    """The newest time of the schedule after ``last`` and up to ``now``; by bisection, because years may be between."""
    if schedule.every:
        return last + (now - last) // schedule.every * schedule.every if now - last >= schedule.every else None
    newest, high = schedule.next_after(last), now
    if newest > now:
        return None
    while high - newest > _SECOND:  # no time is after high and up to now
        middle = newest + (high - newest) // (2 * _SECOND) * _SECOND
        later = schedule.next_after(middle)
        if later <= now:
            newest = later
        else:
            high = middle
    return newest


def _next_wall_time(cron: str, wall: datetime) -> datetime:
    """The first match after ``wall``, for a clock that never changes its offset."""
    return min(_next_match(expression, wall) for expression in _expressions(cron))


def _offset_change(zone: tzinfo, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """The first second in ``(after, until]`` at which the offset of the zone differs; None without a change."""
    if zone is UTC:
        return None
    step = timedelta(hours=12)
    low = after
    while low < until:
        high = min(low + step, until)
        if _offset(zone, high) != offset:
            while high - low > _SECOND:
                middle = low + (high - low) // (2 * _SECOND) * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high
        low = high
    return None


def _offset(zone: tzinfo, time: datetime) -> timedelta:
    return time.astimezone(zone).utcoffset() or timedelta()


def _whole_second(time: datetime) -> datetime:
    """The time in UTC, in whole seconds. Raises ValueError for a naive time: it would mean the zone of the machine."""
    if time.tzinfo is None:
        raise ValueError("a time without a time zone")
    return time.astimezone(UTC).replace(microsecond=0)
