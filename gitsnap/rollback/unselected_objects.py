"""Finds objects outside the selection of a plan: those that differ from the sample, and those that avoid a withdrawal.

The objects that decide matches need no request: a plan for a profile or a cluster has listed them. At most MAX_READ
other objects are read. If there are more, they are reported as not compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.core.ports import Cluster
from gitsnap.rollback.live_objects import read_objects
from gitsnap.rollback.plan import (
    MATCHING_KINDS,
    LiveState,
    Options,
    Plan,
    SampleState,
    Selection,
    Unrestorable,
    make_plan,
    resolve,
    unselected_losing_profiles,
    unselected_lost_clusters,
    without_loss,
)
from gitsnap.rollback.plan.decisions import StepDecider
from gitsnap.rollback.plan.match_states import SET_KINDS, labels_of
from gitsnap.rollback.plan.steps import Action
from gitsnap.rollback.plan.unselected import Relation, Unselected
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.rollback.selected_objects import outside_scope
from gitsnap.sveltos import generated, kinds, restore
from gitsnap.sveltos.matching import ClusterIndex, ClusterRef, matching_clusters, prerequisites_of, selects, sets_of
from gitsnap.sveltos.normalize import terminating

MAX_READ = 100
"""The largest number of objects that are read for the comparison: at most 100 requests, which take up to a second."""

MAX_CLUSTERS = 20
"""The largest number of selected clusters whose profiles are examined. Users do not name more clusters one by one."""


def find_avoidable(
    plan: Plan, objects: SampleObjects, sample: SampleState, live: LiveState, selection: Selection
) -> frozenset[ObjectKey]:
    """Return the unselected profiles and clusters that would lose no match if they were selected as well."""
    avoidable = frozenset[ObjectKey]()
    for candidates in (unselected_losing_profiles(plan, sample.keys), unselected_lost_clusters(plan, sample.keys)):
        if candidates:
            documents, unrestorable = objects.restored_objects(candidates, live)
            wider = replace(
                sample,
                documents={**sample.documents, **documents},
                unrestorable={**sample.unrestorable, **unrestorable},
                selected=sample.selected | candidates,
            )
            avoidable |= without_loss(make_plan(wider, live, selection, plan.options), candidates)
    return avoidable


def find_unselected(
    cluster: Cluster, objects: SampleObjects, live: LiveState, selected: frozenset[ObjectKey], selection: Selection
) -> tuple[Unselected, ...]:
    """Return the objects outside the selection that differ, by their relation to the selection.

    Empty if the selection leaves nothing out. Objects that this user may not read are reported as not compared. Raises
    the other errors of the cluster.
    """
    if not selection.is_partial:
        return ()
    groups = _without_repetition(_Candidates(objects, live, selected, selection).groups(), selected)
    comparison = _Comparison(cluster, objects, live)
    comparison.read({key for group in groups for key in group.differing if group.relation is not Relation.CREATED})
    return tuple(compared for group in groups if (compared := comparison.compare(group)) is not None)


def _without_repetition(groups: Iterable[Unselected], selected: Collection[ObjectKey]) -> list[Unselected]:
    """The groups, each without the selected objects and without the objects of earlier groups."""
    known = set(selected)
    unique = []
    for group in groups:
        keys = tuple(sorted(set(group.differing) - known))
        known.update(keys)
        if keys:
            unique.append(replace(group, differing=keys))
    return unique


@dataclass(frozen=True)
class _Candidates:
    """The objects outside a selection that may differ. All objects of a group are in ``differing``."""

    objects: SampleObjects
    live: LiveState
    selected: frozenset[ObjectKey]
    selection: Selection

    def groups(self) -> Iterator[Unselected]:
        """Yield the groups: the objects that options leave out, then the others, the closest relation first."""
        related = [self._referenced, self._of_profiles, self._on_clusters, self._in_namespaces]
        if self.selection.everything:  # only --except and --selector leave something out
            related = [self._referenced] if self.selection.labels else []
        for find in (self._excepted, *related):
            try:
                yield from find()
            except ArchiveError:  # a damaged object that is not selected prevents no rollback
                continue
        if self.selection.labels:
            yield Unselected(Relation.LABELS, differing=tuple(self._unrestricted() - self.selected))

    def _by_name(
        self,
        relation: Relation,
        subject: ObjectKey | None,
        keys: Iterable[ObjectKey],
        clusters: tuple[ClusterRef, ...] = (),
    ) -> Unselected:
        """A group whose options select objects by name, which --namespace and --selector would restrict."""
        selection = self.selection
        separate = bool(selection.everything or selection.namespaces or selection.labels)
        return Unselected(relation, subject, clusters, differing=tuple(keys), is_separate=separate)

    def _references(self, keys: Collection[ObjectKey]) -> dict[ObjectKey, set[ObjectKey]]:
        """The objects of the sample that some objects refer to, by the object that refers."""
        targets: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        for reference in self.objects.referenced_by(keys):
            if reference.unresolved is None and reference.target in self.objects.keys:
                targets[reference.by].add(reference.target)
        return targets

    def _excepted(self) -> Iterator[Unselected]:
        is_excepted = self.selection.exception_filter(self.objects.keys)
        yield Unselected(
            Relation.EXCEPTED, differing=tuple(key for key in self.objects.keys - self.selected if is_excepted(key))
        )

    def _referenced(self) -> Iterator[Unselected]:
        if self.selection.with_references:
            return
        targets = self._references(self.selected & self.objects.keys)
        subject = next(iter(targets)) if len(targets) == 1 else None
        yield Unselected(Relation.REFERENCED, subject, differing=tuple(set().union(*targets.values())))

    # Profiles and clusters --------------------------------------------------------------------------------------

    @property
    def _matching_kinds_are_read(self) -> bool:
        return not self.live.unread and any(key.kind in MATCHING_KINDS for key in self.selected)

    def _live_of(self, of_kinds: Collection[Kind]) -> dict[ObjectKey, JsonObject]:
        return {key: raw for key, raw in self.live.objects.items() if key.kind in of_kinds}

    @cached_property
    def _live_sets(self) -> dict[ObjectKey, JsonObject]:
        return self._live_of(SET_KINDS)

    @cached_property
    def _live_labels(self) -> ClusterIndex:
        """The managed clusters with their live labels."""
        labels = ClusterIndex()
        for raw in self._live_of(kinds.CLUSTER_KINDS).values():
            labels.add(ClusterRef.of(raw), labels_of(raw))
        return labels

    def _of_profiles(self) -> Iterator[Unselected]:
        """The sets, prerequisites and clusters of selected profiles."""
        profiles = sorted(key for key in self.selected & self.objects.keys if key.kind in kinds.PROFILE_KINDS)
        if not profiles or not self._matching_kinds_are_read:
            return
        named, lost = set[ObjectKey](), set[ClusterRef]()
        for key in profiles:
            document = self.objects.with_status(key)
            named.update(sets_of(document), prerequisites_of(document))
            after = selects(document, self._live_labels, self._live_sets).clusters
            lost |= self.objects.matched_clusters(key) - after
        subject = profiles[0] if len(profiles) == 1 else None
        yield self._by_name(Relation.NAMED, subject, named & self.objects.keys)
        clusters = {cluster.key for cluster in lost}
        yield self._by_name(Relation.MATCHED, subject, clusters & self.objects.keys)

    def _on_clusters(self) -> Iterator[Unselected]:
        """The profiles on selected clusters, each with the objects that it refers to."""
        selected = frozenset(ClusterRef.of_key(key) for key in self.selected if key.kind in kinds.CLUSTER_KINDS)
        if not 0 < len(selected) <= MAX_CLUSTERS or not self._matching_kinds_are_read:
            return
        live = self._live_of(kinds.PROFILE_KINDS)
        deployed = _deployed(live, selected, self._live_labels, self._live_sets)
        archived = {key: self.objects.with_status(key) for key in self.objects.keys if key.kind in kinds.PROFILE_KINDS}
        view = self.objects.view
        for key, clusters in _deployed(archived, selected, view.cluster_labels, view.sets).items():
            deployed[key] = deployed.get(key, frozenset()) | clusters
        targets = self._references(deployed.keys() & self.objects.keys)
        for key, matches in sorted(deployed.items()):
            on = tuple(sorted(matches))
            if key in self.objects.keys:
                yield self._by_name(Relation.DEPLOYED, key, (key, *targets.get(key, ())), on)
            elif generated.origin_of(KubeObject.of(live[key])) is None:
                yield self._by_name(Relation.CREATED, key, (key,), on)

    # Options that restrict the selection ------------------------------------------------------------------------

    def _in_namespaces(self) -> Iterator[Unselected]:
        """The objects in selected namespaces of kinds that --namespace alone does not select."""
        if not self.selection.namespaces or not self.selection.covers_kind(kinds.CONFIG_MAP):
            return
        inside = {key for key in self.objects.keys if key.namespace in self.selection.namespaces}
        others = {key for key in inside - self._unrestricted() if restore.restorable(key.kind)}
        yield self._by_name(Relation.NAMESPACE, None, others)

    def _unrestricted(self) -> frozenset[ObjectKey]:
        """The objects of the sample that the selection would have without --except and --selector."""
        wider = replace(self.selection, labels="", excepted=())
        keys = resolve(wider, self.objects.keys | self.selected) & self.objects.keys
        return keys - outside_scope(self.objects, keys) if self.selection.everything else keys


def _deployed(
    profiles: Mapping[ObjectKey, JsonObject],
    selected: frozenset[ClusterRef],
    labels: ClusterIndex,
    sets: Mapping[ObjectKey, JsonObject],
) -> dict[ObjectKey, frozenset[ClusterRef]]:
    """The profiles that are deployed on selected clusters: those that match, and their prerequisites."""
    own = ClusterIndex()
    for cluster in selected & labels.keys():
        own.add(cluster, labels[cluster])
    matches = {key: frozenset(matching_clusters(document, own, sets) & selected) for key, document in profiles.items()}
    deployed = {key: clusters for key, clusters in matches.items() if clusters}
    pending = list(deployed)
    while pending:
        dependent = pending.pop()
        for key in prerequisites_of(profiles[dependent]) & profiles.keys():
            clusters = deployed.get(key, frozenset()) | deployed[dependent]
            if clusters != deployed.get(key):
                deployed[key] = clusters
                pending.append(key)
    return deployed


@dataclass(slots=True)
class _Comparison:
    """Compares objects of the sample with the live objects."""

    cluster: Cluster
    objects: SampleObjects
    live: LiveState
    _documents: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    _unchanged: frozenset[ObjectKey] = frozenset()
    _unread: frozenset[ObjectKey] = frozenset()

    def read(self, keys: Collection[ObjectKey]) -> None:
        """Read the objects that the plan has not read, unless there are too many."""
        needed = frozenset(key for key in keys if key not in self.live.objects and key.kind not in self.live.whole)
        self._unread = needed
        if 0 < len(needed) <= MAX_READ:
            with suppress(ArchiveError):  # a damaged object that is not selected prevents no rollback
                self._documents, self._unchanged, self._unread = read_objects(self.cluster, self.objects, needed)

    def compare(self, group: Unselected) -> Unselected | None:
        """Return a group with the objects that differ and the objects that were not compared; None without any."""
        if group.relation is Relation.CREATED:
            return group
        results = {key: self._differs_if_readable(key) for key in group.differing}
        differing = tuple(key for key, differs in results.items() if differs)
        not_compared = tuple(key for key, differs in results.items() if differs is None)
        return replace(group, differing=differing, not_compared=not_compared) if differing or not_compared else None

    def _differs_if_readable(self, key: ObjectKey) -> bool | None:
        """Whether a rollback of the object would find a difference; None if that is unknown."""
        try:
            return self._differs(key)
        except ArchiveError:  # a damaged object that is not selected prevents no rollback
            return None

    def _differs(self, key: ObjectKey) -> bool | None:
        if key in self._unchanged:
            return False
        if key in self._unread or any(failure.covers(key) for failure in self.objects.tree.incomplete):
            return None
        raw = self._documents.get(key) or self.live.objects.get(key)
        if raw is None:
            return True
        labels = self.live.controller_labels
        if key.kind in kinds.CLUSTER_KINDS:
            labels |= self.objects.classifier_labels
        if not terminating(raw) and self.objects.contains(raw, controller_labels=labels):
            return False
        if self.objects.values.masks(key.kind) and self.objects.values.key_problem:
            return None
        restored = self.objects.restored(key, raw)
        if isinstance(restored, Unrestorable):
            return True
        sample = SampleState(tag="", keys=frozenset({key}), documents={key: restored})
        live = LiveState(self.live.cluster, {key: raw}, {}, controller_labels=labels)
        return StepDecider(sample, live, Options()).step(key).action is not Action.UNCHANGED
