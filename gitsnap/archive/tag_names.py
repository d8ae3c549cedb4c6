"""Free names for the tag of a new sample. This module must not write."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

import pygit2

from gitsnap.archive.refs import TAGS, ref_target, refs_below
from gitsnap.core.errors import ArchiveError
from gitsnap.format import tag_name

_FIRST_BESIDE = 1000
"""The lowest number of a tag beside the branch. The writer of the branch takes fewer samples in a second."""


def following(repository: pygit2.Repository, branch: str, time: datetime) -> str:
    """The name of the next sample on the branch."""
    number = 1
    while _is_taken(repository, f"{TAGS}{tag_name(branch, time, number)}"):
        number += 1
    return tag_name(branch, time, number)


def beside(repository: pygit2.Repository, branch: str, time: datetime) -> str:
    """The name of a sample beside the branch.

    A random number, behind the numbers of this second that are here: other writers, which cannot be asked, may add tags
    in the same second.
    """
    beginning = f"{TAGS}{tag_name(branch, time)}-"
    refs = refs_below(Path(repository.path), f"{TAGS}{branch}/")
    there = [name.removeprefix(beginning) for name, _ in refs if name.startswith(beginning)]
    taken = [int(number) for number in there if number.isdecimal() and int(number) >= _FIRST_BESIDE]
    number = max(taken) + 1 if taken else _FIRST_BESIDE + secrets.randbelow(_FIRST_BESIDE)
    return tag_name(branch, time, number)


def _is_taken(repository: pygit2.Repository, ref: str) -> bool:
    try:
        return ref_target(repository, ref) is not None
    except ArchiveError:
        if not (Path(repository.path) / ref).exists():
            raise
        return True  # damaged, and not gitsnap's to overwrite
