"""When a policy is due, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.controller.due import LONGEST_PAUSE, Decision, RunState, decide
from gitsnap.core.consequences import LATER, SOON, Backoff
from gitsnap.core.model import CommitId, Sample, SampleMetadata, TagId, Trigger
from gitsnap.policy.schedule import Schedule
from gitsnap.policy.snapshot import Policy, Push

START = datetime(2023, 8, 26, 5, 10, tzinfo=UTC)
HOURLY = Policy("hourly", schedule=Schedule.parse("@hourly"))


def _state(policy: Policy = HOURLY, *, served: datetime = START) -> RunState:
    state = RunState(served)
    state.update_policy(policy, served)
    return state


def _at(state: RunState, minutes: float, policy: Policy = HOURLY, request: str = "") -> Decision:
    return decide(policy, state, START + timedelta(minutes=minutes), request=request)


def _sample(minutes: float, sequence: int) -> Sample:
    moment = START + timedelta(minutes=minutes)
    facts = SampleMetadata("hourly", moment, sequence, Trigger.SCHEDULE, "uid", 1, "")
    return Sample("hourly/x", TagId("t"), CommitId("c"), facts)


def test_nothing_fires_on_creation() -> None:
    """The first sample is taken at the first scheduled time after the creation."""
    state = _state()

    assert (_at(state, 0).trigger, _at(state, 49).trigger) == (None, None)
    assert _at(state, 0).next == START + timedelta(minutes=50)
    assert _at(state, 50).trigger is Trigger.SCHEDULE


def test_a_sample_serves_its_time() -> None:
    """Once taken, nothing is due until the next scheduled time."""
    state = _state()
    state.note_sample(_sample(50, 1), START + timedelta(minutes=50))

    assert _at(state, 51).trigger is None
    assert _at(state, 110).trigger is Trigger.SCHEDULE


def test_missed_times_collapse_into_one() -> None:
    """After a day without a controller one sample makes up for all."""
    state = _state()
    late = 60 * 24.0
    assert _at(state, late).trigger is Trigger.SCHEDULE

    state.note_sample(_sample(late, 1), START + timedelta(minutes=late))

    assert _at(state, late + 1).trigger is None


def test_defect_16_more_than_a_hundred_missed_starts_are_no_error() -> None:
    """A year of missed minutes is one sample."""
    every_minute = replace(HOURLY, schedule=Schedule.parse("* * * * *"))
    state = _state(every_minute)

    assert _at(state, 60 * 24 * 365, every_minute).trigger is Trigger.SCHEDULE


def test_defect_16_a_starting_deadline_prevents_a_late_run() -> None:
    """A time that is missed by more than the deadline is given up, and reported once."""
    strict = replace(HOURLY, starting_deadline_seconds=60)
    state = _state(strict)

    decision = _at(state, 53, strict)

    assert (decision.trigger, decision.missed) == (None, START + timedelta(minutes=50))
    assert _at(state, 50.5, strict).trigger is Trigger.SCHEDULE


def test_nothing_fires_when_a_suspension_ends() -> None:
    """Times that were due meanwhile are not made up for."""
    suspended = replace(HOURLY, suspend=True)
    state = _state(suspended)
    assert _at(state, 120, suspended) == Decision()

    state.update_policy(HOURLY, START + timedelta(minutes=125))

    assert _at(state, 126).trigger is None
    assert _at(state, 170).trigger is Trigger.SCHEDULE


def test_nothing_fires_when_the_schedule_changes() -> None:
    """Past times of the new schedule were never due."""
    daily = replace(HOURLY, schedule=Schedule.parse("0 5 * * *"))
    state = _state(daily)

    state.update_policy(HOURLY, START + timedelta(minutes=175))

    assert _at(state, 176).trigger is None
    assert _at(state, 230).trigger is Trigger.SCHEDULE


def test_a_request_is_served_once_and_while_suspended() -> None:
    """A new value of the annotation requests a sample; a value that was handled does not."""
    state = _state()
    decision = _at(state, 1, request="now")
    assert (decision.trigger, decision.request) == (Trigger.MANUAL, "now")
    assert _at(state, 1, replace(HOURLY, suspend=True), "now").trigger is Trigger.MANUAL

    state.handled_request = "now"

    assert _at(state, 2, request="now").trigger is None


def test_a_clock_that_goes_back_does_not_stop_the_schedule() -> None:
    """The newest sample is in the future: the next scheduled time by the corrected clock is served."""
    state = _state(served=START)
    state.note_sample(_sample(60 * 24 * 365, 1), START)

    assert _at(state, 1).trigger is None
    assert _at(state, 50).trigger is Trigger.SCHEDULE


def test_a_clock_that_goes_back_takes_nothing_twice() -> None:
    """A clock that is set back by an hour after a sample does not repeat that sample at once."""
    state = _state()
    state.note_sample(_sample(50, 1), START + timedelta(minutes=50))

    assert _at(state, -9).trigger is None
    assert _at(state, -8).trigger is None


@pytest.mark.parametrize("backoff", [SOON, LATER])
def test_failures_wait_longer_each_time(backoff: Backoff) -> None:
    """Pauses double up to the longest pause, and there is no attempt before their end."""
    yearly = Policy("yearly", schedule=Schedule.parse("@yearly"))
    state = _state(yearly)
    pauses = []
    for _ in range(12):
        state.note_failure(START, backoff=backoff, jitter=lambda: 0.5, request="now")
        assert state.not_before is not None
        pauses.append((state.not_before - START).total_seconds())

    assert pauses[:3] == [backoff.first, backoff.first * 2, backoff.first * 4]
    assert pauses[-1] == backoff.longest
    decision = decide(yearly, state, START, request="now")
    assert (decision.trigger, decision.look_again) == (None, state.not_before)


def test_a_failure_does_not_outlast_the_next_scheduled_time() -> None:
    """The next scheduled time is tried in spite of a pause; success ends the pause."""
    state = _state()
    for _ in range(10):
        state.note_failure(START + timedelta(minutes=49), backoff=LATER, jitter=lambda: 0.5)

    assert _at(state, 50).trigger is Trigger.SCHEDULE
    state.note_success()
    assert state.not_before is None


def test_a_push_that_failed_is_tried_again_without_a_new_sample() -> None:
    """Pauses grow; a new remote is tried at once, and nothing is pushed once the remote has everything."""
    pushing = Policy("yearly", schedule=Schedule.parse("@yearly"), push=Push("ssh://git@example.com/a.git"))
    state = _state(pushing)
    assert decide(pushing, state, START, request="").push
    state.note_push_failure(START, backoff=SOON, jitter=lambda: 0.5)
    later = START + timedelta(seconds=SOON.first)
    assert decide(pushing, state, START, request="") == Decision(
        None, "", _at(state, 0, pushing).next, None, False, later
    )
    assert decide(pushing, state, later, request="").push
    assert not decide(pushing, state, later, request="now").push

    state.note_push_started()
    state.note_push_success()

    assert not decide(pushing, state, later, request="").push


def test_a_sample_is_pushed_unless_the_remote_is_being_waited_for() -> None:
    """A sample that is taken during a push causes another push. A pause after failures holds except for a request."""
    pushing = Policy("yearly", schedule=Schedule.parse("@yearly"), push=Push("ssh://git@example.com/a.git"))
    state = _state(pushing)
    state.note_push_started()
    state.request_push(START, at_once=False)
    state.note_push_success()
    assert decide(pushing, state, START, request="").push

    state.note_push_started()
    state.note_push_failure(START, backoff=SOON, jitter=lambda: 0.5)
    state.request_push(START, at_once=False)
    assert not decide(pushing, state, START, request="").push
    state.request_push(START, at_once=True)
    assert decide(pushing, state, START, request="").push


@given(
    steps=st.lists(st.integers(1, 7200), min_size=1, max_size=60),
    cron=st.sampled_from(["@hourly", "*/5 * * * *", "0 3 * * *", "@every 7m", "TZ=Europe/Rome 30 2 * * *"]),
)
@pytest.mark.slow
def test_every_time_is_served_at_most_once(steps: list[int], cron: str) -> None:
    """At whatever times the loop decides, each scheduled time has at most one sample, and other times have none."""
    policy = Policy("any", schedule=Schedule.parse(cron))
    state = _state(policy)
    schedule = policy.schedule
    assert schedule is not None
    now, before = START, START
    for sequence, step in enumerate(steps, start=1):
        now += timedelta(seconds=step)
        due = schedule.next_after(before) <= now
        decision = decide(policy, state, now, request="")
        assert (decision.trigger is not None) == due
        if decision.trigger is not None:
            state.note_sample(_sample((now - START).total_seconds() / 60, sequence), now)
            before = now


@pytest.mark.parametrize("backoff", [SOON, LATER])
def test_a_request_does_not_wait_for_the_end_of_a_pause(backoff: Backoff) -> None:
    """A request after the cause was removed is served at once. A request that fails waits like any other attempt."""
    state = _state()
    state.note_failure(START + timedelta(minutes=50), backoff=backoff, jitter=lambda: 0.5)
    assert _at(state, 50.01).trigger is None

    asked = _at(state, 50.01, request="now")
    state.note_failure(START + timedelta(minutes=50.01), backoff=SOON, jitter=lambda: 0.5, request="now")

    assert (asked.trigger, asked.request) == (Trigger.MANUAL, "now")
    assert _at(state, 50.02, request="now").trigger is None
    assert _at(state, 60, request="now").trigger is Trigger.MANUAL
    assert _at(state, 50.02, request="another").trigger is Trigger.MANUAL


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400), timedelta(days=30000)])
def test_a_failure_while_the_clock_was_ahead(ahead: timedelta) -> None:
    """Once the clock is right again, samples are taken and pushed at once, not after a pause of years."""
    policy = replace(HOURLY, push=Push("https://example.org/r.git"))
    state = RunState(served=START)
    state.update_policy(policy, START)
    later = START + ahead
    for backoff in (SOON, LATER):
        state.note_failure(later, backoff=backoff, jitter=lambda: 1.0, request="asked")
        state.note_push_failure(later, backoff=backoff, jitter=lambda: 1.0)

    right_again = START + timedelta(hours=2)
    assert decide(policy, state, right_again, request="").trigger is Trigger.SCHEDULE
    assert decide(policy, state, right_again, request="asked").trigger is Trigger.MANUAL
    state.served = right_again
    assert decide(policy, state, right_again, request="").push


def test_no_pause_is_longer_than_the_longest() -> None:
    """Otherwise a real pause would be cut short."""
    for backoff in (SOON, LATER):
        for failures in range(40):
            for jitter in (0.0, 1.0):
                state = RunState(served=START, failures=failures, push_failures=failures)
                state.note_failure(START, backoff=backoff, jitter=lambda jitter=jitter: jitter)  # type: ignore[misc]
                state.note_push_failure(START, backoff=backoff, jitter=lambda jitter=jitter: jitter)  # type: ignore[misc]
                assert state.not_before is not None
                assert state.push_at is not None
                assert state.not_before - START <= LONGEST_PAUSE
                assert state.push_at - START <= LONGEST_PAUSE
