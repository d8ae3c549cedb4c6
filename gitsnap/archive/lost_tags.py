"""Samples that existed and whose tags are gone, as far as the branch and the objects of the archive prove it.

A capture writes the tag object, moves the branch, then makes the tag. If it is killed, its commit has a tag object and
no tag, and the next capture goes on from the sample before. If tags were deleted, or were never fetched into a clone,
the next capture must not give out their numbers a second time. This module must not write.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pygit2

from gitsnap.archive.commit_objects import first_parents
from gitsnap.archive.completeness import FETCH_HISTORY, FETCH_TAGS, is_clone, is_shallow
from gitsnap.archive.tag_objects import tag_objects
from gitsnap.archive.worktree import shown_commit
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


def newest_lost(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, head: str | None
) -> LostTag | None:
    """The sample that the next one follows although its tag is gone; None where no tag of a newer sample was removed.

    ``head``: the commit that the next sample builds on. Raises ArchiveError where the tags of several samples have
    never been here, or where all tags are gone: a sample that is added now would fork the chain, or begin it anew.
    """
    if head is None or (newest is not None and head == newest.commit):
        return None
    untagged = _untagged(repository, head, {sample.commit for sample in samples})
    if not untagged:
        return None
    lost = _lost(repository, branch, {sample.tag_id for sample in samples})
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
    # The newest lost tag may be that of a killed capture, unless the working tree shows its commit, which comes after
    # the tag. The tag before it was a sample in any case: its number was given out.
    fewest = 1 if shown_commit(repository) == head else 2
    if last is None or last.sequence < before + fewest:
        return None
    if newest is None:
        raise ArchiveError(
            f"all tags of {branch} are gone, so that cluster, mode and keys of the next sample are not known",
            hint=f"`git update-ref refs/tags/{last.name} {last.id}` in the archive puts the newest tag back; a clone "
            f"or a remote may have all of them: `git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'`.",
        )
    return last


def _untagged(repository: pygit2.Repository, head: str, tagged: Collection[str]) -> set[str]:
    """Commits by gitsnap between the head and the newest commit that has a sample."""
    found = set()
    for commit in first_parents(repository, head):
        if commit.id in tagged:
            break
        if commit.is_own:
            found.add(commit.id)
    return found


def _lost(repository: pygit2.Repository, branch: str, present: Collection[TagId]) -> list[LostTag]:
    found = []
    for name, tag in tag_objects(repository):
        if TagId(name) in present or not is_tag_of(tag.name, branch):
            continue
        try:
            facts = parse_tag_message(tag.message)
        except ArchiveError:
            continue
        if facts.beside is None:
            found.append(LostTag(facts.sequence, tag.name, TagId(name), tag.commit))
    return found
