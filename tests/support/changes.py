"""Writes changes into an archive, as follow mode does, for tests of their readers. The package must not import this."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gitsnap.archive import GitArchive
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, ChangedObject, Revision
from gitsnap.core.model import Area, BlobId, JsonObject, ObjectKey
from gitsnap.core.recording import ChangeDraft, RecordedChange
from gitsnap.format import encode, path_of

CLUSTER = "cluster-1"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def write_change(
    archive: GitArchive,
    documents: Mapping[ObjectKey, JsonObject | None],
    *,
    author: Author = UNKNOWN_AUTHOR,
    time: datetime = NOON,
    version: int = 1,
    late: bool = False,
    manager: str = "",
    cluster: str = CLUSTER,
) -> RecordedChange:
    """Write one change to an archive that has a sample.

    ``documents``: the changed objects with their new configuration, None for a deleted object. ``version``: the
    resource version of the change; each object gets it, and the uid ``uid-<name>``.
    """
    with archive.writer() as writer:
        files: dict[str, BlobId | None] = {
            path_of(key): None if document is None else writer.store(encode(document))
            for key, document in documents.items()
        }
        draft = ChangeDraft(
            {Area.CONFIGURATION: files},
            author,
            time,
            (Revision(str(version)),),
            late=late,
            objects=tuple(ChangedObject(key, f"uid-{key.name}", str(version)) for key in documents),
            managers=dict.fromkeys(files, manager),
        )
        return writer.record_changes([draft], cluster=cluster, time=time)[0]
