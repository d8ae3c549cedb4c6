"""Where each sample's tag is in the order of samples, so that a command need not read all tags to find one.

A text file beside the archive's objects: a tag's object id, and what that object says of its commit, number and time.
What an id stands for never changes, so an entry cannot become wrong; what a command says of a sample is read from the
tag all the same. It is no part of the archive (docs/FORMAT.md). This module must not read tags.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from gitsnap.model import CommitId, Sample

_NAME = "gitsnap-samples"
_HEAD = "gitsnap samples 1"


Entry = tuple[CommitId, int, datetime]
"""What the index knows of a tag: the commit that it points at, the sequence and the time of the sample."""


def load(git_folder: Path) -> Mapping[str, Entry]:
    """Tag's object id -> entry; nothing where there is no index, or one that is damaged or of another layout."""
    try:
        head, _, body = (git_folder / _NAME).read_bytes().partition(b"\n")
        if head != _head(body):
            return {}
        words = iter(body.decode("ascii").split())
        return {
            tag: (CommitId(commit), int(sequence), datetime.fromisoformat(time))
            for tag, commit, sequence, time in zip(words, words, words, words, strict=True)
        }
    except (OSError, ValueError):
        return {}


def save(git_folder: Path, samples: Iterable[Sample]) -> None:
    """Keep it for the next command, where the archive is this user's own. What cannot be kept costs time, no more."""
    body = "".join(f"{one.tag_id} {one.commit} {one.sequence} {_text(one.time)}\n" for one in samples).encode()
    with contextlib.suppress(OSError):
        if git_folder.stat().st_uid != os.geteuid():
            return  # a file of root's, say, would be in its owner's way
        descriptor, temporary = tempfile.mkstemp(prefix=f".{_NAME}-", dir=git_folder)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_head(body) + b"\n" + body)
            Path(temporary).replace(git_folder / _NAME)
        finally:
            Path(temporary).unlink(missing_ok=True)


def discard(git_folder: Path) -> None:
    """Throw it away."""
    with contextlib.suppress(OSError):
        (git_folder / _NAME).unlink()


def _head(body: bytes) -> bytes:
    return f"{_HEAD} {hashlib.sha256(body).hexdigest()}".encode()


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
