"""Reads both sides, makes the plan, and says what would be withdrawn from managed clusters.

This module must not write to a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gitsnap.core.errors import WrongClusterError
from gitsnap.core.model import ClusterInfo, JsonObject, ObjectKey, Sample
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.rollback.deployed_state import read_all, read_configurations, read_contents
from gitsnap.rollback.live_objects import read_live
from gitsnap.rollback.plan import (
    PRUNED_KINDS,
    Inputs,
    LiveState,
    Options,
    Plan,
    SampleState,
    Selection,
    Unrestorable,
    Withdrawals,
    in_words,
    labels_match,
    losing_unselected,
    lost_on_unselected,
    make_plan,
    resolve,
    spared,
    with_deployed,
)
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import kinds


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
    """The plan of a rollback to a sample, not yet tried on the server.

    ``tree`` is the sample's. ``keeper`` knows the archive's keys; without it, Secrets whose values are not in plain
    text are refused. ``expected_cluster`` is the uid of the cluster to write to, where it must be that one.
    Raises WrongClusterError, NotFoundError or UsageError for a selection that does not fit the sample, and the
    cluster's errors when the live objects cannot be read.
    """
    check_identity(cluster.info(), expected_cluster)
    objects = SampleObjects(tree, keeper)
    live_keys = _live_keys(cluster, tree, selection, objects.keys) if options.prune else frozenset[ObjectKey]()
    meant = resolve(selection, objects.keys | live_keys, incomplete=tree.incomplete)
    outside = _outside_scope(meant, tree) if selection.everything else frozenset[ObjectKey]()
    meant -= outside
    if selection.labels:
        meant = frozenset(
            key for key in meant if key not in objects.keys or labels_match(selection.labels, objects.document(key))
        )
    referenced, notes = frozenset[ObjectKey](), tuple[str, ...]()
    if selection.with_references:
        referenced, notes = _referenced(objects, meant & objects.keys)
        left_alone = selection.exceptions(objects.keys)
        referenced = frozenset(key for key in referenced if not left_alone(key))
    wanted = Wanted(objects, meant & objects.keys | referenced, others=meant - objects.keys)
    plan = planned(cluster, tree, wanted, sample=sample, selection=selection, options=options)
    notes = (*notes, *(f"{in_words(key)} is input of a template; roll it back by name" for key in sorted(outside)))
    if sample.metadata.cluster != plan.cluster.uid:
        notes = (f"the sample is of another cluster: {sample.metadata.cluster}", *notes)
    return replace(plan, notes=notes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The objects that a plan is about."""

    objects: SampleObjects
    selected: frozenset[ObjectKey]
    """Those that the sample has."""
    others: frozenset[ObjectKey] = frozenset()
    """Those that it does not have."""
    made: Mapping[ObjectKey, JsonObject | None] = field(default_factory=dict)
    """See SampleState."""
    holdable: frozenset[ObjectKey] = frozenset()
    """See SampleState."""


def planned(
    cluster: Cluster, tree: Tree, wanted: Wanted, *, sample: Sample, selection: Selection, options: Options
) -> Plan:
    """Read the live side and make the plan, with what it would withdraw."""
    cluster.hush(one.kind for one in tree.info.secrets.sensitive_fields)
    objects = wanted.objects
    live, same = read_live(cluster, objects, wanted.selected | wanted.others, selection, tree.info.kinds)
    documents, unrestorable = _documents(objects, wanted.selected - same, live)
    state = SampleState(
        tag=sample.tag,
        keys=objects.keys,
        documents=documents,
        same=same,
        unrestorable=unrestorable,
        selected=wanted.selected | (frozenset() if wanted.made else wanted.others),
        incomplete=tree.incomplete,
        time=sample.metadata.time,
        scope=frozenset(tree.info.kinds),
        made=wanted.made,
        holdable=wanted.holdable,
    )
    plan = make_plan(state, live, selection, options)
    if not selection.keys:  # an undo is about exactly these
        plan = replace(plan, spared=_spared(plan, wanted.objects, state, live, selection))
    return say_what_goes(cluster, plan)


def _spared(
    plan: Plan, objects: SampleObjects, state: SampleState, live: LiveState, selection: Selection
) -> frozenset[ObjectKey]:
    """The profiles, and the clusters, that would lose no match by this plan if they were selected as well."""
    found = frozenset[ObjectKey]()
    for candidates in (losing_unselected(plan, state.keys), lost_on_unselected(plan, state.keys)):
        if candidates:
            found |= spared(_wider(plan, objects, state, live, selection, candidates), candidates)
    return found


def _wider(
    plan: Plan,
    objects: SampleObjects,
    state: SampleState,
    live: LiveState,
    selection: Selection,
    candidates: frozenset[ObjectKey],
) -> Plan:
    """The plan in which some more objects are selected."""
    documents, unrestorable = _documents(objects, candidates, live)
    wider = replace(
        state,
        documents={**state.documents, **documents},
        unrestorable={**state.unrestorable, **unrestorable},
        selected=(state.selected or frozenset()) | candidates,
    )
    return make_plan(wider, live, selection, plan.options)


def _live_keys(cluster: Cluster, tree: Tree, selection: Selection, keys: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
    """The live objects of the kinds that something is named of: what came after the sample can be named too."""
    named = selection.named_kinds(keys) & PRUNED_KINDS & frozenset(tree.info.kinds)
    resources = [cluster.resource_type(kind) for kind in sorted(named)]
    return frozenset(
        ObjectKey.of(item)
        for resource in resources
        if resource is not None
        for page in cluster.list(resource)
        for item in page.items
    )


def check_identity(info: ClusterInfo, expected: str) -> None:
    """Raises WrongClusterError when another cluster answers than the one expected; ``""`` expects none."""
    if expected and info.uid != expected:
        raise WrongClusterError(
            f"{info.server} (context {info.context}) is the cluster {info.uid}, and {expected} was expected",
            hint="Choose the right --context. Nothing was changed.",
        )


def _outside_scope(selected: frozenset[ObjectKey], tree: Tree) -> frozenset[ObjectKey]:
    """Objects of kinds that the policy does not ask for: templates read them, and a whole sample does not mean them."""
    scope = {*tree.info.kinds, *(selector.kind for selector in tree.info.resources)}
    return frozenset(key for key in selected if key.kind not in scope)


def _referenced(objects: SampleObjects, selected: frozenset[ObjectKey]) -> tuple[frozenset[ObjectKey], tuple[str, ...]]:
    """What selected objects refer to, as far as the sample has it, and a note for each thing that it does not have."""
    found, notes = set[ObjectKey](), set[str]()
    for reference in objects.referenced_by(selected):
        if reference.unresolved is None and reference.target in objects.keys:
            found.add(reference.target)
        elif not reference.optional:
            notes.add(f"{in_words(reference.by)} refers to {in_words(reference.target)}, which is not in the sample")
    return frozenset(found) - selected, tuple(sorted(notes))


def _documents(
    objects: SampleObjects, wanted: frozenset[ObjectKey], live: LiveState
) -> tuple[dict[ObjectKey, JsonObject], dict[ObjectKey, Unrestorable]]:
    """The archived objects that differ, with their values, or the reason why these cannot be had."""
    documents: dict[ObjectKey, JsonObject] = {}
    unrestorable: dict[ObjectKey, Unrestorable] = {}
    for key in sorted(wanted):
        restored = objects.restored(key, live.objects.get(key))
        if isinstance(restored, Unrestorable):
            unrestorable[key] = restored
        else:
            documents[key] = restored
    return documents, unrestorable


def say_what_goes(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with what it takes from clusters: the matches that end, and what is deployed less."""
    withdrawals, inputs = Withdrawals(plan), Inputs(plan)
    contents = read_contents(cluster, withdrawals.sources | inputs.sources)
    clusters = withdrawals.compare(contents)
    clusters |= {withdraw.cluster for withdraw in plan.withdraws}
    configurations = tuple(read_configurations(cluster, clusters))
    summaries = tuple(read_all(cluster, kinds.CLUSTER_SUMMARY)) if withdrawals.deploys else ()
    return inputs.applied(with_deployed(withdrawals.applied(configurations, summaries), configurations), contents)
