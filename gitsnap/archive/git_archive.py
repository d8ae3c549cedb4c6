"""One archive: questions to it, its verification, and the lock under which it is written.

Modules that only writing, verification or a change log needs are imported where they are used: loading them takes a
tenth of the time of a command that reads a sample.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.commit_objects import walk_first_parents
from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.lock import PATIENCE_SECONDS, writers_lock
from gitsnap.archive.object_reader import read_blob, read_object
from gitsnap.archive.reader import FirstSamples, GitTree, Listing, newest, read_marks
from gitsnap.archive.refs import branch_heads, read_refs
from gitsnap.archive.repository import keep_objects
from gitsnap.archive.sample_listing import SampleListing
from gitsnap.archive.symlinks import check_links
from gitsnap.archive.tag_names import is_detached
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError, StorageError
from gitsnap.core.files import why_not_writable
from gitsnap.core.model import BlobId, CommitId, Sample
from gitsnap.core.states import State, incomplete_of, policy_of

if TYPE_CHECKING:
    from datetime import datetime

    from gitsnap.archive.completeness import MissingPart
    from gitsnap.archive.findings import Finding
    from gitsnap.archive.incremental_check import IncrementalCheck
    from gitsnap.archive.search_index import Histories
    from gitsnap.archive.verify import Progress
    from gitsnap.archive.writer import GitWriter
    from gitsnap.core.changes import Author, Change, UnreadableChange
    from gitsnap.core.commits import LoggedCommit, LoggedFile


class GitArchive:
    """An archive (ports.Archive)."""

    def __init__(self, repository: pygit2.Repository, folder: Path, branch: str) -> None:
        self._repository = repository
        self._folder = folder
        self._branch = branch
        self._samples = SampleListing(repository, branch, folder)
        self._folders = Folders(repository)
        self.source = str(folder)
        """The archive in messages: its working tree, or the URL of which it is a cached copy, without credentials."""

    @property
    def policy(self) -> str:
        """Name of the snapshot policy."""
        return self._branch.rpartition("/")[2]

    @property
    def branch(self) -> str:
        """Name of the branch, and prefix of the tags."""
        return self._branch

    @property
    def location(self) -> str:
        """Path of the working tree."""
        return str(self._folder)

    @property
    def git_folder(self) -> Path:
        """The git directory."""
        return Path(self._repository.path)

    def version(self) -> str:
        """A text that changes with every change of the refs: samples, changes, marks and names of authors.

        Raises StorageError if the refs cannot be read.
        """
        refs = read_refs(self.git_folder, "refs/")
        return f"{refs.packed_digest} {sorted(refs.loose.items())}"

    def is_unused(self) -> bool:
        """Whether nothing was ever recorded: there is no ref. Raises StorageError if the refs cannot be read."""
        refs = read_refs(self.git_folder, "refs/")
        return not refs.loose and not refs.packed

    def limit_cache(self, entries: int) -> None:
        """Limit the number of entries of folders in memory. A command that reads few samples needs no limit."""
        self._folders.most_entries = entries

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first."""
        return self.listing()[0]

    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Commit -> the first sample of the commit."""
        return FirstSamples(self._samples.read()[0])

    def listing(self) -> Listing:
        """All samples, oldest first, and the tags that cannot be read as samples.

        Tags in the index of samples are not read again; ``check`` reads every tag.
        """
        return self._samples.read()

    def missing_parts(self) -> list[MissingPart]:
        """The parts of the archive that this copy lacks; none for a complete archive."""
        return self._samples.missing_parts()

    def missing_contents(self) -> list[MissingPart]:
        """The missing contents of this copy, with the commands that fetch them."""
        from gitsnap.archive.completeness import find_missing_objects

        return [part for part in find_missing_objects(self._repository) if part.category == "contents"]

    def check_samples(self) -> None:
        """Raise ArchiveError if samples may exist that are not here: retention must not decide without them."""
        self._samples.check_complete()

    def marked(self) -> frozenset[str]:
        """Names of the tags that ``gitsnap keep`` marked."""
        return read_marks(self._repository, self._branch)

    def tree(self, state: State) -> GitTree:
        """The tree of a sample or a change. Raises ArchiveError if it is damaged, or needs a newer gitsnap."""
        tree = GitTree(self._repository, state.commit, incomplete=incomplete_of(state), folders=self._folders)
        if tree.info.policy != (policy := policy_of(state)):
            subject = f"the tag {state.tag}" if isinstance(state, Sample) else f"the change {state.moment}"
            raise ArchiveError(
                f"{subject} names the policy {policy}, and gitsnap.yaml in its "
                f"commit {state.commit[:12]} names {tree.info.policy}",
                hint=DAMAGED,
            )
        return tree

    def changes(
        self, after: Sample | None, until: Sample | None, unreadable: list[UnreadableChange] | None = None
    ) -> list[Change]:
        """The changes on the branch between two samples, oldest first.

        ``after``: the earlier sample; None for the beginning of the history. ``until``: the later sample; None for the
        head of the branch. Both are samples on the branch, not detached ones. ``unreadable``: commits that cannot be
        read are appended. Raises ArchiveError for a damaged ref.
        """
        from gitsnap.archive.change_listing import changes_between

        heads = [until.commit] if until else branch_heads(self._repository, self._branch).values()
        return changes_between(self._repository, heads, after.commit if after else None, unreadable)

    def changes_named(self, prefix: str) -> list[Change]:
        """The changes whose commit ids begin with some digits, by id, including changes that are not on the branch."""
        from gitsnap.archive.change_listing import find_changes

        return find_changes(self._repository, prefix)

    def sample_before(self, change: Change) -> Sample | None:
        """The newest sample on the branch that a change builds on; None if retention removed all of them."""
        samples = {sample.commit: sample for sample in self.samples() if not is_detached(sample.tag)}
        history = walk_first_parents(self._repository, change.parent) if change.parent else ()
        return next((samples[name] for commit in history if (name := CommitId(commit.id)) in samples), None)

    def author_notes(self) -> Mapping[CommitId, str]:
        """The notes with the names of authors that became known later: commit -> text. Raises ArchiveError."""
        from gitsnap.archive.change_listing import AuthorNotes

        return AuthorNotes(self._repository)

    def note_authors(self, authors: Mapping[CommitId, Author], *, time: datetime) -> None:
        """Write notes with the authors of changes. ``time``: the time of the commit of the notes.

        Raises StorageError, ArchiveError, and ConflictError if another process writes to the archive for too long.
        """
        from gitsnap.archive.author_notes import write_author_notes
        from gitsnap.format.change_message import author_note

        texts = {commit: author_note(author) for commit, author in authors.items()}
        with self._locked():
            write_author_notes(self._repository, self._folders, texts, time=time)

    def tree_at(self, commit: CommitId) -> GitTree:
        """The tree of a commit, which need not be that of a sample."""
        return GitTree(self._repository, commit, folders=self._folders)

    def log(
        self, patterns: Sequence[str], *, containing: str = "", until: CommitId | None = None
    ) -> Iterator[LoggedCommit]:
        """The commits that changed files, newest first. ``patterns``: git's pathspecs. Raises ArchiveError.

        ``containing``: only files in which this extended regular expression matches more or less often than before;
        ``""`` for all files. ``until``: the commit with which the history ends; None for the head of the branch.
        """
        from gitsnap.archive.commit_history import read_log

        last = newest(self._samples.read()[0])
        return read_log(
            self._repository,
            self._branch,
            patterns,
            newest=last.commit if last else None,
            containing=containing,
            until=until,
        )

    def find_histories(self, pattern: str, hidden_folders: Collection[str]) -> Histories | None:
        """The histories of the files that may ever have matched a regular expression, from an index of the history.

        ``hidden_folders``: the folders of kinds with sensitive fields. None if the index cannot be used, or if the
        history cannot be read.
        """
        from gitsnap.archive.search_index import find_histories

        try:
            return find_histories(self._repository, self._branch, pattern, hidden_folders=hidden_folders)
        except ArchiveError:
            return None

    def commits_between(self, older: CommitId, newer: CommitId) -> list[LoggedCommit]:
        """The commits after ``older`` up to ``newer``, oldest first.

        Raises ArchiveError if ``older`` is not an ancestor of ``newer``, or if the history cannot be read.
        """
        from gitsnap.archive.commit_history import read_range

        return read_range(self._repository, self._branch, older, newer)

    def read(self, blob: BlobId) -> bytes:
        """The content of a blob. Raises ArchiveError where the blob is missing or damaged."""
        return read_blob(self._repository, blob)

    def check(
        self,
        *,
        allowed_signers: Path | None = None,
        pinned: Sequence[str] = (),
        progress: Progress = lambda _step, _number: None,
    ) -> list[Finding]:
        """Verify the archive: errors, then notes. For the arguments and errors see ``verify.check``."""
        from gitsnap.archive.verify import check

        return check(self._repository, self._branch, allowed_signers=allowed_signers, pinned=pinned, progress=progress)

    def check_since(
        self,
        pin: str,
        *,
        allowed_signers: Path | None = None,
        progress: Progress = lambda _step, _number: None,
    ) -> IncrementalCheck:
        """Verify the pinned sample and the samples after it. For the errors see ``incremental_check.check_since``."""
        from gitsnap.archive.incremental_check import check_since

        return check_since(
            self._repository,
            self._branch,
            self.samples(),
            pin,
            allowed_signers=allowed_signers,
            progress=progress,
        )

    def check_chain(self) -> list[Finding]:
        """Check the chain of samples only: errors, then notes. ``check`` verifies the whole archive."""
        from gitsnap.archive.verify import check_chain

        return check_chain(self._repository, self._branch, self.listing())

    def is_signed(self, sample: Sample) -> bool:
        """Whether the tag of a sample has a signature, which may be by anybody. Raises ArchiveError."""
        return b"\n-----BEGIN SSH SIGNATURE-----\n" in self._tag_content(sample)

    def signature_problem(self, sample: Sample, allowed_signers: Path) -> str:
        """Why the tag of a sample is not signed by a key in the file; ``""`` if it is signed by one.

        Raises ArchiveError for a damaged tag, InputError for the file, SecretsError if ssh-keygen is missing.
        """
        from gitsnap.git.signing import AllowedSigners

        return AllowedSigners(allowed_signers).problem(self._tag_content(sample))

    def _tag_content(self, sample: Sample) -> bytes:
        return read_object(self._repository, sample.tag_id, f"the tag {sample.tag}")[1]

    def managers(self, commit: CommitId) -> Mapping[str, str]:
        """Path -> field manager, for files that a commit changed (``commit_history.read_managers``)."""
        from gitsnap.archive.commit_history import read_managers

        return read_managers(self._repository, commit)

    def recorded_files(self, commit: CommitId) -> list[LoggedFile]:
        """The files that the message of a commit names, without ids; for a large change the first hundred.

        Raises ArchiveError if the commit is missing or damaged.
        """
        from gitsnap.archive.commit_history import read_recorded_files

        return read_recorded_files(self._repository, commit)

    @contextmanager
    def writer(self, *, patience: float = PATIENCE_SECONDS) -> Iterator[GitWriter]:
        """Hold the writer's lock for the duration of the context, and yield a writer.

        ``patience``: seconds to wait for the lock. Raises ConflictError where another process holds it for longer,
        StorageError, ArchiveError.
        """
        from gitsnap.archive.writer import GitWriter

        with self._locked(patience) as lock:
            writer = GitWriter(self._repository, self._branch, lock=lock, folders=self._folders)
            try:
                yield writer
            finally:
                writer.abandon()

    @contextmanager
    def _locked(self, patience: float = PATIENCE_SECONDS) -> Iterator[int]:
        """Hold the writer's lock, and remove what a killed writer left. See ``writer`` for the errors."""
        from gitsnap.archive import leftovers

        git_folder = Path(self._repository.path)
        if reason := why_not_writable(git_folder):
            raise StorageError(
                f"the archive {self._folder} {reason}",
                hint="Run gitsnap as the owner of the archive, or correct the permissions or the mount.",
            )
        with writers_lock(git_folder, patience=patience) as lock:
            check_links(git_folder)
            leftovers.remove_leftovers(git_folder, self._branch)
            keep_objects(self._repository)
            yield lock

    def tidy(self) -> None:
        """Pack loose objects and refs, if there are many: for a cached copy of a remote, which has no writer.

        Raises ConflictError where another process holds the writer's lock for too long.
        """
        from gitsnap.archive import maintenance

        if commands := maintenance.due_commands(self.git_folder, self._branch):
            with writers_lock(self.git_folder) as lock:
                maintenance.maintain(self.git_folder, self._branch, commands, lock=lock)

    def repository_bytes(self) -> int:
        """Size of the git directory in bytes. Files that disappear meanwhile are not counted."""
        size = 0
        for folder, _, names in os.walk(self._repository.path):
            for name in names:
                with suppress(OSError):
                    size += Path(folder, name).lstat().st_size
        return size
