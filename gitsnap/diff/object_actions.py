"""The action of an object that one tree lacks: added or deleted, or only captured by one of the two samples.

A ConfigMap or Secret is captured because an object refers to it. If it appears or disappears, that says nothing about
its existence, unless the other sample records that a reference to it was not resolved. If the policy captures more or
less than before, an object that appears or disappears may have existed all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gitsnap.core.model import Kind, ObjectKey, TreeInfo
from gitsnap.core.text import describe, join_names
from gitsnap.diff.comparability import Scope, scope_of
from gitsnap.diff.object_changes import ObjectChange
from gitsnap.diff.rows import Action, ObjectActions
from gitsnap.sveltos import kinds
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.references import REFERENCE_PATHS, UnresolvedReason
from gitsnap.sveltos.tree_view import TreeView

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

_ABSENT = frozenset({UnresolvedReason.NOT_FOUND, UnresolvedReason.OPTIONAL, UnresolvedReason.WRONG_TYPE})
"""Reasons that prove that the referenced object did not exist, or not in a form that Sveltos reads."""


def object_actions_between(before: Tree, after: Tree, changes: Iterable[ObjectChange]) -> ObjectActions:
    """Return the actions of the objects that one of two trees lacks. Raises ArchiveError."""
    cache = ContentCache()
    return object_actions(TreeView(before, cache), TreeView(after, cache), changes)


def object_actions(before: TreeView, after: TreeView, changes: Iterable[ObjectChange]) -> ObjectActions:
    """Return the actions of the objects that one side lacks. Modified objects are not included."""
    scopes = scope_of(before.info), scope_of(after.info)
    actions = {
        change.key: action
        for change in changes
        if change.action is not Action.MODIFIED and (action := _action(before, after, scopes, change)) is not None
    }
    now_referenced = {key for key, action in actions.items() if action is Action.NOW_REFERENCED}
    no_longer_referenced = {key for key, action in actions.items() if action is Action.NO_LONGER_REFERENCED}
    referrers = {**_referrers(after, now_referenced), **_referrers(before, no_longer_referenced)}
    return {key: (action, _by(referrers.get(key, []))) for key, action in actions.items()}


def referrers_other_than_profiles(side: TreeView, keys: set[ObjectKey]) -> Mapping[ObjectKey, str]:
    """Return the referrers of the objects to which no profile refers: ``by EventSource pods and 1 more``.

    No deployed resource shows the purpose of such an object.
    """
    others = _referrers(side, keys, REFERENCE_PATHS.keys() - kinds.PROFILE_KINDS)
    of_profiles = _referrers(side, set(others), kinds.PROFILE_KINDS)
    return {key: _by(referrers) for key, referrers in others.items() if key not in of_profiles}


def _action(before: TreeView, after: TreeView, scopes: tuple[Scope, Scope], change: ObjectChange) -> Action | None:
    """Return the action of an object that one side lacks, None if it is unknown. ``scopes``: those of the sides."""
    action, kind = change.action, change.key.kind
    if scopes[0].get(kind) != scopes[1].get(kind) and _scope_explains(change, before.info, after.info):
        return Action.NOW_COVERED if action is Action.ADDED else Action.NO_LONGER_COVERED
    if not _is_captured_by_reference(kind, scopes):
        return action
    if any(selector.kind == kind for selector in after.info.resources):
        # The policy captures this kind without regard to references; not_comparable lists differing selectors.
        return action
    lacking, by_reference = (
        (before, Action.NOW_REFERENCED) if action is Action.ADDED else (after, Action.NO_LONGER_REFERENCED)
    )
    reason = lacking.unresolved_reason(change.key)
    if reason is None:
        return by_reference
    return action if reason in _ABSENT else None


def _scope_explains(change: ObjectChange, before: TreeInfo, after: TreeInfo) -> bool:
    """Return whether one side lacks an object because it captured less. The labels of the object then are unknown.

    The sides capture the kind of the object in different scopes.
    """
    key, kind = change.key, change.key.kind
    lacking, having = (before, after) if change.before is None else (after, before)
    if any(selector.covers(key) and not selector.label_selector for selector in lacking.resources):
        return False
    if kind in lacking.kinds and kind not in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS:
        # A selector for a kind that is captured anyway adds the objects that a controller owns.
        return any(selector.covers(key) for selector in having.resources)
    whole_kind = kind in having.kinds and kind not in lacking.kinds
    return whole_kind or any(selector.covers(key) for selector in having.resources)


def _is_captured_by_reference(kind: Kind, scopes: tuple[Scope, Scope]) -> bool:
    """Return whether objects of a kind are captured because an object refers to them, as for kinds out of scope."""
    if kind in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS:
        return True
    return not any(kind in scope for scope in scopes)


def _referrers(
    side: TreeView, keys: set[ObjectKey], of_kinds: Iterable[Kind] = REFERENCE_PATHS
) -> dict[ObjectKey, list[ObjectKey]]:
    """Return, for each of some objects, the objects of some kinds that refer to it; sorted."""
    referrers: dict[ObjectKey, list[ObjectKey]] = {}
    if not keys:
        return referrers
    names = sorted({key.name for key in keys})
    for kind in sorted(of_kinds):
        for path in side.paths_naming(kind, names):
            document = side.object_at(path)
            if document is not None:
                for target in side.reference_targets(document) & keys:
                    referrers.setdefault(target, []).append(ObjectKey.of(document))
    return {key: sorted(by) for key, by in referrers.items()}


def _by(referrers: list[ObjectKey]) -> str:
    return f"by {join_names([describe(key) for key in referrers], most=1)}" if referrers else ""
