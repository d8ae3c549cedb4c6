"""The authors of changes. A name that became known after a change was written is a note. The note takes precedence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gitsnap.core.model import CommitId

if TYPE_CHECKING:
    from gitsnap.core.changes import Author, Change


class Authors:
    """Who made each change, and the source of the name."""

    def __init__(self, read_notes: Callable[[], Mapping[CommitId, str]]) -> None:
        """``read_notes``: reads commit -> text of the notes when an author is first needed. May raise ArchiveError."""
        self._read_notes = read_notes
        self._notes: Mapping[CommitId, str] | None = None

    def of(self, change: Change) -> Author:
        """The author that the note of a change names, otherwise the author of its commit.

        Raises ArchiveError if the notes are damaged.
        """
        if self._notes is None:
            self._notes = self._read_notes()
        if change.commit not in self._notes:
            return change.author
        from gitsnap.format.change_message import parse_author_note

        return parse_author_note(self._notes[change.commit]) or change.author
