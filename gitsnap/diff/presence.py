"""What it means that an object is on one side only: it was made or deleted, or only came into a sample or left it.

A ConfigMap or Secret is captured because something refers to it; when it comes or goes that says nothing about whether
it exists, unless a reference to it could not be followed on the other side. Where the policy asks for more or less than
before, nothing does.
This module must not know what the objects say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitsnap.core.model import Kind, ObjectKey, TreeInfo
from gitsnap.diff.changes import Change, scope_of
from gitsnap.diff.rows import Action, Presence, short_name
from gitsnap.diff.sides import Side
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import REFERENCE_PATHS, UnresolvedReason

_GONE = frozenset({UnresolvedReason.NOT_FOUND, UnresolvedReason.OPTIONAL, UnresolvedReason.WRONG_TYPE})


def tell_presence(before: Side, after: Side, changes: Iterable[Change]) -> Presence:
    """What happened to the objects that one side lacks; no others are told."""
    actions = {
        change.key: action
        for change in changes
        if change.action is not Action.MODIFIED and (action := _action(before, after, change)) is not None
    }
    came = {key for key, action in actions.items() if action is Action.NOW_REFERENCED}
    went = {key for key, action in actions.items() if action is Action.NO_LONGER_REFERENCED}
    referrers = {**_referrers(after, came), **_referrers(before, went)}
    return {key: (action, _by(referrers.get(key, []))) for key, action in actions.items()}


def without_profile(side: Side, keys: set[ObjectKey]) -> Mapping[ObjectKey, str]:
    """Of some objects those that no profile refers to, and who does: no deployed resource tells what they are for."""
    others = _referrers(side, keys, REFERENCE_PATHS.keys() - kinds.PROFILE_KINDS)
    deployed = _referrers(side, set(others), kinds.PROFILE_KINDS)
    return {key: _by(listed) for key, listed in others.items() if key not in deployed}


def _action(before: Side, after: Side, change: Change) -> Action | None:
    """What happened to an object, None where it cannot be told."""
    action = change.action
    if _is_covered_otherwise(change, before.info, after.info):
        return Action.NOW_COVERED if action is Action.ADDED else Action.NO_LONGER_COVERED
    if not _only_by_reference(change.key.kind, before, after):
        return action
    if any(selector.kind == change.key.kind for selector in after.info.resources):
        # The policy captures this kind whether referred to or not; not_comparable lists differing selectors.
        return action
    lacking, other = (before, Action.NOW_REFERENCED) if action is Action.ADDED else (after, Action.NO_LONGER_REFERENCED)
    reason = lacking.lacks(change.key)
    if reason is None:
        return other
    return action if reason in _GONE else None


def _is_covered_otherwise(change: Change, before: TreeInfo, after: TreeInfo) -> bool:
    """Whether one side lacks an object because it asks for less; what labels the object had there is not known."""
    key, kind = change.key, change.key.kind
    lacking, having = (before, after) if change.before is None else (after, before)
    if scope_of(lacking).get(kind) == scope_of(having).get(kind):
        return False
    if any(selector.covers(key) and not selector.label_selector for selector in lacking.resources):
        return False
    if kind in lacking.kinds and kind not in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS:
        # An entry for such a kind adds the objects that a controller owns.
        return any(selector.covers(key) for selector in having.resources)
    as_a_whole = kind in having.kinds and kind not in lacking.kinds
    return as_a_whole or any(selector.covers(key) for selector in having.resources)


def _only_by_reference(kind: Kind, before: Side, after: Side) -> bool:
    """Whether objects of a kind are captured because something refers to them: any kind outside the scope is."""
    if kind in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS:
        return True
    scopes = [{*side.info.kinds, *(selector.kind for selector in side.info.resources)} for side in (before, after)]
    return not any(kind in scope for scope in scopes)


def _referrers(
    side: Side, keys: set[ObjectKey], of_kinds: Iterable[Kind] = REFERENCE_PATHS
) -> dict[ObjectKey, list[ObjectKey]]:
    """Who among objects of some kinds refers to each of some others, sorted."""
    found: dict[ObjectKey, list[ObjectKey]] = {}
    if not keys:
        return found
    names = sorted({key.name for key in keys})
    for kind in sorted(of_kinds):
        for path in side.naming(kind, names):
            document = side.at(path)
            if document is not None:
                for target in side.targets(document) & keys:
                    found.setdefault(target, []).append(ObjectKey.of(document))
    return {key: sorted(listed) for key, listed in found.items()}


def _by(referrers: list[ObjectKey]) -> str:
    if not referrers:
        return ""
    more = f" and {len(referrers) - 1} more" if len(referrers) > 1 else ""
    return f"by {short_name(referrers[0])}{more}"
