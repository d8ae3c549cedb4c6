"""The timeline of a period: what changed, when, where, by whom and why. Frozen values that a report shows.

A timeline is bounded by ``Limits``. It counts everything that a limit leaves out, so that a report can name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gitsnap.core.changes import Author, UnreadableChange
from gitsnap.core.model import ChangeCounts, IncompleteKind, ObjectKey, Sample, SensitiveField
from gitsnap.core.states import State
from gitsnap.diff.rows import Action, NotComparable
from gitsnap.history.moments import Period


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a timeline holds at most. The newest changes come first."""

    changes: int = 300
    """Changes with rows and diffs."""
    comparisons: int = 2_000
    """Pairs of samples that are compared to find these changes. Pairs whose files show that no object of the scope
    changed are not counted."""
    rows: int = 60
    """Rows of each table of a change, and entries that are not comparable."""
    all_rows: int = 3_000
    """Rows of all changes together."""
    lines: int = 200
    """Lines of the diff of one document."""
    line_length: int = 500
    """Characters of a line of a diff."""
    diff_size: int = 400_000
    """Characters of all diffs together."""
    entries: int = 200
    """Entries of each of the other lists: incomplete kinds, gaps and quiet samples."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a timeline is limited to. Empty fields stand for everything."""

    clusters: tuple[str, ...] = ()
    """Managed clusters, as ``Filters`` takes them."""
    profiles: tuple[ObjectKey, ...] = ()
    objects: tuple[ObjectKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.clusters or self.profiles or self.objects)


@dataclass(frozen=True, slots=True)
class ManagedRow:
    """A resource or a release that changed in the same way in one or more managed clusters."""

    resource_type: str
    """``apps/Deployment``, ``/Service``, or ``helm release``."""
    namespace: str
    name: str
    action: Action
    note: str
    """As ``DiffRow.note``."""
    clusters: tuple[str, ...]
    """Sorted."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object of the management cluster that changed."""

    key: ObjectKey
    action: Action
    message: str
    manager: str
    """The field manager that wrote the object last, ``""`` if unknown."""
    author: Author | None = None
    """Who made the change between samples; None for what a sample shows."""
    late: bool = False
    """Whether follow mode found that change afterwards."""


@dataclass(frozen=True, slots=True)
class DiffExcerpt:
    """The diff of one document, without its two header lines."""

    title: str
    """``/Service test/redis-follower``."""
    lines: tuple[str, ...]
    left_out: int = 0
    """Lines that are not in ``lines``."""
    shortened: int = 0
    """Lines that are too long and end with a mark."""


@dataclass(frozen=True, slots=True)
class PeriodChange:
    """The rows of a sample or change, compared with the sample or change before it or with another one."""

    sample: State
    before: State
    managed: tuple[ManagedRow, ...] = ()
    managed_left_out: int = 0
    objects: tuple[ObjectRow, ...] = ()
    objects_left_out: int = 0
    diffs: tuple[DiffExcerpt, ...] = ()
    diffs_left_out: int = 0
    """Documents that changed and have no diff here."""
    not_comparable: tuple[NotComparable, ...] = ()
    not_comparable_left_out: int = 0
    clusters: tuple[str, ...] = ()
    """All managed clusters with a row, sorted."""
    profiles: tuple[ObjectKey, ...] = ()
    """All profiles that changed, that were redeployed, or whose deployments the change may reach; sorted."""
    removed_before: int = 0
    """Samples between ``before`` and ``sample`` that were removed from the archive."""
    problem: str = ""
    """Why the two samples could not be compared, ``""`` if they were."""


@dataclass(frozen=True, slots=True)
class IncompleteRun:
    """A kind or an object that consecutive samples could not read."""

    incomplete: IncompleteKind
    first: Sample
    last: Sample
    samples: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Two consecutive samples with a much longer time between them than between most samples of the period."""

    before: Sample
    after: Sample
    changes: int = 0
    """Changes between the two samples that follow mode recorded."""

    @property
    def seconds(self) -> int:
        """The time between the samples."""
        return int((self.after.time - self.before.time).total_seconds())


@dataclass(frozen=True, slots=True)
class FollowCheck:
    """A sample that was compared with the changes that follow mode recorded before the sample."""

    sample: Sample
    missed: int
    """Objects whose configuration differs from the changes."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The samples and changes of one day, or of one month of a long period."""

    label: str
    """``2023-08-26`` or ``2023-08``."""
    samples: int = 0
    changed: int = 0
    """Samples whose commit is another one than that of the sample before."""
    incomplete: int = 0
    rollbacks: int = 0
    made: int = 0
    """Changes between samples that follow mode recorded."""

    @property
    def changes(self) -> int:
        """The number of samples with changes, and of changes between samples."""
        return self.changed + self.made


@dataclass(frozen=True, slots=True)
class OlderChanges:
    """The samples and changes of the period that were not compared, because the limits were reached."""

    first: State
    last: State
    samples: int
    """The number of samples and changes."""
    counts: ChangeCounts
    """Objects that they record as changed; zeros if changes between samples are included, which record less."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The timeline of a period."""

    period: Period
    scope: Scope
    first: Sample | None = None
    """The first sample of the period, None if the period has no sample."""
    last: Sample | None = None
    before: Sample | None = None
    """The sample before the first sample, None if that is the first sample of the archive."""
    samples: int = 0
    commits: int = 0
    """Samples whose commit is another one than that of the sample before."""
    changes: tuple[PeriodChange, ...] = ()
    """Newest first."""
    without_rows: int = 0
    """Compared samples and changes in which nothing of the scope changed: only reports of Sveltos, settings or hidden
    values."""
    made: int = 0
    """Changes between samples that follow mode recorded in the period."""
    unreadable: tuple[UnreadableChange, ...] = ()
    """Changes that cannot be read. The next sample or change has what they changed."""
    older: OlderChanges | None = None
    """None if all samples and changes were compared."""
    incomplete: tuple[IncompleteRun, ...] = ()
    incomplete_left_out: int = 0
    incomplete_samples: int = 0
    gaps: tuple[Gap, ...] = ()
    """The longest gaps, oldest first."""
    gaps_left_out: int = 0
    interval: int = 0
    """The median of the seconds between consecutive samples; 0 if the period has less than three of these times."""
    follow_checks: int = 0
    """Samples that were compared with the changes of follow mode."""
    missed: tuple[FollowCheck, ...] = ()
    """Those of them that differed, oldest first."""
    missed_left_out: int = 0
    removed: int = 0
    """Samples between the samples of the period that were removed from the archive."""
    quiet: tuple[Sample, ...] = ()
    """Samples with a message in which no configuration changed; newest first."""
    quiet_left_out: int = 0
    activity: tuple[Activity, ...] = ()
    """Oldest first; days without samples are included."""
    clusters: tuple[str, ...] = ()
    """The managed clusters of the scope in the last sample or change of the period, sorted."""
    hidden: tuple[SensitiveField, ...] = ()
    """Fields that the policy hides now, and whose values are left out of older samples that hold them in plain text."""

    @property
    def start(self) -> datetime | None:
        """The time of the first sample or change of the timeline. None for a period without samples and changes."""
        return min(self._times(), default=None)

    @property
    def end(self) -> datetime | None:
        """The time of the last sample or change of the timeline. Follow mode records changes after the last sample."""
        return max(self._times(), default=None)

    def _times(self) -> Iterator[datetime]:
        yield from (sample.time for sample in (self.first, self.last) if sample)
        yield from (change.sample.time for change in self.changes)
