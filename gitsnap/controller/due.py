"""What a policy waits for: pure arithmetic on moments, so that it can be tested without waiting.

Nothing fires on creation, on the end of a suspension or on a new schedule; missed times collapse into one sample.
This module must not read a clock, nor do anything about what is due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gitsnap.core.model import Sample, Trigger
from gitsnap.policy.schedule import Due, Schedule, due
from gitsnap.policy.snapshot import Policy, Push

TRANSIENT_SECONDS = (5.0, 300.0)
"""First and longest pause after a failure that may pass by itself."""

PERSON_SECONDS = (60.0, 900.0)
"""The same after a failure that somebody has to mend: nobody tells the controller when a full disk has room again."""

_SPREAD = (0.75, 0.5)
"""A pause is multiplied by the first number, and by up to the second one more."""

LONGEST_PAUSE = timedelta(seconds=PERSON_SECONDS[1] * sum(_SPREAD))
"""No attempt is put off for longer. A moment beyond it was noted while the clock was ahead."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to look again."""

    trigger: Trigger | None = None
    """Why to take a sample now; None where nothing is due."""
    request: str = ""
    """The request that such a sample serves, ``""`` where it was the schedule."""
    next: datetime | None = None
    """The next scheduled time; None without a schedule, or while it is suspended."""
    missed: datetime | None = None
    """A scheduled time that is given up, since its starting deadline has passed."""
    push: bool = False
    """Whether to push what is there now."""
    look_again: datetime | None = None
    """The first moment at which the decision may be another one; None: only when something changes."""


@dataclass(slots=True)
class Agenda:
    """What is known of a policy's runs. All moments are aware."""

    served: datetime
    """Everything that was scheduled until then is served, or was never due."""
    handled_request: str = ""
    """Value of the annotation that asks for a sample, as it was served last."""
    tried_request: str = ""
    """The same as it was tried last, in vain."""
    schedule: Schedule | None = None
    suspended: bool = False
    failures: int = 0
    not_before: datetime | None = None
    """No attempt before then, but for a new request: whoever mended something need not wait."""
    newest_sequence: int = 0
    push: Push | None = None
    push_failures: int = 0
    push_at: datetime | None = None
    """When to push; None where the remote has everything, or is being brought up to it."""
    _known: bool = field(default=False, repr=False)

    def sync(self, policy: Policy, now: datetime) -> None:
        """Take note of the policy as it is now: what a changed schedule or a suspension missed is not made up for."""
        changed = self._known and self.schedule != policy.schedule
        if changed or (self.suspended and not policy.suspend):
            self.served = max(self.served, now)
            self.not_before = None
        if changed:
            self.failures = 0
        if self.push != policy.push:  # a remote that was not known, or that is another one now
            self.push_failures, self.push_at = 0, now if policy.push is not None else None
        self.schedule, self.suspended, self.push, self._known = policy.schedule, policy.suspend, policy.push, True

    def saw(self, sample: Sample, now: datetime) -> None:
        """Take note of the newest scheduled sample; one of the future (the clock went back) counts as now."""
        if sample.metadata.sequence > self.newest_sequence:
            self.newest_sequence = sample.metadata.sequence
            self.served = max(self.served, min(sample.metadata.time, now))

    def succeeded(self) -> None:
        """Take note that a sample was taken."""
        self.failures, self.not_before = 0, None

    def push_due(self, now: datetime, *, at_once: bool) -> None:
        """Take note of a new sample: it is pushed with what else is behind, at once where somebody asked for it."""
        if at_once or not self.push_failures:
            self.push_at = now

    def push_started(self) -> None:
        """Take note that a push begins; a sample that is taken meanwhile asks for another one."""
        self.push_at = None

    def pushed(self) -> None:
        """Take note that the remote has what there was when the push began."""
        self.push_failures = 0

    def push_failed(self, now: datetime, *, transient: bool, jitter: Callable[[], float]) -> None:
        """Take note that the remote lacks something: the next attempt waits longer each time."""
        self.push_at = now + _pause(self.push_failures, transient=transient, jitter=jitter)
        self.push_failures += 1

    def failed(self, now: datetime, *, transient: bool, jitter: Callable[[], float], request: str = "") -> None:
        """Take note of a failure: the next attempt waits longer each time, but not beyond the next scheduled time.

        ``request``: the one that was to be served, if any. ``jitter`` gives a number from 0 to 1, so that many policies
        do not try again at one moment.
        """
        again = now + _pause(self.failures, transient=transient, jitter=jitter)
        self.failures += 1
        self.tried_request = request or self.tried_request
        first = (TRANSIENT_SECONDS if transient else PERSON_SECONDS)[0]
        if self.schedule is not None and not self.suspended:
            again = min(again, max(self.schedule.next_after(now), now + timedelta(seconds=first)))
        self.not_before = again


def decide(policy: Policy, agenda: Agenda, now: datetime, *, request: str) -> Decision:
    """What is due at ``now``. ``request``: value of the annotation that asks for a sample, ``""`` without one."""
    agenda.not_before, agenda.push_at = _reached(agenda.not_before, now), _reached(agenda.push_at, now)
    state = _scheduled(policy, agenda, now)
    upcoming = state.next if state is not None else None
    asked = bool(request) and request != agenda.handled_request
    wanted = Trigger.MANUAL if asked else Trigger.SCHEDULE if state is not None and state.run is not None else None
    missed = state.missed if state is not None else None
    waits = agenda.not_before is not None and now < agenda.not_before
    held = wanted is not None and waits and not (asked and request != agenda.tried_request)
    trigger = None if held else wanted
    push = trigger is None and agenda.push_at is not None and now >= agenda.push_at
    moments = [agenda.not_before if held else upcoming, None if push else agenda.push_at]
    return Decision(
        trigger,
        request if asked and trigger is not None else "",
        upcoming,
        missed,
        push,
        min((one for one in moments if one is not None), default=None),
    )


def _pause(failures: int, *, transient: bool, jitter: Callable[[], float]) -> timedelta:
    first, longest = TRANSIENT_SECONDS if transient else PERSON_SECONDS
    return timedelta(seconds=min(first * 2 ** min(failures, 16), longest) * (_SPREAD[0] + jitter() * _SPREAD[1]))


def _reached(moment: datetime | None, now: datetime) -> datetime | None:
    """The moment of a next attempt; now, where it lies further ahead than any pause: the clock was set back since."""
    return now if moment is not None and moment - now > LONGEST_PAUSE else moment


def _scheduled(policy: Policy, agenda: Agenda, now: datetime) -> Due | None:
    if policy.schedule is None or policy.suspend:
        return None
    agenda.served = min(agenda.served, now)  # else nothing would be due until a clock that went back has caught up
    deadline = policy.starting_deadline_seconds
    limit = None if deadline is None else timedelta(seconds=min(deadline, _LONGEST_DEADLINE))
    return due(policy.schedule, last=agenda.served, now=now, starting_deadline=limit)


_LONGEST_DEADLINE = 10 * 366 * 86400
"""Seconds; a deadline beyond any schedule's distance is none."""
