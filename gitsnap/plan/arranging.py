"""The order of a plan's steps in which no state loses a match, and what must be held where there is no such order.

Sveltos acts on each write within a second: a cluster that stops matching between two steps loses its add-ons, even if
it matches again in the end. So each state after a step is evaluated, not only the last one. A profile that would lose a
match on the way is paused meanwhile, and so is one that depends on what Sveltos writes with a delay: the status of a
set. This module must not decide what is written, only in which order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

from gitsnap.model import JsonObject, ObjectKey
from gitsnap.plan.consequences import Doubt, Hold, Moment, Wait, Withdraw
from gitsnap.plan.matching import Change, Readers, Row, Rows, State, frozen, leaves
from gitsnap.plan.obstacles import Blocked
from gitsnap.plan.simulation import Delta, Simulation
from gitsnap.plan.uncertainty import CHOOSING, doubts
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, observed
from gitsnap.sveltos.pausing import paused
from gitsnap.sveltos.restore import Phase, order_of, rule_of

_NOTHING: Row = frozenset()


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of steps, and what it costs."""

    order: tuple[ObjectKey, ...]
    holds: tuple[Hold, ...] = ()
    """Profiles to pause before the first of these steps. Each is released by its own step, else by a last one."""
    withdraws: tuple[Withdraw, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    waits: Mapping[ObjectKey, tuple[Wait, ...]] = field(default_factory=dict)
    """What Sveltos must report before the step of an object, or its release, is written."""


def arrange(
    live: Iterable[JsonObject],
    changes: Sequence[Change],
    *,
    holdable: Collection[ObjectKey] = (),
    stands: Rows | None = None,
    waiting: bool = True,
) -> Arrangement:
    """The best order of the changes.

    ``live`` are all live objects of CONCERNED_KINDS as the API server gave them, ``holdable`` the profiles that may be
    paused for the time of the rollback, ``stands`` where profiles in DryRun have ClusterSummaries. A match that is
    there before and after, but in no order all the time and that cannot be held, is a withdraw ``between``; one that
    the rollback ends is one at the ``end``. Without ``waiting``, nothing that Sveltos reports is waited for.
    """
    return _Arranger(live, changes, holdable, stands or {}, waiting=waiting).arrangement()


def may_release(live: Iterable[JsonObject], written: Iterable[Change], holds: Iterable[Hold]) -> frozenset[ObjectKey]:
    """The held profiles that lose no match if they are released in the state after the changes written so far.

    Not those that match only by what Sveltos may not know yet, such as a set that was just written.
    """
    live, written, held = tuple(live), tuple(written), {hold.profile: hold for hold in holds}
    start, end = State.of(live), State.of(live, written)
    tracked = {one for key in held for state in (start, end) for one in (key, *state.dependents.of(key))}
    simulation = Simulation(start, end, Readers(start, end), tracked, frozenset(held))
    for change in written:
        simulation.apply(change)
    return frozenset(
        key
        for key, hold in held.items()
        if simulation.row(key) >= frozenset(hold.clusters) and not simulation.unsettled(key, hold.clusters)
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """An order, with the profiles that are paused on the way."""

    order: tuple[Change, ...]
    held: frozenset[ObjectKey] = frozenset()


@dataclass(slots=True)
class _Walk:
    """What happens on a way."""

    lost: dict[ObjectKey, Row] = field(default_factory=dict)
    """Matches that are there before and after, and not in between."""
    passing: dict[ObjectKey, Row] = field(default_factory=dict)
    """Matches that are there in between only."""
    left: set[tuple[ObjectKey, ClusterRef]] = field(default_factory=set)
    """Matches that end while ``stopMatchingBehavior: LeavePolicies`` is in force."""
    taken: set[tuple[ObjectKey, ClusterRef]] = field(default_factory=set)
    """Matches that end while it is not, and while the profile is not paused or in DryRun."""
    risks: dict[ObjectKey, Row] = field(default_factory=dict)
    """Matches that Sveltos may not know of, or not choose, at the moment at which it looks."""
    chosen: set[ObjectKey] = field(default_factory=set)
    """Profiles with a risk because a set has to choose: to hold them, or to wait, does not take it away."""
    waits: dict[ObjectKey, tuple[Wait, ...]] = field(default_factory=dict)


class _Arranger:
    """All states that are evaluated for one plan."""

    def __init__(
        self,
        live: Iterable[JsonObject],
        changes: Sequence[Change],
        holdable: Collection[ObjectKey],
        stands: Rows,
        *,
        waiting: bool,
    ) -> None:
        live = tuple(live)
        self._start, self._end = State.of(live, stands=stands), State.of(live, changes, stands=stands)
        self._changes = changes
        self._waiting = waiting
        self._readers = Readers(self._start, self._end)
        concerned = [self._readers.concerned(change) for change in changes]
        self._affected = sorted(frozenset[ObjectKey]().union(*concerned))
        states = (self._start, self._end)
        self._tracked = {one for key in self._affected for state in states for one in (key, *state.dependents.of(key))}
        self._before = {key: self._start.standing(key) for key in self._tracked}
        self._after = {key: self._end.row(key) for key in self._tracked}
        deleted = {change.key for change in changes if change.after is None}
        for key in deleted & self._before.keys() & self._start.selecting.keys():
            # Sveltos withdraws a deleted profile from where it has it, also where it should not have it any more.
            self._before[key] |= observed(self._start.selecting[key]) & self._start.labels.keys()
        self._keep = {key: self._before[key] & self._after[key] for key in self._tracked}
        stays = {key for key, document in self._start.selecting.items() if paused(document)}
        # The deletion of a paused profile does not end, so what is deleted is not held.
        self._holdable = frozenset(holdable) & self._start.selecting.keys() - stays - deleted
        self._own = {change.key for change in changes}

    def arrangement(self) -> Arrangement:
        """The order, what is held, what is waited for, and what is lost all the same."""
        way, walk = self._settled()
        ended = {key: self._before[key] - self._after[key] for key in self._affected}
        moments = ((Moment.BETWEEN, walk.lost), (Moment.PASSING, walk.passing), (Moment.END, ended))
        pairs = sorted((key, one, moment) for moment, rows in moments for key, row in rows.items() for one in row)
        unsure = doubts(self._start, self._end, self._readers, self._changes, self._affected)
        unsure += [
            Doubt(key, CHOOSING if key in walk.chosen else self._late(key, row))
            for key, row in walk.risks.items()
            if key in walk.chosen or not (self._waiting and key in way.held | walk.waits.keys())
        ]
        first = {doubt.key: doubt for doubt in reversed(unsure)}
        return Arrangement(
            order=tuple(change.key for change in way.order),
            holds=tuple(Hold(key, tuple(sorted(self._keep[key]))) for key in sorted(way.held)),
            withdraws=tuple(
                Withdraw(key, cluster, moment, stays=self._stays(key, cluster, walk) if moment is Moment.END else "")
                for key, cluster, moment in pairs
            ),
            doubts=tuple(first[key] for key in sorted(first)),
            waits=walk.waits if self._waiting else {},
        )

    def _settled(self) -> tuple[_Way, _Walk]:
        """The best way on which each profile that would look too early is held, if it may be.

        The own step of such a profile, which lets it go, comes last: then all that it waits for is written.
        """
        held, late = frozenset[ObjectKey](), frozenset[ObjectKey]()
        while True:
            way = self._best(held, late)
            walk = self._walk(way)
            risky = frozenset(walk.risks) if self._waiting else frozenset[ObjectKey]()
            more = risky & self._holdable - way.held
            more_late = (
                frozenset(key for key in risky & self._own if key in way.held | more or self._frozen(key)) - late
            )
            if not more and not more_late:
                return way, walk
            held, late = way.held | more, late | more_late

    # Orders -----------------------------------------------------------------------------------------------------

    def _best(self, held: frozenset[ObjectKey], late: frozenset[ObjectKey]) -> _Way:
        """The first order that loses nothing and, if possible, matches nothing for a moment only; then with holds."""
        orders = (self._sorted(selecting_first=False), self._sorted(selecting_first=True))
        for strict in (True, False):
            for holding in (False, True):
                for order in orders:
                    way = self._way(order, held, late, strict=strict, holding=holding)
                    if way is not None:
                        return way
        return self._least_bad(orders[0], held)

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

    def _way(
        self,
        preferred: Sequence[Change],
        held: frozenset[ObjectKey],
        late: frozenset[ObjectKey],
        *,
        strict: bool,
        holding: bool,
    ) -> _Way | None:
        """An order that loses nothing, with as few profiles held as are needed to get through; None without one."""
        last = sorted(
            (change for change in preferred if change.key in late),
            key=lambda change: len(self._end.dependents.of(change.key)),
        )
        first = [change for change in preferred if change.key not in late]
        while True:
            order, obstacles = self._greedy(first, held, strict=strict)
            if order is not None:
                return _Way((*order, *last), held)
            more = next((one for one in obstacles if one <= self._holdable - held), None)
            if not holding or more is None:
                return None
            held |= more

    def _greedy(
        self, preferred: Sequence[Change], held: frozenset[ObjectKey], *, strict: bool
    ) -> tuple[list[Change] | None, list[frozenset[ObjectKey]]]:
        """Always the first change in the preferred order that does no harm; else whom each of those left would harm.

        A change that does harm is looked at again only once another one touched what it would harm.
        """
        simulation = Simulation(self._start, self._end, self._readers, self._tracked, held)
        ready, blocked, order = list(range(len(preferred))), Blocked(), list[Change]()
        heapify(ready)
        while ready:
            position = heappop(ready)
            deltas = simulation.apply(preferred[position])
            harm = {delta.key: harm for delta in deltas if (harm := self._harm(delta, strict=strict))}
            if harm:
                simulation.take_back()
                blocked.add(position, harm)
                continue
            order.append(preferred[position])
            for woken in blocked.woken_by(simulation.touched):
                heappush(ready, woken)
        return (None, blocked.obstacles) if blocked else (order, [])

    def _harm(self, delta: Delta, *, strict: bool) -> Row:
        """What is withdrawn though it is to be there in the end, or though the sample would leave it in place."""
        after = self._after[delta.key]
        harm = delta.left & after
        if delta.left and not delta.leaves and self._spares(delta.key):
            harm |= delta.left
        return harm | (delta.joined - self._before[delta.key] - after) if strict else harm

    def _spares(self, key: ObjectKey) -> bool:
        """Whether what is deployed stays, in the end, where a profile stops matching: its own step must come first."""
        document = self._end.selecting.get(key)
        return document is not None and (frozen(document) or leaves(document, live=self._start.selecting.get(key)))

    def _least_bad(self, order: Sequence[Change], held: frozenset[ObjectKey]) -> _Way:
        """Where matches are lost in any case: all is held that can be, and its own step comes last."""
        held |= frozenset(self._walk(_Way(tuple(order), held)).lost) & self._holdable
        last = [change for change in order if change.key in held]
        return _Way((*(change for change in order if change.key not in held), *last), held)

    # What happens on the way ----------------------------------------------------------------------------------------

    def _walk(self, way: _Way) -> _Walk:
        """What an order loses in between, what it matches in between only, and what Sveltos may not know in time."""
        walk, dropped = _Walk(), dict[ObjectKey, Row]()
        simulation = Simulation(self._start, self._end, self._readers, self._tracked, way.held)
        for change in way.order:
            was_frozen = simulation.is_frozen(change.key)
            deltas = simulation.apply(change)
            self._note(walk, deltas)
            readded = _readded(dropped, simulation.members_moved, self._start.sets)
            if was_frozen and not simulation.is_frozen(change.key):
                readded += self._release_waits(simulation, change.key)
            if readded:
                walk.waits[change.key] = tuple(readded)
            for key, clusters in simulation.touched.items():
                if key in self._keep and not simulation.is_frozen(key):
                    self._note_risk(walk, simulation, key, clusters)
        for key in sorted(way.held - self._own, key=lambda key: len(self._end.dependents.of(key))):
            self._note(walk, simulation.release(key))
            self._note_risk(walk, simulation, key, None)
            waits = self._release_waits(simulation, key)
            if waits:
                walk.waits[key] = waits
        if not any(wait.shows for waits in walk.waits.values() for wait in waits):
            walk.waits = {}  # nobody waits for the end, so nobody needs to see what is in between
        return walk

    def _note(self, walk: _Walk, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            key, after = delta.key, self._after[delta.key]
            gone, extra = delta.left & after, delta.joined - self._before[key] - after
            if gone:
                walk.lost[key] = walk.lost.get(key, _NOTHING) | gone
            if extra:
                walk.passing[key] = walk.passing.get(key, _NOTHING) | extra
            which = walk.left if delta.leaves else walk.taken
            which |= {(key, cluster) for cluster in delta.left}

    def _note_risk(
        self, walk: _Walk, simulation: Simulation, key: ObjectKey, clusters: Collection[ClusterRef] | None
    ) -> None:
        """Note the matches of a profile, on these clusters or on all of them, that may be lost although they are kept.

        Those of a profile that leaves in place what it deployed are kept until its own step, whatever follows.
        """
        kept = simulation.deployed[key] & (self._before[key] if self._spares(key) else self._keep[key])
        risk = simulation.unsettled(key, kept if clusters is None else kept.intersection(clusters))
        if risk:
            walk.risks[key] = walk.risks.get(key, _NOTHING) | risk
            if any(simulation.chooses(used, one) for one in risk for used in simulation.providers(key, one)):
                walk.chosen.add(key)

    def _release_waits(self, simulation: Simulation, key: ObjectKey) -> tuple[Wait, ...]:
        """What Sveltos must report before a profile may look: the clusters that it has its add-ons on."""
        document = self._start.selecting.get(key) or {}
        known = observed(document) if (document.get("status") or {}).get("matchingClusters") else self._keep[key]
        shown: dict[ObjectKey, set[ClusterRef]] = {}
        for cluster in simulation.unsettled(key, self._keep[key] & known):
            provider = next(simulation.providers(key, cluster), None)
            if provider is not None:
                shown.setdefault(provider, set()).add(cluster)
        waits = [Wait(provider, shows=tuple(sorted(shown[provider]))) for provider in sorted(shown)]
        if any(provider.kind in kinds.PROFILE_KINDS for provider in shown) and not self._start.dependents.of(key):
            # The dependents may have matched before: that they need this profile shows in its own status alone.
            waits.append(Wait(key, former_hash=str((document.get("status") or {}).get("dependenciesHash") or "")))
        return tuple(waits)

    def _frozen(self, key: ObjectKey) -> bool:
        """Whether a profile is paused, or in DryRun, before the rollback."""
        document = self._start.selecting.get(key)
        return document is not None and frozen(document)

    def _stays(self, key: ObjectKey, cluster: ClusterRef, walk: _Walk) -> str:
        """Why what is deployed stays on a cluster that does not match in the end, ``""`` where it goes."""
        document = self._end.selecting.get(key) or self._start.selecting.get(key) or {}
        if (key, cluster) in walk.taken:
            return ""
        if paused(document):
            return "until it is no longer paused"
        if frozen(document):
            return "until it leaves syncMode DryRun"
        return "stopMatchingBehavior LeavePolicies" if (key, cluster) in walk.left else ""

    def _late(self, key: ObjectKey, clusters: Row) -> str:
        """Why a profile may look before Sveltos knows what it matches."""
        document = self._end.selecting.get(key) or {}
        names = (document.get("spec") or {}).get("setRefs") or ()
        kind = "Set" if key.namespace else "ClusterSet"
        which = ", ".join(f"{kind} {name}" for name in sorted(map(str, names))) or "the profiles that depend on it"
        many = f"{len(clusters)} cluster{'' if len(clusters) == 1 else 's'}"
        return f"on {many} it matches by {which}, which Sveltos evaluates some time after the write"


def _readded(
    dropped: dict[ObjectKey, Row], moved: Mapping[ObjectKey, tuple[Row, Row]], sets: Mapping[ObjectKey, JsonObject]
) -> list[Wait]:
    """What must be seen before a step brings clusters back into a set that an earlier one took out of it.

    Otherwise the status from before could not be told from that of the end: both name the cluster.
    """
    waits = []
    for key, (left, joined) in sorted(moved.items()):
        gone = dropped.get(key, _NOTHING)
        if gone & joined:
            waits.append(Wait(key, lacks=tuple(sorted(gone))))
            gone = _NOTHING
        shown = observed(sets[key]) if key in sets else _NOTHING
        dropped[key] = gone | (left & shown)
    return waits
