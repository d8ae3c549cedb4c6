"""Follow mode of the served Snapshots: one thread for each Snapshot with ``spec.follow``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from gitsnap.capture.follow import Runner
from gitsnap.controller import follow_reports
from gitsnap.controller.policy_state import ServedPolicy
from gitsnap.controller.run import Sampler
from gitsnap.controller.workers import Note, report_defect
from gitsnap.core.consequences import SOON
from gitsnap.core.errors import GitsnapError, InternalError
from gitsnap.core.recording import RecordedChange
from gitsnap.policy.snapshot import Policy

_SAMPLE_PAUSE = 2.0
"""Seconds between two checks for the sample that the first change follows."""

_START_SECONDS = 10.0
"""How long a due sample waits for the start of follow mode, which may record changes with their authors first."""

_log = logging.getLogger(__name__)


class _FollowedPolicy:
    """The thread of one policy."""

    def __init__(self, policy: Policy, sampler: Sampler, send: Callable[[Note], None]) -> None:
        self.policy = policy
        self.runner: Runner | None = None
        self.has_ended = False
        self._has_tried = False
        self._created = time.monotonic()
        self._sampler = sampler
        self._send = send
        self._stopped = threading.Event()
        self._problem: str | None = None
        """The last reported problem; None before the first report."""
        self._thread = threading.Thread(target=self._forever, name="follow", daemon=True)

    @property
    def is_starting(self) -> bool:
        """Whether the first attempt to follow is in progress."""
        waited = time.monotonic() - self._created
        return self.runner is None and not self._has_tried and waited < _START_SECONDS

    def start(self) -> None:
        """Follow until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Make the thread record the waiting changes and end."""
        self._stopped.set()
        if (runner := self.runner) is not None:
            runner.stop()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def _forever(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            pause = SOON.pause(failures + 1)
            try:
                pause = self._follow(pause)
                failures = 0
            except GitsnapError as error:
                self._say(error)
                failures += 1
            except Exception as error:  # noqa: BLE001 - without this thread no change would be recorded
                self._say(InternalError(report_defect(self.policy.name, error)))
                failures += 1
            self._has_tried = True
            self._stopped.wait(pause)
        self.has_ended = True
        self._send(follow_reports.note_end)

    def _follow(self, pause: float) -> float:
        """Follow until ``stop`` or an error. Returns the seconds until the next attempt."""
        runner = self._sampler.follow(self.policy, on_changes=self._note_changes, on_problem=self._say)
        if runner is None:
            self._send(_request_sample)
            return _SAMPLE_PAUSE
        self.runner = runner  # kept after its end: a sample counts the changes that it misses
        self._send(lambda served, _now: follow_reports.note_runner(served, runner))
        if self._stopped.is_set():
            runner.stop()
        runner.run()
        return pause

    def _note_changes(self, changes: Sequence[RecordedChange]) -> None:
        self._send(lambda served, now: follow_reports.note_changes(served, changes, now))

    def _say(self, problem: GitsnapError | None) -> None:
        if str(problem) != self._problem:
            self._problem = str(problem)
            self._send(lambda served, now: follow_reports.note_problem(served, problem, now))


def _request_sample(served: ServedPolicy, _now: datetime) -> None:
    served.runs.needs_sample = True


class Followers:
    """The follow modes of all served policies. For the thread of the loop."""

    def __init__(self, sampler: Sampler, send: Callable[[str, Note], None]) -> None:
        """``send`` delivers a note about a named policy to the loop."""
        self._sampler = sampler
        self._send = send
        self._followed: dict[str, _FollowedPolicy] = {}
        self._ending: dict[str, _FollowedPolicy] = {}

    def update(self, policies: Mapping[str, Policy]) -> None:
        """Follow these policies and no others. The thread of a changed policy is restarted."""
        for name, followed in list(self._followed.items()):
            if policies.get(name) != followed.policy:
                followed.stop()
                self._ending[name] = self._followed.pop(name)
        self._ending = {name: followed for name, followed in self._ending.items() if not followed.has_ended}
        for name, policy in policies.items():
            if name not in self._followed and name not in self._ending:  # the end of a thread wakes the loop
                followed = _FollowedPolicy(policy, self._sampler, partial(self._send, name))
                self._followed[name] = followed
                followed.start()
                _log.info("following the cluster", extra={"policy": name})

    def runner(self, name: str) -> Runner | None:
        """The follow mode of a policy, if it runs or has ended with an error."""
        followed = self._followed.get(name)
        return followed.runner if followed is not None else None

    def is_starting(self, name: str) -> bool:
        """Whether the follow mode of a policy will run in a moment."""
        followed = self._followed.get(name)
        return followed.is_starting if followed is not None else name not in self._ending

    def close(self, seconds: float) -> None:
        """End all, and wait for them."""
        self.update({})
        for followed in self._ending.values():
            followed.join(seconds)
