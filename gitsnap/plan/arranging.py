"""The order of a plan's steps in which no state loses a match, and what must be held where there is no such order.

Sveltos acts on each write within a second: a cluster that stops matching between two steps loses its add-ons, even if
it matches again in the end. So each state after a step is evaluated, not only the last one; a profile that would lose
a match on the way is paused meanwhile. This module must not decide what is written, only in which order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.objects import same_json
from gitsnap.plan.consequences import Doubt, Hold, Moment, Withdraw
from gitsnap.plan.matching import CLASSIFIER_KINDS, Change, Readers, Row, Rows, State, rows_after, templated
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.pausing import paused
from gitsnap.sveltos.restore import Phase, order_of, rule_of

_UNEVALUATED: Mapping[Kind, tuple[str, ...]] = {
    kinds.EVENT_TRIGGER: ("eventSourceName", "destinationCluster", "destinationClusterSelector"),
    kinds.CLUSTER_PROMOTION: ("stages",),
}
"""Fields that decide about profiles which a controller generates: what becomes of those is not in the API yet."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of steps, and what it costs."""

    order: tuple[ObjectKey, ...]
    holds: tuple[Hold, ...] = ()
    """Profiles to pause before the first of these steps. Each is released by its own step, else by a last one."""
    withdraws: tuple[Withdraw, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def arrange(
    live: Iterable[JsonObject], changes: Sequence[Change], *, holdable: Collection[ObjectKey] = ()
) -> Arrangement:
    """The best order of the changes.

    ``live`` are all live objects of CONCERNED_KINDS as the API server gave them, ``holdable`` the profiles that may be
    paused for the time of the rollback. A match that is there before and after, but in no order all the time and that
    cannot be held, is a withdraw ``between``; one that the rollback ends is one at the ``end``.
    """
    return _Arranger(live, changes, holdable).arrangement()


def may_release(live: Iterable[JsonObject], written: Iterable[Change], holds: Iterable[Hold]) -> frozenset[ObjectKey]:
    """The held profiles that lose no match if they are released in the state after the changes written so far."""
    state = State.of(live)
    for change in written:
        state = state.after(change)
    return frozenset(hold.profile for hold in holds if state.row(hold.profile) >= frozenset(hold.clusters))


@dataclass(frozen=True, slots=True)
class _Way:
    """An order, with the profiles that are paused on the way."""

    order: tuple[Change, ...]
    held: frozenset[ObjectKey] = frozenset()


class _Arranger:
    """All states that are evaluated for one plan."""

    def __init__(self, live: Iterable[JsonObject], changes: Sequence[Change], holdable: Collection[ObjectKey]) -> None:
        self._start = State.of(live)
        self._changes = changes
        self._end = self._start
        for change in changes:
            self._end = self._end.after(change)
        self._readers = Readers(self._start, self._end)
        self._concerns = {change.key: self._readers.concerned(change) for change in changes}
        self._affected = sorted(set[ObjectKey]().union(*self._concerns.values()))
        self._rows = {key: self._start.row(key) for key in self._affected}
        self._before = {key: self._start.standing(key) for key in self._affected}
        self._after = {key: self._end.row(key) for key in self._affected}
        self._keep = {key: self._before[key] & self._after[key] for key in self._affected}
        self._paused = frozenset(key for key, document in self._start.selecting.items() if paused(document))
        self._holdable = frozenset(holdable) & self._start.selecting.keys() - self._paused

    def arrangement(self) -> Arrangement:
        """The order, what is held, and what is lost all the same."""
        way = self._best()
        lost, passing = self._costs(way)
        ended = {key: self._before[key] - self._after[key] for key in self._affected}
        moments = ((Moment.BETWEEN, lost), (Moment.PASSING, passing), (Moment.END, ended))
        pairs = [(key, cluster, moment) for moment, rows in moments for key, row in rows.items() for cluster in row]
        return Arrangement(
            order=tuple(change.key for change in way.order),
            holds=tuple(Hold(key, tuple(sorted(self._keep[key]))) for key in sorted(way.held)),
            withdraws=tuple(
                Withdraw(key, cluster, moment, leaves=self._leaves(key)) for key, cluster, moment in sorted(pairs)
            ),
            doubts=tuple(self._doubts()),
        )

    # Orders -----------------------------------------------------------------------------------------------------

    def _best(self) -> _Way:
        """The first order that loses nothing and, if possible, matches nothing for a moment only; then with holds."""
        orders = (self._sorted(selecting_first=False), self._sorted(selecting_first=True))
        for strict in (True, False):
            for holding in (False, True):
                for order in orders:
                    way = self._way(order, strict=strict, holding=holding)
                    if way is not None:
                        return way
        return self._least_bad(orders[0])

    def _sorted(self, *, selecting_first: bool) -> list[Change]:
        """What is deleted comes last, the selecting objects before what they select by."""

        def rank(change: Change) -> tuple[Any, ...]:
            """Creations and updates by phase, then deletions against it; kind and name only make it one fixed order."""
            kind = change.key.kind
            if change.after is None:
                return (2, -rule_of(kind).phase, kind, change.key)
            late = rule_of(kind).phase is (Phase.MATCHING if selecting_first else Phase.SELECTING)
            return (int(late), order_of(kind), change.key)

        return sorted(self._changes, key=rank)

    def _way(self, preferred: Sequence[Change], *, strict: bool, holding: bool) -> _Way | None:
        """An order that loses nothing, with as few profiles held as are needed to get through; None without one."""
        held: frozenset[ObjectKey] = frozenset()
        while True:
            order, obstacles = self._greedy(preferred, held, strict=strict)
            if order is not None:
                return _Way(tuple(order), held)
            more = next((one for one in obstacles if one <= self._holdable - held), None)
            if not holding or more is None:
                return None
            held |= more

    def _greedy(
        self, preferred: Sequence[Change], held: frozenset[ObjectKey], *, strict: bool
    ) -> tuple[list[Change] | None, list[frozenset[ObjectKey]]]:
        """Always the first change in the preferred order that does no harm; else whom each of those left would harm."""
        state, rows, order, pending = self._start, dict(self._rows), list[Change](), list(preferred)
        frozen, deployed = self._paused | held, dict(self._before)
        while pending:
            obstacles = []
            for change in pending:
                following = state.after(change)
                changed = self._rows_after(following, rows, change, frozen)
                seen = self._seen(change, changed, frozen)
                harmed = frozenset(
                    key for key in seen if not self._harmless(key, deployed[key], seen[key], strict=strict)
                )
                if not harmed:
                    break
                obstacles.append(harmed)
            else:
                return None, obstacles
            state, frozen = following, frozen - self._thaws(change, frozen)
            rows.update(changed)
            deployed.update(seen)
            order.append(change)
            pending.remove(change)
        return order, []

    def _seen(self, change: Change, changed: Rows, frozen: frozenset[ObjectKey]) -> Rows:
        """The rows that Sveltos acts on after a change: not those of paused profiles."""
        blind = frozen - self._thaws(change, frozen)
        return {key: row for key, row in changed.items() if key not in blind}

    def _rows_after(self, state: State, rows: Rows, change: Change, frozen: frozenset[ObjectKey]) -> Rows:
        concerned = self._concerns[change.key]
        if change.key in frozen and change.key in rows:  # its own step is what lets Sveltos look at it again
            concerned |= {change.key}
        return rows_after(state, rows, change, concerned)

    @staticmethod
    def _thaws(change: Change, frozen: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
        """The profile that a step lets Sveltos look at again: by its own content, or since it is deleted."""
        still = change.after is not None and paused(change.after)
        return frozenset() if still else frozen & {change.key}

    def _harmless(self, key: ObjectKey, deployed: Row, row: Row, *, strict: bool) -> bool:
        """Whether nothing is withdrawn that is to be there in the end, be it from before or from an earlier step."""
        after = self._after[key]
        return row >= deployed & after and (not strict or row <= self._before[key] | after)

    def _least_bad(self, order: Sequence[Change]) -> _Way:
        """Where matches are lost in any case: all is held that can be, and its own step comes last."""
        held = frozenset(self._costs(_Way(tuple(order)))[0]) & self._holdable
        last = [change for change in order if change.key in held]
        return _Way((*(change for change in order if change.key not in held), *last), held)

    def _costs(self, way: _Way) -> tuple[Rows, Rows]:
        """What an order loses in between, and what it matches in between only."""
        state, rows, deployed = self._start, dict(self._rows), dict(self._before)
        lost, passing = dict[ObjectKey, Row](), dict[ObjectKey, Row]()
        frozen = self._paused | way.held
        for change in way.order:
            state = state.after(change)
            changed = self._rows_after(state, rows, change, frozen)
            rows.update(changed)
            for key, row in self._seen(change, changed, frozen).items():
                gone, extra = (deployed[key] & self._after[key]) - row, row - self._before[key] - self._after[key]
                if gone:
                    lost[key] = lost.get(key, frozenset()) | gone
                if extra:
                    passing[key] = passing.get(key, frozenset()) | extra
                deployed[key] = row
            frozen -= self._thaws(change, frozen)
        return lost, passing

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
            states = [state for state in (self._start, self._end) if key in state.selecting]
            if not all(state.certain(key) for state in states):
                doubts[key] = "Sveltos chooses the clusters of a set with maxReplicas"
            elif any(templated(state.selecting[key]) for state in states):
                doubts[key] = "its selector is a template"
        for key, reason in (*self._generating(), *self._classified()):
            doubts.setdefault(key, reason)
        return [Doubt(key, doubts[key]) for key in sorted(doubts)]

    def _generating(self) -> Iterable[tuple[ObjectKey, str]]:
        """Objects that Sveltos generates profiles from, and that change in what decides about those."""
        for change in self._changes:
            if change.before is None or change.key not in self._start.selecting:
                continue
            before, after = change.before.get("spec") or {}, (change.after or {}).get("spec") or {}
            for field in _UNEVALUATED.get(change.key.kind, ()):
                if not same_json(before.get(field), after.get(field)):
                    yield change.key, f"spec.{field} decides about profiles that Sveltos generates"

    def _classified(self) -> Iterable[tuple[ObjectKey, str]]:
        """Objects that match clusters by a label which a changed classifier sets."""
        for change in self._changes:
            before, after = change.before or {}, change.after or {}
            if change.key.kind not in CLASSIFIER_KINDS or same_json(before.get("spec"), after.get("spec")):
                continue
            setter = f"{change.key.kind.name} {change.key.name}"
            for label in sorted(inventory.classifier_labels(before) | inventory.classifier_labels(after)):
                for key in sorted(self._readers.of_label(label)):
                    if self._start.row(key):
                        yield key, f"its selector reads the label {label!r}, which {setter} sets"
