"""The plan that takes a rollback back: to its sample before, for the objects that it changed and no others.

What it had created goes, unless somebody changed it since; what it left paused is released. An undo is a rollback
itself, so it can be undone. This module must not write to a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitsnap.core.errors import AccessDeniedError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.rollback.plan import Action, Options, Plan, Selection, Unrestorable, in_words
from gitsnap.rollback.planner import Wanted, planned
from gitsnap.rollback.records import Past
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import pausing


def prepare_undo(
    cluster: Cluster,
    past: Past,
    tree: Tree,
    *,
    target: Tree | None,
    options: Options,
    keeper: SecretsKeeper | None,
) -> Plan:
    """The plan of an undo, not yet tried on the server.

    ``tree`` is that of the sample before, ``target`` that of the sample that has what was created (``sample_made``).
    Raises the cluster's errors when the live objects cannot be read.
    """
    objects = SampleObjects(tree, keeper)
    actions = {key: action for action, key in past.record.objects if action != Action.HOLD}
    held = frozenset(key for action, key in past.record.objects if action == Action.HOLD)
    keys = frozenset(actions) | _still_held(cluster, past)
    created = {key for key in keys - objects.keys if actions.get(key) in (Action.CREATE, Action.RECREATE)}
    made = _made(SampleObjects(target, keeper) if target is not None else None, created)
    if any(action == Action.RECREATE for action in actions.values()):
        options = replace(options, recreate=True)
    selection = Selection(keys=tuple(sorted(keys)))
    wanted = Wanted(objects, keys & objects.keys, others=frozenset(created), made=made, holdable=held)
    plan = planned(cluster, tree, wanted, sample=past.before, selection=selection, options=options)
    lacking = sorted(keys - objects.keys - created)
    notes = [f"{in_words(key)} is not in the sample before, and is left as it is" for key in lacking]
    return replace(plan, notes=(*plan.notes, *notes))


def _still_held(cluster: Cluster, past: Past) -> frozenset[ObjectKey]:
    """The profiles that the rollback paused and did not come to release."""
    held = set()
    for action, key in past.record.objects:
        if action != Action.HOLD:
            continue
        try:
            if pausing.held(cluster.get(key)):
                held.add(key)
        except (NotFoundError, AccessDeniedError):
            continue
    return frozenset(held)


def _made(target: SampleObjects | None, created: Iterable[ObjectKey]) -> dict[ObjectKey, JsonObject | None]:
    """What the rollback created, as it created it: from the sample that it went to."""
    made: dict[ObjectKey, JsonObject | None] = {}
    for key in created:
        made[key] = None
        if target is not None and key in target.keys:
            document = target.restored(key, None)
            made[key] = None if isinstance(document, Unrestorable) else document
    return made
