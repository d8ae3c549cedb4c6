"""Delays of the simulator: of watch events until the cache, of keys in queues, and of deployments.

This module must not know which actions are delayed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Lags:
    """Delays in seconds, drawn between two bounds with a fixed seed.

    ``exact`` lists the first draws of a name, in order. Later draws use the bounds.
    """

    seed: int = 0
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    exact: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self, name: str, detail: str = "") -> float:
        """Draw a delay for a name such as ``cache``. Bounds of ``cache ClusterSet`` take precedence over ``cache``."""
        full = f"{name} {detail}".rstrip()
        if self.exact.get(full):
            return self.exact[full].pop(0)
        low, high = self.bounds.get(full) or self.bounds.get(name) or DEFAULT[name]
        return self._random.uniform(low, high)


DEFAULT: Mapping[str, tuple[float, float]] = {
    "cache": (0.001, 0.1),
    "queue": (0.001, 0.05),
    "deploy": (0.1, 0.5),
    "sync": (0.05, 0.5),
    "request": (0.005, 0.03),
}
"""Delays of a running addon-controller on two cores. ``sync`` is the first list after a start, ``request`` a request
of a client."""

INSTANT: Mapping[str, tuple[float, float]] = {**dict.fromkeys(DEFAULT, (0.0, 0.0)), "request": (0.001, 0.001)}
"""No delays: the controllers act before the next write."""
