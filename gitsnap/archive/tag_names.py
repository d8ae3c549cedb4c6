"""Names of the tags of samples: a free name for a new sample, and what a name says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pygit2

from gitsnap.archive.refs import TAGS, list_refs, read_ref
from gitsnap.core.errors import ArchiveError
from gitsnap.format import tag_name

_FIRST_DETACHED = 1000
"""The lowest number in the name of a detached sample. The writer of the branch takes fewer samples in a second."""


def next_name(repository: pygit2.Repository, branch: str, time: datetime) -> str:
    """The name of the next sample on the branch: the first free number of this second."""
    number = 1
    while _is_taken(repository, f"{TAGS}{tag_name(branch, time, number)}"):
        number += 1
    return tag_name(branch, time, number)


def detached_name(repository: pygit2.Repository, branch: str, time: datetime) -> str:
    """The name of a detached sample, which is tagged beside the branch.

    The first detached sample of a second gets a random number: another writer, which cannot be asked, may add a tag in
    the same second. Later ones get the next higher number.
    """
    import secrets

    prefix = f"{TAGS}{tag_name(branch, time)}-"
    refs = list_refs(Path(repository.path), f"{TAGS}{branch}/")
    suffixes = [name.removeprefix(prefix) for name, _ in refs if name.startswith(prefix)]
    taken = [int(number) for number in suffixes if number.isdecimal() and int(number) >= _FIRST_DETACHED]
    number = max(taken) + 1 if taken else _FIRST_DETACHED + secrets.randbelow(_FIRST_DETACHED)
    return tag_name(branch, time, number)


def is_detached(tag: str) -> bool:
    """Whether the name of a tag is that of a detached sample."""
    return name_order(tag)[1] >= _FIRST_DETACHED


def name_order(tag: str) -> tuple[str, int]:
    """The time and the number in the name of a sample's tag: a key that sorts the tags of a branch."""
    stamp, _, number = tag.rpartition("/")[2].partition("Z-")
    return stamp.removesuffix("Z"), int(number) if number.isdecimal() else 1


def _is_taken(repository: pygit2.Repository, ref: str) -> bool:
    try:
        return read_ref(repository, ref) is not None
    except ArchiveError:
        if not (Path(repository.path) / ref).exists():
            raise
        return True  # a damaged ref is not overwritten
