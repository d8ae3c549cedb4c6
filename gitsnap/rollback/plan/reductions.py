"""What a plan withdraws from clusters that still match: fewer references, charts or documents, missing references.

The live ClusterConfigurations and the documents before and after the plan show the difference. Content that gitsnap
cannot evaluate becomes an uncertainty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Conflict, Effect, EffectType, Uncertainty, Withdrawal, WithdrawalCause
from gitsnap.rollback.plan.deployed_content import Contents, Deployment, Objects
from gitsnap.rollback.plan.match_states import Matches, State, mode_of
from gitsnap.rollback.plan.redeployment import Deployed, Difference, Redeployment, differ
from gitsnap.rollback.plan.resolved_references import ResolvedReferences
from gitsnap.rollback.plan.shared_differences import ProfileDeployments, SharedDifferences
from gitsnap.rollback.plan.steps import Plan, Step
from gitsnap.rollback.plan.transitions import PAUSES, changes_of, content_steps
from gitsnap.rollback.plan.unfinished_deployments import unfinished_deployment, unfinished_features
from gitsnap.rollback.plan.unwritten_sources import UnwrittenSources
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, sets_of
from gitsnap.sveltos.pausing import is_paused

Inventories = Mapping[ClusterRef, Mapping[ObjectKey, list[Deployed]]]
"""What the ClusterConfiguration of each cluster lists: by cluster and by profile."""

_BEFORE_DELETIONS = (
    "Sveltos may deploy it before an object that it needs is deleted, and then withdraws what it no longer refers to"
)

_DEPLOYING = (EffectType.DEPLOYS, EffectType.REDEPLOYS, EffectType.LAST)


@dataclass(slots=True)
class Findings:
    """The results of all comparisons of one plan."""

    reduced: dict[tuple[ObjectKey, ClusterRef], set[Deployed] | None] = field(default_factory=dict)
    """What a profile withdraws from a cluster, None if that is unknown."""
    uncertainties: dict[ObjectKey, Uncertainty] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    effects: dict[ObjectKey, dict[tuple[EffectType, ObjectKey], set[ClusterRef]]] = field(default_factory=dict)
    """Object of the step -> (effect type, profile) -> clusters."""

    @property
    def withdrawals(self) -> Iterator[Withdrawal]:
        """A withdrawal for each profile and cluster in ``reduced``."""
        for (profile, cluster), entries in self.reduced.items():
            deployed = None if entries is None else tuple(sorted(entries, key=_inventory_order))
            yield Withdrawal(profile, cluster, WithdrawalCause.REDUCED, deployed=deployed)

    def add_reduction(self, profile: ObjectKey, cluster: ClusterRef, entries: Iterable[Deployed] | None) -> None:
        """Add what one redeployment of a profile withdraws from a cluster; None if that is unknown."""
        known = self.reduced.setdefault((profile, cluster), set())
        self.reduced[profile, cluster] = None if known is None or entries is None else known.union(entries)

    def add_effect(
        self, effect_type: EffectType, steps: Iterable[ObjectKey], profile: ObjectKey, cluster: ClusterRef
    ) -> None:
        """Add an effect of some steps, named by their objects, on a cluster."""
        for step in steps:
            self.effects.setdefault(step, {}).setdefault((effect_type, profile), set()).add(cluster)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A difference, and the successive clusters of one redeployment that share the difference."""

    differences: SharedDifferences
    difference: Difference
    clusters: list[ClusterRef]

    def withdrawn(self, cluster: ClusterRef, listed: Iterable[Deployed]) -> list[Deployed]:
        """The entries that Sveltos withdraws from a cluster. ``listed``: the entries of its ClusterConfiguration."""
        withdrawn = [entry for entry in listed if self.difference.withdraws(entry)]
        if not withdrawn:
            return withdrawn
        _, kept = self.differences.on(cluster)
        return [entry for entry in withdrawn if not kept.explains(entry)]


class Reductions:
    """The redeployments that one plan causes, and what they withdraw.

    Use in this order: read ``sources``, call ``compare``, read the ClusterConfigurations of its result and, with
    ``needs_summaries``, the ClusterSummaries, then call ``add_to_plan``.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._changes = changes_of(plan.steps, plan.controller_labels)
        self._changed = frozenset(change.key for change in self._changes)
        self._written = content_steps(plan.steps)
        self._start = State.of(plan.matching_objects, summary_clusters=plan.summary_clusters)
        self._end = State.of(plan.matching_objects, self._changes, summary_clusters=plan.summary_clusters)
        self._references = ResolvedReferences()
        live_views = _template_views(plan.matching_objects)
        changed = (change.after for change in self._changes if change.after is not None)
        self._views = live_views, live_views | _template_views(changed)
        self._failing: list[tuple[Redeployment, Deployment, ClusterRef]] = []
        self._compared: list[_Comparison] = []
        """The comparisons in the order of the profiles and their clusters."""
        self._causes: dict[Difference, Collection[ObjectKey]] = {}
        """The result of ``_causing_steps`` for each difference."""
        self.redeployments = (*self._redeployments(), *self._early_redeployments())
        self._one_time = dict(self._one_time_profiles())

    def _redeployments(self) -> Iterator[Redeployment]:
        losing = self._losing()
        for key, after in sorted(self._end.selecting.items()):
            before = self._start.selecting.get(key, after)
            if key.kind not in kinds.PROFILE_KINDS or mode_of(after) == "DryRun":
                continue
            if mode_of(before) == mode_of(after) == "OneTime":
                continue
            # A pause freezes the spec of the profile; Sveltos still deploys changed content of its references.
            deployed = {**after, "spec": before.get("spec") or {}} if is_paused(after) else after
            matches, deployed_on = self._end.matches(key), self._start.deployed_on(key)
            # Sveltos also deploys to clusters that stopped matching and keep their add-ons. To a cluster that stops
            # matching during the plan, it may deploy once more before it evaluates the match.
            lasting = deployed_on & matches | deployed_on - losing.get(key, set())
            joining = frozenset[ClusterRef]() if is_paused(after) else matches - deployed_on
            if joining or differ(before, deployed) or self._refers_to_written(before, deployed, lasting):
                yield Redeployment(key, before, deployed, tuple(sorted(lasting)), tuple(sorted(joining)))

    def _losing(self) -> dict[ObjectKey, set[ClusterRef]]:
        """By profile: the clusters that stop matching, at the end or for a moment, and lose their add-ons."""
        clusters: dict[ObjectKey, set[ClusterRef]] = {}
        for withdrawal in self._plan.withdrawals:
            if withdrawal.needs_consent:
                clusters.setdefault(withdrawal.profile, set()).add(withdrawal.cluster)
        return clusters

    def _early_redeployments(self) -> Iterator[Redeployment]:
        """The redeployments of live profiles after the content is written and before their own steps.

        This includes profiles that are paused, in DryRun or OneTime, or not matching, after the plan.
        """
        losing = self._losing()
        for key, profile in sorted(self._start.selecting.items()):
            if key.kind not in kinds.PROFILE_KINDS or not mode_of(profile).startswith("Continuous"):
                continue
            clusters = sorted(self._start.deployed_on(key) - losing.get(key, set()))
            if clusters and self._refers_to_written(profile, profile, clusters):
                yield Redeployment(key, profile, profile, tuple(clusters), early=True)

    def _one_time_profiles(self) -> Iterator[tuple[ObjectKey, Matches]]:
        """The live OneTime profiles whose content is written: Sveltos deploys it where no deployment is finished."""
        for key, profile in sorted(self._start.selecting.items()):
            clusters = self._start.deployed_on(key)
            if mode_of(profile) == "OneTime" and self._refers_to_written(profile, profile, clusters):
                yield key, clusters

    def _refers_to_written(self, before: JsonObject, after: JsonObject, clusters: Iterable[ClusterRef]) -> bool:
        return bool(self._written) and any(
            self._references.refer_to(profile, self._written, clusters, view.get)
            for profile, view in zip((before, after), self._views, strict=True)
        )

    @property
    def sources(self) -> frozenset[ObjectKey]:
        """The ConfigMaps and Secrets to read: objects that the profiles deploy or need for a deployment."""
        sources = {
            reference.target
            for redeployment in self.redeployments
            for profile, view in zip((redeployment.before, redeployment.after), self._views, strict=True)
            for reference in self._references.on_any(profile, (*redeployment.clusters, *redeployment.joining), view.get)
            if reference.unresolved is None and reference.target.kind in kinds.REFERENCED_KINDS
        }
        return frozenset(sources) - self._written.keys()

    def compare(self, contents: Contents) -> frozenset[ClusterRef]:
        """Compare the deployments before and after the plan.

        ``contents`` are the live objects of ``sources``. Returns the clusters whose ClusterConfigurations show what is
        withdrawn.
        """
        steps = self._plan.steps
        before, after = Objects.before(contents, steps), Objects.after(contents, steps)
        early = Objects.early(contents, steps)
        sources = UnwrittenSources(before, self._written)
        old_view, new_view = (view.get for view in self._views)
        for redeployment in self.redeployments:
            objects, view = (early, old_view) if redeployment.early else (after, new_view)
            old = ProfileDeployments(redeployment.before, before, old_view, self._references, sources)
            new = ProfileDeployments(redeployment.after, objects, view, self._references, sources)
            passing = ProfileDeployments(redeployment.after, early, new_view, self._references, sources)
            last = SharedDifferences(redeployment, old, new, sources)
            earlier = SharedDifferences(replace(redeployment, before_deletions=True), old, passing, sources)
            for cluster in redeployment.clusters:
                failing = self._add_comparison(last, cluster).new.failing
                if failing and not redeployment.early and failing - earlier.on(cluster)[0].new.failing:
                    self._add_comparison(earlier, cluster)
            for cluster in redeployment.joining:
                deployment = new.failing_on(cluster)
                if deployment.failing:
                    self._failing.append((redeployment, deployment, cluster))
        return frozenset(
            cluster
            for comparison in self._compared
            if comparison.difference.may_withdraw
            for cluster in comparison.clusters
        )

    def _add_comparison(self, differences: SharedDifferences, cluster: ClusterRef) -> Difference:
        difference, _ = differences.on(cluster)
        if self._compared and self._compared[-1].difference is difference:
            self._compared[-1].clusters.append(cluster)
        else:
            self._compared.append(_Comparison(differences, difference, [cluster]))
        return difference

    @property
    def needs_summaries(self) -> bool:
        """Whether a profile deploys again to a cluster, so that the ClusterSummaries must be read."""
        return bool(self.redeployments or self._one_time)

    def add_to_plan(self, configurations: Iterable[JsonObject], summaries: Iterable[JsonObject] = ()) -> Plan:
        """The plan with the withdrawals, effects, conflicts and uncertainties of its redeployments.

        ``configurations`` and ``summaries`` are the live ClusterConfigurations and ClusterSummaries.
        """
        inventories = {
            inventory.cluster_of(document): _by_profile(inventory.deployed(document)) for document in configurations
        }
        findings = Findings()
        for redeployment, new, cluster in self._failing:
            written = self._written.keys() & {reference.target for reference in new.references}
            steps = self._joining_steps(redeployment, cluster) | written
            findings.add_effect(EffectType.FAILS, steps, redeployment.key, cluster)
        for comparison in self._compared:
            self._evaluate(findings, comparison, inventories)
        self._add_unfinished(findings, unfinished_features(summaries))
        return _with_findings(self._plan, findings)

    def _add_unfinished(
        self, findings: Findings, unfinished: Mapping[tuple[ObjectKey, ClusterRef], frozenset[str]]
    ) -> None:
        """Add an uncertainty for each profile that deploys to clusters where its last deployment is unfinished."""
        clusters_of: dict[ObjectKey, set[ClusterRef]] = {}
        for comparison in self._compared if unfinished else ():
            key, failing = comparison.difference.redeployment.key, comparison.difference.new.failing
            for cluster in comparison.clusters:
                if unfinished.get((key, cluster), frozenset()) - failing:
                    clusters_of.setdefault(key, set()).add(cluster)
        for key, deployed_on in self._one_time.items():
            if on := {cluster for cluster in deployed_on if (key, cluster) in unfinished}:
                clusters_of.setdefault(key, set()).update(on)
        for key, deploying in clusters_of.items():
            findings.uncertainties.setdefault(key, unfinished_deployment(key, deploying))

    def _evaluate(self, findings: Findings, comparison: _Comparison, inventories: Inventories) -> None:
        difference = comparison.difference
        steps = self._causing_steps(difference)
        if not difference.redeployment.early and not difference.redeployment.before_deletions:
            _add_failures(findings, difference, comparison.clusters, steps)
        if difference.may_withdraw:
            for cluster in comparison.clusters:
                self._evaluate_withdrawals(findings, comparison, cluster, inventories)

    def _evaluate_withdrawals(
        self, findings: Findings, comparison: _Comparison, cluster: ClusterRef, inventories: Inventories
    ) -> None:
        difference = comparison.difference
        redeployment, new, steps = difference.redeployment, difference.new, self._causing_steps(difference)
        profile = redeployment.key
        listed = inventories.get(cluster, {}).get(profile, [])
        withdrawn = comparison.withdrawn(cluster, listed)
        if redeployment.before_deletions:
            if withdrawn or (cluster not in inventories and difference.removes_something):
                findings.uncertainties.setdefault(profile, Uncertainty(profile, _BEFORE_DELETIONS))
            return
        if withdrawn:
            findings.add_reduction(profile, cluster, withdrawn)
            everything = len(withdrawn) == len(listed) and not new.features and not redeployment.early
            effect_type = EffectType.WITHDRAWS if everything else EffectType.REDUCES
            findings.add_effect(effect_type, steps, profile, cluster)
        elif cluster not in inventories and difference.removes_something:
            findings.add_reduction(profile, cluster, None)
            findings.add_effect(EffectType.REDUCES, steps, profile, cluster)
        reason = difference.unclear(listed)
        if reason:
            findings.uncertainties.setdefault(profile, Uncertainty(profile, reason))

    def _joining_steps(self, redeployment: Redeployment, cluster: ClusterRef) -> frozenset[ObjectKey]:
        """The steps that make a cluster match: those of the profile, its sets, the cluster, and its dependents."""
        dependents = self._end.dependents.of(redeployment.key)
        return self._changed & {redeployment.key, cluster.key, *sets_of(redeployment.after), *dependents}

    def _causing_steps(self, difference: Difference) -> Collection[ObjectKey]:
        """The steps that cause a redeployment: that of the profile, and those of the objects that it refers to."""
        if difference not in self._causes:
            redeployment = difference.redeployment
            own = frozenset[ObjectKey]() if redeployment.early else self._changed & {redeployment.key}
            references = (*difference.old.references, *difference.new.references)
            self._causes[difference] = own | (self._written.keys() & {reference.target for reference in references})
        return self._causes[difference]


def _by_profile(entries: Iterable[Deployed]) -> dict[ObjectKey, list[Deployed]]:
    by_profile: dict[ObjectKey, list[Deployed]] = {}
    for entry in entries:
        by_profile.setdefault(entry.profile, []).append(entry)
    return by_profile


def _add_failures(
    findings: Findings, difference: Difference, clusters: Iterable[ClusterRef], steps: Collection[ObjectKey]
) -> None:
    profile = difference.redeployment.key
    if not difference.new.failing and not difference.conflicts:
        return
    for cluster in clusters:
        findings.add_effect(EffectType.FAILS, steps, profile, cluster)
        for document, former in difference.conflicts:
            findings.conflicts.append(Conflict(profile, cluster, document.identity.key(), document.source, former))


def _template_views(documents: Iterable[JsonObject]) -> dict[ClusterRef, JsonObject]:
    """What templates see of each cluster among some objects."""
    return {
        ClusterRef.of(document): template_view(document)
        for document in documents
        if Kind.of(document) in kinds.CLUSTER_KINDS
    }


def _with_findings(plan: Plan, findings: Findings) -> Plan:
    known = {uncertainty.key for uncertainty in plan.uncertainties}
    added = [findings.uncertainties[key] for key in sorted(findings.uncertainties.keys() - known)]
    return replace(
        plan,
        steps=tuple(step if step.action in PAUSES else _with_effects(step, findings) for step in plan.steps),
        withdrawals=tuple(sorted((*plan.withdrawals, *findings.withdrawals), key=_withdrawal_order)),
        uncertainties=tuple(sorted((*plan.uncertainties, *added), key=lambda uncertainty: uncertainty.key)),
        conflicts=tuple(sorted(set(findings.conflicts))),
    )


def _inventory_order(entry: Deployed) -> tuple[str, str, str]:
    return type(entry).__name__, entry.namespace, entry.name


def _withdrawal_order(withdrawal: Withdrawal) -> tuple[object, ...]:
    return withdrawal.profile, withdrawal.cluster, withdrawal.cause


def _with_effects(step: Step, findings: Findings) -> Step:
    """The step with the effects of the findings, and without deployments that fail or withdraw everything."""
    own = findings.effects.get(step.key)
    if not own or not step.writes:
        return step
    instead: dict[ObjectKey, set[ClusterRef]] = {}
    for (effect_type, profile), clusters in own.items():
        if effect_type in (EffectType.FAILS, EffectType.WITHDRAWS):
            instead.setdefault(profile, set()).update(clusters)
    effects = [effect for effect in step.effects if effect.type not in _DEPLOYING]
    for effect in step.effects:
        remaining = tuple(cluster for cluster in effect.clusters if cluster not in instead.get(effect.by, ()))
        if effect.type in _DEPLOYING and remaining:
            effects.append(replace(effect, clusters=remaining))
    effects += [Effect(effect_type, by, tuple(sorted(clusters))) for (effect_type, by), clusters in own.items()]
    return replace(step, effects=tuple(sorted(effects, key=lambda effect: (effect.type, effect.by))))
