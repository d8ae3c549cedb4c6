"""Changes that would take something away as things are, kept until a step has touched all that they would harm.

This module must not judge what harm is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.match_states import Row
from gitsnap.sveltos.matching import ClusterRef


class Blocked:
    """Changes that would do harm, and to which matches."""

    def __init__(self) -> None:
        self._harm: dict[int, dict[ObjectKey, set[ClusterRef]]] = {}
        self._by_pair: dict[tuple[ObjectKey, ClusterRef], set[int]] = {}
        self._by_key: dict[ObjectKey, set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._harm)

    @property
    def obstacles(self) -> list[frozenset[ObjectKey]]:
        """Whom each of them would harm, in their order."""
        return [frozenset(self._harm[position]) for position in sorted(self._harm)]

    def add(self, position: int, harm: Mapping[ObjectKey, Row]) -> None:
        """Remember what a change would harm."""
        self._harm[position] = {key: set(clusters) for key, clusters in harm.items()}
        for key, clusters in harm.items():
            self._by_key.setdefault(key, set()).add(position)
            for cluster in clusters:
                self._by_pair.setdefault((key, cluster), set()).add(position)

    def woken_by(self, touched: Mapping[ObjectKey, Collection[ClusterRef] | None]) -> list[int]:
        """The changes of which all that they would have harmed was touched by a step since: they may do no harm now."""
        woken = []
        for key, clusters in touched.items():
            positions = self._by_key.pop(key, set()) if clusters is None else self._touching(key, clusters)
            for position in positions:
                harm = self._harm.get(position, {})
                if clusters is not None:
                    harm.get(key, set()).difference_update(clusters)
                if clusters is None or not harm.get(key):
                    harm.pop(key, None)
                if not harm and self._harm.pop(position, None) is not None:
                    woken.append(position)
        return sorted(woken)

    def _touching(self, key: ObjectKey, clusters: Collection[ClusterRef]) -> set[int]:
        return set().union(*(self._by_pair.pop((key, cluster), ()) for cluster in clusters))
