"""Timed actions: virtual time for properties, and the wall clock for the simulator as a child process.

Actions run in the order of their times. Actions with equal times run in the order in which they were added.
This module must not know what the actions do.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Timeline:
    """Seconds since the start, and the pending actions."""

    now: float = 0.0
    _entries: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule an action some seconds from now."""
        heapq.heappush(self._entries, (self.now + seconds, next(self._numbers), action))

    @property
    def due(self) -> float | None:
        """The time of the next action, None without pending actions."""
        return self._entries[0][0] if self._entries else None

    def run_until(self, moment: float) -> None:
        """Advance the time to a moment, and run all actions that are due."""
        while self._entries and self._entries[0][0] <= moment:
            time, _, action = heapq.heappop(self._entries)
            self.now = max(self.now, time)
            action()
        self.now = max(self.now, moment)

    def advance(self, seconds: float) -> None:
        """Advance the time by some seconds."""
        self.run_until(self.now + seconds)
