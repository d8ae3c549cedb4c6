"""The changes that are not committed yet: their due time, and their commits. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitsnap.capture.follow.authors import AuditNames, SeenWrite
from gitsnap.capture.follow.mirror import Query
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author
from gitsnap.core.model import JsonObject, ObjectKey

POLLED = "POLLED"
"""The type of an event of a list that is read again instead of watched. The object may have had several writes."""

SECONDS_PER_COMMIT = 1.0
"""The shortest time between two commits of one author."""


@dataclass(frozen=True, slots=True)
class SeenChange:
    """One event of a watch."""

    query: Query
    """The list that the watch follows."""
    key: ObjectKey
    document: JsonObject
    deleted: bool
    version: int
    """The resource version of the event."""
    moment: float
    """When the event arrived, on a monotonic clock."""
    time: datetime
    """The moment of the change, UTC."""
    is_single: bool = True
    """False for an event that may stand for several writes."""
    author: Author = UNKNOWN_AUTHOR
    is_change: bool = True
    """False for an event that changes no configuration and follows an event that does. Both have the same author."""
    write: SeenWrite | None = None
    """The write, for the join with audit events. None for an event that follows a change and changes nothing."""
    is_passive: bool = False
    """Whether the object is not part of the configuration. A change that waits may begin to refer to it."""


@dataclass(frozen=True, slots=True)
class AuthoredChanges:
    """The changes of one commit, in the order of resource versions."""

    author: Author
    changes: Sequence[SeenChange]


class PendingChanges:
    """Collects changes until no further change arrives for ``quiet_seconds``."""

    def __init__(self, quiet_seconds: float, most_seconds: float) -> None:
        """``most_seconds``: the longest time that a change waits, however many changes follow."""
        self._quiet_seconds = quiet_seconds
        self._most_seconds = most_seconds
        self._seen: list[SeenChange] = []
        self._newest: dict[tuple[Query, ObjectKey], SeenChange] = {}
        self._first: float | None = None
        self._last = 0.0
        self._not_before = float("-inf")

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def due(self) -> float | None:
        """The moment at which the changes are to be committed; None if there are none."""
        if self._first is None:
            return None
        return max(min(self._last + self._quiet_seconds, self._first + self._most_seconds), self._not_before)

    @property
    def first(self) -> float | None:
        """When the oldest change arrived; None if there is no change."""
        return self._first

    def add(self, seen: SeenChange) -> None:
        """Add an event."""
        self._seen.append(seen)
        self._newest[seen.query, seen.key] = seen
        if seen.is_change:
            self._first = seen.moment if self._first is None else self._first
            self._last = max(self._last, seen.moment)

    def newest(self, query: Query, key: ObjectKey) -> SeenChange | None:
        """The newest event of an object of a list."""
        return self._newest.get((query, key))

    def delay(self, moment: float) -> None:
        """Commit nothing before ``moment``."""
        self._not_before = max(self._not_before, moment)

    def take(
        self, moment: float, *, up_to: int | None = None, names: AuditNames | None = None
    ) -> tuple[list[AuthoredChanges], list[SeenChange]]:
        """Remove events. Returns the commits that they become, in order, and the passive events by version.

        ``up_to``: the highest resource version to remove; None for all events. ``names``: gives better authors.
        """
        taken = [change for change in self._seen if up_to is None or change.version <= up_to]
        kept = [change for change in self._seen if up_to is not None and change.version > up_to]
        self.clear()
        for change in kept:
            self.add(change)
        self._not_before = max(self._not_before, moment + SECONDS_PER_COMMIT)
        named = taken if names is None else _with_names(taken, names)
        passive = sorted((change for change in named if change.is_passive), key=lambda change: change.version)
        return group_by_author(change for change in named if not change.is_passive), passive

    def clear(self) -> None:
        """Drop all events."""
        self._seen, self._newest, self._first = [], {}, None


def _with_names(seen: Iterable[SeenChange], names: AuditNames) -> list[SeenChange]:
    """The events with the authors that audit events name. ``seen``: in the order in which each watch reported them."""
    named: list[SeenChange] = []
    authors: dict[tuple[Query, ObjectKey], Author] = {}
    for change in seen:
        place = change.query, change.key
        if change.write is not None:
            authors[place] = names.find_author(change.write) or change.author
        named.append(replace(change, author=authors.get(place, change.author)))
    return named


def group_by_author(seen: Iterable[SeenChange]) -> list[AuthoredChanges]:
    """The commits for some events: one for each author, in the order of their highest resource version.

    If several authors changed one object, each gets a commit with the object as that author left it. One author may
    then have several commits.
    """
    commits: list[AuthoredChanges] = []
    groups: dict[Author, list[SeenChange]] = {}
    owners: dict[ObjectKey, Author] = {}
    for change in sorted(seen, key=lambda change: change.version):
        author = change.author
        if owners.setdefault(change.key, author) != author:
            commits += _closed(groups)
            groups, owners = {}, {change.key: author}
        groups.setdefault(author, []).append(change)
    return commits + _closed(groups)


def _closed(groups: dict[Author, list[SeenChange]]) -> list[AuthoredChanges]:
    ordered = sorted(groups.items(), key=lambda group: group[1][-1].version)
    return [AuthoredChanges(author, changes) for author, changes in ordered]
