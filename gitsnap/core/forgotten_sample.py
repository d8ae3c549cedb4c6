"""The record of a sample that a user removed with ``gitsnap forget``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gitsnap.core.model import TagId


@dataclass(frozen=True, slots=True, order=True)
class ForgottenSample:
    """A sample that a user removed."""

    tag: str
    tag_id: TagId
    time: datetime
    """When the sample was removed: UTC, in whole seconds."""
    user: str = ""
    """The user of the operating system, ``""`` if unknown."""
    message: str = ""
    """The reason that the user gave."""

    @property
    def removal(self) -> str:
        """``by alice on 2026-01-01 12:00:00 UTC: CHG-1042``."""
        by = f"by {self.user} " if self.user else ""
        reason = f": {self.message}" if self.message else ""
        return f"{by}on {self.time:%Y-%m-%d %H:%M:%S} UTC{reason}"
