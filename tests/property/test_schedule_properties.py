"""Schedules at random times: the next times are in order and match the fields, and due runs agree with these times."""

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
def test_the_next_time_is_later_and_stable(schedule: Schedule, moment: datetime) -> None:
    """The next time is later and a whole second. One second before, the next time is still the same."""
    next_time = schedule.next_after(moment)

    assert next_time > moment.replace(microsecond=0)
    assert next_time.microsecond == 0
    if schedule.cron:
        assert schedule.next_after(next_time - timedelta(seconds=1)) == next_time


@given(ZONES, MOMENTS, st.integers(0, 23), st.integers(0, 59))
def test_clocks_show_the_time_of_the_schedule(zone: str, moment: datetime, hour: int, minute: int) -> None:
    """In any zone, the next time of a daily schedule has the local hour and minute, and is within two days."""
    next_time = Schedule.parse(f"{minute} {hour} * * *", time_zone=zone).next_after(moment)

    local = next_time.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute, local.second) == (hour, minute, 0)
    assert next_time - moment <= timedelta(hours=50)


@settings(deadline=None)  # Counting is slow, so the code uses bisection.
@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(hours=12)))
def test_the_newest_time_since_the_last_run_is_due(schedule: Schedule, last: datetime, later: timedelta) -> None:
    """Bisection has the same result as counting."""
    now, newest = last + later, None
    moment = schedule.next_after(last)
    for _ in range(1000):
        if moment > now:
            break
        newest, moment = moment, schedule.next_after(moment)

    result = due(schedule, last=last, now=now)

    assert result.run == newest
    assert result.next == moment
    assert result.missed is None


@given(
    SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), st.timedeltas(timedelta(0), timedelta(days=1))
)
def test_a_deadline_only_turns_due_into_missed(
    schedule: Schedule, last: datetime, later: timedelta, deadline: timedelta
) -> None:
    """With a deadline, the same time is due or missed, depending on its age."""
    now = last + later
    without, result = due(schedule, last=last, now=now), due(schedule, last=last, now=now, starting_deadline=deadline)

    assert result.next == without.next
    assert (result.run or result.missed) == without.run
    if result.run is not None:
        assert now.replace(microsecond=0) - result.run <= deadline


@given(st.text(alphabet="0123456789*/,-? @LWHRTZ#:=everyhms.", max_size=20))
def test_any_text_is_a_schedule_or_an_input_error(text: str) -> None:
    """The parser returns a schedule or raises InputError."""
    new_year = datetime(2025, 1, 1, tzinfo=UTC)

    with suppress(InputError):
        assert Schedule.parse(text).next_after(new_year) > new_year


@given(st.lists(st.integers(0, 59), min_size=1, max_size=5))
def test_lists_of_minutes(minutes: list[int]) -> None:
    """The order of minutes in a list does not matter. The earliest minute comes first."""
    schedule = Schedule.parse(f"{','.join(map(str, minutes))} * * * *")

    next_time = schedule.next_after(datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert next_time == datetime(2025, 1, 1, 0, min(minutes), tzinfo=UTC)
