"""Turns the events of watches into changes of an archive. Starts no threads and reads no clock.

The follower holds a copy of the lists that a capture reads (``mirror``). For each change, the follower applies the
events to the copy and runs the collector of a capture on the copy. A change therefore has the same files as a capture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gitsnap.capture.archiver import OBJECT_ERRORS
from gitsnap.capture.collector import Collected
from gitsnap.capture.context import CaptureContext
from gitsnap.capture.follow.authors import AuditNames, AuthorFinder, author_finder, seen_write
from gitsnap.capture.follow.change_objects import OtherWrites, other_writes, own_objects
from gitsnap.capture.follow.collection import Collection
from gitsnap.capture.follow.differences import ChangedFiles, differences, is_change, object_path
from gitsnap.capture.follow.mirror import Mirror, Query, version_number
from gitsnap.capture.follow.pending import POLLED, AuthoredChanges, PendingChanges, SeenChange
from gitsnap.capture.follow.settings import FollowSettings
from gitsnap.capture.sample import Files, check_cluster
from gitsnap.core.changes import UNKNOWN_AUTHOR, ChangedObject, Revision, Who
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, CommitId, IncompleteKind, JsonObject, TreeInfo
from gitsnap.core.objects import KubeObject
from gitsnap.core.ports import Archive, ArchiveWriter, Cluster, WatchEvent
from gitsnap.core.recording import ChangeDraft, RecordedChange
from gitsnap.format import encode, path_of, shown_key
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import Inclusions
from gitsnap.sveltos.normalize import normalize


class Follower:
    """Follows one cluster for one archive. Calls must not overlap."""

    def __init__(
        self,
        cluster: Cluster,
        archive: Archive,
        settings: FollowSettings,
        *,
        now: Callable[[], datetime],
        authors: AuthorFinder | None = None,
        names: AuditNames | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``now``: the wall clock. ``names``: the names of audit events. ``pause`` waits for a number of seconds.

        Raises InputError if the settings want pseudonyms and there is no key.
        """
        self._cluster = cluster
        self._archive = archive
        self._settings = settings
        self._authors = authors or author_finder(settings.who, settings.pseudonym_key)
        self._names = names
        self._now = now
        self._pending = PendingChanges(settings.quiet_seconds, settings.most_seconds)
        added = settings.info.resources
        self._inclusions = Inclusions(frozenset(), tuple(entry for entry in added if entry.kind in kinds.USER_KINDS))
        self._listed_kinds = kinds.LISTED_KINDS | {entry.kind for entry in added}
        self._mirror = Mirror(cluster)
        self._recorded: Files = {area: {} for area in Area}
        """The files of the newest commit."""
        self._collection = Collection(settings, self._inclusions, now=now, pause=pause)
        self._tree = self._collection.tree
        self._head: CommitId | None = None
        self._revision = 0
        self._last_time: datetime | None = None
        self.generation = 0
        """The number of times that the lists were read. The watches of an earlier generation must end."""
        self.must_synchronize = True
        """Whether the copy of the lists may differ from the cluster: ``synchronize`` must be called."""

    @property
    def info(self) -> TreeInfo:
        """The settings of the trees that are recorded."""
        return self._settings.info

    @property
    def longest_wait(self) -> float:
        """The longest time that a change waits, in seconds."""
        return self._settings.most_seconds

    @property
    def due(self) -> float | None:
        """The moment at which ``commit`` must be called, on the monotonic clock of the events; None for no change."""
        return self._pending.due

    @property
    def waiting(self) -> int:
        """The number of events that are not committed yet."""
        return len(self._pending)

    @property
    def lists(self) -> Mapping[Query, str]:
        """The lists to watch, each with the resource version at which its watch starts."""
        return self._collection.lists

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """The kinds and objects that the last collection could not read."""
        return self._collection.incomplete

    @property
    def waiting_since(self) -> float | None:
        """When the oldest change arrived that is not committed, on the monotonic clock of the events."""
        return self._pending.first

    def check_cluster(self) -> None:
        """Raise WrongClusterError if another cluster than that of the archive answers."""
        check_cluster(self._archive, self._cluster.info())

    def serves_new_kind(self) -> bool:
        """Whether the cluster serves a kind that it did not serve when the lists were read."""
        return any(self._cluster.resource_type(kind) is not None for kind in self._mirror.absent_kinds)

    def documents(self, query: Query) -> Iterator[JsonObject]:
        """The objects of a copied list."""
        return self._mirror.documents(query)

    def delay(self, moment: float) -> None:
        """Make no change due before ``moment``."""
        self._pending.delay(moment)

    # Samples ----------------------------------------------------------------------------------------------------------

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """Continue after a sample. ``commit``, ``files``: the commit and the files of the sample."""
        self.must_synchronize |= bool(differences(self._recorded, files)[Area.CONFIGURATION])
        self._recorded, self._head = files, commit

    # Reading the lists ------------------------------------------------------------------------------------------------

    def why_sample_is_needed(self, writer: ArchiveWriter) -> str:
        """Why a sample must be taken before changes can be recorded; ``""`` if none is needed."""
        head = writer.head
        if head is None or not self._archive.samples():
            return "the archive has no sample"
        if head.info != self._settings.info:
            return "the archive's last commit has other settings (kinds, resources, secrets mode or rules)"
        return ""

    def synchronize(
        self, writer: ArchiveWriter, *, current: bool = False, late: bool = True
    ) -> Sequence[RecordedChange]:
        """Read all lists, and record the differences from the newest commit as a change that was seen late.

        The lists are read at the resource version of the newest commit, if the server still has this version. Then
        there are no differences, and the watches deliver all later changes. Pending events are dropped, so all watches
        must start again at the versions in ``lists``.

        ``current``: read the current lists. ``late``: whether the change is marked as seen late. Raises
        WrongClusterError, ArchiveError and the errors of ``collect``.
        """
        if reason := self.why_sample_is_needed(writer):
            raise ArchiveError(f"no change can be recorded: {reason}", hint="Take a sample with gitsnap capture.")
        self.must_synchronize = True
        self._pending.clear()
        self.generation += 1
        self.check_cluster()
        head = writer.head
        assert head is not None  # noqa: S101 - there is a sample
        self._mirror = Mirror(self._cluster, start=0 if current else writer.head_revision)
        self._recorded = {area: dict(head.files(area)) for area in Area}
        self._collection.start(head, self._recorded)
        collected = self._collection.collect(self._mirror)
        self._revision = version_number(self._mirror.version)  # a restored cluster counts from a lower version
        changed = differences(self._recorded, collected.files)
        recorded: Sequence[RecordedChange] = ()
        if is_change(changed):
            draft = ChangeDraft(
                changed,
                UNKNOWN_AUTHOR,
                self._time_of_commit(self._now()),
                (Revision(str(self._revision)),),
                late=late,
                objects=self._late_objects(changed),
                managers=self._managers(collected),
            )
            recorded = self._record(writer, [draft], collected.files, collected.incomplete)
        self._tree.forget_contents()
        self._head = writer.head_commit
        self.must_synchronize = False
        return recorded

    # Events -----------------------------------------------------------------------------------------------------------

    def receive(self, query: Query, event: WatchEvent, *, moment: float) -> None:
        """Take an event from the watch of a list. ``moment``: when the event arrived, on a monotonic clock."""
        if event.change == "BOOKMARK":
            return
        key = KubeObject.of(event.document).key
        version = version_number((event.document.get("metadata") or {}).get("resourceVersion"))
        deleted, single = event.change == "DELETED", event.change != POLLED
        self._take(SeenChange(query, key, event.document, deleted, version, moment, self._now(), is_single=single))

    def _take(self, seen: SeenChange) -> None:
        """Let an event wait for its commit. If it changes no configuration, apply it as soon as no change waits."""
        query, key, obj = seen.query, seen.key, KubeObject.of(seen.document)
        newest = self._pending.newest(query, key)
        if not self._mirror.is_news(query, key, seen.version) or (newest and seen.version <= newest.version):
            return
        if newest is not None:
            before = None if newest.deleted else KubeObject.of(newest.document)
        else:
            before = self._mirror.held(query, key)
        if self._is_configured(before, None if seen.deleted else obj):
            self._pending.add(replace(self._named(seen, before), is_change=True, is_passive=False))
        elif newest is not None and not newest.is_passive:
            after = replace(seen, author=newest.author, time=newest.time)
            self._pending.add(replace(after, is_change=False, is_passive=False))
        elif newest is not None or self._pending.due is not None:
            self._pending.add(replace(self._named(seen, before), is_change=False, is_passive=True))
        else:
            self._mirror.apply(query, key, seen.document, deleted=seen.deleted)

    def _named(self, seen: SeenChange, before: KubeObject | None) -> SeenChange:
        """An event with the author and the moment of the write. ``before``: the previous version, None if new."""
        obj = KubeObject.of(seen.document)
        made = seen_write(obj, before, str(seen.version), seen.time, deleted=seen.deleted, is_single=seen.is_single)
        return replace(seen, time=made.time, author=self._authors.find_author(obj, made.write), write=made)

    def _is_configured(self, before: KubeObject | None, after: KubeObject | None) -> bool:
        """Whether an event can change the configuration. ``before``, ``after``: the object, None if absent."""
        obj = after or before
        old, new = self._contribution(before), self._contribution(after)
        if obj is None or old == new:
            return False
        if obj.kind in self._listed_kinds or obj.kind in (kinds.NAMESPACE, kinds.DEPLOYMENT):
            return True
        try:
            return obj.key in self._collection.targets or path_of(obj.key) in self._tree.files(Area.CONFIGURATION)
        except ValueError:  # no path can hold the name
            return True

    def _contribution(self, obj: KubeObject | None) -> object:
        """The part of an object in a sample, without the inventory: its configuration, and facts for other objects."""
        if obj is None or obj.is_terminating:
            return None
        try:
            origin = self._inclusions.origin_if_left_out(obj)
            facts = CaptureContext().facts_of(obj)
            own = obj.kind not in kinds.INVENTORY_KINDS and origin is None
            return origin, facts, obj.raw.get("type"), encode(normalize(obj.raw)) if own else b""
        except OBJECT_ERRORS:  # the collector reports the object
            return json.dumps(obj.raw, sort_keys=True)

    # Commits ----------------------------------------------------------------------------------------------------------

    def commit(self, writer: ArchiveWriter, moment: float, *, up_to: int | None = None) -> Sequence[RecordedChange]:
        """Record the pending changes, one commit for each author. Returns the recorded changes.

        ``up_to``: the highest resource version to record; None for all. ``moment``: now, on the clock of the events.
        If another process has added commits, the lists are read again instead. After an error, the lists must also be
        read again (``must_synchronize``), so that no event is lost.
        """
        if self.must_synchronize or writer.head_commit != self._head:
            return self.synchronize(writer)
        groups, passive = self._pending.take(moment, up_to=up_to, names=self._names)
        if not groups:
            self._take_again(passive)
            return ()
        self.must_synchronize = True
        drafts: list[ChangeDraft] = []
        drafted: list[tuple[AuthoredChanges, OtherWrites]] = []
        before = self._recorded
        applied: list[SeenChange] = []
        first = min(group.changes[0].version for group in groups)
        for group in groups:
            highest = group.changes[-1].version
            earlier = [seen for seen in passive if seen.version < highest]
            passive = passive[len(earlier) :]
            applied += earlier
            for seen in (*earlier, *group.changes):
                self._mirror.apply(seen.query, seen.key, seen.document, deleted=seen.deleted)
            self._revision = max(self._revision, highest)
            collected = self._collection.update(self._mirror)
            changed = differences(before, collected.files)
            if is_change(changed):
                self._revision = max(self._revision, self._highest_of(changed))
                others = other_writes(group, changed, self._mirror, applied, first=first)
                drafts.append(self._draft(group, others, changed, collected))
                drafted.append((group, others))
                before = collected.files
        recorded = self._record(writer, drafts, before, collected.incomplete) if drafts else ()
        self._note_writes(drafted, drafts, recorded)
        self._tree.forget_contents()
        self._head = writer.head_commit
        self.must_synchronize = False
        self._take_again(passive)
        return recorded

    def _note_writes(
        self,
        drafted: Sequence[tuple[AuthoredChanges, OtherWrites]],
        drafts: Sequence[ChangeDraft],
        recorded: Sequence[RecordedChange],
    ) -> None:
        """Report the writes of the changes, because their audit events may arrive later."""
        if self._names is None or len(recorded) != len(drafts):
            return
        for (group, others), draft, change in zip(drafted, drafts, recorded, strict=True):
            if not others.are_known:
                continue  # no event can name the authors of all writes
            paths = draft.files[Area.CONFIGURATION]
            seen = [entry for entry in group.changes if entry.write is not None]
            own = [entry for entry in seen if object_path(entry.key) in paths]
            writes = [entry.write for entry in own or seen if entry.write is not None]
            self._names.note_recorded(change.commit, change.author, [*writes, *others.writes])

    def _managers(self, collected: Collected) -> Mapping[str, str] | None:
        """The field managers that the commit of a change names."""
        return collected.managers if self._settings.who is not Who.NONE else None

    def _take_again(self, passive: Iterable[SeenChange]) -> None:
        """Take events that are later than all changes. A change may have begun to refer to their objects."""
        for seen in passive:
            self._take(seen)

    def _highest_of(self, changed: ChangedFiles) -> int:
        """The highest resource version of changed objects. An object's watch may be ahead of a profile's watch."""
        keys = [shown_key(path) for path, blob in changed[Area.CONFIGURATION].items() if blob is not None]
        return max((self._mirror.newest_version(key) for key in keys if key is not None), default=0)

    def _draft(
        self, group: AuthoredChanges, others: OtherWrites, changed: ChangedFiles, collected: Collected
    ) -> ChangeDraft:
        objects = own_objects(group, changed, self._mirror) | {entry.key: entry for entry in others.objects}
        return ChangeDraft(
            changed,
            others.author if others.objects else group.author,
            self._time_of_commit(max(seen.time for seen in group.changes)),
            (Revision(str(self._revision)),),
            objects=tuple(objects.values()),
            managers=self._managers(collected),
        )

    def _record(
        self, writer: ArchiveWriter, drafts: Sequence[ChangeDraft], files: Files, incomplete: Sequence[IncompleteKind]
    ) -> Sequence[RecordedChange]:
        """``files``: the files after the last change."""
        self._tree.store_in(writer, drafts)
        cluster = self._cluster.info().uid
        recorded = writer.record_changes(drafts, cluster=cluster, time=self._now(), incomplete=incomplete)
        self._recorded = files
        return recorded

    def _time_of_commit(self, moment: datetime) -> datetime:
        """The author date of the next change. It is not before the author date of the previous change."""
        self._last_time = max(moment, self._last_time or moment)
        return self._last_time

    def _late_objects(self, changed: ChangedFiles) -> tuple[ChangedObject, ...]:
        keys = map(shown_key, changed[Area.CONFIGURATION])
        return tuple(self._mirror.changed_object(key) for key in keys if key is not None)
