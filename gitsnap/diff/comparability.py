"""The parts of two trees that can be compared: kinds that both trees cover and could read, and values stored alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.model import Kind, ResourceSelector, SecretsInfo, SecretsMode, SensitiveField, TreeInfo
from gitsnap.diff.rows import NotComparable
from gitsnap.sveltos import kinds
from gitsnap.sveltos.tree_view import TreeView

NOT_COVERED = "not covered"
NOT_COMPARABLE = "not comparable"
CANNOT_TELL = "cannot tell"


def not_comparable(before: TreeView, after: TreeView) -> list[NotComparable]:
    """Return the kinds and single objects that cannot be compared, or not fully; sorted."""
    scopes = scope_of(before.info), scope_of(after.info)
    entries = [
        NotComparable(kind, NOT_COVERED, _scope_detail(kind, *scopes))
        for kind in scopes[0].keys() | scopes[1].keys()
        if scopes[0].get(kind) != scopes[1].get(kind)
    ]
    sides = (("before", before), ("after", after))
    for kind in before.incomplete_kinds | after.incomplete_kinds:
        lacking = " and ".join(name for name, side in sides if kind in side.incomplete_kinds)
        entries.append(NotComparable(kind, NOT_COMPARABLE, f"could not be read {lacking}"))
    for key in before.incomplete_objects | after.incomplete_objects:
        lacking = " and ".join(name for name, side in sides if key in side.incomplete_objects)
        entries.append(
            NotComparable(key.kind, NOT_COMPARABLE, f"could not be captured {lacking}", key.namespace, key.name)
        )
    if all(kinds.SECRET in scope for scope in scopes) and not same_fingerprints(before.info, after.info):
        entries.append(NotComparable(kinds.SECRET, CANNOT_TELL, "values are kept in different ways"))
    different_kinds = {field.kind for field in incomparable_fields(before.info.secrets, after.info.secrets)}
    entries += [
        NotComparable(kind, CANNOT_TELL, "some fields are kept in different ways")
        for kind in different_kinds - {kinds.SECRET}
        if all(kind in scope for scope in scopes)
    ]
    return sorted(entries)


def same_fingerprints(before: TreeInfo, after: TreeInfo) -> bool:
    """Return whether values of Secrets can be compared: fingerprints with one key on both sides, or plain text."""
    is_plain = [info.secrets.mode is SecretsMode.PLAINTEXT for info in (before, after)]
    return is_plain[0] == is_plain[1] and before.secrets.fingerprint_key == after.secrets.fingerprint_key


def incomparable_fields(before: SecretsInfo, after: SecretsInfo) -> tuple[SensitiveField, ...]:
    """Return the sensitive fields that only one side hides, or that the sides hide with different keys; sorted."""
    old, new = set(before.sensitive_fields), set(after.sensitive_fields)
    same_key = before.fingerprint_key == after.fingerprint_key
    return tuple(sorted(old ^ new if same_key else old | new))


def scope_of(info: TreeInfo) -> dict[Kind, tuple[ResourceSelector, ...]]:
    """Return each captured kind with the selectors that narrow it, none if the whole kind is captured."""
    scope: dict[Kind, tuple[ResourceSelector, ...]] = dict.fromkeys(info.kinds, ())
    for selector in info.resources:
        scope[selector.kind] = (*scope.get(selector.kind, ()), selector)
    return scope


def _scope_detail(kind: Kind, before: Mapping[Kind, Any], after: Mapping[Kind, Any]) -> str:
    if kind in before and kind in after:
        return "other namespaces or labels are captured"
    return "captured only after" if kind in after else "captured only before"
