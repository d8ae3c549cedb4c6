"""The location of an archive: below a storage folder, in a folder of its own, or at a URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.suggestions import nearest

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.remote import Remote


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """A location as the user wrote it. Without any field it is the only archive in the current folder."""

    snapshot: str = ""
    """The policy of the archive; ``""`` if the location has one archive only."""
    storage: Path | None = None
    """The folder that holds the archives, or a folder inside one archive; None for the current folder."""
    archive: str = ""
    """The folder of one archive, or the URL of a remote; ``""`` for an archive in the storage folder."""

    @property
    def folder(self) -> Path:
        """The storage folder."""
        return self.storage or Path()

    def enclosing(self) -> Path | None:
        """Return the folder of the archive that is, or contains, the storage folder; None for a real storage folder.

        Raises ArchiveError.
        """
        from gitsnap.archive import find_enclosing, list_archives

        enclosing_archive = find_enclosing(self.folder)
        if enclosing_archive is None or enclosing_archive == Path(os.path.realpath(self.folder)):
            return enclosing_archive
        is_storage = self.folder.is_dir() and list_archives(self.folder, problems=[])
        return None if is_storage else enclosing_archive

    @property
    def is_remote(self) -> bool:
        """Whether the archive is at a URL. gitsnap reads a local copy of the archive. Only a rollback adds samples."""
        from gitsnap.archive.remote import is_url

        return is_url(self.archive)

    @property
    def remote(self) -> Remote | None:
        """The remote of the archive, or None for a local archive."""
        from gitsnap.archive.remote import Remote

        return Remote(self.archive) if self.is_remote else None

    def find(self) -> GitArchive:
        """Open the archive. Raises UsageError if several archives fit, NotFoundError if no archive does."""
        from gitsnap.archive import list_archives, open_archive_at

        if self.archive:
            remote = self.remote
            return open_archive_at(Path(self.archive), self.snapshot) if remote is None else self._cached_clone(remote)
        enclosing_archive = self.enclosing()
        if enclosing_archive is not None:
            return self._find_enclosing(enclosing_archive)
        if self.snapshot:
            return self._find_in_storage(self.folder)
        archives = list_archives(self.folder)
        if len(archives) == 1:
            return archives[0]
        if not archives:
            raise NotFoundError(
                f"there is no archive in {self.folder.resolve()}",
                hint="Name the folder with --storage or GITSNAP_STORAGE. `gitsnap capture` creates an archive.",
            )
        names = ", ".join(archive.policy for archive in archives)
        raise UsageError(f"--snapshot is needed: {self.folder.resolve()} has the archives {names}")

    def find_all(self, problems: list[ArchiveError], *, recursive: bool = False) -> list[GitArchive]:
        """Open the archive that the user named, or all archives of the storage.

        ``recursive``: whether to open the archives in folders inside the storage too. The errors of archives in the
        storage that cannot be opened are appended to ``problems``.
        """
        from gitsnap.archive import list_archives, storage_folders

        if self.archive or self.snapshot or self.enclosing() is not None:
            return [self.find()]
        folders = storage_folders(self.folder) if recursive else [self.folder]
        return [archive for folder in folders for archive in list_archives(folder, problems=problems)]

    def _cached_clone(self, remote: Remote) -> GitArchive:
        from gitsnap.archive.remote import cache_folder, cached_clone

        with terminal.ProgressLine(f"fetching {remote.shown}"):
            return cached_clone(remote, cache_folder(os.environ), self.snapshot)

    def _find_enclosing(self, folder: Path) -> GitArchive:
        """Open the archive in ``folder``, which contains the storage folder, or the named archive next to it."""
        from gitsnap.archive import open_archive_at

        try:
            return open_archive_at(folder, self.snapshot)
        except NotFoundError:
            return self._find_in_storage(folder.parent)

    def _find_in_storage(self, storage: Path) -> GitArchive:
        from gitsnap.archive import list_archives, open_archive

        try:
            return open_archive(storage, self.snapshot)
        except NotFoundError:
            known = [archive.policy for archive in list_archives(storage, problems=[])]
            raise NotFoundError(
                f"there is no snapshot policy {self.snapshot} in {storage.resolve()}",
                hint=nearest(self.snapshot, known, none="This folder holds no archive."),
            ) from None
