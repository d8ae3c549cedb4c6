"""The writer's lock of an archive. The kernel frees the lock when the process that holds it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gitsnap.core.errors import ConflictError, StorageError

LOCK_NAME = "gitsnap.lock"
PATIENCE_SECONDS = 60.0
"""Default time to wait for the lock."""
_POLL_SECONDS = 0.1


def writers_lock(git_folder: Path, *, patience: float = PATIENCE_SECONDS) -> contextlib.AbstractContextManager[int]:
    """Hold the writer's lock of an archive for the duration of the context. See ``exclusive_lock``."""
    subject = f"the archive {git_folder.parent}"
    return exclusive_lock(git_folder / LOCK_NAME, subject=subject, patience=patience)


@contextlib.contextmanager
def exclusive_lock(path: Path, *, subject: str, patience: float) -> Iterator[int]:
    """Hold an exclusive lock on a file for the duration of the context. The file is created where it is missing.

    Args:
        path: The lock file.
        subject: What the lock protects, for messages.
        patience: Seconds to wait for the lock.

    Yields:
        The descriptor of the lock file. A child process that inherits the descriptor holds the lock as well.

    Raises:
        ConflictError: Another process, which the message names, held the lock for too long.
        StorageError: The file cannot be created, or its file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write in {subject}: {error.strerror}",
            hint="Run gitsnap as the user who owns the folder, or correct the permissions.",
        ) from error
    try:
        _acquire(descriptor, subject, patience)
        with contextlib.suppress(OSError):  # the text names the holder in messages; the lock works without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)  # this frees the lock


def _acquire(descriptor: int, subject: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip() or "unknown"
                raise ConflictError(
                    f"another process (pid {holder}) is writing to {subject}",
                    hint="Try again when that process is done. If it hangs, end it: its lock is freed.",
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StorageError(
                f"the file system of {subject} does not support file locks ({error.strerror})",
                hint="Use a local file system or NFS version 4.",
            ) from error
        else:
            return
