"""Joins the objects that commits changed with the writes in an audit log. A wrong name is worse than no name.

An object gets an author in two cases only:

- *Exact*: the commit names uid and resource version of the object, and the log has the response with this version.
- *Only author*, if the user declares that the log is complete. The object was in one state at a moment and in another
  state at a later moment, the log covers the time between, and all writes to the object in this time are by one author.
  One of the writes must have changed the object; dry runs and writes without effect can only add candidates. If several
  authors wrote, the order of the writes decides, provided that the log has as many writes as the archive has versions,
  and that no two writes overlap.

This module reads no archive and no file: it gets the values of commits and writes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from gitsnap.core.changes import ChangedObject
from gitsnap.core.text import join_names
from gitsnap.kube.audit_writes import AuditWrite

SKEW = timedelta(seconds=5)
"""The largest difference between the clocks of gitsnap and of the API servers."""
_LONGEST_DELAY = timedelta(minutes=1)
"""A version counts as seen at once if it was seen within this time after its write.

A change may contain an older version: an object enters the configuration when another object begins to refer to it.
"""

_MOST_NAMED = 3


class Miss(enum.StrEnum):
    """Why an object has no author."""

    NOT_COVERED = "not-covered"
    """The log does not cover the time in which the object was written."""
    NO_START = "no-start"
    """The archive does not know since when the object may have been written."""
    NO_VERSION = "no-version"
    """The log has writes to the object, but no response with the uid and the version that the commit names."""
    NO_WRITE = "no-write"
    """The log has no write to the object."""
    SEVERAL = "several-authors"
    """Several authors wrote the object, and the log does not show which write made the version."""
    UNCERTAIN = "uncertain-write"
    """The log does not show whether the write of another author succeeded."""
    UNFIT = "unfit-write"
    """The writes cannot have made this change. For example, the change adds an object that existed before the write."""
    NOT_CREATED = "not-created"
    """The object existed before, and was written after the last sample: the reference to it may have another author."""
    NO_NAME = "no-name"
    """The log has the write, but not the name of its author."""


_ORDERED = (Miss.SEVERAL, Miss.UNFIT)
"""The misses that the order of the writes may resolve."""


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """One object that a commit changed, with the limits of the time in which it was written."""

    changed: ChangedObject
    """The object. Uid and resource version are ``""`` for a commit of a capture."""
    action: str
    """``added``, ``modified`` or ``deleted``."""
    after: datetime | None
    """When the reading of a sample with the previous state began. None if there is no such sample."""
    before: datetime
    """The moment at which the new state had been read."""
    is_seen_at_once: bool = False
    """Whether ``before`` is the moment at which the version was seen, shortly after it was written."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The author of a version, or why there is none."""

    author: str = ""
    exact: bool = False
    """Whether the log has a response with the uid and the resource version."""
    miss: Miss | None = None
    """None if there is an author."""
    detail: str = ""
    """The authors of the writes that may have made the version."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The time in which the log has all writes."""

    first: datetime
    last: datetime

    def has(self, start: datetime, end: datetime) -> bool:
        """Whether the log covers a time."""
        return self.first <= start and end <= self.last


def join_object(
    versions: Sequence[RecordedVersion], writes: Iterable[AuditWrite], coverage: Coverage, *, complete: bool
) -> list[Verdict]:
    """Find the author of each version of one object.

    Args:
        versions: The versions of the object between two samples, in the order of the branch.
        writes: The writes to the object in the log, in any order, and the deletions of collections that may contain
            the object.
        coverage: The time that the log covers.
        complete: Whether the log has every write of this time: from all API servers, and without a policy that leaves
            out writes. Otherwise only exact authors are found.

    Returns:
        A verdict for each version.
    """
    effective = _without_repetitions([write for write in writes if write.changes_configuration])
    verdicts = []
    for position, version in enumerate(versions):
        earlier = versions[position - 1].changed if position else None
        previous = earlier.resource_version if earlier is not None and earlier.uid == version.changed.uid else ""
        verdict = _join_exactly(version, previous, effective, coverage)
        if verdict is None and complete:
            verdict = _join_only_author(version, previous, effective, coverage)
        verdicts.append(verdict or _not_exact(version, effective, coverage))
    if complete and len(versions) > 1 and any(verdict.miss in _ORDERED for verdict in verdicts):
        ordered = _join_in_order(versions, effective, coverage)
        verdicts = [
            by_order if by_order is not None and verdict.miss in _ORDERED else verdict
            for verdict, by_order in zip(verdicts, ordered, strict=True)
        ]
    return verdicts


# Writes without effect ------------------------------------------------------------------------------------------------


def _without_repetitions(writes: list[AuditWrite]) -> list[AuditWrite]:
    """Leave out the writes that changed nothing: their response has a version that another write made.

    If the log has the responses to all writes, writes that did not change the configuration are left out as well, for
    example a write that adds a finalizer.
    """
    by_version: dict[tuple[str, str], list[AuditWrite]] = {}
    others = []
    for write in writes:
        if write.certain and write.uid and write.version and not write.deletes:
            by_version.setdefault((write.uid, write.version), []).append(write)
        else:
            others.append(write)
    groups = {version: _makers(group) for version, group in by_version.items()}
    if not any(not write.deletes for write in others):
        groups = _without_unchanged(groups)
    return sorted(
        [*others, *(write for group in groups.values() for write in group)],
        key=lambda write: (write.received, write.completed),
    )


def _makers(writes: Sequence[AuditWrite]) -> list[AuditWrite]:
    """The writes that may have made a version, among the writes that were answered with this version.

    A write that was received after another write was answered did not make the version.
    """
    creations = [write for write in writes if write.created]
    return creations or [
        write for write in writes if not any(other.completed + SKEW < write.received for other in writes)
    ]


def _without_unchanged(groups: dict[tuple[str, str], list[AuditWrite]]) -> dict[tuple[str, str], list[AuditWrite]]:
    if any(_number(version) < 0 for _, version in groups):
        return groups
    kept = {}
    contents: dict[str, set[str]] = {}
    for version in sorted(groups, key=lambda version: (version[0], _number(version[1]))):
        content = {write.content for write in groups[version]}
        if "" in content or contents.get(version[0]) != content:
            kept[version] = groups[version]
        contents[version[0]] = content
    return kept


def _number(version: str) -> int:
    """A resource version as a number; -1 for a version of another form, which cannot be ordered."""
    return int(version) if version.isascii() and version.isdigit() and len(version) <= 20 else -1


def _not_exact(version: RecordedVersion, writes: Sequence[AuditWrite], coverage: Coverage) -> Verdict:
    """Why there is no exact author: the log has other writes or no write at that time, or does not cover the time."""
    near = [
        write
        for write in writes
        if write.deletes == (version.action == "deleted")
        and version.before - _LONGEST_DELAY <= write.completed
        and write.received <= version.before + SKEW
    ]
    if near:
        return Verdict(miss=Miss.NO_VERSION, detail=_names({write.author for write in near}))
    return Verdict(miss=Miss.NO_WRITE if coverage.has(version.before, version.before) else Miss.NOT_COVERED)


# Joining --------------------------------------------------------------------------------------------------------------


def _join_exactly(
    version: RecordedVersion, previous: str, writes: Sequence[AuditWrite], coverage: Coverage
) -> Verdict | None:
    """Join by uid and resource version. None if the log does not have the response with this version.

    A version that a list found later may be the result of a write that changed only, for example, a finalizer. The log
    must then have all writes since the previous version.
    """
    changed = version.changed
    if not changed.uid:
        return None
    of_object = [
        write
        for write in writes
        if write.certain and write.uid == changed.uid and write.received <= version.before + SKEW
    ]
    if version.action == "deleted":
        matching = _makers([write for write in of_object if write.deletes])
    else:
        matching = [write for write in of_object if not write.deletes and write.version == changed.resource_version]
    if not _covers(version, coverage):
        earliest = version.before - _LONGEST_DELAY
        matching = [write for write in matching if version.is_seen_at_once and write.completed >= earliest]
    if not matching:
        return None
    authors = {write.author for write in matching}
    if version.action == "added" and not _creates(version, of_object):
        # Follow mode names such an object in a change only if it was written after the reference to it began.
        is_older = not version.is_seen_at_once or all(_is_before(write, version.after) for write in matching)
        return Verdict(
            miss=Miss.UNFIT if is_older else Miss.NOT_CREATED, detail=_names({write.author for write in matching})
        )
    authors.update(write.author for write in _between(version, previous, writes, matching))
    return _verdict(authors, matching, exact=True)


def _creates(version: RecordedVersion, writes: Sequence[AuditWrite]) -> bool:
    """Whether one of the writes created the object since the sample before.

    Otherwise the object existed, and entered the configuration when another object began to refer to it.
    """
    return any(write.created and not _is_before(write, version.after) for write in writes)


def _covers(version: RecordedVersion, coverage: Coverage) -> bool:
    return version.after is not None and coverage.has(version.after - SKEW, version.before + SKEW)


def _between(
    version: RecordedVersion, previous: str, writes: Sequence[AuditWrite], matching: Sequence[AuditWrite]
) -> Iterator[AuditWrite]:
    """The other writes since the previous recorded version, which may have contributed to the version."""
    made, deleted = matching[0], version.action == "deleted"
    for write in writes:
        if write.deletes != deleted or (write.uid and write.uid != version.changed.uid):
            continue
        if write.certain and write.uid and (write.version or deleted):
            is_later = deleted or _number(write.version) >= _number(made.version)
            is_earlier = _number(write.version) <= _number(previous) if previous else _is_before(write, version.after)
            if not is_later and not is_earlier:
                yield write
        elif write.received <= made.completed + SKEW and not _is_before(write, version.after):
            yield write


def _is_before(write: AuditWrite, moment: datetime | None) -> bool:
    return moment is not None and write.completed < moment - SKEW


def _join_only_author(
    version: RecordedVersion, previous: str, writes: Sequence[AuditWrite], coverage: Coverage
) -> Verdict:
    if version.after is None:
        return Verdict(miss=Miss.NO_START)
    if not _covers(version, coverage):
        return Verdict(miss=Miss.NOT_COVERED)
    start, end = version.after - SKEW, version.before + SKEW
    candidates = [
        write for write in writes if write.completed >= start and write.received <= end and _may_make(write, version)
    ]
    candidates = [write for write in candidates if not _is_outside(write, version.changed, previous)]
    return _choose(version.action, candidates)


def _may_make(write: AuditWrite, version: RecordedVersion) -> bool:
    return not write.uid or not version.changed.uid or write.uid == version.changed.uid


def _is_outside(write: AuditWrite, changed: ChangedObject, previous: str) -> bool:
    """Whether the version of a write is not between the two recorded versions."""
    number, last = _number(write.version), _number(changed.resource_version)
    if number < 0 or not write.uid or write.uid != changed.uid:
        return False
    return number <= _number(previous) or (last >= 0 and number > last)


def _choose(action: str, candidates: Sequence[AuditWrite]) -> Verdict:
    """Choose the author of a change, if all writes that may have made it are by one author."""
    creations = [write for write in candidates if write.created]
    deletions = [write for write in candidates if write.deletes]
    if action == "deleted":
        # An object that was created again may have left the configuration because nothing refers to it any more.
        return _verdict({write.author for write in deletions}, deletions) if not creations else _unfit(candidates)
    writing = [write for write in candidates if not write.deletes]
    fits = bool(creations) if action == "added" else (not creations or bool(deletions))
    if writing and not fits:
        return _unfit(candidates)
    return _verdict({write.author for write in writing}, writing)


def _unfit(candidates: Sequence[AuditWrite]) -> Verdict:
    return Verdict(miss=Miss.UNFIT, detail=_names({write.author for write in candidates}))


def _verdict(authors: set[str], writes: Sequence[AuditWrite], *, exact: bool = False) -> Verdict:
    if not authors:
        return Verdict(miss=Miss.NO_WRITE)
    if len(authors) > 1:
        certain = {write.author for write in writes if write.certain}
        miss = Miss.UNCERTAIN if not exact and len(certain) == 1 else Miss.SEVERAL
        return Verdict(miss=miss, detail=_names(authors))
    author = next(iter(authors))
    return Verdict(author, exact=exact) if author else Verdict(miss=Miss.NO_NAME)


def _names(authors: set[str]) -> str:
    return join_names(sorted(filter(None, authors)), most=_MOST_NAMED)


def _join_in_order(
    versions: Sequence[RecordedVersion], writes: Sequence[AuditWrite], coverage: Coverage
) -> list[Verdict | None]:
    """Join as many writes as versions, in their order. None for each version if this is not possible."""
    start, end = versions[0].after, versions[-1].before + SKEW
    nothing: list[Verdict | None] = [None] * len(versions)
    if start is None or not coverage.has(start - SKEW, end):
        return nothing
    made = [write for write in writes if write.completed >= start - SKEW and write.received <= end]
    ordered = all(earlier.completed + SKEW < later.received for earlier, later in pairwise(made))
    if len(made) != len(versions) or not ordered:
        return nothing
    if not all(_made(write, version) for write, version in zip(made, versions, strict=True)):
        return nothing
    return [Verdict(write.author) for write in made]


def _made(write: AuditWrite, version: RecordedVersion) -> bool:
    """Whether a write can have made a version."""
    if not write.certain or not write.author or not _may_make(write, version):
        return False
    if version.action == "deleted":
        return write.deletes
    wrote = version.changed.resource_version
    is_version = not wrote or not write.version or wrote == write.version
    return is_version and not write.deletes and write.created == (version.action == "added")
