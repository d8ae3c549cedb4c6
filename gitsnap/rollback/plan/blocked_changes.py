"""Changes that would do harm in the current state, until later steps touch the matches that they would harm.

``ordering`` decides what harm is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.match_states import Matches
from gitsnap.sveltos.matching import ClusterRef


class BlockedChanges:
    """Positions of changes in an order, each with the matches that the change would harm."""

    def __init__(self) -> None:
        self._harm: dict[int, dict[ObjectKey, set[ClusterRef]]] = {}
        self._by_pair: dict[tuple[ObjectKey, ClusterRef], set[int]] = {}
        self._by_key: dict[ObjectKey, set[int]] = {}

    @property
    def harmed_profiles(self) -> Mapping[int, frozenset[ObjectKey]]:
        """The position of each blocked change, with the profiles that the change would harm."""
        return {position: frozenset(harm) for position, harm in self._harm.items()}

    def add(self, position: int, harm: Mapping[ObjectKey, Matches]) -> None:
        """Block the change at ``position``, which would harm these matches."""
        self._harm[position] = {key: set(clusters) for key, clusters in harm.items()}
        for key, clusters in harm.items():
            self._by_key.setdefault(key, set()).add(position)
            for cluster in clusters:
                self._by_pair.setdefault((key, cluster), set()).add(position)

    def unblock(self, touched: Mapping[ObjectKey, Collection[ClusterRef] | None]) -> list[int]:
        """Remove and return the changes that may have become harmless, sorted.

        ``touched`` are the matches that a step changed, None for all clusters of an object. A change is unblocked once
        steps have touched every match that it would have harmed.
        """
        unblocked = []
        for key, clusters in touched.items():
            positions = self._by_key.pop(key, set()) if clusters is None else self._pop_pairs(key, clusters)
            for position in positions:
                harm = self._harm.get(position, {})
                if clusters is not None:
                    harm.get(key, set()).difference_update(clusters)
                if clusters is None or not harm.get(key):
                    harm.pop(key, None)
                if not harm and self._harm.pop(position, None) is not None:
                    unblocked.append(position)
        return sorted(unblocked)

    def _pop_pairs(self, key: ObjectKey, clusters: Collection[ClusterRef]) -> set[int]:
        return set().union(*(self._by_pair.pop((key, cluster), ()) for cluster in clusters))
