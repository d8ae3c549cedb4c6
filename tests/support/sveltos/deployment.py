"""The deployment or withdrawal of a feature in a cluster, as the workers of the addon-controller do it.

This module must not know about queues or the time at which a worker runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from tests.support.sveltos import inventory, summaries
from tests.support.sveltos.content import FailedError, desired
from tests.support.sveltos.managed import STALE, WITHDRAWN, Deployed, ManagedClusters, Slot
from tests.support.sveltos.manager import Manager


class ConflictingError(Exception):
    """The resource belongs to another source or profile. The deployment is retried every minute."""


@dataclass(frozen=True)
class Outcome:
    """The result of a worker's task."""

    fingerprint: str
    status: str
    """``Provisioned``, ``Failed``, ``FailedNonRetriable`` or ``Removed``."""
    message: str = ""


def deploy(
    manager: Manager, managed: ManagedClusters, summary: JsonObject, feature: str, cluster: JsonObject, fingerprint: str
) -> Outcome:
    """Deploy the desired resources, then remove stale resources. A failed deployment removes nothing."""
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
        # A missing reference ends the deployment before its resources are reported.
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
    """Remove the resources of a feature of a profile, or only the marks of Sveltos. In DryRun nothing is removed."""
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
    """Raise ConflictingError if a resource may not be deployed."""
    present = managed.of(cluster).get(slot)
    if present is None or present.owner is None or wanted.tier < present.tier:
        return
    other_source = present.source != wanted.source and wanted.source_tier >= present.source_tier
    if other_source or present.owner != wanted.owner:
        raise ConflictingError(
            f"A conflict was detected while deploying resource {slot}. This resource is currently deployed because of"
            f" {present.source or present.owner}"
        )
