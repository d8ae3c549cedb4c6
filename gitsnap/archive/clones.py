"""Finds the archives in a clone, whose configuration does not name them.

``gitsnap.yaml`` in the tree of a branch names the branch of the archive. HEAD does not count: it may be detached, as CI
systems leave it, or on another branch. This module must not write.
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


def archive_branches(repository: pygit2.Repository) -> list[str]:
    """The branches of archives, sorted. Without any, those that the tags of samples are of.

    A branch that somebody made from an archive's branch is of that archive, and no other one.
    """
    folders = Folders(repository)
    found = {
        named
        for name, commit in _heads(repository)
        if (named := _named_in(repository, folders, commit, name)) is not None
    }
    if not found:
        found = {branch for branch, commit in _tagged(repository) if _named_in(repository, folders, commit, branch)}
    return sorted(found)


def _heads(repository: pygit2.Repository) -> Iterator[tuple[str, str]]:
    """Name and commit of each branch, local or of a remote, and of HEAD, whatever it is."""
    git_folder = Path(repository.path)
    for prefix in (HEADS, _REMOTES):
        refs = read_refs(git_folder, prefix)
        for name, target in {**refs.unpacked(), **refs.loose}.items():
            below = name.removeprefix(prefix)
            yield (below if prefix == HEADS else below.partition("/")[2]), target
    try:
        if not repository.head_is_unborn:
            yield "", str(repository.head.target)
    except (ValueError, KeyError, pygit2.GitError):
        return  # a HEAD that cannot be read names nothing


def _tagged(repository: pygit2.Repository) -> Iterator[tuple[str, str]]:
    """For each prefix of tags that look like samples, a commit that one of them points at."""
    refs = read_refs(Path(repository.path), TAGS)
    seen = set()
    for name, target in sorted({**refs.unpacked(), **refs.loose}.items(), reverse=True):
        tag = name.removeprefix(TAGS)
        branch = tag.rpartition("/")[0]
        if branch in seen or not is_tag_of(tag, branch):
            continue
        try:
            yield branch, read_tag(repository, tag, target).commit
        except ArchiveError:
            continue
        seen.add(branch)


def _named_in(repository: pygit2.Repository, folders: Folders, commit: str, name: str) -> str | None:
    """The branch that ``gitsnap.yaml`` of a commit names, ``name`` where it names none that is readable.

    None where the commit has no such file, or is not here.
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
        return name or None  # not fetched, or damaged: the file is there all the same
    return branch_in_tree_info(content) or name or None
