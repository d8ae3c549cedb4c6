"""Checks the branch of an archive before a write, and repairs a branch that was rewritten."""

from __future__ import annotations

from pathlib import Path

import pygit2

from gitsnap.archive import worktree
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.object_reader import check_not_truncated
from gitsnap.archive.refs import create_ref, read_ref
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Sample


def check_packed_refs(repository: pygit2.Repository, branch: str, *, damaged_line: int) -> None:
    """Raise ArchiveError if refs cannot be read: the next sample might not follow the newest sample.

    ``damaged_line``: the first line of ``packed-refs`` that is damaged, 0 for none.
    """
    if damaged_line:
        file = Path(repository.path) / "packed-refs"
        raise ArchiveError(
            f"{file} is damaged at line {damaged_line}, so that no sample can be added or removed",
            hint="Remove the damaged line and all lines after it, then fetch the refs from a clone or remote: "
            f"`git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'`.",
        )


def repair_branch(repository: pygit2.Repository, branch: str, last: Sample | None) -> str | None:
    """Make the branch contain the newest sample, ``last``. Returns the head of the branch; None in a new archive.

    A branch whose head has the commit of the newest sample among its ancestors stays as it is. Any other branch was
    rewritten. It is reset to the newest sample and the changes after this sample, and a ref below
    ``refs/gitsnap/foreign/`` keeps the other head. Raises ArchiveError.
    """
    name = f"refs/heads/{branch}"
    file = Path(repository.path) / name
    _check_head(repository, branch)
    try:
        head = read_ref(repository, name)
    except ArchiveError:
        if last is None:
            raise
        head = None
        file.unlink(missing_ok=True)  # libgit2 cannot move a damaged ref
    if head is None and last is None:
        return _restored_head(repository, name)
    if last is None or head == last.commit:
        return head
    if head is not None and head not in repository:
        head = None  # the commit is missing: nothing to keep, and no entry in the reflog
        file.unlink(missing_ok=True)
    if head is None or not _contains(repository, head, last.commit):
        if head is not None:
            create_ref(repository, f"refs/gitsnap/foreign/{head}", head, force=True)
        head = _newest_change(repository, last) or last.commit
        create_ref(repository, name, head, force=True)
    return head


def _newest_change(repository: pygit2.Repository, last: Sample) -> str | None:
    """The change that the working tree shows, if it was made after a sample; no tag leads to such a change."""
    commit = worktree.checked_out_commit(repository)
    if commit is None or commit not in repository or not _contains(repository, commit, last.commit):
        return None
    return commit if read_commit(repository, commit).is_change else None


def _restored_head(repository: pygit2.Repository, name: str) -> str | None:
    """Restore the branch from the commit of the working tree, if all refs are gone; None in a new archive."""
    commit = worktree.checked_out_commit(repository)
    if commit is None or commit not in repository:
        return None
    create_ref(repository, name, commit)
    return commit


def _check_head(repository: pygit2.Repository, branch: str) -> None:
    """Raise ArchiveError for a damaged HEAD, with which libgit2 cannot write to the repository."""
    try:
        repository.lookup_reference("HEAD")
    except (KeyError, ValueError, pygit2.GitError):
        file = Path(repository.path) / "HEAD"
        raise ArchiveError(
            f"{file} is damaged, so that no sample can be added",
            hint=f"No sample is harmed: write the line `ref: refs/heads/{branch}` into it.",
        ) from None


def _contains(repository: pygit2.Repository, head: str, commit: str) -> bool:
    """Whether a commit is an ancestor of ``head``. Raises ArchiveError for a damaged history."""
    for name in (head, commit):
        check_not_truncated(repository, name)
    try:
        return bool(repository.descendant_of(head, commit))
    except (KeyError, pygit2.GitError) as error:
        raise ArchiveError(f"the history of the archive is damaged: {error}", hint="Run `git fsck` in it.") from error
