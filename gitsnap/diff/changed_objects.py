"""The objects that differ between two trees, and the sources whose deployed content differs.

Equal content ids mean equal objects, so only objects whose content ids differ are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import describe
from gitsnap.diff.comparability import Comparability
from gitsnap.diff.object_changes import ObjectChange
from gitsnap.diff.rows import Action
from gitsnap.diff.source_settings import same_content, same_values
from gitsnap.format import kind_folder
from gitsnap.format.tree_files import differing_paths
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.documents import is_rendered
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView


def find_changes(before: TreeView, after: TreeView, comparability: Comparability) -> ChangedObjects:
    """Return the objects below ``configuration/`` that differ.

    Objects of excluded kinds, and objects that one side could not capture, are left out.
    """
    excluded = comparability.excluded_kinds
    changes = []
    for path in differing_paths(before.configuration, after.configuration):
        old, new = before.object_at(path), after.object_at(path)
        key = ObjectKey.of(old or new or {})
        if key.kind in excluded or key in comparability.incomplete_objects:
            continue
        if key.kind == kinds.SECRET and not comparability.same_secrets:
            old, new = _without_values(old), _without_values(new)
        if not same_json(old, new):
            change = ObjectChange(key, old, new)
            if change.action is not Action.MODIFIED or change.field_summary:
                changes.append(change)
    return ChangedObjects(before, after, changes, excluded)


def _without_values(secret: JsonObject | None) -> JsonObject | None:
    return secret and {**secret, "data": dict.fromkeys(secret.get("data") or {})}


class ChangedObjects:
    """The objects that differ between two trees, and the inventory entries that differ."""

    def __init__(
        self, before: TreeView, after: TreeView, changes: Iterable[ObjectChange], excluded_kinds: frozenset[Kind]
    ) -> None:
        """``changes``: sorted by path. ``excluded_kinds``: kinds whose changes are not known."""
        self.before = before
        self.after = after
        self.sides = (before, after)
        self.excluded_kinds = excluded_kinds
        self.by_key = {change.key: change for change in changes}
        """The changes, sorted by path."""

    def covers(self, key: ObjectKey) -> bool:
        """Return whether both sides captured the kind of an object."""
        return key.kind not in self.excluded_kinds

    # Inventory ------------------------------------------------------------------------------------------------

    @cached_property
    def _inventory_paths(self) -> list[str]:
        """Paths below ``inventory/`` whose content differs, sorted."""
        return differing_paths(self.before.inventory, self.after.inventory)

    def inventory_paths(self, *of_kinds: Kind) -> list[str]:
        """Return the paths below ``inventory/`` of objects of these kinds that differ, sorted."""
        folders = [kind_folder(kind) for kind in of_kinds]
        return [path for path in self._inventory_paths if path.split("/", 2)[1:2] and path.split("/", 2)[1] in folders]

    @cached_property
    def _reported(self) -> frozenset[ObjectKey]:
        """Clusters and Flux sources whose inventory entry differs."""
        paths = self.inventory_paths(*((kinds.CLUSTER_KINDS | kinds.SOURCE_KINDS) - self.excluded_kinds))
        documents = (self.after.reported_at(path) or self.before.reported_at(path) for path in paths)
        return frozenset(ObjectKey.of(document) for document in documents if document is not None)

    @cached_property
    def moved_sources(self) -> frozenset[ObjectKey]:
        """Flux sources whose inventory entry differs: Flux fetched another revision."""
        return frozenset(key for key in self._reported if key.kind in kinds.SOURCE_KINDS)

    @cached_property
    def clusters(self) -> frozenset[ClusterRef]:
        """Managed clusters whose object or labels changed, so that templates may evaluate to something else."""
        keys = {key for key in self.by_key.keys() | self._reported if key.kind in kinds.CLUSTER_KINDS}
        return frozenset(ClusterRef.of_key(key) for key in keys)

    # Sources --------------------------------------------------------------------------------------------------

    def content_changed(self, source: ObjectKey) -> bool:
        """Return whether a change of a source affects the content that Sveltos deploys. A change of labels does not.

        A source that only one side has counts as unchanged. The revision identifies the content of a Flux source; the
        content counts as unchanged unless both sides know a revision.
        """
        moved = source in self.moved_sources and all(side.content_ids(source)[1] for side in self.sides)
        change = self.by_key.get(source)
        if change is None:
            return moved
        if change.before is None or change.after is None:
            return False
        return moved or not same_content(change.before, change.after)

    def values_changed(self, source: ObjectKey) -> bool:
        """Return whether the chart values in a ConfigMap or Secret changed."""
        change = self.by_key.get(source)
        if change is None or not self.content_changed(source):
            return False
        old, new = change.before or {}, change.after or {}
        old_values, new_values = old.get("data") or {}, new.get("data") or {}
        if same_json(old_values, new_values) and is_rendered(old) == is_rendered(new):
            return False
        if source.kind == kinds.SECRET or is_rendered(old) != is_rendered(new):
            return True
        if old_values.keys() != new_values.keys():
            return True
        return not all(same_values(str(text), str(new_values[name])) for name, text in old_values.items())

    def describe(self, sources: Iterable[ObjectKey]) -> str:
        """Return the names of sources for a message, sorted. A Flux source is named with both of its revisions."""
        return ", ".join(map(self._describe, sorted(sources)))

    def _describe(self, source: ObjectKey) -> str:
        if source in self.moved_sources:
            old, new = (inventory.revision_of(side.reported(source) or {}) for side in self.sides)
            if old and new and old != new:
                return f"{describe(source)} (revision {old}, now {new})"
        return describe(source)
