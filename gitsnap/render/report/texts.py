"""Texts of a report that need more than a template: who wrote an object, what the report leaves out, commands."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from gitsnap.core.model import IncompleteKind, ObjectKey
from gitsnap.core.states import ChangeState, State, author_text, incomplete_of
from gitsnap.core.text import describe, plural, time_text
from gitsnap.history.timeline import Activity, ObjectRow, OlderChanges, PeriodChange, Timeline
from gitsnap.render.report.values import Report
from gitsnap.rollback.records import PastRollback

_RESULTS = {
    "done": "done",
    "nothing-written": "nothing written",
    "taken-back": "reverted",
    "": "not finished",
}
"""How a rollback ended -> the words for it."""


def author(row: ObjectRow) -> str:
    """Return who wrote an object, for the end of its row: ``by alice (audit)``, ``by kubectl-edit``.

    ``""`` if a sample does not tell. This is the only place that decides how an author is named.
    """
    name = author_text(row.author, late=row.late) if row.author else row.manager
    return f"by {name}" if name else ""


def authors(change: PeriodChange) -> list[str]:
    """Return who wrote the objects of a change, each once, in the order of the rows."""
    state = change.sample
    if isinstance(state, ChangeState):  # it may change reports of Sveltos only, and then it has no rows
        return [f"by {author_text(state.author, late=state.change.late)}"]
    return list(dict.fromkeys(filter(None, map(author, change.objects))))


def anchor(state: State) -> str:
    """Return the id of a change in the page: letters, digits and hyphens only.

    It is made of the last part of the tag of a sample, or of the commit id of a change between samples.
    """
    return f"c-{state.tag.rpartition('/')[2]}"


def tag(state: State) -> str:
    """Return the tag of a sample; ``""`` for a change, which has none."""
    return "" if isinstance(state, ChangeState) else state.tag


def trigger(state: State) -> str:
    """Return why a sample was taken; ``change`` for a change that follow mode recorded."""
    return "change" if isinstance(state, ChangeState) else str(state.metadata.trigger)


def message(state: State) -> str:
    """Return the message of a sample; ``""`` for a change."""
    return "" if isinstance(state, ChangeState) else state.metadata.message


def incomplete(state: State) -> tuple[IncompleteKind, ...]:
    """Return the kinds and objects that a sample or change could not read."""
    return incomplete_of(state)


def counted(count: int, timeline: Timeline, word: str = "") -> str:
    """Return a number of samples: ``2 older samples``; ``2 older samples and changes`` if the period has both."""
    adjective = f"{word} " if word else ""
    if not timeline.made:
        return plural(count, f"{adjective}sample")
    return f"1 {adjective}sample or change" if count == 1 else f"{count} {adjective}samples and changes"


def day(time: datetime) -> str:
    """``2023-08-26``, in UTC."""
    return time.astimezone(UTC).date().isoformat()


def weekday(time: datetime) -> str:
    """``Saturday``. Not strftime, which depends on the locale."""
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return names[time.astimezone(UTC).weekday()]


def clock(time: datetime) -> str:
    """``05:20:00``, in UTC."""
    return time.astimezone(UTC).time().isoformat("seconds")


def moment(time: datetime) -> str:
    """``2023-08-26 05:20:00``, in UTC."""
    return f"{day(time)} {clock(time)}"


def machine_time(time: datetime) -> str:
    """``2023-08-26T05:20:00Z``, for the attribute of an element ``time``."""
    return time_text(time)


def duration(seconds: int) -> str:
    """``45 s``, ``20 min``, ``5 h``, ``3 days``: rounded down to the unit."""
    for unit, size, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 2 * 86400)):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} days"


def result(rollback: PastRollback) -> str:
    """Return how a rollback ended."""
    return _RESULTS.get(rollback.result, rollback.result)


def users(rollback: PastRollback) -> str:
    """``alice as admin``: the users of the system and of the kubeconfig; ``""`` if unknown."""
    return " as ".join(filter(None, (rollback.record.user, rollback.record.cluster_user)))


def diff_command(report: Report, change: PeriodChange) -> str:
    """Return the command that shows a change without limits."""
    return f"gitsnap diff {change.before.tag} {change.sample.tag} --raw-diff --snapshot {shlex.quote(report.branch)}"


def verify_command(report: Report) -> str:
    """Return the command that verifies that the archive still has the last sample of the period."""
    last = report.timeline.last
    pin = f" --pinned {last.tag_id}" if last else ""
    return f"gitsnap verify --snapshot {shlex.quote(report.branch)}{pin}"


def day_links(report: Report) -> dict[str, str]:
    """Return day, or month, of the activity -> the newest day in it that the changes have a heading for."""
    days = [day(change.sample.time) for change in report.timeline.changes]
    length = len(report.timeline.activity[0].label) if report.timeline.activity else 0
    return {text[:length]: text for text in sorted(days)}


def activity(entry: Activity) -> str:
    """Return the number of changes: ``2 samples with changes``; with follow mode also ``5 changes between samples``."""
    samples = f"{plural(entry.changed, 'sample')} with changes"
    if not entry.made:
        return samples
    changes = f"{plural(entry.made, 'change')} between samples"
    return f"{samples}, {changes}" if entry.changed else changes


def unchanged_clusters(report: Report, changed: Collection[str]) -> list[str]:
    """Return the managed clusters without a change in the report."""
    return [cluster for cluster in report.timeline.clusters if cluster not in changed]


def scope(report: Report) -> list[str]:
    """Return what the changes are limited to, in words; none if they are not limited."""
    limits = report.timeline.scope
    return [
        *(f"managed cluster {name}" for name in limits.clusters),
        *(f"profile {describe(key)}" for key in limits.profiles),
        *(f"object {describe(key)}" for key in limits.objects),
    ]


def without_changes(report: Report) -> str:
    """Return what a report without changes says: that nothing changed only if every sample was compared."""
    timeline = report.timeline
    if not timeline.samples and not timeline.made:
        return "The period has no sample, so nothing is known about it."
    if timeline.older:
        older = counted(timeline.older.samples, timeline, "older")
        return f"No change in the newest samples of the period. {older} with changes were not compared."
    if timeline.before is None and timeline.samples == 1 and not timeline.made:
        return "The period has the first sample of the archive only, and nothing to compare it with."
    number = timeline.samples + timeline.made
    samples = f"the {counted(number, timeline)} of the period"
    compared = "has the configuration of the sample before" if number == 1 else "have the same configuration"
    readable = ", as far as it could be read" if timeline.incomplete_samples else ""
    if timeline.scope:
        return f"Nothing changed in this scope: {samples} {compared} there{readable}."
    return f"Nothing changed: {samples} {compared}{readable}."


def object_count(report: Report) -> int:
    """Return the number of distinct objects with a row. Rows that the limits left out are not counted."""
    return len({row.key for change in report.timeline.changes for row in change.objects})


def clusters(report: Report) -> dict[str, list[PeriodChange]]:
    """Return the changes of each managed cluster, newest first; by name of the cluster."""
    found: dict[str, list[PeriodChange]] = {}
    for change in report.timeline.changes:
        for cluster in change.clusters:
            found.setdefault(cluster, []).append(change)
    return dict(sorted(found.items()))


def profiles(report: Report) -> dict[ObjectKey, list[PeriodChange]]:
    """Return the changes of each profile, newest first; by kind and name of the profile."""
    found: dict[ObjectKey, list[PeriodChange]] = {}
    for change in report.timeline.changes:
        for profile in change.profiles:
            found.setdefault(profile, []).append(change)
    return dict(sorted(found.items()))


def left_out(report: Report) -> Iterator[str]:
    """Yield a sentence for everything that the limits of the report, or the copy of the archive, leave out."""
    timeline = report.timeline
    if timeline.older:
        yield _older(timeline.older, timeline)
    yield from _left_out_of_changes(timeline.changes)
    for count, noun, rest in (
        (timeline.incomplete_left_out, "further period", "in which a kind or an object was incomplete"),
        (timeline.gaps_left_out, "shorter time", "without a sample"),
        (timeline.missed_left_out, "further sample", "that shows changes which follow mode missed"),
        (timeline.quiet_left_out, "older sample", "with a reason and without changes"),
    ):
        if count:
            yield f"{plural(count, noun)} {rest}."
    for change in timeline.unreadable:
        yield f"The author and the time of a change: {change}. The next sample or change shows what it changed."
    if report.rollbacks_left_out:
        yield f"{plural(report.rollbacks_left_out, 'rollback')} that wrote and changed nothing in this scope."
    if timeline.hidden:
        fields = ", ".join(map(str, timeline.hidden))
        yield f"The values of fields that the policy hides, in samples that hold them in plain text: {fields}."
    if report.proof.missing:
        yield f"What this copy of the archive lacks: {'; '.join(report.proof.missing)}."
    yield "Values of Secrets, and of fields that are kept like Secrets. A diff only marks that they changed."


def _older(older: OlderChanges, timeline: Timeline) -> str:
    numbers = {"added": older.counts.added, "modified": older.counts.modified, "deleted": older.counts.deleted}
    counts = ", ".join(f"{count} {action}" for action, count in numbers.items() if count)
    recorded = f" They record {counts} objects." if counts else ""
    return (
        f"{counted(older.samples, timeline, 'older')} with changes, {moment(older.first.time)} to "
        f"{moment(older.last.time)}, not compared: a report shows the newest changes.{recorded} "
        "A shorter period shows them."
    )


def _left_out_of_changes(changes: Sequence[PeriodChange]) -> Iterator[str]:
    rows = sum(change.managed_left_out + change.objects_left_out + change.not_comparable_left_out for change in changes)
    if rows:
        yield f"{plural(rows, 'row')} of changes with many rows. Each of these changes says how many."
    diffs = sum(change.diffs_left_out for change in changes)
    if diffs:
        yield f"The diffs of {plural(diffs, 'document')}. Each of these changes has the command that shows them."
    excerpts = [excerpt for change in changes for excerpt in change.diffs]
    if lines := sum(excerpt.left_out for excerpt in excerpts):
        yield f"{plural(lines, 'line')} of long diffs."
    if shortened := sum(excerpt.shortened for excerpt in excerpts):
        yield f"The ends of {plural(shortened, 'long line')} of diffs."
