"""The index of samples: an archive's tags in the order of samples, so that commands need not read all tag objects.

The index is a text file in the git directory. It has a line for each tag, with the id of the tag object, and the
commit, the sequence number and the time from that object. An object id always stands for the same content, so a line
never becomes outdated. The metadata that a command prints is read from the tag itself. The index is not part of the
archive (docs/FORMAT.md). This module must not read tags.
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
_LAYOUT = "gitsnap samples 2"

Row = tuple[int, datetime, str, TagId, CommitId]
"""Sequence, time, tag name, tag object id and commit of a sample. Rows sort in the order of samples (Sample.order)."""


class Rows(Sequence[Row]):
    """The rows of some lines. A line is parsed when its row is used: most commands use few of tens of thousands."""

    def __init__(self, git_folder: Path, branch: str, lines: Sequence[str]) -> None:
        self._git_folder = git_folder
        self._branch = branch
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, position: int) -> Row: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Row]: ...
    def __getitem__(self, position: int | slice) -> Row | Sequence[Row]:
        """The row at a position, or the rows of a slice. Raises ArchiveError for a malformed line."""
        if isinstance(position, slice):
            return [self.row(line) for line in self.lines[position]]
        return self.row(self.lines[position])

    def __iter__(self) -> Iterator[Row]:
        return map(self.row, self.lines)

    def __reversed__(self) -> Iterator[Row]:
        return map(self.row, reversed(self.lines))

    def commits(self) -> list[CommitId]:
        """The commit of each row, in the order of rows."""
        return [commit_of(line) for line in self.lines]

    def until(self, moment: datetime) -> Row | None:
        """The last row, in the order of rows, whose time is not after a moment; None for none."""
        text = _time_text(moment)
        return next((self.row(line) for line in reversed(self.lines) if line.split(" ", 4)[3:4] <= [text]), None)

    def has_any(self, names: Iterable[str]) -> bool:
        """Whether a row has one of the names of tags of the branch."""
        stamps = {name.removeprefix(f"{self._branch}/") for name in names}
        return not stamps.isdisjoint(line.rpartition(" ")[2] for line in self.lines)

    def tag(self, line: str) -> str:
        """The name of the tag of a line."""
        return f"{self._branch}/{line[line.rindex(' ') + 1 :]}"

    def row(self, line: str) -> Row:
        """The row of a line. Raises ArchiveError for a malformed line."""
        try:
            tag_id, commit, sequence, time, stamp = line.split(" ")
            moment = datetime.fromisoformat(time)
            return int(sequence), moment, f"{self._branch}/{stamp}", TagId(tag_id), CommitId(commit)
        except ValueError:
            raise corrupt_index(self._git_folder, "a line that gitsnap did not write") from None


def tag_id_of(line: str) -> TagId:
    """The id of the tag object of a line."""
    return TagId(line[:40])


def commit_of(line: str) -> CommitId:
    """The commit of a line."""
    return CommitId(line[41:81])


@dataclass(frozen=True, slots=True)
class Index:
    """The content of the index."""

    packed: str
    """``Refs.packed_digest`` of the refs that ``rows`` was made from; no digest where ``rows`` is incomplete."""
    rows: Rows
    """Every sample that had a packed ref, in the order of samples."""
    others: Rows
    """Samples that had a loose ref."""


def load(git_folder: Path, branch: str) -> Index:
    """Read the index. Returns an empty one where the file is missing, damaged or of another layout."""
    packed = ""
    lines: list[str] = []
    split = 0
    with contextlib.suppress(OSError, ValueError):
        head, _, body = (git_folder / _NAME).read_bytes().partition(b"\n")
        layout, digest, packed_digest, count = head.decode("ascii").rsplit(" ", 3)
        if layout == _LAYOUT and digest == _digest(packed_digest, count, body):
            packed, lines, split = packed_digest, body.decode("ascii").splitlines(), int(count)
    return Index(packed, Rows(git_folder, branch, lines[:split]), Rows(git_folder, branch, lines[split:]))


def save(git_folder: Path, packed: str, samples: Iterable[Sample], others: Iterable[Sample]) -> None:
    """Write the index, if this user owns the archive. A failure is ignored: the next command only takes longer.

    ``packed``: ``Refs.packed_digest`` of the refs of ``samples``; ``""`` where ``samples`` lacks a packed sample.
    ``others``: samples with loose refs.
    """
    lines = [_line(sample) for sample in samples]
    count = str(len(lines))
    body = "".join([*lines, *map(_line, others)]).encode("ascii")
    packed = packed or "none"
    head = f"{_LAYOUT} {_digest(packed, count, body)} {packed} {count}\n".encode("ascii")
    with contextlib.suppress(OSError):
        if git_folder.stat().st_uid != os.geteuid():
            return  # the owner could not read a file of another user
        replace_file(git_folder / _NAME, head + body)


def corrupt_index(git_folder: Path, content: str) -> ArchiveError:
    """Delete an index that has a valid digest and wrong content, and return the error. ``content``: for the message."""
    with contextlib.suppress(OSError):
        (git_folder / _NAME).unlink()
    return ArchiveError(
        f"the index of the archive's samples holds {content}", hint="The index was deleted. Run the command again."
    )


def _line(sample: Sample) -> str:
    time, stamp = _time_text(sample.time), sample.tag.rpartition("/")[2]
    return f"{sample.tag_id} {sample.commit} {sample.sequence} {time} {stamp}\n"


def _time_text(time: datetime) -> str:
    """A time as written in a line. These texts sort by time."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _digest(packed: str, count: str, body: bytes) -> str:
    return hashlib.blake2b(f"{packed} {count}\n".encode("ascii") + body, digest_size=32).hexdigest()
