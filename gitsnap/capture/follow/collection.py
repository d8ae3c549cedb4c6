"""The files of the copied lists, collected as a capture collects them.

If only the contents of objects have changed since the last collection, only these objects are archived again. Such a
change affects no other file: the object was in its list before, it is not being deleted, no controller has generated
it, and its facts for other objects are the same (``context``). All other changes need a whole collection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from gitsnap.capture.archiver import OBJECT_ERRORS, Archiver
from gitsnap.capture.batch import Batch
from gitsnap.capture.collector import READING_SECONDS, Collected, collect
from gitsnap.capture.context import CaptureContext, same_facts
from gitsnap.capture.follow.collected_tree import CollectedTree
from gitsnap.capture.follow.mirror import HeldChange, Mirror, Query
from gitsnap.capture.follow.settings import FollowSettings
from gitsnap.capture.sample import Files
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.model import Area, BlobId, IncompleteKind, ObjectKey
from gitsnap.core.objects import KubeObject, same_json
from gitsnap.core.ports import Tree
from gitsnap.core.recording import CaptureCache
from gitsnap.format import path_of
from gitsnap.secrets.sealing import Sealer
from gitsnap.sveltos.generated import Inclusions


class Collection:
    """The last collection of the copied lists."""

    def __init__(
        self,
        settings: FollowSettings,
        inclusions: Inclusions,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._inclusions = inclusions
        self._now = now
        self._pause = pause
        self._collected: Collected | None = None
        self._cache: CaptureCache | None = None
        self.tree = CollectedTree(settings.info)
        """The files of the last collection."""
        self.targets: frozenset[ObjectKey] = frozenset()
        """The targets of references that could not be resolved."""
        self.lists: Mapping[Query, str] = {}
        """The lists that were read, each with the resource version at which its watch starts."""

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """The kinds and objects that the last collection could not read."""
        return self._collected.incomplete if self._collected is not None else ()

    def start(self, head: Tree, files: Files) -> None:
        """Begin with the tree of the newest commit of an archive. ``files``: its files."""
        self.tree.start(head, files)
        self._cache = None

    def collect(self, mirror: Mirror) -> Collected:
        """Collect the files of all lists. Raises the errors of ``collector.collect``."""
        mirror.begin()
        unchanged = self._unchanged(mirror)
        with mirror.reading_within(READING_SECONDS):
            collected = collect(
                mirror,
                self._settings.info,
                keeper=self._settings.keeper,
                previous=self.tree,
                store=self.tree.store,
                unchanged=unchanged,
                progress=lambda _kind, _count: None,
                pause=self._pause,
            )
        self.targets = frozenset(reference.target for reference in collected.unresolved)
        self._keep(collected, unchanged.result(), mirror)
        return collected

    def update(self, mirror: Mirror) -> Collected:
        """The same as ``collect``, with less work if only the contents of objects have changed."""
        return self._update_contents(mirror) or self.collect(mirror)

    def _keep(self, collected: Collected, cache: CaptureCache, mirror: Mirror) -> None:
        self._collected, self._cache = collected, cache
        self.lists = mirror.finish()
        self.tree.replace(collected.files, collected.incomplete)

    def _unchanged(self, mirror: Mirror) -> Unchanged:
        now = int(self._now().timestamp())
        return Unchanged(self._settings.info, cache=self._cache, previous=self.tree, now=now, has_copy=mirror.has)

    def _update_contents(self, mirror: Mirror) -> Collected | None:
        """The collection with the new contents of objects; None if a whole collection is necessary."""
        collected, cache, unchanged = self._collected, self._cache, self._unchanged(mirror)
        if collected is None or cache is None or not unchanged.is_usable:
            return None
        if collected.incomplete or collected.problems:  # a whole collection tries to read them again
            return None
        changes = mirror.changes()
        if changes is None:
            return None
        batch = self._archive_contents(changes, collected.context, cache, unchanged)
        if batch is None:
            return None
        files = {area: _replaced(by_path, batch, area) for area, by_path in collected.files.items()}
        updated = replace(collected, files=files, managers=batch.managers)
        self._keep(updated, replace(cache, versions={**cache.versions, **batch.versions}), mirror)
        return updated

    def _archive_contents(
        self, changes: list[HeldChange], context: CaptureContext, cache: CaptureCache, unchanged: Unchanged
    ) -> Batch | None:
        """The changed objects of the sample; None if a change may affect another file, or cannot be archived."""
        settings, store = self._settings, self.tree.store
        sealer = Sealer(settings.info.secrets, settings.keeper, previous=self.tree, store=store)
        archiver = Archiver(context, sealer, store, unchanged, inclusions=self._inclusions, strict=False)
        batch = Batch()
        try:
            for before, after in changes:
                if before is None or after is None or not self._differ_in_content(before, after, context):
                    return None
                if path_of(after.key) in cache.versions:
                    archiver.add(batch, after)
        except OBJECT_ERRORS:  # the collector reports the object
            return None
        return batch if not batch.failed else None

    def _differ_in_content(self, before: KubeObject, after: KubeObject, context: CaptureContext) -> bool:
        """Whether a change of an object can affect no files but those of the object."""
        if before.is_terminating or after.is_terminating:
            return False
        if not same_json(before.raw.get("type"), after.raw.get("type")):  # a reference may demand the type of a Secret
            return False
        if any(self._inclusions.origin_if_left_out(obj) is not None for obj in (before, after)):
            return False
        return same_facts(context.facts_of(before), context.facts_of(after))


def _replaced(files: Mapping[str, BlobId], batch: Batch, area: Area) -> Mapping[str, BlobId]:
    """The files of an area with those of the objects of a batch, sorted by path."""
    new = batch.files[area]
    removed = files.keys() & (batch.versions.keys() - new.keys())
    if not new and not removed:
        return files
    merged = {**files, **new}
    for path in removed:
        del merged[path]
    return merged if len(merged) + len(removed) == len(files) else dict(sorted(merged.items()))
