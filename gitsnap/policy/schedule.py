"""When a snapshot policy is due: pure arithmetic on schedules as robfig/cron's standard parser takes them.

Five fields, ``@hourly`` and its like, ``@every 10m``, and a ``TZ=`` or ``CRON_TZ=`` prefix; croniter computes the times
of the five fields. The only importer of croniter. This module must not read a clock: moments are arguments, in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import lru_cache

from croniter import croniter
from croniter.croniter import CroniterBadDateError

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
"""Between two times of a schedule: the 29th of February, around a year such as 2100."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Those of the numbers from ``low`` on."""


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that was checked."""

    cron: str = ""
    """Five fields, ``""`` where ``every`` says when."""
    every: timedelta = timedelta()
    """Whole seconds, at least one."""
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str, *, time_zone: str = "") -> Schedule:
        """A schedule as ``spec.schedule`` and ``spec.timeZone`` give it; without either zone it is in UTC.

        Raises InputError that names what of the schedule is wrong. What robfig/cron v3 refuses is refused; so are a few
        accidents of its parser (``*-5``, empty list items, a duration of nothing).
        """
        if len(text) > _LONGEST_TEXT:
            raise InputError(f"a schedule is not longer than {_LONGEST_TEXT} characters")
        zone, rest = time_zone or "UTC", text.strip()
        if match := _ZONE_PREFIX.match(rest):
            if time_zone:
                raise InputError(f"{text!r}: the time zone is given twice, in the schedule and in timeZone")
            zone, rest = match[1] or "UTC", match[2].strip()
        check_zone(zone)
        if rest.startswith(_EVERY):
            return cls(every=_every(text, rest.removeprefix(_EVERY).strip()), zone=zone)
        if rest.startswith("@") and rest not in _NAMED:
            raise InputError(f"{text!r}: {rest} is unknown; use one of {', '.join(sorted(_NAMED))} or @every 10m")
        cron = " ".join(_NAMED.get(rest, rest).split())
        _expressions(cron)
        return cls(cron=cron, zone=zone)

    def next_after(self, moment: datetime) -> datetime:
        """The first time of the schedule after ``moment``, in UTC.

        Where clocks go forward, times that do not exist are left out; where they go back, times that come twice count
        twice. So robfig/cron has it.
        """
        start = _whole_second(moment)
        if self.every:
            return start + self.every
        zone = check_zone(self.zone)
        offset = _offset(zone, start)
        while True:  # once for each change of the offset between the moment and the time that is looked for
            found = _next_on_the_wall(self.cron, start + offset) - offset
            change = _offset_change(zone, offset, start, found)
            if change is None:
                return found
            start, offset = change - _SECOND, _offset(zone, change)

    def interval_until(self, upcoming: datetime) -> timedelta:
        """How long before a time of the schedule its last one was: on a Monday morning that may have been on Friday."""
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
    """What a schedule asks for at a moment."""

    run: datetime | None
    """The scheduled time to take a sample for now, None where nothing is due."""
    next: datetime
    """The first scheduled time after now."""
    missed: datetime | None = None
    """The newest scheduled time that was not served and is past its starting deadline."""


def due(schedule: Schedule, *, last: datetime, now: datetime, starting_deadline: timedelta | None = None) -> Due:
    """What is due at ``now``, when everything up to ``last`` is served.

    ``last`` is the newest of: the last run, the creation of the policy, the end of its suspension. However many times
    were missed since, one run makes up for them, and none where even the newest is older than ``starting_deadline``.
    A ``last`` after ``now`` (the clock went back) counts as ``now``: the caller must keep that moment in its stead.
    """
    last, now = min(_whole_second(last), _whole_second(now)), _whole_second(now)
    newest = _newest_until(schedule, last, now)
    upcoming = (newest or last) + schedule.every if schedule.every else schedule.next_after(now)
    if newest is not None and starting_deadline is not None and now - newest > starting_deadline:
        return Due(None, upcoming, newest)
    return Due(newest, upcoming)


# Parsing --------------------------------------------------------------------------------------------------------------


def _every(text: str, duration: str) -> timedelta:
    """Rounded down to seconds, but never to nothing. Raises InputError."""
    if not _DURATION.match(duration):
        raise InputError(f"{text!r}: a duration such as 10m, 1h30m or 90s must follow @every, not {duration!r}")
    nanoseconds = sum(
        Fraction(f"{whole}.{fraction or '0'}") * _UNITS[unit]
        for whole, fraction, unit in _DURATION_PART.findall(duration)
    )
    if not nanoseconds:
        raise InputError(f"{text!r}: the duration after @every is nothing")
    seconds = max(int(nanoseconds // 10**9), 1)
    if seconds > _LONGEST_EVERY:
        raise InputError(f"{text!r}: the duration after @every is longer than ten years")
    return timedelta(seconds=seconds)


@lru_cache(maxsize=64)
def _expressions(cron: str) -> tuple[str, ...]:
    """The five fields as expressions for croniter, which times have to match any of.

    Fields are spelt out as numbers, because croniter reads some of them otherwise than robfig/cron does: steps, 7 as
    Sunday, ranges over the end, and which fields count as unrestricted. Raises InputError.
    """
    parts = cron.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise InputError(f"{cron!r} is no schedule: five fields are needed ({names}), there are {len(parts)}")
    minute, hour, day, month, weekday = (
        _listed(_numbers(cron, field, part), field) for field, part in zip(_FIELDS, parts, strict=True)
    )
    if _unrestricted(parts[2]) or _unrestricted(parts[4]):
        expressions = [f"{minute} {hour} {day} {month} {weekday}"]
    else:
        expressions = [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]
    possible = tuple(filter(_ever_comes, expressions))
    if not possible:
        raise InputError(f"{cron!r}: the day of month {parts[2]} does not exist in the month {parts[3]}")
    return possible


def _ever_comes(expression: str) -> bool:
    """Not so for the 30th of February."""
    try:
        croniter(expression, _ANY_MOMENT).get_next(datetime)
    except CroniterBadDateError:
        return False
    return True


def _unrestricted(part: str) -> bool:
    """A star, alone or in a list; not one with a step. Days match both fields then, otherwise any of the two."""
    return any(re.fullmatch(r"[*?](?:/0*1)?", item) for item in part.split(","))


def _numbers(cron: str, field: _Field, part: str) -> set[int]:
    numbers: set[int] = set()
    for item in part.lower().split(","):
        match = _ITEM.match(item)
        if match is None:
            raise InputError(f"{cron!r}: the field {field.name} is not valid: {part!r}")
        low = field.low if match["star"] else _number(cron, field, match["low"])
        # "5/15" means from 5 to the end, "5" only 5.
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


def _listed(numbers: Iterable[int], field: _Field) -> str:
    listed = sorted(numbers)
    return "*" if len(listed) == field.high - field.low + 1 else ",".join(map(str, listed))


# Arithmetic -----------------------------------------------------------------------------------------------------------


def _newest_until(schedule: Schedule, last: datetime, now: datetime) -> datetime | None:
    """The newest time of the schedule after ``last`` and not after ``now``; by bisection, for years may lie between."""
    if schedule.every:
        return last + (now - last) // schedule.every * schedule.every if now - last >= schedule.every else None
    newest, high = schedule.next_after(last), now
    if newest > now:
        return None
    while high - newest > _SECOND:  # nothing comes after high and until now
        middle = newest + (high - newest) // (2 * _SECOND) * _SECOND
        later = schedule.next_after(middle)
        if later <= now:
            newest = later
        else:
            high = middle
    return newest


def _next_on_the_wall(cron: str, wall: datetime) -> datetime:
    """The first time after ``wall`` that a clock shows which is never put forward or back."""
    times: list[datetime] = [croniter(one, wall).get_next(datetime) for one in _expressions(cron)]
    return min(times)


def _offset_change(zone: tzinfo, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """The first second in ``(after, until]`` at which the zone has another offset, None where it has none."""
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


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _whole_second(moment: datetime) -> datetime:
    """Raises ValueError for a moment without a zone, which would mean the zone of the machine."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)
