"""The record of samples that a user removed with ``gitsnap forget`` (docs/FORMAT.md).

The tag of the next sample has one line ``Forgotten`` for each removal, and after this line one line
``Forgotten-Sample`` for each removed sample. Until then a blob holds the same lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby

from gitsnap.core.errors import ArchiveError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import TagId
from gitsnap.format.trailers import decode_text, encode_text, percent_encode

_REMOVAL, _SAMPLE = "Forgotten", "Forgotten-Sample"
"""The keys in a tag, without the prefix ``Gitsnap-``."""

_FORMAT = "format 1"
_REMOVAL_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) by:(?P<user>[!-~]*)(?: (?P<message>[ -~]*))?\Z", re.ASCII
)
_SAMPLE_LINE = re.compile(r"(?P<id>[0-9a-f]{40}) (?P<tag>[!-~]+)\Z")


def forgotten_lines(samples: Iterable[ForgottenSample]) -> tuple[tuple[str, str], ...]:
    """The keys and values for a tag, in the order of the removals."""
    lines = []
    for removal, removed in groupby(sorted(samples, key=lambda sample: (_removal(sample), sample)), key=_removal):
        lines.append((_REMOVAL, removal))
        lines += [(_SAMPLE, f"{sample.tag_id} {percent_encode(sample.tag)}") for sample in removed]
    return tuple(lines)


def parse_forgotten(lines: Iterable[tuple[str, str]]) -> tuple[ForgottenSample, ...]:
    """The inverse of ``forgotten_lines``, from the additional keys of a tag. Invalid lines are ignored."""
    samples = []
    removal: re.Match[str] | None = None
    for key, value in lines:
        if key == _REMOVAL:
            removal = _REMOVAL_LINE.match(value)
        elif key == _SAMPLE and removal is not None and (sample := _SAMPLE_LINE.match(value)):
            user, message = decode_text(removal["user"]), decode_text(removal["message"] or "")
            time = _parse_time(removal["time"])
            if time is not None:
                samples.append(ForgottenSample(decode_text(sample["tag"]), TagId(sample["id"]), time, user, message))
    return tuple(samples)


def forgotten_to_bytes(samples: Iterable[ForgottenSample]) -> bytes:
    """The content of the blob."""
    lines = (f"{key}: {value}\n" for key, value in forgotten_lines(samples))
    return f"{_FORMAT}\n{''.join(lines)}".encode()


def forgotten_from_bytes(content: bytes) -> tuple[ForgottenSample, ...]:
    """The inverse of ``forgotten_to_bytes``. Raises ArchiveError for a damaged record."""
    first, *lines = content.decode("utf-8", "replace").splitlines() or [""]
    pairs = [(key, value) for key, _, value in (line.partition(": ") for line in lines)]
    samples = parse_forgotten(pairs)
    if first != _FORMAT or forgotten_lines(samples) != tuple(pairs):
        raise ArchiveError(
            "the record of forgotten samples is damaged, or was written by a newer gitsnap",
            hint="Use a newer gitsnap. `git show refs/gitsnap/forgotten/BRANCH` shows the record.",
        )
    return samples


def _removal(sample: ForgottenSample) -> str:
    """The value of the line about the removal of a sample."""
    time = sample.time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    user = encode_text(sample.user).replace(" ", "%20")
    return f"{time}Z by:{user} {encode_text(sample.message)}".rstrip(" ")


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
