"""Actions at moments: virtual time for properties, and the wall clock for a simulator in a process of its own.

Actions run in the order of their moments; of two at one moment the one that was entered first runs first.
This module must not know what the actions do.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Timeline:
    """Seconds since the start, and what is due when."""

    now: float = 0.0
    _entries: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action some seconds from now."""
        heapq.heappush(self._entries, (self.now + seconds, next(self._numbers), action))

    @property
    def due(self) -> float | None:
        """The moment of the next action, None where nothing is planned."""
        return self._entries[0][0] if self._entries else None

    def run_until(self, moment: float) -> None:
        """Let the time pass up to a moment, with every action that is due until then."""
        while self._entries and self._entries[0][0] <= moment:
            time, _, action = heapq.heappop(self._entries)
            self.now = max(self.now, time)
            action()
        self.now = max(self.now, moment)

    def advance(self, seconds: float) -> None:
        """Let some seconds pass."""
        self.run_until(self.now + seconds)
