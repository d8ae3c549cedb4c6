"""What a plan takes from clusters that go on to match: fewer references, charts or documents, or a missing reference.

Told from the live ClusterConfigurations and the documents on both sides. What nobody can look into is a doubt.
This module must not judge which clusters match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gitsnap.model import JsonObject, ObjectKey
from gitsnap.plan.consequences import Conflict, Doing, Doubt, Effect, Moment, Withdraw
from gitsnap.plan.matching import Change, Row, State, mode_of
from gitsnap.plan.redeployment import Deployed, Difference, Redeployment, differ
from gitsnap.plan.sources import Contents, Deployment, Objects
from gitsnap.plan.transitions import PAUSES, changes_of, content_steps
from gitsnap.plan.uncertainty import undeployed, undeployed_doubt
from gitsnap.plan.values import Plan, Step
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, sets_of
from gitsnap.sveltos.pausing import paused
from gitsnap.sveltos.references import references

_PASSING = "it may deploy once more, and withdraw what it no longer asks for, before an object that it needs is deleted"

Entries = Mapping[ClusterRef, list[Deployed]]


@dataclass(slots=True)
class Findings:
    """What was found of all of them."""

    reduced: dict[tuple[ObjectKey, ClusterRef], set[Deployed] | None] = field(default_factory=dict)
    """What a profile takes from a cluster, None where that is not known."""
    doubts: dict[ObjectKey, Doubt] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    effects: dict[tuple[Doing, ObjectKey, ObjectKey], set[ClusterRef]] = field(default_factory=dict)
    """What is done by a profile after a step -> the clusters: (doing, step, profile)."""

    @property
    def withdraws(self) -> Iterator[Withdraw]:
        """A line for each profile and cluster."""
        for (profile, cluster), going in self.reduced.items():
            deployed = None if going is None else sorted(going, key=_in_inventory)
            yield Withdraw(profile, cluster, Moment.LESS, deployed=None if deployed is None else tuple(deployed))

    def less(self, profile: ObjectKey, cluster: ClusterRef, going: Iterable[Deployed] | None) -> None:
        """Remember what a profile takes from a cluster, at whichever of its redeployments."""
        known = self.reduced.setdefault((profile, cluster), set())
        self.reduced[profile, cluster] = None if known is None or going is None else known.union(going)

    def note(self, doing: Doing, steps: Iterable[ObjectKey], by: ObjectKey, cluster: ClusterRef) -> None:
        """Remember what follows from some steps on a cluster."""
        for step in steps:
            self.effects.setdefault((doing, step, by), set()).add(cluster)


class Withdrawals:
    """The redeployments of one plan, and what must be read to tell what they take away."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._changes = changes_of(plan.steps, plan.controller_labels)
        self._written = content_steps(plan.steps)
        self._start = State.of(plan.standing, stands=plan.summaries)
        self._end = State.of(plan.standing, self._changes, stands=plan.summaries)
        self._views = tuple(_views(plan.standing, changes) for changes in ((), self._changes))
        self._unsuccessful: list[tuple[Redeployment, Deployment]] = []
        self._compared: list[tuple[Redeployment, Difference, Deployment]] = []
        self.redeployments = (*self._redeployments(), *self._early())
        self._once = dict(self._deployed_once())

    def _redeployments(self) -> Iterator[Redeployment]:
        staying = self._lines(staying=True)
        for key, after in sorted(self._end.selecting.items()):
            before = self._start.selecting.get(key, after)
            if key.kind not in kinds.PROFILE_KINDS or mode_of(after) == "DryRun":
                continue
            if mode_of(before) == mode_of(after) == "OneTime":
                continue
            # A pause holds the profile's spec; what its references contain is deployed all the same.
            deployed = {**after, "spec": before.get("spec") or {}} if paused(after) else after
            row, stood = self._end.row(key), self._start.standing(key)
            # What stays on a cluster that stops matching may be deployed once more before Sveltos sees that it does.
            still = row | staying.get(key, set())
            joining = frozenset[ClusterRef]() if paused(after) else row - stood
            if joining or differ(before, deployed) or self._refers_to_written(before, deployed, stood & still):
                yield Redeployment(key, before, deployed, tuple(sorted(stood & still)), tuple(sorted(joining)))

    def _lines(self, *, staying: bool) -> dict[ObjectKey, set[ClusterRef]]:
        """The clusters that stop matching, by profile: those where what is deployed stays, or those where it goes."""
        found: dict[ObjectKey, set[ClusterRef]] = {}
        for withdraw in self._plan.withdraws:
            if withdraw.takes is not staying:
                found.setdefault(withdraw.profile, set()).add(withdraw.cluster)
        return found

    def _early(self) -> Iterator[Redeployment]:
        """What live profiles deploy once the content is written, which comes before their own steps.

        So it counts for a profile that is paused, in DryRun or OneTime, or that matches no longer, in the end.
        """
        taken = self._lines(staying=False)
        for key, document in sorted(self._start.selecting.items()):
            if key.kind not in kinds.PROFILE_KINDS or not mode_of(document).startswith("Continuous"):
                continue
            clusters = sorted(self._start.standing(key) - taken.get(key, set()))
            if clusters and self._refers_to_written(document, document, clusters):
                yield Redeployment(key, document, document, tuple(clusters), early=True)

    def _deployed_once(self) -> Iterator[tuple[ObjectKey, Row]]:
        """The profiles in OneTime whose content is written: it is deployed where the first deployment is not done."""
        for key, document in sorted(self._start.selecting.items()):
            clusters = self._start.standing(key)
            if mode_of(document) == "OneTime" and self._refers_to_written(document, document, clusters):
                yield key, clusters

    def _refers_to_written(self, before: JsonObject, after: JsonObject, clusters: Iterable[ClusterRef]) -> bool:
        return bool(self._written) and any(
            reference.target in self._written
            for document, view in zip((before, after), self._views, strict=True)
            for reference in references(document, clusters, view.get)
        )

    @property
    def sources(self) -> frozenset[ObjectKey]:
        """The ConfigMaps and Secrets to read: those that the profiles deploy, and those without which they fail."""
        found = {
            reference.target
            for one in self.redeployments
            for document, view in zip((one.before, one.after), self._views, strict=True)
            for reference in references(document, (*one.clusters, *one.joining), view.get)
            if reference.unresolved is None and reference.target.kind in kinds.REFERENCED_KINDS
        }
        return frozenset(found) - self._written.keys()

    def compare(self, contents: Contents) -> frozenset[ClusterRef]:
        """Compare what is deployed on both sides, and name the clusters whose ClusterConfigurations tell what goes."""
        steps = self._plan.steps
        before, after = Objects.before(contents, steps), Objects.after(contents, steps)
        early = Objects.early(contents, steps)
        for one in self.redeployments:
            known: dict[tuple[object, ...], Difference] = {}
            for cluster in one.clusters:
                old = Deployment.of(one.before, cluster, before, self._views[0].get)
                new = Deployment.of(one.after, cluster, early if one.early else after, self._views[not one.early].get)
                shared = known.setdefault((old.sign, new.sign), Difference(one, old, new))
                self._compared.append((one, shared, new))
                if new.failing and not one.early:
                    passing = Deployment.of(one.after, cluster, early, self._views[1].get)
                    if new.failing - passing.failing:
                        meanwhile = replace(one, passing=True)
                        self._compared.append((meanwhile, Difference(meanwhile, old, passing), passing))
            for cluster in one.joining:
                new = Deployment.of(one.after, cluster, after, self._views[1].get)
                if new.failing:
                    self._unsuccessful.append((one, new))
        return frozenset(new.cluster for _, shared, new in self._compared if shared.may_take)

    @property
    def deploys(self) -> bool:
        """Whether any profile deploys anew where it has deployed before, so that the ClusterSummaries must be read."""
        return bool(self.redeployments or self._once)

    def applied(self, configurations: Iterable[JsonObject], summaries: Iterable[JsonObject] = ()) -> Plan:
        """The plan that says what is taken away, going by the live ClusterConfigurations and ClusterSummaries."""
        entries = {inventory.cluster_of(document): inventory.deployed(document) for document in configurations}
        found = Findings()
        for one, new in self._unsuccessful:
            steps = sorted(self._written.keys() & {reference.target for reference in new.references})
            found.note(Doing.FAILS, [*self._joined_by(one, new.cluster), *steps], one.key, new.cluster)
        for one, shared, new in self._compared:
            self._judge(found, one, shared, new, entries)
        self._doubt(found, undeployed(summaries))
        return _with_findings(self._plan, found)

    def _doubt(self, found: Findings, missing: Mapping[tuple[ObjectKey, ClusterRef], frozenset[str]]) -> None:
        """Note the profiles that deploy where their last deployment failed, or is not done."""
        unknown: dict[ObjectKey, set[ClusterRef]] = {}
        for one, _, new in self._compared:
            if missing.get((one.key, new.cluster), frozenset()) - new.failing:
                unknown.setdefault(one.key, set()).add(new.cluster)
        for key, row in self._once.items():
            if late := {cluster for cluster in row if (key, cluster) in missing}:
                unknown.setdefault(key, set()).update(late)
        for key, clusters in unknown.items():
            found.doubts.setdefault(key, undeployed_doubt(key, clusters))

    def _judge(self, found: Findings, one: Redeployment, shared: Difference, new: Deployment, entries: Entries) -> None:
        cluster, steps = new.cluster, self._steps_of(one, shared, new)
        if not one.early and not one.passing:
            self._note_failures(found, one, shared, new, steps)
        if not shared.may_take:
            return
        listed = [entry for entry in entries.get(cluster, ()) if entry.profile == one.key]
        going = [entry for entry in listed if shared.takes(entry, new)]
        if one.passing:
            if going or (cluster not in entries and shared.removed_something):
                found.doubts.setdefault(one.key, Doubt(one.key, _PASSING))
            return
        if going:
            found.less(one.key, cluster, going)
            everything = len(going) == len(listed) and not new.features and not one.early
            found.note(Doing.WITHDRAWS if everything else Doing.REDUCES, steps, one.key, cluster)
        elif cluster not in entries and shared.removed_something:
            found.less(one.key, cluster, None)
            found.note(Doing.REDUCES, steps, one.key, cluster)
        reason = shared.unclear(listed)
        if reason:
            found.doubts.setdefault(one.key, Doubt(one.key, reason))

    def _note_failures(
        self, found: Findings, one: Redeployment, shared: Difference, new: Deployment, steps: list[ObjectKey]
    ) -> None:
        cluster = new.cluster
        if new.failing:
            found.note(Doing.FAILS, steps, one.key, cluster)
        for document, former in shared.conflicts:
            found.conflicts.append(Conflict(one.key, cluster, document.identity.place(), document.source, former))
            found.note(Doing.FAILS, steps, one.key, cluster)

    def _joined_by(self, one: Redeployment, cluster: ClusterRef) -> list[ObjectKey]:
        """The steps by which a cluster comes to match: those of the profile, its sets, the cluster, its dependents."""
        used = {one.key, cluster.key, *sets_of(one.after), *self._end.dependents.of(one.key)}
        return [change.key for change in self._changes if change.key in used]

    def _steps_of(self, one: Redeployment, shared: Difference, new: Deployment) -> list[ObjectKey]:
        """The steps that set a redeployment off: that of the profile, and those of what it refers to."""
        own_step = [change.key for change in self._changes if change.key == one.key and not one.early]
        targets = {reference.target for side in (shared.old, new) for reference in side.references}
        return [*own_step, *sorted(targets & self._written.keys())]


def _views(standing: Iterable[JsonObject], changes: Iterable[Change]) -> dict[ClusterRef, JsonObject]:
    """What templates see of each cluster, once some changes are written."""
    found = {ObjectKey.of(document): document for document in standing}
    found |= {change.key: change.after for change in changes if change.after is not None}
    return {
        ClusterRef.of(document): template_view(document)
        for key, document in found.items()
        if key.kind in kinds.CLUSTER_KINDS
    }


def _with_findings(plan: Plan, found: Findings) -> Plan:
    known = {doubt.key for doubt in plan.doubts}
    more = [found.doubts[key] for key in sorted(found.doubts.keys() - known)]
    return replace(
        plan,
        steps=tuple(step if step.action in PAUSES else _with_effects(step, found) for step in plan.steps),
        withdraws=tuple(sorted((*plan.withdraws, *found.withdraws), key=_place)),
        doubts=tuple(sorted((*plan.doubts, *more), key=lambda doubt: doubt.key)),
        conflicts=tuple(sorted(set(found.conflicts))),
    )


def _in_inventory(entry: Deployed) -> tuple[str, str, str]:
    return type(entry).__name__, entry.namespace, entry.name


def _place(withdraw: Withdraw) -> tuple[object, ...]:
    return withdraw.profile, withdraw.cluster, withdraw.moment


def _with_effects(step: Step, found: Findings) -> Step:
    """The step with what it takes away, and without *redeployed* where that is not what happens."""
    mine = {(doing, by): clusters for (doing, key, by), clusters in found.effects.items() if key == step.key}
    if not mine or not step.writes:
        return step
    instead: dict[ObjectKey, set[ClusterRef]] = {}
    for (doing, by), clusters in mine.items():
        if doing in (Doing.FAILS, Doing.WITHDRAWS):
            instead.setdefault(by, set()).update(clusters)
    deploying = (Doing.DEPLOYS, Doing.REDEPLOYS, Doing.LAST)
    effects = [one for one in step.effects if one.doing not in deploying]
    for one in step.effects:
        left = tuple(cluster for cluster in one.clusters if cluster not in instead.get(one.by, ()))
        if one.doing in deploying and left:
            effects.append(replace(one, clusters=left))
    effects += [Effect(doing, by, tuple(sorted(clusters))) for (doing, by), clusters in mine.items()]
    return replace(step, effects=tuple(sorted(effects, key=lambda one: (one.doing, one.by))))
