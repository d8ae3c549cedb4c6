"""Decisions of retention as readable tables: golden files of rules over known histories.

Set GITSNAP_UPDATE_GOLDEN=1 to write the golden files anew.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gitsnap.core.errors import InputError
from gitsnap.core.model import Sample, TagId, Trigger
from gitsnap.policy.retention import Decision, Rules, clock_problem, decide
from gitsnap.policy.schedule import Schedule
from gitsnap.policy.snapshot import Policy, Retention, from_resource
from tests.support.samples import NOON, every, sample

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "retention"
_UPDATE = os.environ.get("GITSNAP_UPDATE_GOLDEN") == "1"
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _mixed() -> list[Sample]:
    """Scheduled samples every seven hours, with a rollback and a manual sample between them."""
    samples = every(7 * _HOUR, 20)
    samples.insert(9, sample(10, samples[8].metadata.time + _HOUR, Trigger.MANUAL))
    goal = samples[2].tag_id
    samples.insert(12, sample(13, samples[11].metadata.time + _HOUR, Trigger.BEFORE_ROLLBACK, target=goal))
    return [sample(number, item.metadata.time, item.metadata.trigger, target=item.metadata.target)
            for number, item in enumerate(samples, 1)]  # fmt: skip


_HISTORIES = {
    "hours": every(20 * timedelta(minutes=1), 40),
    "days": every(9 * _HOUR, 40, start=datetime(2026, 2, 20, 3, tzinfo=UTC)),
    "months": every(5 * _DAY, 40, start=datetime(2025, 10, 30, 23, 30, tzinfo=UTC)),
    "mixed": _mixed(),
}

_CASES = [
    ("last-5", "hours", Rules(Retention(keep_last=5))),
    ("hourly-4", "hours", Rules(Retention(keep_hourly=4))),
    ("hourly-24-oldest", "hours", Rules(Retention(keep_hourly=24))),
    ("daily-7", "days", Rules(Retention(keep_daily=7))),
    ("daily-7-tokyo", "days", Rules(Retention(keep_daily=7), "Asia/Tokyo")),
    ("weekly-2-monthly-2", "days", Rules(Retention(keep_weekly=2, keep_monthly=2))),
    ("monthly-4-within-1m", "months", Rules(Retention(keep_monthly=4, keep_within="1m"))),
    ("all-rules", "days", Rules(Retention(2, 3, 3, 2, 2, "1d12h"))),
    ("mixed", "mixed", Rules(Retention(keep_last=3, keep_daily=2))),
    ("no-rule", "mixed", Rules()),
]


def _table(decisions: tuple[Decision, ...]) -> str:
    lines = [
        f"{decision.sample.metadata.sequence:>3}  {decision.sample.metadata.time:%a %Y-%m-%d %H:%M}  "
        f"{'keep' if decision.keep else 'remove':<6}  {', '.join(decision.reasons)}\n"
        for decision in decisions
    ]
    return "".join(lines)


@pytest.mark.parametrize(("name", "history", "rules"), _CASES, ids=[name for name, _, _ in _CASES])
def test_decisions(name: str, history: str, rules: Rules) -> None:
    """Every sample with the decision and its reasons."""
    table = _table(decide(_HISTORIES[history], rules))
    golden = GOLDEN / f"{name}.txt"
    if _UPDATE:
        golden.write_text(table)

    assert table == golden.read_text()


def _kept(samples: list[Sample], rules: Rules, *, marked: frozenset[str] = frozenset()) -> list[int]:
    return [decision.sample.metadata.sequence for decision in decide(samples, rules, marked=marked) if decision.keep]


def test_samples_are_ordered_by_sequence_and_not_by_name_or_clock() -> None:
    """After the clock was set back, the newest samples are those that were taken last."""
    samples = every(_HOUR, 5)
    samples += [sample(6, NOON - _DAY), sample(7, NOON - _DAY + _HOUR)]

    assert _kept(samples, Rules(Retention(keep_last=2))) == [6, 7]
    assert _kept(list(reversed(samples)), Rules(Retention(keep_last=3))) == [5, 6, 7]


def test_a_limit_of_n_keeps_exactly_n() -> None:
    """SVELTOS.md §6 defect 1: the old feature kept one more, and with a limit of 0 lost its history first."""
    policy = from_resource(
        {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": "hourly"},
            "spec": {"schedule": "@hourly", "storage": "/collection", "successfulSnapshotLimit": 3},
        }
    )

    assert _kept(every(_HOUR, 10), Rules.of(policy)) == [8, 9, 10]
    assert _kept(every(_HOUR, 3), Rules.of(policy)) == [1, 2, 3]
    assert _kept(every(_HOUR, 4), Rules(Retention(keep_last=0))) == [1, 2, 3, 4]


def test_names_in_local_time_do_not_count() -> None:
    """SVELTOS.md §6 defect 17: the old retention took local names for UTC, and lost order when clocks went back."""
    rome = ZoneInfo("Europe/Rome")
    back = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Rome, and an hour later 02:30 once more
    samples = [sample(number, back + (number - 1) * _HOUR) for number in (1, 2, 3)]
    assert [sample.metadata.time.astimezone(rome).hour for sample in samples] == [2, 2, 3]

    assert _kept(samples, Rules(Retention(keep_hourly=2), "Europe/Rome")) == [2, 3]
    assert _kept(samples, Rules(Retention(keep_hourly=3), "Europe/Rome")) == [1, 2, 3]
    assert _kept(samples, Rules(Retention(keep_within="2h"), "Europe/Rome")) == [2, 3]


def test_days_are_those_of_the_schedules_time_zone() -> None:
    """Days of the policy's zone, otherwise of UTC: these samples are at 21:00, 01:00 and 02:00 in Tokyo."""
    schedule = Schedule.parse("@hourly", time_zone="Asia/Tokyo")
    samples = [
        sample(1, NOON),
        sample(2, NOON + 4 * _HOUR),
        sample(3, NOON + 5 * _HOUR),
    ]

    assert _kept(samples, Rules.of(Policy("p", schedule, retention=Retention(keep_daily=2)))) == [1, 3]
    assert _kept(samples[1:], Rules.of(Policy("p", retention=Retention(keep_daily=1)))) == [3]


@pytest.mark.parametrize(
    ("newest", "within", "border"),
    [
        (datetime(2026, 3, 31, 12, tzinfo=UTC), "1m", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "1y", datetime(2023, 2, 28, 12, tzinfo=UTC)),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2m3d4h", datetime(2025, 11, 27, 8, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), "7d", datetime(2025, 12, 25, tzinfo=UTC)),
    ],
)
def test_within_is_measured_by_the_calendar_from_the_newest(newest: datetime, within: str, border: datetime) -> None:
    """A sample within the window is kept; a sample exactly at the border is not, as in restic."""
    second = timedelta(seconds=1)
    samples = [sample(1, border), sample(2, border + second), sample(3, newest)]

    assert _kept(samples, Rules(Retention(keep_within=within))) == [2, 3]


def test_within_longer_than_the_calendar_keeps_all() -> None:
    """A duration that reaches before the year 1 is not an error."""
    assert _kept(every(_DAY, 3), Rules(Retention(keep_within="99999y"))) == [1, 2, 3]


def test_unscheduled_samples_are_kept_and_not_counted() -> None:
    """Manual samples do not count as scheduled ones."""
    samples = [*every(_HOUR, 4), sample(5, NOON + 5 * _HOUR, Trigger.MANUAL)]

    decisions = decide(samples, Rules(Retention(keep_last=2)))

    assert [decision.keep for decision in decisions] == [False, False, True, True, True]
    assert decisions[4].reasons == ("newest sample", "not scheduled")


def test_an_unfinished_rollback_keeps_its_target() -> None:
    """Until a sample after a rollback exists."""
    samples = every(_HOUR, 6)
    before = sample(7, NOON + 7 * _HOUR, Trigger.BEFORE_ROLLBACK, target=samples[1].tag_id)
    rest = [sample(number, NOON + number * _HOUR) for number in (8, 9)]
    after = sample(10, NOON + 10 * _HOUR, Trigger.AFTER_ROLLBACK)
    rules = Rules(Retention(keep_last=1))

    assert _kept([*samples, before, *rest], rules) == [2, 7, 9]
    assert _kept([*samples, before, *rest, after], rules) == [7, 9, 10]
    assert _kept([*samples, sample(7, NOON, Trigger.BEFORE_ROLLBACK, target=TagId("a" * 40)), *rest], rules) == [7, 9]


def test_a_mark_holds() -> None:
    """A sample that `gitsnap keep` marked is kept in addition to the samples that rules keep."""
    samples = every(_HOUR, 4)

    decisions = decide(samples, Rules(Retention(keep_last=1)), marked={samples[0].tag})

    assert [decision.keep for decision in decisions] == [True, False, False, True]
    assert decisions[0].reasons == ("marked by gitsnap keep",)


@pytest.mark.parametrize(
    ("retention", "zone"),
    [(Retention(keep_within="7 days"), "UTC"), (Retention(keep_last=-1), "UTC"), (Retention(), "Mars/Olympus")],
)
def test_invalid_rules(retention: Retention, zone: str) -> None:
    """Invalid rules are refused before any decision."""
    with pytest.raises(InputError):
        Rules(retention, zone)


def test_no_samples() -> None:
    """An archive without samples is not an error."""
    assert decide([], Rules(Retention(keep_last=1))) == ()


_MONTH = Rules(Retention(keep_within="30d"))


def _removed(samples: list[Sample], *, now: datetime, rules: Rules = _MONTH) -> int:
    return sum(not decision.keep for decision in decide(samples, rules, now=now))


@pytest.mark.parametrize("rules", [_MONTH, Rules(Retention(keep_last=2, keep_within="30d"))])
def test_a_future_sample_stops_the_window(rules: Rules) -> None:
    """Every correct sample would be older than the window; instead nothing is removed, with a reason."""
    samples = every(_HOUR, 50)
    now = samples[-1].time + _HOUR
    samples.append(sample(51, now + timedelta(days=900)))

    assert _removed(samples, now=now, rules=rules) == 0
    assert "ahead of the clock" in clock_problem(samples, rules, now=now)
    reasons = [decision.reasons for decision in decide(samples, rules, now=now)]
    assert ("within 30d cannot be measured",) in reasons


def test_a_clock_that_is_still_wrong_is_recognised_by_the_leap() -> None:
    """The wrong clock agrees with the sample, but the earlier samples do not; the same holds for the next samples."""
    samples = every(_HOUR, 50)
    leap = samples[-1].time + timedelta(days=900)
    for number in range(51, 54):
        samples.append(sample(number, leap + (number - 51) * _HOUR))
        assert _removed(samples, now=samples[-1].time) == 0
        assert "was the clock wrong" in clock_problem(samples, _MONTH, now=samples[-1].time)


def test_retention_continues_after_the_clock_is_corrected() -> None:
    """A sample of the future among the others stays, and nothing else is kept for its sake."""
    samples = every(_DAY, 50)
    samples.append(sample(51, samples[-1].time + timedelta(days=900)))
    samples += [sample(52 + number, samples[49].time + (1 + number) * _DAY) for number in range(3)]
    now = samples[-1].time + _HOUR
    assert clock_problem(samples, _MONTH, now=now) == ""
    kept = [decision for decision in decide(samples, _MONTH, now=now) if decision.keep]
    assert len(kept) == 30 + 1


def test_an_outage_holds_retention_until_the_window_is_full() -> None:
    """A leap and an outage look alike; after a whole window there is no doubt any more."""
    samples = every(_DAY, 50)
    back = samples[-1].time + timedelta(days=100)
    for day in range(40):
        samples.append(sample(51 + day, back + day * _DAY))
        now = samples[-1].time + _HOUR
        assert (_removed(samples, now=now) > 0) == (day >= 30), day


def test_clocks_that_differ_a_little_and_windows_of_one_sample_are_no_reason_for_doubt() -> None:
    """Two machines are never of one time; a window shorter than the schedule's distance means what it says."""
    samples = every(_DAY, 50)
    assert clock_problem(samples, _MONTH, now=samples[-1].time - timedelta(minutes=4)) == ""
    hours = Rules(Retention(keep_within="2h"))
    assert _removed(samples, now=samples[-1].time, rules=hours) == 49


def test_without_a_window_no_clock_is_asked() -> None:
    """Rules that count samples are right whatever the clock says."""
    samples = [*every(_HOUR, 50), sample(51, NOON + timedelta(days=9000))]
    assert _removed(samples, now=NOON, rules=Rules(Retention(keep_last=3))) == 48
