"""What every state of a rollback makes of the matches of profiles and clusters, and an order that loses none.

Sveltos acts on each write within a second: a cluster that stops matching between two steps loses its add-ons, even if
it matches again in the end. So each state after a step is evaluated, not only the last one. Only what the steps can
change is evaluated. This module must not decide what is written, only in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.plan.values import Doubt, Moment, Withdraw
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import SELECTOR_PATHS, ClusterRef, selects, values_at
from gitsnap.sveltos.restore import Phase, order_of, rule_of

SELECTING_KINDS = kinds.PROFILE_KINDS | {kinds.CLUSTER_PROMOTION, kinds.EVENT_TRIGGER, kinds.ROLE_REQUEST}
"""Kinds of which something is removed from a cluster that stops matching."""

SET_KINDS = frozenset({kinds.CLUSTER_SET, kinds.SET})
CLASSIFIER_KINDS = frozenset({kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER})
CONCERNED_KINDS = SELECTING_KINDS | SET_KINDS | CLASSIFIER_KINDS | kinds.CLUSTER_KINDS
"""Kinds that decide which clusters match; to judge a change of one of them, all objects of all of them are needed."""

_SET_OF: Mapping[Kind, Kind] = {kinds.PROFILE: kinds.SET}
_UNEVALUATED: Mapping[Kind, tuple[str, ...]] = {
    kinds.EVENT_TRIGGER: ("eventSourceName", "destinationCluster", "destinationClusterSelector"),
    kinds.CLUSTER_PROMOTION: ("stages",),
}
"""Fields that decide about profiles which a controller generates: what becomes of those is not in the API yet."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step, as far as matching goes: an object as it is live, and as it will be."""

    key: ObjectKey
    before: JsonObject | None
    after: JsonObject


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of steps, and what it costs."""

    order: tuple[ObjectKey, ...]
    withdraws: tuple[Withdraw, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def arrange(live: Iterable[JsonObject], changes: Sequence[Change]) -> Arrangement:
    """The best order of the changes.

    ``live`` are all live objects of CONCERNED_KINDS as the API server gave them. A match that is there before and
    after, but in no order all the time, is a withdraw ``between``; one that the rollback ends is one at the ``end``.
    """
    return _Arranger(live, changes).arrangement()


# States -------------------------------------------------------------------------------------------------------------

_Row = frozenset[ClusterRef]
_Rows = Mapping[ObjectKey, _Row]


@dataclass(frozen=True, slots=True)
class _State:
    """The management cluster at one moment; never changed in place."""

    labels: Mapping[ClusterRef, Mapping[str, str]]
    sets: Mapping[ObjectKey, JsonObject]
    selecting: Mapping[ObjectKey, JsonObject]

    @classmethod
    def of(cls, documents: Iterable[JsonObject]) -> _State:
        labels, sets, selecting = {}, {}, {}
        for document in documents:
            key = ObjectKey.of(document)
            if key.kind in kinds.CLUSTER_KINDS:
                labels[ClusterRef.of(document)] = _labels(document)
            elif key.kind in SET_KINDS:
                sets[key] = document
            elif key.kind in SELECTING_KINDS:
                selecting[key] = document
        return cls(labels, sets, selecting)

    def after(self, change: Change) -> _State:
        key, document = change.key, change.after
        if key.kind in kinds.CLUSTER_KINDS:
            return replace(self, labels={**self.labels, ClusterRef.of(document): _labels(document)})
        if key.kind in SET_KINDS:
            return replace(self, sets={**self.sets, key: document})
        if key.kind in SELECTING_KINDS:
            return replace(self, selecting={**self.selecting, key: document})
        return self

    def row(self, key: ObjectKey) -> _Row:
        """The clusters that an object matches; none while it does not exist."""
        document = self.selecting.get(key)
        return frozenset() if document is None else selects(document, self.labels, self.sets).clusters

    def certain(self, key: ObjectKey) -> bool:
        """Whether ``row`` is what Sveltos will say."""
        document = self.selecting.get(key)
        return document is None or selects(document, self.labels, self.sets).certain


class _Arranger:
    """All states that are evaluated for one plan."""

    def __init__(self, live: Iterable[JsonObject], changes: Sequence[Change]) -> None:
        self._start = _State.of(live)
        self._changes = changes
        self._end = self._start
        for change in changes:
            self._end = self._end.after(change)
        self._watch()
        self._before = {key: self._start.row(key) for key in self._affected}
        self._after = {key: self._end.row(key) for key in self._affected}
        self._keep = {key: self._before[key] & self._after[key] for key in self._affected}

    def arrangement(self) -> Arrangement:
        order, lost = self._best()
        pairs = [(key, cluster, Moment.BETWEEN) for key, clusters in lost.items() for cluster in clusters]
        pairs += [
            (key, cluster, Moment.END) for key in self._affected for cluster in self._before[key] - self._after[key]
        ]
        withdraws = [Withdraw(key, cluster, moment, leaves=self._leaves(key)) for key, cluster, moment in sorted(pairs)]
        return Arrangement(tuple(change.key for change in order), tuple(withdraws), tuple(self._doubts()))

    # Which objects each change can concern --------------------------------------------------------------------

    def _watch(self) -> None:
        """Index what reads what, over the objects as they are and as they will be."""
        self._readers: dict[str, set[ObjectKey]] = {}
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        for state in (self._start, self._end):
            for key, document in state.selecting.items():
                used = _sets_of(document)
                for one in used:
                    self._users.setdefault(one, set()).add(key)
                sources = [document, *(state.sets[one] for one in used if one in state.sets)]
                for label in {label for source in sources for label in _labels_read(source)}:
                    self._readers.setdefault(label, set()).add(key)
        self._concerns = {change.key: self._concerned(change) for change in self._changes}
        self._affected = sorted(set().union(*self._concerns.values()))

    def _concerned(self, change: Change) -> frozenset[ObjectKey]:
        """The selecting objects whose matches may change with a step."""
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            same = change.before is not None and _rules(change.before) == _rules(change.after)
            return frozenset() if same else frozenset({change.key})
        if kind in SET_KINDS:
            return frozenset(self._users.get(change.key, ()))
        if kind in kinds.CLUSTER_KINDS:
            labels = _differing(_labels(change.before or {}), _labels(change.after))
            return frozenset(key for label in labels for key in self._readers.get(label, ()))
        return frozenset()

    def _rows_after(self, state: _State, rows: _Rows, change: Change) -> _Rows:
        """The rows that a change leads to, of the objects it concerns; ``state`` is the one after it."""
        found = {}
        for key in self._concerns[change.key]:
            document = state.selecting.get(key)
            if document is None or change.key.kind not in kinds.CLUSTER_KINDS or _sets_of(document):
                found[key] = state.row(key)
            else:
                cluster = ClusterRef.of(change.after)
                matches = selects(document, {cluster: state.labels[cluster]}).clusters
                found[key] = rows[key] - {cluster} | matches
        return found

    # Orders -----------------------------------------------------------------------------------------------------

    def _best(self) -> tuple[list[Change], _Rows]:
        """The first order that loses nothing, and preferably also matches nothing for a moment only."""
        orders = (self._sorted(selecting_first=False), self._sorted(selecting_first=True))
        for strict in (True, False):
            for order in orders:
                safe = self._greedy(order, strict=strict)
                if safe is not None:
                    return safe, {}
        return orders[0], self._lost(orders[0])

    def _sorted(self, *, selecting_first: bool) -> list[Change]:
        def rank(change: Change) -> tuple[Any, ...]:
            phase = rule_of(change.key.kind).phase
            late = phase is (Phase.MATCHING if selecting_first else Phase.SELECTING)
            return late, order_of(change.key.kind), change.key

        return sorted(self._changes, key=rank)

    def _greedy(self, preferred: Sequence[Change], *, strict: bool) -> list[Change] | None:
        """Always the first change in the preferred order that loses nothing; None when none is left that does."""
        state, rows, order, pending = self._start, dict(self._before), list[Change](), list(preferred)
        while pending:
            position, following, changed = self._first_harmless(state, rows, pending, strict=strict)
            if position is None:
                return None
            state = following
            rows.update(changed)
            order.append(pending.pop(position))
        return order

    def _first_harmless(
        self, state: _State, rows: _Rows, pending: Sequence[Change], *, strict: bool
    ) -> tuple[int | None, _State, _Rows]:
        for position, change in enumerate(pending):
            following = state.after(change)
            changed = self._rows_after(following, rows, change)
            if all(self._harmless(key, row, strict=strict) for key, row in changed.items()):
                return position, following, changed
        return None, state, {}

    def _harmless(self, key: ObjectKey, row: _Row, *, strict: bool) -> bool:
        return row >= self._keep[key] and (not strict or row <= self._before[key] | self._after[key])

    def _lost(self, order: Sequence[Change]) -> _Rows:
        """What an order loses in between."""
        state, rows, lost = self._start, dict(self._before), dict[ObjectKey, _Row]()
        for change in order:
            state = state.after(change)
            for key, row in self._rows_after(state, rows, change).items():
                rows[key] = row
                lost[key] = lost.get(key, frozenset()) | (self._keep[key] - row)
        return lost

    # What cannot be evaluated -------------------------------------------------------------------------------------

    def _leaves(self, key: ObjectKey) -> bool:
        documents = (self._start.selecting.get(key), self._end.selecting.get(key))
        return all(
            document is not None and (document.get("spec") or {}).get("stopMatchingBehavior") == "LeavePolicies"
            for document in documents
        )

    def _doubts(self) -> list[Doubt]:
        """One doubt for an object, the first reason that there is."""
        doubts: dict[ObjectKey, str] = {}
        for key in self._affected:
            if key not in self._start.selecting:
                continue
            if not (self._start.certain(key) and self._end.certain(key)):
                doubts[key] = "Sveltos chooses the clusters of a set with maxReplicas"
            elif _templated(self._start.selecting[key]) or _templated(self._end.selecting[key]):
                doubts[key] = "its selector is a template"
        for change in self._changes:
            if change.before is None or change.key not in self._start.selecting:
                continue
            for field in _UNEVALUATED.get(change.key.kind, ()):
                if (change.before.get("spec") or {}).get(field) != (change.after.get("spec") or {}).get(field):
                    doubts.setdefault(change.key, f"spec.{field} decides about profiles that Sveltos generates")
        for key, reason in self._classified():
            doubts.setdefault(key, reason)
        return [Doubt(key, doubts[key]) for key in sorted(doubts)]

    def _classified(self) -> Iterable[tuple[ObjectKey, str]]:
        """Objects that match clusters by a label which a changed classifier sets."""
        for change in self._changes:
            if change.key.kind not in CLASSIFIER_KINDS:
                continue
            if change.before is not None and change.before.get("spec") == change.after.get("spec"):
                continue
            setter = f"{change.key.kind.name} {change.key.name}"
            labels = inventory.classifier_labels(change.before or {}) | inventory.classifier_labels(change.after)
            for label in sorted(labels):
                for key in sorted(self._readers.get(label, ())):
                    if self._start.row(key):
                        yield key, f"its selector reads the label {label!r}, which {setter} sets"


def _labels(document: Mapping[str, Any]) -> Mapping[str, str]:
    return (document.get("metadata") or {}).get("labels") or {}


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _selectors(document: JsonObject) -> list[Any]:
    spec = document.get("spec") or {}
    return [selector for path in SELECTOR_PATHS.get(Kind.of(document), ()) for selector in values_at(spec, path)]


def _rules(document: JsonObject) -> tuple[Any, ...]:
    """All of an object that decides which clusters it matches."""
    spec = document.get("spec") or {}
    return _selectors(document), spec.get("clusterRefs"), spec.get("setRefs"), spec.get("clusterSetRefs")


def _sets_of(document: JsonObject) -> set[ObjectKey]:
    key, spec = ObjectKey.of(document), document.get("spec") or {}
    kind = _SET_OF.get(key.kind, kinds.CLUSTER_SET)
    namespace = key.namespace if kind == kinds.SET else ""
    return {ObjectKey(kind, namespace, str(name)) for name in spec.get("setRefs") or spec.get("clusterSetRefs") or ()}


def _labels_read(document: JsonObject) -> set[str]:
    """The label keys that an object's selectors look at."""
    found: set[str] = set()
    for selector in _selectors(document):
        if isinstance(selector, dict):
            found |= set(selector.get("matchLabels") or ())
            found |= {str(one.get("key", "")) for one in selector.get("matchExpressions") or ()}
    return found


def _templated(document: JsonObject) -> bool:
    return any("{{" in str(selector) for selector in _selectors(document))
