"""A sample, the cluster as it is, and a selection -> what a rollback would do, object by object, with its reasons.

Pure, so that every rule can be tried without a cluster: nothing outside the selection gets a step, and the steps
come in the order of writing. This module must not read or write a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan.consequences import Effect, Moment, Stay, Wait
from gitsnap.rollback.plan.decisions import Judge
from gitsnap.rollback.plan.deletions import PRUNED_KINDS, surplus, unmade
from gitsnap.rollback.plan.impact import effects
from gitsnap.rollback.plan.inputs import LiveState, SampleState
from gitsnap.rollback.plan.match_states import CONCERNED_KINDS, Change
from gitsnap.rollback.plan.ordering import Arrangement, arrange, may_release
from gitsnap.rollback.plan.selection import Selection, resolve
from gitsnap.rollback.plan.steps import Action, Options, Plan, Step
from gitsnap.rollback.plan.transitions import PAUSES, changes_of, content_steps, matching_steps
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.normalize import terminating
from gitsnap.sveltos.references import references

Deployed = inventory.DeployedResource | inventory.DeployedRelease


def make_plan(sample: SampleState, live: LiveState, selection: Selection, options: Options) -> Plan:
    """The plan, untried. Raises NotFoundError or UsageError for a selection that does not fit the sample."""
    meant = sample.selected
    if meant is None:
        others = live.objects.keys() - sample.keys if options.prune else frozenset[ObjectKey]()
        known = sample.keys | {key for key in others if key.kind in PRUNED_KINDS}
        meant = resolve(selection, known, incomplete=sample.incomplete)
    selected = meant & sample.keys
    named = frozenset[ObjectKey]() if selection.everything else meant - sample.keys
    standing = tuple(
        document
        for key, document in sorted(live.objects.items())
        if key.kind in CONCERNED_KINDS and not terminating(document)
    )
    judge = Judge(sample, live, options)
    more = [*surplus(judge, selection, named), *unmade(judge)]
    plan = Plan(
        cluster=live.cluster,
        sample=sample.tag,
        options=options,
        steps=(*_judged(judge, selected), *(one for one in more if isinstance(one, Step))),
        stays=tuple(one for one in more if isinstance(one, Stay)),
        unread=live.unread,
        incomplete=sample.incomplete,
        controller_labels=live.controller_labels,
        standing=standing,
        holdable=_holdable(judge, selected | sample.holdable),
        summaries=live.summaries,
    )
    return arranged(plan)


def arranged(plan: Plan) -> Plan:
    """The plan with its steps in the order of writing, with what that order withdraws, and with what it must hold.

    To be done again when steps fell out of a plan, since the order of the others was found with them in it.
    """
    former = {(step.action, step.key): step for step in plan.steps}
    steps = [step for step in plan.steps if step.action not in PAUSES]
    late = matching_steps(steps)
    changes = changes_of(late, plan.controller_labels)
    arrangement = Arrangement(())
    if changes:
        arrangement = arrange(
            plan.standing,
            changes,
            holdable=plan.holdable,
            stands=plan.summaries,
            waiting=plan.options.wait > 0,
        )
    rank = {key: position for position, key in enumerate(arrangement.order)}
    steps += [
        former.get((step.action, step.key), step)
        for step in _holding(arrangement, plan.standing, {step.key for step in late})
    ]
    later = _required(plan, changes)
    reach = effects(plan.standing, changes, content_steps(steps).keys(), stands=plan.summaries)
    steps = [replace(step, effects=_effects_of(step, reach), waits=_waits_of(step, arrangement)) for step in steps]
    return replace(
        plan,
        steps=tuple(sorted(steps, key=lambda step: _order(step, rank, later))),
        withdraws=arrangement.withdraws,
        doubts=arrangement.doubts,
        conflicts=(),
        holds=arrangement.holds,
    )


def _effects_of(step: Step, reach: Mapping[ObjectKey, tuple[Effect, ...]]) -> tuple[Effect, ...]:
    """Its own step is where a profile acts, not the pause before it."""
    return () if step.action in PAUSES else reach.get(step.key, ())


def _waits_of(step: Step, arrangement: Arrangement) -> tuple[Wait, ...]:
    """The pause itself waits for nothing."""
    return arrangement.waits.get(step.key, ()) if step.writes and step.action is not Action.HOLD else ()


def _holding(
    arrangement: Arrangement, standing: Iterable[JsonObject], written: Collection[ObjectKey]
) -> Iterable[Step]:
    """The steps that hold profiles, and those that release the ones which no step of their own does."""
    live = {ObjectKey.of(document): document for document in standing}
    for hold in arrangement.holds:
        key, document = hold.profile, live[hold.profile]
        yield Step(Action.HOLD, key, str(hold), live=document)
        if key not in written:
            yield Step(Action.RELEASE, key, "no longer paused", needs=(key,), live=document)


def released(plan: Plan, written: Iterable[Step]) -> frozenset[ObjectKey]:
    """Of the profiles that the plan holds, those that lose no match if released after only these steps were written."""
    return may_release(plan.standing, changes_of(written, plan.controller_labels), plan.holds)


def with_deployed(plan: Plan, configurations: Iterable[JsonObject]) -> Plan:
    """The plan whose withdraw lines say what is deployed, going by the live ClusterConfigurations of these clusters."""
    deployed = {inventory.cluster_of(document): inventory.deployed(document) for document in configurations}
    withdraws = tuple(
        replace(one, deployed=_deployed_by(one.profile, deployed[one.cluster]))
        if one.cluster in deployed and one.moment is not Moment.LESS and one.profile not in plan.summaries
        else one
        for one in plan.withdraws
    )
    return replace(plan, withdraws=withdraws)


def _deployed_by(profile: ObjectKey, entries: Iterable[Deployed]) -> tuple[Deployed, ...]:
    """The part of a cluster's inventory that comes from one profile, releases first."""
    mine = [entry for entry in entries if entry.profile == profile]
    return tuple(sorted(mine, key=lambda entry: (type(entry).__name__, entry.namespace, entry.name)))


# All objects ----------------------------------------------------------------------------------------------------------


def _judged(judge: Judge, selected: Collection[ObjectKey]) -> tuple[Step, ...]:
    """A step for each object; namespaces first, since what stands in one that the plan creates needs that step."""
    namespaces = [judge.step(key) for key in sorted(selected) if key.kind == kinds.NAMESPACE]
    if judge.options.create_namespaces:
        there = {step.key.name for step in namespaces}
        absent = {key.namespace for key in selected - judge.live.objects.keys()} & judge.live.missing_namespaces
        namespaces += [_namespace(name) for name in sorted(absent - there)]
    created = frozenset(step.key.name for step in namespaces if step.action is Action.CREATE)
    judge = replace(judge, created=created)
    steps = [judge.step(key) for key in sorted(selected) if key.kind != kinds.NAMESPACE]
    return (*_needed(namespaces, steps, selected), *(_with_needs(step, created) for step in steps))


def _namespace(name: str) -> Step:
    archived = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    key = ObjectKey(kinds.NAMESPACE, "", name)
    return Step(Action.CREATE, key, "an object needs it", archived=archived, api_version="v1")


def _needed(namespaces: Iterable[Step], steps: Iterable[Step], selected: Collection[ObjectKey]) -> Iterable[Step]:
    """The steps of namespaces, without those that nothing is created in and that nobody selected."""
    used = {step.key.namespace for step in steps if step.action is Action.CREATE}
    return (step for step in namespaces if step.key in selected or step.key.name in used)


def _with_needs(step: Step, created: Collection[str]) -> Step:
    if step.action is not Action.CREATE or step.key.namespace not in created:
        return step
    return replace(step, needs=(ObjectKey(kinds.NAMESPACE, "", step.key.namespace),))


def _holdable(judge: Judge, selected: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """Selected profiles that may be paused meanwhile. Others are not touched, not even for a moment."""
    found = set()
    for key in selected:
        document = judge.live.objects.get(key)
        if key.kind not in kinds.PROFILE_KINDS or document is None or terminating(document):
            continue
        if not judge.foreign(document):
            found.add(key)
    return frozenset(found)


def _required(plan: Plan, changes: Iterable[Change]) -> frozenset[ObjectKey]:
    """The objects without which the deployment of a profile fails.

    They are created after optional ones: a deployment that succeeds withdraws what an optional one still lacks.
    """
    created = {step.key for step in plan.steps if step.action is Action.CREATE}
    if len(created & content_steps(plan.steps).keys()) < 2:
        return frozenset()
    documents = [*plan.standing, *(change.after for change in changes if change.after is not None)]
    clusters = [ClusterRef.of(one) for one in plan.standing if Kind.of(one) in kinds.CLUSTER_KINDS]
    sample = {cluster.namespace: cluster for cluster in clusters}.values()
    return frozenset(
        reference.target
        for document in documents
        if Kind.of(document) in kinds.PROFILE_KINDS
        for reference in references(document, clusters if "{{" in str(document.get("spec")) else sample)
        if not reference.optional
    )


def _order(step: Step, rank: Mapping[ObjectKey, int], later: Collection[ObjectKey]) -> tuple[object, ...]:
    """Written steps first, in their order; then what is refused, then what is equal."""
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
    if step.key in rank:
        return 0, 2, rank[step.key], kind_order, step.key
    deleted = step.action is Action.DELETE
    phase, early = restore.rule_of(step.key.kind).phase, step.action is Action.CREATE and step.key not in later
    return 0, 4 if deleted else 0, (phase, not early), kind_order, step.key
