"""The hint of an error of the storage, such as a full disk, while changes are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gitsnap.core.errors import StorageError

_HINT = (
    "The archive is unharmed. Free space or correct the permissions. The controller then continues by itself; start "
    "`gitsnap follow` again. Follow mode continues at the newest commit."
)


@contextmanager
def following_storage() -> Iterator[None]:
    """Replace the hint of a StorageError, which is about a capture."""
    try:
        yield
    except StorageError as error:
        raise StorageError(error.message, hint=_HINT) from error
