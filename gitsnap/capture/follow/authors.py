"""Finds the author of a change: in the stamp of an admission policy, in ``managedFields``, and in audit events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource, Who
from gitsnap.core.model import CommitId, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.core.text import parse_time
from gitsnap.kube.author_stamp import stamped_author
from gitsnap.kube.pseudonyms import pseudonymous


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
    is_single: bool = True
    """False if other writes may lie between ``replaced`` and ``version``, because no watch reported the write."""


class AuthorFinder(Protocol):
    """Finds the author of a write."""

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The author of a write; ``UNKNOWN_AUTHOR`` if it is not certain. ``obj``: the object after the write."""


@dataclass(frozen=True, slots=True)
class SeenWrite:
    """A write of an object, as a watch reported it."""

    key: ObjectKey
    write: Write
    created: bool
    """Whether the object was not in its list before."""
    time: datetime
    """The moment of the write, UTC: by the API server's clock, in whole seconds, if the object has the moment."""


class AuditNames(Protocol):
    """The names that audit events give. Thread-safe."""

    def find_author(self, seen: SeenWrite) -> Author | None:
        """The author of a write, if the events that have arrived name the author for certain."""

    def note_recorded(self, commit: CommitId, author: Author, writes: Sequence[SeenWrite]) -> None:
        """Keep the writes of a recorded change, because their audit events may arrive later."""


def author_finder(who: Who, key: bytes) -> AuthorFinder:
    """The finder of the authors that ``spec.follow.who`` permits. ``key``: the fingerprint key, for pseudonyms."""
    if who is Who.NONE:
        return NoAuthors()
    if who is Who.MANAGER:
        return ManagerAuthors()
    finder = StampAuthors(ManagerAuthors())
    return PseudonymousAuthors(finder, key) if who is Who.PSEUDONYM else finder


class NoAuthors:
    """Finds no author."""

    def find_author(self, obj: KubeObject, write: Write) -> Author:  # noqa: ARG002 - the interface
        """See ``AuthorFinder``."""
        return UNKNOWN_AUTHOR


class PseudonymousAuthors:
    """Replaces the names of persons with pseudonyms."""

    def __init__(self, others: AuthorFinder, key: bytes) -> None:
        """``others``: finds the names. ``key``: the fingerprint key of the archive."""
        self._others = others
        self._key = key

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """See ``AuthorFinder``."""
        return pseudonymous(self._key, self._others.find_author(obj, write))


class StampAuthors:
    """Names the user in the annotation that an admission policy sets (docs/AUTHORS.md)."""

    def __init__(self, others: AuthorFinder) -> None:
        """``others``: finds the authors of writes without a stamp."""
        self._others = others

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The user who made this write. The stamp of an earlier write does not count."""
        name = "" if write.deleted else stamped_author(obj, replaced=write.replaced)
        return Author(name, AuthorSource.STAMP) if name else self._others.find_author(obj, write)


class ManagerAuthors:
    """Names the field manager, which is the name of a program."""

    def find_author(self, obj: KubeObject, write: Write) -> Author:
        """The manager of the entries in ``managedFields`` that are newer than the previous version of the object.

        Unknown for a deletion, for several writes, and if no manager or several managers have such an entry.
        ``managedFields`` do not record the removal of a field that another manager owns, and their times are whole
        seconds.
        """
        if write.deleted or not write.is_single:
            return UNKNOWN_AUTHOR
        entries = [entry for entry in _entries(obj) if _time(entry) > write.newest_time]
        managers = {str(entry.get("manager") or "") for entry in entries if entry.get("subresource") != "status"}
        if len(managers) != 1 or not (name := managers.pop()):
            return UNKNOWN_AUTHOR
        return Author(name, AuthorSource.MANAGER)


def seen_write(
    obj: KubeObject, before: KubeObject | None, version: str, moment: datetime, *, deleted: bool, is_single: bool
) -> SeenWrite:
    """The write that an event reports.

    ``before``: the previous version of the object, None for a new object. ``version``: the resource version of the
    event. ``moment``: when the event arrived. ``is_single``: see ``Write``.
    """
    since = newest_time(before) if before is not None else ""
    replaced = str(before.metadata.get("resourceVersion") or "") if before is not None else ""
    gone, uid = deleted or obj.is_terminating, str(obj.metadata.get("uid") or "")
    write = Write(gone, uid, version, since, replaced, is_single)
    return SeenWrite(obj.key, write, before is None, min(moment, time_of_write(obj, write) or moment))


def newest_time(obj: KubeObject) -> str:
    """The newest time in ``managedFields``, without the writes of ``status``; ``""`` if there is none."""
    return max((_time(entry) for entry in _entries(obj) if entry.get("subresource") != "status"), default="")


def time_of_write(obj: KubeObject, write: Write) -> datetime | None:
    """The moment of a write by the clock of the API server, UTC; None if ``managedFields`` do not have it."""
    newest = newest_time(obj)
    if write.deleted or newest <= write.newest_time:
        return None
    moment = parse_time(newest)
    return moment.astimezone(UTC) if moment is not None else None


def _entries(obj: KubeObject) -> list[Mapping[str, Any]]:
    entries = obj.metadata.get("managedFields") or ()
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _time(entry: Mapping[str, Any]) -> str:
    return str(entry.get("time") or "")
