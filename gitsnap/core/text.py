"""Counts, keys of objects, and times as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gitsnap.core.model import ObjectKey


def plural(count: int, noun: str, verb: str = "") -> str:
    """``1 sample``, ``2 samples``, ``2 matches``; with the verb ``is``: ``1 sample is``, ``2 samples are``.

    ``noun`` and ``verb`` are singular.
    """
    counted = f"{count} {noun}" if count == 1 else f"{count} {plural_noun(noun)}"
    return f"{counted} {verb_form(count, verb)}" if verb else counted


def verb_form(count: int, verb: str) -> str:
    """``is`` or ``are``, ``differs`` or ``differ``: the verb of a counted subject. ``verb`` is singular."""
    return verb if count == 1 else _PLURAL_VERBS.get(verb) or verb.removesuffix("s")


_PLURAL_VERBS = {"is": "are", "was": "were", "has": "have"}


def plural_noun(noun: str) -> str:
    """``samples``, ``matches``, ``policies``, ``keys``."""
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def join_names(names: Sequence[str], *, most: int) -> str:
    """Return the first ``most`` names and the number of the others: ``a, b, c and 2 more``."""
    joined = ", ".join(names[:most])
    return f"{joined} and {len(names) - most} more" if len(names) > most else joined


def describe(key: ObjectKey) -> str:
    """``ClusterProfile guestbook``, ``ConfigMap default/database``: without the group of the kind."""
    return f"{key.kind.name} {key.namespaced_name}"


def age(elapsed: timedelta) -> str:
    """``3 h ago``, ``2 days ago``; less than a minute is ``just now``. A clock may be behind: ``in the future``."""
    seconds = int(elapsed.total_seconds())
    if seconds < -60:
        return "in the future"
    if seconds < 60:
        return "just now"
    for unit, size, limit in (("min", 60, 3600), ("h", 3600, 2 * 86400)):
        if seconds < limit:
            return f"{seconds // size} {unit} ago"
    return f"{seconds // 86400} days ago"


def byte_size(size: int) -> str:
    """``512 bytes``, ``12.3 MB``, ``4.0 GB``: decimal units, as `df -H` prints them."""
    if size < 1000:
        return plural(size, "byte")
    value, unit = float(size), 0
    while value >= 999.95 and unit < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit - 1]}"


_UNITS = ("kB", "MB", "GB", "TB")


def time_text(time: datetime) -> str:
    """``2023-08-26T05:20:00Z``: RFC 3339, in UTC, whole seconds, as Kubernetes writes a time."""
    # Not strftime: it writes the year 5, from a clock that was never set, with one digit.
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_time(text: object) -> datetime | None:
    """The inverse of ``time_text``, for any time with a zone. None for anything else."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
