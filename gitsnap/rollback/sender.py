"""Sends the steps of a plan to the API server, and never overwrites what somebody else changed.

Every write carries the live uid and resource version. If only the status of an object changed since the plan, which
Sveltos writes often, the request is built again. If the object itself changed, the step is a conflict.
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
from gitsnap.core.text import describe
from gitsnap.rollback.plan import (
    Action,
    Create,
    Delete,
    MergePatch,
    Plan,
    Replace,
    Step,
    build_request,
    changed_since,
)
from gitsnap.rollback.plan.writes import Request
from gitsnap.sveltos import pausing, restore
from gitsnap.sveltos.normalize import normalize

_ATTEMPTS = 5
"""How often a request is built again after a controller wrote the status of the object."""

_REPLAN_HINT = "Make the plan again, to see what it would do now."


@dataclass(frozen=True, slots=True)
class AppliedStep:
    """A step that was written."""

    step: Step
    before: JsonObject | None
    """The live object before the write, None if there was none."""
    after: JsonObject | None
    """The server's response, None for a deleted object."""


@dataclass(slots=True)
class Sender:
    """Sends the steps of one plan. A later step of the same object builds on the response to the earlier one."""

    cluster: Cluster
    plan: Plan
    _responses: dict[ObjectKey, JsonObject | None] = field(default_factory=dict)

    def send(self, step: Step) -> AppliedStep:
        """Write a step.

        Raises ConflictError if the object, apart from its status, changed since the plan or since its last response.
        """
        step = self.up_to_date(step)
        applied = self._release(step) if step.action is Action.RELEASE else self._write(step)
        self._responses[step.key] = applied.after
        return applied

    def up_to_date(self, step: Step) -> Step:
        """The step with the response to an earlier step of its object as live object."""
        return replace(step, live=self._responses[step.key]) if step.key in self._responses else step

    def remember(self, key: ObjectKey, live: JsonObject | None) -> None:
        """Record the live object in place of a response that was lost; None if it does not exist."""
        self._responses[key] = live

    def _write(self, step: Step) -> AppliedStep:
        live, response = self.request(step, dry_run=False)
        if step.action is Action.RECREATE and live is not None:
            response = self._create_again(step, live)
        return AppliedStep(step, live, response)

    def request(self, step: Step, *, dry_run: bool) -> tuple[JsonObject | None, JsonObject | None]:
        """Send the request of a step. Returns the live object for which it was built, and the server's response."""
        live = step.live
        for _ in range(_ATTEMPTS):
            request = build_request(step, live, controller_labels=self.plan.controller_labels)
            try:
                return live, _send_request(self.cluster, request, dry_run=dry_run)
            except AlreadyExistsError:
                raise
            except ConflictError as error:
                conflict = error
            live = self._read_again(step)
        raise conflict

    def _read_again(self, step: Step) -> JsonObject:
        """The current object. Raises ConflictError if more than its status changed since the plan."""
        try:
            fresh = self.cluster.get(step.key)
        except NotFoundError:
            raise ConflictError(
                f"{describe(step.key)} was deleted since the plan was made", hint=_REPLAN_HINT
            ) from None
        if changed_since(step, fresh, controller_labels=self.plan.controller_labels):
            raise ConflictError(f"{describe(step.key)} has changed since the plan was made", hint=_REPLAN_HINT)
        return fresh

    def _create_again(self, step: Step, old: JsonObject) -> JsonObject | None:
        """Create the object of a recreation after its deletion. If that fails, the old object is restored."""
        try:
            return _send_request(self.cluster, build_request(step, None, controller_labels=()), dry_run=False)
        except ClusterUnreachableError:
            raise
        except GitsnapError as error:
            archived = normalize(old)
            try:
                self.cluster.create(restore.build_creation(archived, api_version=str(old["apiVersion"])))
            except GitsnapError as second:
                raise RecreationError(
                    f"{error.message}; it was deleted, and restoring it failed too: {second.message}"
                ) from error
            raise RecreationError(f"{error.message}; it was deleted, and was restored as it was") from error

    def _release(self, step: Step) -> AppliedStep:
        """Release a profile if gitsnap still holds it. Other changes of the profile are kept."""
        for _ in range(_ATTEMPTS):
            try:
                fresh = self.cluster.get(step.key)
            except NotFoundError:
                return AppliedStep(step, None, None)
            if not pausing.is_held(fresh):
                return AppliedStep(step, fresh, fresh)
            try:
                patch = MergePatch(step.key, pausing.release_patch(fresh))
                return AppliedStep(step, fresh, _send_request(self.cluster, patch, dry_run=False))
            except ConflictError as error:
                conflict = error
        raise conflict


class RecreationError(ConflictError):
    """An object was deleted and could not be created again: the step failed, and still wrote something."""


def _send_request(cluster: Cluster, request: Request, *, dry_run: bool) -> JsonObject | None:
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
