"""Imports the samples of the old Sveltos Snapshot feature. Each folder is captured as if it were a cluster.

Imported objects are normalized and sealed as in any capture. An archive orders its samples as they are recorded, so
a folder that is older than the newest sample cannot be imported. The old folders are not changed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gitsnap import capture
from gitsnap.core.errors import AccessDeniedError, EmptyError, InputError
from gitsnap.core.model import Sample, TreeInfo, Trigger
from gitsnap.core.ports import Archive, Cluster, SecretsKeeper
from gitsnap.sveltos import kinds

OLD_KINDS = frozenset(
    {
        kinds.CLUSTER_PROFILE, kinds.PROFILE, kinds.CLUSTER_CONFIGURATION, kinds.CAPI_CLUSTER, kinds.SVELTOS_CLUSTER,
        kinds.CLASSIFIER, kinds.ROLE_REQUEST, kinds.EVENT_SOURCE, kinds.EVENT_TRIGGER, kinds.HEALTH_CHECK,
        kinds.CONFIG_MAP, kinds.SECRET,
    }
)  # fmt: skip
"""The kinds that the old feature collected. Its samples do not cover other kinds, whose objects may have existed."""


class OldSample(Protocol):
    """A folder of the old feature."""

    @property
    def name(self) -> str:
        """The name of the folder: a date in local time."""

    @property
    def path(self) -> Path:
        """The path of the folder."""

    @property
    def time(self) -> datetime:
        """The time of the sample, in UTC."""

    def check(self) -> None:
        """Raise InputError if the folder is plainly incomplete."""


class Outcome(enum.StrEnum):
    """The outcome of the import of one folder."""

    IMPORTED = "imported"
    PRESENT = "already imported"
    TOO_OLD = "too old"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Imported:
    """One folder and its outcome."""

    folder: str
    outcome: Outcome
    reason: str = ""
    result: capture.CaptureResult | None = None


def scope(info: TreeInfo) -> TreeInfo:
    """The settings of a capture, reduced to the kinds that the old feature collected."""
    return replace(info, kinds=tuple(kind for kind in info.kinds if kind in OLD_KINDS))


def import_samples(
    folders: Iterable[OldSample],
    archive: Archive,
    *,
    decide: Callable[[], tuple[TreeInfo, SecretsKeeper | None]],
    open_folder: Callable[[Path], Cluster],
) -> Iterator[Imported]:
    """Import the folders in their order. Yields the result of each folder when it is done.

    ``decide`` returns the settings and the keys for the next sample. It is called while the writer's lock is held,
    because other captures may add samples between two folders.
    Folders that are already imported, older than the newest sample, or unreadable are skipped with a reason.
    Raises StorageError, ConflictError, SecretsError, WrongClusterError; the remaining folders are then not imported.
    """
    imported = {sample.metadata.imported for sample in archive.samples()}
    newest = next(reversed(archive.samples()), None)
    for folder in folders:
        skipped = _skipped(imported, newest, folder)
        if skipped is not None:
            yield skipped
            continue
        try:
            folder.check()
            cluster = open_folder(folder.path)
            with archive.writer() as writer:
                info, keeper = decide()
                request = capture.Request(scope(info), keeper, folder.time, Trigger.SCHEDULE, imported=folder.name)
                result = capture.capture(cluster, archive, request, writer=writer)
        except (InputError, AccessDeniedError, EmptyError) as error:
            yield Imported(folder.name, Outcome.UNREADABLE, error.message)
        else:
            imported.add(folder.name)
            newest = result.recorded.sample
            yield Imported(folder.name, Outcome.IMPORTED, result=result)


def _skipped(imported: Collection[str], newest: Sample | None, folder: OldSample) -> Imported | None:
    """The result for a folder that is skipped. ``imported``: the names of the imported folders."""
    if folder.name in imported:
        return Imported(folder.name, Outcome.PRESENT)
    if newest is not None and folder.time < newest.metadata.time:
        return Imported(folder.name, Outcome.TOO_OLD, f"the archive has a newer sample, {newest.tag}")
    return None
