"""Plans a rollback: reads the sample and the live cluster, builds the plan, and adds the withdrawals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from gitsnap.cluster.definitions import list_definitions
from gitsnap.core.errors import WrongClusterError
from gitsnap.core.model import ClusterInfo, JsonObject, ObjectKey, Sample
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.rollback.deployed_state import read_all, read_configurations, read_contents
from gitsnap.rollback.live_objects import read_live
from gitsnap.rollback.plan import (
    LiveState,
    Options,
    Plan,
    Reductions,
    SampleState,
    Selection,
    TemplateInputs,
    Unrestorable,
    add_deployed_content,
    make_plan,
    unselected_losing_profiles,
    unselected_lost_clusters,
    without_loss,
)
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.rollback.selected_objects import select_objects
from gitsnap.rollback.unselected_objects import find_unselected
from gitsnap.sveltos import kinds
from gitsnap.sveltos.kind_names import KindNames, definitions_of_tree


def prepare(
    cluster: Cluster,
    tree: Tree,
    *,
    sample: Sample,
    selection: Selection,
    options: Options,
    keeper: SecretsKeeper | None,
    expected_cluster: str = "",
) -> Plan:
    """The plan of a rollback to a sample, before the dry run.

    ``tree`` is the tree of the sample. ``keeper`` has the keys of the archive; without it, Secrets whose values are not
    stored as plain text are refused. ``expected_cluster`` is the uid that the cluster must have, ``""`` for any.
    Raises WrongClusterError, NotFoundError or UsageError if the selection does not match the sample, and the cluster's
    errors if live objects cannot be read.
    """
    check_identity(cluster.info(), expected_cluster)
    objects = SampleObjects(tree, keeper)
    selection = selection.with_kinds_named(_kind_names(cluster, objects))
    selected, notes = select_objects(cluster, objects, selection, prune=options.prune)
    plan = plan_objects(cluster, objects, PlanRequest(sample, selection, options, selected))
    if sample.metadata.cluster != plan.cluster.uid:
        notes = (f"the sample is from another cluster: {sample.metadata.cluster}", *notes)
    return replace(plan, notes=notes)


def _kind_names(cluster: Cluster, objects: SampleObjects) -> KindNames:
    """The kinds of the sample, and the CustomResourceDefinitions of the sample and of the cluster."""
    return KindNames(
        frozenset(key.kind for key in objects.keys),
        lambda: chain(definitions_of_tree(objects.tree), list_definitions(cluster)),
    )


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """The request for a plan."""

    sample: Sample
    selection: Selection
    options: Options
    selected: frozenset[ObjectKey]
    """The selected objects. Objects that are not in the sample were created after it."""
    created: Mapping[ObjectKey, JsonObject | None] = field(default_factory=dict)
    """For an undo; see SampleState."""
    pausable: frozenset[ObjectKey] = frozenset()
    """For an undo; see SampleState."""


def plan_objects(cluster: Cluster, objects: SampleObjects, request: PlanRequest) -> Plan:
    """Read the live objects and build the plan, with its withdrawals."""
    selected, tree = request.selected, objects.tree
    cluster.redact_errors_for(sensitive.kind for sensitive in tree.info.secrets.sensitive_fields)
    live, unchanged = read_live(cluster, objects, selected | request.created.keys(), request.selection)
    documents, unrestorable = _restore(objects, (selected & objects.keys) - unchanged, live)
    sample = SampleState(
        tag=request.sample.tag,
        keys=objects.keys,
        documents=documents,
        unchanged=unchanged,
        unrestorable=unrestorable,
        selected=selected,
        incomplete=tree.incomplete,
        time=request.sample.metadata.time,
        scope=frozenset(tree.info.kinds),
        created=request.created,
        pausable=request.pausable,
    )
    plan = make_plan(sample, live, request.selection, request.options)
    plan = replace(plan, sensitive_fields=tree.info.secrets.sensitive_fields)
    if not request.selection.keys:  # an undo never suggests other objects
        plan = replace(
            plan,
            avoidable=_avoidable(plan, objects, request, sample, live),
            is_partial=request.selection.is_partial,
            unselected=find_unselected(cluster, objects, live, selected, request.selection),
        )
    return add_withdrawals(cluster, plan)


def _avoidable(
    plan: Plan, objects: SampleObjects, request: PlanRequest, sample: SampleState, live: LiveState
) -> frozenset[ObjectKey]:
    """The unselected profiles and clusters that would lose no match if they were selected as well."""
    avoidable = frozenset[ObjectKey]()
    for candidates in (unselected_losing_profiles(plan, sample.keys), unselected_lost_clusters(plan, sample.keys)):
        if candidates:
            documents, unrestorable = _restore(objects, candidates, live)
            wider = replace(
                sample,
                documents={**sample.documents, **documents},
                unrestorable={**sample.unrestorable, **unrestorable},
                selected=sample.selected | candidates,
            )
            avoidable |= without_loss(make_plan(wider, live, request.selection, request.options), candidates)
    return avoidable


def _restore(
    objects: SampleObjects, keys: Iterable[ObjectKey], live: LiveState
) -> tuple[dict[ObjectKey, JsonObject], dict[ObjectKey, Unrestorable]]:
    """The archived objects with their values, and the reasons why other values are not available."""
    documents: dict[ObjectKey, JsonObject] = {}
    unrestorable: dict[ObjectKey, Unrestorable] = {}
    for key in sorted(keys):
        restored = objects.restored(key, live.objects.get(key))
        if isinstance(restored, Unrestorable):
            unrestorable[key] = restored
        else:
            documents[key] = restored
    return documents, unrestorable


def check_identity(info: ClusterInfo, expected: str) -> None:
    """Raises WrongClusterError if a cluster does not have the expected uid; ``""`` accepts any cluster."""
    if expected and info.uid != expected:
        raise WrongClusterError(
            f"{info.description} is the cluster {info.uid}, not {expected}",
            hint="Choose the right --context. Nothing was changed.",
        )


def add_withdrawals(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with its withdrawals and uncertainties, from the live ClusterConfigurations and ClusterSummaries."""
    reductions, inputs = Reductions(plan), TemplateInputs(plan)
    contents = read_contents(cluster, reductions.sources | inputs.sources)
    clusters = reductions.compare(contents) | {withdrawal.cluster for withdrawal in plan.withdrawals}
    configurations = tuple(read_configurations(cluster, clusters))
    summaries = tuple(read_all(cluster, kinds.CLUSTER_SUMMARY)) if reductions.needs_summaries else ()
    plan = add_deployed_content(reductions.add_to_plan(configurations, summaries), configurations)
    return inputs.add_to_plan(plan, contents)
