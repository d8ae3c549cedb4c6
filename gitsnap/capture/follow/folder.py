"""Follows a folder of YAML files (``--from-dir``): records the changes of files after a quiet time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from gitsnap.capture.empty_sample import check_folder
from gitsnap.capture.follow.follower import Follower
from gitsnap.capture.follow.settings import FollowSettings
from gitsnap.capture.follow.storage import following_storage
from gitsnap.core.errors import AccessDeniedError, ClusterError, ConflictError, EmptyError, InputError
from gitsnap.core.ports import Archive, Cluster
from gitsnap.core.recording import RecordedChange

POLL_SECONDS = 1.0
"""The time between two checks of the files, in seconds."""

_PROBLEMS = (AccessDeniedError, ClusterError, ConflictError, EmptyError, InputError)
"""Errors that a later change of the files can resolve, and the error of a held lock."""


class FolderRunner:
    """Follows a folder until ``stop``. The author of a change of files is unknown."""

    def __init__(
        self,
        open_folder: Callable[[], Cluster],
        state_of_files: Callable[[], object],
        archive: Archive,
        settings: FollowSettings,
        *,
        now: Callable[[], datetime],
        on_changes: Callable[[Sequence[RecordedChange]], None],
        on_problem: Callable[[str], None],
    ) -> None:
        """``state_of_files``: returns a value that differs after each change of a file. ``now``: the wall clock.

        ``on_changes`` receives recorded changes. ``on_problem`` receives the reason why the folder is not followed,
        ``""`` if it is followed.
        """
        self._open_folder = open_folder
        self._state_of_files = state_of_files
        self._archive = archive
        self._settings = settings
        self._now = now
        self._on_changes = on_changes
        self._on_problem = on_problem
        self._problem: str | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make ``run`` record the pending changes and return."""
        self._stopped.set()

    def run(self) -> None:
        """Follow until ``stop``. Raises the errors that no change of the files resolves."""
        with following_storage():
            self._run()

    def _run(self) -> None:
        recorded: object = None
        seen = self._look()
        first = last = time.monotonic()
        late = True
        while True:
            now = time.monotonic()
            due = min(last + self._settings.quiet_seconds, first + self._settings.most_seconds)
            stopped = self._stopped.is_set()
            is_readable = seen is not None
            if is_readable and (seen != recorded or self._problem) and (late or stopped or now >= due):
                if self._record(late=late):
                    recorded, late = seen, False
                first = last = time.monotonic()
            if stopped:
                return
            self._stopped.wait(POLL_SECONDS)
            current = self._look()
            if current != seen:
                last = time.monotonic()
                first = last if seen == recorded else first
                seen = current

    def _look(self) -> object:
        try:
            return self._state_of_files()
        except _PROBLEMS as error:
            self._say(str(error))
            return None

    def _record(self, *, late: bool) -> bool:
        """Record the differences from the newest commit. ``late``: whether the changes were made before ``run``."""
        try:
            folder = self._open_folder()
            check_folder(folder.info())
            follower = Follower(folder, self._archive, self._settings, now=self._now)
            with self._archive.writer() as writer:
                changes = follower.synchronize(writer, current=True, late=late)
        except _PROBLEMS as error:
            self._say(str(error))
            return False
        self._say("")
        if changes:
            self._on_changes(changes)
        return True

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)
