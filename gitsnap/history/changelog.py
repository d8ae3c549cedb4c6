"""The change log of an archive, of everything or of one object: when, what, which fields, who; deleted objects too.

This module must not know git: it sees commits as lists of changed files.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.model import Area, BlobId, CommitId, JsonObject, Kind, ObjectKey, Sample
from gitsnap.core.objects import changed_fields
from gitsnap.core.ports import LoggedCommit, LoggedFile, Tree
from gitsnap.diff import Change, Comparison, Filters, Presence, compare, in_words, presence_between
from gitsnap.format import decode_object, path_of
from gitsnap.sveltos import kinds

NO_OBJECT = "one side of the file is no Kubernetes object"

BY_THE_SERVER = "by the server"
"""Behind fields that nobody changed: defaults that came or went with an upgrade, another API version."""
MOST_CANDIDATES = 5
"""How many objects an error proposes."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change of one object."""

    sample: Sample | None
    """The first sample that has the change; None where there is none (any more) and for a commit by somebody else."""
    action: str
    """An Action: of what may well exist, ``no longer referenced`` or ``no longer covered`` rather than ``deleted``."""
    key: ObjectKey
    fields: str
    """The changed fields of a modification, at most three by name; who refers to an object that came or went."""
    manager: str
    """The field manager that wrote the object last, ``""`` where unknown."""
    time: datetime | None = None
    """Moment of the sample that the change was recorded by; None for a commit by somebody else."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which object a change log is about; empty for everything."""

    kind: str = ""
    namespace: str = ""
    name: str = ""

    @classmethod
    def parse(cls, reference: str) -> Wanted:
        """``KIND``, ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``; ``""`` for everything. Raises UsageError."""
        parts = reference.split("/") if reference else []
        if len(parts) > 3 or not all(parts):
            raise UsageError(f"{reference!r} names no object; write KIND, KIND/NAME or KIND/NAMESPACE/NAME")
        namespace = parts[1] if len(parts) == 3 else ""
        return cls(parts[0] if parts else "", namespace, parts[-1] if len(parts) > 1 else "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    def patterns(self) -> list[str]:
        """git pathspecs that everything wanted fits: a whole path where it is known, which git finds fastest."""
        root = str(Area.CONFIGURATION)
        if not self.kind:
            return [root]
        found = [row for row in kinds.KINDS if kinds.means_kind(self.kind, row.kind)]
        if found and self.name and all(self.namespace or not row.namespaced for row in found):
            keys = [ObjectKey(row.kind, self.namespace if row.namespaced else "", self.name) for row in found]
            return [f":(literal){root}/{path_of(key)}" for key in keys]
        if found:
            return [f":(glob){root}/*/{row.kind}/**" for row in found]
        return [f":(glob,icase){root}/*/{self.kind}/**", f":(glob,icase){root}/*/{self.kind}.*/**"]

    def fits(self, key: ObjectKey) -> bool:
        """Whether an object is wanted; namespace and name exactly, the kind as a person writes it."""
        if self.name and key.name != self.name:
            return False
        return not self.namespace or key.namespace == self.namespace


class Log(Protocol):
    """The archive that a change log is read from."""

    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Commit -> the first sample that found it; later ones found nothing new."""

    def log(self, patterns: Sequence[str]) -> Iterator[LoggedCommit]:
        """Commits that changed files which fit git's pathspecs, newest first."""

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id that ``log`` gave."""

    def tree_at(self, commit: CommitId) -> Tree:
        """The tree of a commit that ``log`` gave."""


def entries(
    archive: Log, wanted: Wanted, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[LogEntry]:
    """The changes of wanted objects, newest first; by path within a commit.

    Somebody else's commit may put anything in a file of the archive: then one side is no object.

    ``since`` and ``until`` bound the time of the sample. Retention may have taken the sample: then the time of its
    commit counts. A commit by somebody else has no such time and is left out then.
    """
    found_by = archive.first_samples()
    for commit in archive.log(wanted.patterns()):
        sample = found_by.get(commit.id)
        time = sample.time if sample else commit.time
        if not _within(time, since, until):
            continue
        changed = list(_changes(archive, commit, wanted))
        presence = _presence(archive, commit, [change for _, change in changed])
        for file, change in changed:
            if change.before and change.after:
                fields = in_words(changed_fields(change.before, change.after))
                if not change.fields:
                    yield LogEntry(sample, file.action, change.key, f"{fields} ({BY_THE_SERVER})", "", time)
                else:
                    yield LogEntry(sample, file.action, change.key, fields, file.manager, time)
            elif file.before and file.after:
                yield LogEntry(sample, file.action, change.key, NO_OBJECT, file.manager, time)
            elif change.key in presence:
                action, because = presence[change.key]
                yield LogEntry(sample, action, change.key, because, file.manager, time)


def check_existed(archive: Log, wanted: Wanted, known: Iterable[ObjectKey]) -> None:
    """Raises NotFoundError where no commit ever had the one object that is wanted; ``known`` are others of its kind."""
    if not wanted.name or _ever_had(archive, wanted):
        return
    keys = sorted(known)
    names = difflib.get_close_matches(wanted.name, {key.name for key in keys}, n=MOST_CANDIDATES)
    near = [key for key in keys if key.name in names] or keys
    listed = ", ".join(str(Wanted(key.kind.name, key.namespace, key.name)) for key in near[:MOST_CANDIDATES])
    raise NotFoundError(
        f"the archive never had {wanted}",
        hint=f"Did you mean {listed}?" if listed else f"The newest sample has no {wanted.kind}; is that the kind?",
    )


def check_kind(archive: Log, wanted: Wanted, newest: Tree) -> None:
    """Raises NotFoundError where all of a kind is wanted that no sample may hold; ``newest`` proposes others."""
    if not wanted.kind or wanted.name:
        return
    held = {Kind.parse(path.split("/")[1]) for path in newest.files(Area.CONFIGURATION) if path.count("/") == 2}
    known = {*held, *newest.info.kinds, *(selector.kind for selector in newest.info.resources)}
    if any(kinds.means_kind(wanted.kind, kind) for kind in known) or _ever_had(archive, wanted):
        return
    near = difflib.get_close_matches(wanted.kind, {kind.name for kind in known}, n=MOST_CANDIDATES)
    raise NotFoundError(
        f"the archive never had a kind {wanted.kind}",
        hint=f"Did you mean {', '.join(near)}?" if near else f"It has: {', '.join(sorted(map(str, held)))}",
    )


def _ever_had(archive: Log, wanted: Wanted) -> bool:
    return any(any(_changes(archive, one, wanted)) for one in archive.log(wanted.patterns()))


def _changes(archive: Log, commit: LoggedCommit, wanted: Wanted) -> Iterator[tuple[LoggedFile, Change]]:
    """What a commit changed of the wanted objects, by path."""
    for file in sorted(commit.files, key=lambda one: one.path):
        before, after = (_document(blob, archive.read, file.path) for blob in (file.before, file.after))
        if before or after:
            change = Change(ObjectKey.of(after or before or {}), before, after)
            if wanted.fits(change.key):
                yield file, change


def _presence(archive: Log, commit: LoggedCommit, changes: list[Change]) -> Presence:
    """What happened to the objects that came or went with a commit."""
    alone = [change for change in changes if change.before is None or change.after is None]
    told = {change.key: (change.action, "") for change in alone}
    if commit.parent is None or not alone:
        return told
    try:
        return presence_between(archive.tree_at(commit.parent), archive.tree_at(commit.id), alone)
    except ArchiveError:
        # Somebody committed a tree that is no sample's: there is no more to say than what git says.
        return told


def cluster_changes(
    samples: Sequence[Sample],
    tree: Callable[[Sample], Tree],
    filters: Filters,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[tuple[Sample, Comparison]]:
    """What each sample changed for the clusters that the filters name, newest first; only samples that did."""
    for before, after in zip(reversed(samples[:-1]), reversed(samples[1:]), strict=True):
        if before.commit == after.commit or not _within(after.time, since, until):
            continue
        comparison = compare(tree(before), tree(after), filters=filters)
        if comparison:
            yield after, comparison


def _within(time: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    if time is None:
        return since is None and until is None
    return (since is None or time >= since) and (until is None or time <= until)


def _document(blob: BlobId | None, read: Callable[[BlobId], bytes], path: str) -> JsonObject | None:
    if blob is None:
        return None
    content = read(blob)
    try:
        return decode_object(content, path)
    except ArchiveError:  # somebody committed a file that is no object
        return None
