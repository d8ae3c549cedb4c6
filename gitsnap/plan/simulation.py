"""What Sveltos matches and has deployed after each step of a plan, without carrying it out.

One state is kept and changed step by step, and a step can be taken back: so the order of thousands of steps is found in
time that grows with what they change. This module must not decide about orders.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.model import JsonObject, ObjectKey
from gitsnap.plan.matching import SELECTING_KINDS, SET_KINDS, Change, Readers, Row, State, frozen, leaves
from gitsnap.plan.members import Clusters, Members
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    ClusterRef,
    Dependents,
    evaluated_by_sveltos,
    observed,
    prerequisites_of,
    selects,
    sets_of,
)
from gitsnap.sveltos.pausing import paused


@dataclass(frozen=True, slots=True)
class Delta:
    """What Sveltos does for one profile after a step."""

    key: ObjectKey
    left: Row
    """Clusters that it withdraws from."""
    joined: Row
    """Clusters that it deploys to."""
    leaves: bool
    """Whether what was deployed stays where it withdraws (``stopMatchingBehavior: LeavePolicies``)."""


Touched = dict[ObjectKey, Collection[ClusterRef] | None]
"""Selecting objects, each with the clusters that a step concerns; None where it may concern all of them."""


class Simulation:
    """The management cluster while a plan is carried out."""

    def __init__(
        self,
        start: State,
        end: State,
        readers: Readers,
        tracked: Iterable[ObjectKey],
        held: frozenset[ObjectKey] = frozenset(),
    ) -> None:
        """``tracked``: the selecting objects to follow, with all that depend on them.

        ``held``: profiles that the rollback pauses until their own step.
        """
        self._start, self._end = start, end
        self._readers = readers
        self._labels = start.labels.copied()
        self._selecting = dict(start.selecting)
        self._dependents = start.dependents
        self._frozen = {key for key, document in self._selecting.items() if frozen(document)} | held
        self._paused = {key for key, document in self._selecting.items() if paused(document)} | held
        self._sets = {key: self._members(document, moved=False) for key, document in start.sets.items()}
        self._settled = {
            key: frozenset(members.row())
            for key, members in self._sets.items()
            if evaluated_by_sveltos(members.document)
        }
        self._lost_by_set: dict[ObjectKey, Clusters] = {}
        self._standing: dict[ObjectKey, Row] = {}
        self._journal: list[Callable[[], None]] = []
        self.deployed: dict[ObjectKey, Clusters] = {}
        """Where each object has its add-ons."""
        self.touched: Touched = {}
        """What the last step concerned."""
        self.members_moved: dict[ObjectKey, tuple[Row, Row]] = {}
        """For each set that the last step concerned: the clusters that left it, and those that joined."""
        self._own: dict[ObjectKey, Clusters] = {}
        self._seen: dict[ObjectKey, Clusters] = {}
        for key in tracked:
            self._own[key] = set(start.own(key))
            self.deployed[key] = set(self._stood(key))
            document = self._selecting.get(key)
            # Sveltos knows of a paused profile what it matched when it was paused.
            paused_on = observed(document) if document is not None and key in self._paused - held else frozenset()
            self._seen[key] = self._own[key] | (paused_on & self._labels.keys())

    def _members(self, document: JsonObject, *, moved: bool) -> Members:
        matching = set(selects(document, self._labels).clusters)
        selected = observed(document) & self._labels.keys()
        members = Members(document, matching, selected, moved=moved)
        if not members.moved and ObjectKey.of(document) in self._end.moved:
            # The plan makes the status out of date. Where it is what the rules say, nothing changes at that moment.
            followed = members.row()
            members.moved = True
            members.moved = set(members.row()) == followed
        return members

    # Steps --------------------------------------------------------------------------------------------------------

    def apply(self, change: Change) -> list[Delta]:
        """Take a step, and say what Sveltos does after it. Never of a profile that is paused or in DryRun."""
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
        """Let a held profile go that no step of its own lets go."""
        self._journal, self.members_moved = [], {}
        self._frozen.discard(key)
        self._paused.discard(key)
        return list(self._deltas(dict.fromkeys({key, *self._dependents.prerequisites(key)}), None))

    def take_back(self) -> None:
        """Undo the last step."""
        for undo in reversed(self._journal):
            undo()
        self._journal = []

    def is_frozen(self, key: ObjectKey) -> bool:
        """Whether Sveltos withdraws nothing for a profile now: it is paused, held, or in DryRun."""
        return key in self._frozen

    def row(self, key: ObjectKey) -> Row:
        """The clusters that an object matches now."""
        return frozenset(self._row(key))

    def members(self, key: ObjectKey) -> Row:
        """The clusters that a set selects now."""
        return frozenset(self._sets[key].row()) if key in self._sets else frozenset()

    def chooses(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        """Whether an object is a set that may select other clusters than this one."""
        members = self._sets.get(key)
        return members is not None and members.chooses(cluster, self._lost_by_set.get(key, ()))

    def unsettled(self, key: ObjectKey, clusters: Iterable[ClusterRef]) -> Row:
        """The clusters that a profile matches only by what Sveltos may not know yet.

        A selector and a label count as soon as they are written. A set counts once its status shows the cluster, and a
        dependent once it has been looked at: both are safe only where they had the cluster all the time. A set that
        has to choose may choose others.
        """
        return frozenset(cluster for cluster in clusters if self._is_unsettled(key, cluster))

    def providers(self, key: ObjectKey, cluster: ClusterRef) -> Iterator[ObjectKey]:
        """The sets and the dependents by which a profile matches a cluster now."""
        document = self._selecting.get(key)
        for used in sets_of(document) if document is not None else ():
            if used in self._sets and cluster in self._sets[used].row():
                yield used
        for dependent in self._dependents.of(key):
            if cluster in self._seen.get(dependent, ()):
                yield dependent

    def _is_unsettled(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        if self._directly(key, cluster):
            return False
        for provider in self.providers(key, cluster):
            if provider.kind in SET_KINDS:
                had = cluster in self._settled.get(provider, ()) and cluster not in self._lost_by_set.get(provider, ())
                if had and not self.chooses(provider, cluster):
                    return False
            elif key in self._start.dependents.prerequisites(provider) and cluster in self._stood(provider):
                return False
        return True

    def _stood(self, key: ObjectKey) -> Row:
        if key not in self._standing:
            self._standing[key] = self._start.standing(key)
        return self._standing[key]

    # What a step touches --------------------------------------------------------------------------------------------

    def _relabel(self, change: Change) -> Touched:
        """The objects that a relabelled cluster concerns."""
        cluster, former = change.cluster, self._labels.get(change.cluster)
        labels = ((change.after or {}).get("metadata") or {}).get("labels") or {}
        self._labels.add(cluster, labels)
        if former is not None:
            self._undo(lambda: self._labels.add(cluster, former))
        touched: Touched = {}
        for label in change.labels:
            touched |= dict.fromkeys(self._readers.selecting_by(label), (cluster,))
        for used in {used for label in change.labels for used in self._readers.sets_of_label(label)}:
            members = self._sets.get(used)
            if members is None:
                continue
            whole = self._relabel_in(used, members, cluster, labels)
            for key in self._readers.users(used):
                touched[key] = None if whole or touched.get(key, ()) is None else (cluster,)
        return touched

    def _relabel_in(self, used: ObjectKey, members: Members, cluster: ClusterRef, labels: Mapping[str, str]) -> bool:
        """Update a set for a cluster with other labels; whether more than that cluster may have come or gone."""
        mode, had = members.mode(), cluster in members.row()
        near = not members.moved or abs(len(members.matching) - members.limit) <= 1
        before = frozenset(members.row()) if near else frozenset({cluster} if had else ())
        matches = bool(selects(members.document, {cluster: labels}).clusters)
        self._put(members.matching, cluster, inside=matches)
        self._put(members.kept, cluster, inside=matches and cluster in members.selected)
        if not members.moved:
            members.moved = True
            self._undo(lambda: setattr(members, "moved", False))
        after = frozenset(members.row()) if near else frozenset({cluster} if cluster in members.row() else ())
        self._note_moved(used, before, after)
        return members.mode() != mode

    def _note_moved(self, used: ObjectKey, before: Row, after: Row) -> None:
        self.members_moved[used] = before - after, after - before
        lost = self._lost_by_set.setdefault(used, set())
        for cluster in before - after:
            self._put(lost, cluster, inside=True)

    def _write_set(self, change: Change) -> Touched:
        key, former = change.key, self._sets.get(change.key)
        had = frozenset(former.row()) if former is not None else frozenset[ClusterRef]()
        if change.after is None:
            self._sets.pop(key, None)
        else:
            self._sets[key] = self._members(change.after, moved=True)
        self._undo(lambda: self._restore(self._sets, key, former))
        self._note_moved(key, had, self.members(key))
        return dict.fromkeys(self._readers.users(key))

    def _write_selecting(self, change: Change) -> Touched:
        key, former = change.key, self._selecting.get(change.key)
        before = self._dependents
        was_frozen, was_paused = key in self._frozen, key in self._paused
        self._restore(self._selecting, key, change.after)
        if _prerequisites(former) != _prerequisites(change.after):
            self._dependents = Dependents(self._selecting.values())
        document = change.after or change.before or {}
        # What a paused profile, or one in DryRun, deployed stands even when it is deleted: the deletion does not end.
        self._put_key(self._frozen, key, inside=frozen(document))
        self._put_key(self._paused, key, inside=paused(document))

        def undo() -> None:
            self._restore(self._selecting, key, former)
            self._dependents = before
            self._put_key(self._frozen, key, inside=was_frozen)
            self._put_key(self._paused, key, inside=was_paused)

        self._undo(undo)
        found = {key, *before.prerequisites(key), *self._dependents.prerequisites(key)}
        return dict.fromkeys(found)

    # What follows ----------------------------------------------------------------------------------------------------

    def _deltas(self, touched: Touched, change: Change | None) -> Iterator[Delta]:
        for key, clusters in touched.items():
            if key in self._own:
                self._evaluate(key, clusters)
        following = dict(touched)
        for key, clusters in touched.items():
            for prerequisite in self._dependents.prerequisites(key):
                known = following.get(prerequisite, ())
                following[prerequisite] = None if clusters is None or known is None else {*known, *clusters}
        self.touched = following
        for key in sorted(following):
            if key in self.deployed and key not in self._frozen:
                delta = self._act(key, following[key], change)
                if delta.left or delta.joined:
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
            inside = self._directly(key, cluster) or self._by_sets(key, cluster)
            self._put(own, cluster, inside=inside)
            if key not in self._paused:
                self._put(self._seen[key], cluster, inside=inside)

    def _matching(self, key: ObjectKey) -> Clusters:
        document = self._selecting.get(key)
        if document is None:
            return set()
        found = set(selects(document, self._labels).clusters)
        return found.union(*(self._sets[used].row() for used in sets_of(document) if used in self._sets))

    def _directly(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        document = self._selecting.get(key)
        labels = self._labels.get(cluster)
        return document is not None and labels is not None and bool(selects(document, {cluster: labels}).clusters)

    def _by_sets(self, key: ObjectKey, cluster: ClusterRef) -> bool:
        document = self._selecting.get(key)
        used = sets_of(document) if document is not None else ()
        return any(cluster in self._sets[one].row() for one in used if one in self._sets)

    def _row(self, key: ObjectKey) -> Clusters:
        if key not in self._selecting:
            return set()
        return self._own[key].union(*(self._seen.get(dependent, ()) for dependent in self._dependents.of(key)))

    def _act(self, key: ObjectKey, clusters: Collection[ClusterRef] | None, change: Change | None) -> Delta:
        deployed = self.deployed[key]
        if clusters is None:
            row = self._row(key)
            left, joined = frozenset(deployed - row), frozenset(row - deployed)
        else:
            dependents = self._dependents.of(key)
            inside = {
                cluster
                for cluster in clusters
                if cluster in self._own[key] or any(cluster in self._seen.get(one, ()) for one in dependents)
            }
            left = frozenset(cluster for cluster in clusters if cluster in deployed and cluster not in inside)
            joined = frozenset(inside - deployed)
        for cluster in left:
            self._put(deployed, cluster, inside=False)
        for cluster in joined:
            self._put(deployed, cluster, inside=True)
        document = self._selecting.get(key) or (change.before if change is not None and change.key == key else None)
        return Delta(key, left, joined, leaves(document, live=self._start.selecting.get(key)))

    # The way back ----------------------------------------------------------------------------------------------------

    def _undo(self, action: Callable[[], None]) -> None:
        self._journal.append(action)

    def _put(self, clusters: Clusters, cluster: ClusterRef, *, inside: bool) -> None:
        """Make a cluster an element of a set of clusters, or none."""
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
    def _restore(found: dict[ObjectKey, Any], key: ObjectKey, value: Any) -> None:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value


def _prerequisites(document: JsonObject | None) -> frozenset[ObjectKey]:
    return prerequisites_of(document) if document is not None else frozenset()
