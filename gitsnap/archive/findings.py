"""Findings of a verification, and the check of the working tree. This module must not repair anything."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pygit2

from gitsnap.archive import worktree
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import Sample
from gitsnap.core.text import join_names, verb_form
from gitsnap.git.process import common_folder, git_settings, run_git

_SECONDS = 300.0
"""Time limit for the comparison, which may read all files of the working tree."""

MOST_NAMED = 5
"""The largest number of names that a message lists."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a verification."""

    wrong: bool
    """True for an error. False for a note, which reports no damage."""
    subject: str
    """A tag, a commit, a branch, ``git`` or ``working tree``."""
    message: str
    unchecked: bool = False
    """Whether a part of the archive was not checked, because this copy does not have it."""


def printable(finding: Finding) -> Finding:
    """The finding without lone surrogates, which stand for bytes of names that are not UTF-8."""
    subject, message = (text.encode("utf-8", "replace").decode() for text in (finding.subject, finding.message))
    return replace(finding, subject=subject, message=message)


def removals_by_users(branch: str, samples: Iterable[ForgottenSample]) -> Iterator[Finding]:
    """Report the samples that users removed with ``gitsnap forget``, as a note for each removal."""
    by_removal: dict[tuple[datetime, str], list[ForgottenSample]] = {}
    for sample in sorted(samples):
        by_removal.setdefault((sample.time, sample.removal), []).append(sample)
    for (_, removal), removed in sorted(by_removal.items()):
        names = join_names([sample.tag for sample in removed], most=MOST_NAMED)
        verb = verb_form(len(removed), "was")
        yield Finding(False, branch, f"{names} {verb} removed with `gitsnap forget` {removal}")


def _head_problem(repository: pygit2.Repository) -> str:
    """Return why the tree of HEAD cannot be read, or is too large; ``""`` if git may read it. git has no limit."""
    try:
        Folders(repository).files(read_commit(repository, str(repository.head.target)).tree)
    except ArchiveError as error:
        return error.message
    except (KeyError, ValueError, pygit2.GitError) as error:
        return str(error)
    return ""


def changed_files(repository: pygit2.Repository) -> Iterator[Finding]:
    """Report files of the working tree that were changed by hand, as notes.

    The git program compares, because libgit2 may read a damaged tree in an endless loop. git writes nothing, and runs
    no program that the configuration of the archive names.
    """
    if repository.is_bare or repository.workdir is None:
        return
    try:
        if repository.head_is_unborn:
            return  # a HEAD without a commit is a finding of another check
    except (KeyError, ValueError, pygit2.GitError):
        return
    if not worktree.was_checked_out(repository) and worktree.is_empty(repository):
        return  # a copy for reading, or one whose working tree the next capture fills
    if not worktree.is_index_intact(repository) and worktree.was_checked_out(repository):
        yield Finding(False, "working tree", "git's index is missing or damaged; the next capture recreates it")
        return
    if problem := _head_problem(repository):
        yield Finding(False, "working tree", f"cannot be compared: {problem}")
        return
    try:
        git_folder = Path(repository.path)
        done = run_git(
            git_folder, f"--work-tree={repository.workdir}",
            "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
            "--ignore-submodules=all",  # for a submodule git would run another git, with the submodule's configuration
            environment={
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_INDEX_FILE": f"{git_folder / 'index'}",
                **git_settings({"core.excludesFile": f"{common_folder(git_folder) / 'info' / 'exclude'}"}),
            },
            seconds=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield Finding(False, "working tree", f"cannot be compared: git did not finish within {_SECONDS:.0f} s")
        return
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"git ended with {done.returncode}"]
        yield Finding(False, "working tree", f"cannot be compared: {reason[0]}")
        return
    changed = sorted(line[3:] for line in done.stdout.split("\0") if line)
    if changed:
        yield Finding(False, "working tree", f"changed by hand, and left alone: {join_names(changed, most=MOST_NAMED)}")


def missing_pin(branch: str, samples: Sequence[Sample], pin: str) -> Finding:
    """Return the finding that no sample has a pinned id. It names the sample if the id is that of its commit."""
    tag = next((sample.tag for sample in samples if sample.commit.startswith(pin)), "")
    reason = (
        f"it is the id of the commit of {tag}, and the id of a tag is needed, as `gitsnap verify` prints it"
        if tag
        else "the history was rewritten, or the id belongs to another archive"
    )
    return Finding(True, branch, f"no sample has the id {pin}: {reason}")
