"""The effects of each step: what Sveltos does after the step, for which profile, on which managed clusters.

Effects describe the state after the whole plan. ``ordering`` evaluates the states between two steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.cluster_effects import Effect, EffectType
from gitsnap.rollback.plan.match_states import (
    SELECTING_KINDS,
    Matches,
    MatchesByObject,
    State,
    StepChange,
    leaves,
    mode_of,
)
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, selects
from gitsnap.sveltos.pausing import is_paused
from gitsnap.sveltos.references import WrittenReferences

Effects = tuple[Effect, ...]


def find_effects(
    matching_objects: Iterable[JsonObject],
    changes: Sequence[StepChange],
    contents: Collection[ObjectKey],
    *,
    summary_clusters: MatchesByObject | None = None,
) -> Mapping[ObjectKey, Effects]:
    """The effects of each change, and of each write of an object in ``contents``, by object; sorted.

    ``matching_objects`` are the live objects of MATCHING_KINDS as the API server returned them. ``contents`` are the
    written objects that profiles refer to.
    """
    impact = _Impact(tuple(matching_objects), changes, summary_clusters or {})
    effects = {change.key: tuple(_sorted(impact.of_change(change))) for change in changes}
    by_content = impact.of_contents(contents)
    return effects | {key: tuple(_sorted(of_key)) for key, of_key in by_content.items()}


def _sorted(effects: Iterable[Effect]) -> list[Effect]:
    return sorted((effect for effect in effects if effect.clusters), key=lambda effect: (effect.type, effect.by))


class _Impact:
    """The matches before and after one plan."""

    def __init__(
        self, matching_objects: Sequence[JsonObject], changes: Sequence[StepChange], summary_clusters: MatchesByObject
    ) -> None:
        self._start = State.of(matching_objects, summary_clusters=summary_clusters)
        self._end = State.of(matching_objects, changes, summary_clusters=summary_clusters)
        self._index = SelectorIndex(self._start, self._end)
        self._views = {
            ClusterRef.of(document): template_view(document)
            for document in matching_objects
            if ObjectKey.of(document).kind in kinds.CLUSTER_KINDS
        }
        self._moved: defaultdict[ClusterRef, set[ObjectKey]] | None = None
        self.before = cache(self._start.deployed_on)
        self.after = cache(self._end.matches)
        self.joining = cache(lambda key: self.after(key) - self.before(key))
        self.leaving = cache(lambda key: self.before(key) - self.after(key))

    # Matches ----------------------------------------------------------------------------------------------------------

    def of_change(self, change: StepChange) -> Iterator[Effect]:
        """The effects of one write or deletion; the result may contain effects on no cluster.

        A selecting object acts on the clusters that it matches, a Classifier on every cluster. Labels of clusters and
        sets act through each profile that gains or loses a match.
        """
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            yield from self._of_selecting(change)
        elif kind in (kinds.CLASSIFIER, kinds.CLUSTER_HEALTH_CHECK):
            yield Effect(EffectType.APPLIES, change.key, _in_order(self._selected_clusters(change)))
        else:
            affected, only = self._index.affected_by(change), None
            if kind in kinds.CLUSTER_KINDS:
                only = frozenset({change.cluster})
                affected &= self._moved_on(change.cluster)
            for key in affected:
                yield from self._joining_and_leaving(key, only)

    def _moved_on(self, cluster: ClusterRef) -> frozenset[ObjectKey]:
        """The objects that start or stop matching a cluster."""
        if self._moved is None:
            self._moved = defaultdict(set)
            for key in self._start.selecting.keys() | self._end.selecting.keys():
                for moved in self.joining(key) | self.leaving(key):
                    self._moved[moved].add(key)
        return frozenset(self._moved.get(cluster, ()))

    def _selected_clusters(self, change: StepChange) -> Matches:
        if change.key.kind == kinds.CLASSIFIER:
            return frozenset(self._end.labels)  # Sveltos deploys a Classifier to every managed cluster
        documents = [document for document in (change.before, change.after) if document is not None]
        return frozenset[ClusterRef]().union(*(selects(document, self._end.labels).clusters for document in documents))

    def _of_selecting(self, change: StepChange) -> Iterator[Effect]:
        key, old, new = change.key, change.before, change.after
        touched = (
            old is None
            or new is None
            or not same_json(old.get("spec"), new.get("spec"))
            or is_paused(old) != is_paused(new)
        )
        if new is not None and touched:
            lasting = self.before(key) & self.after(key) if old is not None else frozenset[ClusterRef]()
            effect_type = _redeployment_effect(new)
            if effect_type is EffectType.ONCE and old is not None and mode_of(old) != mode_of(new):
                effect_type = EffectType.LAST
            yield Effect(effect_type, key, _in_order(lasting))
        yield from self._joining_and_leaving(key, None)

    def _joining_and_leaving(self, key: ObjectKey, only: Matches | None) -> Iterator[Effect]:
        """The effects on clusters that an object starts or stops matching; with ``only``, among these clusters."""
        document = self._end.selecting.get(key)
        joining, leaving = self.joining(key), self.leaving(key)
        if only is not None:
            joining, leaving = only & joining, only & leaving
        if document is not None and is_paused(document):
            yield Effect(EffectType.WAITS, key, _in_order(joining | leaving))
            return
        in_dry_run = mode_of(document or self._start.selecting.get(key)) == "DryRun" and key.kind in kinds.PROFILE_KINDS
        if in_dry_run:
            yield Effect(EffectType.REPORTS, key, _in_order(joining))
            yield Effect(EffectType.STANDS, key, _in_order(leaving))
            return
        if document is not None:
            effect_type = _redeployment_effect(document)
            if effect_type in (EffectType.REDEPLOYS, EffectType.ONCE):
                effect_type = EffectType.DEPLOYS
            yield Effect(effect_type, key, _in_order(joining))
        yield Effect(EffectType.LEAVES if self._leaves(key) else EffectType.WITHDRAWS, key, _in_order(leaving))

    def _leaves(self, key: ObjectKey) -> bool:
        live = self._start.selecting.get(key)
        return leaves(self._end.selecting.get(key) or live, live=live)

    # Content --------------------------------------------------------------------------------------------------------

    def of_contents(self, contents: Collection[ObjectKey]) -> Mapping[ObjectKey, list[Effect]]:
        """For each object: the effects through the profiles that refer to it."""
        effects: dict[ObjectKey, list[Effect]] = {key: [] for key in contents}
        if not contents:
            return effects
        names = {key.name for key in contents}
        for key, document in sorted(self._end.selecting.items()):
            if not _may_name(document.get("spec"), names):
                continue
            matches = self.before(key) if is_paused(document) else self.after(key)
            # A pause freezes the spec of the profile, not the content of the objects that it refers to.
            effect_type = _redeployment_effect(document, heed_pause=False)
            for target, clusters in self._references(document, matches, contents).items():
                effects[target].append(Effect(effect_type, key, _in_order(clusters)))
        return effects

    def _references(
        self, document: JsonObject, matches: Matches, contents: Collection[ObjectKey]
    ) -> dict[ObjectKey, Matches]:
        """The objects of ``contents`` that an object refers to, each with the clusters for which it does."""
        written = WrittenReferences(document)
        fixed = {reference.target for reference in written.resolve(())}
        clusters_of: dict[ObjectKey, Matches] = {target: matches for target in fixed if target in contents}
        if not written.depend_on_clusters:
            return clusters_of
        by_target: dict[ObjectKey, set[ClusterRef]] = {}
        for cluster in matches:
            for reference in written.resolve_dependent(cluster, self._views.get):
                if reference.target in contents and reference.target not in fixed:
                    by_target.setdefault(reference.target, set()).add(cluster)
        return clusters_of | {target: frozenset(clusters) for target, clusters in by_target.items()}


def _in_order(clusters: Matches) -> tuple[ClusterRef, ...]:
    return tuple(sorted(clusters))


def _redeployment_effect(document: JsonObject, *, heed_pause: bool = True) -> EffectType:
    """The effect of a changed selecting object on clusters that match before and after."""
    if ObjectKey.of(document).kind not in kinds.PROFILE_KINDS:
        return EffectType.APPLIES
    if heed_pause and is_paused(document):
        return EffectType.WAITS
    mode = (document.get("spec") or {}).get("syncMode")
    return {"OneTime": EffectType.ONCE, "DryRun": EffectType.REPORTS}.get(str(mode), EffectType.REDEPLOYS)


def _may_name(value: Any, names: Collection[str]) -> bool:
    """Whether a value may contain a reference to one of these names. A cheap filter without false negatives."""
    if isinstance(value, str):
        return value in names or "{{" in value or value.rpartition("/")[2] in names
    if isinstance(value, list):
        return any(_may_name(item, names) for item in value)
    if isinstance(value, dict):
        unnamed = "kind" in value and not value.get("name")  # Sveltos then takes the cluster's namespace as name
        return unnamed or any(_may_name(item, names) for item in value.values())
    return False
