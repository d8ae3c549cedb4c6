"""Schedules at any moment: times come in order, on the fields, and what is due agrees with them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.errors import InputError
from gitsnap.policy.schedule import Schedule, due

ZONES = st.sampled_from(
    ["UTC", "Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata"]
)
MOMENTS = st.integers(0, 4 * 365 * 86400 * 10).map(
    lambda tenths: datetime(2023, 1, 1, tzinfo=UTC) + timedelta(milliseconds=100 * tenths)
)
CRONS = st.sampled_from(
    ["* * * * *", "*/20 * * * *", "0 * * * *", "30 2 * * *", "15 0,12 * * *", "0 0 * * 1", "5 4 1,15 * 3", "0 0 29 2 *"]
)
SCHEDULES = st.one_of(
    st.builds(lambda cron, zone: Schedule.parse(cron, time_zone=zone), CRONS, ZONES),
    st.builds(lambda minutes: Schedule.parse(f"@every {minutes}m"), st.integers(1, 3000)),
)


@given(SCHEDULES, MOMENTS)
def test_the_next_time_is_later_and_stays(schedule: Schedule, moment: datetime) -> None:
    """It is a whole second after the moment; asked just before it, the answer is the same."""
    found = schedule.next_after(moment)

    assert found > moment.replace(microsecond=0)
    assert found.microsecond == 0
    if schedule.cron:
        assert schedule.next_after(found - timedelta(seconds=1)) == found


@given(ZONES, MOMENTS, st.integers(0, 23), st.integers(0, 59))
def test_clocks_show_the_time_of_the_schedule(zone: str, moment: datetime, hour: int, minute: int) -> None:
    """Whatever the zone does, a daily sample is taken when its clocks show the time, within two days."""
    found = Schedule.parse(f"{minute} {hour} * * *", time_zone=zone).next_after(moment)

    local = found.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute, local.second) == (hour, minute, 0)
    assert found - moment <= timedelta(hours=50)


@settings(deadline=None)  # counting is slow, which is why the code does not count
@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(hours=12)))
def test_what_is_due_is_the_newest_time_since_the_last_run(
    schedule: Schedule, last: datetime, later: timedelta
) -> None:
    """Bisection finds what counting finds."""
    now, newest = last + later, None
    moment = schedule.next_after(last)
    for _ in range(1000):
        if moment > now:
            break
        newest, moment = moment, schedule.next_after(moment)

    asked = due(schedule, last=last, now=now)

    assert asked.run == newest
    assert asked.next == moment
    assert asked.missed is None


@given(
    SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), st.timedeltas(timedelta(0), timedelta(days=1))
)
def test_a_deadline_only_turns_due_into_missed(
    schedule: Schedule, last: datetime, later: timedelta, deadline: timedelta
) -> None:
    """With a deadline the same time is either due or missed, by its age."""
    now = last + later
    without, asked = due(schedule, last=last, now=now), due(schedule, last=last, now=now, starting_deadline=deadline)

    assert asked.next == without.next
    assert (asked.run or asked.missed) == without.run
    if asked.run is not None:
        assert now.replace(microsecond=0) - asked.run <= deadline


@given(st.text(alphabet="0123456789*/,-? @LWHRTZ#:=everyhms.", max_size=20))
def test_any_text_is_a_schedule_or_is_refused_in_words(text: str) -> None:
    """Nothing else comes out of the parser."""
    new_year = datetime(2025, 1, 1, tzinfo=UTC)

    with suppress(InputError):
        assert Schedule.parse(text).next_after(new_year) > new_year


@given(st.lists(st.integers(0, 59), min_size=1, max_size=5))
def test_lists_of_minutes(minutes: list[int]) -> None:
    """The first minute of a list after the full hour comes first, in whatever order it is written."""
    schedule = Schedule.parse(f"{','.join(map(str, minutes))} * * * *")

    found = schedule.next_after(datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert found == datetime(2025, 1, 1, 0, min(minutes), tzinfo=UTC)
