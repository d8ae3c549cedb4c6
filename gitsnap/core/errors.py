"""Every failure that gitsnap reports, with its exit code.

    GitsnapError
    ├── UsageError                2   the command line cannot be understood
    ├── InputError                3   a file, a policy or a manifest is not valid
    │   └── NotPermittedError         … a Snapshot asks for what the flags of the controller do not permit
    ├── NotFoundError             4   a policy, sample, kind, object, … that does not exist
    │   └── KindNotInstalledError     … a kind that the API server does not serve
    ├── ArchiveError              5   not an archive, of a newer format, or damaged
    ├── StorageError              6   the storage folder cannot be read or written
    ├── SecretsError              7   a key or an identity is missing or does not fit
    ├── ClusterError              8   the cluster cannot be reached or answers wrongly
    │   ├── ClusterUnreachableError
    │   │   └── BusyError             … it refused to do anything for now (429)
    │   ├── GoneError                 … a resource version is too old
    │   │   └── BehindError           … or not yet known
    │   └── RejectedError             … the server refused a write as invalid
    ├── AccessDeniedError         9   401 or 403
    ├── ConflictError            10   somebody else changed it meanwhile
    │   └── AlreadyExistsError
    ├── WrongClusterError        11   another cluster than the one the archive belongs to
    ├── IncompleteError          12   a kind could not be read (13: a sample was taken without it)
    ├── RefusedError             14   a plan, of a rollback or a prune, that must not be carried out as it is
    ├── RollbackFailedError      15   a rollback that stopped half-way (16: one that left objects out)
    │   └── TakenBackError       17   … one that failed, and whose writes were undone (--atomic)
    ├── UnsettledError           15   Sveltos does not report what the next step of a rollback rests on
    ├── NotArrivedError          19   a rollback that Sveltos did not carry out in time, or not at all
    ├── RemoteError              18   a remote refuses, or has another history
    │   ├── RemoteUnreachableError
    │   ├── RemoteRefusedError        … it takes nothing of this kind: a rule, a hook, or what the server cannot do
    │   ├── RemoteChangedError        … somebody else pushed at the same moment
    │   └── RemoteDivergedError
    ├── OutputError              20   stdout cannot be written
    │   └── ReaderGoneError     141   … since its reader has ended
    ├── InternalError            70   a defect of gitsnap itself
    └── AbortedError            130   the person at the terminal said no

Exit codes are an interface (docs/SCRIPTING.md): 0 done, 1 differences with ``--exit-code``, 2 usage.
This module must not import anything of gitsnap.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_DIFFERENCES = 1
"""``gitsnap diff --exit-code`` found differences."""

EXIT_INCOMPLETE = 13
"""A sample was taken, but a kind in it was carried forward or is missing."""

EXIT_LEFT_OUT = 16
"""A rollback was carried out, but left out objects that differ and cannot be rolled back (``--skip-refused``)."""


class GitsnapError(Exception):
    """What failed, on which object, and what to do; printed as it is, so never a value of a Secret.

    ``hint`` is one sentence that says what to do next.
    """

    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody doing something."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(GitsnapError):
    """The command line cannot be understood."""

    exit_code = 2


class InputError(GitsnapError):
    """A file, a policy or a manifest is not valid; the message names the field or the line."""

    exit_code = 3


class NotPermittedError(InputError):
    """A Snapshot asks for what the flags of the controller do not permit; the message names field and flag."""


class NotFoundError(GitsnapError):
    """A policy, sample, kind, object, managed cluster or namespace does not exist."""

    exit_code = 4


class KindNotInstalledError(NotFoundError):
    """The API server does not serve this kind (its CRD is not installed)."""


class ArchiveError(GitsnapError):
    """Not a gitsnap archive, an archive of a newer format, or a damaged one."""

    exit_code = 5


class StorageError(GitsnapError):
    """The storage folder is missing, not a folder, not writable, or full."""

    exit_code = 6


class SecretsError(GitsnapError):
    """A fingerprint key, a recipient or an identity is missing or does not fit."""

    exit_code = 7


class ClusterError(GitsnapError):
    """The cluster cannot be reached, or its answer is not one gitsnap understands."""

    exit_code = 8


class ClusterUnreachableError(ClusterError):
    """No connection, a time-out, or an answer of class 5xx."""

    retryable = True


class BusyError(ClusterUnreachableError):
    """The server has too much to do and refused the request before it did anything (429)."""


class GoneError(ClusterError):
    """The resource version asked for is too old (410) or not yet known to the server (504)."""

    retryable = True


class BehindError(GoneError):
    """The resource version asked for is not yet known to the server (504)."""


class RejectedError(ClusterError):
    """The server refused a write as invalid: schema, CEL, immutability, admission, quota (400, 422)."""


class AccessDeniedError(GitsnapError):
    """The server does not know this user (401) or forbids the request (403)."""

    exit_code = 9


class ConflictError(GitsnapError):
    """The object, or the archive, was changed by somebody else since it was read (409)."""

    exit_code = 10
    retryable = True


class AlreadyExistsError(ConflictError):
    """An object of this name was created meanwhile (409)."""

    retryable = False


class WrongClusterError(GitsnapError):
    """The archive belongs to another cluster than the one that answers."""

    exit_code = 11


class IncompleteError(GitsnapError):
    """A kind could not be read, and a complete sample was required; nothing was written."""

    exit_code = 12


class RefusedError(GitsnapError):
    """A plan, of a rollback or a prune, that must not be carried out as it is; nothing was written."""

    exit_code = 14


class RollbackFailedError(GitsnapError):
    """A rollback stopped half-way; the report says what was and what was not applied."""

    exit_code = 15


class TakenBackError(RollbackFailedError):
    """A rollback failed half-way, and all that it had written was undone: the cluster is as it was before."""

    exit_code = 17


class UnsettledError(GitsnapError):
    """Sveltos does not report in time what the next step of a rollback rests on: is its controller running?"""

    exit_code = 15
    retryable = True


class NotArrivedError(GitsnapError):
    """A rollback was written, and Sveltos did not carry it out on some cluster in time, or failed to."""

    exit_code = 19


class RemoteError(GitsnapError):
    """A remote does not take what is pushed, does not accept the credentials, or is not the one that is expected."""

    exit_code = 18


class RemoteUnreachableError(RemoteError):
    """No connection to the remote, or it broke."""

    retryable = True


class RemoteRefusedError(RemoteError):
    """The remote refuses what is pushed, or cannot do what a push needs: somebody has to change something there."""


class RemoteChangedError(RemoteError):
    """Somebody else wrote to the remote between a look at it and a push: another look tells what to do."""

    retryable = True


class RemoteDivergedError(RemoteError):
    """The remote has commits or tags that the archive has not: a person has to decide."""


class OutputError(GitsnapError):
    """Standard output cannot be written: a full disk, for instance."""

    exit_code = 20


class ReaderGoneError(OutputError):
    """Whoever read standard output has ended, as ``head`` does; the code is a shell's for SIGPIPE."""

    exit_code = 141


class InternalError(GitsnapError):
    """A defect of gitsnap itself, in a process that goes on for its other work; the log has the traceback."""

    retryable = True


class AbortedError(GitsnapError):
    """The person at the terminal said no or pressed Ctrl-C, or the process is asked to stop."""

    exit_code = 130
