"""The objects that a change records: most of them by its own writes, some of them by other, newer writes.

Newer writes have two causes. An object enters the configuration when another object begins to refer to it, and may have
been written since then. Or the change is the first to read a list, and the list is newer than the events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.capture.follow.authors import SeenWrite
from gitsnap.capture.follow.differences import ChangedFiles, object_path
from gitsnap.capture.follow.mirror import Mirror, version_number
from gitsnap.capture.follow.pending import AuthoredChanges, SeenChange
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, ChangedObject
from gitsnap.core.model import Area, ObjectKey
from gitsnap.format import shown_key


def own_objects(group: AuthoredChanges, changed: ChangedFiles, mirror: Mirror) -> dict[ObjectKey, ChangedObject]:
    """The objects that a change records by its own writes. ``changed``: the files of the change.

    An object is left out if its list was read again at a version before the write.
    """
    paths = changed[Area.CONFIGURATION]
    objects: dict[ObjectKey, ChangedObject] = {}
    for seen in group.changes:
        path = object_path(seen.key)
        if (
            seen.is_change
            and path in paths
            and (paths[path] is None or mirror.newest_version(seen.key) >= seen.version)
        ):
            uid = str((seen.document.get("metadata") or {}).get("uid") or "")
            objects[seen.key] = ChangedObject(seen.key, uid, str(seen.version))
    return objects


@dataclass(frozen=True, slots=True)
class OtherWrites:
    """The writes in a change that are newer than the change itself.

    The author of the change is certain only if each of these writes is known and has the same author.
    """

    objects: tuple[ChangedObject, ...] = ()
    writes: tuple[SeenWrite, ...] = ()
    author: Author = UNKNOWN_AUTHOR
    """The author of the change and of all these writes; unknown if there are several."""
    are_known: bool = True
    """Whether the watches reported all these writes."""


def other_writes(
    group: AuthoredChanges, changed: ChangedFiles, mirror: Mirror, passive: Iterable[SeenChange], *, first: int
) -> OtherWrites:
    """Find the objects of a change whose newest write is not part of the change.

    ``changed``: the files of the change. ``passive``: the events of objects that were not part of the configuration.
    ``first``: the lowest version of the changes that are recorded together. The reference to an object may have begun
    with any of them. An object that was written earlier is not returned: only the reference to it is new.
    """
    own = {object_path(seen.key): seen.version for seen in group.changes}
    events = [event for event in passive if event.version > first]
    gone = {event.key: _deletion(event) for event in events if event.write is not None and event.write.write.deleted}
    objects: list[ChangedObject] = []
    for path, blob in changed[Area.CONFIGURATION].items():
        if (key := shown_key(path)) is None:
            continue
        newest = mirror.changed_object(key)
        if blob is None:  # an object that still exists has lost the last reference to it
            deleted = ChangedObject(key, "", str(mirror.newest_version(key)) if not newest.uid else "")
            newest = gone.get(key, deleted)
        if _version(newest) > own.get(path, first):
            objects.append(newest)
    versions = {entry.key: _version(entry) for entry in objects}
    seen = [event for event in events if event.version <= versions.get(event.key, 0)]
    writes = [event.write for event in reversed(seen) if event.write is not None]
    replaced = {entry.key: version_number(entry.write.replaced) for entry in writes}
    reported = {(event.key, event.version) for event in seen}
    are_known = (
        versions.items() <= reported
        and all(version <= first for version in replaced.values())
        and all(len(mirror.versions(key)) < 2 for key in versions)
    )
    is_certain = are_known and all(event.author == group.author for event in seen)
    return OtherWrites(tuple(objects), tuple(writes), group.author if is_certain else UNKNOWN_AUTHOR, are_known)


def _deletion(event: SeenChange) -> ChangedObject:
    """The object that an event deletes."""
    uid = event.write.write.uid if event.write is not None else ""
    return ChangedObject(event.key, uid, str(event.version))


def _version(changed: ChangedObject) -> int:
    return version_number(changed.resource_version)
