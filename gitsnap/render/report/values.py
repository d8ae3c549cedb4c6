"""The values that a report is rendered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gitsnap.history.timeline import Timeline
from gitsnap.rollback.records import PastRollback


class Finding(Protocol):
    """A result of a verification (``gitsnap.archive.findings.Finding``)."""

    @property
    def wrong(self) -> bool:
        """True for an error, False for a note."""

    @property
    def subject(self) -> str:
        """A tag, a commit, a branch or a part of the repository."""

    @property
    def message(self) -> str:
        """The error or the note."""


@dataclass(frozen=True, slots=True)
class ArchiveProof:
    """What was verified of the archive, and the result."""

    samples: int
    """All samples of the archive, also outside of the period."""
    findings: Sequence[Finding] = ()
    """Errors, then notes."""
    is_whole: bool = False
    """Whether the whole archive was verified, as ``gitsnap verify`` does, rather than the chain of samples."""
    is_signed: bool = False
    """Whether the last sample of the period has a signature."""
    signers: str = ""
    """SHA-256 of the file of allowed signers that the signature was checked with, ``""`` if it was not checked."""
    signature_problem: str = ""
    """Why no key in that file made the signature, ``""`` if one did."""
    missing: Sequence[str] = ()
    """The parts of the archive that this copy lacks."""

    @property
    def errors(self) -> Sequence[Finding]:
        """The findings that are errors."""
        return [finding for finding in self.findings if finding.wrong]

    @property
    def notes(self) -> Sequence[Finding]:
        """The findings that are not errors."""
        return [finding for finding in self.findings if not finding.wrong]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report shows."""

    branch: str
    """The branch of the archive, which is also the prefix of its tags."""
    timeline: Timeline
    period: str
    """The samples of the period, or the samples nearest to it, in words."""
    rollbacks: Sequence[PastRollback]
    """The rollbacks of the period that concern the scope, oldest first."""
    proof: ArchiveProof
    version: str
    """The version of gitsnap."""
    rollbacks_left_out: int = 0
    """The rollbacks of the period that changed no object of the scope."""
