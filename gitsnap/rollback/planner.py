"""Plans a rollback to a sample: selects the objects, reads both sides, and builds the plan."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from gitsnap.cluster.lists import list_definitions
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.core.states import State, cluster_of
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.live_objects import read_live
from gitsnap.rollback.plan import Options, Plan, Selection, make_plan
from gitsnap.rollback.sample_objects import SampleObjects, read_sample
from gitsnap.rollback.selected_objects import select_objects
from gitsnap.rollback.unselected_objects import find_avoidable, find_unselected
from gitsnap.sveltos.kind_names import KindNames, definitions_of_tree


def prepare(
    cluster: Cluster,
    tree: Tree,
    *,
    sample: State,
    selection: Selection,
    options: Options,
    keeper: SecretsKeeper | None,
) -> Plan:
    """The plan of a rollback to a sample or a change, before the dry run.

    ``tree`` is the tree of the sample. ``keeper`` has the keys of the archive; without it, Secrets whose values are not
    stored as plain text are refused. Raises NotFoundError or UsageError if the selection does not match the sample, and
    the cluster's errors if live objects cannot be read.
    """
    objects = SampleObjects(tree, keeper)
    names = KindNames(objects.kinds, lambda: chain(definitions_of_tree(tree), list_definitions(cluster)))
    selection = selection.with_kinds_named(names)
    selected, notes = select_objects(cluster, objects, selection, prune=options.prune)
    live = read_live(cluster, objects, selected, selection)
    archived = read_sample(objects, sample, selected, live)
    plan = make_plan(archived, live, selection, options)
    plan = replace(
        plan,
        avoidable=find_avoidable(plan, objects, archived, live, selection),
        unselected=find_unselected(cluster, objects, live, selected, selection),
    )
    if (origin := cluster_of(sample)) != plan.cluster.uid:
        notes = (f"the sample is from another cluster: {origin}", *notes)
    return add_withdrawals(cluster, replace(plan, notes=notes))
