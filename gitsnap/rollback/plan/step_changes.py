"""The lines that a step changes: from the live object to the object that the step writes.

Both sides are normalized, so that the lines have no fields of servers and controllers. Marks in place of the values of
Secrets and of sensitive fields show which values change.
"""

from __future__ import annotations

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject
from gitsnap.diff.raw_diff import RawDiff, TextPair, object_texts, raw_diffs
from gitsnap.diff.rows import object_title
from gitsnap.diff.shown_objects import MASK, Versions, shown_versions, without_sensitive_values
from gitsnap.format import masking
from gitsnap.rollback.plan.steps import Action, Plan, Step
from gitsnap.sveltos import kinds, restore
from gitsnap.sveltos.normalize import normalize

LIVE = "live"
"""The name of the live side in the title of a diff."""

_CHANGING = frozenset({Action.CREATE, Action.UPDATE, Action.RECREATE, Action.DELETE})


def changes_lines(step: Step) -> bool:
    """Whether a step has lines. A step that pauses or releases a profile has no lines: its action says everything."""
    return step.writes and step.action in _CHANGING


def step_texts(step: Step, plan: Plan, *, decrypt: bool = False, identity: bool = True) -> TextPair:
    """The live object and the object that a step writes, as texts; None on the side that lacks the object.

    ``decrypt`` shows the values of Secrets and of sensitive fields. Without ``identity``, the texts lack API version,
    kind, namespace and name.
    """
    before, after = _versions(step, plan)
    if step.key.kind == kinds.SECRET:
        before, after = _known(before), _known(after)
        if decrypt:
            before, after = before and masking.decode_secret(before), after and masking.decode_secret(after)
    if not decrypt:
        before, after = without_sensitive_values(before, after, plan.sensitive_fields)
    if not (decrypt and step.key.kind == kinds.SECRET):
        before, after = shown_versions(before, after, shows_manifests=decrypt)
    if not identity:
        before, after = before and _without_identity(before), after and _without_identity(after)
    return object_texts(object_title(step.key), before, after)


def step_diff(step: Step, plan: Plan, *, decrypt: bool = False) -> RawDiff | None:
    """The unified diff of a step, None for a step without lines."""
    if not changes_lines(step):
        return None
    return next(raw_diffs([step_texts(step, plan, decrypt=decrypt)], LIVE, plan.sample), None)


def _versions(step: Step, plan: Plan) -> Versions:
    """The live object and the object that the step writes, both normalized, with all values."""
    live = None if step.live is None else normalize(step.live, controller_labels=plan.controller_labels)
    if step.action is Action.DELETE or step.archived is None:
        return live, None
    if live is None or step.action is Action.RECREATE:
        return live, step.archived
    return live, restore.desired_object(step.archived, live)


def _known(secret: JsonObject | None) -> JsonObject | None:
    """The fields of a Secret that may be shown."""
    try:
        return secret and masking.known_fields(secret)
    except InputError:  # only a file has such data
        return secret and {**masking.known_fields({**secret, "data": {}, "stringData": {}}), "data": {MASK: MASK}}


def _without_identity(document: JsonObject) -> JsonObject:
    metadata = {field: value for field, value in document["metadata"].items() if field not in ("name", "namespace")}
    rest = {field: value for field, value in document.items() if field not in ("apiVersion", "kind", "metadata")}
    return {**({"metadata": metadata} if metadata else {}), **rest}
