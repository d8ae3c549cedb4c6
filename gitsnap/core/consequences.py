"""What follows from an error: exit code, HTTP status, next attempt, and the condition and Event of a Snapshot.

One table, as in Flux's ``internal/error``. A class without a row has the row of its nearest base class. The tables of
exit codes in docs/SCRIPTING.md and of failures in docs/OPERATIONS.md are generated from this module
(scripts/docs-tables).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple

from gitsnap.core import errors
from gitsnap.core.errors import EXIT_ATTENTION, EXIT_DIFFERENCES, EXIT_INCOMPLETE, EXIT_LEFT_OUT, GitsnapError


class FailureReason(enum.StrEnum):
    """The reason of a condition that is False because of an error."""

    INVALID_SPEC = "InvalidSpec"
    """Not ready: a field of the spec is not valid; the message names it."""
    NOT_PERMITTED = "NotPermitted"
    """Not ready: the flags of the controller do not permit the spec; the message names field and flag."""
    RETRYING = "Retrying"
    """Not ready: the newest run failed; the cause may pass by itself."""
    NEEDS_ATTENTION = "NeedsAttention"
    """Not ready: the newest run failed; somebody has to remove the cause."""
    BEHIND = "Behind"
    """Not pushed: the remote could not be reached; the cause may pass by itself."""
    DIVERGED = "Diverged"
    """Not pushed: the remote has commits that the archive lacks; a person has to decide."""
    PUSH_REFUSED = "PushRefused"
    """Not pushed: credentials, host key, or a rule of the remote."""
    KINDS_NOT_FOLLOWED = "KindsNotFollowed"
    """Not following: kinds or objects cannot be read. The changes of all others are recorded."""


class Backoff(NamedTuple):
    """Pauses before further attempts, in seconds: they double from ``first`` to ``longest``."""

    first: float
    longest: float

    def pause(self, failures: int) -> float:
        """The pause after a failure. ``failures``: the number of failures in a row, with this one."""
        return min(self.first * 2.0 ** min(failures - 1, 16), self.longest)


SOON = Backoff(5.0, 300.0)
"""The cause may pass by itself."""

LATER = Backoff(60.0, 900.0)
"""Somebody has to remove the cause. Attempts continue, because the controller does not learn when the cause is gone."""


class Notice(NamedTuple):
    """How the failure of one step is reported in the Snapshot."""

    reason: FailureReason
    event: str
    """The reason of the Event, ``""`` for none."""


_RETRYING = Notice(FailureReason.RETRYING, "CaptureFailed")
_NEEDS_ATTENTION = Notice(FailureReason.NEEDS_ATTENTION, "CaptureFailed")
_BEHIND = Notice(FailureReason.BEHIND, "PushFailed")
_DIVERGED = Notice(FailureReason.DIVERGED, "PushFailed")
_PUSH_REFUSED = Notice(FailureReason.PUSH_REFUSED, "PushFailed")
_INVALID_SPEC = Notice(FailureReason.INVALID_SPEC, "")
_NOT_PERMITTED = Notice(FailureReason.NOT_PERMITTED, "NotPermitted")
_DEFECT = Notice(FailureReason.NEEDS_ATTENTION, "")
_NOT_FOLLOWED = Notice(FailureReason.NEEDS_ATTENTION, "FollowFailed")
_FOLLOW_RETRYING = Notice(FailureReason.RETRYING, "FollowFailed")
_KINDS_NOT_FOLLOWED = Notice(FailureReason.KINDS_NOT_FOLLOWED, "FollowFailed")


@dataclass(frozen=True, slots=True)
class Consequence:
    """A row of the table."""

    exit_code: int
    backoff: Backoff = LATER
    run: Notice = _NEEDS_ATTENTION
    """For a run that took no sample because of the error: condition Ready."""
    push: Notice = _PUSH_REFUSED
    """For a push that failed because of the error: condition Pushed."""
    spec: Notice = _INVALID_SPEC
    """For a spec that is refused because of the error: condition Ready."""
    follow: Notice = _NOT_FOLLOWED
    """For changes that are not followed because of the error: condition Following."""
    retention: str = "RetentionFailed"
    """For a retention that removed nothing because of the error: the reason of the Event. There is no condition."""
    http_status: int = 500
    """For a page of ``gitsnap web`` that cannot be shown because of the error."""
    interrupted: bool = False
    """The work was abandoned, not tried in vain: no condition and no Event, and the next run starts without a pause."""

    @property
    def transient(self) -> bool:
        """Whether the cause may pass by itself."""
        return self.backoff is SOON


def _transient(exit_code: int) -> Consequence:
    return Consequence(exit_code, SOON, _RETRYING, _BEHIND, follow=_FOLLOW_RETRYING)


CONSEQUENCES: dict[type[GitsnapError], Consequence] = {
    GitsnapError: Consequence(70),
    errors.UsageError: Consequence(2, http_status=400),
    errors.InputError: Consequence(3, http_status=400),
    errors.NotPermittedError: Consequence(3, spec=_NOT_PERMITTED, http_status=400),
    errors.NotFoundError: Consequence(4, http_status=404),
    errors.ArchiveError: Consequence(5),
    errors.StorageError: Consequence(6),
    errors.SecretsError: Consequence(7),
    errors.ClusterError: Consequence(8),
    errors.ClusterUnreachableError: _transient(8),
    errors.GoneError: _transient(8),
    errors.AccessDeniedError: Consequence(9),
    errors.ConflictError: _transient(10),
    errors.AlreadyExistsError: Consequence(10),
    errors.WrongClusterError: Consequence(11),
    errors.IncompleteError: Consequence(12, follow=_KINDS_NOT_FOLLOWED),
    errors.EmptyError: Consequence(22),
    errors.RefusedError: Consequence(14),
    errors.RollbackFailedError: Consequence(15),
    errors.RollbackRevertedError: Consequence(17),
    errors.NotReconciledError: _transient(15),
    errors.RemoteError: Consequence(18),
    errors.RemoteUnreachableError: _transient(18),
    errors.RemoteChangedError: _transient(18),
    errors.RemoteDivergedError: Consequence(18, push=_DIVERGED),
    errors.NotDeployedError: Consequence(19),
    errors.OutputError: Consequence(20),
    errors.InternalError: replace(_transient(70), spec=_DEFECT),
    errors.AbortedError: Consequence(130, interrupted=True),
    errors.ClosedOutputError: Consequence(141),
}

EXIT_CODES: dict[int, str] = {
    0: "done",
    EXIT_DIFFERENCES: "`diff --exit-code` or `drift --exit-code` found differences",
    2: "the command line is not valid",
    3: "a file, a policy or a manifest is not valid",
    4: "a policy, sample, kind, object or managed cluster does not exist",
    5: "not an archive, an archive of a newer format, or a damaged one",
    6: "the storage folder cannot be read or written",
    7: "a key or an identity is missing or does not match; Secrets would be kept differently from the archive's record",
    8: "the cluster cannot be reached, or its answer is not valid",
    9: "access denied (401 or 403)",
    10: "another writer changed the object or the archive meanwhile",
    11: "the archive belongs to another cluster",
    12: "a kind could not be read, and `--require-complete` was given: no sample was taken",
    EXIT_INCOMPLETE: (
        "a sample was taken, but a kind or an object in it was carried forward or is missing, a kind of `--resources` "
        "is not served, or the cluster has no object any more; `import` left a folder out; `attribute` could not read "
        "a line of the log or a change, or the log contradicts a recorded name; `diff` or `drift` could not compare a "
        "kind or an object (`notComparable`); `verify`, or a `log` or `search` that found nothing, read a copy of the "
        "archive that lacks a part; `list --changes`, `log` or `report` could not read a change, which a warning "
        "names; `bisect` skipped changes, so that several remain"
    ),
    14: "the plan of a rollback, a prune or a forget was refused; nothing was written",
    15: "a rollback stopped half-way; with `--atomic`: and could not be reverted",
    EXIT_LEFT_OUT: "a rollback was executed, but `--skip-refused` left objects out",
    17: "a rollback failed, and `--atomic` reverted all its steps",
    18: "a remote cannot be reached, refuses the push, or has another history",
    19: "a rollback was written, and with `--wait` a cluster failed to deploy it or did not report it in time",
    20: "standard output cannot be written (a full disk); the message says what was already done",
    EXIT_ATTENTION: "`status` found a problem; the line below it says what to do",
    22: "there is no object to record, so no sample was taken; `capture --allow-empty` takes one",
    70: "a defect of gitsnap itself; `--debug` shows the details",
    130: "interrupted, or the user declined",
    129: "ended in order by SIGHUP: child processes have ended, temporary files are removed",
    141: "the reader of standard output has closed it, as `head` does",
    143: "ended in order by SIGTERM, as for 129",
}
"""Every exit code and its meaning. Exit codes are an interface: a released code keeps its meaning."""


def consequence_of(error: GitsnapError | type[GitsnapError]) -> Consequence:
    """The row of an error's class, or of its nearest base class that has a row."""
    error_class = error if isinstance(error, type) else type(error)
    return next(CONSEQUENCES[base] for base in error_class.__mro__ if base in CONSEQUENCES)


def exit_code_of(error: GitsnapError | type[GitsnapError]) -> int:
    """The exit code of a command that ends with this error."""
    return consequence_of(error).exit_code
