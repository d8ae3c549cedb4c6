"""When a snapshot policy is due: pure arithmetic on schedules as robfig/cron's standard parser takes them.

Five fields, ``@hourly`` and its like, ``@every 10m``, and a ``TZ=`` or ``CRON_TZ=`` prefix; croniter computes the times
of the five fields. The only importer of croniter. This module must not read a clock: moments are arguments, in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from croniter.croniter import CroniterError

from gitsnap.errors import InputError

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PREFIX = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)\Z")
_FIELD = re.compile(r"[0-9A-Za-z*?/,-]+\Z")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
_FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that was checked."""

    cron: str = ""
    """Five fields, ``""`` where ``every`` says when."""
    every: timedelta = timedelta()
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str, *, time_zone: str = "") -> Schedule:
        """Raises InputError that names what of the schedule is wrong."""
        text = text.strip()
        zone, rest = time_zone or "UTC", text
        if match := _PREFIX.match(text):
            if time_zone:
                raise InputError(f"{text!r}: the time zone is given twice, in the schedule and in timeZone")
            zone, rest = match[1], match[2].strip()
        _zone(zone)
        if rest.startswith("@every "):
            return cls(every=_every(rest), zone=zone)
        fields = _NAMED.get(rest.lower(), rest)
        if fields.startswith("@"):
            raise InputError(f"{text!r}: {rest} is unknown; use one of {', '.join(sorted(_NAMED))} or @every 10m")
        _check_fields(text, fields)
        return cls(cron=" ".join(fields.split()).replace("?", "*"), zone=zone)

    def next_after(self, moment: datetime) -> datetime:
        """The first time of the schedule after ``moment``, in UTC."""
        if self.every:
            return moment.astimezone(UTC).replace(microsecond=0) + self.every
        local = moment.astimezone(_zone(self.zone))
        found: datetime = croniter(self.cron, local, ret_type=datetime).get_next(datetime)
        return found.astimezone(UTC)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"{name!r} is no time zone; use a name such as Europe/Rome or UTC") from None


def _every(text: str) -> timedelta:
    duration = text.removeprefix("@every ").strip()
    match = _DURATION.match(duration)
    if match is None or not duration:
        raise InputError(f"{text!r}: a duration such as 10m, 1h or 1h30m must follow @every")
    every = timedelta(hours=int(match[1] or 0), minutes=int(match[2] or 0), seconds=int(match[3] or 0))
    return max(every, timedelta(seconds=1))


def _check_fields(text: str, fields: str) -> None:
    parts = fields.split()
    if len(parts) != len(_FIELD_NAMES):
        raise InputError(
            f"{text!r} is no schedule: five fields are needed ({', '.join(_FIELD_NAMES)}), there are {len(parts)}"
        )
    for name, part in zip(_FIELD_NAMES, parts, strict=True):
        # croniter knows more than cron does (L, #, H, R, five-digit steps); robfig/cron would refuse these.
        probe = ["*"] * len(_FIELD_NAMES)
        probe[_FIELD_NAMES.index(name)] = part.replace("?", "*")
        if not _FIELD.match(part) or re.search(r"[LlWw#]|[HhRr](?![a-z])", _without_names(part)):
            raise InputError(f"{text!r}: the field {name} is not valid: {part!r}")
        try:
            croniter(" ".join(probe))
        except (CroniterError, ValueError, KeyError):
            raise InputError(f"{text!r}: the field {name} is not valid: {part!r}") from None
    try:
        croniter(" ".join(parts).replace("?", "*"), _ANY_MOMENT).get_next(datetime)
    except (CroniterError, ValueError, KeyError):
        raise InputError(f"{text!r} is no schedule: these fields never come together") from None


def _without_names(part: str) -> str:
    """The field without names of months and days, so that the rest can be searched for letters."""
    return re.sub(r"(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", "", part)
