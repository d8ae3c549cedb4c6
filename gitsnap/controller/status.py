"""The status of a Snapshot: fields and conditions. Reasons are closed sets (docs/OPERATIONS.md).

Conditions follow the Kubernetes API conventions, "Typical status properties".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gitsnap.core.consequences import FailureReason
from gitsnap.core.model import JsonObject, Kind, SampleMetadata, SecretsMode, Substitute
from gitsnap.core.objects import same_json
from gitsnap.core.text import plural, time_text
from gitsnap.format.recipients import listed

LONGEST_MESSAGE = 2000
"""Characters of a message in a status."""


class Condition(enum.StrEnum):
    """The conditions of a Snapshot."""

    READY = "Ready"
    COMPLETE = "Complete"
    PUSHED = "Pushed"
    SECRETS_RESTORABLE = "SecretsRestorable"
    FOLLOWING = "Following"


class Reason(enum.StrEnum):
    """Reasons of conditions without an error. Reasons of errors are in ``core.consequences.FailureReason``."""

    COLLECTED = "Collected"
    """Ready: the newest run took a sample."""
    SCHEDULED = "Scheduled"
    """Ready: no run yet since the policy was created or its suspension ended."""
    SUSPENDED = "Suspended"
    """Ready: samples are taken on request only until spec.suspend is removed. The condition is True because the
    controller follows the spec: ``kubectl wait`` must not block, and no alert is due."""
    ALL_KINDS_READ = "AllKindsRead"
    KINDS_CARRIED = "KindsCarried"
    """Not complete: kinds that could not be read were carried forward from the previous sample."""
    KINDS_MISSING = "KindsMissing"
    """Not complete: kinds that could not be read are missing."""
    NO_OBJECTS = "NoObjects"
    """Not complete: the sample has no object at all. The cluster is new, or everything was deleted."""
    KINDS_NOT_SERVED = "KindsNotServed"
    """Complete, but the cluster does not serve a kind of spec.resources: the kind may be misspelt."""
    PUSHED = "Pushed"
    NOT_PRUNED = "NotPruned"
    """Pushed, but samples that retention removed could not be removed from the remote (push.prune)."""
    FOLLOWING = "Following"
    """Every change becomes a commit."""
    ENCRYPTED = "Encrypted"
    PLAINTEXT = "Plaintext"
    NO_RECIPIENTS = "NoRecipients"
    """Secrets cannot be restored: the policy names no recipient to encrypt to."""
    REDACTED = "Redacted"
    OMITTED = "Omitted"


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """A new state of a condition, without its transition time."""

    type: Condition
    status: bool
    reason: Reason | FailureReason
    message: str


def update_conditions(
    before: Sequence[Mapping[str, Any]],
    updates: Sequence[ConditionUpdate],
    *,
    now: datetime,
    generation: int,
    dropped: Sequence[Condition] = (),
) -> list[JsonObject]:
    """The conditions of a status after some updates, sorted by type; ``dropped`` conditions are removed.

    ``lastTransitionTime`` changes only together with a condition's status.
    """
    conditions = {str(condition.get("type")): dict(condition) for condition in before}
    for condition_type in dropped:
        conditions.pop(condition_type, None)
    for update in updates:
        status = "True" if update.status else "False"
        known = conditions.get(update.type)
        since = known["lastTransitionTime"] if known and same_json(known.get("status"), status) else time_text(now)
        conditions[update.type] = {
            "type": str(update.type),
            "status": status,
            "reason": str(update.reason),
            "message": shorten(update.message),
            "lastTransitionTime": since,
            "observedGeneration": generation,
        }
    return [conditions[name] for name in sorted(conditions)]


def completeness(sample: SampleMetadata, not_served: Sequence[Kind] = ()) -> ConditionUpdate:
    """The condition Complete of a sample.

    ``not_served``: kinds of spec.resources that the cluster does not serve. The sample is complete without them, but a
    kind may be misspelt.
    """
    incomplete = sample.incomplete
    if not incomplete:
        message, reason = "every kind was read", Reason.ALL_KINDS_READ
        if not_served:
            reason = Reason.KINDS_NOT_SERVED
            message += f"; the cluster does not serve these kinds of spec.resources: {', '.join(map(str, not_served))}"
        if not sample.objects:
            gone = f": {plural(sample.changes.deleted, 'object')} deleted since the previous sample"
            message += f", and the cluster has no object of these kinds{gone if sample.changes.deleted else ''}"
            return ConditionUpdate(Condition.COMPLETE, False, Reason.NO_OBJECTS, message)
        return ConditionUpdate(Condition.COMPLETE, True, reason, message)
    missing = any(entry.substitute is Substitute.MISSING for entry in incomplete)
    named = ", ".join(f"{entry} ({entry.substitute}, {entry.reason})" for entry in incomplete)
    return ConditionUpdate(
        Condition.COMPLETE,
        False,
        Reason.KINDS_MISSING if missing else Reason.KINDS_CARRIED,
        f"could not be read: {named}",
    )


def restorability(mode: SecretsMode, recipients: Sequence[str], *, requested: bool) -> ConditionUpdate:
    """The condition SecretsRestorable of a sample; ``requested``: whether the policy names the mode."""
    reason, message = {
        SecretsMode.ENCRYPT: (Reason.ENCRYPTED, f"values are encrypted to {listed(recipients)}"),
        SecretsMode.PLAINTEXT: (Reason.PLAINTEXT, "values are in the archive in plain text"),
        SecretsMode.OMIT: (Reason.OMITTED, "Secrets are not read"),
        SecretsMode.REDACT: (Reason.REDACTED, "the archive has fingerprints of the values only"),
    }[mode]
    if mode is SecretsMode.REDACT and not requested:
        reason = Reason.NO_RECIPIENTS
        message = (
            "the archive has fingerprints of Secrets only, so they cannot be restored: name public keys in "
            "spec.secrets.recipients"
        )
    restorable = mode in (SecretsMode.ENCRYPT, SecretsMode.PLAINTEXT)
    return ConditionUpdate(Condition.SECRETS_RESTORABLE, restorable, reason, message)


def find_condition(status: JsonObject, condition_type: Condition) -> JsonObject:
    """A condition of a status; empty where the status lacks it."""
    conditions: Sequence[JsonObject] = status.get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == condition_type), {})


def shorten(text: str) -> str:
    """Cut a text to the longest message of a status."""
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
