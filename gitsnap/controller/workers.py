"""Threads that take samples, push, and read archives; the loop receives each outcome as a message."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from gitsnap.capture.follow import Runner
from gitsnap.controller import run_reports
from gitsnap.controller.due import message_of_request
from gitsnap.controller.policy_state import ServedPolicy
from gitsnap.controller.run import Sampler
from gitsnap.controller.run_results import ArchiveState, PushResult, RunResult
from gitsnap.core.errors import AbortedError, GitsnapError, InternalError
from gitsnap.core.model import Trigger
from gitsnap.policy.snapshot import Policy

_PUSHERS = 4
"""Pushes at a time. They have workers of their own: a remote that hangs must not delay samples."""

_READERS = 8
"""Archives that are read at a time for newly served Snapshots: a volume that hangs must not delay the loop."""

_R = TypeVar("_R")
Note = Callable[[ServedPolicy, datetime], None]
"""Changes the state of a policy, at the time of a step. Runs in the thread of the loop."""

_log = logging.getLogger(__name__)


class Workers:
    """The threads, and the jobs that they do for a policy."""

    def __init__(self, sampler: Sampler, *, samplers: int, send: Callable[[str, Note], None]) -> None:
        """``samplers``: samples taken at a time. ``send`` delivers a note about a named policy to the loop."""
        self._sampler = sampler
        self._send = send
        self._samplers = ThreadPoolExecutor(samplers, thread_name_prefix="sample")
        self._pushers = ThreadPoolExecutor(_PUSHERS, thread_name_prefix="push")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        self._closed = False
        self.abandon_at = float("inf")
        """Monotonic time at which running samples are abandoned."""

    def start_sample(
        self, served: ServedPolicy, policy: Policy, trigger: Trigger, request: str, *, follow: Runner | None = None
    ) -> None:
        """Take a sample; ``request`` is the request that it serves, if any. ``follow``: the policy's follow mode."""
        served.running = True

        def job() -> RunResult:
            self._send(policy.name, lambda known, now: known.note_started(now))
            message = message_of_request(request)
            return self._sampler.take(policy, trigger, message=message, follow=follow, cancelled=self._cancelled)

        def note(known: ServedPolicy, outcome: RunResult | GitsnapError, now: datetime) -> None:
            if isinstance(outcome, RunResult):
                known.note_success(trigger, request, outcome, now)
                run_reports.report_run(known, outcome, now)
            else:
                known.note_failure(request, outcome, now)

        self._submit(self._samplers, policy, job, note)

    def start_push(self, served: ServedPolicy, policy: Policy) -> None:
        """Push the samples that the remote lacks."""
        served.pushing = True
        served.runs.note_push_started()

        def note(known: ServedPolicy, outcome: PushResult | GitsnapError | None, now: datetime) -> None:
            if isinstance(outcome, GitsnapError):  # an error of the archive, for example a volume that cannot be read
                outcome = PushResult(None, outcome, None)
            known.note_push(outcome, now)

        self._submit(self._pushers, policy, lambda: self._sampler.push(policy), note)

    def start_reading(self, served: ServedPolicy, policy: Policy) -> None:
        """Read the archive of a policy that is new or has another storage.

        No run starts before the content of the archive is known.
        """
        served.reading = True

        def note(known: ServedPolicy, outcome: ArchiveState | GitsnapError | None, now: datetime) -> None:
            known.reading = False
            if isinstance(outcome, AbortedError):
                return
            if isinstance(outcome, GitsnapError):
                known.note_unreadable(outcome, now)
            else:
                known.note_archive(outcome, now)

        self._submit(self._readers, policy, lambda: self._sampler.read_archive(policy), note)

    def close(self) -> None:
        """Start no further job. Jobs that wait for a thread end as aborted; jobs that run continue."""
        self._closed = True
        for pool in (self._samplers, self._pushers, self._readers):
            pool.shutdown(wait=False)

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        policy: Policy,
        job: Callable[[], _R],
        note: Callable[[ServedPolicy, _R | GitsnapError, datetime], None],
    ) -> None:
        """Do a job in another thread; ``note`` receives its outcome in the thread of the loop."""

        def work() -> None:
            outcome = AbortedError("the controller is asked to stop") if self._closed else _outcome(policy, job)
            self._send(policy.name, lambda known, now: note(known, outcome, now))

        pool.submit(work)

    def _cancelled(self) -> bool:
        return time.monotonic() >= self.abandon_at


def _outcome(policy: Policy, job: Callable[[], _R]) -> _R | GitsnapError:
    try:
        return job()
    except GitsnapError as error:
        return error
    except Exception as error:  # a defect with one policy must not stop the other policies
        return InternalError(report_defect(policy.name, error))


def report_defect(name: str, error: Exception) -> str:
    """Log the exception that is being handled, with its traceback; returns the message for the status of a policy."""
    _log.exception("a defect of gitsnap", extra={"policy": name})
    return f"a defect of gitsnap: {type(error).__name__} (the log has more)"
