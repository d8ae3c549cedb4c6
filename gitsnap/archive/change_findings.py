"""Findings about changes: invalid changes, and changes that no sample proves yet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import takewhile

import pygit2

from gitsnap.archive.change_listing import AuthorNotes, changes_between
from gitsnap.archive.commit_objects import RecordedCommit, walk_first_parents
from gitsnap.archive.findings import Finding
from gitsnap.archive.reader import GitTree
from gitsnap.archive.refs import branch_heads
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import CommitId, Sample
from gitsnap.core.states import SHORT_ID
from gitsnap.core.text import plural


def check_change(repository: pygit2.Repository, folders: Folders, commit: RecordedCommit) -> Iterator[Finding]:
    """Find invalid lines in the message of a change, and a tree of another policy."""
    name = commit.id[:SHORT_ID]
    try:
        change = commit.change
        policy = GitTree(repository, CommitId(commit.id), folders=folders).info.policy
    except ArchiveError as error:
        yield Finding(True, name, f"is not a valid change: {error.message}")
        return
    if change is not None and change.policy != policy:
        message = f"is a change of the policy {change.policy}, and gitsnap.yaml in its tree names {policy}"
        yield Finding(True, name, message)


def lost_changes(
    repository: pygit2.Repository, unreferenced: Iterable[str], on_branch: Container[str]
) -> Iterator[Finding]:
    """Changes that are neither on the branch nor in the history of a sample.

    ``unreferenced``: the commits that no ref and no other commit leads to.
    """
    for name in sorted(unreferenced):
        lost = takewhile(lambda commit: commit.id not in on_branch, walk_first_parents(repository, name))
        if changes := [commit.id for commit in lost if commit.is_change]:
            verb, pronoun = ("is", "it") if len(changes) == 1 else ("are", "them")
            message = (
                f"{plural(len(changes), 'change')} {verb} neither on the branch nor in a sample: follow mode was "
                f"interrupted, or somebody moved the branch; `git branch NAME {changes[0][:SHORT_ID]}` keeps {pronoun}"
            )
            yield Finding(False, changes[0][:SHORT_ID], message)


def unproved_changes(repository: pygit2.Repository, branch: str, last: Sample | None) -> Iterator[Finding]:
    """The number of changes after the newest sample ``last``, and of names from notes. No sample proves them.

    A sample proves the changes before it: they are the ancestors of its commit, whose id its tag names.
    """
    try:
        heads = branch_heads(repository, branch).values()
        unsealed = len(changes_between(repository, heads, last.commit)) if last else 0
        notes = len(AuthorNotes(repository))
    except ArchiveError as error:
        yield Finding(True, branch, error.message)
        return
    if unsealed:
        pronoun = "it" if unsealed == 1 else "them"
        message = f"{plural(unsealed, 'change', 'is')} newer than the newest sample; the next sample proves {pronoun}"
        yield Finding(False, branch, message)
    if notes:
        message = f"{plural(notes, 'change', 'has')} the name of the author from a note"
        yield Finding(False, branch, f"{message}; no sample proves notes")
