"""Builds a plan from a sample, the live cluster and a selection: a decision for each object, in writing order.

The plan is a pure function of these inputs. Objects outside the selection get no step, except namespaces that have to
be created.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Effect, Retained, Withdrawal, WithdrawalCause
from gitsnap.rollback.plan.decisions import StepDecider
from gitsnap.rollback.plan.deletions import decide_created, decide_surplus
from gitsnap.rollback.plan.hold_releases import releasable
from gitsnap.rollback.plan.impact import find_effects
from gitsnap.rollback.plan.inputs import LiveState, SampleState
from gitsnap.rollback.plan.match_states import MATCHING_KINDS, StepChange
from gitsnap.rollback.plan.ordering import StepOrder, find_order
from gitsnap.rollback.plan.selection import Selection
from gitsnap.rollback.plan.steps import Action, Options, Plan, Step
from gitsnap.rollback.plan.transitions import PAUSES, changes_of, content_steps, matching_steps
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.normalize import terminating
from gitsnap.sveltos.references import references

Deployed = inventory.DeployedResource | inventory.DeployedRelease


def make_plan(sample: SampleState, live: LiveState, selection: Selection, options: Options) -> Plan:
    """The plan for the objects in ``sample.selected``, before the dry run.

    ``selection`` tells which live objects that are not in the sample the user meant.
    Raises UsageError for a malformed label selector.
    """
    decider = StepDecider(sample, live, options)
    selected = sample.selected & sample.keys
    named = frozenset[ObjectKey]() if selection.everything else sample.selected - sample.keys
    not_in_sample = [*decide_surplus(decider, selection, named), *decide_created(decider)]
    plan = Plan(
        cluster=live.cluster,
        sample=sample.tag,
        options=options,
        steps=(*_decide_selected(decider, selected), *(step for step in not_in_sample if isinstance(step, Step))),
        retained=tuple(retained for retained in not_in_sample if isinstance(retained, Retained)),
        unread=live.unread,
        incomplete=sample.incomplete,
        is_partial=selection.is_partial,
        sensitive_fields=sample.sensitive_fields,
        controller_labels=live.controller_labels,
        matching_objects=_matching_objects(live),
        pausable=_pausable(decider, selected | sample.pausable),
        summary_clusters=live.summary_clusters,
    )
    return order_plan(plan)


def order_plan(plan: Plan) -> Plan:
    """The plan with its steps in writing order, and the holds, waits, effects and withdrawals that this order causes.

    Call it again when steps drop out of the plan: the order of the other steps was chosen with them.
    """
    former = {(step.action, step.key): step for step in plan.steps}
    steps = [step for step in plan.steps if step.action not in PAUSES]
    deciding = matching_steps(steps)
    changes = changes_of(deciding, plan.controller_labels)
    order = StepOrder(())
    if changes:
        order = find_order(
            plan.matching_objects,
            changes,
            pausable=plan.pausable,
            summary_clusters=plan.summary_clusters,
            waiting=plan.options.wait > 0,
        )
    steps += [
        former.get((step.action, step.key), step)
        for step in _hold_steps(order, plan.matching_objects, {step.key for step in deciding})
    ]
    effects = find_effects(
        plan.matching_objects, changes, content_steps(steps).keys(), summary_clusters=plan.summary_clusters
    )
    steps = [
        replace(step, effects=_effects_of(step, effects), waits=order.waits.get(step.key, ()) if _waits(step) else ())
        for step in steps
    ]
    positions = {key: position for position, key in enumerate(order.order)}
    required = _required_objects(plan, changes)
    return replace(
        plan,
        steps=tuple(sorted(steps, key=lambda step: _writing_order(step, positions, required))),
        withdrawals=order.withdrawals,
        uncertainties=order.uncertainties,
        conflicts=(),
        holds=order.holds,
    )


def _matching_objects(live: LiveState) -> tuple[JsonObject, ...]:
    return tuple(
        document
        for key, document in sorted(live.objects.items())
        if key.kind in MATCHING_KINDS and not terminating(document)
    )


def _effects_of(step: Step, effects: Mapping[ObjectKey, tuple[Effect, ...]]) -> tuple[Effect, ...]:
    """The effects of a step. A profile acts after its own step, not after its pause."""
    return () if step.action in PAUSES else effects.get(step.key, ())


def _waits(step: Step) -> bool:
    """Whether the waits of an object apply to a step. A pause waits for nothing."""
    return step.writes and step.action is not Action.HOLD


def _hold_steps(
    order: StepOrder, matching_objects: Iterable[JsonObject], written: Collection[ObjectKey]
) -> Iterable[Step]:
    """A step that pauses each held profile, and a step that releases each held profile without a step of its own."""
    live = {ObjectKey.of(document): document for document in matching_objects}
    for hold in order.holds:
        key, document = hold.profile, live[hold.profile]
        yield Step(Action.HOLD, key, str(hold), live=document)
        if key not in written:
            yield Step(Action.RELEASE, key, "no longer paused", needs=(key,), live=document)


def releasable_after(plan: Plan, written: Iterable[Step]) -> frozenset[ObjectKey]:
    """The held profiles that lose no match if they are released after only these steps were written."""
    return releasable(plan.matching_objects, changes_of(written, plan.controller_labels), plan.holds)


def add_deployed_content(plan: Plan, configurations: Iterable[JsonObject]) -> Plan:
    """The plan whose withdrawals name the deployed resources and releases, from the live ClusterConfigurations."""
    deployed = {inventory.cluster_of(document): inventory.deployed(document) for document in configurations}

    def with_content(withdrawal: Withdrawal) -> Withdrawal:
        known = withdrawal.cluster in deployed and withdrawal.profile not in plan.summary_clusters
        if not known or withdrawal.cause is WithdrawalCause.REDUCED:
            return withdrawal
        return replace(withdrawal, deployed=_deployed_by(withdrawal.profile, deployed[withdrawal.cluster]))

    return replace(plan, withdrawals=tuple(map(with_content, plan.withdrawals)))


def _deployed_by(profile: ObjectKey, entries: Iterable[Deployed]) -> tuple[Deployed, ...]:
    """The part of a cluster's inventory that one profile deployed, releases first."""
    own = [entry for entry in entries if entry.profile == profile]
    return tuple(sorted(own, key=lambda entry: (type(entry).__name__, entry.namespace, entry.name)))


# All objects ----------------------------------------------------------------------------------------------------------


def _decide_selected(decider: StepDecider, selected: Collection[ObjectKey]) -> tuple[Step, ...]:
    """A step for each selected object. Namespaces come first: objects in a created namespace need its step."""
    namespaces = [decider.step(key) for key in sorted(selected) if key.kind == kinds.NAMESPACE]
    if decider.options.create_namespaces:
        decided = {step.key.name for step in namespaces}
        absent = {key.namespace for key in selected - decider.live.objects.keys()} & decider.live.missing_namespaces
        namespaces += [_namespace_step(name) for name in sorted(absent - decided)]
    created = frozenset(step.key.name for step in namespaces if step.action is Action.CREATE)
    decider = replace(decider, created_namespaces=created)
    steps = [decider.step(key) for key in sorted(selected) if key.kind != kinds.NAMESPACE]
    return (*_needed_namespaces(namespaces, steps, selected), *(_with_needs(step, created) for step in steps))


def _namespace_step(name: str) -> Step:
    archived = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    key = ObjectKey(kinds.NAMESPACE, "", name)
    return Step(Action.CREATE, key, "an object needs it", archived=archived, api_version="v1")


def _needed_namespaces(
    namespaces: Iterable[Step], steps: Iterable[Step], selected: Collection[ObjectKey]
) -> Iterable[Step]:
    """The namespace steps, without namespaces that are not selected and in which no object is created."""
    used = {step.key.namespace for step in steps if step.action is Action.CREATE}
    return (step for step in namespaces if step.key in selected or step.key.name in used)


def _with_needs(step: Step, created_namespaces: Collection[str]) -> Step:
    if step.action is not Action.CREATE or step.key.namespace not in created_namespaces:
        return step
    return replace(step, needs=(ObjectKey(kinds.NAMESPACE, "", step.key.namespace),))


def _pausable(decider: StepDecider, selected: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The selected profiles that may be paused. gitsnap does not touch other profiles, not even for a moment."""
    pausable = set()
    for key in selected:
        document = decider.live.objects.get(key)
        if key.kind not in kinds.PROFILE_KINDS or document is None or terminating(document):
            continue
        if not decider.owned_by_others(document):
            pausable.add(key)
    return frozenset(pausable)


def _required_objects(plan: Plan, changes: Iterable[StepChange]) -> frozenset[ObjectKey]:
    """The objects without which the deployment of a profile fails.

    They are created after the targets of optional references: a successful deployment withdraws the content of optional
    targets that do not exist yet.
    """
    created = {step.key for step in plan.steps if step.action is Action.CREATE}
    if len(created & content_steps(plan.steps).keys()) < 2:
        return frozenset()
    documents = [*plan.matching_objects, *(change.after for change in changes if change.after is not None)]
    clusters = [
        ClusterRef.of(document) for document in plan.matching_objects if Kind.of(document) in kinds.CLUSTER_KINDS
    ]
    by_namespace = {cluster.namespace: cluster for cluster in clusters}.values()
    return frozenset(
        reference.target
        for document in documents
        if Kind.of(document) in kinds.PROFILE_KINDS
        for reference in references(document, clusters if "{{" in str(document.get("spec")) else by_namespace)
        if not reference.optional
    )


def _writing_order(
    step: Step, positions: Mapping[ObjectKey, int], required: Collection[ObjectKey]
) -> tuple[object, ...]:
    """Sort key: written steps, then refused steps, then unchanged objects.

    Among written steps: content, holds, the steps that determine matches, releases, deletions of content.
    """
    kind_order = restore.order_of(step.key.kind)
    match step.action:
        case Action.HOLD:
            return 0, 1, 0, kind_order, step.key
        case Action.RELEASE:
            return 0, 3, 0, kind_order, step.key
        case Action.REFUSE:
            return 1, 0, 0, kind_order, step.key
        case Action.UNCHANGED:
            return 2, 0, 0, kind_order, step.key
    if step.key in positions:
        return 0, 2, positions[step.key], kind_order, step.key
    deleted = step.action is Action.DELETE
    phase, early = restore.rule_of(step.key.kind).phase, step.action is Action.CREATE and step.key not in required
    return 0, 4 if deleted else 0, (phase, not early), kind_order, step.key
