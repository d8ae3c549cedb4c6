"""Samples that a copy of an archive lacks, as far as its refs and the head of its branch show.

Everyday commands ask this module: it reads a few commits, not all objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pygit2

from gitsnap.archive.commit_objects import first_parents
from gitsnap.archive.completeness import (
    FETCH_CONTENTS,
    FETCH_HISTORY,
    FETCH_TAGS,
    Lack,
    is_clone,
    is_shallow,
    lacking_objects,
)
from gitsnap.archive.refs import branch_heads
from gitsnap.archive.worktree import shown_commit
from gitsnap.core.model import Sample

_MOST_COMMITS = 1000
"""So many commits at the head of a branch are looked at in search of one that has a sample."""


def lacks(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, damaged_line: int
) -> list[Lack]:
    """What this copy lacks.

    ``samples`` are all that can be read, ``newest`` is the newest of those on the branch. ``damaged_line``: the line of
    ``packed-refs`` that git cannot read, 0 for none. That a clone is partial is not said here: whatever needs a content
    that was not fetched fails and says so.
    """
    found = [lack for lack in lacking_objects(repository) if lack.command != FETCH_CONTENTS]
    if damaged_line:
        found.append(
            Lack(
                "refs",
                f"the file packed-refs is damaged at line {damaged_line}: samples after this line cannot be "
                "read, and the newest sample may be missing",
            )
        )
    else:
        found += _lacking_samples(repository, branch, samples, newest, shallow=is_shallow(repository))
    return found


def _lacking_samples(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, shallow: bool
) -> list[Lack]:
    """Whether commits at the head of the branch were made for samples whose tags are not here.

    A capture that was killed leaves one such commit, which the next capture mends. The branch of a clone may also be
    older than the newest sample: then it was not updated when the tags were fetched.
    """
    heads = set(branch_heads(repository, branch).values())
    copied = is_clone(repository)
    if copied and not heads:
        fetched = f"origin '+refs/heads/{branch}:refs/remotes/origin/{branch}'"
        if samples:
            message = f"the branch {branch} is not here, only the tags of its samples"
            return [Lack("history", message, f"git fetch {fetched}")]
        message = f"neither the branch {branch} nor the tag of a sample is here, only a branch made from {branch}"
        return [Lack("samples", message, f"{FETCH_TAGS} {fetched}")]
    # The working tree shows a commit only once its sample has a tag: such a commit is not of a capture that was killed.
    shown = "" if copied or (newest is not None and {newest.commit} == heads) else shown_commit(repository)
    if shown and not heads:
        heads = {shown}
    untagged = max((_untagged(repository, head, samples, newest) for head in heads), default=0)
    if untagged <= (0 if copied or shown in heads else 1):
        return []
    command = (FETCH_HISTORY if shallow else FETCH_TAGS) if copied else ""
    commits = "1 commit" if untagged == 1 else f"{untagged} commits" if untagged < _MOST_COMMITS else "many commits"
    if not samples:
        message = f"no sample is here, but {branch} has {commits} by gitsnap: the tags of the samples are missing"
    else:
        message = (
            f"{branch} has {commits} by gitsnap after the newest sample here: the tags of newer samples are missing"
        )
    if not copied:
        message += f". A clone or a remote may have them: git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'"
    return [Lack("samples", message, command)]


def _untagged(repository: pygit2.Repository, head: str, samples: Sequence[Sample], newest: Sample | None) -> int:
    """How many own commits lie between the head of a branch and the newest commit that has a sample.

    0 where the newest sample is of another commit than the one that is reached: the branch was rewritten, and its
    commits tell of no further sample.
    """
    if newest is not None and any(
        commit.id == head for commit in islice(first_parents(repository, newest.commit), _MOST_COMMITS)
    ):
        return 0
    tagged = frozenset(sample.commit for sample in samples)
    own = 0
    for commit in islice(first_parents(repository, head), _MOST_COMMITS):
        if commit.id in tagged:
            return own if newest is None or commit.id == newest.commit else 0
        if newest is not None and not commit.parents:
            return 0
        own += commit.is_own
    return own
