"""Times relative to now: ``2h`` ago, ``yesterday``, ``14:30``. This module reads no clock: ``now`` is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

FORMS = "2h, 3d, today, yesterday, 14:30, 2023-08-26 or 2023-08-26T05:10Z"
"""Examples of every form, for messages. A time without a zone is UTC."""

_AGE = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIME_OF_DAY = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?\Z")


def to_absolute(text: str, now: datetime) -> str:
    """The absolute form of a relative time, in RFC 3339 and UTC; any other text as it is.

    ``2h`` is the second two hours before ``now``; the units are s, m, h, d and w. ``today`` and ``yesterday`` become a
    date in UTC. ``14:30`` is the last time that the clock showed 14:30 UTC. An age beyond year 1 stays as it is.
    """
    now = now.astimezone(UTC)
    if match := _AGE.match(text):
        try:
            return _format(now - timedelta(**{_UNITS[match[2]]: int(match[1])}))
        except OverflowError:
            return text
    if text in ("today", "yesterday"):
        return f"{now - timedelta(days=text == 'yesterday'):%Y-%m-%d}"
    if match := _TIME_OF_DAY.match(text):
        hour, minute, second = int(match[1]), int(match[2]), match[3]
        if hour < 24 and minute < 60 and int(second or 0) < 60:
            moment = now.replace(hour=hour, minute=minute, second=int(second or 0), microsecond=0)
            day = moment if moment <= now else moment - timedelta(days=1)
            return f"{day:%Y-%m-%d}T{text}Z"
    return text


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
