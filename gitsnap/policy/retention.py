"""Decides which samples retention keeps and removes, with reasons: the rules of restic's ``forget``.

Samples are ordered by their sequence, not by their times. Ages are measured from the newest scheduled sample. Hours,
days, weeks and months are those of the schedule's time zone. The current time is an argument.
"""

from __future__ import annotations

import calendar
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from statistics import median

from gitsnap.core.errors import InputError
from gitsnap.core.model import Sample, Trigger
from gitsnap.core.time_zones import check_zone
from gitsnap.format import parse_record
from gitsnap.policy.snapshot import WITHIN, Policy, Retention

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)d)?(?:(\d+)h)?\Z")
_ALWAYS = datetime.min.replace(tzinfo=UTC)

_CLOCK_SKEW = timedelta(minutes=5)
"""The time by which a sample may be ahead of the clock, because the clocks of machines differ."""

_LEAP_FACTOR = 10
"""A gap that is this many times longer than the usual gap may come from a clock that was set wrong."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The retention, and the time zone of hours, days, weeks and months. Raises InputError for invalid rules."""

    retention: Retention = field(default_factory=Retention)
    zone: str = "UTC"

    def __post_init__(self) -> None:
        check_zone(self.zone)
        if self.retention.keep_within and not WITHIN.fullmatch(self.retention.keep_within):
            raise InputError(f"--keep-within {self.retention.keep_within}: not a duration such as 30d, 1y6m or 2h")
        if any(getattr(self.retention, rule.name) < 0 for rule in fields(Retention) if rule.name != "keep_within"):
            raise InputError("a number of samples to keep cannot be negative")

    @classmethod
    def of(cls, policy: Policy) -> Rules:
        """The rules of a policy: successfulSnapshotLimit means keepLast, and the time zone is that of the schedule."""
        retention = policy.retention
        if policy.successful_snapshot_limit:
            retention = replace(retention, keep_last=policy.successful_snapshot_limit)
        return cls(retention, policy.schedule.zone if policy.schedule else "UTC")

    def __bool__(self) -> bool:
        """Whether there is any rule. Without a rule every sample is kept."""
        keep = self.retention
        counts = (keep.keep_last, keep.keep_hourly, keep.keep_daily, keep.keep_weekly, keep.keep_monthly)
        return any(counts) or any(_parts(keep.keep_within))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one sample is kept, with at least one reason."""

    sample: Sample
    keep: bool
    reasons: tuple[str, ...]


def decide(
    samples: Iterable[Sample], rules: Rules, *, marked: Collection[str] = (), now: datetime | None = None
) -> tuple[Decision, ...]:
    """Decide on every sample of an archive, oldest first. ``marked``: tags that ``gitsnap keep`` protects.

    ``now``: the current time; without it no sample counts as ahead of the clock.
    """
    ordered = sorted(samples, key=lambda sample: sample.order)
    reasons: dict[str, list[str]] = defaultdict(list)
    scheduled = _scheduled(ordered)
    for sample, reason in _kept_by_rules(scheduled, rules):
        reasons[sample.tag].append(reason)
    if _clock_problem(scheduled, rules, now):
        for sample in scheduled:
            if sample.tag not in reasons:
                reasons[sample.tag].append(f"within {rules.retention.keep_within} cannot be measured")
    for sample, reason in _protected(ordered, marked):
        reasons[sample.tag].append(reason)
    return tuple(
        Decision(sample, keep=sample.tag in reasons, reasons=tuple(reasons.get(sample.tag, ("no rule keeps it",))))
        for sample in ordered
    )


def clock_problem(samples: Iterable[Sample], rules: Rules, *, now: datetime | None = None) -> str:
    """Why ``keepWithin`` cannot be measured, so that no scheduled sample is removed; ``""`` if it can."""
    return _clock_problem(_scheduled(sorted(samples, key=lambda sample: sample.order)), rules, now)


def _scheduled(ordered: Sequence[Sample]) -> list[Sample]:
    """The scheduled samples, newest first."""
    return [sample for sample in reversed(ordered) if sample.metadata.trigger is Trigger.SCHEDULE]


# Protected samples ----------------------------------------------------------------------------------------------------


def refusals(
    samples: Iterable[Sample], *, marked: Collection[str] = (), chosen: Collection[Sample] = ()
) -> dict[str, str]:
    """The samples that a user must not remove either: tag -> reasons.

    ``marked``: as for ``decide``. ``chosen``: the samples that the user removes together.
    """
    ordered = sorted(samples, key=lambda sample: sample.order)
    reasons: dict[str, list[str]] = defaultdict(list)
    for sample, reason in _needed(ordered, marked):
        reasons[sample.tag].append(reason)
    for sample in _before_unfinished_rollbacks(ordered):
        reasons[sample.tag].append("taken before an unfinished rollback")
    for sample, before in _ends_of_rollbacks(ordered):
        if before not in chosen:
            reasons[sample.tag].append(f"has the result of a rollback; remove {before.tag} as well")
    return {tag: ", ".join(texts) for tag, texts in reasons.items()}


def _protected(ordered: Sequence[Sample], marked: Collection[str]) -> Iterator[tuple[Sample, str]]:
    yield from _needed(ordered, marked)
    yield from ((sample, "not scheduled") for sample in ordered if sample.metadata.trigger is not Trigger.SCHEDULE)


def _needed(ordered: Sequence[Sample], marked: Collection[str]) -> Iterator[tuple[Sample, str]]:
    targets = {sample.metadata.target for sample in _before_unfinished_rollbacks(ordered)}
    on_branch = [sample for sample in ordered if sample.metadata.detached_from is None]
    newest = {sample.tag for sample in (*ordered[-1:], *on_branch[-1:])}
    for sample in ordered:
        if sample.tag in newest:
            yield sample, "newest sample"
        if sample.tag in marked:
            yield sample, "marked by gitsnap keep"
        if sample.tag_id in targets:
            yield sample, "target of an unfinished rollback"


def _before_unfinished_rollbacks(ordered: Sequence[Sample]) -> list[Sample]:
    """The samples before all rollbacks that have started since the last finished rollback."""
    started: list[Sample] = []
    for sample in ordered:
        if sample.metadata.trigger is Trigger.AFTER_ROLLBACK:
            started.clear()
        elif sample.metadata.trigger is Trigger.BEFORE_ROLLBACK:
            started.append(sample)
    return started


def _ends_of_rollbacks(ordered: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """The samples with the result of a rollback, each with the sample before the rollback, if that still exists.

    Without the result, the rollback would count as unfinished.
    """
    by_tag = {sample.tag: sample for sample in ordered if sample.metadata.trigger is Trigger.BEFORE_ROLLBACK}
    for sample in ordered:
        record = parse_record(sample.metadata.extra)
        if record is not None and record.before in by_tag:
            yield sample, by_tag[record.before]


# Rules ----------------------------------------------------------------------------------------------------------------


def _kept_by_rules(scheduled: Sequence[Sample], rules: Rules) -> Iterator[tuple[Sample, str]]:
    """The scheduled samples that a rule keeps, with the rule. ``scheduled`` is newest first."""
    if not rules:
        yield from ((sample, "no rule is given") for sample in scheduled)
        return
    retention, zone = rules.retention, check_zone(rules.zone)

    def by(period: Callable[[datetime], Hashable]) -> Callable[[Sample], Hashable]:
        return lambda sample: period(sample.time.astimezone(zone))

    yield from _newest_of_each("last", retention.keep_last, scheduled, lambda sample: sample.tag)
    yield from _newest_of_each("hourly", retention.keep_hourly, scheduled, by(_hour))
    yield from _newest_of_each("daily", retention.keep_daily, scheduled, by(lambda time: time.date()))
    yield from _newest_of_each("weekly", retention.keep_weekly, scheduled, by(_week))
    yield from _newest_of_each("monthly", retention.keep_monthly, scheduled, by(lambda time: (time.year, time.month)))
    if scheduled and any(_parts(retention.keep_within)):
        border = _before(scheduled[0].time, retention.keep_within, zone)
        reason = f"within {retention.keep_within}"
        yield from ((sample, reason) for sample in scheduled if sample.time > border)


def _hour(time: datetime) -> Hashable:
    """The hour of a time. An hour that occurs twice, because clocks go back, counts as two."""
    return time.date(), time.hour, time.utcoffset()


def _week(time: datetime) -> Hashable:
    return tuple(time.isocalendar())[:2]


def _newest_of_each(
    name: str, count: int, scheduled: Sequence[Sample], period: Callable[[Sample], Hashable]
) -> Iterator[tuple[Sample, str]]:
    """The newest sample of each of the ``count`` newest periods that have a sample.

    As in restic, the oldest sample is kept as well if there are fewer periods, so that the history can grow.
    """
    seen: set[Hashable] = set()
    for sample in scheduled:
        if len(seen) >= count:
            return
        key = period(sample)
        if key not in seen:
            seen.add(key)
            yield sample, f"{name} sample {len(seen)} of {count}"
        elif sample is scheduled[-1]:
            yield sample, f"oldest {name} sample {len(seen) + 1} of {count}"


def _parts(within: str) -> tuple[int, int, int, int]:
    """Years, months, days, hours."""
    match = _DURATION.match(within)
    years, months, days, hours = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    return years, months, days, hours


def _before(time: datetime, within: str, zone: tzinfo) -> datetime:
    """A time minus a duration, by the calendar of a time zone. The 31st becomes the last day of a shorter month."""
    years, months, days, hours = _parts(within)
    wall = time.astimezone(zone)
    month = wall.year * 12 + wall.month - 1 - years * 12 - months
    try:
        last = calendar.monthrange(month // 12, month % 12 + 1)[1]
        wall = wall.replace(year=month // 12, month=month % 12 + 1, day=min(wall.day, last)) - timedelta(days=days)
        return wall.astimezone(UTC) - timedelta(hours=hours)
    except (ValueError, OverflowError):  # before the year 1
        return _ALWAYS


# Clocks ---------------------------------------------------------------------------------------------------------------


def _clock_problem(scheduled: Sequence[Sample], rules: Rules, now: datetime | None) -> str:
    """See ``clock_problem``; ``scheduled`` is newest first."""
    within = rules.retention.keep_within
    if len(scheduled) < 2 or not any(_parts(within)):
        return ""
    newest = scheduled[0]
    unmeasured = f"nothing is removed, because keepWithin {within} is measured from the sample {newest.tag}"
    if now is not None and newest.time - now > _CLOCK_SKEW:
        return f"{unmeasured}, which is ahead of the clock ({now:%Y-%m-%d %H:%M} UTC)"
    border = _before(newest.time, within, check_zone(rules.zone))
    if _leaps_past(scheduled, border):
        return f"{unmeasured}, which is far from every sample that would be removed: was the clock wrong?"
    return ""


def _leaps_past(scheduled: Sequence[Sample], border: datetime) -> bool:
    """Whether samples are before the border because the clock leapt, not because of their age.

    A leap is a gap that is longer than the whole window and much longer than the usual gap between samples. Once the
    samples after the gap fill the window, the gap counts as an outage.
    """
    newest = scheduled[0].time
    times = sorted((sample.time for sample in scheduled if sample.time <= newest), reverse=True)
    gaps = [later - earlier for later, earlier in pairwise(times)]
    if not gaps:
        return False
    usual = median(gap.total_seconds() for gap in gaps) if len(gaps) > 1 else 0.0
    least = max(newest - border, timedelta(seconds=usual * _LEAP_FACTOR))
    return any(gap > least for later, gap in zip(times, gaps, strict=False) if later > border)
