"""Plans an undo: back to the sample before a rollback, for exactly the objects that the rollback changed.

Objects that the rollback created are deleted, unless they have changed since. Profiles that it left paused are
released. An undo is a rollback, so it can be undone as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitsnap.core.errors import AccessDeniedError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.core.text import describe
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.live_objects import read_live
from gitsnap.rollback.plan import Action, Options, Plan, Selection, Unrestorable, make_plan
from gitsnap.rollback.records import PastRollback
from gitsnap.rollback.sample_objects import SampleObjects, read_sample
from gitsnap.sveltos import pausing


def prepare_undo(
    cluster: Cluster,
    past: PastRollback,
    tree: Tree,
    *,
    target: Tree | None,
    options: Options,
    keeper: SecretsKeeper | None,
) -> Plan:
    """The plan of an undo, before the dry run.

    ``tree`` is the tree of the sample before the rollback, ``target`` that of a sample with the created objects
    (``sample_with_created``), None if there is none. Raises the cluster's errors if live objects cannot be read.
    """
    objects = SampleObjects(tree, keeper)
    actions = {key: action for action, key in past.record.objects if action != Action.HOLD}
    held = frozenset(key for action, key in past.record.objects if action == Action.HOLD)
    keys = frozenset(actions) | _still_held(cluster, held)
    created = {key for key in keys - objects.keys if actions.get(key) in (Action.CREATE, Action.RECREATE)}
    if any(action == Action.RECREATE for action in actions.values()):
        options = replace(options, recreate=True)
    selection = Selection(keys=tuple(sorted(keys)))
    selected = keys & objects.keys
    live = read_live(cluster, objects, selected | created, selection)
    archived = replace(
        read_sample(objects, past.before, selected, live),
        created=_created_documents(SampleObjects(target, keeper) if target is not None else None, created),
        pausable=held,
    )
    plan = add_withdrawals(cluster, make_plan(archived, live, selection, options))
    missing = sorted(keys - objects.keys - created)
    notes = [f"{describe(key)} is not in the sample before the rollback, and is left as it is" for key in missing]
    return replace(plan, notes=(*plan.notes, *notes))


def _still_held(cluster: Cluster, held: Iterable[ObjectKey]) -> frozenset[ObjectKey]:
    """The profiles that the rollback paused and did not release."""
    still_held = set()
    for key in held:
        try:
            if pausing.is_held(cluster.get(key)):
                still_held.add(key)
        except (NotFoundError, AccessDeniedError):
            continue
    return frozenset(still_held)


def _created_documents(
    target: SampleObjects | None, created: Iterable[ObjectKey]
) -> dict[ObjectKey, JsonObject | None]:
    """The created objects as the rollback wrote them, from the target sample; None if it cannot provide them."""
    documents: dict[ObjectKey, JsonObject | None] = {}
    for key in created:
        document = target.restored(key, None) if target is not None and key in target.keys else None
        documents[key] = None if isinstance(document, Unrestorable) else document
    return documents
