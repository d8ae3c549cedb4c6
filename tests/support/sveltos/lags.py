"""How long everything takes: a watch event until a cache has it, a queue until a worker takes a key, a deployment.

This module must not know what is delayed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Lags:
    """Delays in seconds, drawn between two bounds with a fixed seed.

    ``exact`` replaces the draws of one name: each value once, in their order, then the bounds again.
    """

    seed: int = 0
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    exact: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self, name: str, detail: str = "") -> float:
        """A delay of a name such as ``cache``; the bounds of ``cache ClusterSet`` go before those of ``cache``."""
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
"""What was seen of a running addon-controller on two cores. ``sync`` is the first list after a start, ``request`` what
a request of a client takes."""

INSTANT: Mapping[str, tuple[float, float]] = {**dict.fromkeys(DEFAULT, (0.0, 0.0)), "request": (0.001, 0.001)}
"""No delay at all: the controllers have acted before the next write."""
