"""A time limit for many requests together, beside the time-out of each request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import ClusterUnreachableError


class Deadline:
    """The time by which all requests of a block ``within`` must be answered. Other requests have no such limit."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._end: float | None = None
        """Monotonic time."""

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit all requests of the block together to ``seconds``."""
        self._seconds, self._end = seconds, time.monotonic() + seconds
        try:
            yield
        finally:
            self._end = None

    def limit(self, seconds: float, request: Request) -> float:
        """The smaller of ``seconds`` and the time that is left. Raises ClusterUnreachableError when no time is left."""
        if self._end is None:
            return seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise ClusterUnreachableError(
                f"{request.server}: cannot {request.action}: the cluster was not read within {self._seconds:.0f} s",
                hint="The API server answers late or not at all: it, or a webhook behind it, may be overloaded.",
            )
        return min(seconds, left)

    def check(self, request: Request) -> None:
        """Raise ClusterUnreachableError when no time is left."""
        self.limit(0.0, request)
