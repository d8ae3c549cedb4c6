"""Archives: git repositories, one for each snapshot policy. The only room that imports pygit2.

Layout, refs and messages are those of ``gitsnap.format``. What only a writer, a check or a change log needs is imported
by these: most commands read a sample, and loading all of it would be a tenth of their time.
This package must not know clusters, Sveltos or secrets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.lock import PATIENCE_SECONDS, writers_lock
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.reader import (
    FirstSamples,
    GitTree,
    Listing,
    Problem,
    Problems,
    SampleReader,
    Samples,
    newest,
    read_marks,
)
from gitsnap.archive.repository import (
    archive_folders,
    check_policy_name,
    check_storage,
    chosen_branch,
    create_repository,
    keep_objects,
    open_repository,
)
from gitsnap.archive.symlinks import check_links, is_own_folder
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError, StorageError
from gitsnap.core.model import BlobId, CommitId, Sample

if TYPE_CHECKING:
    from gitsnap.archive.completeness import Lack
    from gitsnap.archive.findings import Finding
    from gitsnap.archive.verify import Progress
    from gitsnap.archive.writer import GitWriter
    from gitsnap.core.ports import LoggedCommit

__all__ = [
    "GitArchive",
    "GitTree",
    "Problem",
    "chosen_branch",
    "create_archive",
    "create_at",
    "is_own_folder",
    "list_archives",
    "open_archive",
    "open_path",
]

_HIDING = ("samples", "refs")
"""Parts of the record without which samples exist that are not seen (completeness.Lack)."""


class GitArchive:
    """One archive (ports.Archive)."""

    def __init__(self, repository: pygit2.Repository, folder: Path, branch: str) -> None:
        self._repository = repository
        self._folder = folder
        self._branch = branch
        self._samples = SampleReader(repository, branch)
        self._folders = Folders(repository)

    @property
    def policy(self) -> str:
        """Name of the snapshot policy."""
        return self._branch.rpartition("/")[2]

    @property
    def branch(self) -> str:
        """Name of the branch and prefix of the tags."""
        return self._branch

    @property
    def location(self) -> str:
        """Path of the working tree."""
        return str(self._folder)

    @property
    def git_folder(self) -> Path:
        """Where git keeps its data."""
        return Path(self._repository.path)

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first."""
        return self.listing()[0]

    def first_samples(self) -> Mapping[CommitId, Sample]:
        """Commit -> the first sample that found it."""
        return FirstSamples(self._samples.read()[0])

    def listing(self) -> Listing:
        """All samples, and the tags that look like samples and cannot be read.

        Tags that an earlier command has read are taken as read; ``check`` reads every one of them.
        """
        samples, problems = self._samples.read()
        samples.ask_doubt = lambda: self._doubt(samples, problems)
        return samples, problems

    def _doubt(self, samples: Samples, problems: Problems) -> str:
        """Why the newest sample may not be here. What else a copy lacks hides no sample from those that are here."""
        lacking = [str(lack) for lack in self.lacks() if not samples or lack.what in _HIDING]
        return "; ".join([*lacking, *_damaged_newest(samples, problems)])

    def lacks(self) -> list[Lack]:
        """What this copy of the archive lacks of the record. A whole archive lacks nothing."""
        samples = self._samples.read()[0]
        found = self._lacks(samples)
        if found and (again := self._samples.read()[0]) is not samples:
            return self._lacks(again)  # a capture was just making its tag
        return found

    def unfetched(self) -> list[Lack]:
        """Where contents that are missing would have come from."""
        from gitsnap.archive.completeness import lacking_objects

        return [lack for lack in lacking_objects(self._repository) if lack.what == "contents"]

    def check_samples(self) -> None:
        """Raises ArchiveError where samples may exist that are not here: retention must not decide without them."""
        for damaged in _damaged_newest(*self._samples.read()):
            raise ArchiveError(f"no sample of {self._folder} can be removed: {damaged}", hint=DAMAGED)
        for lack in self.lacks():
            if lack.what in _HIDING:
                raise ArchiveError(
                    f"no sample of {self._folder} can be removed: {lack.message}",
                    hint=f"Bring them here: `{lack.command}`." if lack.command else DAMAGED,
                )

    def _lacks(self, samples: Samples) -> list[Lack]:
        from gitsnap.archive.missing_samples import lacks

        damaged_line = self._samples.damaged_line
        try:
            return lacks(self._repository, self._branch, samples, newest(samples), damaged_line=damaged_line)
        except ArchiveError:  # a damaged ref or tag, which ``check`` reports and which is no lack of this copy
            return []

    def marked(self) -> frozenset[str]:
        """Tags of the samples that ``gitsnap keep`` marked."""
        return read_marks(self._repository, self._branch)

    def tree(self, sample: Sample) -> GitTree:
        """The tree of a sample. Raises ArchiveError when it needs a newer gitsnap, or is damaged."""
        tree = GitTree(self._repository, sample.commit, incomplete=sample.metadata.incomplete, folders=self._folders)
        if tree.info.policy != sample.metadata.policy:
            raise ArchiveError(
                f"the tag {sample.tag} says that it is of the policy {sample.metadata.policy}, and gitsnap.yaml in its "
                f"commit {sample.commit[:12]} names {tree.info.policy}",
                hint=DAMAGED,
            )
        return tree

    def tree_at(self, commit: CommitId) -> GitTree:
        """The tree of a commit that ``log`` gave, whether or not a sample has it."""
        return GitTree(self._repository, commit)

    def log(self, patterns: Sequence[str]) -> Iterator[LoggedCommit]:
        """Commits that changed files which fit git's pathspecs, newest first. Raises ArchiveError."""
        from gitsnap.archive.commit_history import read_log

        last = newest(self._samples.read()[0])
        return read_log(self._repository, self._branch, patterns, newest=last.commit if last else None)

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id that ``log`` gave. Raises ArchiveError when it is missing or damaged."""
        return read_blob(self._repository, blob)

    def check(
        self,
        *,
        allowed_signers: Path | None = None,
        pinned: Sequence[str] = (),
        progress: Progress = lambda _what, _count: None,
    ) -> list[Finding]:
        """Whatever is wrong with the archive, then what is worth knowing. Raises StorageError where there is no git."""
        from gitsnap.archive.verify import check

        return check(self._repository, self._branch, allowed_signers=allowed_signers, pinned=pinned, progress=progress)

    @contextmanager
    def writer(self, *, patience: float = PATIENCE_SECONDS) -> Iterator[GitWriter]:
        """Take the writer's lock for the duration of the context. ``patience`` in seconds."""
        from gitsnap.archive import leftovers
        from gitsnap.archive.writer import GitWriter

        git_folder = Path(self._repository.path)
        if not os.access(git_folder, os.W_OK):
            raise StorageError(
                f"the archive {self._folder} is not writable for this user",
                hint="Run gitsnap as the user whose archive it is, or correct the permissions.",
            )
        with writers_lock(git_folder, patience=patience) as lock:
            check_links(git_folder)
            leftovers.clear(git_folder, self._branch)
            keep_objects(self._repository)
            writer = GitWriter(self._repository, self._branch, lock=lock, folders=self._folders)
            try:
                yield writer
            finally:
                writer.abandon()

    def tidy(self) -> None:
        """Pack what has piled up, where it is enough: for a copy of a remote, which no writer looks after.

        Raises ConflictError when another process is at it.
        """
        from gitsnap.archive import maintenance

        if commands := maintenance.due(self.git_folder, self._branch):
            with writers_lock(self.git_folder) as lock:
                maintenance.maintain(self.git_folder, self._branch, commands, lock=lock)

    def repository_bytes(self) -> int:
        """Bytes of git's own data on disk, without the working tree. Files may come and go meanwhile."""
        size = 0
        for folder, _, names in os.walk(self._repository.path):
            for name in names:
                with suppress(OSError):
                    size += Path(folder, name).lstat().st_size
        return size


def _damaged_newest(samples: Samples, problems: Problems) -> list[str]:
    """Says that the tag of the newest sample is damaged, where one of a later name than the newest sample's is."""
    damaged = [one for one in problems if one.damaged and (not samples or one.tag > samples[-1].tag)]
    return [f"samples may be missing: {one.reason}" for one in damaged[-1:]]


def open_archive(storage: Path, policy: str) -> GitArchive:
    """The archive of a policy. Raises StorageError, NotFoundError, ArchiveError."""
    check_storage(storage)
    check_policy_name(policy)
    return open_path(storage / policy)


def create_archive(storage: Path, policy: str, *, prefix: str = "") -> GitArchive:
    """The archive of a policy, made where it is not there yet. Raises StorageError, ArchiveError, InputError."""
    check_policy_name(policy)
    return create_at(storage / policy, policy=policy, prefix=prefix)


def create_at(folder: Path, *, policy: str, prefix: str = "") -> GitArchive:
    """The archive of a policy at this very folder, made where it is not there yet."""
    repository, branch = create_repository(folder, policy=policy, prefix=prefix)
    return GitArchive(repository, folder, branch)


def open_path(folder: Path, policy: str = "") -> GitArchive:
    """The archive at this very folder: one below a storage, or a clone of one.

    ``policy``: which one, where a clone has the branches of several; its name or its branch.
    """
    repository, branch = open_repository(folder, policy)
    return GitArchive(repository, folder, branch)


def list_archives(storage: Path, *, problems: list[ArchiveError] | None = None) -> list[GitArchive]:
    """All archives of a storage, by policy.

    One that cannot be opened hides no other: its error is added to ``problems``, and raised only where there are none.
    """
    archives = []
    for folder, error in archive_folders(storage):
        if error is None:
            archives.append(open_path(folder))
        elif problems is None:
            raise error
        else:
            problems.append(error)
    return archives
