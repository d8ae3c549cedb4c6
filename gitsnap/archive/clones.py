"""Finds the archives in a clone, whose git configuration does not name the branch of the archive.

The file ``gitsnap.yaml`` in the tree of a branch names the branch of its archive. HEAD alone does not name it: HEAD may
be detached, as CI systems leave it, or on another branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.refs import HEADS, TAGS, read_refs
from gitsnap.archive.tag_objects import read_tag
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId
from gitsnap.format import branch_in_tree_info, is_tag_of

_REMOTES = "refs/remotes/"


def find_archive_branches(repository: pygit2.Repository) -> list[str]:
    """The branches of the archives in a clone, sorted.

    A branch that a user created from the branch of an archive belongs to that archive. If there is no such branch,
    the names of the tags of samples give the branches.
    """
    folders = Folders(repository)
    branches = {
        archive
        for name, commit in _heads(repository)
        if (archive := _archive_branch(repository, folders, commit, name)) is not None
    }
    if not branches:
        tagged = _tagged_commits(repository)
        branches = {branch for branch, commit in tagged if _archive_branch(repository, folders, commit, branch)}
    return sorted(branches)


def _heads(repository: pygit2.Repository) -> Iterator[tuple[str, str]]:
    """Name and commit of each local and remote-tracking branch, and of HEAD, for which the name is ``""``."""
    git_folder = Path(repository.path)
    for prefix in (HEADS, _REMOTES):
        refs = read_refs(git_folder, prefix)
        for name, target in {**refs.unpacked(), **refs.loose}.items():
            short = name.removeprefix(prefix)
            yield (short if prefix == HEADS else short.partition("/")[2]), target
    try:
        if not repository.head_is_unborn:
            yield "", str(repository.head.target)
    except (ValueError, KeyError, pygit2.GitError):
        return  # HEAD cannot be read


def _tagged_commits(repository: pygit2.Repository) -> Iterator[tuple[str, str]]:
    """For each prefix of tags with names of samples: the prefix, and the commit of the newest readable tag."""
    refs = read_refs(Path(repository.path), TAGS)
    done = set()
    for name, target in sorted({**refs.unpacked(), **refs.loose}.items(), reverse=True):
        tag = name.removeprefix(TAGS)
        branch = tag.rpartition("/")[0]
        if branch in done or not is_tag_of(tag, branch):
            continue
        try:
            yield branch, read_tag(repository, tag, target).commit
        except ArchiveError:
            continue
        done.add(branch)


def _archive_branch(repository: pygit2.Repository, folders: Folders, commit: str, name: str) -> str | None:
    """The branch that ``gitsnap.yaml`` in a commit names; ``name`` if the file cannot be read or names no branch.

    None if the commit is missing, or has no such file.
    """
    try:
        tree = read_commit(repository, commit).tree
        blob, is_folder = folders.entries(tree, "").get("gitsnap.yaml", ("", True))
        if is_folder:
            return None
    except ArchiveError:
        return None
    try:
        content = read_blob(repository, BlobId(blob))
    except ArchiveError:
        return name or None  # the file exists, but was not fetched or is damaged
    return branch_in_tree_info(content) or name or None
