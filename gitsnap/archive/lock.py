"""One writer at a time: a lock that the kernel drops when its holder dies.

This module must not write anything but the lock's own file.
"""

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
_POLL_SECONDS = 0.1


def writers_lock(git_folder: Path, *, patience: float = PATIENCE_SECONDS) -> contextlib.AbstractContextManager[int]:
    """Hold the archive's lock. See ``exclusive_lock``."""
    place = f"the archive {git_folder.parent}"
    return exclusive_lock(git_folder / LOCK_NAME, place=place, patience=patience)


@contextlib.contextmanager
def exclusive_lock(path: Path, *, place: str, patience: float) -> Iterator[int]:
    """Hold the lock of a file, which is made. A child that inherits the descriptor holds the lock as well.

    ``place``: what the lock is for, in messages. Raises ConflictError, naming the holder, when the lock is not free
    within ``patience`` seconds, and StorageError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write in {place}: {error.strerror}",
            hint="Run gitsnap as the user who owns the folder, or correct the permissions.",
        ) from error
    try:
        _acquire(descriptor, place, patience)
        with contextlib.suppress(OSError):  # who holds it is for people to read: the lock itself is the kernel's
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)  # the kernel lets go of the lock with it


def _acquire(descriptor: int, place: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip() or "unknown"
                raise ConflictError(
                    f"another process (pid {holder}) is writing to {place}",
                    hint="Try again when that process is done. If it hangs, end it: its lock is freed.",
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StorageError(
                f"the file system of {place} does not support file locks ({error.strerror})",
                hint="Use a local file system or NFS version 4.",
            ) from error
        else:
            return
