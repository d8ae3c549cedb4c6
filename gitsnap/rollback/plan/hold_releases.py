"""Which held profiles can be released after only some steps of a plan were written."""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Hold
from gitsnap.rollback.plan.match_states import State, StepChange
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.rollback.plan.simulation import Simulation


def releasable(
    live: Iterable[JsonObject], written: Iterable[StepChange], holds: Iterable[Hold]
) -> frozenset[ObjectKey]:
    """The held profiles that lose no match if they are released after only the changes in ``written``.

    A profile that matches only through a status that Sveltos may not have updated yet is left out.
    """
    live, written, held = tuple(live), tuple(written), {hold.profile: hold for hold in holds}
    start, end = State.of(live), State.of(live, written)
    tracked = {profile for key in held for state in (start, end) for profile in (key, *state.dependents.of(key))}
    simulation = Simulation(start, end, SelectorIndex(start, end), tracked, frozenset(held))
    for change in written:
        simulation.apply(change)
    return frozenset(
        key
        for key, hold in held.items()
        if simulation.matches(key) >= frozenset(hold.clusters) and not simulation.unsettled(key, hold.clusters)
    )
