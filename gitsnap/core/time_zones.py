"""Time zones by their names in the IANA database."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gitsnap.core.errors import InputError

_NO_ZONE = re.compile(r"(?i)local|localtime|posixrules|(?:posix|right)/.*")
"""Files of a time zone database that are not zones: the zone of the machine, and variants of the whole database."""


def check_zone(name: str) -> tzinfo:
    """The time zone of a name such as ``Europe/Rome`` or ``UTC``. Raises InputError for any other text."""
    if name == "UTC":
        return UTC
    try:
        if not _NO_ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise InputError(f"{name!r} is not a time zone; use a name such as Europe/Rome or UTC")
