"""The commits of an archive and the files that they change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gitsnap.core.model import BlobId, CommitId

if TYPE_CHECKING:
    from gitsnap.core.changes import Change


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A changed file in the message of a commit."""

    action: str
    """``added``, ``modified`` or ``deleted``."""
    path: str
    """From the root of the tree, ``configuration/default/ConfigMap/database.yaml``."""
    manager: str = ""
    """The field manager that wrote the object last, ``""`` if unknown."""


@dataclass(frozen=True, slots=True)
class LoggedFile:
    """A changed file of an existing commit."""

    action: str
    """``added``, ``modified`` or ``deleted``."""
    path: str
    """From the root of the tree."""
    before: BlobId | None
    after: BlobId | None
    manager: str = ""
    """The field manager that wrote the object last, ``""`` if unknown."""


@dataclass(frozen=True, slots=True)
class LoggedCommit:
    """A commit and its changed files."""

    id: CommitId
    parent: CommitId | None
    """The parent commit, None for the first commit."""
    files: tuple[LoggedFile, ...]
    time: datetime | None = None
    """Time of the change, or of the sample of the commit. None for a commit that gitsnap did not make."""
    change: Change | None = None
    """The change that the commit records. None for any other commit."""
    problem: str = ""
    """Why the change that the commit records cannot be read."""
