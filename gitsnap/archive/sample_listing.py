"""The samples of an archive, and whether newer samples may exist that this copy lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.reader import Listing, Problems, SampleReader, Samples, newest
from gitsnap.core.errors import ArchiveError

if TYPE_CHECKING:
    from gitsnap.archive.completeness import MissingPart

_HIDING = ("samples", "refs")
"""Missing parts that may hide samples (completeness.MissingPart)."""


class SampleListing:
    """The samples of an archive, read again when its refs change."""

    def __init__(self, repository: pygit2.Repository, branch: str, folder: Path) -> None:
        """``folder``: the archive in messages."""
        self._repository = repository
        self._branch = branch
        self._folder = folder
        self._reader = SampleReader(repository, branch)

    def read(self) -> Listing:
        """All samples, oldest first, and the tags that cannot be read as samples."""
        samples, problems = self._reader.read()
        samples.find_incomplete_reason = lambda: self._incomplete_reason(samples, problems)
        return samples, problems

    def _incomplete_reason(self, samples: Samples, problems: Problems) -> str:
        """Why the newest sample may not be here; ``""`` for no reason. Missing contents or history hide no samples."""
        lacking = [str(part) for part in self.missing_parts() if not samples or part.category in _HIDING]
        return "; ".join([*lacking, *_damaged_newest(samples, problems)])

    def missing_parts(self) -> list[MissingPart]:
        """The parts of the archive that this copy lacks; none for a complete archive."""
        samples, _ = self.read()
        missing = self._missing_parts(samples)
        if missing and (again := self.read()[0]) is not samples:
            return self._missing_parts(again)  # a concurrent capture has created its tag in the meantime
        return missing

    def _missing_parts(self, samples: Samples) -> list[MissingPart]:
        from gitsnap.archive.missing_samples import find_missing_parts

        damaged_line = self._reader.damaged_line
        try:
            last = newest(samples)
            return find_missing_parts(self._repository, self._branch, samples, last, damaged_line=damaged_line)
        except ArchiveError:  # a damaged ref or tag, which ``verify`` reports
            return []

    def check_complete(self) -> None:
        """Raise ArchiveError if samples may exist that are not here."""
        for damaged in _damaged_newest(*self.read()):
            raise ArchiveError(f"no sample of {self._folder} can be removed: {damaged}", hint=DAMAGED)
        for part in self.missing_parts():
            if part.category in _HIDING:
                raise ArchiveError(
                    f"no sample of {self._folder} can be removed: {part.message}",
                    hint=f"Fetch them: `{part.command}`." if part.command else DAMAGED,
                )


def _damaged_newest(samples: Samples, problems: Problems) -> list[str]:
    """A message if a damaged tag has a later name than the newest sample. The tag may be that of a newer sample."""
    damaged = [problem for problem in problems if problem.damaged and (not samples or problem.tag > samples[-1].tag)]
    return [f"samples may be missing: {problem.reason}" for problem in damaged[-1:]]
