"""Which samples retention keeps and which it takes, each with the reasons: the rules of restic's ``forget``.

Samples are in the order of their sequence, whatever their names or clocks say. Ages are measured from the newest
scheduled sample; hours, days, weeks and months are those of the schedule's time zone. This module must not read a clock
or remove anything.
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
from gitsnap.policy.snapshot import WITHIN, Policy, Retention

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)d)?(?:(\d+)h)?\Z")
_ALWAYS = datetime.min.replace(tzinfo=UTC)

_CLOCK_SKEW = timedelta(minutes=5)
"""So far clocks of machines may differ without a sample counting as one of the future."""

_LEAP = 10
"""A gap between samples so many times as long as their usual distance may be a clock that was set wrong."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What to keep, and whose hours and days count. Raises InputError for rules that mean nothing."""

    retention: Retention = field(default_factory=Retention)
    zone: str = "UTC"

    def __post_init__(self) -> None:
        check_zone(self.zone)
        if self.retention.keep_within and not WITHIN.fullmatch(self.retention.keep_within):
            raise InputError(f"--keep-within {self.retention.keep_within}: this is no duration such as 30d, 1y6m or 2h")
        if any(getattr(self.retention, one.name) < 0 for one in fields(Retention) if one.name != "keep_within"):
            raise InputError("a number of samples to keep cannot be negative")

    @classmethod
    def of(cls, policy: Policy) -> Rules:
        """The rules of a policy: its limit is another word for keepLast, its time zone that of its schedule."""
        retention = policy.retention
        if policy.successful_snapshot_limit:
            retention = replace(retention, keep_last=policy.successful_snapshot_limit)
        return cls(retention, policy.schedule.zone if policy.schedule else "UTC")

    def __bool__(self) -> bool:
        """Whether there is any rule; without one, everything is kept."""
        kept = self.retention
        counts = (kept.keep_last, kept.keep_hourly, kept.keep_daily, kept.keep_weekly, kept.keep_monthly)
        return any(counts) or any(_parts(kept.keep_within))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one sample, and why; there is always a reason."""

    sample: Sample
    keep: bool
    reasons: tuple[str, ...]


def decide(
    samples: Iterable[Sample], rules: Rules, *, marked: Collection[str] = (), now: datetime | None = None
) -> tuple[Decision, ...]:
    """A decision for every sample of one archive, oldest first. ``marked``: tags that ``gitsnap keep`` protects.

    ``now``: the time of the clock; without it no sample counts as one of the future.
    """
    ordered = sorted(samples, key=lambda one: one.order)
    reasons: dict[str, list[str]] = defaultdict(list)
    scheduled = _scheduled(ordered)
    for sample, reason in _kept_by_rules(scheduled, rules):
        reasons[sample.tag].append(reason)
    if _doubt(scheduled, rules, now):
        for sample in scheduled:
            if sample.tag not in reasons:
                reasons[sample.tag].append(f"within {rules.retention.keep_within} cannot be measured")
    for sample, reason in _protected(ordered, marked):
        reasons[sample.tag].append(reason)
    return tuple(
        Decision(one, one.tag in reasons, tuple(reasons[one.tag]) if one.tag in reasons else ("no rule keeps it",))
        for one in ordered
    )


def doubt(samples: Iterable[Sample], rules: Rules, *, now: datetime | None = None) -> str:
    """Why ``keepWithin`` cannot be measured, so that no scheduled sample is removed; ``""`` where it can."""
    return _doubt(_scheduled(sorted(samples, key=lambda one: one.order)), rules, now)


def _scheduled(ordered: Sequence[Sample]) -> list[Sample]:
    """The scheduled samples, newest first."""
    return [one for one in reversed(ordered) if one.metadata.trigger is Trigger.SCHEDULE]


# What no rule can take ------------------------------------------------------------------------------------------------


def _protected(ordered: Sequence[Sample], marked: Collection[str]) -> Iterator[tuple[Sample, str]]:
    goals = _unfinished_goals(ordered)
    on_branch = [one for one in ordered if one.metadata.beside is None]
    newest = {one.tag for one in (*ordered[-1:], *on_branch[-1:])}
    for one in ordered:
        if one.tag in newest:
            yield one, "newest sample"
        if one.tag in marked:
            yield one, "marked by gitsnap keep"
        if one.tag_id in goals:
            yield one, "an unfinished rollback goes back to it"
        if one.metadata.trigger is not Trigger.SCHEDULE:
            yield one, "not scheduled"


def _unfinished_goals(ordered: Sequence[Sample]) -> frozenset[str]:
    """Tag ids of the samples that rollbacks go back to which began, and of which none has ended since."""
    goals: set[str] = set()
    for one in ordered:
        if one.metadata.trigger is Trigger.AFTER_ROLLBACK:
            goals.clear()
        elif one.metadata.trigger is Trigger.BEFORE_ROLLBACK and one.metadata.target:
            goals.add(one.metadata.target)
    return frozenset(goals)


# Rules ----------------------------------------------------------------------------------------------------------------


def _kept_by_rules(scheduled: Sequence[Sample], rules: Rules) -> Iterator[tuple[Sample, str]]:
    """Which scheduled samples (newest first) a rule keeps."""
    if not rules:
        yield from ((one, "no rule is given") for one in scheduled)
        return
    retention, zone = rules.retention, check_zone(rules.zone)

    def by(period: Callable[[datetime], Hashable]) -> Callable[[Sample], Hashable]:
        return lambda sample: period(sample.time.astimezone(zone))

    yield from _newest_of_each("last", retention.keep_last, scheduled, lambda sample: sample.tag)
    yield from _newest_of_each("hourly", retention.keep_hourly, scheduled, by(_hour))
    yield from _newest_of_each("daily", retention.keep_daily, scheduled, by(lambda moment: moment.date()))
    yield from _newest_of_each("weekly", retention.keep_weekly, scheduled, by(lambda at: tuple(at.isocalendar())[:2]))
    yield from _newest_of_each("monthly", retention.keep_monthly, scheduled, by(lambda at: (at.year, at.month)))
    if scheduled and any(_parts(retention.keep_within)):
        border = _before(scheduled[0].time, retention.keep_within, zone)
        reason = f"within {retention.keep_within}"
        yield from ((one, reason) for one in scheduled if one.time > border)


def _hour(moment: datetime) -> Hashable:
    """An hour that comes twice, because clocks go back, counts twice."""
    return moment.date(), moment.hour, moment.utcoffset()


def _newest_of_each(
    name: str, count: int, scheduled: Sequence[Sample], period: Callable[[Sample], Hashable]
) -> Iterator[tuple[Sample, str]]:
    """The newest sample of each of the ``count`` newest periods that have any.

    As with restic, the oldest sample is kept too while there are fewer periods: so the history grows to full length.
    """
    seen: set[Hashable] = set()
    for sample in scheduled:
        if len(seen) >= count:
            return
        at = period(sample)
        if at not in seen:
            seen.add(at)
            yield sample, f"{name} sample {len(seen)} of {count}"
        elif sample is scheduled[-1]:
            yield sample, f"oldest {name} sample {len(seen) + 1} of {count}"


def _parts(within: str) -> tuple[int, int, int, int]:
    """Years, months, days, hours."""
    match = _DURATION.match(within)
    years, months, days, hours = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    return years, months, days, hours


def _before(moment: datetime, within: str, zone: tzinfo) -> datetime:
    """The moment that lies so much earlier by the calendar of a time zone; the 31st becomes the last of its month."""
    years, months, days, hours = _parts(within)
    wall = moment.astimezone(zone)
    month = wall.year * 12 + wall.month - 1 - years * 12 - months
    try:
        last = calendar.monthrange(month // 12, month % 12 + 1)[1]
        wall = wall.replace(year=month // 12, month=month % 12 + 1, day=min(wall.day, last)) - timedelta(days=days)
        return wall.astimezone(UTC) - timedelta(hours=hours)
    except (ValueError, OverflowError):  # before the year 1
        return _ALWAYS


# Clocks ---------------------------------------------------------------------------------------------------------------


def _doubt(scheduled: Sequence[Sample], rules: Rules, now: datetime | None) -> str:
    """See ``doubt``; ``scheduled`` is newest first."""
    within = rules.retention.keep_within
    if len(scheduled) < 2 or not any(_parts(within)):
        return ""
    newest = scheduled[0]
    unmeasured = f"nothing is removed, since keepWithin {within} is measured from the sample {newest.tag}"
    if now is not None and newest.time - now > _CLOCK_SKEW:
        return f"{unmeasured}, which is ahead of the clock ({now:%Y-%m-%d %H:%M} UTC)"
    border = _before(newest.time, within, check_zone(rules.zone))
    if _leaps_past(scheduled, border):
        return f"{unmeasured}, which is far from every sample that would be removed: was the clock wrong?"
    return ""


def _leaps_past(scheduled: Sequence[Sample], border: datetime) -> bool:
    """Whether a leap of the clock, rather than age, puts samples before the border.

    A leap is a gap longer than the whole window, and much longer than the usual distance of samples. Once the samples
    after it fill the window themselves, it is taken for an outage.
    """
    newest = scheduled[0].time
    times = sorted((one.time for one in scheduled if one.time <= newest), reverse=True)
    gaps = [later - earlier for later, earlier in pairwise(times)]
    if not gaps:
        return False
    usual = median(gap.total_seconds() for gap in gaps) if len(gaps) > 1 else 0.0
    least = max(newest - border, timedelta(seconds=usual * _LEAP))
    return any(gap > least for later, gap in zip(times, gaps, strict=False) if later > border)
