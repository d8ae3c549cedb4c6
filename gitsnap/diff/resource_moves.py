"""Resources of one managed cluster that move from one profile to another.

Their documents are in different sources before and after, so they are compared across the two profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitsnap.core.model import ObjectKey
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.document_changes import DocumentChange
from gitsnap.diff.entry_actions import RESOURCES
from gitsnap.diff.resource_entries import ResourceEntries, Slot, deployment_type
from gitsnap.sveltos.inventory import DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView

Moves = Mapping[tuple[ObjectKey, ObjectKey], list[Slot]]
"""Resources by the profile that deployed them and the profile that deploys them now."""

ProfileChange = tuple[ObjectKey, DocumentChange]
"""A profile, and a changed document among the documents that it deploys."""


class ResourceMoves:
    """Finds the moves in one cluster."""

    def __init__(self, deployments: Deployments, cluster: ClusterRef, entries: ResourceEntries) -> None:
        self._deployments = deployments
        self._before = deployments.before
        self._after = deployments.after
        self._cluster = cluster
        self._entries = entries

    def completed(self) -> Moves:
        """Return the resources that another profile deploys now, or deployed until it failed."""
        moves: dict[tuple[ObjectKey, ObjectKey], list[Slot]] = {}
        entries = self._entries
        for slot in sorted({*entries.other_profiles(), *self._unlisted()}):
            former = self._deployer(slot, entries.old, self._before)
            profile = self._deployer(slot, entries.new, self._after)
            if former is not None and profile is not None and former != profile:
                moves.setdefault((former, profile), []).append(slot)
        return moves

    def _unlisted(self) -> set[Slot]:
        """Return the resources that failures on both sides may keep out of both inventories."""
        if not self._after.failing_profiles(self._cluster, RESOURCES):
            return set()
        documents = (
            document
            for profile in self._before.failing_profiles(self._cluster, RESOURCES)
            for document in self._deployments.content(self._before, profile, self._cluster).documents
        )
        return {
            Slot.of_document(document)
            for document in documents
            if "{{" not in document.identity.name + document.identity.namespace
            and not any(document.explains(slot.key, local=slot.local) for slot in self._entries.all)
        }

    def _deployer(self, slot: Slot, listed: Mapping[Slot, DeployedResource], side: TreeView) -> ObjectKey | None:
        """Return the profile that deploys a resource on one side: the listed profile, or a profile that failed."""
        if slot in listed:
            return listed[slot].profile if listed[slot].feature == RESOURCES else None
        for profile in side.failing_profiles(self._cluster, RESOURCES):
            if self._deployments.content(side, profile, self._cluster).explains(slot.key, local=slot.local):
                return profile
        return None

    def pending(self, removed: Sequence[ProfileChange], added: Sequence[ProfileChange]) -> Moves:
        """Return the resources that another profile is configured to deploy, while the inventory lists the old one.

        ``removed`` and ``added`` are the documents that profiles no longer deploy, or newly deploy.
        """
        moves: dict[tuple[ObjectKey, ObjectKey], list[Slot]] = {}
        # Without such a profile the resources are not visited: the visit is most of the work for a large cluster.
        for slot in self._entries.in_both if removed or self._deployments.deleted_profiles else ():
            former = self._entries.new[slot].profile
            if former in self._deployments.deleted_profiles or any(
                profile == former and is_change_of(slot, change) for profile, change in removed
            ):
                for profile in sorted(self._new_deployers(slot, added) - {former}):
                    moves.setdefault((former, profile), []).append(slot)
        return moves

    def _new_deployers(self, slot: Slot, added: Sequence[ProfileChange]) -> set[ObjectKey]:
        """Return the profiles that are configured to deploy a resource now and were not before."""
        profiles = {profile for profile, change in added if is_change_of(slot, change)}
        for profile in self._deployments.new_profiles(self._cluster):
            if self._deployments.content(self._after, profile, self._cluster).explains(slot.key, local=slot.local):
                profiles.add(profile)
        return profiles


def is_change_of(slot: Slot, change: DocumentChange) -> bool:
    """Return whether a changed document may belong to a resource."""
    return slot.deployment_type == deployment_type(local=change.local) and change.fits(slot.key)
