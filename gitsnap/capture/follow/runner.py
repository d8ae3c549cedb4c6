"""Runs a follower: receives the events of the watches, and commits changes when they are due."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from gitsnap.capture.follow.differences import count_missed
from gitsnap.capture.follow.follower import Follower
from gitsnap.capture.follow.storage import following_storage
from gitsnap.capture.follow.watches import Report, WatchedCluster, WatchThreads
from gitsnap.capture.sample import Files
from gitsnap.core.consequences import Backoff
from gitsnap.core.errors import (
    AccessDeniedError,
    ClusterError,
    ConflictError,
    GitsnapError,
    GoneError,
    IncompleteError,
    KindNotInstalledError,
)
from gitsnap.core.model import CommitId, IncompleteKind, TreeInfo
from gitsnap.core.ports import Archive, ArchiveWriter
from gitsnap.core.recording import RecordedChange

_LONGEST_WAIT = 0.5
"""The longest time between two checks of ``stop``, in seconds."""

_LOCK_PAUSE = 1.0
"""Seconds until the next attempt, while another process holds the lock of the archive."""

_SYNCHRONIZE_BACKOFF = Backoff(1.0, 60.0)
"""The pauses after failures of the cluster."""

_INCOMPLETE_SECONDS = 60.0
"""The time after which the lists are read again if a kind could not be read, in seconds."""

_KINDS_SECONDS = 60.0
"""The time between two checks for kinds that the cluster did not serve before."""

BEHIND_SECONDS = 60.0
"""A change is reported if it waits for this time longer than the settings permit."""

_SETTLE_SECONDS = 3.0
"""How long a sample waits for the events that explain its differences from the newest commit, in seconds."""

_SETTLE_PAUSE = 0.05

_NOT_READ = "the cluster was not read yet"


class Runner:
    """Follows a cluster until ``stop``. Samples of the same process count the objects that the changes missed."""

    def __init__(
        self,
        cluster: WatchedCluster,
        archive: Archive,
        follower: Follower,
        *,
        on_changes: Callable[[Sequence[RecordedChange]], None],
        on_problem: Callable[[GitsnapError | None], None] = lambda _problem: None,
    ) -> None:
        """``on_changes`` receives recorded changes.

        ``on_problem`` receives the reason why the cluster is not, or not wholly, followed; None if it is followed. Both
        are called from the thread of ``run``, or of the sample.
        """
        self._cluster = cluster
        self._archive = archive
        self._follower = follower
        self._on_changes = on_changes
        self._on_problem = on_problem
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._watches = WatchThreads(cluster, self._reports.put, follower.documents)
        self._lock = threading.RLock()
        """Guards the follower. A thread that also needs the lock of the archive takes the lock of the archive first."""
        self._stopped = threading.Event()
        self._gone = False
        self._is_reopened = False
        """Whether a watch was opened again since the identity of the cluster was read."""
        self._denied: Report | None = None
        """A watch that was refused. If its list is refused too, the other lists are followed."""
        self._error: GitsnapError | None = None
        """The error of a watch that no retry resolves."""
        self._failure: GitsnapError | None = None
        """The error of the last attempt to read the lists."""
        self._failures = 0
        self._next_attempt = 0.0
        self._read_at = 0.0
        """When the lists were read last, on the monotonic clock."""
        self._kinds_read_at = time.monotonic()
        self._problem = _NOT_READ
        self._committing_since: float | None = None
        """When the oldest change arrived that is being committed."""
        self._is_closed = False

    @property
    def info(self) -> TreeInfo:
        """The settings of the trees that are recorded."""
        return self._follower.info

    @property
    def open_watches(self) -> int:
        """The number of watches that are open, and of lists that are read in place of a watch."""
        return self._watches.open

    @property
    def lag_seconds(self) -> float:
        """How long the oldest change has waited to be committed; 0 if no change waits."""
        since = self._committing_since or self._follower.waiting_since
        return max(time.monotonic() - since, 0.0) if since is not None else 0.0

    def stop(self) -> None:
        """Make ``run`` record the pending changes and return."""
        self._stopped.set()

    def run(self) -> None:
        """Follow until ``stop``.

        Raises the errors that no retry resolves: ArchiveError, StorageError, SecretsError, WrongClusterError,
        AccessDeniedError. While the API server cannot be reached, or another process holds the lock of the archive, the
        runner tries again.
        """
        try:
            with following_storage():
                while not self._stopped.is_set():
                    self._step()
                self._finish()
        finally:
            self._is_closed = True
            self._watches.close()

    def _step(self) -> None:
        """Wait for an event or for the time of the next commit, and act on it."""
        self._wait()
        with self._lock:
            self._receive()
            if self._error is not None:
                raise self._error
            now = time.monotonic()
            due = self._is_due(now)
            self._say()
        if due and now >= self._next_attempt:
            self._attempt(now)
        else:
            self._poll_kinds(now)

    def _wait(self) -> None:
        now = time.monotonic()
        due = now if self._follower.must_synchronize else self._follower.due
        longest = _LONGEST_WAIT
        if due is not None:
            longest = min(max(due - now, self._next_attempt - now, 0.0), longest)
        try:
            report = self._reports.get(timeout=longest) if longest > 0 else self._reports.get_nowait()
        except queue.Empty:
            return
        with self._lock:
            self._take(report)

    def _receive(self) -> None:
        while not self._reports.empty():
            self._take(self._reports.get())

    def _take(self, report: Report) -> None:
        if report.generation != self._follower.generation:
            return
        if report.event is not None:
            self._follower.receive(report.query, report.event, moment=report.moment)
        elif report.error is None:
            self._is_reopened = True
        elif isinstance(report.error, GoneError):
            self._gone = True
        elif isinstance(report.error, KindNotInstalledError):  # its CRD was removed
            self._is_reopened = self._follower.must_synchronize = True
        elif isinstance(report.error, AccessDeniedError):
            self._denied = self._denied or report  # several lists of one kind are refused together
            self._is_reopened = self._follower.must_synchronize = True
        elif isinstance(report.error, ClusterError):
            self._fail(report.error)
        elif report.error is not None:
            self._error = report.error

    def _is_due(self, now: float) -> bool:
        follower = self._follower
        return self._must_read(now) or (follower.due is not None and now >= follower.due)

    def _must_read(self, now: float) -> bool:
        """Whether the lists must be read."""
        follower = self._follower
        outdated = bool(follower.incomplete) and now - self._read_at > _INCOMPLETE_SECONDS
        return self._gone or outdated or follower.must_synchronize

    def _attempt(self, now: float) -> None:
        """Record the pending changes, and read the lists again if necessary."""
        try:
            with self._archive.writer() as writer, self._lock:
                self._receive()
                self._check_cluster()
                self._act(writer, now)
        except ConflictError:  # another process holds the lock, or moved the branch
            self._next_attempt = now + _LOCK_PAUSE
        except ClusterError as error:
            self._fail(error)

    def _check_cluster(self) -> None:
        """Check that the cluster of the archive answers, if another server may answer since the last check.

        Raises WrongClusterError, because the events of another cluster must not be recorded.
        """
        if self._is_reopened:
            self._cluster.refresh()
            self._follower.check_cluster()
            self._is_reopened = False

    def _poll_kinds(self, now: float) -> None:
        """Read the lists again if the cluster serves a kind that it did not serve before."""
        if now - self._kinds_read_at < _KINDS_SECONDS or self._follower.must_synchronize:
            return
        self._kinds_read_at = now
        self._cluster.refresh()
        try:
            if self._follower.serves_new_kind():
                self._follower.must_synchronize = True
        except (ClusterError, AccessDeniedError):  # the watches report it
            return

    def _act(self, writer: ArchiveWriter, now: float) -> None:
        follower = self._follower
        generation = follower.generation
        if not follower.must_synchronize:
            self._committing_since = follower.waiting_since
            try:
                self._report(follower.commit(writer, now))
            finally:
                self._committing_since = None
        is_read = follower.generation != generation  # another process had added commits
        if self._must_read(now) and (self._gone or not is_read):
            self._report(follower.synchronize(writer, current=self._gone))
            self._gone = False
        self._watch(generation)

    def _watch(self, generation: int) -> None:
        """Watch the lists that the follower has read. ``generation``: the generation of the previous lists."""
        if self._follower.generation != generation:
            self._read_at = time.monotonic()
            self._failures, self._failure = 0, None
            denied, self._denied = self._denied, None
            if denied is not None and denied.query in self._follower.lists:  # the list may be read but not watched
                self._error = denied.error
        self._watches.watch(self._follower.lists, self._follower.generation)
        self._say()

    def _fail(self, error: ClusterError) -> None:
        """Record that the cluster cannot be followed. The lists are read again after a pause."""
        self._failures += 1
        self._next_attempt = time.monotonic() + _SYNCHRONIZE_BACKOFF.pause(self._failures)
        self._follower.must_synchronize = True
        self._failure = error
        self._say()

    def _say(self) -> None:
        """Report why the cluster is not wholly followed, if the reason has changed. Only open watches follow a list."""
        if not self._follower.generation and self._failure is None:
            return
        problem = self._failure or self._watches.failure or _unread(self._follower.incomplete) or self._behind()
        if problem is None and not self._watches.have_opened:  # the server may refuse a watch
            return
        if str(problem) != self._problem:
            self._problem = str(problem)
            self._on_problem(problem)

    def _behind(self) -> GitsnapError | None:
        allowed = self._follower.longest_wait + BEHIND_SECONDS
        if self.lag_seconds <= allowed:
            return None
        return ConflictError(f"changes have waited for more than {allowed:.0f} s to be recorded")

    def _report(self, changes: Sequence[RecordedChange]) -> None:
        if changes:
            self._on_changes(changes)

    def _finish(self) -> None:
        """Record the pending changes. After a failure, the next run finds them as differences."""
        with self._lock:
            self._receive()
            if self._follower.must_synchronize or not self._follower.waiting:
                return
        try:
            with self._archive.writer() as writer, self._lock:
                self._report(self._follower.commit(writer, time.monotonic()))
        except (ConflictError, ClusterError):
            return

    # Samples of the same process (capture.sample.ChangeRecorder) ------------------------------------------------------

    def settle(self, writer: ArchiveWriter, files: Files, revision: int) -> int:
        """Record all changes up to the resource version of a sample. Returns how many objects the changes missed.

        ``writer``: the writer of the archive, which the sample holds. ``files``: the files of the sample.
        """
        end = time.monotonic() + _SETTLE_SECONDS
        while True:
            with self._lock:
                followed = self._commit_for_sample(writer, revision)
                missed = count_missed(writer, files)
            if not missed or not followed or time.monotonic() >= end:
                return missed
            time.sleep(_SETTLE_PAUSE)

    def _commit_for_sample(self, writer: ArchiveWriter, revision: int) -> bool:
        """Commit the received events. Returns whether the cluster is followed. The sample is taken in either case."""
        self._receive()
        if self._error is not None or self._is_closed:
            return False
        generation = self._follower.generation
        try:
            self._check_cluster()
            self._report(self._follower.commit(writer, time.monotonic(), up_to=revision))
        except ClusterError as error:
            self._fail(error)
            return False
        self._watch(generation)
        return True

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """Continue after the sample was recorded. ``commit``: the commit of the sample."""
        with self._lock:
            self._follower.continue_from(commit, files)


def _unread(incomplete: Iterable[IncompleteKind]) -> GitsnapError | None:
    """The error for kinds and objects that cannot be read; None if there are none."""
    named = ", ".join(f"{entry} ({entry.reason})" for entry in incomplete)
    if not named:
        return None
    return IncompleteError(f"{named} cannot be read; all other changes are recorded")
