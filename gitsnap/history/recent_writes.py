"""Joins the writes that follow mode sees with audit events that arrive at about the same time, or some minutes later.

A name needs an exact match, as in ``author_join``: the event has the uid and the resource version of the object. A
commit needs its name at once, while other events may still be on their way. For example, the event of a write without
effect, which was answered with the same version, may arrive before the event of the write that made the version. For a
commit, the write must therefore have begun before the watch reported the version. A version that may be the result of
several writes gets a name only later.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gitsnap.capture.follow.authors import SeenWrite
from gitsnap.core.changes import Author, AuthorSource, ChangedObject
from gitsnap.core.model import CommitId
from gitsnap.format.change_message import short_name
from gitsnap.history.audit_index import AuditIndex
from gitsnap.history.author_join import Coverage, Miss, RecordedVersion, Verdict, join_object
from gitsnap.kube.audit_writes import AuditWrite

KEPT_SECONDS = 900.0
"""How long writes and changes are kept for the join. Later names come from an audit log (`gitsnap attribute`)."""

MOST_WRITES = 20_000
MOST_CHANGES = 10_000

SETTLE_SECONDS = 10.0
"""How long the events must name the same author before a note does. Events of other API servers may come later."""

_LONGEST_DELAY = timedelta(minutes=2)
"""A write that was answered this long before a version has no part in the version."""

_ROUNDING = timedelta(seconds=2)
"""Times in ``managedFields`` are whole seconds, and clocks differ a little."""

_Place = tuple[str, str, str]
"""API group, namespace and name of an object."""


class RecentWrites:
    """The writes in the audit events that arrived lately. Thread-safe."""

    def __init__(self, *, most: int = MOST_WRITES, seconds: float = KEPT_SECONDS) -> None:
        """Keep at most ``most`` writes, each for ``seconds``."""
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._arrived: deque[tuple[float, AuditWrite]] = deque()
        self._by_place: dict[_Place, list[AuditWrite]] = defaultdict(list)

    def add(self, writes: Iterable[AuditWrite], moment: float) -> None:
        """Add writes. ``moment``: when they arrived, on a monotonic clock."""
        with self._lock:
            for write in writes:
                self._arrived.append((moment, write))
                self._by_place[_place(write)].append(write)
            while self._arrived and (len(self._arrived) > self._most or self._arrived[0][0] < moment - self._seconds):
                _, write = self._arrived.popleft()
                place = _place(write)
                self._by_place[place].remove(write)
                if not self._by_place[place]:
                    del self._by_place[place]

    def count(self, seen: SeenWrite) -> int:
        """The number of writes that may concern an object."""
        with self._lock:
            return len(self._by_place.get(_place_of(seen), ()))

    def join(self, seen: SeenWrite, *, at_once: bool) -> Verdict:
        """The author of a write that a watch reported. ``at_once``: see the module."""
        with self._lock:
            writes = list(self._by_place.get(_place_of(seen), ()))
        earliest = seen.time - _LONGEST_DELAY
        near = AuditIndex(write for write in writes if write.completed >= earliest).writes_to(seen.key)
        made = seen.write
        action = "deleted" if made.deleted else "added" if seen.created else "modified"
        versions = [_version(seen, made.version, action)]
        if made.replaced and not made.deleted:
            versions.insert(0, _version(seen, made.replaced, "modified"))
        verdict = join_object(versions, near, Coverage(seen.time, seen.time), complete=False)[-1]
        if at_once and verdict.author and not (made.is_single and _is_maker(verdict.author, seen, near)):
            return Verdict(miss=Miss.NO_VERSION)
        return verdict


def _version(seen: SeenWrite, version: str, action: str) -> RecordedVersion:
    changed = ChangedObject(seen.key, seen.write.uid, version)
    return RecordedVersion(changed, action, after=None, before=seen.time, is_seen_at_once=True)


def _is_maker(author: str, seen: SeenWrite, writes: Iterable[AuditWrite]) -> bool:
    """Whether a write of the author must have made the version: it created or deleted the object, or began in time."""
    latest = seen.time + _ROUNDING
    return any(
        write.author == author
        and (write.deletes if seen.write.deleted else write.version == seen.write.version)
        and (write.created or write.deletes or write.received <= latest)
        for write in writes
    )


def _place(write: AuditWrite) -> _Place:
    return write.group, write.namespace, write.name


def _place_of(seen: SeenWrite) -> _Place:
    key = seen.key
    return key.kind.group, key.namespace, key.name


# Names of one archive -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _RecordedChange:
    """A change whose events may arrive later."""

    commit: CommitId
    author: Author
    writes: Sequence[SeenWrite]
    moment: float
    """When it was recorded, on the monotonic clock."""
    events: int = 0
    """The number of writes in events at the last join."""
    name: str = ""
    since: float = 0.0
    """Since when the events name this author."""


@dataclass(frozen=True, slots=True)
class LateNames:
    """What events that arrived after a change tell about its author."""

    names: dict[CommitId, Author] = field(default_factory=dict)
    """The changes that get a note."""
    doubtful: list[CommitId] = field(default_factory=list)
    """The changes whose commits name a user from audit events, although later events name several users."""


class ArchiveNames:
    """The names that audit events give to the changes of one archive (``capture.follow.AuditNames``). Thread-safe."""

    def __init__(
        self,
        writes: RecentWrites,
        written_as: Callable[[Author], Author],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``written_as``: returns the author as the archive records the name, such as a pseudonym."""
        self._writes = writes
        self._clock = clock
        self._written_as = written_as
        self._lock = threading.Lock()
        self._waiting: deque[_RecordedChange] = deque(maxlen=MOST_CHANGES)

    def find_author(self, seen: SeenWrite) -> Author | None:
        """See ``AuditNames``."""
        name = self._writes.join(seen, at_once=True).author
        return self._author(name) if name else None

    def note_recorded(self, commit: CommitId, author: Author, writes: Sequence[SeenWrite]) -> None:
        """See ``AuditNames``."""
        with self._lock:
            self._waiting.append(_RecordedChange(commit, author, writes, self._clock()))

    def resolve(self) -> LateNames:
        """The names that have become certain since the last call.

        A commit that already has a name is checked, too: a note may correct its author.
        """
        with self._lock:
            waiting = list(self._waiting)
        late, now = LateNames(), self._clock()
        done = {id(change) for change in waiting if self._resolve(change, now, late)}
        if done:
            with self._lock:
                kept = [change for change in self._waiting if id(change) not in done]
                self._waiting = deque(kept, maxlen=MOST_CHANGES)
        return late

    def _resolve(self, change: _RecordedChange, now: float, late: LateNames) -> bool:
        """Whether later events cannot add anything about a change."""
        if now - change.moment > KEPT_SECONDS:
            return True
        events = sum(self._writes.count(seen) for seen in change.writes)
        if events != change.events:
            change.events = events
            verdicts = [self._writes.join(seen, at_once=False) for seen in change.writes]
            name = _common_author(verdicts)
            if name != change.name:
                change.name, change.since = name, now
            if not name and _contradict(verdicts) and change.author.source is AuthorSource.AUDIT:
                late.doubtful.append(change.commit)
                return True
        if not change.name or now - change.since < SETTLE_SECONDS:
            return False
        author = self._author(change.name)
        if author != change.author:
            late.names[change.commit] = author
        return True

    def _author(self, name: str) -> Author:
        author = self._written_as(Author(name, AuthorSource.AUDIT))
        return Author(short_name(author.name), author.source)


def _common_author(verdicts: Collection[Verdict]) -> str:
    """The author of all writes; ``""`` if a write has no author, or if there are several."""
    names = {verdict.author for verdict in verdicts}
    return names.pop() if len(names) == 1 else ""


def _contradict(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict.miss is Miss.SEVERAL for verdict in verdicts)
