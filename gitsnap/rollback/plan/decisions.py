"""What to do with one object of a selection, and why: created, updated, left alone, or refused in words.

Whatever is not certain to be a user's own, restorable state is refused. This module must not look at other objects.
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


def being_deleted(document: JsonObject) -> str:
    """Why nothing can be done with an object that is on its way out, and what to do."""
    reason = "it is being deleted: wait until it is gone, and roll back again"
    if Kind.of(document) in kinds.PROFILE_KINDS and frozen(document):
        why = "no longer paused" if pausing.paused(document) else "no longer in syncMode DryRun"
        return f"{reason}; Sveltos ends the deletion only when the profile is {why}"
    return reason


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides what to do with each selected object."""

    sample: SampleState
    live: LiveState
    options: Options
    created: frozenset[str] = frozenset()
    """Namespaces that the plan creates."""

    def step(self, key: ObjectKey) -> Step:
        """The step of an object that the sample has."""
        if key in self.sample.same:
            return Step(Action.UNCHANGED, key)
        raw = self.live.objects.get(key)
        return self._absent(key) if raw is None else self._present(key, raw)

    def _absent(self, key: ObjectKey) -> Step:
        reason = self.incomplete(key) or self._cannot_create(key) or self._unrestorable(key)
        if reason:
            return Step(Action.REFUSE, key, reason)
        archived = self._archived(key)
        reason = self.foreign(archived)
        if reason:
            return Step(Action.REFUSE, key, reason)
        return Step(Action.CREATE, key, archived=archived, api_version=self.live.served[key.kind].api_version)

    def _present(self, key: ObjectKey, raw: JsonObject) -> Step:
        if key in self.sample.unrestorable:
            found = self.sample.unrestorable[key]
            return Step(Action.REFUSE, key, self.incomplete(key) or found.reason, found.changed, live=raw)
        archived, normalized = self._archived(key), self._normalized(raw)
        changed = changed_fields(normalized, restore.wanted(archived, normalized))
        if terminating(raw):
            return Step(Action.REFUSE, key, being_deleted(raw), changed, archived=archived, live=raw)
        if not changed:
            return Step(Action.UNCHANGED, key)
        reason = self.incomplete(key) or self.foreign(raw)
        if reason:
            return Step(Action.REFUSE, key, reason, changed, archived=archived, live=raw)
        reason = restore.needs_recreation(archived, normalized)
        if not reason:
            return Step(Action.UPDATE, key, "", changed, archived=archived, live=raw)
        if not self.options.recreate:
            return Step(Action.REFUSE, key, f"{reason} (--recreate does)", changed, archived=archived, live=raw)
        if raw["metadata"].get("finalizers"):
            reason += ", and its finalizers keep it from being gone at once"
            return Step(Action.REFUSE, key, reason, changed, archived=archived, live=raw)
        version = str(raw["apiVersion"])
        return Step(Action.RECREATE, key, reason, changed, archived=archived, live=raw, api_version=version)

    def _archived(self, key: ObjectKey) -> JsonObject:
        """Brought to the newest rules, which also takes out what somebody may have written into the archive by hand."""
        return pausing.without_hold(self._normalized(self.sample.documents[key]))

    def _normalized(self, document: JsonObject) -> JsonObject:
        return normalize(document, controller_labels=self.live.controller_labels)

    # Reasons to leave an object alone -------------------------------------------------------------------------

    def incomplete(self, key: ObjectKey) -> str:
        """Why the sample says nothing of an object: it, or its kind, could not be read. ``""`` where it could."""
        for one in self.sample.incomplete:
            if one.covers(key):
                how = "holds it from an earlier one" if one.substitute is Substitute.CARRIED else "has none of it"
                what = key.kind.name if one.key is None else "this object"
                return f"the sample could not read {what} ({one.reason}) and {how}"
        return ""

    def _unrestorable(self, key: ObjectKey) -> str:
        found = self.sample.unrestorable.get(key)
        return found.reason if found else ""

    def _cannot_create(self, key: ObjectKey) -> str:
        if key.kind in kinds.CLUSTER_KINDS:
            return "the cluster is no longer registered; only its labels and annotations could be rolled back"
        if key.kind not in self.live.served:
            return f"{key.kind} is not installed in this cluster"
        if key.namespace in self.live.missing_namespaces - self.created:
            return f"the namespace {key.namespace} does not exist (--create-namespaces creates it)"
        return ""

    def foreign(self, document: JsonObject) -> str:
        """Why an object is somebody else's to change, ``""`` where it is not or where that is overridden."""
        refusal = restore.ownership(document)
        if refusal is None or (refusal.forceable and self.options.force_owned):
            return ""
        return f"{refusal.reason} (--force-owned writes it all the same)" if refusal.forceable else refusal.reason
