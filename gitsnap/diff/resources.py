"""Rows for the resources that profiles put into one managed cluster.

Added and deleted goes by the inventory, modified by the source documents; an entry that the inventory lacks because a
deployment failed is neither. Times and order mean nothing. This module must not know Helm releases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gitsnap.core.model import ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.absence import RESOURCES, Absence
from gitsnap.diff.mode_changes import PAUSE, held_back_by, standing_mode
from gitsnap.diff.pairs import Pairs
from gitsnap.diff.rows import (
    DEPLOYMENT_FAILED,
    DEPLOYMENT_HAD_FAILED,
    SEE_RAW_DIFF,
    Action,
    DiffRow,
    Found,
    TextPair,
    object_title,
    resource_type,
    short_name,
)
from gitsnap.diff.sides import Side
from gitsnap.diff.source_documents import DocumentChange
from gitsnap.sveltos.inventory import LOCAL, REMOTE, DeployedResource
from gitsnap.sveltos.kinds import PROFILE_KINDS
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.modes import DRY_RUN, sync_mode

KUSTOMIZE = "Kustomize"

NOT_DEPLOYED = "not in the inventory, not deployed yet"
NOT_APPLIED = " (not applied yet)"
IN_MANAGEMENT_CLUSTER = "in the management cluster"

_Slot = tuple[ObjectKey, str]
"""What a resource is in a cluster: its key, and whether it went there or to the management cluster."""

_Moves = dict[tuple[ObjectKey, ObjectKey], list[_Slot]]
"""Resources by the profile that deployed them and the one that does now."""


def compare_resources(
    before: Side,
    after: Side,
    pairs: Pairs,
    cluster: ClusterRef,
    entries: tuple[list[DeployedResource], list[DeployedResource]],
) -> Found:
    """What changed in one cluster. ``entries`` are the resources that the inventories of the two sides list."""
    comparison = _Cluster(before, after, pairs, cluster, entries)
    comparison.run()
    return comparison.found


class _Cluster:
    """One cluster: its resources of both sides by slot, and the documents that changed by pair."""

    def __init__(
        self,
        before: Side,
        after: Side,
        pairs: Pairs,
        cluster: ClusterRef,
        entries: tuple[list[DeployedResource], list[DeployedResource]],
    ) -> None:
        self._before = before
        self._after = after
        self._pairs = pairs
        self._cluster = cluster
        self._old = {_slot(entry): entry for entry in entries[0]}
        self._new = {_slot(entry): entry for entry in entries[1]}
        self._all = {**self._old, **self._new}
        self._named: dict[str, list[_Slot]] = defaultdict(list)
        for slot in self._all:
            self._named[slot[0].name].append(slot)
        self._modified: dict[_Slot, str] = {}
        self._absence = Absence(before, after, pairs, cluster)
        self.found = Found()

    def run(self) -> None:
        """Modified resources first, since a change explains what the inventory alone would misread."""
        came: list[tuple[ObjectKey, DocumentChange]] = []
        went: list[tuple[ObjectKey, DocumentChange]] = []
        for profile in self._pairs.by_cluster.get(self._cluster, ()):
            changes = self._pairs.changes(profile, self._cluster)
            for change in changes.documents:
                if change.before is None or change.after is None:
                    (went if change.after is None else came).append((profile, change))
                elif not change.equal:
                    self._take_document(profile, change)
            self._take_opaque(profile, RESOURCES, changes.opaque)
            self._take_opaque(profile, KUSTOMIZE, changes.kustomizations)
            self._take_patched(profile)
            self._take_mode(profile, explained=bool(changes.documents or changes.opaque))
        self._take_moved(self._moved())
        self._take_moved(self._moving(came, went))
        for slot in sorted(self._old.keys() - self._new.keys()):
            if slot not in self._modified and not self._absence.lost_by_failure(self._old[slot], self._after):
                self._add_departure(slot)
        for slot in sorted(self._new.keys() - self._old.keys()):
            entry = self._new[slot]
            if slot not in self._modified and not self._absence.lost_by_failure(entry, self._before):
                self._add_row(slot, Action.ADDED, self._absence.arrival(entry.profile, entry.feature))
                self._add_text(entry, self._after)
        self._take_unlisted(self._before, self._after, Action.ADDED, DEPLOYMENT_FAILED)
        self._take_unlisted(self._after, self._before, Action.DELETED, DEPLOYMENT_HAD_FAILED)
        for slot, message in sorted(self._modified.items()):
            self._add_row(slot, Action.MODIFIED, message)

    # Modified -------------------------------------------------------------------------------------------------

    def _take_document(self, profile: ObjectKey, change: DocumentChange) -> None:
        """A document differs: which resource is that, and what does the inventory say of it?"""
        deployment = _deployment(local=change.local)
        name = change.identity.name
        candidates = self._all if "{{" in name else self._named.get(name, ())
        fitting = [slot for slot in candidates if slot[1] == deployment and change.fits(slot[0])]
        slots = [slot for slot in fitting if self._deploys(profile, slot) and not self._came_or_went(profile, slot)]
        if not fitting and change.former is None and self._is_expected(profile):
            # Deployed by nobody, so nobody else deploys it instead: it is on its way.
            key = change.identity.place()
            slots = [] if "{{" in key.name + key.namespace else [(key, deployment)]
        for slot in slots:
            self._take(profile, slot, change)

    def _deploys(self, profile: ObjectKey, slot: _Slot) -> bool:
        """Whether a resource came from this profile; one that moved between profiles is compared by itself."""
        entries = [entries[slot] for entries in (self._old, self._new) if slot in entries]
        return all(self._pairs.is_from(entry, profile) and entry.feature == RESOURCES for entry in entries)

    def _carrier(self, profile: ObjectKey, slot: _Slot) -> ObjectKey:
        """The profile that deploys a resource: ``profile``, or one that Sveltos made of it."""
        return profile if profile.kind in PROFILE_KINDS or slot not in self._all else self._all[slot].profile

    def _came_or_went(self, profile: ObjectKey, slot: _Slot) -> bool:
        """Whether the inventories say that a resource is on one side only, and can be believed."""
        if (slot in self._old) == (slot in self._new):
            return False
        lacking = self._before if slot in self._new else self._after
        return not lacking.failed(self._carrier(profile, slot), self._cluster, RESOURCES)

    def _take(self, profile: ObjectKey, slot: _Slot, change: DocumentChange) -> None:
        self._modified[slot] = self._message(profile, slot, change)
        self.found.causes |= {profile, *change.sources}
        if not change.secret and not change.reread:
            self.found.texts.add(TextPair(object_title(slot[0]), change.before, change.after))

    def _moved(self) -> _Moves:
        """Resources that another profile deploys now, or deployed until it failed."""
        moves: _Moves = {}
        stayed = {
            slot for slot, entry in self._old.items() if slot in self._new and self._new[slot].profile == entry.profile
        }
        for slot in sorted((self._all.keys() - stayed) | self._unlisted()):
            former = self._deployer(slot, self._old, self._before)
            profile = self._deployer(slot, self._new, self._after)
            if former is not None and profile is not None and former != profile:
                moves.setdefault((former, profile), []).append(slot)
        return moves

    def _unlisted(self) -> set[_Slot]:
        """The resources that failures on both sides may have kept out of both inventories."""
        if not self._after.failing(self._cluster, RESOURCES):
            return set()
        return {
            (document.identity.place(), _deployment(local=document.local))
            for profile in self._before.failing(self._cluster, RESOURCES)
            for document in self._pairs.content(self._before, profile, self._cluster).documents
            if "{{" not in document.identity.name + document.identity.namespace
            and not any(document.explains(key, local=deployment == LOCAL) for key, deployment in self._all)
        }

    def _deployer(self, slot: _Slot, listed: Mapping[_Slot, DeployedResource], side: Side) -> ObjectKey | None:
        """The profile that deploys a resource on one side: as listed, or kept out of the list by its failure."""
        if slot in listed:
            return listed[slot].profile if listed[slot].feature == RESOURCES else None
        for profile in side.failing(self._cluster, RESOURCES):
            if self._pairs.content(side, profile, self._cluster).explains(slot[0], local=slot[1] == LOCAL):
                return profile
        return None

    def _moving(
        self, came: list[tuple[ObjectKey, DocumentChange]], went: list[tuple[ObjectKey, DocumentChange]]
    ) -> _Moves:
        """Resources that another profile is to deploy, as it is configured, while the inventory has not followed."""
        moves: _Moves = {}
        for slot in sorted(self._old.keys() & self._new.keys()):
            former = self._new[slot].profile
            if former in self._pairs.departed or any(
                one == former and self._is_of(slot, change) for one, change in went
            ):
                for profile in sorted(self._heirs(slot, came) - {former}):
                    moves.setdefault((former, profile), []).append(slot)
        return moves

    def _heirs(self, slot: _Slot, came: list[tuple[ObjectKey, DocumentChange]]) -> set[ObjectKey]:
        """The profiles that are to deploy a resource and were not."""
        heirs = {profile for profile, change in came if self._is_of(slot, change)}
        for profile in self._pairs.new_profiles(self._cluster):
            if self._pairs.content(self._after, profile, self._cluster).explains(slot[0], local=slot[1] == LOCAL):
                heirs.add(profile)
        return heirs

    def _is_of(self, slot: _Slot, change: DocumentChange) -> bool:
        return slot[1] == _deployment(local=change.local) and change.fits(slot[0])

    def _take_moved(self, moves: _Moves) -> None:
        """What another profile deploys may differ from what was there."""
        for (former, profile), slots in moves.items():
            changes = self._pairs.between(former, profile, self._cluster)
            for change in changes.documents:
                if change.before is None or change.after is None or change.equal:
                    continue
                for slot in slots:
                    if self._is_of(slot, change):
                        self._take(profile, slot, change)
            old = self._pairs.content(self._before, former, self._cluster)
            new = self._pairs.content(self._after, profile, self._cluster)
            hidden = [
                slot
                for slot in slots
                if slot not in self._modified
                and not any(one.explains(slot[0], local=slot[1] == LOCAL) for one in (old, new))
            ]
            self._take_from_opaque(profile, RESOURCES, hidden, changes.opaque)

    def _message(self, profile: ObjectKey, slot: _Slot, change: DocumentChange) -> str:
        shown = change.isolated and not change.secret and not change.reread
        look = SEE_RAW_DIFF if shown else self._see(change.sources)
        carrier = self._carrier(profile, slot)
        failed = self._after.failed(carrier, self._cluster, RESOURCES)
        if slot not in self._new:
            mode = standing_mode(self._before, self._after, profile)
            waiting = f"not in the inventory, not deployed: syncMode {mode}" if mode else NOT_DEPLOYED
            return f"{DEPLOYMENT_FAILED if failed else waiting}; {look}"
        applied = self._new[slot].profile == carrier
        return look + (self._state(profile, carrier, RESOURCES) if applied else NOT_APPLIED)

    def _state(self, profile: ObjectKey, carrier: ObjectKey, feature: str) -> str:
        """What must be said when the configuration differs but Sveltos has not carried it out.

        ``carrier`` is the profile that deploys: ``profile``, or one that Sveltos made of it.
        """
        if self._after.failed(carrier, self._cluster, feature):
            return " (deployment failed)"
        hashes = [side.feature(carrier, self._cluster, feature).get("hash") for side in (self._before, self._after)]
        if hashes[0] and hashes[1] and not same_json(*hashes):
            return ""
        if mode := standing_mode(self._before, self._after, profile):
            return f" (not deployed: syncMode {mode})"
        return NOT_APPLIED if hashes[0] and hashes[1] else ""

    def _is_expected(self, profile: ObjectKey) -> bool:
        """Whether Sveltos is about to deploy a profile that the inventory does not list: not on a dry run."""
        document = self._after.get(profile) or {}
        return sync_mode(document) != DRY_RUN and self._after.summary(profile, self._cluster) is not None

    def _take_mode(self, profile: ObjectKey, *, explained: bool) -> None:
        """A profile that left OneTime, DryRun or a pause deploys what it held back: any of its resources may change.

        A pause holds back no content. Where content changed as well, a new hash is ``explained``.
        """
        former = held_back_by(self._before, self._after, profile)
        if former == PAUSE and explained:
            return
        # Going through all resources of a cluster for each of its profiles would be most of the work.
        for slot in sorted(self._old.keys() & self._new.keys()) if former else ():
            if slot in self._modified or not self._pairs.is_from(self._new[slot], profile):
                continue
            carrier, feature = self._carrier(profile, slot), self._new[slot].feature
            hashes = [side.feature(carrier, self._cluster, feature).get("hash") for side in (self._before, self._after)]
            known = bool(hashes[0] and hashes[1])
            # Without hashes, a pause during which nothing changed would make every resource a row.
            if not same_json(*hashes) if known else former != PAUSE:
                self._modified[slot] = f"may have changed: {short_name(profile)} deploys again, after {former}"
                self.found.causes.add(profile)

    def _take_opaque(self, profile: ObjectKey, feature: str, sources: Iterable[ObjectKey]) -> None:
        """Sources changed in which no document can be told apart: by elimination, what no other document explains."""
        changed = frozenset(sources)
        if not changed:
            return
        candidates = [
            slot
            for slot, entry in self._all.items()
            if self._pairs.is_from(entry, profile) and entry.feature == feature and slot not in self._modified
        ]
        if any(self._all[slot].owner is not None for slot in candidates):
            candidates = [slot for slot in candidates if self._all[slot].owner in changed]
        elif feature == RESOURCES:
            candidates = [slot for slot in candidates if not self._is_explained(profile, slot, changed)]
        self._take_from_opaque(profile, feature, candidates, changed)

    def _take_from_opaque(
        self, profile: ObjectKey, feature: str, candidates: list[_Slot], changed: frozenset[ObjectKey]
    ) -> None:
        """Of what may have come from changed sources, one is surely meant; of several, which one cannot be told."""
        # A resource that came or went may be the whole change.
        certain = len(candidates) == 1
        for slot in candidates if changed else ():
            if slot in self._old and slot in self._new:
                look = self._see(changed) if certain else f"may have changed, compare {self._pairs.names(changed)}"
                self._modified[slot] = look + self._state(profile, self._carrier(profile, slot), feature)
                self.found.causes |= {profile, *changed}

    def _is_explained(self, profile: ObjectKey, slot: _Slot, changed: frozenset[ObjectKey]) -> bool:
        """Whether a resource comes from a document that can be told, or came from one outside ``changed`` sources."""
        local = slot[1] == LOCAL
        old, new = (self._pairs.content(side, profile, self._cluster) for side in (self._before, self._after))
        return new.explains(slot[0], local=local) or old.explains(slot[0], local=local, besides=changed)

    def _take_patched(self, profile: ObjectKey) -> None:
        """Patches of a profile changed: what they select may have changed though its document did not."""
        changed = self._pairs.patches(profile, self._cluster)
        # Going through all resources of a cluster for each of its profiles would be most of the work.
        for slot in sorted(self._old.keys() & self._new.keys()) if changed else ():
            sources = frozenset(patch.source for patch in changed if patch.selects(slot[0]))
            if sources and self._pairs.is_from(self._new[slot], profile) and slot not in self._modified:
                state = self._state(profile, self._carrier(profile, slot), self._new[slot].feature)
                self._modified[slot] = f"patched otherwise, compare {self._pairs.names(sources)}{state}"
                self.found.causes |= {profile, *sources}

    def _see(self, sources: Iterable[ObjectKey]) -> str:
        return f"To see diff compare {self._pairs.names(sources)}"

    # Added and deleted ----------------------------------------------------------------------------------------

    def _take_unlisted(self, lacking: Side, having: Side, action: Action, message: str) -> None:
        """Documents that are configured on one side only, where a failed deployment keeps them out of the inventory."""
        failing = having.failing(self._cluster, RESOURCES)
        if not failing:
            return
        others = {*failing, *lacking.failing(self._cluster, RESOURCES), *self._pairs.by_cluster.get(self._cluster, ())}
        configured = [
            self._pairs.content(lacking, profile, self._cluster)
            for profile in sorted(others)
            if self._cluster in lacking.clusters_of(profile)
        ]
        for profile in failing:
            for document in self._pairs.content(having, profile, self._cluster).documents:
                slot = document.identity.place(), _deployment(local=document.local)
                listed = any(document.explains(one[0], local=one[1] == LOCAL) for one in self._all)
                if listed or "{{" in slot[0].name + slot[0].namespace:
                    continue
                if any(content.explains(slot[0], local=document.local) for content in configured):
                    continue
                if action is Action.DELETED:
                    gone, why = self._absence.departure(profile)
                    if gone is not action:
                        self._add_row(slot, gone, why)
                        continue
                self._add_row(slot, action, message)
                self.found.causes.add(profile)
                if not document.secret:
                    texts = (None, document.content) if action is Action.ADDED else (document.content, None)
                    self.found.texts.add(TextPair(object_title(slot[0]), *texts))

    def _add_departure(self, slot: _Slot) -> None:
        """A resource that only the older inventory lists; a resource that stays has no raw diff."""
        action, message = self._absence.departure(self._old[slot].profile)
        self._add_row(slot, action, message)
        if action is Action.DELETED:
            self._add_text(self._old[slot], self._before)

    def _add_row(self, slot: _Slot, action: Action, message: str = "") -> None:
        key, deployment = slot
        if not message and deployment == LOCAL:
            message = IN_MANAGEMENT_CLUSTER
        if slot in self._all:
            self.found.causes.add(self._all[slot].profile)
        row = DiffRow(str(self._cluster), resource_type(key.kind), key.namespace, key.name, action, message)
        self.found.rows.append(row)

    def _add_text(self, entry: DeployedResource, side: Side) -> None:
        """The whole document of a resource that came or went, where it can be told and may be shown."""
        if entry.feature != RESOURCES:
            return
        content = self._pairs.content(side, entry.profile, self._cluster)
        document = content.find(entry.key, local=entry.deployment_type == LOCAL)
        if document is not None and not document.secret:
            before, after = (document.content, None) if side is self._before else (None, document.content)
            self.found.texts.add(TextPair(object_title(entry.key), before, after))


def _slot(entry: DeployedResource) -> _Slot:
    return entry.key, entry.deployment_type


def _deployment(*, local: bool) -> str:
    return LOCAL if local else REMOTE
