"""One deployment or withdrawal of one feature in one cluster, as the addon-controller's workers do it.

This module must not know of queues, nor when a worker runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from tests.support.sveltos import inventory, summaries
from tests.support.sveltos.content import FailedError, desired
from tests.support.sveltos.managed import STALE, WITHDRAWN, Deployed, ManagedClusters, Slot
from tests.support.sveltos.manager import Manager


class ConflictingError(Exception):
    """A resource is there because of another source or another profile; tried again every minute."""


@dataclass(frozen=True)
class Outcome:
    """How a worker's task ended."""

    fingerprint: str
    status: str
    """``Provisioned``, ``Failed``, ``FailedNonRetriable`` or ``Removed``."""
    message: str = ""


def deploy(
    manager: Manager, managed: ManagedClusters, summary: JsonObject, feature: str, cluster: JsonObject, fingerprint: str
) -> Outcome:
    """Deploy what is asked for, then take away what is not asked for any more; a failure takes nothing away."""
    profile, where = summaries.profile_of(summary), ObjectKey.of(cluster)
    if summaries.spec_of(summary).get("syncMode") == "DryRun":
        return Outcome(fingerprint, "Provisioned")
    done: list[tuple[Slot, Deployed]] = []
    outcome = Outcome(fingerprint, "Provisioned")
    try:
        for slot, deployed in desired(manager, summary, feature, cluster):
            _check(managed, where, slot, deployed)
            managed.put(where, slot, deployed)
            done.append((slot, deployed))
    except FailedError as error:
        # A reference that is missing ends the deployment before anything is reported of it.
        done = [] if "does not exist" in str(error) else done
        outcome = Outcome(fingerprint, "FailedNonRetriable", str(error))
    except ConflictingError as error:
        outcome = Outcome(fingerprint, "Failed", str(error))
    inventory.report(manager, profile, where, feature, done)
    if outcome.status == "Provisioned":
        wanted = {slot for slot, _ in done}
        for slot in managed.owned(where, profile, feature):
            if slot not in wanted:
                managed.remove(where, slot, STALE)
    return outcome


def withdraw(
    manager: Manager, managed: ManagedClusters, summary: JsonObject, feature: str, cluster: JsonObject
) -> Outcome:
    """Take away all that a feature of a profile deployed, or only Sveltos' marks on it; nothing in DryRun."""
    profile, where = summaries.profile_of(summary), ObjectKey.of(cluster)
    spec = summaries.spec_of(summary)
    if spec.get("syncMode") == "DryRun":
        return Outcome("", "Failed", "mode is DryRun, nothing is reconciled")
    leaves = spec.get("stopMatchingBehavior") == "LeavePolicies"
    for slot in managed.owned(where, profile, feature):
        if leaves:
            managed.leave(where, slot)
        else:
            managed.remove(where, slot, WITHDRAWN)
    inventory.report(manager, profile, where, feature, [])
    return Outcome("", "Removed")


def _check(managed: ManagedClusters, cluster: ObjectKey, slot: Slot, wanted: Deployed) -> None:
    """Whether a resource may be deployed. Raises ConflictingError."""
    there = managed.of(cluster).get(slot)
    if there is None or there.owner is None or wanted.tier < there.tier:
        return
    other_source = there.source != wanted.source and wanted.source_tier >= there.source_tier
    if other_source or there.owner != wanted.owner:
        raise ConflictingError(
            f"A conflict was detected while deploying resource {slot}. This resource is currently deployed because of"
            f" {there.source or there.owner}"
        )
