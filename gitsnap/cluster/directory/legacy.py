"""The folders of the old Sveltos Snapshot feature, ``<storage>/snapshot/<name>/<date>/``, each a dump of a cluster.

Below lies ``[<namespace>/]<Kind>/<name>.yaml``. A date is local time, such as ``2023-08-26:05:00:00``.
This module must not write anything, or look into objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitsnap.cluster.directory.files import find_files
from gitsnap.core.errors import AccessDeniedError, InputError, NotFoundError
from gitsnap.core.time_zones import check_zone

OLD_FEATURE = "snapshot"
_DATE = "%Y-%m-%d:%H:%M:%S"


@dataclass(frozen=True, slots=True)
class DatedFolder:
    """A sample of the old feature."""

    path: Path
    time: datetime
    """In UTC. Of a local time that came twice the first is taken, since nothing tells them apart."""

    @property
    def name(self) -> str:
        """The date, as the folder has it."""
        return self.path.name

    def check(self) -> None:
        """Raises InputError for a folder that was given up half-way, AccessDeniedError for one that cannot be read.

        The old feature wrote each object in one go, with a line's end last: a file without one was cut off.
        """
        files = find_files(self.path)
        if not files:
            raise InputError("it holds no objects")
        for file in files:
            try:
                whole = file.read_bytes().endswith(b"\n")
            except OSError as error:
                raise AccessDeniedError(f"cannot read {file}: {error.strerror}") from None
            if not whole:
                raise InputError(f"{file.relative_to(self.path)} is cut off: it does not end with a line's end")


def old_snapshots(storage: Path) -> list[str]:
    """Names of the Snapshots that the old feature kept below a storage folder. Raises NotFoundError."""
    return [path.name for path in _folders(storage / OLD_FEATURE)]


def dated_folders(storage: Path, snapshot: str, *, zone: str = "UTC") -> tuple[list[DatedFolder], list[str]]:
    """The samples of a Snapshot in the order of their names, and the names of folders that are no date.

    ``zone``: the time zone in which the old feature ran. Raises NotFoundError, AccessDeniedError, InputError.
    """
    tzinfo = check_zone(zone)
    dated, others = [], []
    for path in _folders(storage / OLD_FEATURE / snapshot):
        try:
            local = datetime.strptime(path.name, _DATE).replace(tzinfo=tzinfo)
        except ValueError:
            others.append(path.name)
        else:
            dated.append(DatedFolder(path, local.astimezone(UTC)))
    return dated, others


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"there is no folder {place}",
            hint=f"The old feature kept its samples in <storage>/{OLD_FEATURE}/<name>; name that storage with --from.",
        ) from None
    except PermissionError:
        raise AccessDeniedError(f"{place} is not readable for this user") from None
