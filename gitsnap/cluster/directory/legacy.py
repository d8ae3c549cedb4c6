"""Folders of the old Snapshot feature, ``<storage>/snapshot/<name>/<date>/``: each is a dump of a cluster.

A folder contains ``[<namespace>/]<Kind>/<name>.yaml``. The date is local time, such as ``2023-08-26:05:00:00``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitsnap.cluster.directory.object_files import find_files
from gitsnap.core.errors import AccessDeniedError, InputError, NotFoundError
from gitsnap.core.time_zones import check_zone

OLD_FEATURE = "snapshot"
_DATE = "%Y-%m-%d:%H:%M:%S"


@dataclass(frozen=True, slots=True)
class LegacyFolder:
    """A sample of the old feature."""

    path: Path
    time: datetime
    """In UTC. A local time that occurred twice counts as the first of the two."""

    @property
    def name(self) -> str:
        """The name of the folder: its date."""
        return self.path.name

    def check(self) -> None:
        """Check that the folder is complete. Raises InputError, and AccessDeniedError for a file that cannot be read.

        The old feature wrote each object at once and ended it with a newline: a file without a newline was cut off.
        """
        files = find_files(self.path)
        if not files:
            raise InputError("it has no objects")
        for file in files:
            try:
                whole = file.read_bytes().endswith(b"\n")
            except OSError as error:
                raise AccessDeniedError(f"cannot read {file}: {error.strerror}") from None
            if not whole:
                raise InputError(f"{file.relative_to(self.path)} is cut off: it does not end with a newline")


def old_snapshots(storage: Path) -> list[str]:
    """Names of the Snapshots of the old feature in a storage folder. Raises NotFoundError, AccessDeniedError."""
    return [path.name for path in _folders(storage / OLD_FEATURE)]


def find_legacy_folders(storage: Path, snapshot: str, *, zone: str = "UTC") -> tuple[list[LegacyFolder], list[str]]:
    """The folders of a Snapshot sorted by name, and the names of folders that are not dates.

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
            dated.append(LegacyFolder(path, local.astimezone(UTC)))
    return dated, others


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"there is no folder {parent}",
            hint=f"The old feature has its samples in <storage>/{OLD_FEATURE}/<name>; name that storage with --from.",
        ) from None
    except PermissionError:
        raise AccessDeniedError(f"{parent} is not readable for this user") from None
