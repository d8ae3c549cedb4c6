"""Waits until Sveltos reports the state that the next step needs: clusters of a set, matches of a profile, a pause.

No status reports whether a label has reached the caches of Sveltos, so the wait for a cache has a fixed length. Objects
are watched, and polled if the cluster cannot be watched.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial

from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError, GoneError, NotFoundError, NotReconciledError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster, Watchable
from gitsnap.rollback.plan import Step, Wait
from gitsnap.rollback.plan.match_states import SELECTING_KINDS, SET_KINDS, labels_read
from gitsnap.rollback.plan.transitions import PAUSES, change_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import observed_clusters, sets_of

_POLL_SECONDS = 0.2
"""Time between two reads of an object that is polled."""

_LONGEST_WATCH_SECONDS = 10
"""A silent watch is restarted after this time, because an object may change while a connection is broken."""

_STABLE_SECONDS = 5.0
"""How long a status must not change. A Sveltos that is not overloaded updates a set in 0.5 seconds."""

_PAUSE_SECONDS = 15.0
"""How long Sveltos may take to report all pauses. Versions before 1.0 never report a pause, so the wait never fails."""

CACHE_SECONDS = 3.0
"""How long a change may take to reach the caches of Sveltos. There is one for each kind, and the API shows none.

In one rollback of eighteen on an overloaded machine, the cache of clusters was behind the cache of profiles, and a
cluster lost its add-ons. The lag was less than a second. docs/ROLLBACK.md states this assumption.
"""


def _ignore(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How long to wait, with which clock, and how to report progress."""

    seconds: float
    now: Callable[[], float]
    """A monotonic clock, in seconds."""
    sleep: Callable[[float], None]
    """Sleeps for a number of seconds."""
    say: Callable[[str], None] = _ignore
    """Reports what the rollback waits for."""


class _Group(enum.Enum):
    """Groups of kinds that together determine a match, and that Sveltos caches separately."""

    CLUSTERS = "clusters"
    SETS = "sets"
    SELECTING = "selecting"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class ReadinessWaiter:
    """The waits of one rollback."""

    cluster: Cluster
    wait_options: WaitOptions
    _written: dict[tuple[_Group, Hashable], float] = field(default_factory=dict, init=False, repr=False, compare=False)
    """When this rollback last wrote an input of a match: a label, a set, or a selector that reads one of these."""
    _shown: dict[Wait, float] = field(default_factory=dict, init=False, repr=False, compare=False)
    """When the status of a set first satisfied a wait, since the last write of a cluster or set."""

    def record_write(self, step: Step, controller_labels: Collection[str]) -> None:
        """Record that a step was written now."""
        if _group(step) in (_Group.CLUSTERS, _Group.SETS):
            self._shown.clear()
        for match_input in _match_inputs(step, controller_labels):
            self._written[_group(step), match_input] = self.wait_options.now()

    def wait_for_caches(self, step: Step, controller_labels: Collection[str]) -> None:
        """Pause before a step until the caches of Sveltos have the earlier writes that affect the same match.

        A selector and a label are in different caches, so the later write of the two waits. One pause covers every
        later step. The pause does not count against ``WaitOptions.seconds``.
        """
        group = _group(step)
        times = [
            self._written[other, match_input]
            for match_input in _match_inputs(step, controller_labels)
            for other in _Group
            if other is not group and (other, match_input) in self._written
        ]
        remaining = max(times) + CACHE_SECONDS - self.wait_options.now() if times else 0.0
        if remaining > 0:
            self.wait_options.say("waiting until Sveltos has seen the labels and selectors")
            self.wait_options.sleep(remaining)

    def wait_for(self, waits: Iterable[Wait]) -> None:
        """Wait until Sveltos reports each of ``waits``, up to ``WaitOptions.seconds`` for each.

        Raises NotReconciledError, which names the wait that is not satisfied.
        """
        for wait in waits:
            self.wait_options.say(f"waiting {wait}")
            if not self.observes(wait.on, partial(_satisfies, wait), self.wait_options.seconds):
                raise NotReconciledError(
                    f"Sveltos did not report it within {self.wait_options.seconds:.0f} seconds: waited {wait}",
                    hint="Check whether the addon-controller runs. --wait SECONDS waits longer.",
                )
            if wait.on.kind in SET_KINDS:  # profiles read the status of a set from a cache as well
                self._written[_Group.SETS, wait.on] = self._shown.setdefault(wait, self.wait_options.now())

    def wait_until_stable(self, waits: Iterable[Wait]) -> None:
        """Wait until Sveltos reports each of ``waits``, and still reports it some seconds later.

        During a revert, a set must show the clusters that it showed before the rollback, and an old status looks like a
        new one. Raises NotReconciledError.
        """
        waits = tuple(waits)
        if waits:
            self.wait_for(waits)
            self.wait_options.sleep(min(_STABLE_SECONDS, self.wait_options.seconds))
            self.wait_for(waits)

    def wait_for_pauses(self, profiles: Iterable[ObjectKey]) -> None:
        """Wait until Sveltos reports these profiles as paused. Does not fail if a version never reports it."""
        end = self.wait_options.now() + min(_PAUSE_SECONDS, self.wait_options.seconds)
        reported = True
        for key in profiles:
            self.wait_options.say(f"waiting until Sveltos sees the pause of {key.name}")
            reported &= self.observes(key, _is_suspended, end - self.wait_options.now())
        if reported:  # the caches have the profiles, so later steps need not wait for them
            for group, match_input in list(self._written):
                if group is _Group.SELECTING:
                    del self._written[group, match_input]

    def observes(self, key: ObjectKey, fits: Callable[[JsonObject | None], bool], seconds: float) -> bool:
        """Whether an object satisfies ``fits`` within some seconds. ``fits`` gets None if the object does not exist."""
        end = self.wait_options.now() + seconds
        while True:
            document = self._get(key)
            if fits(document):
                return True
            remaining = end - self.wait_options.now()
            if remaining <= 0:
                return False
            self._watch(key, document, fits, remaining)

    def _get(self, key: ObjectKey) -> JsonObject | None:
        try:
            return self.cluster.get(key)
        except (NotFoundError, ClusterUnreachableError):
            return None

    def _watch(
        self, key: ObjectKey, document: JsonObject | None, fits: Callable[[JsonObject | None], bool], remaining: float
    ) -> None:
        """Watch until an event shows that the object fits, or the watch ends; without a watch, sleep."""
        resource = self.cluster.resource_type(key.kind)
        version = str(((document or {}).get("metadata") or {}).get("resourceVersion") or "")
        if isinstance(self.cluster, Watchable) and resource is not None and version:
            seconds = max(1, min(_LONGEST_WATCH_SECONDS, math.ceil(remaining)))
            try:
                for event in self.cluster.watch(resource, resource_version=version, seconds=seconds):
                    if event.change != "BOOKMARK" and ObjectKey.of(event.document) == key and fits(event.document):
                        return
            except (GoneError, AccessDeniedError, ClusterUnreachableError):
                pass  # a role that may not watch may still read
        self.wait_options.sleep(min(_POLL_SECONDS, remaining))


def _satisfies(wait: Wait, document: JsonObject | None) -> bool:
    if wait.former_hash is not None:
        status = (document or {}).get("status") or {}
        return str(status.get("dependenciesHash") or "") != wait.former_hash
    clusters = observed_clusters(document) if document is not None else frozenset()
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


def _match_inputs(step: Step, controller_labels: Collection[str]) -> frozenset[Hashable]:
    """The inputs of a match that a step writes or reads: keys of labels, and sets."""
    group = _group(step)
    if group is _Group.OTHERS:
        return frozenset()
    if group is _Group.CLUSTERS:
        return frozenset(change_of(step, controller_labels).labels)
    versions = (step.live,) if step.action in PAUSES else (step.live, step.archived)
    inputs: set[Hashable] = {step.key} if group is _Group.SETS else set()
    for document in versions:
        if document is not None:
            inputs |= {*labels_read(document), *sets_of(document)}
    return frozenset(inputs)
