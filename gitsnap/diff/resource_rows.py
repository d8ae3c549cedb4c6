"""Rows for the resources that profiles deploy to one managed cluster.

The inventory shows which resources were added and deleted, the source documents show which were modified. An entry that
the inventory lacks because a deployment failed was neither added nor deleted. The order of entries and the times in the
inventory are ignored. This module must not know Helm releases.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.core.model import ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import describe
from gitsnap.diff.cluster_reports import ClusterReport
from gitsnap.diff.deployments import Content, Deployments
from gitsnap.diff.document_changes import DocumentChange
from gitsnap.diff.entry_actions import RESOURCES, EntryActions
from gitsnap.diff.mode_changes import PAUSE, blocking_mode
from gitsnap.diff.raw_diff import TextPair
from gitsnap.diff.resource_entries import ResourceEntries, Slot, deployment_type
from gitsnap.diff.resource_moves import Moves, ProfileChange, ResourceMoves, is_change_of
from gitsnap.diff.rows import (
    DEPLOYMENT_FAILED,
    DEPLOYMENT_HAD_FAILED,
    SEE_RAW_DIFF,
    Action,
    ClusterChanges,
    DiffRow,
    object_title,
)
from gitsnap.sveltos.inventory import LOCAL, DeployedResource
from gitsnap.sveltos.kinds import PROFILE_KINDS
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.modes import DRY_RUN, sync_mode
from gitsnap.sveltos.source_documents import SourceDocument
from gitsnap.sveltos.tree_view import TreeView

KUSTOMIZE = "Kustomize"

NOT_DEPLOYED = "not in the inventory, not deployed yet"
NOT_APPLIED = " (not applied yet)"
IN_MANAGEMENT_CLUSTER = "in the management cluster"


def compare_resources(
    deployments: Deployments, cluster: ClusterRef, old: ClusterReport, new: ClusterReport
) -> ClusterChanges:
    """Return the changes of the resources of one cluster. ``old`` and ``new``: the reports of the two inventories."""
    comparison = _ResourceComparison(deployments, cluster, ResourceEntries(old, new))
    comparison.run()
    return comparison.changes


class _ResourceComparison:
    """Compares the resources of one cluster."""

    def __init__(self, deployments: Deployments, cluster: ClusterRef, entries: ResourceEntries) -> None:
        self._deployments = deployments
        self._before = deployments.before
        self._after = deployments.after
        self._cluster = cluster
        self._entries = entries
        self._entry_actions = EntryActions(deployments, cluster)
        self._modified: dict[Slot, str] = {}
        """Messages of modified resources."""
        self._states: dict[tuple[ObjectKey, ObjectKey, str], str] = {}
        """The results of ``_find_state`` by its arguments."""
        self.changes = ClusterChanges()

    def run(self) -> None:
        """Collect the rows. Modified resources come first: they explain entries that the inventory alone does not."""
        self._find_modified()
        self._add_deleted()
        self._add_added()
        self._add_unlisted(self._before, self._after, Action.ADDED, DEPLOYMENT_FAILED)
        self._add_unlisted(self._after, self._before, Action.DELETED, DEPLOYMENT_HAD_FAILED)
        for slot, message in sorted(self._modified.items()):
            self._add_row(slot, Action.MODIFIED, message)

    # Modified -------------------------------------------------------------------------------------------------

    def _find_modified(self) -> None:
        removed: list[ProfileChange] = []
        added: list[ProfileChange] = []
        for profile in self._deployments.by_cluster.get(self._cluster, ()):
            changes = self._deployments.changes(profile, self._cluster)
            for change in changes.documents:
                if change.before is None:
                    added.append((profile, change))
                elif change.after is None:
                    removed.append((profile, change))
                elif not change.equal:
                    self._modify_by_document(profile, change)
            self._modify_by_opaque(profile, RESOURCES, changes.opaque)
            self._modify_by_opaque(profile, KUSTOMIZE, changes.kustomizations)
            self._modify_by_patches(profile)
            self._modify_by_lifted_block(profile, explained=bool(changes.documents or changes.opaque))
        moves = ResourceMoves(self._deployments, self._cluster, self._entries)
        self._modify_moved(moves.completed())
        self._modify_moved(moves.pending(removed, added))

    def _modify_by_document(self, profile: ObjectKey, change: DocumentChange) -> None:
        """Find the resources of a document that changed."""
        deployment = deployment_type(local=change.local)
        name = change.identity.name
        candidates = self._entries.all if "{{" in name else self._entries.by_name.get(name, ())
        fitting = [slot for slot in candidates if slot.deployment_type == deployment and change.fits(slot.key)]
        slots = [
            slot for slot in fitting if self._is_deployed_by(slot, profile) and not self._is_one_sided(slot, profile)
        ]
        if not fitting and change.former is None and self._is_expected(profile):
            # No profile deploys the resource, so this profile is about to.
            slot = Slot(change.identity.key(), deployment)
            slots = [] if slot.is_template else [slot]
        for slot in slots:
            self._modify(slot, profile, change)

    def _is_deployed_by(self, slot: Slot, profile: ObjectKey) -> bool:
        """Return whether a profile deploys a resource on each side. Resources that moved are compared elsewhere."""
        return all(
            self._deployments.is_deployed_by(entry, profile) and entry.feature == RESOURCES
            for entry in self._entries.of(slot)
        )

    def _is_one_sided(self, slot: Slot, profile: ObjectKey) -> bool:
        """Return whether only one inventory lists a resource, and no failure explains that."""
        if (slot in self._entries.old) == (slot in self._entries.new):
            return False
        lacking = self._before if slot in self._entries.new else self._after
        return not lacking.has_failed(self._deployer(slot, profile), self._cluster, RESOURCES)

    def _deployer(self, slot: Slot, profile: ObjectKey) -> ObjectKey:
        """Return the profile that deploys a resource: ``profile``, or the profile that is generated from it."""
        is_own = profile.kind in PROFILE_KINDS or slot not in self._entries.all
        return profile if is_own else self._entries.all[slot].profile

    def _is_expected(self, profile: ObjectKey) -> bool:
        """Return whether Sveltos is about to deploy a profile whose resource no inventory lists: not in a dry run."""
        document = self._after.get(profile) or {}
        return sync_mode(document) != DRY_RUN and self._after.summary(profile, self._cluster) is not None

    def _modify(self, slot: Slot, profile: ObjectKey, change: DocumentChange) -> None:
        self._modified[slot] = self._message(slot, profile, change)
        self.changes.causes |= {profile, *change.sources}
        if not change.secret and not change.reread:
            self.changes.texts.add(TextPair(object_title(slot.key), change.before, change.after))

    def _message(self, slot: Slot, profile: ObjectKey, change: DocumentChange) -> str:
        is_shown = change.isolated and not change.secret and not change.reread
        pointer = SEE_RAW_DIFF if is_shown else self._compare_sources(change.sources)
        deployer = self._deployer(slot, profile)
        if slot not in self._entries.new:
            if self._after.has_failed(deployer, self._cluster, RESOURCES):
                return f"{DEPLOYMENT_FAILED}; {pointer}"
            mode = blocking_mode(self._before, self._after, profile)
            return f"{f'not in the inventory, not deployed: syncMode {mode}' if mode else NOT_DEPLOYED}; {pointer}"
        is_deployed = self._entries.new[slot].profile == deployer
        return pointer + (self._state(profile, deployer, RESOURCES) if is_deployed else NOT_APPLIED)

    def _compare_sources(self, sources: Iterable[ObjectKey]) -> str:
        return f"To see diff compare {self._deployments.changed.describe(sources)}"

    def _state(self, profile: ObjectKey, deployer: ObjectKey, feature: str) -> str:
        """Return the end of a message if Sveltos has not applied the change, else ``""``.

        ``deployer`` is ``profile``, or the profile that is generated from it.
        """
        slot = profile, deployer, feature
        if slot not in self._states:
            self._states[slot] = self._find_state(*slot)
        return self._states[slot]

    def _find_state(self, profile: ObjectKey, deployer: ObjectKey, feature: str) -> str:
        if self._after.has_failed(deployer, self._cluster, feature):
            return " (deployment failed)"
        old_hash, new_hash = self._hashes(deployer, feature)
        if old_hash and new_hash and not same_json(old_hash, new_hash):
            return ""
        if mode := blocking_mode(self._before, self._after, profile):
            return f" (not deployed: syncMode {mode})"
        return NOT_APPLIED if old_hash and new_hash else ""

    def _hashes(self, deployer: ObjectKey, feature: str) -> tuple[object, object]:
        """Return the hash of a deployment on both sides, as far as Sveltos reported it."""
        old, new = (side.feature_summary(deployer, self._cluster, feature) for side in (self._before, self._after))
        return old.get("hash"), new.get("hash")

    def _modify_by_opaque(self, profile: ObjectKey, feature: str, sources: Iterable[ObjectKey]) -> None:
        """Find the resources that no document explains, for sources with changes that cannot be identified."""
        changed = frozenset(sources)
        if not changed or not self._entries.may_list(profile):
            return
        candidates = [
            slot
            for slot, entry in self._entries.all.items()
            if self._deployments.is_deployed_by(entry, profile)
            and entry.feature == feature
            and slot not in self._modified
        ]
        if any(self._entries.all[slot].owner is not None for slot in candidates):
            candidates = [slot for slot in candidates if self._entries.all[slot].owner in changed]
        elif feature == RESOURCES:
            candidates = [slot for slot in candidates if not self._is_explained(slot, profile, changed)]
        self._modify_candidates(candidates, profile, feature, changed)

    def _is_explained(self, slot: Slot, profile: ObjectKey, changed: frozenset[ObjectKey]) -> bool:
        """Return whether a known document explains a resource: any document now, or an unchanged source before."""
        old, new = self._content(self._before, profile), self._content(self._after, profile)
        return new.explains(slot.key, local=slot.local) or old.explains(slot.key, local=slot.local, besides=changed)

    def _modify_candidates(
        self, candidates: list[Slot], profile: ObjectKey, feature: str, sources: frozenset[ObjectKey]
    ) -> None:
        """Mark the resources that may come from changed sources. A single candidate certainly changed."""
        if not sources:
            return
        # A candidate that only one inventory lists may be the whole change. It counts, but has no row here.
        is_certain = len(candidates) == 1
        uncertain = f"may have changed, compare {self._deployments.changed.describe(sources)}"
        for slot in candidates:
            if slot in self._entries.old and slot in self._entries.new:
                pointer = self._compare_sources(sources) if is_certain else uncertain
                self._modified[slot] = pointer + self._state(profile, self._deployer(slot, profile), feature)
                self.changes.causes |= {profile, *sources}

    def _modify_by_patches(self, profile: ObjectKey) -> None:
        """Find the resources that a changed patch selects: they may change although their documents did not."""
        patches = self._deployments.changed_patches(profile, self._cluster)
        # Without patches the resources are not visited: the visit is most of the work for a large cluster.
        for slot in self._entries.in_both if patches and self._entries.may_list(profile) else ():
            sources = frozenset(patch.source for patch in patches if patch.selects(slot.key))
            entry = self._entries.new[slot]
            if sources and self._deployments.is_deployed_by(entry, profile) and slot not in self._modified:
                state = self._state(profile, self._deployer(slot, profile), entry.feature)
                self._modified[slot] = f"patches changed, compare {self._deployments.changed.describe(sources)}{state}"
                self.changes.causes |= {profile, *sources}

    def _modify_by_lifted_block(self, profile: ObjectKey, *, explained: bool) -> None:
        """Find the resources of a profile that left OneTime, DryRun or a pause, and deploys what it held back.

        A pause holds back no content. If content changed as well, a new hash is ``explained``.
        """
        block = self._deployments.lifted_block(profile)
        if block == PAUSE and explained:
            return
        # Without a block the resources are not visited: the visit is most of the work for a large cluster.
        for slot in self._entries.in_both if block and self._entries.may_list(profile) else ():
            entry = self._entries.new[slot]
            if slot in self._modified or not self._deployments.is_deployed_by(entry, profile):
                continue
            old_hash, new_hash = self._hashes(self._deployer(slot, profile), entry.feature)
            # Without hashes, a pause during which nothing changed would make every resource a row.
            may_differ = not same_json(old_hash, new_hash) if old_hash and new_hash else block != PAUSE
            if may_differ:
                self._modified[slot] = f"may have changed: {describe(profile)} deploys again, after {block}"
                self.changes.causes.add(profile)

    def _modify_moved(self, moves: Moves) -> None:
        """Find the resources that another profile deploys from a document that differs."""
        for (former, profile), slots in moves.items():
            changes = self._deployments.compare_profiles(former, profile, self._cluster)
            for change in changes.documents:
                if change.before is None or change.after is None or change.equal:
                    continue
                for slot in slots:
                    if is_change_of(slot, change):
                        self._modify(slot, profile, change)
            contents = self._content(self._before, former), self._content(self._after, profile)
            unexplained = [
                slot
                for slot in slots
                if slot not in self._modified
                and not any(content.explains(slot.key, local=slot.local) for content in contents)
            ]
            self._modify_candidates(unexplained, profile, RESOURCES, changes.opaque)

    # Added and deleted ----------------------------------------------------------------------------------------

    def _add_deleted(self) -> None:
        """Add rows for the entries that only the older inventory lists. A resource left in place has no raw diff."""
        for slot in self._entries.only_old:
            entry = self._entries.old[slot]
            if slot in self._modified or self._entry_actions.is_lost_by_failure(entry, self._after):
                continue
            action, message = self._entry_actions.departure(entry.profile)
            self._add_row(slot, action, message)
            if action is Action.DELETED:
                self._add_text(slot, self._document_of(entry, self._before), action)

    def _add_added(self) -> None:
        """Add rows for the entries that only the newer inventory lists."""
        for slot in self._entries.only_new:
            entry = self._entries.new[slot]
            if slot in self._modified or self._entry_actions.is_lost_by_failure(entry, self._before):
                continue
            self._add_row(slot, Action.ADDED, self._entry_actions.arrival(entry.profile, entry.feature))
            self._add_text(slot, self._document_of(entry, self._after), Action.ADDED)

    def _add_unlisted(self, lacking: TreeView, having: TreeView, action: Action, message: str) -> None:
        """Add rows for documents of failed deployments that no inventory lists and that the other side lacks."""
        failing = having.failing_profiles(self._cluster, RESOURCES)
        if not failing:
            return
        profiles = {
            *failing,
            *lacking.failing_profiles(self._cluster, RESOURCES),
            *self._deployments.by_cluster.get(self._cluster, ()),
        }
        configured = [
            self._content(lacking, profile)
            for profile in sorted(profiles)
            if self._cluster in lacking.reported_clusters(profile)
        ]
        for profile in failing:
            for document in self._content(having, profile).documents:
                slot = Slot.of_document(document)
                is_listed = any(document.explains(other.key, local=other.local) for other in self._entries.all)
                if is_listed or slot.is_template:
                    continue
                if any(content.explains(slot.key, local=slot.local) for content in configured):
                    continue
                if action is Action.DELETED:
                    departure, reason = self._entry_actions.departure(profile)
                    if departure is not action:
                        self._add_row(slot, departure, reason)
                        continue
                self._add_row(slot, action, message)
                self.changes.causes.add(profile)
                self._add_text(slot, document, action)

    def _content(self, side: TreeView, profile: ObjectKey) -> Content:
        return self._deployments.content(side, profile, self._cluster)

    def _document_of(self, entry: DeployedResource, side: TreeView) -> SourceDocument | None:
        """Return the document that an entry comes from, None if it is unknown."""
        if entry.feature != RESOURCES:
            return None
        return self._content(side, entry.profile).find(entry.key, local=entry.deployment_type == LOCAL)

    def _add_row(self, slot: Slot, action: Action, message: str = "") -> None:
        key = slot.key
        if not message and slot.local:
            message = IN_MANAGEMENT_CLUSTER
        if slot in self._entries.all:
            self.changes.causes.add(self._entries.all[slot].profile)
        row = DiffRow(str(self._cluster), key.kind.resource_type, key.namespace, key.name, action, message)
        self.changes.rows.append(row)

    def _add_text(self, slot: Slot, document: SourceDocument | None, action: Action) -> None:
        """Add the whole document of a resource that was added or deleted, if it is known and may be shown."""
        if document is not None and not document.secret:
            texts = (None, document.content) if action is Action.ADDED else (document.content, None)
            self.changes.texts.add(TextPair(object_title(slot.key), *texts))
