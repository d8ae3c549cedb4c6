"""Sends the steps of a plan to the server, one by one, never over what somebody else changed.

Every write carries the live uid and resource version. Where only status moved since the plan (Sveltos writes it all the
time), the request is built anew; where the object itself moved, it is a conflict. This module must not decide what is
written, nor in which order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gitsnap.core.errors import (
    AlreadyExistsError,
    ClusterUnreachableError,
    ConflictError,
    GitsnapError,
    NotFoundError,
)
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.rollback.plan import Action, Create, Delete, MergePatch, Plan, Replace, Step, in_words, moved, request_of
from gitsnap.rollback.plan.writes import Request
from gitsnap.sveltos import pausing, restore
from gitsnap.sveltos.normalize import normalize

_ATTEMPTS = 5
"""How often a request is built anew after a controller wrote status in between."""

_AGAIN = "Make the plan again, to see what it would do now."


@dataclass(frozen=True, slots=True)
class Written:
    """A step that was carried out."""

    step: Step
    before: JsonObject | None
    """The object that it was written over, None where there was none."""
    after: JsonObject | None
    """The server's answer, None for an object that is gone."""


@dataclass(slots=True)
class Sender:
    """Sends for one plan, and remembers the answers: a later step for the same object builds on them."""

    cluster: Cluster
    plan: Plan
    _answers: dict[ObjectKey, JsonObject | None] = field(default_factory=dict)

    def send(self, step: Step) -> Written:
        """Carry out a step.

        Raises ConflictError when the object's own content moved since the plan was made, or since the last answer.
        """
        step = self.up_to_date(step)
        written = self._released(step) if step.action is Action.RELEASE else self._sent(step)
        self._answers[step.key] = written.after
        return written

    def up_to_date(self, step: Step) -> Step:
        """A step over what an earlier one made of its object."""
        return replace(step, live=self._answers[step.key]) if step.key in self._answers else step

    def remember(self, key: ObjectKey, answer: JsonObject | None) -> None:
        """What the server has by now of an object, where its answer was lost."""
        self._answers[key] = answer

    def _sent(self, step: Step) -> Written:
        live, answer = self.request(step, dry_run=False)
        if step.action is Action.RECREATE and live is not None:
            answer = self._created_anew(step, live)
        return Written(step, live, answer)

    def request(self, step: Step, *, dry_run: bool) -> tuple[JsonObject | None, JsonObject | None]:
        """Send the request of a step; gives the live object that it was built on, and the server's answer."""
        live = step.live
        for _ in range(_ATTEMPTS):
            request = request_of(step, live, controller_labels=self.plan.controller_labels)
            try:
                return live, _sent(self.cluster, request, dry_run=dry_run)
            except AlreadyExistsError:
                raise
            except ConflictError as error:
                conflict = error
            live = self._unmoved(step)
        raise conflict

    def _unmoved(self, step: Step) -> JsonObject:
        """The object as it is now, if what the plan was made for still holds."""
        try:
            fresh = self.cluster.get(step.key)
        except NotFoundError:
            raise ConflictError(f"{in_words(step.key)} was deleted since the plan was made", hint=_AGAIN) from None
        if moved(step, fresh, controller_labels=self.plan.controller_labels):
            raise ConflictError(f"{in_words(step.key)} was changed since the plan was made", hint=_AGAIN)
        return fresh

    def _created_anew(self, step: Step, old: JsonObject) -> JsonObject | None:
        """The second half of a recreation; where it fails, the old object is put back."""
        try:
            return _sent(self.cluster, request_of(step, None, controller_labels=()), dry_run=False)
        except ClusterUnreachableError:
            raise
        except GitsnapError as error:
            archived = normalize(old)
            try:
                self.cluster.create(restore.creation(archived, api_version=str(old["apiVersion"])))
            except GitsnapError as second:
                raise RecreationError(
                    f"{error.message}; it was deleted and could not be put back either: {second.message}"
                ) from error
            raise RecreationError(f"{error.message}; it was deleted, and was put back as it was") from error

    def _released(self, step: Step) -> Written:
        """Let a profile go, if it still is gitsnap that holds it; whatever else changed on it meanwhile stays."""
        for _ in range(_ATTEMPTS):
            try:
                fresh = self.cluster.get(step.key)
            except NotFoundError:
                return Written(step, None, None)
            if not pausing.held(fresh):
                return Written(step, fresh, fresh)
            try:
                patch = MergePatch(step.key, pausing.release_patch(fresh))
                return Written(step, fresh, _sent(self.cluster, patch, dry_run=False))
            except ConflictError as error:
                conflict = error
        raise conflict


class RecreationError(ConflictError):
    """An object was deleted and could not be created anew: something was written, though the step failed."""


def _sent(cluster: Cluster, request: Request, *, dry_run: bool) -> JsonObject | None:
    match request:
        case Create(document):
            return cluster.create(document, dry_run=dry_run)
        case Replace(document):
            return cluster.update(document, dry_run=dry_run)
        case MergePatch(key, patch):
            return cluster.patch(key, patch, dry_run=dry_run)
        case Delete(key, uid, resource_version):
            cluster.delete(key, uid=uid, resource_version=resource_version, dry_run=dry_run)
            return None
