"""The values of changes: commits between two samples that follow mode writes (docs/FORMAT.md, "Changes")."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from gitsnap.core.model import CommitId, IncompleteKind, ObjectKey


class AuthorSource(enum.StrEnum):
    """Where the name of an author comes from, by descending trust."""

    AUDIT = "audit"
    """An audit event of the API server."""
    STAMP = "stamp"
    """The annotation that an admission policy sets from ``request.userInfo``."""
    MANAGER = "manager"
    """The field manager of the newest entry of ``managedFields``: the name of a program."""
    UNKNOWN = "unknown"


class Who(enum.StrEnum):
    """Which authors follow mode records (``spec.follow.who``)."""

    NONE = "none"
    """No author and no field manager."""
    MANAGER = "manager"
    """Field managers, which are names of programs. No names of users."""
    PSEUDONYM = "pseudonym"
    """As ``full``, with a pseudonym in place of the name of each person (docs/FORMAT.md)."""
    FULL = "full"
    """Names of users where they are known, otherwise field managers."""


@dataclass(frozen=True, slots=True, order=True)
class Author:
    """Who made a change."""

    name: str
    """``""`` exactly if the source is ``unknown``."""
    source: AuthorSource

    def __str__(self) -> str:
        """``alice (audit)``, ``kubectl-edit (manager)`` or ``unknown``, on one line whatever the name contains."""
        if self.source is AuthorSource.UNKNOWN:
            return str(self.source)
        name = self.name.replace("\n", "\\n")
        return f"{name} ({self.source})"


UNKNOWN_AUTHOR = Author("", AuthorSource.UNKNOWN)


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """The highest resource version that a change contains."""

    version: str
    resource: str = ""
    """``deployments.apps``, if the API group of the resource has its own versions; ``""`` for all other resources."""


@dataclass(frozen=True, slots=True, order=True)
class ChangedObject:
    """An object of a change. Uid and resource version are the join key for audit events."""

    key: ObjectKey
    uid: str = ""
    """``""`` if unknown."""
    resource_version: str = ""
    """The version that the change wrote; of a deletion the version of the deletion. ``""`` if unknown."""


@dataclass(frozen=True, slots=True)
class UnreadableChange:
    """A commit between samples that cannot be read as a change."""

    commit: CommitId
    problem: str
    """What is wrong with the commit, in a sentence that names it."""
    time: datetime | None = None
    """The author date of the commit, UTC. None if the commit is missing: the history ends there."""

    def __str__(self) -> str:
        """``the change 3f2a1b9c0d1e is not valid: …``."""
        return self.problem


@dataclass(frozen=True, slots=True)
class Change:
    """A commit that follow mode wrote: what one author changed at one moment."""

    commit: CommitId
    parent: CommitId | None
    author: Author
    """As the commit names the author. Notes in ``refs/notes/gitsnap-authors`` may have a better name."""
    time: datetime
    """The moment of the change, UTC, in whole seconds."""
    revisions: tuple[Revision, ...]
    """At least one."""
    late: bool
    """Whether follow mode found the change afterwards, by a list. Its moment is then that of the list."""
    objects: tuple[ChangedObject, ...]
    """Sorted. Empty for a change of more than 500 objects."""
    message: str
    """The whole message of the commit."""
    policy: str = ""
    cluster: str = ""
    """Uid of the kube-system namespace of the cluster."""
    incomplete: tuple[IncompleteKind, ...] = ()
    """The kinds and objects that follow mode could not read, sorted."""

    @property
    def subject(self) -> str:
        """The first line of the message: ``hourly: 1 ConfigMap modified``."""
        return self.message.partition("\n")[0]
