"""The archives that pages show. Each thread has a site of its own (``work.Lane``)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import NamedTuple

from gitsnap.archive import GitArchive, GitTree
from gitsnap.core.changes import Change, UnreadableChange
from gitsnap.core.commits import LoggedCommit
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import Area, BlobId, CommitId, ObjectKey, Sample, SensitiveField
from gitsnap.core.states import State
from gitsnap.core.suggestions import nearest
from gitsnap.format import shown_key
from gitsnap.format.tree_files import differing_paths
from gitsnap.history.change_finder import Changes, search_state
from gitsnap.history.hidden_fields import hidden_fields
from gitsnap.history.search import FileHistories
from gitsnap.sveltos.tree_view import TreeView

_FRESH_SECONDS = 1.0
"""The samples of an archive are listed again at most once in this time."""
_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 5.0, 60.0
"""The storage is searched for new archives after this time; after a longer time if a search takes long."""
_LOOK_SHARE = 0.01
"""The largest share of the time that the searches take."""
_RENEW_SECONDS = 60.0
"""An archive is opened again after this time, to free its memory."""
_MOST_ENTRIES = 20_000
"""The largest number of entries of folders that one archive keeps in memory."""
MOST_NAMED = 4
"""The number of changed objects that the summary of a commit names."""

_SHORTENED = "%~"
"""A part of the paths of objects whose names are too long for a file (docs/FORMAT.md)."""

OpenArchives = Callable[[], tuple[list[GitArchive], list[str]]]
"""Opens the archives. Also returns a message for each archive that cannot be opened."""


class ChangedObjects(NamedTuple):
    """The objects that a commit changed, as its message records them."""

    named: list[tuple[str, ObjectKey]]
    """``added``, ``modified`` or ``deleted``, and the key, for the first of these objects."""
    total: int
    """The number of objects that the commit changed."""
    people: list[str]
    """The field managers that wrote the objects."""
    is_recorded: bool
    """Whether the message names objects. A commit that gitsnap did not make names none."""


class Listed:
    """The samples of an archive as listed at one moment, and the values that follow from the samples."""

    def __init__(self, archive: GitArchive) -> None:
        self._archive = archive
        self.samples, self.problems = archive.listing()

    @cached_property
    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Commit -> the first sample of the commit."""
        return self._archive.first_samples()

    @cached_property
    def hidden(self) -> tuple[SensitiveField, ...]:
        """The fields whose values no page shows. Raises ArchiveError."""
        return hidden_fields([self._archive])

    @cached_property
    def warnings(self) -> list[str]:
        """The parts that this copy of the archive lacks, and the tags that cannot be read."""
        parts = [f"This copy of the archive is not complete: {part}." for part in self._archive.missing_parts()]
        tags = [f"The tag {problem.tag} cannot be read: {problem.reason}." for problem in self.problems[:5]]
        more = [f"{len(self.problems) - 5} more tags cannot be read."] if len(self.problems) > 5 else []
        return [*parts, *tags, *more]


class SiteArchive:
    """One archive of the site, with its current samples."""

    def __init__(self, name: str, archive: GitArchive) -> None:
        self.name = name
        """The first segment of the addresses of the archive's pages."""
        self._archive = archive
        self._listed: Listed | None = None
        self._listed_at = 0.0
        self.opened_at = time.monotonic()
        archive.limit_cache(_MOST_ENTRIES)

    @property
    def policy(self) -> str:
        """The name of the snapshot policy."""
        return self._archive.policy

    @property
    def location(self) -> str:
        """The folder of the archive."""
        return self._archive.location

    @property
    def branch(self) -> str:
        """The branch of the archive, which is also the prefix of its tags."""
        return self._archive.branch

    @property
    def listed(self) -> Listed:
        """The samples, at most a second old."""
        now = time.monotonic()
        if self._listed is None or now - self._listed_at > _FRESH_SECONDS:
            samples, _ = self._archive.listing()
            if self._listed is None or samples is not self._listed.samples:
                self._listed = Listed(self._archive)
            self._listed_at = now
        return self._listed

    def version(self) -> str:
        """Return a text that changes with every change of the archive's refs."""
        return self._archive.version()

    def state(self, name: str) -> State:
        """Return the sample or the change with a name. Raises NotFoundError, UsageError."""
        return search_state(self.samples(), name, Changes(self)).state

    def newest(self) -> Sample:
        """Return the newest sample. Raises NotFoundError if the archive has none."""
        samples = self.samples()
        if not samples:
            raise NotFoundError(f"the archive {self.name} has no sample yet")
        return samples[-1]

    def changed_objects(self, state: State, before: State | None) -> ChangedObjects:
        """Return the objects that the commit of a state changed. ``before``: the state before it.

        Raises ArchiveError.
        """
        states = (state, before) if before is not None else (state,)
        root = f"{Area.CONFIGURATION}/"
        recorded = self._archive.recorded_files(state.commit)
        files = [file for file in recorded if file.path.startswith(root)]
        keyed = ((file.action, self.key_at(file.path.removeprefix(root), *states)) for file in files[:MOST_NAMED])
        named = [(action, key) for action, key in keyed if key is not None]
        total = len(files)
        if isinstance(state, Sample):
            counts = state.metadata.changes
            total = max(total, counts.added + counts.modified + counts.deleted)
        people = list(dict.fromkeys(file.manager for file in files if file.manager))
        return ChangedObjects(named, total, people, bool(recorded))

    def key_at(self, path: str, *states: State) -> ObjectKey | None:
        """Return the key of the object at a path below ``configuration/``, None for the path of another file.

        If the name of an object is long, the path has only a part of the name. In this case the object is read, from
        the first of the states that has it.
        """
        key = shown_key(path)
        if key is None or _SHORTENED not in path:
            return key
        found = (TreeView(self.tree(state)).key_at(path) for state in states)
        return next(filter(None, found), key)

    def count_changed(self, before: State, after: State) -> int:
        """Return the number of objects that differ between two states, from the ids of their files."""
        old, new = (self.tree(state).files(Area.CONFIGURATION) for state in (before, after))
        return len(differing_paths(old, new))

    # The archive, as gitsnap.history reads it ---------------------------------------------------------------------

    def samples(self) -> Sequence[Sample]:
        """Return all samples, oldest first."""
        return self.listed.samples

    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Return commit -> the first sample of the commit."""
        return self.listed.first_samples

    def tree(self, state: State) -> GitTree:
        """Return the tree of a sample or a change. Raises ArchiveError."""
        return self._archive.tree(state)

    def tree_at(self, commit: CommitId) -> GitTree:
        """Return the tree of a commit."""
        return self._archive.tree_at(commit)

    def changes(
        self, after: Sample | None, until: Sample | None, unreadable: list[UnreadableChange] | None = None
    ) -> list[Change]:
        """Return the changes between two samples, oldest first. ``unreadable``: as in ``ChangeArchive``."""
        return self._archive.changes(after, until, unreadable)

    def changes_named(self, prefix: str) -> list[Change]:
        """Return the changes whose commit ids begin with some digits."""
        return self._archive.changes_named(prefix)

    def sample_before(self, change: Change) -> Sample | None:
        """Return the newest sample that a change builds on."""
        return self._archive.sample_before(change)

    def author_notes(self) -> Mapping[CommitId, str]:
        """Return the notes with the names of authors that became known later."""
        return self._archive.author_notes()

    def managers(self, commit: CommitId) -> Mapping[str, str]:
        """Return path -> field manager, for files that a commit changed."""
        return self._archive.managers(commit)

    def log(
        self, patterns: Sequence[str], *, containing: str = "", until: CommitId | None = None
    ) -> Iterator[LoggedCommit]:
        """Yield the commits that changed files, newest first."""
        return self._archive.log(patterns, containing=containing, until=until)

    def find_histories(self, pattern: str, hidden_folders: Collection[str]) -> FileHistories | None:
        """Return the histories of the files that may ever have matched a regular expression."""
        return self._archive.find_histories(pattern, hidden_folders)

    def missing_parts(self) -> Collection[object]:
        """Return the parts that this copy of the archive lacks."""
        return self._archive.missing_parts()

    def read(self, blob: BlobId) -> bytes:
        """Return the content of a blob."""
        return self._archive.read(blob)


class Site:
    """The archives by name."""

    def __init__(self, open_archives: OpenArchives) -> None:
        self._open_archives = open_archives
        self._next_look = 0.0
        self._archives: dict[str, SiteArchive] = {}
        self.problems: list[str] = []
        """A message for each archive that cannot be opened."""

    @property
    def archives(self) -> Mapping[str, SiteArchive]:
        """Return the archives by name, sorted. Raises StorageError."""
        now = time.monotonic()
        if now >= self._next_look:
            opened, self.problems = self._open_archives()
            self._archives = {name: self._kept(name, archive) for name, archive in sorted(_named(opened))}
            pause = (time.monotonic() - now) / _LOOK_SHARE
            self._next_look = now + min(max(pause, _LOOK_SECONDS), _LONGEST_LOOK_SECONDS)
        return self._archives

    def _kept(self, name: str, archive: GitArchive) -> SiteArchive:
        """Return the archive as it was opened before, unless that was long ago."""
        known = self._archives.get(name)
        if known is None or known.location != archive.location or time.monotonic() - known.opened_at > _RENEW_SECONDS:
            return SiteArchive(name, archive)
        return known

    def archive(self, name: str) -> SiteArchive:
        """Return the archive with a name. Raises NotFoundError."""
        try:
            return self.archives[name]
        except KeyError:
            hint = nearest(name, self.archives, none="This server has no archive.")
            raise NotFoundError(f"there is no archive {name}", hint=hint) from None

    def version(self) -> Hashable:
        """Return a value that changes when an archive changes, or is added or removed."""
        archives = self.archives
        return (*((name, archive.version()) for name, archive in archives.items()), *self.problems)


def _named(archives: Sequence[GitArchive]) -> Iterator[tuple[str, GitArchive]]:
    """Yield the archives with their names: the policy. Archives of the same policy have the names of their folders.

    If these are equal too, the archives are in different folders of the storage: ``hourly@team-a``.
    """
    policies = Counter(archive.policy for archive in archives)
    folders = Counter(PurePath(archive.location).name for archive in archives)
    for archive in archives:
        path = PurePath(archive.location)
        name = archive.policy
        if policies[name] > 1:
            name = path.name if folders[path.name] == 1 else f"{path.name}@{path.parent.name}"
        yield name, archive
