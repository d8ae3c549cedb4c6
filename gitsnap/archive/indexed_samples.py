"""Samples that the index of samples names (``sample_index``). What a command does not use is not read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gitsnap.archive.sample_index import Row, Rows, commit_of, tag_id_of
from gitsnap.core.model import CommitId, Sample, SampleMetadata, TagId

MetadataReader = Callable[[Sample], SampleMetadata]
"""Reads the metadata of a sample from its tag. Raises ArchiveError."""


class IndexedSample(Sample):
    """A sample that the index names. Its metadata is read from the tag when it is first used.

    Most commands read the tags of two samples among thousands.
    """

    __slots__ = ("_parsed_row", "_read_metadata")
    _parsed_row: Row
    _read_metadata: MetadataReader

    def __init__(self, row: Row, read_metadata: MetadataReader) -> None:
        set_value = object.__setattr__  # the class is frozen
        set_value(self, "tag", row[2])
        set_value(self, "tag_id", row[3])
        set_value(self, "commit", row[4])
        set_value(self, "_parsed_row", row)
        set_value(self, "_read_metadata", read_metadata)

    @property
    def metadata(self) -> SampleMetadata:
        """The content of the tag. Raises ArchiveError where the tag cannot be read, or differs from the index."""
        return self._read_metadata(self)

    @property
    def sequence(self) -> int:
        """The position in the order of samples, from the index."""
        return self._row[0]

    @property
    def time(self) -> datetime:
        """The moment of the capture, from the index."""
        return self._row[1]

    @property
    def _row(self) -> Row:
        return self._parsed_row


class LineSample(IndexedSample):
    """A sample that a line of the index names. The line is parsed when it is used: `list` needs the names alone."""

    __slots__ = ("_line", "_rows")
    _line: str
    _rows: Rows

    def __init__(self, line: str, rows: Rows, read_metadata: MetadataReader) -> None:
        set_value = object.__setattr__  # the class is frozen
        set_value(self, "_line", line)
        set_value(self, "_rows", rows)
        set_value(self, "_read_metadata", read_metadata)

    @property
    def tag(self) -> str:
        """The full name of the tag."""
        return self._rows.tag(self._line)

    @property
    def tag_id(self) -> TagId:
        """The id of the tag object."""
        return tag_id_of(self._line)

    @property
    def commit(self) -> CommitId:
        """The commit that the tag points at."""
        return commit_of(self._line)

    @property
    def _row(self) -> Row:
        try:
            return self._parsed_row
        except AttributeError:  # the first use: the slot has no value yet
            row = self._rows.row(self._line)
            object.__setattr__(self, "_parsed_row", row)
            return row
