"""The states of an archive: its samples, and the configurations that the changes between the samples left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from gitsnap.core.model import CommitId, IncompleteKind, Sample, TagId

if TYPE_CHECKING:
    from gitsnap.core.changes import Author, Change

SHORT_ID = 12
"""The number of digits of a commit id that messages show."""

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


def is_commit_id(name: str) -> bool:
    """Whether a name in a record is that of a change, a whole commit id, and not the tag of a sample."""
    return _COMMIT_ID.fullmatch(name) is not None


def author_text(author: Author, *, late: bool) -> str:
    """``alice (audit)``, or ``unknown, seen late`` for a change that follow mode found afterwards."""
    return f"{author}, seen late" if late else str(author)


@dataclass(frozen=True, slots=True)
class ChangeState:
    """The configuration that a change left. Most questions about samples also apply to it."""

    change: Change
    author: Author
    """Who made the change, by a note or otherwise by the commit."""
    after: Sample | None
    """The sample before the change. None if retention removed all samples before the change."""
    order: tuple[int, datetime, str]
    """The sort key among samples and changes: by the position on the branch, not by the clock (``Sample.order``)."""

    @property
    def commit(self) -> CommitId:
        """The commit of the change."""
        return self.change.commit

    @property
    def tag(self) -> str:
        """The commit id: the name in the records of rollbacks and in plan files, where a sample has its tag."""
        return self.change.commit

    @property
    def tag_id(self) -> TagId:
        """The commit id, which pins the content as the tag object of a sample does."""
        return TagId(self.change.commit)

    @property
    def time(self) -> datetime:
        """The moment of the change, UTC, in whole seconds."""
        return self.change.time

    @property
    def moment(self) -> str:
        """The short name for commands: the first digits of the commit id."""
        return self.change.commit[:SHORT_ID]

    @property
    def date(self) -> str:
        """The date in tables, in the form that a sample has: ``2023-08-26:05:20:00``."""
        # Not strftime: it writes the year 5, from a clock that was never set, with one digit.
        return self.change.time.replace(tzinfo=None).isoformat(":", "seconds")

    @property
    def made(self) -> str:
        """``2026-11-30 04:12:07 UTC by alice (audit), seen late, after sample hourly/2026-11-30T04-00-00Z``."""
        author = author_text(self.author, late=self.change.late)
        place = f"after sample {self.after.tag}" if self.after else "before the first sample"
        return f"{self.date.replace(':', ' ', 1)} UTC by {author}, {place}"

    def __str__(self) -> str:
        """``change 3f2a1b9c0d1e of 2026-11-30 04:12:07 UTC by alice (audit), after sample hourly/…``."""
        return f"change {self.moment} of {self.made}"


State: TypeAlias = Sample | ChangeState
"""A configuration that an archive has: a sample, or the configuration that a change left."""


def cluster_of(state: State) -> str:
    """The uid of the kube-system namespace of the cluster."""
    return state.metadata.cluster if isinstance(state, Sample) else state.change.cluster


def name_state(state: State) -> str:
    """The name in messages: the tag of a sample, ``change 3f2a1b9c0d1e`` for a change."""
    return state.tag if isinstance(state, Sample) else f"change {state.moment}"


def policy_of(state: State) -> str:
    """The name of the snapshot policy."""
    return state.metadata.policy if isinstance(state, Sample) else state.change.policy


def incomplete_of(state: State) -> tuple[IncompleteKind, ...]:
    """The kinds and objects for which the state has only a substitute, sorted."""
    return state.metadata.incomplete if isinstance(state, Sample) else state.change.incomplete
