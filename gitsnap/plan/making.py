"""A sample, the cluster as it is, and a selection -> what a rollback would do, object by object, with its reasons.

Pure, so that every rule can be tried without a cluster: whatever is not certain to be a user's own, restorable state
is refused in words, and nothing outside the selection gets a step. This module must not read or write a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gitsnap.model import ClusterInfo, IncompleteKind, JsonObject, Kind, ObjectKey, ResourceType, Substitute
from gitsnap.normalize import normalize, terminating
from gitsnap.plan.changes import changed_fields
from gitsnap.plan.matching import CONCERNED_KINDS, Arrangement, Change, arrange
from gitsnap.plan.selection import Selection, resolve
from gitsnap.plan.values import Action, Options, Plan, Step
from gitsnap.sveltos import generated, inventory, kinds, restore
from gitsnap.sveltos.restore import Phase

Deployed = inventory.DeployedResource | inventory.DeployedRelease

_NAMESPACE = Kind("", "Namespace")


@dataclass(frozen=True, slots=True)
class Unrestorable:
    """Why the values of a Secret cannot be had from the archive."""

    reason: str
    changed: tuple[str, ...] = ()
    """The fields that differ, as far as fingerprints tell."""


@dataclass(frozen=True, slots=True)
class SampleState:
    """What a plan needs of a sample."""

    tag: str
    keys: frozenset[ObjectKey]
    """Every object of its configuration."""
    documents: Mapping[ObjectKey, JsonObject]
    """The selected objects as archived, Secrets with their values; those in ``same`` may be left out."""
    same: frozenset[ObjectKey] = frozenset()
    """Selected objects that are known to be in the cluster exactly as they are in the sample."""
    unrestorable: Mapping[ObjectKey, Unrestorable] = field(default_factory=dict)
    referenced: frozenset[ObjectKey] = frozenset()
    """Objects of the sample that are selected because another selected object refers to them."""
    incomplete: tuple[IncompleteKind, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveState:
    """What a plan needs of the cluster."""

    cluster: ClusterInfo
    objects: Mapping[ObjectKey, JsonObject]
    """As the API server gave them: the selected ones that exist, and with any of CONCERNED_KINDS all of these kinds."""
    served: Mapping[Kind, ResourceType]
    """How the kinds of the selected objects are served; a kind that is not installed is not here."""
    missing_namespaces: frozenset[str] = frozenset()
    """Namespaces of selected objects that are known not to exist."""
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers, live or of the sample, own on clusters."""
    whole: frozenset[Kind] = frozenset()
    """Kinds of which ``objects`` has every object of the cluster."""


def make_plan(sample: SampleState, live: LiveState, selection: Selection, options: Options) -> Plan:
    """The plan, untried. Raises NotFoundError or UsageError for a selection that does not fit the sample."""
    selected = resolve(selection, sample.keys, incomplete=sample.incomplete) | sample.referenced
    standing = tuple(
        document
        for key, document in sorted(live.objects.items())
        if key.kind in CONCERNED_KINDS and not terminating(document)
    )
    plan = Plan(
        cluster=live.cluster,
        sample=sample.tag,
        options=options,
        steps=_judged(sample, live, options, selected),
        stay=_staying(sample.keys, live, selection),
        incomplete=sample.incomplete,
        controller_labels=live.controller_labels,
        standing=standing,
    )
    return arranged(plan)


def arranged(plan: Plan) -> Plan:
    """The plan with its steps in the order of writing, and with what that order withdraws.

    To be done again when steps fell out of a plan, since the order of the others was found with them in it.
    """
    late = [step for step in plan.writes if restore.rule_of(step.key.kind).phase >= Phase.MATCHING]
    changes = [_change(step, plan.controller_labels) for step in late]
    arrangement = arrange(plan.standing, changes) if changes else Arrangement(())
    rank = {key: position for position, key in enumerate(arrangement.order)}
    return replace(
        plan,
        steps=tuple(sorted(plan.steps, key=lambda step: _place(step, rank))),
        withdraws=arrangement.withdraws,
        doubts=arrangement.doubts,
    )


def with_deployed(plan: Plan, configurations: Iterable[JsonObject]) -> Plan:
    """The plan whose withdraw lines say what is deployed, going by the live ClusterConfigurations of these clusters."""
    deployed = {inventory.cluster_of(document): inventory.deployed(document) for document in configurations}
    withdraws = tuple(
        replace(one, deployed=_deployed_by(one.profile, deployed[one.cluster])) if one.cluster in deployed else one
        for one in plan.withdraws
    )
    return replace(plan, withdraws=withdraws)


def _deployed_by(profile: ObjectKey, entries: Iterable[Deployed]) -> tuple[Deployed, ...]:
    """The part of a cluster's inventory that comes from one profile, releases first."""
    mine = [entry for entry in entries if entry.profile == profile]
    return tuple(sorted(mine, key=lambda entry: (type(entry).__name__, entry.namespace, entry.name)))


# One object -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides what to do with each selected object."""

    sample: SampleState
    live: LiveState
    options: Options
    created: frozenset[str] = frozenset()
    """Namespaces that the plan creates."""

    def step(self, key: ObjectKey) -> Step:
        if key in self.sample.same:
            return Step(Action.UNCHANGED, key)
        raw = self.live.objects.get(key)
        return self._absent(key) if raw is None else self._present(key, raw)

    def _absent(self, key: ObjectKey) -> Step:
        reason = self._incomplete(key) or self._cannot_create(key) or self._unrestorable(key)
        if reason:
            return Step(Action.REFUSE, key, reason)
        archived = self._archived(key)
        reason = self._foreign(archived)
        if reason:
            return Step(Action.REFUSE, key, reason)
        return Step(Action.CREATE, key, archived=archived, api_version=self.live.served[key.kind].api_version)

    def _present(self, key: ObjectKey, raw: JsonObject) -> Step:
        if key in self.sample.unrestorable:
            found = self.sample.unrestorable[key]
            return Step(Action.REFUSE, key, self._incomplete(key) or found.reason, found.changed, live=raw)
        archived, normalized = self._archived(key), self._normalized(raw)
        changed = changed_fields(normalized, restore.wanted(archived, normalized))
        if not changed:
            return Step(Action.UNCHANGED, key)
        reason = (
            self._incomplete(key)
            or ("it is being deleted" if terminating(raw) else "")
            or self._foreign(raw)
            or restore.needs_recreation(archived, normalized)
        )
        action = Action.REFUSE if reason else Action.UPDATE
        return Step(action, key, reason, changed, archived=archived, live=raw)

    def _archived(self, key: ObjectKey) -> JsonObject:
        """Brought to the newest rules, which also takes out what somebody may have written into the archive by hand."""
        return self._normalized(self.sample.documents[key])

    def _normalized(self, document: JsonObject) -> JsonObject:
        return normalize(document, controller_labels=self.live.controller_labels)

    # Reasons to leave an object alone -------------------------------------------------------------------------

    def _incomplete(self, key: ObjectKey) -> str:
        for one in self.sample.incomplete:
            if one.kind == key.kind:
                how = "holds it from an earlier one" if one.substitute is Substitute.CARRIED else "has none of it"
                return f"the sample could not read {key.kind.name} ({one.reason}) and {how}"
        return ""

    def _unrestorable(self, key: ObjectKey) -> str:
        found = self.sample.unrestorable.get(key)
        return found.reason if found else ""

    def _cannot_create(self, key: ObjectKey) -> str:
        if key.kind in kinds.CLUSTER_KINDS:
            return "the cluster is no longer registered; only its labels and annotations could be rolled back"
        if key.kind not in self.live.served:
            return f"{key.kind} is not installed in this cluster"
        if key.namespace in self.live.missing_namespaces - self.created:
            return f"the namespace {key.namespace} does not exist"
        return ""

    def _foreign(self, document: JsonObject) -> str:
        refusal = restore.ownership(document)
        if refusal is None or (refusal.forceable and self.options.force_owned):
            return ""
        return f"{refusal.reason} (--force-owned writes it all the same)" if refusal.forceable else refusal.reason


# All objects ----------------------------------------------------------------------------------------------------------


def _judged(
    sample: SampleState, live: LiveState, options: Options, selected: Collection[ObjectKey]
) -> tuple[Step, ...]:
    """A step for each object; namespaces first, since what stands in one that the plan creates needs that step."""
    judge = _Judge(sample, live, options)
    namespaces = [judge.step(key) for key in sorted(selected) if key.kind == _NAMESPACE]
    created = frozenset(step.key.name for step in namespaces if step.action is Action.CREATE)
    judge = replace(judge, created=created)
    steps = [judge.step(key) for key in sorted(selected) if key.kind != _NAMESPACE]
    return (*namespaces, *(_with_needs(step, created) for step in steps))


def _with_needs(step: Step, created: Collection[str]) -> Step:
    if step.action is not Action.CREATE or step.key.namespace not in created:
        return step
    return replace(step, needs=(ObjectKey(_NAMESPACE, "", step.key.namespace),))


def _change(step: Step, controller_labels: Collection[str]) -> Change:
    if step.archived is None:
        raise AssertionError("a step that writes has an archived object")
    if step.live is None:
        return Change(step.key, None, step.archived)
    normalized = normalize(step.live, controller_labels=controller_labels)
    target = restore.wanted(step.archived, normalized)
    return Change(step.key, step.live, restore.update(target, live=step.live, normalized=normalized))


def _place(step: Step, rank: Mapping[ObjectKey, int]) -> tuple[object, ...]:
    """Written steps first, in their order; then what is refused, then what is equal."""
    actions = (Action.CREATE, Action.REFUSE, Action.UNCHANGED)
    action = Action.CREATE if step.action is Action.UPDATE else step.action
    return actions.index(action), rank.get(step.key, -1), restore.order_of(step.key.kind), step.key


def _staying(keys: Collection[ObjectKey], live: LiveState, selection: Selection) -> int:
    """Live objects that the selection would cover and the sample does not have.

    ConfigMaps and Secrets are not counted: a sample has only those that something referred to.
    """
    return sum(
        key not in keys and not terminating(document) and generated.reason(document) is None
        for key, document in live.objects.items()
        if key.kind in live.whole - kinds.REFERENCED_KINDS
        and selection.covers_kind(key.kind)
        and (not key.namespace or selection.covers_namespace(key.namespace))
    )
