"""Waits until Sveltos reports what the next step rests on: a set, the matches of a profile, a pause.

What no status reports, such as a label in a cache of Sveltos, is given a fixed time.
The API server tells by a watch; a cluster that cannot be watched is asked again and again. This module must not write
to a cluster, and reads no clock but the one it is given.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial

from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError, GoneError, NotFoundError, UnsettledError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster, Watched
from gitsnap.rollback.plan import Step, Wait
from gitsnap.rollback.plan.match_states import SELECTING_KINDS, SET_KINDS, labels_read
from gitsnap.rollback.plan.transitions import PAUSES, change_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import observed, sets_of

_AGAIN_SECONDS = 0.2
"""Between two looks at an object where nothing tells that it changed."""

_LONGEST_WATCH_SECONDS = 10
"""A watch that tells nothing is begun anew: an object may have changed unseen while the connection broke."""

_STEADY_SECONDS = 5.0
"""After a change of a set, its status moves within half a second on a machine that is not overloaded."""

_PAUSE_SECONDS = 15.0
"""How long all pauses may take to show. Sveltos before 1.0 never reports one, so that this is no reason to stop."""

CACHE_SECONDS = 3.0
"""Sveltos has a cache for each kind, and the API does not tell how old it is.

A cache of clusters that was behind that of profiles took add-ons from a cluster, in one rollback of eighteen on an
overloaded machine. The lag was less than a second. docs/ROLLBACK.md names these seconds as what is assumed.
"""


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


class _Group(enum.Enum):
    """Objects of which Sveltos has separate caches, and that decide together about a match."""

    CLUSTERS = "clusters"
    SETS = "sets"
    SELECTING = "selecting"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Settling:
    """Waits for one rollback."""

    cluster: Cluster
    patience: Patience
    _written: dict[tuple[_Group, Hashable], float] = field(default_factory=dict, init=False, repr=False, compare=False)
    """When this rollback last wrote what a match rests on: a label, a set, a selector that reads one of them."""
    _shown: dict[Wait, float] = field(default_factory=dict, init=False, repr=False, compare=False)
    """When the status of a set first showed what was waited for, since the last write of that kind."""

    def wrote(self, step: Step, controller_labels: Collection[str]) -> None:
        """Remember that a step was written, for the steps that must not come before Sveltos has seen it."""
        if _group(step) in (_Group.CLUSTERS, _Group.SETS):
            self._shown.clear()
        for rest in _rests(step, controller_labels):
            self._written[_group(step), rest] = self.patience.now()

    def until_seen(self, step: Step, controller_labels: Collection[str]) -> None:
        """Let time pass before a step, until the caches of Sveltos have what the same match rests on.

        A selector and a label are in different caches. Whichever is written last waits for the other one, and one pause
        covers every later step. This is a part of holding, and no matter of how long somebody waits for a report.
        """
        mine, group = _rests(step, controller_labels), _group(step)
        times = [self._written.get((other, rest)) for rest in mine for other in _Group if other is not group]
        last = max((time for time in times if time is not None), default=None)
        left = 0.0 if last is None else last + CACHE_SECONDS - self.patience.now()
        if left > 0:
            self.patience.say("waiting until Sveltos has seen the labels and selectors")
            self.patience.pause(left)

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
            if wait.on.kind in SET_KINDS:  # a profile reads the status from a cache, too
                self._written[_Group.SETS, wait.on] = self._shown.setdefault(wait, self.patience.now())

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
        seen = True
        for key in profiles:
            self.patience.say(f"waiting until Sveltos sees the pause of {key.name}")
            seen &= self.sees(key, _is_suspended, end - self.patience.now())
        if seen:  # reported, so that nothing needs to be assumed of the cache
            for written in [one for one in self._written if one[0] is _Group.SELECTING]:
                del self._written[written]

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


def _group(step: Step) -> _Group:
    kind = step.key.kind
    if kind in kinds.CLUSTER_KINDS:
        return _Group.CLUSTERS
    if kind in SET_KINDS:
        return _Group.SETS
    return _Group.SELECTING if kind in SELECTING_KINDS else _Group.OTHERS


def _rests(step: Step, controller_labels: Collection[str]) -> frozenset[Hashable]:
    """What a match has to do with a step: keys of labels, and sets."""
    group = _group(step)
    if group is _Group.OTHERS:
        return frozenset()
    if group is _Group.CLUSTERS:
        return frozenset(change_of(step, controller_labels).labels)
    sides = (step.live,) if step.action in PAUSES else (step.live, step.archived)
    documents = [document for document in sides if document is not None]
    used = {one for document in documents for one in (*labels_read(document), *sets_of(document))}
    return frozenset({*used, step.key} if group is _Group.SETS else used)
