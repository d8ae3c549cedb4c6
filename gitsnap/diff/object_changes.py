"""An object that differs between two trees, and a summary of its changed fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import changed_fields
from gitsnap.core.text import join_names
from gitsnap.diff.rows import Action
from gitsnap.sveltos import kinds
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.kustomize_archives import ARCHIVE_KEY, with_files

MAX_NAMED = 3
"""How many names a message lists before it gives a count."""

ARCHIVE_FIELD = f"binaryData.{ARCHIVE_KEY}"
"""The field of a ConfigMap that contains a Kustomize archive."""


@dataclass(frozen=True)  # without slots, which cached_property cannot use
class ObjectChange:
    """An object that differs. ``before`` or ``after`` is None if that side lacks the object."""

    key: ObjectKey
    before: JsonObject | None
    after: JsonObject | None

    @property
    def action(self) -> Action:
        """Added, deleted or modified, depending on the sides that have the object."""
        if self.before is None:
            return Action.ADDED
        return Action.DELETED if self.after is None else Action.MODIFIED

    @cached_property
    def field_summary(self) -> str:
        """The changed fields, for a message; ``""`` if only the server changed the object (defaults, API version)."""
        old, new = (_without_server_fields(document or {}) for document in (self.before, self.after))
        fields = changed_fields(old, new)
        if not fields and ARCHIVE_FIELD in changed_fields(self.before, self.after):
            return f"{ARCHIVE_FIELD}, repacked with the same files"
        return join_names(fields, most=MAX_NAMED)


def _without_server_fields(document: JsonObject) -> JsonObject:
    """Return an object without defaults and without its API version, which the server chooses for each response.

    A Kustomize archive in a ConfigMap is returned as its files.
    """
    stripped = with_files(document) if Kind.of(document) == kinds.CONFIG_MAP else without_defaults(document)
    return {field: value for field, value in stripped.items() if field != "apiVersion"}
