"""The status of a Snapshot: what happened, as fields and conditions. Reasons are closed sets (docs/OPERATIONS.md).

Conditions follow the Kubernetes API conventions, "Typical status properties". This module must not talk to a cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import JsonObject, Kind, SecretsMode, Substitute
from gitsnap.core.objects import same_json
from gitsnap.format.recipients import listed

LONGEST_MESSAGE = 2000


class Condition(enum.StrEnum):
    """What is said about a Snapshot."""

    READY = "Ready"
    COMPLETE = "Complete"
    PUSHED = "Pushed"
    SECRETS_RESTORABLE = "SecretsRestorable"


class Reason(enum.StrEnum):
    """Why a condition is as it is."""

    COLLECTED = "Collected"
    """Ready: the newest run took a sample."""
    SCHEDULED = "Scheduled"
    """Ready: no run yet since the policy was made or its suspension ended."""
    INVALID_SPEC = "InvalidSpec"
    """Not ready: a field must be mended first; the message names it."""
    NOT_PERMITTED = "NotPermitted"
    """Not ready: the spec asks for what the flags of the controller do not permit; the message names field and flag."""
    SUSPENDED = "Suspended"
    """Ready: as somebody wants it, there are samples on request only until spec.suspend is taken back. Who waits for
    what was applied to become ready must not wait for that, and no alert is due."""
    RETRYING = "Retrying"
    """Not ready: the newest run failed, and is tried again soon without anybody doing something."""
    NEEDS_ATTENTION = "NeedsAttention"
    """Not ready: the newest run failed for a reason that somebody has to mend; it is tried again now and then."""
    ALL_KINDS_READ = "AllKindsRead"
    KINDS_CARRIED = "KindsCarried"
    """Not complete: kinds that could not be read are as in the sample before."""
    KINDS_MISSING = "KindsMissing"
    """Not complete: kinds that could not be read are missing."""
    PUSHED = "Pushed"
    NOT_PRUNED = "NotPruned"
    """Pushed, but what retention removed from the archive could not be removed from the remote (push.prune)."""
    BEHIND = "Behind"
    """Not pushed: the remote could not be reached; it is tried again."""
    DIVERGED = "Diverged"
    """Not pushed: the remote has commits that the archive lacks; a person has to decide."""
    PUSH_REFUSED = "PushRefused"
    """Not pushed: credentials, host key or a rule of the remote."""
    ENCRYPTED = "Encrypted"
    PLAINTEXT = "Plaintext"
    NO_RECIPIENTS = "NoRecipients"
    """Secrets cannot be restored: the policy names nobody to encrypt to."""
    REDACTED = "Redacted"
    OMITTED = "Omitted"


@dataclass(frozen=True, slots=True)
class Statement:
    """One condition, before it is known when it became so."""

    type: Condition
    status: bool
    reason: Reason
    message: str


def merged(
    before: Sequence[Mapping[str, Any]],
    statements: Sequence[Statement],
    *,
    now: datetime,
    generation: int,
    dropped: Sequence[Condition] = (),
) -> list[JsonObject]:
    """The conditions of a status: new ones in place of old ones, the rest as they were, sorted by type.

    ``lastTransitionTime`` moves only when a status changes.
    """
    conditions = {str(one.get("type")): dict(one) for one in before}
    for gone in dropped:
        conditions.pop(gone, None)
    for one in statements:
        status = "True" if one.status else "False"
        known = conditions.get(one.type)
        since = known["lastTransitionTime"] if known and same_json(known.get("status"), status) else moment(now)
        conditions[one.type] = {
            "type": str(one.type),
            "status": status,
            "reason": str(one.reason),
            "message": shortened(one.message),
            "lastTransitionTime": since,
            "observedGeneration": generation,
        }
    return [conditions[name] for name in sorted(conditions)]


def of_failure(error: GitsnapError, *, transient: bool) -> Statement:
    """Ready, after a run that took no sample."""
    return Statement(Condition.READY, False, Reason.RETRYING if transient else Reason.NEEDS_ATTENTION, str(error))


def of_completeness(incomplete: Sequence[Any], not_served: Sequence[Kind] = ()) -> Statement:
    """Complete, from the kinds and objects that a sample holds only as a substitute.

    ``not_served``: kinds that the policy adds and the cluster does not know. There is nothing of them to be read; but
    it may be that somebody has misspelt one.
    """
    if not incomplete:
        message = "every kind was read"
        if not_served:
            message += f"; of spec.resources the cluster does not serve {', '.join(map(str, not_served))}"
        return Statement(Condition.COMPLETE, True, Reason.ALL_KINDS_READ, message)
    missing = any(one.substitute is Substitute.MISSING for one in incomplete)
    named = ", ".join(f"{one} ({one.substitute}, {one.reason})" for one in incomplete)
    return Statement(
        Condition.COMPLETE,
        False,
        Reason.KINDS_MISSING if missing else Reason.KINDS_CARRIED,
        f"could not be read: {named}",
    )


def of_secrets(mode: SecretsMode, recipients: Sequence[str], *, asked_for: bool) -> Statement:
    """SecretsRestorable, from the mode of a sample; ``asked_for``: whether the policy names that mode."""
    reason, message = {
        SecretsMode.ENCRYPT: (Reason.ENCRYPTED, f"values are encrypted to {listed(recipients)}"),
        SecretsMode.PLAINTEXT: (Reason.PLAINTEXT, "values are in the archive as they are"),
        SecretsMode.OMIT: (Reason.OMITTED, "Secrets are not read"),
        SecretsMode.REDACT: (Reason.REDACTED, "the archive has fingerprints of the values only"),
    }[mode]
    if mode is SecretsMode.REDACT and not asked_for:
        reason = Reason.NO_RECIPIENTS
        message = (
            "the archive has fingerprints of Secrets only, so they cannot be restored: name public keys in "
            "spec.secrets.recipients"
        )
    restorable = mode in (SecretsMode.ENCRYPT, SecretsMode.PLAINTEXT)
    return Statement(Condition.SECRETS_RESTORABLE, restorable, reason, message)


def condition_of(status: JsonObject, wanted: Condition) -> JsonObject:
    """A condition as a status has it, empty where it has none."""
    conditions: Sequence[JsonObject] = status.get("conditions") or ()
    return next((one for one in conditions if one.get("type") == wanted), {})


def moment(time: datetime) -> str:
    """A time as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: object) -> datetime | None:
    """The inverse of ``moment``; None for anything that is no time."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def shortened(text: str) -> str:
    """Text that fits into a status."""
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
