"""How long the requests of one stretch of work may take together, beside what each of them may take.

This module must not send requests.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import ClusterUnreachableError


class Allowance:
    """The time that is left to a cluster; unlimited but within ``within``."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._end: float | None = None

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """From now on, all requests together may take so long."""
        self._seconds, self._end = seconds, time.monotonic() + seconds
        try:
            yield
        finally:
            self._end = None

    def of(self, seconds: float, request: Request) -> float:
        """As much of ``seconds`` as is left. Raises ClusterUnreachableError when nothing is."""
        if self._end is None:
            return seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise ClusterUnreachableError(
                f"{request.server}: cannot {request.what}: the cluster was not read within {self._seconds:.0f} s",
                hint="Something there answers late or not at all: an overloaded API server, or a webhook behind it.",
            )
        return min(seconds, left)

    def check(self, request: Request) -> None:
        """Raises ClusterUnreachableError when no time is left."""
        self.of(0.0, request)
