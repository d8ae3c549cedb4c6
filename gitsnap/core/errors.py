"""The errors that gitsnap reports.

    GitsnapError
    ├── UsageError                the command line is not valid
    ├── InputError                a file, a policy or a manifest is not valid
    │   └── NotPermittedError     a Snapshot asks for something that the flags of the controller do not permit
    ├── NotFoundError             a policy, sample, kind, object, … does not exist
    │   └── KindNotInstalledError the API server does not serve a kind
    ├── ArchiveError              not an archive, an archive of a newer format, or a damaged one
    ├── StorageError              the storage folder cannot be read or written
    ├── SecretsError              a key or an identity is missing or does not match
    ├── ClusterError              the cluster cannot be reached, or its answer is not valid
    │   ├── ClusterUnreachableError
    │   │   └── BusyError         the server refused the request because of its load (429)
    │   ├── GoneError             a resource version is too old
    │   │   └── BehindError       a resource version is not known yet
    │   └── RejectedError         the server refused a write as invalid
    ├── AccessDeniedError         401 or 403
    ├── ConflictError             another writer changed the object meanwhile
    │   └── AlreadyExistsError
    ├── WrongClusterError         the archive belongs to another cluster
    ├── IncompleteError           a kind could not be read, and a complete sample was required
    ├── EmptyError                there is no object to record
    ├── RefusedError              the plan of a rollback, a prune or a forget was refused
    ├── RollbackFailedError       a rollback stopped half-way
    │   └── RollbackRevertedError a rollback failed and was reverted (--atomic)
    ├── NotReconciledError        Sveltos did not report the state that the next step of a rollback needs
    ├── NotDeployedError          a rollback was written, but Sveltos failed to deploy it, or did not report in time
    ├── RemoteError               a remote cannot be pushed to
    │   ├── RemoteUnreachableError
    │   ├── RemoteRefusedError    a rule, a hook or a missing feature of the server
    │   ├── RemoteChangedError    another writer pushed at the same time
    │   └── RemoteDivergedError   the remote has another history
    ├── OutputError               standard output cannot be written
    │   └── ClosedOutputError     the reader of standard output has closed it
    ├── InternalError             a defect of gitsnap itself
    └── AbortedError              the user declined or interrupted, or the process was asked to stop

``core.consequences`` has the consequences of each class: exit code, next attempt, condition and Event.
"""

from __future__ import annotations

EXIT_DIFFERENCES = 1
"""``gitsnap diff --exit-code`` found differences."""

EXIT_INCOMPLETE = 13
"""A sample was taken, but a kind or an object in it was carried forward or is missing, a kind is not served, or no
object is left. Also: a copy of an archive lacks a part."""

EXIT_ATTENTION = 21
"""``gitsnap status`` found a problem that a person has to correct."""

EXIT_LEFT_OUT = 16
"""A rollback was executed, but ``--skip-refused`` left out objects that differ and cannot be rolled back."""


class GitsnapError(Exception):
    """A failure that is reported to the user.

    ``message`` says what failed and on which object; ``hint`` is one sentence that says what to do next. Both are
    printed as they are, so they must not contain a value of a Secret.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(GitsnapError):
    """The command line is not valid."""


class InputError(GitsnapError):
    """A file, a policy or a manifest is not valid; the message names the field or the line."""


class NotPermittedError(InputError):
    """A Snapshot asks for something that the flags of the controller do not permit.

    The message names the field and the flag.
    """


class NotFoundError(GitsnapError):
    """A policy, sample, kind, object, managed cluster or namespace does not exist."""


class KindNotInstalledError(NotFoundError):
    """The API server does not serve this kind (its CRD is not installed)."""


class ArchiveError(GitsnapError):
    """Not a gitsnap archive, an archive of a newer format, or a damaged one."""


class StorageError(GitsnapError):
    """The storage folder is missing, not a folder, not writable, or full."""


class SecretsError(GitsnapError):
    """A fingerprint key, a recipient or an identity is missing or does not match."""


class ClusterError(GitsnapError):
    """The cluster cannot be reached, or its answer is not valid."""


class ClusterUnreachableError(ClusterError):
    """No connection, a time-out, or an answer of class 5xx."""


class BusyError(ClusterUnreachableError):
    """The server refused the request because of its load, before it did anything (429)."""


class GoneError(ClusterError):
    """The requested resource version is too old (410) or not known to the server yet (504)."""


class BehindError(GoneError):
    """The requested resource version is not known to the server yet (504)."""


class RejectedError(ClusterError):
    """The server refused a write as invalid: schema, CEL, immutability, admission, quota (400, 422)."""


class AccessDeniedError(GitsnapError):
    """The server does not know this user (401) or forbids the request (403)."""


class ConflictError(GitsnapError):
    """Another writer changed the object, or the archive, since it was read (409)."""


class AlreadyExistsError(ConflictError):
    """Another writer created an object of this name meanwhile (409)."""


class WrongClusterError(GitsnapError):
    """The archive belongs to another cluster than the cluster that answers."""


class IncompleteError(GitsnapError):
    """A kind could not be read, and a complete sample was required; nothing was written."""


class EmptyError(GitsnapError):
    """There is no object to record: the folder or the cluster may be the wrong one; nothing was written."""


class RefusedError(GitsnapError):
    """The plan of a rollback, a prune or a forget was refused; nothing was written."""


class RollbackFailedError(GitsnapError):
    """A rollback stopped half-way; the report lists the steps that were applied and the steps that were not."""


class RollbackRevertedError(RollbackFailedError):
    """A rollback failed half-way and was reverted: the cluster is as it was before."""


class NotReconciledError(GitsnapError):
    """Sveltos did not report the state that the next step of a rollback needs in time."""


class NotDeployedError(GitsnapError):
    """A rollback was written, but Sveltos failed to deploy it on a cluster, or did not report the cluster in time."""


class RemoteError(GitsnapError):
    """A remote cannot be pushed to: it refuses the push or the credentials, or is not the expected repository."""


class RemoteUnreachableError(RemoteError):
    """No connection to the remote, or the connection broke."""


class RemoteRefusedError(RemoteError):
    """The remote refuses the push, or lacks a feature that the push needs; somebody has to change it there."""


class RemoteChangedError(RemoteError):
    """Another writer pushed between the comparison with the remote and the push; the next comparison decides."""


class RemoteDivergedError(RemoteError):
    """The remote has commits or tags that the archive lacks; a person has to decide."""


class OutputError(GitsnapError):
    """Standard output cannot be written, for example because of a full disk."""


class ClosedOutputError(OutputError):
    """The reader of standard output has closed it, as ``head`` does; the exit code is a shell's for SIGPIPE."""


class InternalError(GitsnapError):
    """A defect of gitsnap itself, in a process that continues with other work; the log has the traceback."""


class AbortedError(GitsnapError):
    """The user declined or pressed Ctrl-C, or the process was asked to stop."""
