"""Plays a situation on a real API server: configuration A, a sample, configuration B, the rollback, and its undo.

The deletions on the managed clusters are compared with the lines of the plan. The module works with the real Sveltos
controller and with the simulator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import ControlPlane
from gitsnap.rollback import WaitOptions
from gitsnap.rollback.plan import MATCHING_KINDS, Plan, Selection
from gitsnap.sveltos import kinds
from tests.support.rollbacks import Story
from tests.support.sveltos.evaluation import unevaluated
from tests.support.sveltos.managed import Happening
from tests.support.sveltos.promises import losses, unannounced
from tests.support.sveltos.situations import Documents, Names, Situation, steps_to

ALLOWED: dict[str, Any] = {"allow_withdraw": True, "skip_refused": True, "max_delete": 100}


@dataclass
class Surroundings:
    """The management cluster, the Sveltos that runs on it, and its managed clusters."""

    cluster: ControlPlane
    happenings: Callable[[], list[Happening]]
    """Reads all events of the managed clusters, oldest first."""
    running: Callable[[str], Mapping[str, str]]
    """Reads the add-ons on the managed clusters of a namespace: cluster and resource -> content."""
    quiet: float
    """Seconds without an event after which the managed clusters count as settled."""
    controller: Callable[[str], None] = lambda _word: None
    """``down`` kills the controller, ``up`` starts it."""
    patience: float = 300.0
    """Seconds to wait for Sveltos to settle."""


@dataclass
class Round:
    """The result of a round: a rollback and its undo."""

    situation: str
    named: int = 0
    """Withdrawals that the plans named."""
    uncertain: int = 0
    """Lines of the plans about withdrawals that may happen."""
    deleted: int = 0
    """Deletions on the managed clusters."""
    unannounced: list[str] = field(default_factory=list)
    """Deletions that no line of the plan named."""
    problem: str = ""
    """Why the rollback or its undo stopped."""
    reached: bool = True
    """Whether the add-ons after the rollback are those of configuration A."""


class Player:
    """Plays one situation repeatedly, in its own namespace."""

    def __init__(self, situation: Situation, names: Names, place: Surroundings, folder: Path) -> None:
        self.situation, self.names, self.place = situation, names, place
        self.story = Story(
            folder, place.cluster, patience=lambda seconds: WaitOptions(seconds, time.monotonic, time.sleep)
        )
        self.sample_documents = situation.sample(names)
        self.keys = {ObjectKey.of(document) for document in [*self.sample_documents, *situation.live(names)]}

    def play(self) -> Round:
        """Play one round."""
        outcome = Round(self.situation.name)
        self.put(self.sample_documents)
        self.rest()
        sample, running = self.story.capture(), self.place.running(self.names.prefix)
        for documents in steps_to(self.situation, self.names):
            self.put(documents)
            if not self.situation.at_once:
                self.rest()
        selection = Selection(keys=tuple(sorted(map(ObjectKey.of, self.sample_documents))))
        if self.situation.prune:
            selection = Selection(keys=tuple(sorted(self.keys)))
        try:
            allowed = {**ALLOWED, "wait": 15 if self.situation.outage else 60}
            since = len(self.place.happenings())
            plan = self.story.plan(sample, selection, prune=self.situation.prune, **allowed)
            self._apply(outcome, plan, since)
            outcome.reached = self.place.running(self.names.prefix) == running
            if plan.writes:
                since = len(self.place.happenings())
                undo = self.story.plan_undo(**allowed)
                self._apply(outcome, undo, since, undoes=undo.sample)
        except GitsnapError as error:
            outcome.problem = f"{type(error).__name__}: {error.message}"
        return outcome

    def _apply(self, outcome: Round, plan: Plan, since: int, *, undoes: str = "") -> None:
        """Apply a plan. ``since`` is the number of events on the managed clusters before the plan was made."""
        outcome.named += len(plan.withdrawals)
        outcome.uncertain += len(plan.uncertainties)
        if not plan.writes:
            return
        if self.situation.outage:
            self.place.controller("down")
        try:
            self.story.apply(plan, undoes=undoes)
        except GitsnapError as error:
            outcome.problem = f"{type(error).__name__}: {error.message}"
        finally:
            if self.situation.outage:
                self.place.controller("up")
        self.rest()
        lost = losses(self.place.happenings(), since)
        own = [loss for loss in lost if loss.cluster.namespace == self.names.prefix]
        outcome.deleted += len(own)
        outcome.unannounced += unannounced(plan, own)

    # Surroundings ----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Wait until Sveltos has evaluated the live configuration and the managed clusters have no new events.

        On a busy machine Sveltos may evaluate a write seconds later, so the absence of events does not suffice. The
        wait ends after ``patience`` seconds in any case.
        """
        quiet = self.place.quiet * (4 if self.situation.slow else 1)
        deadline, last, seen = time.monotonic() + self.place.patience, time.monotonic(), -1
        while time.monotonic() < deadline:
            count = sum(event.cluster.namespace == self.names.prefix for event in self.place.happenings())
            if count != seen or not self._settled():
                seen, last = count, time.monotonic()
            elif time.monotonic() - last >= quiet:
                return
            time.sleep(min(1.0, quiet / 10))

    def _settled(self) -> bool:
        """Whether Sveltos has evaluated all objects of this situation and deploys or withdraws nothing."""
        resource = self.place.cluster.resource_type(kinds.CLUSTER_SUMMARY)
        if resource is None:
            return True
        pages = self.place.cluster.list(resource, namespace=self.names.prefix)
        summaries = [summary for page in pages for summary in page.items]
        return all(map(_is_settled, summaries)) and not unevaluated(self._live(), summaries)

    def _live(self) -> Iterator[JsonObject]:
        """The live clusters, sets and profiles of this situation."""
        for key in sorted(self.keys):
            if key.kind in MATCHING_KINDS:
                with suppress(NotFoundError):
                    yield self.place.cluster.get(key)

    def put(self, documents: Documents) -> None:
        """Create or update these objects of the situation, and delete its other objects."""
        wanted = set(map(ObjectKey.of, documents))
        for document in documents:
            _put(self.place.cluster, document)
        for key in sorted(self.keys - wanted):
            _delete(self.place.cluster, key)


def _is_settled(summary: JsonObject) -> bool:
    if "deletionTimestamp" in summary["metadata"]:
        return False
    mode = summary["spec"]["clusterProfileSpec"].get("syncMode")
    features = (summary.get("status") or {}).get("featureSummaries") or ()
    return mode == "DryRun" or not any(feature["status"] == "Provisioning" for feature in features)


def _put(cluster: ControlPlane, document: JsonObject) -> None:
    key = ObjectKey.of(document)
    for _ in range(200):
        try:
            live = cluster.get(key)
        except NotFoundError:
            cluster.create(document)
            if key.kind == kinds.SVELTOS_CLUSTER:
                cluster.patch_status(key, {"status": {"ready": True, "connectionStatus": "Healthy"}})
            return
        if "deletionTimestamp" in live["metadata"]:
            time.sleep(0.5)
            continue
        kept = {name: live["metadata"][name] for name in _KEPT if name in live["metadata"]}
        try:
            cluster.update({**live, **document, "metadata": {**document["metadata"], **kept}})
        except ConflictError:
            continue
        return


_KEPT = ("uid", "resourceVersion", "finalizers", "ownerReferences")


def _delete(cluster: ControlPlane, key: ObjectKey) -> None:
    try:
        cluster.delete(key, uid=cluster.get(key)["metadata"]["uid"])
    except NotFoundError:
        return


def summarize(rounds: Iterable[Round]) -> str:
    """The totals of the rounds, one line for each situation."""
    by_situation: dict[str, list[Round]] = {}
    for outcome in rounds:
        by_situation.setdefault(outcome.situation, []).append(outcome)
    return "\n".join(_summary(name, outcomes) for name, outcomes in by_situation.items())


def _summary(name: str, rounds: list[Round]) -> str:
    named, uncertain, deleted = (sum(getattr(played, count) for played in rounds) for count in _COUNTS)
    unannounced, stopped = (
        sum(bool(played.unannounced) for played in rounds),
        sum(bool(played.problem) for played in rounds),
    )
    return (
        f"{name:20} {len(rounds):4} rounds, {named:4} lines named, {uncertain:4} uncertain, {deleted:5} deletions,"
        f" {unannounced:4} rounds with unannounced deletions, {stopped:4} stopped,"
        f" {sum(played.reached for played in rounds):4} reached A"
    )


_COUNTS = ("named", "uncertain", "deleted")
