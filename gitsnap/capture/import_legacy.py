"""Takes over the samples of the old Sveltos Snapshot feature, each as if its folder were a cluster at that moment.

They pass through the same normalization and sealing as a capture. Samples are ordered as they are recorded, so only
what is not older than the archive's newest sample can be taken over. This module must not change the old folders.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gitsnap import capture
from gitsnap.core.errors import AccessDeniedError, InputError
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
"""What the old feature collected. Other kinds are not covered by its samples, which is not the same as absent."""


class OldSample(Protocol):
    """A folder of the old feature."""

    @property
    def name(self) -> str:
        """Its date as it stands there, in local time."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def time(self) -> datetime:
        """Its moment, in UTC."""

    def check(self) -> None:
        """Raises InputError when the folder is plainly not whole."""


class Outcome(enum.StrEnum):
    """What became of a folder."""

    IMPORTED = "imported"
    PRESENT = "already imported"
    TOO_OLD = "too old"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Imported:
    """One folder, and what became of it."""

    folder: str
    outcome: Outcome
    reason: str = ""
    result: capture.CaptureResult | None = None


def scope(info: TreeInfo) -> TreeInfo:
    """What the old feature's folders can say, out of what a capture asks for."""
    return replace(info, kinds=tuple(kind for kind in info.kinds if kind in OLD_KINDS))


def import_samples(
    folders: Iterable[OldSample],
    archive: Archive,
    *,
    decide: Callable[[], tuple[TreeInfo, SecretsKeeper | None]],
    open_folder: Callable[[Path], Cluster],
) -> Iterator[Imported]:
    """Take over folders in this order, one result for each as it is done.

    ``decide`` gives scope, mode and keys of the next sample. It is called under the writer's lock: captures may take
    samples between two folders.

    What is there already, what is older than the newest sample, and what cannot be read is left out and said so.
    Raises StorageError, ConflictError, SecretsError, WrongClusterError: then nothing further can be done.
    """
    known = {sample.metadata.imported for sample in archive.samples()}
    newest = next(reversed(archive.samples()), None)
    for folder in folders:
        reason = _left_out(known, newest, folder)
        if reason is not None:
            yield reason
            continue
        try:
            folder.check()
            cluster = open_folder(folder.path)
            with archive.writer() as writer:
                info, keeper = decide()
                request = capture.Request(scope(info), keeper, folder.time, Trigger.SCHEDULE, imported=folder.name)
                taken = capture.capture(cluster, archive, request, writer=writer)
        except (InputError, AccessDeniedError) as error:
            yield Imported(folder.name, Outcome.UNREADABLE, error.message)
        else:
            known.add(folder.name)
            newest = taken.recorded.sample
            yield Imported(folder.name, Outcome.IMPORTED, result=taken)


def _left_out(known: Collection[str], newest: Sample | None, folder: OldSample) -> Imported | None:
    """Why a folder is not imported. ``known``: names of those that were, ``newest``: the archive's newest sample."""
    if folder.name in known:
        return Imported(folder.name, Outcome.PRESENT)
    if newest is not None and folder.time < newest.metadata.time:
        return Imported(folder.name, Outcome.TOO_OLD, f"the archive goes on after it, up to {newest.tag}")
    return None
