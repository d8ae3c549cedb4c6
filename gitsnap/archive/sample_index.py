"""The samples of an archive in their order, so that a command need not read all tags to find one.

A text file beside the archive's objects: a line for each tag, with its object id, and what that object says of its
commit, number and time. What an id stands for never changes, so a line cannot become wrong; what a command says of a
sample is read from the tag all the same. It is no part of the archive (docs/FORMAT.md). This module must not read tags.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import overload

from gitsnap.core.errors import ArchiveError
from gitsnap.core.files import replace_file
from gitsnap.core.model import CommitId, Sample, TagId

_NAME = "gitsnap-samples"
_HEAD = "gitsnap samples 2"

Row = tuple[int, datetime, str, TagId, CommitId]
"""Sequence, time, name, object id and commit of a sample: rows are in the order of samples (Sample.order)."""


class Rows(Sequence[Row]):
    """Rows that are made of their lines when they are asked for: of tens of thousands most commands want two."""

    def __init__(self, git_folder: Path, branch: str, lines: Sequence[str]) -> None:
        self._git_folder = git_folder
        self._branch = branch
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        """Raises ArchiveError for a line that no gitsnap has written."""
        if isinstance(place, slice):
            return [self._row(line) for line in self._lines[place]]
        return self._row(self._lines[place])

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, self._lines)

    def __reversed__(self) -> Iterator[Row]:
        return map(self._row, reversed(self._lines))

    def commits(self) -> list[CommitId]:
        """The commits of all of them."""
        return [CommitId(line[41:81]) for line in self._lines]

    def until(self, moment: datetime) -> Row | None:
        """The last row, going by their order, whose time is not after a moment."""
        text = _time_text(moment)
        return next((self._row(line) for line in reversed(self._lines) if line.split(" ", 4)[3:4] <= [text]), None)

    def names(self) -> frozenset[str]:
        """The names of all tags in it."""
        return frozenset(f"{self._branch}/{line.rpartition(' ')[2]}" for line in self._lines)

    def _row(self, line: str) -> Row:
        try:
            tag_id, commit, sequence, time, stamp = line.split(" ")
            moment = datetime.fromisoformat(time)
            return int(sequence), moment, f"{self._branch}/{stamp}", TagId(tag_id), CommitId(commit)
        except ValueError:
            raise lies(self._git_folder, "a line that gitsnap did not write") from None


@dataclass(frozen=True, slots=True)
class Index:
    """What the file says."""

    packed: str
    """Digest of the packed refs whose samples ``rows`` are; anything else for none."""
    rows: Rows
    """Every sample that had a packed ref, in the order of samples."""
    others: Rows
    """Samples whose refs had files of their own."""


def load(git_folder: Path, branch: str) -> Index:
    """The index; an empty one where there is none, or one that is damaged or of another layout."""
    packed = ""
    lines: list[str] = []
    place = 0
    with contextlib.suppress(OSError, ValueError):
        head, _, body = (git_folder / _NAME).read_bytes().partition(b"\n")
        layout, digest, said, count = head.decode("ascii").rsplit(" ", 3)
        if layout == _HEAD and digest == _digest(said, count, body):
            packed, lines, place = said, body.decode("ascii").splitlines(), int(count)
    return Index(packed, Rows(git_folder, branch, lines[:place]), Rows(git_folder, branch, lines[place:]))


def save(git_folder: Path, packed: str, samples: Iterable[Sample], others: Iterable[Sample]) -> None:
    """Keep it for the next command, where the archive is this user's own. What cannot be kept costs time, no more.

    ``packed``: as in Index; ``""`` where ``samples`` are not all that is packed.
    """
    lines = [_line(one) for one in samples]
    count = str(len(lines))
    body = "".join([*lines, *map(_line, others)]).encode("ascii")
    packed = packed or "none"
    head = f"{_HEAD} {_digest(packed, count, body)} {packed} {count}\n".encode("ascii")
    with contextlib.suppress(OSError):
        if git_folder.stat().st_uid != os.geteuid():
            return  # a file of root's, say, would be in its owner's way
        replace_file(git_folder / _NAME, head + body)


def lies(git_folder: Path, what: str) -> ArchiveError:
    """The error for an index that is whole, and wrong all the same: it is thrown away."""
    with contextlib.suppress(OSError):
        (git_folder / _NAME).unlink()
    return ArchiveError(
        f"the index of the archive's samples says {what}", hint="The index was thrown away. Run the command again."
    )


def _line(sample: Sample) -> str:
    time, stamp = _time_text(sample.time), sample.tag.rpartition("/")[2]
    return f"{sample.tag_id} {sample.commit} {sample.sequence} {time} {stamp}\n"


def _time_text(time: datetime) -> str:
    """As it stands in a line: of two such texts the earlier time is the smaller."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _digest(packed: str, count: str, body: bytes) -> str:
    return hashlib.blake2b(f"{packed} {count}\n".encode("ascii") + body, digest_size=32).hexdigest()
