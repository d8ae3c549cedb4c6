"""The time of one step of the controller, on both clocks of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple


class Instant(NamedTuple):
    """One instant on the wall clock and on the monotonic clock."""

    time: datetime
    """With a time zone. The wall clock may be set back."""
    monotonic: float
    """Seconds. This clock never goes back: it measures pauses and time-outs."""

    @classmethod
    def read(cls, now: Callable[[], datetime]) -> Instant:
        """Read both clocks; ``now`` is the wall clock."""
        return cls(now(), time.monotonic())
