"""Finds the author of a change in the object itself: in the stamp of an admission policy, or in ``managedFields``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource
from gitsnap.core.objects import KubeObject
from gitsnap.kube.author_stamp import stamped_author


@dataclass(frozen=True, slots=True)
class Write:
    """A write of an object that changed its configuration."""

    deleted: bool
    uid: str
    version: str
    """The resource version that the write made."""
    newest_time: str
    """The newest time in the ``managedFields`` of the object before the write; ``""`` for a new object."""
    replaced: str = ""
    """The resource version that the write replaced; ``""`` for a new object."""


class AuthorFinder(Protocol):
    """Finds the author of a write."""

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The author of a write; ``UNKNOWN_AUTHOR`` if it is not certain. ``obj``: the object after the write."""


class StampAuthors:
    """Names the user in the annotation that an admission policy sets (docs/AUTHORS.md)."""

    def __init__(self, others: AuthorFinder) -> None:
        """``others``: finds the authors of writes without a stamp."""
        self._others = others

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The user who made exactly this write. The stamp of an earlier write does not count."""
        name = "" if write.deleted else stamped_author(obj, replaced=write.replaced)
        return Author(name, AuthorSource.STAMP) if name else self._others.find_author(obj, write)


class ManagerAuthors:
    """Names the field manager, which is the name of a program."""

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The manager of the entries that are newer than the object before.

        Unknown for a deletion, and unless exactly one manager has such an entry: ``managedFields`` do not record the
        removal of a field that another manager owns, and their times are whole seconds.
        """
        if write.deleted:
            return UNKNOWN_AUTHOR
        entries = [entry for entry in _entries(obj) if _time(entry) > write.newest_time]
        managers = {str(entry.get("manager") or "") for entry in entries if entry.get("subresource") != "status"}
        if len(managers) != 1 or not (name := managers.pop()):
            return UNKNOWN_AUTHOR
        return Author(name, AuthorSource.MANAGER)


def newest_time(obj: KubeObject) -> str:
    """The newest time in ``managedFields``, writes of ``status`` excepted; ``""`` if there is none."""
    return max((_time(entry) for entry in _entries(obj) if entry.get("subresource") != "status"), default="")


def time_of_write(obj: KubeObject, write: Write) -> datetime | None:
    """The moment of a write by the clock of the API server, UTC; None if ``managedFields`` do not have it."""
    newest = newest_time(obj)
    if write.deleted or newest <= write.newest_time:
        return None
    try:
        moment = datetime.fromisoformat(newest)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def _entries(obj: KubeObject) -> list[Mapping[str, Any]]:
    entries = obj.metadata.get("managedFields") or ()
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _time(entry: Mapping[str, Any]) -> str:
    return str(entry.get("time") or "")
