"""Schedules: accepted texts, times, and missed times."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gitsnap.core.errors import InputError
from gitsnap.core.time_zones import check_zone
from gitsnap.policy.schedule import Due, Schedule, due

RECORDED = Path(__file__).resolve().parents[1] / "golden" / "schedules" / "robfig-cron-v3.json"
"""``[schedule, moment, the times that follow]``, computed by ParseStandard and Next of robfig/cron v3.0.1."""

Row = tuple[str, str, list[str]]


def recorded() -> list[Row]:
    """Every recorded row."""
    rows: list[Row] = json.loads(RECORDED.read_text())
    return rows


def at(text: str) -> datetime:
    """A time from its RFC 3339 text."""
    return datetime.fromisoformat(text)


def following(schedule: Schedule, moment: datetime, count: int) -> list[datetime]:
    """The next times of a schedule."""
    times = []
    for _ in range(count):
        moment = schedule.next_after(moment)
        times.append(moment)
    return times


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", recorded(), ids=lambda row: f"{row[0]} from {row[1]}")
def test_times_are_those_of_robfig_cron(row: Row) -> None:
    """Every change of clocks in 2025 and 2026 in three zones, leap days, unions of days, steps, @every."""
    text, start, expected = row

    times = following(Schedule.parse(text), at(start), len(expected))

    assert [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in times] == expected


def test_the_recording_has_every_change_of_clocks() -> None:
    """Twelve changes: two years, three zones, both hemispheres, each seen by eleven schedules."""
    zones = {row[0].split(" ")[0] for row in recorded() if row[0].startswith("TZ=") and "/" in row[0].split(" ")[0]}

    assert {"TZ=Europe/Rome", "TZ=America/New_York", "TZ=Australia/Sydney"} <= zones
    assert len(recorded()) >= 12 * 11


def test_a_time_that_does_not_exist_is_left_out() -> None:
    """In the night when clocks go forward, half past two does not exist."""
    times = following(Schedule.parse("30 2 * * *", time_zone="Europe/Rome"), at("2025-03-28T12:00:00Z"), 2)

    assert times == [at("2025-03-29T01:30:00Z"), at("2025-03-31T00:30:00Z")]


def test_a_time_that_comes_twice_counts_twice() -> None:
    """In the night when clocks go back, half past two occurs twice."""
    times = following(Schedule.parse("30 2 * * *", time_zone="Europe/Rome"), at("2025-10-25T12:00:00Z"), 3)

    assert times == [at("2025-10-26T00:30:00Z"), at("2025-10-26T01:30:00Z"), at("2025-10-27T01:30:00Z")]


def test_a_midnight_that_does_not_exist() -> None:
    """Where clocks go forward at midnight, that midnight is skipped, and no other time of the day."""
    midnight = following(Schedule.parse("@daily", time_zone="Asia/Beirut"), at("2024-03-29T12:00:00Z"), 2)
    noon = following(Schedule.parse("0 12 * * 0", time_zone="Asia/Beirut"), at("2024-03-29T12:00:00Z"), 1)

    assert midnight == [at("2024-03-29T22:00:00Z"), at("2024-03-31T21:00:00Z")]
    assert noon == [at("2024-03-31T09:00:00Z")]


def test_clocks_that_move_by_half_an_hour() -> None:
    """As on Lord Howe Island: no day is skipped."""
    times = following(Schedule.parse("0 12 * * *", time_zone="Australia/Lord_Howe"), at("2024-04-05T12:00:00Z"), 3)

    assert times == [at("2024-04-06T01:00:00Z"), at("2024-04-07T01:30:00Z"), at("2024-04-08T01:30:00Z")]


def test_a_leap_day_across_many_changes_of_clocks() -> None:
    """The next time may be years away, after changes of the offset."""
    schedule = Schedule.parse("0 0 29 2 *", time_zone="America/New_York")

    assert following(schedule, at("2024-03-01T00:00:00Z"), 1) == [at("2028-02-29T05:00:00Z")]


def test_the_moment_itself_is_not_after_itself() -> None:
    """After a time of the schedule comes the next time, also within the same second."""
    schedule = Schedule.parse("0 * * * *")

    assert schedule.next_after(at("2025-01-01T05:00:00Z")) == at("2025-01-01T06:00:00Z")
    assert schedule.next_after(at("2025-01-01T05:00:00.7Z")) == at("2025-01-01T06:00:00Z")
    assert schedule.next_after(at("2025-01-01T04:59:59.9Z")) == at("2025-01-01T05:00:00Z")


def test_the_zone_of_the_moment_does_not_matter() -> None:
    """Results are in UTC for a time of any zone; a time without a zone is an error of the caller."""
    schedule = Schedule.parse("0 6 * * *")
    moment = datetime(2025, 7, 1, 5, 0, tzinfo=ZoneInfo("Europe/Rome"))

    found = schedule.next_after(moment)

    assert found == at("2025-07-01T06:00:00Z")
    assert found.tzinfo is UTC
    with pytest.raises(ValueError, match="without a time zone"):
        schedule.next_after(moment.replace(tzinfo=None))


# What is accepted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("*/5 * * * *", "", Schedule(cron="*/5 * * * *")),
        ("  0   0 * *  mon-FRI ", "", Schedule(cron="0 0 * * mon-FRI")),
        ("TZ=Europe/Rome @daily", "", Schedule(cron="0 0 * * *", zone="Europe/Rome")),
        ("CRON_TZ=Asia/Tokyo 0 5 * * *", "", Schedule(cron="0 5 * * *", zone="Asia/Tokyo")),
        ("TZ= 0 5 * * *", "", Schedule(cron="0 5 * * *")),
        ("0 5 * * *", "Asia/Tokyo", Schedule(cron="0 5 * * *", zone="Asia/Tokyo")),
        ("@every 1h30m", "", Schedule(every=timedelta(minutes=90))),
        ("@every 1.5h", "", Schedule(every=timedelta(minutes=90))),
        ("@every 90s500ms", "", Schedule(every=timedelta(seconds=90))),
        ("@every 1us", "", Schedule(every=timedelta(seconds=1))),
        ("@every 1m1h", "", Schedule(every=timedelta(minutes=61))),
    ],
)
def test_accepted(text: str, zone: str, expected: Schedule) -> None:
    """Spaces, zones and durations are read as robfig/cron and Go read them."""
    assert Schedule.parse(text, time_zone=zone) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must have five fields"),
        ("0 0 * *", "and has 4"),
        ("0 0 0 * * *", "and has 6"),
        ("0 0 * * * * 2025", "and has 7"),
        ("60 * * * *", "field minute is not valid: '60' is not 0 to 59"),
        ("0 24 * * *", "field hour is not valid: '24' is not 0 to 23"),
        ("0 0 0 * *", "field day of month is not valid: '0' is not 1 to 31"),
        ("0 0 32 * *", "field day of month"),
        ("0 0 * 13 *", "field month is not valid: '13' is not 1 to 12 or jan, feb"),
        ("0 0 * * 7", "field day of week is not valid: '7' is not 0 to 6 or sun, mon"),
        ("0 0 * foo *", "'foo' is not 1 to 12"),
        ("0 0 * * jan", "'jan' is not 0 to 6"),
        ("0 0 * * MONDAY", "field day of week"),
        ("5-1 * * * *", "'5-1' ends before it begins"),
        ("0 0 * * fri-mon", "ends before it begins"),
        ("*/0 * * * *", "a step of 0"),
        ("1/2/3 * * * *", "field minute"),
        ("1-2-3 * * * *", "field minute"),
        ("1,,2 * * * *", "field minute"),
        (", * * * *", "field minute"),
        ("*-5 * * * *", "field minute"),
        ("+5 * * * *", "field minute"),
        ("-1 * * * *", "field minute"),
        ("1.5 * * * *", "field minute"),
        ("٣ * * * *", "field minute"),
        ("H * * * *", "field minute"),
        ("R(1-5) * * * *", "field minute"),
        ("0 0 L * *", "field day of month"),
        ("0 0 15W * *", "field day of month"),
        ("0 0 * * 5L", "field day of week"),
        ("0 0 * * 1#2", "field day of week"),
        ("0 0 30 2 *", "the day of month 30 does not exist in the month 2"),
        ("0 0 31 4,6,9,11 ?", "does not exist"),
        ("@reboot", "@reboot is unknown; use one of @annually"),
        ("@Hourly", "@Hourly is unknown"),
        ("@every", "@every is unknown"),
        ("@every x", "a duration such as 10m"),
        ("@every 5", "a duration such as 10m"),
        ("@every 1d", "a duration such as 10m"),
        ("@every 1h 30m", "a duration such as 10m"),
        ("@every -5m", "a duration such as 10m"),
        ("@every 0s", "is zero"),
        ("@every 0.000h", "is zero"),
        ("@every 999999999999999h", "longer than ten years"),
        ("TZ=UTC", "five fields"),
        ("TZ=Nowhere/Town 0 * * * *", "'Nowhere/Town' is not a time zone"),
        ("TZ=Local 0 * * * *", "'Local' is not a time zone"),
        ("TZ=../../etc/passwd 0 * * * *", "is not a time zone"),
        ("TZ=Europe 0 * * * *", "is not a time zone"),
        ("TZ=localtime 0 * * * *", "is not a time zone"),
        ("TZ=right/Europe/Rome 0 * * * *", "is not a time zone"),
        ("TZ=\x00 0 * * * *", "is not a time zone"),
        ("0 0 * * *\n0 1 * * *", "and has 10"),
        ("9" * 500 + " * * * *", "field minute"),
        ("9" * 5000 + " * * * *", "longer than 1024 characters"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    """Texts that robfig/cron refuses are refused, also if croniter accepts them; the message names the part."""
    with pytest.raises(InputError) as caught:
        Schedule.parse(text)

    assert problem in caught.value.message


def test_two_zones_are_refused() -> None:
    """A zone in the schedule and one in timeZone could contradict each other."""
    with pytest.raises(InputError, match="the time zone is set twice"):
        Schedule.parse("TZ=UTC 0 * * * *", time_zone="UTC")


def test_an_impossible_day_beside_a_possible_weekday() -> None:
    """If both are restricted, either is enough, so the 30th of February adds nothing."""
    schedule = Schedule.parse("0 0 30 2 1")

    assert schedule.next_after(at("2025-01-01T00:00:00Z")) == at("2025-02-03T00:00:00Z")


def test_zones_come_from_the_package_where_the_system_has_none() -> None:
    """An image without zone data still knows the zones."""
    paths = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[])
    ZoneInfo.clear_cache()
    try:
        assert at("2025-07-01T00:00:00Z").astimezone(check_zone("Europe/Rome")).utcoffset() == timedelta(hours=2)
    finally:
        zoneinfo.reset_tzpath(to=paths)
        ZoneInfo.clear_cache()


# What is due ----------------------------------------------------------------------------------------------------------

HOURLY = Schedule.parse("0 * * * *")


def test_nothing_is_due_before_its_time() -> None:
    """Nothing is due before the next time of the schedule, neither on creation nor after a run."""
    created = at("2025-01-01T05:10:00Z")

    assert due(HOURLY, last=created, now=created) == Due(None, at("2025-01-01T06:00:00Z"))
    assert due(HOURLY, last=created, now=at("2025-01-01T05:59:59.9Z")) == Due(None, at("2025-01-01T06:00:00Z"))


def test_due_at_its_time_and_once() -> None:
    """A time is due from its second on, until a run at or after this time is known."""
    six = at("2025-01-01T06:00:00Z")

    assert due(HOURLY, last=at("2025-01-01T05:10:00Z"), now=six) == Due(six, at("2025-01-01T07:00:00Z"))
    assert due(HOURLY, last=six, now=six) == Due(None, at("2025-01-01T07:00:00Z"))
    assert due(HOURLY, last=six + timedelta(seconds=3), now=six + timedelta(minutes=1)).run is None


def test_missed_times_collapse_into_one() -> None:
    """After a night without a controller one run makes up for all times; it is for the newest time."""
    asked = due(HOURLY, last=at("2025-01-01T05:00:05Z"), now=at("2025-01-01T14:30:00Z"))

    assert asked == Due(at("2025-01-01T14:00:00Z"), at("2025-01-01T15:00:00Z"))


def test_years_of_missed_times_are_no_error() -> None:
    """Half a million missed minutes are found by bisection, not by counting."""
    every_minute = Schedule.parse("* * * * *", time_zone="Europe/Rome")

    asked = due(every_minute, last=at("2024-01-01T00:00:00Z"), now=at("2025-01-01T00:00:30Z"))

    assert asked == Due(at("2025-01-01T00:00:00Z"), at("2025-01-01T00:01:00Z"))


def test_past_the_starting_deadline_nothing_is_due() -> None:
    """A time whose deadline has passed is reported as missed; before its deadline it is due."""
    last, six = at("2025-01-01T05:00:00Z"), at("2025-01-01T06:00:00Z")
    deadline = timedelta(minutes=5)

    in_time = due(HOURLY, last=last, now=six + deadline, starting_deadline=deadline)
    too_late = due(HOURLY, last=last, now=six + deadline + timedelta(seconds=1), starting_deadline=deadline)

    assert in_time == Due(six, at("2025-01-01T07:00:00Z"))
    assert too_late == Due(None, at("2025-01-01T07:00:00Z"), missed=six)


def test_a_clock_that_went_back_fires_nothing_twice() -> None:
    """A last run in the future counts as now."""
    asked = due(HOURLY, last=at("2025-01-01T09:00:00Z"), now=at("2025-01-01T06:30:00Z"))

    assert asked == Due(None, at("2025-01-01T07:00:00Z"))


def test_due_every_ten_minutes() -> None:
    """@every counts from the last run; missed times collapse as well."""
    schedule, last = Schedule.parse("@every 10m"), at("2025-01-01T05:03:07Z")

    assert due(schedule, last=last, now=last + timedelta(minutes=9)) == Due(None, last + timedelta(minutes=10))
    assert due(schedule, last=last, now=last + timedelta(minutes=10)) == Due(
        last + timedelta(minutes=10), last + timedelta(minutes=20)
    )
    assert due(schedule, last=last, now=last + timedelta(minutes=39)) == Due(
        last + timedelta(minutes=30), last + timedelta(minutes=40)
    )


@pytest.mark.parametrize(
    ("text", "upcoming", "expected"),
    [
        ("0 9-17 * * 1-5", "2026-01-05T09:00:00Z", timedelta(days=2, hours=16)),
        ("0 9-17 * * 1-5", "2026-01-05T10:00:00Z", timedelta(hours=1)),
        ("*/5 * * * *", "2026-01-05T10:00:00Z", timedelta(minutes=5)),
        ("@every 7m", "2026-01-05T10:01:00Z", timedelta(minutes=7)),
        ("TZ=Europe/Rome 30 2 * * *", "2026-03-30T00:30:00Z", timedelta(hours=47)),
        ("0 0 29 2 *", "2104-02-29T00:00:00Z", timedelta(days=8 * 365 + 1)),
    ],
)
def test_the_interval_is_the_one_before_a_time(text: str, upcoming: str, expected: timedelta) -> None:
    """It is long after a weekend and short within a day, and alerts about late samples depend on it."""
    assert Schedule.parse(text).interval_until(datetime.fromisoformat(upcoming)) == expected
