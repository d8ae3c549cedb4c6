"""Chooses the archive that a command adds samples to. A new archive is created only if the user asks for it.

Otherwise a misspelt policy or an unmounted storage would lead to a new archive with a new private key, and the samples
would be missing in the intended archive. This module must not read or write samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.cli.archive_location import ArchiveLocation
from gitsnap.core.errors import GitsnapError, NotFoundError, StorageError, UsageError
from gitsnap.core.suggestions import nearest

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive

_CREATE = "To create an archive, give --create."


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """The folder of an archive that exists, or that may be created."""

    folder: Path
    policy: str
    """The name of the snapshot policy."""

    def open(self) -> GitArchive:
        """Open the archive, or create it and its storage folder. Raises StorageError, ArchiveError, InputError."""
        from gitsnap.archive import create_archive_at, is_free

        is_new = is_free(self.folder)
        if is_new:
            try:
                self.folder.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot create the folder {self.folder.parent}: {error.strerror}") from error
        archive = create_archive_at(self.folder, policy=self.policy)
        if is_new:
            terminal.say(f"created the archive {self.folder.resolve()}")
        return archive


def choose_archive(
    storage: Path | None, policy: str, *, create: bool, default: str = "", inputs: Iterable[Path | None] = ()
) -> ArchiveFolder:
    """Return the archive for new samples. The user confirms a new archive, unless the storage is an empty folder.

    ``storage``: a storage folder, or a folder inside an archive; None for the current folder. ``policy``: ``""`` for
    the only archive, or for ``default`` in a storage without archives. ``create``: --create was given. ``inputs``: the
    files that the command reads; a storage that holds no other files counts as empty.

    Raises UsageError if several archives fit, NotFoundError or StorageError for a new archive without --create and
    without a terminal, AbortedError if the answer is no, and ArchiveError, InputError.
    """
    from gitsnap.archive import check_policy_name, is_free, list_archives

    if policy:
        check_policy_name(policy)
    location = ArchiveLocation(policy, storage)
    folder, enclosing = location.folder, location.enclosing()
    if enclosing is not None:
        existing = _open_enclosing(enclosing, policy)
        if existing is not None:
            return existing
        folder = enclosing.parent
    if not policy:
        archives = list_archives(folder) if folder.exists() else []
        if len(archives) == 1:
            return ArchiveFolder(Path(archives[0].location), archives[0].policy)
        if archives:
            names = ", ".join(archive.policy for archive in archives)
            raise UsageError(f"--snapshot is needed: {folder.resolve()} has the archives {names}")
    chosen = ArchiveFolder(folder / (policy or default), policy or default)
    if is_free(chosen.folder):
        confirm_creation(chosen, create=create, inputs=[path for path in inputs if path is not None])
    return chosen


def confirm_creation(new: ArchiveFolder, *, create: bool, inputs: Sequence[Path] = ()) -> None:
    """Ask the user to confirm a new archive, unless --create was given or the storage is an empty folder.

    Raises NotFoundError or StorageError without a terminal, AbortedError if the answer is no.
    """
    obstacle = _obstacle(new, inputs)
    if create or obstacle is None:
        return
    if terminal.is_interactive():
        terminal.say(str(obstacle))
        terminal.confirm(f"Create the new archive {new.policy}?", yes=False, unchanged="nothing was created")
        return
    obstacle.hint = f"{obstacle.hint} {_CREATE}".strip()
    raise obstacle


def _obstacle(new: ArchiveFolder, inputs: Sequence[Path]) -> GitsnapError | None:
    """Return the reason to ask before an archive is created; None in an empty folder. Raises StorageError."""
    from gitsnap.archive import holds_other_files, is_free, list_archives
    from gitsnap.core.errors import ArchiveError

    storage = new.folder.parent
    if not storage.exists():
        return StorageError(f"the storage folder {storage.absolute()} does not exist", hint="Is its volume mounted?")
    damaged: list[ArchiveError] = []
    archives = list_archives(storage, problems=damaged)
    unused = [archive for archive in archives if archive.is_unused()]  # a first capture that failed leaves its archive
    names = [archive.policy for archive in archives if archive not in unused]
    if not is_free(new.folder):  # another process has created the archive meanwhile
        return None
    if names or damaged:
        hint = nearest(new.policy, names, none="")
        return NotFoundError(f"there is no archive {new.policy} in {storage.resolve()}", hint=hint)
    if holds_other_files(storage, besides=[*inputs, *(Path(archive.location) for archive in unused)]):
        return NotFoundError(f"there is no archive in {storage.resolve()}, and that folder holds other files")
    return None


def _open_enclosing(folder: Path, policy: str) -> ArchiveFolder | None:
    """Return the archive in ``folder`` if it belongs to the policy, or if ``policy`` is empty; otherwise None."""
    from gitsnap.archive import open_archive_at

    try:
        return ArchiveFolder(folder, open_archive_at(folder, policy).policy)
    except NotFoundError:
        return None
