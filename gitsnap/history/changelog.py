"""The change log of an archive, or of one kind or object: when it changed, in which fields, and who changed it.

This module must not know git: it sees commits as lists of changed files. It compares single objects, and must not
import the comparison of whole trees: imports take most of the time of a short command.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from gitsnap.core.changes import Author
from gitsnap.core.commits import LoggedCommit, LoggedFile
from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.model import Area, BlobId, CommitId, JsonObject, Kind, ObjectKey, Sample
from gitsnap.core.objects import changed_fields
from gitsnap.core.ports import Archive, Tree
from gitsnap.core.suggestions import closest
from gitsnap.core.text import join_names
from gitsnap.diff.object_changes import MAX_NAMED, ObjectChange
from gitsnap.diff.rows import ObjectActions
from gitsnap.format import decode_object, key_of, kind_folder, path_of
from gitsnap.history.authors import Authors
from gitsnap.sveltos.kind_names import KindNames, is_name_of, kinds_of_tree, known_namespaced, possible_singulars

NO_OBJECT = "one side of the file is not a Kubernetes object"

BY_THE_SERVER = "by the server"
"""Follows fields that no user changed: defaults that an upgrade added or removed, or another API version."""
_MOST = 5
"""How many objects an error proposes."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change of one object."""

    origin: CommitOrigin
    action: str
    """An Action: ``no longer referenced`` or ``no longer covered`` in place of ``deleted`` if the object may exist."""
    key: ObjectKey
    fields: str
    """At most three changed fields. For an object that appeared or disappeared: which objects refer to it."""
    manager: str
    """The field manager that wrote the object last, ``""`` if unknown."""


@dataclass(frozen=True, slots=True)
class CommitOrigin:
    """When a commit was recorded, and for whom."""

    sample: Sample | None = None
    """The first sample with the commit. None if retention removed the sample, if somebody else made the commit, and for
    the commit of a change, which follow mode made before the sample."""
    time: datetime | None = None
    """The moment of the change, or of the sample, in UTC. None if somebody else made the commit."""
    commit: CommitId | None = None
    """The commit of a change that follow mode recorded. None for other commits."""
    author: Author | None = None
    """Who made that change."""
    late: bool = False
    """Whether follow mode found that change afterwards."""
    problem: str = ""
    """Why that change cannot be read. Its author is then unknown, and its time is the one in the commit."""


@dataclass(frozen=True, slots=True)
class ObjectPattern:
    """A kind or an object of a change log. Empty fields match everything."""

    kind: str = ""
    """The kind as the user wrote it."""
    namespace: str = ""
    name: str = ""
    meaning: Kind | None = None
    """The kind that ``kind`` names; None for an unknown kind, because the archive may have had it once."""

    @classmethod
    def parse(cls, reference: str, names: KindNames) -> ObjectPattern:
        """Parse ``KIND``, ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``.

        ``names``: the kinds of the newest sample. Raises UsageError for any other form, or for an ambiguous kind.
        """
        parts = reference.split("/")
        if len(parts) > 3 or not all(parts):
            raise UsageError(f"{reference!r} is not a kind or object; write KIND, KIND/NAME or KIND/NAMESPACE/NAME")
        namespace = parts[1] if len(parts) == 3 else ""
        return cls(parts[0], namespace, parts[-1] if len(parts) > 1 else "", names.kind_named(parts[0]))

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    def pathspecs(self) -> list[str]:
        """Return git pathspecs for the files of these objects: whole paths if known, because git finds them fastest."""
        root = str(Area.CONFIGURATION)
        if not self.kind:
            return [root]
        if self.meaning is None:
            names = sorted(possible_singulars(self.kind))
            return [f":(glob,icase){root}/*/{name}{group}/**" for name in names for group in ("", ".*")]
        namespaced = known_namespaced(self.meaning)
        if self.name and (self.namespace or namespaced is False) and namespaced is not None:
            key = ObjectKey(self.meaning, self.namespace if namespaced else "", self.name)
            return [f":(literal){root}/{path_of(key)}"]
        return [f":(glob){root}/*/{kind_folder(self.meaning)}/**"]

    def matches(self, key: ObjectKey) -> bool:
        """Return whether kind, namespace and name of an object match."""
        of_kind = (
            not self.kind or key.kind == self.meaning or (self.meaning is None and is_name_of(self.kind, key.kind))
        )
        return of_kind and self.name in ("", key.name) and self.namespace in ("", key.namespace)


def newest_kinds(archive: Archive) -> KindNames:
    """Return the kinds of the newest sample of an archive, with its CustomResourceDefinitions."""
    samples = archive.samples()
    return KindNames.of_tree(archive.tree(samples[-1])) if samples else KindNames()


class CommitHistory(Protocol):
    """The archive that a change log is read from."""

    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Return the first sample of each commit. Later samples of a commit recorded no change."""

    def log(
        self, patterns: Sequence[str], *, containing: str = "", until: CommitId | None = None
    ) -> Iterator[LoggedCommit]:
        """Yield the commits that changed files which match git pathspecs, newest first.

        ``containing``: only files in which this extended regular expression matches more or less often than before.
        ``until``: the commit with which the history ends; None for the head of the branch.
        """

    def read(self, blob: BlobId) -> bytes:
        """Return the content of a blob of such a commit."""

    def tree_at(self, commit: CommitId) -> Tree:
        """Return the tree of such a commit."""


class AuthoredHistory(CommitHistory, Protocol):
    """An archive whose changes have authors."""

    def author_notes(self) -> Mapping[CommitId, str]:
        """Return the notes with the names of authors that became known later: commit -> text."""


ActionFinder = Callable[[Tree, Tree, Sequence[ObjectChange]], ObjectActions]
"""gitsnap.diff.object_actions.object_actions_between, which the caller imports if it is needed."""


def read_entries(
    archive: AuthoredHistory,
    patterns: Sequence[ObjectPattern],
    find_actions: ActionFinder,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[LogEntry]:
    """Yield the changes of the objects that match a pattern, newest first; by path within a commit.

    Without patterns, the changes of all objects.

    ``since`` and ``until`` limit the time of the change that follow mode recorded, or of the sample. If retention
    removed the sample, the time in the commit counts. A commit that somebody else made has no such time and is left out
    if there is a limit. Such a commit may replace an object by any other file: then one side of the change is not an
    object. Raises ArchiveError.
    """
    first_samples, authors = archive.first_samples(), Authors(archive.author_notes)
    for commit in archive.log(_pathspecs(patterns)):
        origin = origin_of(commit, first_samples, authors)
        if not is_within(origin.time, since, until):
            continue
        changes = list(_changes(archive, commit, patterns))
        actions = _actions(archive, commit, [change for _, change in changes], find_actions)
        for file, change in changes:
            if change.before and change.after:
                fields = join_names(changed_fields(change.before, change.after), most=MAX_NAMED)
                if not change.field_summary:
                    yield LogEntry(origin, file.action, change.key, f"{fields} ({BY_THE_SERVER})", "")
                else:
                    yield LogEntry(origin, file.action, change.key, fields, file.manager)
            elif file.before and file.after:
                yield LogEntry(origin, file.action, change.key, NO_OBJECT, file.manager)
            elif change.key in actions:
                action, referrers = actions[change.key]
                yield LogEntry(origin, action, change.key, referrers, file.manager)


def origin_of(commit: LoggedCommit, first_samples: Mapping[CommitId, Sample], authors: Authors) -> CommitOrigin:
    """Return when a commit was recorded, and for whom. Raises ArchiveError if the notes are damaged."""
    if (change := commit.change) is not None:  # a sample may have the commit too, but it is later than the change
        return CommitOrigin(None, change.time, change.commit, authors.of(change), change.late)
    if commit.problem:
        return CommitOrigin(None, commit.time, commit.id, problem=commit.problem)
    sample = first_samples.get(commit.id)
    return CommitOrigin(sample, sample.time if sample else commit.time)


def objects_ever(archive: CommitHistory, pattern: ObjectPattern) -> set[ObjectKey]:
    """Return the objects that match a pattern and that any commit contains, deleted objects as well."""
    return {
        change.key for commit in archive.log(pattern.pathspecs()) for _, change in _changes(archive, commit, [pattern])
    }


def check_existed(archive: CommitHistory, pattern: ObjectPattern, newest: Tree) -> None:
    """Raise NotFoundError if no commit contains the object or the kind that the pattern names.

    ``newest``: the newest sample, for the proposals of the error. A kind that its policy asks for exists, even if no
    object of this kind was ever captured.
    """
    if not pattern.kind:
        return
    captured = kinds_of_tree(newest)
    known = {*captured, *newest.info.kinds, *(selector.kind for selector in newest.info.resources)}
    is_known = pattern.meaning in known or any(is_name_of(pattern.kind, kind) for kind in known)
    if (is_known and not pattern.name) or _ever_had(archive, pattern):
        return
    if pattern.name and (is_known or pattern.meaning is not None):
        raise NotFoundError(f"the archive never had {pattern}", hint=_similar_objects(pattern, newest))
    close = closest(pattern.kind, {kind.name for kind in known})
    existing = [
        key
        for key in _keys(newest, {kind for kind in captured if kind.name in close} if pattern.name else ())
        if pattern.name == key.name and pattern.namespace in ("", key.namespace)
    ]
    if existing or close:
        proposals = [str(ObjectPattern(key.kind.name, key.namespace, key.name)) for key in existing[:_MOST]] or close
        hint = f"Did you mean {', '.join(proposals)}?"
    else:
        hint = f"It has: {', '.join(sorted(map(str, captured)))}"
    raise NotFoundError(f"the archive never had a kind {pattern.kind}", hint=hint)


def _similar_objects(pattern: ObjectPattern, newest: Tree) -> str:
    """Return the hint with the objects of a known kind whose names are similar, or with the first objects."""
    keys = [key for key in _keys(newest, kinds_of_tree(newest)) if replace(pattern, namespace="", name="").matches(key)]
    if not keys:
        return f"The newest sample has no object of the kind {pattern.meaning or pattern.kind}."
    names = closest(pattern.name, {key.name for key in keys})
    proposed = [key for key in keys if key.name in names] or keys
    proposals = ", ".join(str(ObjectPattern(key.kind.name, key.namespace, key.name)) for key in proposed[:_MOST])
    return f"Did you mean {proposals}?"


def _keys(tree: Tree, kinds: Collection[Kind]) -> list[ObjectKey]:
    """Return the objects of some kinds in a tree, sorted."""
    folders = set(map(kind_folder, kinds))
    return sorted(
        key_of(path) or ObjectKey.of(decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}"))
        for path, blob in (tree.files(Area.CONFIGURATION).items() if folders else ())
        if path.split("/")[1:2] and path.split("/")[1] in folders
    )


def _ever_had(archive: CommitHistory, pattern: ObjectPattern) -> bool:
    return any(any(_changes(archive, commit, [pattern])) for commit in archive.log(pattern.pathspecs()))


def _pathspecs(patterns: Sequence[ObjectPattern]) -> list[str]:
    return [pathspec for pattern in patterns for pathspec in pattern.pathspecs()] or [str(Area.CONFIGURATION)]


def _changes(
    archive: CommitHistory, commit: LoggedCommit, patterns: Sequence[ObjectPattern]
) -> Iterator[tuple[LoggedFile, ObjectChange]]:
    """Yield the changes of a commit to the objects that match a pattern, by path."""
    for file in sorted(commit.files, key=lambda file: file.path):
        before, after = (_read_object(archive, blob, file.path) for blob in (file.before, file.after))
        if before or after:
            change = ObjectChange(ObjectKey.of(after or before or {}), before, after)
            if not patterns or any(pattern.matches(change.key) for pattern in patterns):
                yield file, change


def _read_object(archive: CommitHistory, blob: BlobId | None, path: str) -> JsonObject | None:
    """Return the object in a blob, None if there is no blob or if it is not an object."""
    if blob is None:
        return None
    content = archive.read(blob)
    try:
        return decode_object(content, path)
    except ArchiveError:  # somebody else committed another file
        return None


def _actions(
    archive: CommitHistory, commit: LoggedCommit, changes: list[ObjectChange], find_actions: ActionFinder
) -> ObjectActions:
    """Return the actions of the objects that appeared or disappeared with a commit."""
    one_sided = [change for change in changes if change.before is None or change.after is None]
    by_presence = {change.key: (change.action, "") for change in one_sided}
    if commit.parent is None or not one_sided:
        return by_presence
    try:
        return find_actions(archive.tree_at(commit.parent), archive.tree_at(commit.id), one_sided)
    except ArchiveError:
        # Somebody else committed a tree that is not the tree of a sample.
        return by_presence


def is_within(time: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    """Return whether a time is within limits, inclusive. An unknown time is within no limits."""
    if time is None:
        return since is None and until is None
    return (since is None or time >= since) and (until is None or time <= until)
