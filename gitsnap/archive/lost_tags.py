"""Finds samples whose tags are gone, from the commits of the branch and the tag objects in the archive.

A capture writes the tag object, moves the branch, then creates the tag. A capture that was killed in between leaves a
commit and a tag object without a tag; the next capture then follows the sample before. If tags were deleted, or were
never fetched into a clone, the next capture must not use their sequence numbers again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pygit2

from gitsnap.archive.commit_objects import read_commit, walk_first_parents
from gitsnap.archive.completeness import FETCH_HISTORY, FETCH_TAGS, is_clone, is_shallow
from gitsnap.archive.tag_objects import tag_objects
from gitsnap.archive.worktree import checked_out_commit
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Sample, TagId
from gitsnap.format import is_tag_of, parse_tag_message


@dataclass(frozen=True, slots=True, order=True)
class LostTag:
    """A tag object of a sample that no ref names."""

    sequence: int
    name: str
    id: TagId
    commit: str


def find_newest_lost(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, head: str | None
) -> LostTag | None:
    """The tag object that the next sample must name as the previous one, although no ref names this tag object.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        samples: All samples that have tags.
        newest: The newest sample on the branch, which is not a detached one; None for none.
        head: The commit that the next sample builds on.

    Returns:
        None where no tag of a sample newer than ``newest`` was removed.

    Raises:
        ArchiveError: The tags of several samples have never been in this copy, or all tags are gone. A new sample would
            fork the chain of samples, or start another one.
    """
    if head is None or (newest is not None and head == newest.commit):
        return None
    untagged = _untagged_commits(repository, head, {sample.commit for sample in samples})
    if not untagged:
        return None
    lost = _lost_tags(repository, branch, {sample.tag_id for sample in samples})
    never_here = untagged - {tag.commit for tag in lost}
    copied = is_clone(repository)
    if len(never_here) > (0 if copied and not samples else 1):
        raise ArchiveError(
            f"the tags of the newest samples of {branch} are not here: its branch has {len(never_here)} commits by "
            "gitsnap without a tag. No sample can be added before these tags are back",
            hint=f"Fetch them: `{FETCH_HISTORY if is_shallow(repository) else FETCH_TAGS}`, or `git fetch URL "
            f"'refs/tags/{branch}/*:refs/tags/{branch}/*'` from a clone or remote that has them.",
        )
    last = max(lost, default=None)
    before = newest.sequence if newest else 0
    # The newest lost tag may belong to a killed capture, unless the working tree shows its commit: a capture creates
    # the tag before it updates the working tree. Earlier lost tags were samples in any case. A change has no tag.
    is_shown = checked_out_commit(repository) == head and not read_commit(repository, head).is_change
    fewest = 1 if is_shown else 2
    if last is None or last.sequence < before + fewest:
        return None
    if newest is None:
        raise ArchiveError(
            f"all tags of {branch} are gone, so that cluster, mode and keys of the next sample are not known",
            hint=f"`git update-ref refs/tags/{last.name} {last.id}` in the archive puts the newest tag back; a clone "
            f"or a remote may have all of them: `git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'`.",
        )
    return last


def _untagged_commits(repository: pygit2.Repository, head: str, tagged: Collection[str]) -> set[str]:
    """Commits of samples between the head and the newest commit that has a tag. Changes have no tag."""
    untagged = set()
    for commit in walk_first_parents(repository, head):
        if commit.id in tagged:
            break
        if commit.is_own and not commit.is_change:
            untagged.add(commit.id)
    return untagged


def _lost_tags(repository: pygit2.Repository, branch: str, present: Collection[TagId]) -> list[LostTag]:
    """Tag objects of samples on the branch that are not among ``present``."""
    lost = []
    for tag_id, tag in tag_objects(repository):
        if TagId(tag_id) in present or not is_tag_of(tag.name, branch):
            continue
        try:
            metadata = parse_tag_message(tag.message)
        except ArchiveError:
            continue
        if metadata.detached_from is None:
            lost.append(LostTag(metadata.sequence, tag.name, TagId(tag_id), tag.commit))
    return lost
