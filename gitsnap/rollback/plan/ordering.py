"""Finds an order of a plan's steps in which no profile loses a match between two steps, and holds profiles if needed.

Sveltos acts on each write within a second. A cluster that stops matching between two steps loses its add-ons, even if
it matches again after the last step. So the state after each step is evaluated. A profile that would lose a match is
held: paused during the rollback. So is a profile that depends on a status which Sveltos writes with a delay, such as
the clusters of a set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.blocked_changes import BlockedChanges
from gitsnap.rollback.plan.cluster_effects import Hold, Uncertainty, Wait, Withdrawal, WithdrawalCause
from gitsnap.rollback.plan.independent_changes import group_changes, merge_orders
from gitsnap.rollback.plan.match_states import Matches, MatchesByObject, State, StepChange, frozen, leaves
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.rollback.plan.simulation import Delta, Simulation, Touched
from gitsnap.rollback.plan.uncertainty import CHOOSING, delay_reason, find_uncertainties
from gitsnap.rollback.plan.waits import readded_waits, release_waits
from gitsnap.sveltos.matching import ClusterRef, observed_clusters
from gitsnap.sveltos.pausing import is_paused
from gitsnap.sveltos.restore import Phase, order_of, rule_of

_NOTHING: Matches = frozenset()


@dataclass(frozen=True, slots=True)
class StepOrder:
    """An order of steps, and its consequences."""

    order: tuple[ObjectKey, ...]
    holds: tuple[Hold, ...] = ()
    """Profiles to pause before the first of these steps. The profile's own step releases it, or else a last step."""
    withdrawals: tuple[Withdrawal, ...] = ()
    uncertainties: tuple[Uncertainty, ...] = ()
    waits: Mapping[ObjectKey, tuple[Wait, ...]] = field(default_factory=dict)
    """By object: what Sveltos must report before the step of the object, or its release, is written."""


def find_order(
    live: Iterable[JsonObject],
    changes: Sequence[StepChange],
    *,
    pausable: Collection[ObjectKey] = (),
    summary_clusters: MatchesByObject | None = None,
    waiting: bool = True,
) -> StepOrder:
    """The best order of the changes.

    ``live`` are all live objects of MATCHING_KINDS as the API server returned them, ``pausable`` the profiles that may
    be paused, ``summary_clusters`` the clusters on which profiles in DryRun have ClusterSummaries. Without ``waiting``,
    no step waits for a report of Sveltos.
    """
    return _OrderSearch(live, changes, pausable, summary_clusters or {}, waiting=waiting).find()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An order, with the profiles that are held while it is written."""

    order: tuple[StepChange, ...]
    held: frozenset[ObjectKey] = frozenset()


@dataclass(slots=True)
class _Trace:
    """What Sveltos does while a candidate is written."""

    interrupted: dict[ObjectKey, Matches] = field(default_factory=dict)
    """Matches that exist before and after the rollback, but not in between."""
    transient: dict[ObjectKey, Matches] = field(default_factory=dict)
    """Matches that exist only in between."""
    left_in_place: set[tuple[ObjectKey, ClusterRef]] = field(default_factory=set)
    """Matches that end while ``stopMatchingBehavior: LeavePolicies`` is in force."""
    withdrawn: set[tuple[ObjectKey, ClusterRef]] = field(default_factory=set)
    """Matches that end while it is not in force, and while the profile is not paused or in DryRun."""
    risks: dict[ObjectKey, Matches] = field(default_factory=dict)
    """Matches that Sveltos may not know, or not choose, when it evaluates the profile."""
    chosen: set[ObjectKey] = field(default_factory=set)
    """Profiles at risk because a set chooses its clusters. Neither a hold nor a wait removes this risk."""
    waits: dict[ObjectKey, tuple[Wait, ...]] = field(default_factory=dict)
    touched: Touched = field(default_factory=dict)
    """The matches that any step may change."""


class _OrderSearch:
    """The search for the order of one plan."""

    def __init__(
        self,
        live: Iterable[JsonObject],
        changes: Sequence[StepChange],
        pausable: Collection[ObjectKey],
        summary_clusters: MatchesByObject,
        *,
        waiting: bool,
    ) -> None:
        live = tuple(live)
        self._start, self._end = (
            State.of(live, summary_clusters=summary_clusters),
            State.of(live, changes, summary_clusters=summary_clusters),
        )
        self._changes = changes
        self._waiting = waiting
        self._index = SelectorIndex(self._start, self._end)
        self._affected = sorted(frozenset[ObjectKey]().union(*map(self._index.affected_by, changes)))
        self._tracked = {
            profile
            for key in self._affected
            for state in (self._start, self._end)
            for profile in (key, *state.dependents.of(key))
        }
        self._before = {key: self._start.deployed_on(key) for key in self._tracked}
        self._after = {key: self._end.matches(key) for key in self._tracked}
        deleted = {change.key for change in changes if change.after is None}
        for key in deleted & self._before.keys() & self._start.selecting.keys():
            # Sveltos withdraws a deleted profile from every cluster in its status, matching or not.
            self._before[key] |= observed_clusters(self._start.selecting[key]) & self._start.labels.keys()
        self._keep = {key: self._before[key] & self._after[key] for key in self._tracked}
        already_paused = {key for key, document in self._start.selecting.items() if is_paused(document)}
        # Sveltos does not complete the deletion of a paused profile, so deleted profiles are not held.
        self._pausable = frozenset(pausable) & self._start.selecting.keys() - already_paused - deleted
        self._own = {change.key for change in changes}
        self._deleted = {change.cluster for change in changes if change.after is None}

    def find(self) -> StepOrder:
        """The best order, with the consequences that it cannot avoid."""
        candidate, trace = self._best_with_waits()
        ended = {key: self._ended(key, trace) for key in self._affected}
        causes = (
            (WithdrawalCause.INTERRUPTED, trace.interrupted),
            (WithdrawalCause.TRANSIENT, trace.transient),
            (WithdrawalCause.ENDED, ended),
        )
        ending = sorted(
            (key, cluster, cause) for cause, by_key in causes for key, matches in by_key.items() for cluster in matches
        )
        uncertainties = find_uncertainties(self._start, self._end, self._index, self._changes, self._affected)
        uncertainties += [
            Uncertainty(key, CHOOSING if key in trace.chosen else delay_reason(self._end, key, matches))
            for key, matches in trace.risks.items()
            if key in trace.chosen or not (self._waiting and key in candidate.held | trace.waits.keys())
        ]
        first = {uncertainty.key: uncertainty for uncertainty in reversed(uncertainties)}
        return StepOrder(
            order=tuple(change.key for change in candidate.order),
            holds=tuple(Hold(key, tuple(sorted(self._keep[key]))) for key in sorted(candidate.held)),
            withdrawals=tuple(
                Withdrawal(
                    key,
                    cluster,
                    cause,
                    retention_reason=self._retention_reason(key, cluster, trace)
                    if cause is WithdrawalCause.ENDED
                    else "",
                )
                for key, cluster, cause in ending
            ),
            uncertainties=tuple(first[key] for key in sorted(first)),
            waits=trace.waits if self._waiting else {},
        )

    def _ended(self, key: ObjectKey, trace: _Trace) -> Matches:
        """The matches of a profile that the plan ends.

        Some matches in ``_before`` ended earlier: a paused profile, a profile in DryRun, and the prerequisites of a
        paused profile keep add-ons on clusters that no longer match. The plan ends such a match only if a step touches
        it, or deletes the cluster.
        """
        ended, touched = self._before[key] - self._after[key], trace.touched.get(key, ())
        return ended if touched is None else ended & (self._start.matches(key) | self._deleted).union(touched)

    def _best_with_waits(self) -> tuple[_Candidate, _Trace]:
        """The best candidate in which each profile at risk is held, if it may be.

        The own step of such a profile, which releases it, comes last: everything that it waits for is written then.
        """
        held, late = frozenset[ObjectKey](), frozenset[ObjectKey]()
        while True:
            candidate = self._best(held, late)
            trace = self._simulate(candidate)
            risky = frozenset(trace.risks) if self._waiting else frozenset[ObjectKey]()
            more = risky & self._pausable - candidate.held
            more_late = (
                frozenset(key for key in risky & self._own if key in candidate.held | more or self._frozen(key)) - late
            )
            if not more and not more_late:
                return candidate, trace
            held, late = candidate.held | more, late | more_late

    # Orders -----------------------------------------------------------------------------------------------------

    def _best(self, held: frozenset[ObjectKey], late: frozenset[ObjectKey]) -> _Candidate:
        """The first candidate that loses no match: preferably without transient matches, then without holds."""
        orders = (self._sorted(selecting_first=False), self._sorted(selecting_first=True))
        for strict in (True, False):
            for holding in (False, True):
                for order in orders:
                    candidate = self._build_candidate(order, held, late, strict=strict, holding=holding)
                    if candidate is not None:
                        return candidate
        return self._least_bad(orders[0], held)

    def _sorted(self, *, selecting_first: bool) -> list[StepChange]:
        """The changes in a fixed order: deletions last; selecting objects before or after labels and sets."""

        def rank(change: StepChange) -> tuple[Any, ...]:
            """Creations and updates by phase, then deletions by phase in reverse; kind and name break ties."""
            kind = change.key.kind
            if change.after is None:
                return (2, -rule_of(kind).phase, kind, change.key)
            late = rule_of(kind).phase is (Phase.MATCHING if selecting_first else Phase.SELECTING)
            return (int(late), order_of(kind), change.key)

        return sorted(self._changes, key=rank)

    def _build_candidate(
        self,
        preferred: Sequence[StepChange],
        held: frozenset[ObjectKey],
        late: frozenset[ObjectKey],
        *,
        strict: bool,
        holding: bool,
    ) -> _Candidate | None:
        """A candidate that loses no match and holds as few profiles as possible; None if there is none.

        ``late`` are profiles whose steps come last. Without ``strict``, transient matches are accepted; without
        ``holding``, no profiles but ``held`` are held.
        """
        last = sorted(
            (change for change in preferred if change.key in late),
            key=lambda change: len(self._end.dependents.of(change.key)),
        )
        first = [change for change in preferred if change.key not in late]
        # Changes of other groups do not affect a group. So only a group that is blocked is ordered again, with holds.
        groups = group_changes(first, self._index, (self._start, self._end))
        orders = dict[int, list[int]]()
        pending: list[int] = [*range(len(first))]
        while pending:
            order, harmed = self._greedy(first, pending, held, strict=strict)
            more = self._more_holds(harmed, groups, held) if harmed and holding else {}
            if more.keys() != {groups[position] for position in harmed}:
                return None
            for position in order:
                if groups[position] not in more:
                    orders.setdefault(groups[position], []).append(position)
            pending = [position for position in pending if groups[position] in more]
            held = held.union(*more.values())
        return _Candidate((*(first[position] for position in merge_orders(orders.values())), *last), held)

    def _more_holds(
        self, harmed: Mapping[int, frozenset[ObjectKey]], groups: Sequence[int], held: frozenset[ObjectKey]
    ) -> dict[int, frozenset[ObjectKey]]:
        """By group: the profiles that the first blocked change would harm, if all of them may be held."""
        more = dict[int, frozenset[ObjectKey]]()
        for position in sorted(harmed):
            if harmed[position] <= self._pausable - held:
                more.setdefault(groups[position], harmed[position])
        return more

    def _greedy(
        self, changes: Sequence[StepChange], positions: Iterable[int], held: frozenset[ObjectKey], *, strict: bool
    ) -> tuple[list[int], Mapping[int, frozenset[ObjectKey]]]:
        """An order of some changes that always takes the first change that does no harm.

        Returns the positions of these changes, and for each remaining change the profiles that it would harm. A harmful
        change is tried again only after another change touched the matches that it would harm.
        """
        simulation = Simulation(self._start, self._end, self._index, self._tracked, held)
        ready, blocked, order = [*positions], BlockedChanges(), list[int]()
        heapify(ready)
        while ready:
            position = heappop(ready)
            deltas = simulation.apply(changes[position])
            harm = {delta.key: harm for delta in deltas if (harm := self._harm(delta, strict=strict))}
            if harm:
                simulation.revert()
                blocked.add(position, harm)
                continue
            order.append(position)
            for unblocked in blocked.unblock(simulation.touched):
                heappush(ready, unblocked)
        return order, blocked.harmed_profiles

    def _harm(self, delta: Delta, *, strict: bool) -> Matches:
        """The matches that a step must not end, because they exist after the plan or the sample leaves them in place.

        With ``strict`` also the transient matches that the step starts.
        """
        after = self._after[delta.key]
        harm = delta.left & after
        if delta.left and not delta.leaves and self._keeps_in_the_end(delta.key):
            harm |= delta.left
        return harm | (delta.joined - self._before[delta.key] - after) if strict else harm

    def _keeps_in_the_end(self, key: ObjectKey) -> bool:
        """Whether the profile after the plan keeps its add-ons on clusters that stop matching.

        Its own step must then come before the step that ends the match.
        """
        document = self._end.selecting.get(key)
        return document is not None and (frozen(document) or leaves(document, live=self._start.selecting.get(key)))

    def _least_bad(self, order: Sequence[StepChange], held: frozenset[ObjectKey]) -> _Candidate:
        """The candidate if every order loses a match: all profiles that may be paused are held, their steps last."""
        held |= frozenset(self._simulate(_Candidate(tuple(order), held)).interrupted) & self._pausable
        last = [change for change in order if change.key in held]
        return _Candidate((*(change for change in order if change.key not in held), *last), held)

    # Simulation -------------------------------------------------------------------------------------------------

    def _simulate(self, candidate: _Candidate) -> _Trace:
        """What Sveltos does while a candidate is written."""
        trace, dropped = _Trace(), dict[ObjectKey, Matches]()
        simulation = Simulation(self._start, self._end, self._index, self._tracked, candidate.held)
        for change in candidate.order:
            was_frozen = simulation.is_frozen(change.key)
            deltas = simulation.apply(change)
            self._note(trace, deltas)
            readded = readded_waits(dropped, simulation.members_moved, self._start.sets)
            if was_frozen and not simulation.is_frozen(change.key):
                readded += release_waits(simulation, self._start, change.key, self._keep[change.key])
            if readded:
                trace.waits[change.key] = tuple(readded)
            for key, clusters in simulation.touched.items():
                known = trace.touched.get(key, ())
                trace.touched[key] = None if clusters is None or known is None else {*known, *clusters}
                if key in self._keep and not simulation.is_frozen(key):
                    self._note_risk(trace, simulation, key, clusters)
        for key in sorted(candidate.held - self._own, key=lambda key: len(self._end.dependents.of(key))):
            self._note(trace, simulation.release(key))
            self._note_risk(trace, simulation, key, None)
            waits = release_waits(simulation, self._start, key, self._keep[key])
            if waits:
                trace.waits[key] = tuple(waits)
        if not any(wait.shows for waits in trace.waits.values() for wait in waits):
            trace.waits = {}  # no step waits for clusters to appear, so none needs to see them disappear first
        return trace

    def _note(self, trace: _Trace, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            key, after = delta.key, self._after[delta.key]
            interrupted, transient = delta.left & after, delta.joined - self._before[key] - after
            if interrupted:
                trace.interrupted[key] = trace.interrupted.get(key, _NOTHING) | interrupted
            if transient:
                trace.transient[key] = trace.transient.get(key, _NOTHING) | transient
            ended = trace.left_in_place if delta.leaves else trace.withdrawn
            ended |= {(key, cluster) for cluster in delta.left}

    def _note_risk(
        self, trace: _Trace, simulation: Simulation, key: ObjectKey, clusters: Collection[ClusterRef] | None
    ) -> None:
        """Note the matches of a profile that should last and are at risk; ``clusters`` None stands for all clusters.

        The matches of a profile that keeps its add-ons after the plan should last until its own step.
        """
        kept = simulation.deployed[key] & (self._before[key] if self._keeps_in_the_end(key) else self._keep[key])
        risk = simulation.unsettled(key, kept if clusters is None else kept.intersection(clusters))
        if risk:
            trace.risks[key] = trace.risks.get(key, _NOTHING) | risk
            if any(
                simulation.chooses(used, cluster) for cluster in risk for used in simulation.providers(key, cluster)
            ):
                trace.chosen.add(key)

    def _frozen(self, key: ObjectKey) -> bool:
        """Whether a profile is paused or in DryRun before the rollback."""
        document = self._start.selecting.get(key)
        return document is not None and frozen(document)

    def _retention_reason(self, key: ObjectKey, cluster: ClusterRef, trace: _Trace) -> str:
        """Why add-ons stay on a cluster that does not match after the plan; ``""`` if they are withdrawn."""
        document = self._end.selecting.get(key) or self._start.selecting.get(key) or {}
        if (key, cluster) in trace.withdrawn:
            return ""
        if is_paused(document):
            return "until it is no longer paused"
        if frozen(document):
            return "until it leaves syncMode DryRun"
        return "stopMatchingBehavior LeavePolicies" if (key, cluster) in trace.left_in_place else ""
