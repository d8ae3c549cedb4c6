"""Groups of changes that cannot affect each other's matches.

The order of each group can be found alone: a step of one group neither harms a match of another group nor makes a step
of another group harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.match_states import SELECTING_KINDS, SET_KINDS, State, StepChange
from gitsnap.rollback.plan.selector_index import SelectorIndex
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import prerequisites_of, sets_of


class _Groups:
    """Disjoint groups of objects (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[ObjectKey, ObjectKey] = {}

    def find(self, key: ObjectKey) -> ObjectKey:
        """The object that stands for the group of ``key``."""
        root = key
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while (parent := self._parents.get(key, key)) != root:
            self._parents[key] = root
            key = parent
        return root

    def join(self, key: ObjectKey, others: Iterable[ObjectKey]) -> None:
        """Join the group of ``key`` with the groups of other objects."""
        root = self.find(key)
        for other in others:
            self._parents[self.find(other)] = root


def group_changes(changes: Sequence[StepChange], index: SelectorIndex, states: Sequence[State]) -> list[int]:
    """The number of the group of each change. Changes that can affect the same object are in one group."""
    groups = _Groups()
    for state in states:
        for key, document in state.selecting.items():
            groups.join(key, (*prerequisites_of(document), *sets_of(document)))
    for change in changes:
        kind = change.key.kind
        if kind in kinds.CLUSTER_KINDS:
            relabelling = index.relabelling(change)
            groups.join(change.key, (*relabelling.selecting, *relabelling.sets))
        elif kind in SELECTING_KINDS | SET_KINDS:
            groups.join(change.key, index.affected_by(change))
            groups.join(change.key, (key for state in states for key in state.former_prerequisites(change.key)))
    numbers: dict[ObjectKey, int] = {}
    return [numbers.setdefault(groups.find(change.key), len(numbers)) for change in changes]


def merge_orders(orders: Iterable[Sequence[int]]) -> list[int]:
    """One order of the positions of several groups.

    The next position is always the smallest of those that come next in their groups. This is the order that results if
    the groups are ordered together, and the first change in the preferred order that does no harm is always taken.
    """
    sequences = [order for order in orders if order]
    heads = [(order[0], number, 0) for number, order in enumerate(sequences)]
    heapify(heads)
    merged = []
    while heads:
        position, number, index = heads[0]
        merged.append(position)
        following = index + 1
        if following < len(sequences[number]):
            heapreplace(heads, (sequences[number][following], number, following))
        else:
            heappop(heads)
    return merged
