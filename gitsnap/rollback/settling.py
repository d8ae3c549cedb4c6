"""Waits until Sveltos reports what the next step rests on: a set, the matches of a profile, a pause.

The API server tells by a watch; a cluster that cannot be watched is asked again and again. This module must not write
to a cluster, and reads no clock but the one it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from gitsnap.errors import AccessDeniedError, ClusterUnreachableError, GoneError, NotFoundError, UnsettledError
from gitsnap.model import JsonObject, ObjectKey
from gitsnap.plan import Wait
from gitsnap.ports import Cluster, Watched
from gitsnap.sveltos.matching import observed

_AGAIN_SECONDS = 0.2
"""Between two looks at an object where nothing tells that it changed."""

_LONGEST_WATCH_SECONDS = 10
"""A watch that tells nothing is begun anew: an object may have changed unseen while the connection broke."""

_STEADY_SECONDS = 5.0
"""After a change of a set, its status moves within half a second on a machine that is not overloaded."""

_PAUSE_SECONDS = 15.0
"""How long all pauses may take to show. Sveltos before 1.0 never reports one, so that this is no reason to stop."""


def _silent(_text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody waits, and by which clock."""

    seconds: float
    now: Callable[[], float]
    """A clock that never goes back."""
    pause: Callable[[float], None]
    """Let this many seconds pass."""
    say: Callable[[str], None] = _silent
    """Told what is waited for."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Waits for one rollback."""

    cluster: Cluster
    patience: Patience

    def until(self, waits: Iterable[Wait]) -> None:
        """Wait until Sveltos reports all of it, each for as long as the patience lasts.

        Raises UnsettledError, which names what Sveltos does not report.
        """
        for wait in waits:
            self.patience.say(f"waiting {wait}")
            if not self.sees(wait.on, partial(_reports, wait), self.patience.seconds):
                raise UnsettledError(
                    f"Sveltos does not report it within {self.patience.seconds:.0f} seconds: waited {wait}",
                    hint="See whether the addon-controller runs. --wait SECONDS waits longer.",
                )

    def steadily(self, waits: Iterable[Wait]) -> None:
        """Wait until Sveltos reports all of it, and goes on to. Raises UnsettledError.

        On the way back a set is to show what it showed before, so that an old status cannot be told from a new one.
        """
        waits = tuple(waits)
        if waits:
            self.until(waits)
            self.patience.pause(min(_STEADY_SECONDS, self.patience.seconds))
            self.until(waits)

    def until_paused(self, profiles: Iterable[ObjectKey]) -> None:
        """Wait until Sveltos says that it leaves these profiles alone, where its version says so at all."""
        end = self.patience.now() + min(_PAUSE_SECONDS, self.patience.seconds)
        for key in profiles:
            self.patience.say(f"waiting until Sveltos sees the pause of {key.name}")
            self.sees(key, _is_suspended, end - self.patience.now())

    def sees(self, key: ObjectKey, fits: Callable[[JsonObject | None], bool], seconds: float) -> bool:
        """Whether an object comes to fit within some seconds; None stands for one that does not exist."""
        end = self.patience.now() + seconds
        while True:
            document = self._get(key)
            if fits(document):
                return True
            left = end - self.patience.now()
            if left <= 0:
                return False
            self._follow(key, document, fits, left)

    def _get(self, key: ObjectKey) -> JsonObject | None:
        try:
            return self.cluster.get(key)
        except (NotFoundError, ClusterUnreachableError):
            return None

    def _follow(
        self, key: ObjectKey, document: JsonObject | None, fits: Callable[[JsonObject | None], bool], left: float
    ) -> None:
        """Until an event says that the object fits, or the watch ends."""
        resource = self.cluster.resource_type(key.kind)
        version = str(((document or {}).get("metadata") or {}).get("resourceVersion") or "")
        if isinstance(self.cluster, Watched) and resource is not None and version:
            seconds = max(1, min(_LONGEST_WATCH_SECONDS, math.ceil(left)))
            try:
                for event in self.cluster.watch(resource, resource_version=version, seconds=seconds):
                    if event.change != "BOOKMARK" and ObjectKey.of(event.document) == key and fits(event.document):
                        return
            except (GoneError, AccessDeniedError, ClusterUnreachableError):
                pass  # who may not watch may read all the same
        self.patience.pause(min(_AGAIN_SECONDS, left))


def _reports(wait: Wait, document: JsonObject | None) -> bool:
    if wait.former_hash is not None:
        status = (document or {}).get("status") or {}
        return str(status.get("dependenciesHash") or "") != wait.former_hash
    clusters = observed(document) if document is not None else frozenset()
    return clusters.issuperset(wait.shows) and clusters.isdisjoint(wait.lacks)


def _is_suspended(document: JsonObject | None) -> bool:
    status = (document or {}).get("status") or {}
    return document is None or bool(status.get("suspensionReason") or status.get("reconciliationSuspended"))
