"""Plays a situation on a real API server: configuration A, a sample, configuration B, the rollback, and its undo.

What left the managed clusters is compared with what the plan had named. This module must not know which Sveltos it is.
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
from tests.support.sveltos.promises import losses, unsaid
from tests.support.sveltos.situations import Documents, Names, Situation, steps_to

ALLOWED: dict[str, Any] = {"allow_withdraw": True, "skip_refused": True, "max_delete": 100}


@dataclass
class Surroundings:
    """What a round needs of the place where it is played."""

    cluster: ControlPlane
    happenings: Callable[[], list[Happening]]
    """Everything that happened on managed clusters so far."""
    running: Callable[[str], Mapping[str, str]]
    """What runs on the managed clusters of a namespace: cluster and resource -> content."""
    quiet: float
    """For how many seconds nothing may have happened for everything to be at rest."""
    controller: Callable[[str], None] = lambda _word: None
    """``down`` kills the controller, ``up`` starts it."""
    patience: float = 300.0


@dataclass
class Round:
    """What came of a round."""

    situation: str
    named: int = 0
    """Lines that name what leaves."""
    doubts: int = 0
    deleted: int = 0
    unsaid: list[str] = field(default_factory=list)
    problem: str = ""
    """Why the rollback or its undo did not come to its end, in words."""
    reached: bool = True
    """Whether the managed clusters have in the end what sample A had."""


class Player:
    """Plays one situation again and again, in its own namespace."""

    def __init__(self, situation: Situation, names: Names, place: Surroundings, folder: Path) -> None:
        self.situation, self.names, self.place = situation, names, place
        self.story = Story(
            folder, place.cluster, patience=lambda seconds: WaitOptions(seconds, time.monotonic, time.sleep)
        )
        self.sample_documents = situation.sample(names)
        self.keys = {ObjectKey.of(one) for one in [*self.sample_documents, *situation.live(names)]}

    def play(self) -> Round:
        """One round."""
        outcome = Round(self.situation.name)
        self.put(self.sample_documents)
        self.rest()
        sample, running = self.story.capture(), self.place.running(self.names.prefix)
        for documents in steps_to(self.situation, self.names):
            self.put(documents)
            if not self.situation.at_once:
                self.rest()
        selection = Selection(keys=tuple(sorted(ObjectKey.of(one) for one in self.sample_documents)))
        if self.situation.prune:
            selection = Selection(keys=tuple(sorted(self.keys)))
        try:
            allowed = {**ALLOWED, "wait": 15 if self.situation.outage else 60}
            since = len(self.place.happenings())
            plan = self.story.plan(sample, selection, prune=self.situation.prune, **allowed)
            self._carry_out(outcome, plan, since)
            outcome.reached = self.place.running(self.names.prefix) == running
            if plan.writes:
                since = len(self.place.happenings())
                undo = self.story.plan_undo(**allowed)
                self._carry_out(outcome, undo, since, undoes=undo.sample)
        except GitsnapError as error:
            outcome.problem = f"{type(error).__name__}: {error.message}"
        return outcome

    def _carry_out(self, outcome: Round, plan: Plan, since: int, *, undoes: str = "") -> None:
        """Carry out a plan; ``since`` is where the log of the managed clusters ended before it was made."""
        outcome.named += len(plan.withdrawals)
        outcome.doubts += len(plan.uncertainties)
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
        mine = [one for one in lost if one.cluster.namespace == self.names.prefix]
        outcome.deleted += len(mine)
        outcome.unsaid += unsaid(plan, mine)

    # The place ----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Wait until Sveltos has evaluated the live configuration and nothing has happened for a while.

        On a busy machine Sveltos may evaluate a write only seconds later; quiet alone does not show that it has. The
        wait ends after ``patience`` seconds in any case.
        """
        quiet = self.place.quiet * (4 if self.situation.slow else 1)
        deadline, last, seen = time.monotonic() + self.place.patience, time.monotonic(), -1
        while time.monotonic() < deadline:
            mine = sum(one.cluster.namespace == self.names.prefix for one in self.place.happenings())
            if mine != seen or not self._settled():
                seen, last = mine, time.monotonic()
            elif time.monotonic() - last >= quiet:
                return
            time.sleep(min(1.0, quiet / 10))

    def _settled(self) -> bool:
        """Whether Sveltos has evaluated all objects of this situation and is deploying or withdrawing nothing."""
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
        """Make the objects of this situation exactly these."""
        wanted = {ObjectKey.of(one) for one in documents}
        for document in documents:
            _put(self.place.cluster, document)
        for key in sorted(self.keys - wanted):
            _delete(self.place.cluster, key)


def _is_settled(summary: JsonObject) -> bool:
    if "deletionTimestamp" in summary["metadata"]:
        return False
    mode = summary["spec"]["clusterProfileSpec"].get("syncMode")
    features = (summary.get("status") or {}).get("featureSummaries") or ()
    return mode == "DryRun" or not any(one["status"] == "Provisioning" for one in features)


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


def summed_up(rounds: Iterable[Round]) -> str:
    """A line for each situation."""
    lines: dict[str, list[Round]] = {}
    for one in rounds:
        lines.setdefault(one.situation, []).append(one)
    return "\n".join(
        f"{name:20} {len(found):4} rounds, {sum(one.named for one in found):4} lines named,"
        f" {sum(one.doubts for one in found):4} uncertain, {sum(one.deleted for one in found):5} deletions,"
        f" {sum(bool(one.unsaid) for one in found):4} rounds with some unsaid,"
        f" {sum(bool(one.problem) for one in found):4} not to the end, {sum(one.reached for one in found):4} reached A"
        for name, found in lines.items()
    )
