"""Which objects differ between two trees, what of them can be compared at all, and which fields of an object changed.

Equal content ids are equal objects, so only what differs is read. This module must not know what the objects mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitsnap.core.model import (
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    SensitiveField,
    TreeInfo,
)
from gitsnap.core.objects import changed_fields, same_json
from gitsnap.diff.rows import Action, NotComparable
from gitsnap.diff.tree_files import differing
from gitsnap.sveltos import kinds
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.kustomize_archives import ARCHIVE_KEY, listed

if TYPE_CHECKING:
    from gitsnap.diff.sides import Side

MOST_FIELDS = 3
"""How many changed fields a message names before it counts."""

ARCHIVE_FIELD = f"binaryData.{ARCHIVE_KEY}"
"""Where a ConfigMap holds a Kustomize archive."""

NOT_COVERED = "not covered"
NOT_COMPARABLE = "not comparable"
CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)  # without slots: its fields are worked out once
class Change:
    """An object that differs; None on the side that does not have it."""

    key: ObjectKey
    before: JsonObject | None
    after: JsonObject | None

    @property
    def action(self) -> Action:
        """Added, deleted or modified, going by presence."""
        if self.before is None:
            return Action.ADDED
        return Action.DELETED if self.after is None else Action.MODIFIED

    @cached_property
    def fields(self) -> str:
        """The fields that differ in words, ``""`` where the server alone changed them: defaults, the API version."""
        old, new = (comparable(document or {}) for document in (self.before, self.after))
        fields = changed_fields(old, new)
        if not fields and ARCHIVE_FIELD in changed_fields(self.before, self.after):
            return f"{ARCHIVE_FIELD}, packed anew with the same files"
        return in_words(fields)


def comparable(document: JsonObject) -> JsonObject:
    """An object for comparisons: without defaults, with archives as files.

    The API version is left out, too: an object has no version of its own, the server chooses one for the answer.
    """
    said = listed(document) if Kind.of(document) == kinds.CONFIG_MAP else without_defaults(document)
    return {field: value for field, value in said.items() if field != "apiVersion"}


def changed_objects(before: Side, after: Side, excluded: frozenset[Kind]) -> list[Change]:
    """The objects below ``configuration/`` that differ, sorted by path.

    Without those of excluded kinds, and without those that one side could not take.
    """
    masked = not same_fingerprints(before, after)
    unclear = before.incomplete_objects | after.incomplete_objects
    changes = []
    for path in differing(before.configuration, after.configuration):
        old, new = before.at(path), after.at(path)
        key = ObjectKey.of(old or new or {})
        if key.kind in excluded or key in unclear:
            continue
        if masked and key.kind == kinds.SECRET:
            old, new = _without_values(old), _without_values(new)
        if not same_json(old, new):
            change = Change(key, old, new)
            if change.action is not Action.MODIFIED or change.fields:
                changes.append(change)
    return changes


def same_fingerprints(before: Side, after: Side) -> bool:
    """Whether the values of Secrets can be compared: both as fingerprints of one key, or both as they are."""
    first, second = before.info.secrets, after.info.secrets
    plain = [secrets.mode is SecretsMode.PLAINTEXT for secrets in (first, second)]
    return plain[0] == plain[1] and first.fingerprint_key == second.fingerprint_key


def unlike_fields(before: SecretsInfo, after: SecretsInfo) -> tuple[SensitiveField, ...]:
    """The sensitive fields that cannot be compared: hidden on one side only, or with another key."""
    fields = set(before.sensitive_fields), set(after.sensitive_fields)
    same_key = before.fingerprint_key == after.fingerprint_key
    return tuple(sorted(fields[0] ^ fields[1] if same_key else fields[0] | fields[1]))


def _without_values(secret: JsonObject | None) -> JsonObject | None:
    return secret and {**secret, "data": dict.fromkeys(secret.get("data") or {})}


def not_comparable(before: Side, after: Side) -> list[NotComparable]:
    """The kinds, and single objects, that the two sides cannot be compared in, sorted."""
    scopes = [scope_of(side.info) for side in (before, after)]
    found = [
        NotComparable(kind, NOT_COVERED, _scope_detail(kind, scopes[0], scopes[1]))
        for kind in scopes[0].keys() | scopes[1].keys()
        if scopes[0].get(kind) != scopes[1].get(kind)
    ]
    for kind in before.incomplete | after.incomplete:
        sides = [name for name, side in (("before", before), ("after", after)) if kind in side.incomplete]
        found.append(NotComparable(kind, NOT_COMPARABLE, f"could not be read {' and '.join(sides)}"))
    for key in before.incomplete_objects | after.incomplete_objects:
        lacking = [name for name, side in (("before", before), ("after", after)) if key in side.incomplete_objects]
        detail = f"could not be taken {' and '.join(lacking)}"
        found.append(NotComparable(key.kind, NOT_COMPARABLE, detail, key.namespace, key.name))
    covered = all(kinds.SECRET in scope for scope in scopes)
    if covered and not same_fingerprints(before, after):
        found.append(NotComparable(kinds.SECRET, CANNOT_TELL, "values are kept in different ways"))
    unlike = {one.kind for one in unlike_fields(before.info.secrets, after.info.secrets)} - {kinds.SECRET}
    found += [
        NotComparable(kind, CANNOT_TELL, "some fields are kept in different ways")
        for kind in unlike
        if all(kind in scope for scope in scopes)
    ]
    return sorted(found)


def scope_of(info: TreeInfo) -> dict[Kind, tuple[ResourceSelector, ...]]:
    """Each kind of a scope with the selectors that narrow it."""
    scope: dict[Kind, tuple[ResourceSelector, ...]] = dict.fromkeys(info.kinds, ())
    for selector in info.resources:
        scope[selector.kind] = (*scope.get(selector.kind, ()), selector)
    return scope


def _scope_detail(kind: Kind, before: Mapping[Kind, Any], after: Mapping[Kind, Any]) -> str:
    if kind in before and kind in after:
        return "other namespaces or labels are captured"
    return "captured only after" if kind in after else "captured only before"


def in_words(fields: Sequence[str]) -> str:
    """Changed fields, at most three by name: ``spec.policyRefs, metadata.labels.env and 2 more``."""
    named = ", ".join(fields[:MOST_FIELDS])
    return f"{named} and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else named
