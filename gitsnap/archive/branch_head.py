"""The newest commit of the branch: its tree, its change, its cache and its resource version."""

from __future__ import annotations

from functools import cached_property

import pygit2

from gitsnap.archive.capture_cache import CachedCommit
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.reader import GitTree
from gitsnap.archive.trees import Folders
from gitsnap.core.changes import Change
from gitsnap.core.model import IncompleteKind, Sample
from gitsnap.core.recording import CaptureCache


class BranchHead:
    """The newest commit, read on first use. Its members raise ArchiveError if an object is missing or damaged."""

    def __init__(
        self,
        repository: pygit2.Repository,
        commit: str | None,
        sample: Sample | None,
        cached: CachedCommit,
        *,
        folders: Folders,
    ) -> None:
        """``commit``: the newest commit. ``sample``: the newest sample on the branch. None for none."""
        self._repository = repository
        self._commit = commit
        self._sample = sample
        self._cached = cached
        self._folders = folders

    @cached_property
    def tree(self) -> GitTree | None:
        """The tree of the commit; None in a new archive."""
        if not self._commit:
            return None
        return GitTree(self._repository, self._commit, incomplete=self._incomplete, folders=self._folders)

    @property
    def _incomplete(self) -> tuple[IncompleteKind, ...]:
        if self.change is not None:
            return self.change.incomplete
        return self._sample.metadata.incomplete if self._sample is not None and self._is_of_sample else ()

    @property
    def _is_of_sample(self) -> bool:
        return self._sample is not None and self._sample.commit == self._commit

    @cached_property
    def change(self) -> Change | None:
        """The change that the commit records; None for any other commit."""
        return read_commit(self._repository, self._commit).change if self._commit else None

    @property
    def cache(self) -> CaptureCache | None:
        """The cache of the newest sample. None if there is none, or if the head is neither its commit nor a change."""
        if self._sample is None or self._sample.commit != self._cached.commit:
            return None
        return self._cached.cache if self._is_of_sample or self.change is not None else None

    @cached_property
    def revision(self) -> int:
        """The highest resource version that the commit contains, 0 if unknown."""
        versions = (
            [revision.version for revision in self.change.revisions if not revision.resource] if self.change else []
        )
        highest = max((int(text) for text in versions if text.isdecimal()), default=0)
        cache = self.cache if self._is_of_sample else None
        return max(highest, cache.revision if cache is not None else 0)
