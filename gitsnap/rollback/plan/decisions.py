"""The decision about one selected object: create, update, recreate, leave unchanged, or refuse with a reason.

A step is refused unless the object is certainly the user's own and restorable.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.model import JsonObject, Kind, ObjectKey, Substitute
from gitsnap.core.objects import changed_fields
from gitsnap.rollback.plan.inputs import LiveState, SampleState
from gitsnap.rollback.plan.match_states import frozen
from gitsnap.rollback.plan.steps import Action, Options, Step
from gitsnap.sveltos import kinds, pausing, restore
from gitsnap.sveltos.normalize import normalize, terminating


def terminating_reason(document: JsonObject) -> str:
    """Why an object that is being deleted is refused, and what to do about it."""
    reason = "it is being deleted: wait until it is gone, and roll back again"
    if Kind.of(document) in kinds.PROFILE_KINDS and frozen(document):
        condition = "no longer paused" if pausing.is_paused(document) else "no longer in syncMode DryRun"
        return f"{reason}; Sveltos completes the deletion only when the profile is {condition}"
    return reason


@dataclass(frozen=True, slots=True)
class StepDecider:
    """Decides about the objects of one plan, each on its own."""

    sample: SampleState
    live: LiveState
    options: Options
    created_namespaces: frozenset[str] = frozenset()
    """Namespaces that the plan creates."""

    def step(self, key: ObjectKey) -> Step:
        """The step of an object that the sample contains."""
        if key in self.live.unchanged:
            return Step(Action.UNCHANGED, key)
        live = self.live.objects.get(key)
        return self._create(key) if live is None else self._update(key, live)

    def _create(self, key: ObjectKey) -> Step:
        unrestorable = self.sample.unrestorable.get(key)
        reason = self.incomplete(key) or self._cannot_create(key) or (unrestorable.reason if unrestorable else "")
        if reason:
            return Step(Action.REFUSE, key, reason)
        archived = self._archived(key)
        reason = self.owned_by_others(archived)
        if reason:
            return Step(Action.REFUSE, key, reason)
        return Step(Action.CREATE, key, archived=archived, api_version=self.live.served[key.kind].api_version)

    def _update(self, key: ObjectKey, live: JsonObject) -> Step:
        if key in self.sample.unrestorable:
            unrestorable = self.sample.unrestorable[key]
            return Step(
                Action.REFUSE, key, self.incomplete(key) or unrestorable.reason, unrestorable.changed, live=live
            )
        archived, normalized = self._archived(key), self._normalized(live)
        changed = changed_fields(normalized, restore.desired_object(archived, normalized))
        if terminating(live):
            return Step(Action.REFUSE, key, terminating_reason(live), changed, archived=archived, live=live)
        if not changed:
            return Step(Action.UNCHANGED, key)
        reason = self.incomplete(key) or self.owned_by_others(live)
        if reason:
            return Step(Action.REFUSE, key, reason, changed, archived=archived, live=live)
        reason = restore.needs_recreation(archived, normalized)
        if not reason:
            return Step(Action.UPDATE, key, "", changed, archived=archived, live=live)
        if not self.options.recreate:
            return Step(Action.REFUSE, key, f"{reason} (--recreate does)", changed, archived=archived, live=live)
        if live["metadata"].get("finalizers"):
            reason += ", and its finalizers delay the deletion"
            return Step(Action.REFUSE, key, reason, changed, archived=archived, live=live)
        version = str(live["apiVersion"])
        return Step(Action.RECREATE, key, reason, changed, archived=archived, live=live, api_version=version)

    def _archived(self, key: ObjectKey) -> JsonObject:
        """The archived object, normalized by the current rules.

        The rules also remove fields that somebody added to the archive by hand.
        """
        return pausing.without_hold(self._normalized(self.sample.documents[key]))

    def _normalized(self, document: JsonObject) -> JsonObject:
        return normalize(document, controller_labels=self.live.controller_labels)

    # Reasons to leave an object alone -------------------------------------------------------------------------

    def incomplete(self, key: ObjectKey) -> str:
        """Why the sample says nothing about an object: the object, or its kind, could not be read; else ``""``."""
        for failure in self.sample.incomplete:
            if failure.covers(key):
                carried = failure.substitute is Substitute.CARRIED
                content = "holds it from an earlier sample" if carried else "does not contain it"
                unread = key.kind.name if failure.key is None else "this object"
                return f"the sample could not read {unread} ({failure.reason}) and {content}"
        return ""

    def _cannot_create(self, key: ObjectKey) -> str:
        if key.kind in kinds.CLUSTER_KINDS:
            return "the cluster is no longer registered; only its labels and annotations could be rolled back"
        if key.kind not in self.live.served:
            return f"{key.kind} is not installed in this cluster"
        if key.namespace in self.live.missing_namespaces - self.created_namespaces:
            return f"the namespace {key.namespace} does not exist (--create-namespaces creates it)"
        return ""

    def owned_by_others(self, document: JsonObject) -> str:
        """Why an object belongs to another controller; ``""`` if it does not, or if --force-owned overrides that."""
        refusal = restore.ownership(document)
        if refusal is None or (refusal.forceable and self.options.force_owned):
            return ""
        return f"{refusal.reason} (--force-owned writes it anyway)" if refusal.forceable else refusal.reason
