"""Reads the timeline of a period from an archive: each sample and change once, and each pair of them that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import Protocol

from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.model import Area, ChangeCounts, CommitId, Sample, SensitiveField, Trigger
from gitsnap.core.ports import Tree
from gitsnap.core.states import ChangeState, State
from gitsnap.diff.comparability import NOT_COMPARABLE
from gitsnap.diff.comparison import compare
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.diff.rows import Comparison
from gitsnap.format import path_of
from gitsnap.history.change_finder import ChangeArchive, Changes
from gitsnap.history.managed_clusters import managed_clusters
from gitsnap.history.moments import Period
from gitsnap.history.timeline import (
    Activity,
    DiffExcerpt,
    Limits,
    ManagedRow,
    ObjectRow,
    OlderChanges,
    PeriodChange,
    Scope,
    Timeline,
)
from gitsnap.history.timeline_gaps import find_gaps, follow_checks, incomplete_runs
from gitsnap.history.timeline_scope import ScopeFilter, profile_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.filters import Filters

_MOST_DAYS = 100
"""The longest period, in days, whose activity is given by day. A longer period has months."""


class RecordedPeriod(ChangeArchive, Protocol):
    """The archive that a timeline is read from."""

    def tree(self, state: State) -> Tree:
        """Return the tree of a sample or change. Raises ArchiveError."""

    def managers(self, commit: CommitId) -> Mapping[str, str]:
        """Return path -> field manager, for files that a commit changed. Raises ArchiveError."""


Progress = Callable[[str, int], None]
"""Called with a plural noun and the number read so far."""


def read_timeline(
    archive: RecordedPeriod,
    period: Period,
    scope: Scope,
    *,
    hidden: Sequence[SensitiveField] = (),
    limits: Limits = Limits(),  # noqa: B008 - the values are frozen
    progress: Progress = lambda _noun, _count: None,
) -> Timeline:
    """Read the timeline of a period.

    Args:
        archive: The archive.
        period: Only samples and changes of this period.
        scope: What the changes are limited to. The other parts of the timeline are about all samples of the period.
        hidden: Fields whose values are not shown where an older sample has them in plain text.
        limits: How much the timeline holds at most.
        progress: Is called for each pair of samples or changes that differ.

    Raises:
        ArchiveError: The tag of a sample cannot be read. A damaged tree is the ``problem`` of its change.
    """
    samples = list(archive.samples())  # in a list, the time of each sample is parsed once
    changes_of_archive = Changes(archive)
    history = _states(changes_of_archive, samples, period)
    states = [(before, state) for before, state in pairwise([None, *history]) if state and state.time in period]
    changed = [(before, state) for before, state in states if before and before.commit != state.commit]
    changes, visited = _read_changes(changed, _Comparer(archive, scope, tuple(hidden), limits), limits, progress)
    numbers = [number for number, sample in enumerate(samples) if sample.time in period]
    pairs = [(samples[number - 1] if number else None, samples[number]) for number in numbers]
    inside = [sample for _, sample in pairs]
    commits = {sample.tag for before, sample in pairs if before and before.commit != sample.commit}
    shown = {state.tag for _, state in changed}
    made = [state for _, state in states if isinstance(state, ChangeState)]
    runs = incomplete_runs(inside)
    gaps, interval = find_gaps(pairs, history)
    checks = follow_checks(inside)
    missed = [check for check in checks if check.missed]
    quiet = [sample for sample in reversed(inside) if sample.metadata.message and sample.tag not in shown]
    return Timeline(
        period,
        scope,
        first=inside[0] if inside else None,
        last=inside[-1] if inside else None,
        before=pairs[0][0] if pairs else None,
        samples=len(inside),
        commits=len(commits),
        made=len(made),
        unreadable=tuple(
            change for change in changes_of_archive.unreadable if change.time is None or change.time in period
        ),
        changes=tuple(changes),
        without_rows=visited - len(changes),
        older=_older(changed[: len(changed) - visited]),
        incomplete=tuple(runs[: limits.entries]),
        incomplete_left_out=max(len(runs) - limits.entries, 0),
        incomplete_samples=sum(bool(sample.metadata.incomplete) for sample in inside),
        gaps=tuple(sorted(gaps[: limits.entries], key=lambda gap: gap.before.order)),
        gaps_left_out=max(len(gaps) - limits.entries, 0),
        interval=interval,
        follow_checks=len(checks),
        missed=tuple(missed[: limits.entries]),
        missed_left_out=max(len(missed) - limits.entries, 0),
        removed=sum(_removed(before, sample) for before, sample in pairs if before),
        quiet=tuple(quiet[: limits.entries]),
        quiet_left_out=max(len(quiet) - limits.entries, 0),
        activity=tuple(_activity(inside, commits, made)),
        clusters=tuple(_clusters(archive, states[-1][1], Filters(clusters=scope.clusters))) if states else (),
        hidden=tuple(hidden),
    )


def _states(changes: Changes, samples: Sequence[Sample], period: Period) -> list[State]:
    """Return the samples and changes of a period, and those since the sample before the period; oldest first.

    Raises ArchiveError.
    """
    newest = accumulate((sample.time for sample in samples), max)  # the clock may have been set back
    earlier = {sample.tag for sample, time in zip(samples, newest, strict=True) if period.since and time < period.since}
    states: list[State] = []
    for state in changes.newest_first(samples):
        states.append(state)
        if state.tag in earlier:
            break
    return states[::-1]


def summarize(
    archive: RecordedPeriod,
    before: State,
    after: State,
    comparison: Comparison,
    *,
    hidden: Sequence[SensitiveField] = (),
    limits: Limits = Limits(),  # noqa: B008 - the values are frozen
) -> PeriodChange:
    """Return the comparison of any two states within limits, with the field managers of the newer one."""
    return _Comparer(archive, Scope(), tuple(hidden), limits).summarize(before, after, comparison)


def fields_to_leave_out(hidden: Iterable[SensitiveField], trees: Sequence[Tree]) -> tuple[SensitiveField, ...]:
    """Return the hidden fields whose values one of the trees has in plain text."""
    return tuple(field for field in hidden if not all(_hides(tree, field) for tree in trees))


def _read_changes(
    changed: Sequence[tuple[State, State]], comparer: _Comparer, limits: Limits, progress: Progress
) -> tuple[list[PeriodChange], int]:
    """Return the changes between pairs of states, newest first, and the number of pairs that were visited."""
    changes: list[PeriodChange] = []
    visited = compared = 0
    for before, sample in reversed(changed):
        if len(changes) == limits.changes or compared == limits.comparisons:
            break
        visited += 1
        progress("samples and changes", visited)
        if comparer.is_outside(before, sample):
            continue
        compared += 1
        if change := comparer.change(before, sample):
            changes.append(change)
    return changes, visited


class _Comparer:
    """Compares samples and changes with the previous state, and applies the limits on all changes together."""

    def __init__(
        self, archive: RecordedPeriod, scope: Scope, hidden: tuple[SensitiveField, ...], limits: Limits
    ) -> None:
        self._archive = archive
        self._filters = Filters(clusters=scope.clusters)
        self._scope = scope
        self._narrow = ScopeFilter(scope).narrow
        self._hidden = hidden
        self._limits = limits
        self._rows = limits.all_rows
        self._size = limits.diff_size

    def change(self, before: State, sample: State) -> PeriodChange | None:
        """Return the change, None if nothing changed that the scope asks for."""
        removed = _removed(before, sample)
        try:
            trees = self._archive.tree(before), self._archive.tree(sample)
            left_out = fields_to_leave_out(self._hidden, trees)
            comparison = compare(*trees, filters=self._filters, left_out=left_out)
            comparison = self._narrow(comparison, *trees, left_out)
        except (ArchiveError, InputError) as error:
            return PeriodChange(sample, before, removed_before=removed, problem=error.message)
        if not comparison and not _has_own_entry(comparison):
            return None
        return replace(self.summarize(before, sample, comparison), removed_before=removed)

    def is_outside(self, before: State, sample: State) -> bool:
        """Return whether the files show that no object of the scope changed. Only objects have known files."""
        if not self._scope.objects or self._scope.profiles:
            return False
        try:
            sides = [self._archive.tree(each).files(Area.CONFIGURATION) for each in (before, sample)]
            return all(len({side.get(path_of(key)) for side in sides}) == 1 for key in self._scope.objects)
        except ArchiveError:  # the comparison reports the damage
            return False

    def summarize(self, before: State, sample: State, comparison: Comparison) -> PeriodChange:
        """Return the rows and the diffs of a comparison, as far as the limits allow."""
        managed = _grouped(comparison)
        objects = self._object_rows(sample, comparison)
        kept_objects = objects[: min(self._limits.rows, self._rows)]
        self._rows -= len(kept_objects)
        kept = managed[: min(self._limits.rows, self._rows)]
        self._rows -= len(kept)
        diffs = list(comparison.raw_diffs(before.tag, sample.tag))
        excerpts = tuple(self._excerpts(diffs))
        changed = {row.key for row in comparison.management if row.key.kind in kinds.PROFILE_KINDS}
        redeployed = {profile for row in comparison.rows if (profile := profile_of(row)) is not None}
        reached = {profile for _, profile in comparison.reached if profile.kind in kinds.PROFILE_KINDS}
        return PeriodChange(
            sample,
            before,
            managed=tuple(kept),
            managed_left_out=len(managed) - len(kept),
            objects=tuple(kept_objects),
            objects_left_out=len(objects) - len(kept_objects),
            diffs=excerpts,
            diffs_left_out=len(diffs) - len(excerpts),
            not_comparable=comparison.not_comparable[: self._limits.rows],
            not_comparable_left_out=max(len(comparison.not_comparable) - self._limits.rows, 0),
            clusters=tuple(sorted({cluster for row in managed for cluster in row.clusters})),
            profiles=tuple(sorted(changed | redeployed | reached)),
        )

    def _object_rows(self, state: State, comparison: Comparison) -> list[ObjectRow]:
        managers = self._archive.managers(state.commit) if comparison.management else {}
        change = state if isinstance(state, ChangeState) else None
        return [
            ObjectRow(
                row.key,
                row.action,
                row.message,
                managers.get(f"{Area.CONFIGURATION}/{path_of(row.key)}", ""),
                author=change.author if change else None,
                late=change is not None and change.change.late,
            )
            for row in comparison.management
        ]

    def _excerpts(self, diffs: Iterable[RawDiff]) -> Iterator[DiffExcerpt]:
        for diff in diffs:
            if self._size <= 0:
                return
            lines = diff.text.removesuffix("\n").split("\n")[2:]
            kept, shortened = [], 0
            for line in lines[: self._limits.lines]:
                if self._size <= 0:
                    break
                is_long = len(line) > self._limits.line_length
                shortened += is_long
                kept.append(f"{line[: self._limits.line_length]} …" if is_long else line)
                self._size -= len(kept[-1]) + 1
            yield DiffExcerpt(diff.title, tuple(kept), len(lines) - len(kept), shortened)


def _hides(tree: Tree, field: SensitiveField) -> bool:
    return field in tree.info.secrets.sensitive_fields


def _has_own_entry(comparison: Comparison) -> bool:
    """Return whether a comparison without rows is an entry. What a sample could not read is an ``IncompleteRun``."""
    return any(entry.reason != NOT_COMPARABLE for entry in comparison.not_comparable)


def _grouped(comparison: Comparison) -> list[ManagedRow]:
    """Return the rows of managed clusters, one for all clusters with the same change; sorted."""
    clusters: dict[tuple[str, str, str, str, str], set[str]] = {}
    actions = {}
    for row in comparison.rows:
        group = row.resource_type, row.namespace, row.name, str(row.action), row.note
        clusters.setdefault(group, set()).add(row.cluster)
        actions[group] = row.action
    return [
        ManagedRow(*group[:3], actions[group], group[4], tuple(sorted(clusters[group]))) for group in sorted(clusters)
    ]


def _older(pairs: Sequence[tuple[State, State]]) -> OlderChanges | None:
    if not pairs:
        return None
    samples = [state for _, state in pairs if isinstance(state, Sample)]
    counts = [sample.metadata.changes for sample in samples] if len(samples) == len(pairs) else []
    total = ChangeCounts(
        sum(count.added for count in counts),
        sum(count.modified for count in counts),
        sum(count.deleted for count in counts),
    )
    return OlderChanges(pairs[0][1], pairs[-1][1], len(pairs), total)


def _removed(before: State, state: State) -> int:
    """Return the number of samples between two consecutive states that were removed from the archive."""
    return max(state.sequence - _sequence(before) - 1, 0) if isinstance(state, Sample) else 0


def _sequence(state: State) -> int:
    """Return the number of a sample, or of the sample before a change; 0 if there is none."""
    sample = state if isinstance(state, Sample) else state.after
    return sample.sequence if sample else 0


def _clusters(archive: RecordedPeriod, state: State, filters: Filters) -> list[str]:
    """Return the managed clusters of a state that pass the filters, sorted. Empty if the tree is damaged."""
    try:
        known = managed_clusters(archive.tree(state))
    except ArchiveError:  # the comparison reports the damage
        return []
    return sorted(str(cluster) for cluster in known if filters.wants_cluster(cluster))


def _activity(samples: Sequence[Sample], changed: set[str], made: Sequence[ChangeState]) -> list[Activity]:
    """Return the activity by day, or by month for a long period; oldest first."""
    days = sorted([*(sample.time.date() for sample in samples), *(change.time.date() for change in made)])
    if not days:
        return []
    by_day = (days[-1] - days[0]).days < _MOST_DAYS
    counts = {label: [0, 0, 0, 0, 0] for label in (_days if by_day else _months)(days[0], days[-1])}
    length = len("2026-01-01" if by_day else "2026-01")
    for sample in samples:
        count = counts[sample.time.date().isoformat()[:length]]
        count[0] += 1
        count[1] += sample.tag in changed
        count[2] += bool(sample.metadata.incomplete)
        count[3] += sample.metadata.trigger is Trigger.BEFORE_ROLLBACK
    for change in made:
        counts[change.time.date().isoformat()[:length]][4] += 1
    return [Activity(label, *count) for label, count in counts.items()]


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=day)).isoformat() for day in range((last - first).days + 1)]


def _months(first: date, last: date) -> list[str]:
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in months]
