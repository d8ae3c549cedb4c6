"""The record of pruned samples: it is read as it was written, and a damaged record is an error."""

from __future__ import annotations

import hashlib

import pytest

from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import TagId
from gitsnap.format import PrunedSample, PruneRecord, prune_record_from_bytes, prune_record_to_bytes, pruned_text

_ONE = PrunedSample("hourly/2026-01-01T12-00-00Z", TagId("a" * 40))
_TWO = PrunedSample("hourly/2026-01-01T12-00-00Z-2", TagId("b" * 40))


def test_a_record_is_read_as_it_was_written() -> None:
    """The samples are in the order of their tags."""
    content = prune_record_to_bytes(PruneRecord(17, (_TWO, _ONE)))

    assert prune_record_from_bytes(content) == PruneRecord(17, (_ONE, _TWO))
    assert content.decode().splitlines() == [
        "format 1",
        "since 17",
        f"{'a' * 40} hourly/2026-01-01T12-00-00Z",
        f"{'b' * 40} hourly/2026-01-01T12-00-00Z-2",
    ]


def test_the_digest_is_the_one_that_the_format_describes() -> None:
    """Everybody with the tags can compute it (docs/FORMAT.md)."""
    lines = b"".join(b"%s\0%s\n" % (sample.tag.encode(), sample.tag_id.encode()) for sample in (_ONE, _TWO))

    assert pruned_text([_TWO, _ONE]) == f"2 {hashlib.sha256(lines).hexdigest()}"
    assert pruned_text([]) == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"format 1", b"format 2\nsince 1\n", b"format 1\nsince never\n", b"format 1\nsince 1\nnonsense\n", b"\xff\n"],
)
def test_a_damaged_record_is_an_error(content: bytes) -> None:
    """A record that cannot be read must not count as a record without samples."""
    with pytest.raises(ArchiveError, match="pruned samples"):
        prune_record_from_bytes(content)
