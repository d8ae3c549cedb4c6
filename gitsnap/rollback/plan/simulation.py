"""Simulates which clusters profiles match, and where they have add-ons, after each step of a plan.

The simulation changes one state step by step and can revert the last step. So the time to find an order grows with the
number of changes, not with the number of profiles and clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.match_states import (
    SELECTING_KINDS,
    SET_KINDS,
    Matches,
    State,
    StepChange,
    frozen,
    leaves,
)
from gitsnap.rollback.plan.members import Clusters, Members
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    ClusterRef,
    Dependents,
    has_status,
    observed_clusters,
    prerequisites_of,
    selects,
    sets_of,
)
from gitsnap.sveltos.pausing import is_paused


@dataclass(frozen=True, slots=True)
class Delta:
    """The matches of one profile that a step starts and ends."""

    key: ObjectKey
    left: Matches
    """Clusters that stop matching."""
    joined: Matches
    """Clusters that start to match."""
    leaves: bool
    """Whether add-ons stay on the clusters that stop matching (``stopMatchingBehavior: LeavePolicies``)."""


Touched = dict[ObjectKey, Collection[ClusterRef] | None]
"""Selecting objects, each with the clusters whose match a step may change; None for all clusters."""


class Simulation:
    """The management cluster while the steps of a plan are written."""

    def __init__(
        self,
        start: State,
        end: State,
        index: SelectorIndex,
        tracked: Iterable[ObjectKey],
        held: frozenset[ObjectKey] = frozenset(),
    ) -> None:
        """``tracked`` are the selecting objects to evaluate, and their dependents.

        ``held`` are profiles that the rollback pauses until their own step.
        """
        self._start, self._end = start, end
        self._index = index
        self._labels = start.labels.copied()
        self._selecting = dict(start.selecting)
        self._dependents = start.dependents
        self._frozen = {key for key, document in self._selecting.items() if frozen(document)} | held
        self._paused = {key for key, document in self._selecting.items() if is_paused(document)} | held
        self._sets = {key: self._members(document, outdated=False) for key, document in start.sets.items()}
        self._settled = {
            key: frozenset(members.clusters()) for key, members in self._sets.items() if has_status(members.document)
        }
        self._lost_by_set: dict[ObjectKey, Clusters] = {}
        self._deployed_at_start: dict[ObjectKey, Matches] = {}
        self._journal: list[Callable[[], None]] = []
        self.deployed: dict[ObjectKey, Clusters] = {}
        """The clusters on which each tracked object has add-ons."""
        self.touched: Touched = {}
        """The matches that the last step may have changed."""
        self.members_moved: dict[ObjectKey, tuple[Matches, Matches]] = {}
        """For each set that the last step changed: the clusters that left the set, and the clusters that joined it."""
        self._own: dict[ObjectKey, Clusters] = {}
        self._seen: dict[ObjectKey, Clusters] = {}
        for key in tracked:
            self._own[key] = set(start.own(key))
            self.deployed[key] = set(self._at_start(key))
            document = self._selecting.get(key)
            # For a paused profile, Sveltos knows the matches from the time of the pause.
            paused_on = (
                observed_clusters(document) if document is not None and key in self._paused - held else frozenset()
            )
            self._seen[key] = self._own[key] | (paused_on & self._labels.keys())

    def _members(self, document: JsonObject, *, outdated: bool) -> Members:
        matching = set(selects(document, self._labels).clusters)
        selected = observed_clusters(document) & self._labels.keys()
        members = Members(document, matching, selected, outdated=outdated)
        if not members.outdated and ObjectKey.of(document) in self._end.outdated:
            # The plan will outdate the status. If the status equals the result of the rules, use the rules at once.
            reported = members.clusters()
            members.outdated = True
            members.outdated = set(members.clusters()) == reported
        return members

    # Steps --------------------------------------------------------------------------------------------------------

    def apply(self, change: StepChange) -> list[Delta]:
        """Write a step. Returns the matches that it starts and ends, without profiles that are paused or in DryRun."""
        self._journal, self.members_moved = [], {}
        kind = change.key.kind
        touched: Touched = {}
        if kind in kinds.CLUSTER_KINDS:
            touched = self._relabel(change)
        elif kind in SET_KINDS:
            touched = self._write_set(change)
        elif kind in SELECTING_KINDS:
            touched = self._write_selecting(change)
        return list(self._deltas(touched, change))

    def release(self, key: ObjectKey) -> list[Delta]:
        """Release a held profile that has no step of its own. Returns the matches that this starts and ends."""
        self._journal, self.members_moved = [], {}
        self._frozen.discard(key)
        self._paused.discard(key)
        return list(self._deltas(dict.fromkeys({key, *self._dependents.prerequisites(key)}), None))

    def revert(self) -> None:
        """Revert the last step."""
        for undo in reversed(self._journal):
            undo()
        self._journal = []

    def is_frozen(self, key: ObjectKey) -> bool:
        """Whether a profile is paused, held or in DryRun now, so that Sveltos withdraws nothing."""
        return key in self._frozen

    def matches(self, key: ObjectKey) -> Matches:
        """The clusters that an object matches now."""
        return frozenset(self._current_matches(key))

    def members(self, key: ObjectKey) -> Matches:
        """The clusters that a set selects now."""
        return frozenset(self._sets[key].clusters()) if key in self._sets else frozenset()

    def chooses(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        """Whether an object is a set that may select other clusters than this one."""
        members = self._sets.get(key)
        return members is not None and members.chooses(cluster, self._lost_by_set.get(key, ()))

    def unsettled(self, key: ObjectKey, clusters: Iterable[ClusterRef]) -> Matches:
        """The clusters among ``clusters`` that a profile matches only through a status which may be outdated.

        A selector and a label take effect as soon as they are written. A set takes effect when its status names the
        cluster, a dependent when Sveltos has evaluated it. A match through these is safe only if it existed throughout,
        and if the set need not choose among its clusters.
        """
        return frozenset(cluster for cluster in clusters if self._is_unsettled(key, cluster))

    def providers(self, key: ObjectKey, cluster: ClusterRef) -> Iterator[ObjectKey]:
        """The sets and dependents through which a profile matches a cluster now."""
        document = self._selecting.get(key)
        for set_key in sets_of(document) if document is not None else ():
            if set_key in self._sets and cluster in self._sets[set_key].clusters():
                yield set_key
        for dependent in self._dependents.of(key):
            if cluster in self._seen.get(dependent, ()):
                yield dependent

    def _is_unsettled(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        if self._matches_directly(key, cluster):
            return False
        for provider in self.providers(key, cluster):
            if provider.kind in SET_KINDS:
                had = cluster in self._settled.get(provider, ()) and cluster not in self._lost_by_set.get(provider, ())
                if had and not self.chooses(provider, cluster):
                    return False
            elif key in self._start.dependents.prerequisites(provider) and cluster in self._at_start(provider):
                return False
        return True

    def _at_start(self, key: ObjectKey) -> Matches:
        if key not in self._deployed_at_start:
            self._deployed_at_start[key] = self._start.deployed_on(key)
        return self._deployed_at_start[key]

    # Writing a step -------------------------------------------------------------------------------------------------

    def _relabel(self, change: StepChange) -> Touched:
        """Change the labels of a cluster. Returns the matches to evaluate."""
        cluster, former = change.cluster, self._labels.get(change.cluster)
        labels = ((change.after or {}).get("metadata") or {}).get("labels") or {}
        self._labels.add(cluster, labels)
        if former is not None:
            self._undo(lambda: self._labels.add(cluster, former))
        relabelling = self._index.relabelling(change)
        touched: Touched = dict.fromkeys(relabelling.selecting, (cluster,))
        for set_key in relabelling.sets:
            members = self._sets.get(set_key)
            # The index has both versions of the set. Sveltos evaluates it only if the current selector reads a label.
            if members is None or not self._index.reads(members.document, change.labels):
                continue
            whole = self._relabel_in(set_key, members, cluster, labels)
            for key in self._index.users(set_key):
                touched[key] = None if whole or touched.get(key, ()) is None else (cluster,)
        return touched

    def _relabel_in(self, set_key: ObjectKey, members: Members, cluster: ClusterRef, labels: Mapping[str, str]) -> bool:
        """Update a set after a label change of a cluster. Returns whether other clusters may have joined or left."""
        mode, was_member = members.mode(), cluster in members.clusters()
        near = not members.outdated or abs(len(members.matching) - members.limit) <= 1
        before = frozenset(members.clusters()) if near else frozenset({cluster} if was_member else ())
        matches = self._index.match_directly(members.document, cluster, labels)
        self._put(members.matching, cluster, inside=matches)
        self._put(members.kept, cluster, inside=matches and cluster in members.selected)
        if not members.outdated:
            members.outdated = True
            self._undo(lambda: setattr(members, "outdated", False))
        after = frozenset(members.clusters()) if near else frozenset({cluster} if cluster in members.clusters() else ())
        self._note_moved(set_key, before, after)
        return members.mode() != mode

    def _note_moved(self, set_key: ObjectKey, before: Matches, after: Matches) -> None:
        self.members_moved[set_key] = before - after, after - before
        lost = self._lost_by_set.setdefault(set_key, set())
        for cluster in before - after:
            self._put(lost, cluster, inside=True)

    def _write_set(self, change: StepChange) -> Touched:
        key, former = change.key, self._sets.get(change.key)
        had = frozenset(former.clusters()) if former is not None else frozenset[ClusterRef]()
        if change.after is None:
            self._sets.pop(key, None)
        else:
            self._sets[key] = self._members(change.after, outdated=True)
        self._undo(lambda: self._restore(self._sets, key, former))
        self._note_moved(key, had, self.members(key))
        return dict.fromkeys(self._index.users(key))

    def _write_selecting(self, change: StepChange) -> Touched:
        key, former = change.key, self._selecting.get(change.key)
        before = self._dependents
        was_frozen, was_paused = key in self._frozen, key in self._paused
        self._restore(self._selecting, key, change.after)
        if _prerequisites(former) != _prerequisites(change.after):
            self._dependents = Dependents(self._selecting.values())
        document = change.after or change.before or {}
        # Sveltos does not complete the deletion of a frozen profile, so its add-ons stay.
        self._put_key(self._frozen, key, inside=frozen(document))
        self._put_key(self._paused, key, inside=is_paused(document))

        def undo() -> None:
            self._restore(self._selecting, key, former)
            self._dependents = before
            self._put_key(self._frozen, key, inside=was_frozen)
            self._put_key(self._paused, key, inside=was_paused)

        self._undo(undo)
        released = frozenset[ObjectKey]() if key in self._paused else self._start.former_prerequisites(key)
        return dict.fromkeys({key, *before.prerequisites(key), *self._dependents.prerequisites(key), *released})

    # Evaluation -----------------------------------------------------------------------------------------------------

    def _deltas(self, touched: Touched, change: StepChange | None) -> Iterator[Delta]:
        for key, clusters in touched.items():
            if key in self._own:
                self._evaluate(key, clusters)
        affected = dict(touched)
        for key, clusters in touched.items():
            for prerequisite in self._dependents.prerequisites(key):
                known = affected.get(prerequisite, ())
                affected[prerequisite] = None if clusters is None or known is None else {*known, *clusters}
        self.touched = affected
        for key in sorted(affected):
            if key in self.deployed and key not in self._frozen:
                delta = self._update_deployed(key, affected[key], change)
                if delta is not None:
                    yield delta

    def _evaluate(self, key: ObjectKey, clusters: Collection[ClusterRef] | None) -> None:
        own = self._own[key]
        if clusters is None:
            fresh = self._matching(key)
            self._own[key] = fresh
            self._undo(lambda: self._own.__setitem__(key, own))
            if key not in self._paused:
                seen = self._seen[key]
                self._seen[key] = fresh.copy()
                self._undo(lambda: self._seen.__setitem__(key, seen))
            return
        for cluster in clusters:
            inside = self._matches_directly(key, cluster) or self._matches_by_sets(key, cluster)
            self._put(own, cluster, inside=inside)
            if key not in self._paused:
                self._put(self._seen[key], cluster, inside=inside)

    def _matching(self, key: ObjectKey) -> Clusters:
        document = self._selecting.get(key)
        if document is None:
            return set()
        clusters = set(selects(document, self._labels).clusters)
        sets = (self._sets[set_key] for set_key in sets_of(document) if set_key in self._sets)
        return clusters.union(*(members.clusters() for members in sets))

    def _matches_directly(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        document = self._selecting.get(key)
        labels = self._labels.get(cluster)
        return document is not None and labels is not None and self._index.match_directly(document, cluster, labels)

    def _matches_by_sets(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        document = self._selecting.get(key)
        sets = self._index.sets_of(document) if document is not None else ()
        return any(cluster in self._sets[set_key].clusters() for set_key in sets if set_key in self._sets)

    def _current_matches(self, key: ObjectKey, among: Collection[ClusterRef] | None = None) -> Clusters:
        """The clusters that an object matches now; with ``among``, those of these clusters.

        An object that does not exist matches no cluster. Another profile may name it in ``dependsOn`` all the same.
        """
        if key not in self._selecting:
            return set()
        matched = [self._own[key], *(self._seen.get(dependent, set()) for dependent in self._dependents.of(key))]
        if among is None:
            return set[ClusterRef]().union(*matched)
        return {cluster for cluster in among if any(cluster in clusters for clusters in matched)}

    def _update_deployed(
        self, key: ObjectKey, clusters: Collection[ClusterRef] | None, change: StepChange | None
    ) -> Delta | None:
        deployed = self.deployed[key]
        current = self._current_matches(key, clusters)
        former = deployed if clusters is None else deployed.intersection(clusters)
        left, joined = frozenset(former - current), frozenset(current - deployed)
        if not left and not joined:
            return None
        for cluster in left:
            self._put(deployed, cluster, inside=False)
        for cluster in joined:
            self._put(deployed, cluster, inside=True)
        document = self._selecting.get(key) or (change.before if change is not None and change.key == key else None)
        return Delta(key, left, joined, leaves(document, live=self._start.selecting.get(key)))

    # Reverting ------------------------------------------------------------------------------------------------------

    def _undo(self, action: Callable[[], None]) -> None:
        self._journal.append(action)

    def _put(self, clusters: Clusters, cluster: ClusterRef, *, inside: bool) -> None:
        """Add a cluster to a set of clusters, or remove it."""
        if inside is (cluster in clusters):
            return
        if inside:
            clusters.add(cluster)
            self._undo(lambda: clusters.discard(cluster))
        else:
            clusters.discard(cluster)
            self._undo(lambda: clusters.add(cluster))

    @staticmethod
    def _put_key(keys: set[ObjectKey], key: ObjectKey, *, inside: bool) -> None:
        if inside:
            keys.add(key)
        else:
            keys.discard(key)

    @staticmethod
    def _restore(values: dict[ObjectKey, Any], key: ObjectKey, value: Any) -> None:
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


def _prerequisites(document: JsonObject | None) -> frozenset[ObjectKey]:
    return prerequisites_of(document) if document is not None else frozenset()
