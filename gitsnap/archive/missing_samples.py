"""Finds out which parts of an archive a copy lacks, with the samples whose tags are missing.

Every command that reads an archive calls this module, so it reads a few commits at the head of the branch, not all
objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pygit2

from gitsnap.archive.commit_objects import read_commit, walk_first_parents
from gitsnap.archive.completeness import (
    FETCH_CONTENTS,
    FETCH_HISTORY,
    FETCH_TAGS,
    MissingPart,
    find_missing_objects,
    is_clone,
    is_shallow,
)
from gitsnap.archive.refs import branch_heads
from gitsnap.archive.worktree import checked_out_commit
from gitsnap.core.model import Sample
from gitsnap.core.text import plural

_MOST_COMMITS = 1000
"""The largest number of commits of samples that are read from the head of a branch, to find a commit with a sample."""

_MOST_CHANGES = 100_000
"""The largest number of commits that are read, with those of changes: follow mode may write thousands in a day."""


def find_missing_parts(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, damaged_line: int
) -> list[MissingPart]:
    """Find the parts of the archive that this copy lacks.

    A partial clone is not reported: a command that needs a missing content fails with its own message.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        samples: All samples that can be read.
        newest: The newest sample on the branch, which is not a detached one; None for none.
        damaged_line: The number of the line of ``packed-refs`` that git cannot read; 0 for none.

    Raises:
        ArchiveError: The ref of the branch is damaged.
    """
    missing = [part for part in find_missing_objects(repository) if part.command != FETCH_CONTENTS]
    if damaged_line:
        missing.append(
            MissingPart(
                "refs",
                f"the file packed-refs is damaged at line {damaged_line}: samples after this line cannot be "
                "read, and the newest sample may be missing",
            )
        )
    else:
        missing += _missing_samples(repository, branch, samples, newest, shallow=is_shallow(repository))
    return missing


def _missing_samples(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, shallow: bool
) -> list[MissingPart]:
    """Report commits by gitsnap at the head of the branch whose samples have no tag here.

    A capture that was killed leaves one such commit, which the next capture repairs. In a clone the branch may be older
    than the newest sample: the tags were fetched without the branch.
    """
    heads = set(branch_heads(repository, branch).values())
    copied = is_clone(repository)
    if copied and not heads:
        fetched = f"origin '+refs/heads/{branch}:refs/remotes/origin/{branch}'"
        if samples:
            message = f"the branch {branch} is not here, only the tags of its samples"
            return [MissingPart("history", message, f"git fetch {fetched}")]
        message = f"neither the branch {branch} nor the tag of a sample is here, only a branch made from {branch}"
        return [MissingPart("samples", message, f"{FETCH_TAGS} {fetched}")]
    # A capture creates the tag before it updates the working tree, so the commit shown there has had a tag, unless it
    # is a change.
    shown = "" if copied or (newest is not None and {newest.commit} == heads) else checked_out_commit(repository)
    if shown and not heads:
        heads = {shown}
    untagged = max((_count_untagged(repository, head, samples, newest) for head in heads), default=0)
    if not untagged or (untagged == 1 and not copied and not (shown in heads and _has_had_tag(repository, shown))):
        return []
    command = (FETCH_HISTORY if shallow else FETCH_TAGS) if copied else ""
    commits = plural(untagged, "commit") if untagged < _MOST_COMMITS else "many commits"
    if not samples:
        message = f"no sample is here, but {branch} has {commits} by gitsnap: the tags of the samples are missing"
    else:
        message = (
            f"{branch} has {commits} by gitsnap after the newest sample here: the tags of newer samples are missing"
        )
    if not copied:
        message += f". A clone or a remote may have them: git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'"
    return [MissingPart("samples", message, command)]


def _has_had_tag(repository: pygit2.Repository, shown: str | None) -> bool:
    """Whether the commit that the working tree shows has had a tag. A change never has a tag."""
    return bool(shown) and not read_commit(repository, str(shown)).is_change


def _count_untagged(repository: pygit2.Repository, head: str, samples: Sequence[Sample], newest: Sample | None) -> int:
    """The number of commits of samples between the head of a branch and the newest commit that has a tag.

    Changes have no tag and are not counted. 0 where that commit is not the newest sample's: then the branch was
    rewritten, and its commits do not prove that samples are missing.
    """
    tagged: frozenset[str] | None = None  # usually the head has the newest sample, and no other commit is looked up
    own = 0
    for commit in islice(walk_first_parents(repository, head), _MOST_CHANGES):
        if own >= _MOST_COMMITS:
            break
        if newest is not None and commit.id == newest.commit:
            return own
        if tagged is None:
            tagged = frozenset(sample.commit for sample in samples)
        if commit.id in tagged:
            return own if newest is None else 0
        if newest is not None and not commit.parents:
            return 0
        own += commit.is_own and not commit.is_change
    return 0 if newest is not None and _is_older(repository, head, newest) else own


def _is_older(repository: pygit2.Repository, head: str, newest: Sample) -> bool:
    """Whether the newest sample builds on the head of a branch, as far as its history is read."""
    history = islice(walk_first_parents(repository, newest.commit), _MOST_COMMITS)
    return any(commit.id == head for commit in history)
