"""The value of a field, and the date and the author of a version, for the tables of `log`, `blame` and `search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitsnap.core.model import FIELD_MANAGER, Trigger
from gitsnap.core.states import author_text
from gitsnap.render import cut, json_line, one_line

if TYPE_CHECKING:
    from gitsnap.history.blame import Version
    from gitsnap.history.changelog import CommitOrigin


def value_text(value: Any, longest: int) -> str:
    """Return a value on one line of at most ``longest`` columns. An empty string is shown as ``""``."""
    return cut(one_line(value if isinstance(value, str) and value else json_line(value)), longest)


def version_date(version: Version) -> str:
    """Return the date of the sample as ``gitsnap list`` prints it, or a note if the date is unknown."""
    if version.oldest:
        return "(before this copy)"
    if version.sample is not None:
        return version.sample.moment
    return version.time.strftime("%Y-%m-%d:%H:%M:%S") if version.time is not None else "(by hand)"


def origin_author(origin: CommitOrigin, manager: str) -> str:
    """Return the author of a change with the source of the name; for other commits the field manager.

    For an object that a rollback wrote: ``gitsnap for root (admin)``.
    """
    if origin.problem:
        return "(unreadable)"
    if origin.author is not None:
        return author_text(origin.author, late=origin.late)
    person = _rollback_user(origin) if manager == FIELD_MANAGER else ""
    return f"{manager} for {person}" if person else manager


def _rollback_user(origin: CommitOrigin) -> str:
    """Return the user of the rollback that a sample was taken after; ``""`` for other samples."""
    from gitsnap.format import parse_record

    if origin.sample is None or origin.sample.metadata.trigger is not Trigger.AFTER_ROLLBACK:
        return ""
    record = parse_record(origin.sample.metadata.extra)
    return record.person if record else ""
