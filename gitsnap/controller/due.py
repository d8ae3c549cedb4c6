"""When a policy is due: pure arithmetic on times, so that it can be tested without waiting.

Nothing is due on creation, at the end of a suspension or when the schedule changes. Missed times collapse into one
sample.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gitsnap.core.consequences import LATER, Backoff
from gitsnap.core.model import Sample, Trigger
from gitsnap.format.sample_message import MOST_CHARACTERS
from gitsnap.policy.schedule import Due, Schedule, due
from gitsnap.policy.snapshot import Policy, Push

_SPREAD = (0.75, 0.5)
"""Jitter: a pause is multiplied by the first number plus a random part of the second."""

LONGEST_PAUSE = timedelta(seconds=LATER.longest * sum(_SPREAD))
"""The longest possible pause. The time of an attempt that is further away was set while the clock was ahead."""

_REQUEST = re.compile(r"\d{4}-\d\d-\d\dT\S+\s+(.*)", re.DOTALL)
"""A time and a message. Any other text with spaces, such as the output of ``date``, is a request without a message."""

_LONGEST_DEADLINE = 10 * 366 * 86400
"""Seconds. A starting deadline this long never passes between two times of a schedule."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to decide again."""

    trigger: Trigger | None = None
    """Why a sample is taken now; None where none is due."""
    request: str = ""
    """The request that this sample serves, ``""`` for a scheduled sample."""
    next: datetime | None = None
    """The next scheduled time; None without a schedule, or while it is suspended."""
    missed: datetime | None = None
    """A scheduled time that is given up because its starting deadline has passed."""
    push: bool = False
    """Whether to push now."""
    look_again: datetime | None = None
    """The first time at which the decision may differ; None: only when something changes."""


@dataclass(slots=True)
class RunState:
    """What the controller knows about the runs and pushes of a policy. All times are aware."""

    served: datetime
    """Every scheduled time up to here is served, or was never due."""
    handled_request: str = ""
    """The newest value of the annotation for which a sample was taken."""
    tried_request: str = ""
    """The newest value of the annotation for which a run failed."""
    schedule: Schedule | None = None
    suspended: bool = False
    failures: int = 0
    """Runs that failed in a row."""
    not_before: datetime | None = None
    """Time of the next attempt after a failure. A new request does not wait: its author may have removed the cause."""
    newest_sequence: int = 0
    """Sequence number of the newest scheduled sample."""
    push: Push | None = None
    push_failures: int = 0
    """Pushes that failed in a row."""
    push_at: datetime | None = None
    """When to push; None where the remote has everything, or while a push runs."""
    needs_sample: bool = False
    """Whether follow mode needs a sample before it can record changes."""
    _known: bool = field(default=False, repr=False)
    """Whether ``update_policy`` was called before."""

    def update_policy(self, policy: Policy, now: datetime) -> None:
        """Use a new version of the policy. Times missed by a changed schedule or a suspension are not made up for."""
        changed = self._known and self.schedule != policy.schedule
        if changed or (self.suspended and not policy.suspend):
            self.served = max(self.served, now)
            self.not_before = None
        if changed:
            self.failures = 0
        if self.push != policy.push:  # a new remote
            self.push_failures, self.push_at = 0, now if policy.push is not None else None
        self.schedule, self.suspended, self.push, self._known = policy.schedule, policy.suspend, policy.push, True

    def note_sample(self, sample: Sample, now: datetime) -> None:
        """Record a scheduled sample. A time in the future (the clock was set back) counts as now."""
        if sample.metadata.sequence > self.newest_sequence:
            self.newest_sequence = sample.metadata.sequence
            self.served = max(self.served, min(sample.metadata.time, now))

    def note_success(self) -> None:
        """Record a run that took a sample."""
        self.failures, self.not_before, self.needs_sample = 0, None, False

    def note_failure(self, now: datetime, *, backoff: Backoff, jitter: Callable[[], float], request: str = "") -> None:
        """Record a run that failed. Pauses grow, but the next scheduled time is always tried.

        ``request``: the request that the run was to serve, if any. ``jitter`` returns a number from 0 to 1 and spreads
        the attempts of many policies.
        """
        self.failures += 1
        again = now + _pause(self.failures, backoff, jitter)
        self.tried_request = request or self.tried_request
        if self.schedule is not None and not self.suspended:
            again = min(again, max(self.schedule.next_after(now), now + timedelta(seconds=backoff.first)))
        self.not_before = again

    def request_push(self, now: datetime, *, at_once: bool) -> None:
        """Schedule a push of a new sample; ``at_once`` skips the pause after failed pushes."""
        if at_once or not self.push_failures:
            self.push_at = now

    def note_push_started(self) -> None:
        """Record the start of a push; a sample that is taken during the push requests another one."""
        self.push_at = None

    def note_push_success(self) -> None:
        """Record that the remote has everything that the archive had when the push started."""
        self.push_failures = 0

    def note_push_failure(self, now: datetime, *, backoff: Backoff, jitter: Callable[[], float]) -> None:
        """Record a push that failed; pauses grow."""
        self.push_failures += 1
        self.push_at = now + _pause(self.push_failures, backoff, jitter)


def decide(policy: Policy, state: RunState, now: datetime, *, request: str) -> Decision:
    """What is due at ``now``. ``request``: value of the annotation that requests a sample, ``""`` without one.

    A sample comes before a push. Corrects times of ``state`` that were set while the clock was ahead.
    """
    state.not_before, state.push_at = _within_pause(state.not_before, now), _within_pause(state.push_at, now)
    scheduled = _scheduled(policy, state, now)
    upcoming = scheduled.next if scheduled is not None else None
    requested = bool(request) and request != state.handled_request
    wanted = None
    if requested:
        wanted = Trigger.MANUAL
    elif scheduled is not None and scheduled.run is not None:
        wanted = Trigger.SCHEDULE
    elif state.needs_sample:
        wanted = Trigger.MANUAL
    pausing = state.not_before is not None and now < state.not_before
    is_new_request = requested and request != state.tried_request
    held = wanted is not None and pausing and not is_new_request
    trigger = None if held else wanted
    push = trigger is None and state.push_at is not None and now >= state.push_at
    times = [state.not_before if held else upcoming, None if push else state.push_at]
    return Decision(
        trigger,
        request=request if requested and trigger is not None else "",
        next=upcoming,
        missed=scheduled.missed if scheduled is not None else None,
        push=push,
        look_again=min((time for time in times if time is not None), default=None),
    )


def message_of_request(request: str) -> str:
    """The message for the sample: the text after the time in ``2023-08-26T05:00:00Z CHG-1042: before the upgrade``.

    ``""`` for a request without a message. A long message is cut, because it must not prevent the sample.
    """
    match = _REQUEST.match(request)
    return match[1].strip()[:MOST_CHARACTERS] if match else ""


def _pause(failures: int, backoff: Backoff, jitter: Callable[[], float]) -> timedelta:
    return timedelta(seconds=backoff.pause(failures) * (_SPREAD[0] + jitter() * _SPREAD[1]))


def _within_pause(attempt: datetime | None, now: datetime) -> datetime | None:
    """The time of the next attempt; ``now`` if that time is beyond any pause, because the clock was set back."""
    return now if attempt is not None and attempt - now > LONGEST_PAUSE else attempt


def _scheduled(policy: Policy, state: RunState, now: datetime) -> Due | None:
    if policy.schedule is None or policy.suspend:
        return None
    state.served = min(state.served, now)  # a clock that was set back must not delay the next sample
    deadline = policy.starting_deadline_seconds
    limit = None if deadline is None else timedelta(seconds=min(deadline, _LONGEST_DEADLINE))
    return due(policy.schedule, last=state.served, now=now, starting_deadline=limit)
