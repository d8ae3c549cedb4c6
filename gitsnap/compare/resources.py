"""Rows for the resources that profiles put into one managed cluster.

Added and deleted goes by the inventory, modified by the source documents; an entry that the inventory lacks because a
deployment failed is neither. Times and order mean nothing. This module must not know Helm releases.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.compare.pairs import Pairs
from gitsnap.compare.sides import Side
from gitsnap.compare.sources import DocumentChange
from gitsnap.compare.values import (
    SEE_RAW_DIFF,
    Action,
    DiffRow,
    Found,
    TextPair,
    object_title,
    resource_type,
    short_name,
)
from gitsnap.model import ObjectKey
from gitsnap.sveltos.inventory import LOCAL, REMOTE, DeployedResource
from gitsnap.sveltos.matching import ClusterRef

RESOURCES = "Resources"
KUSTOMIZE = "Kustomize"

DEPLOYMENT_FAILED = "not in the inventory, since its deployment failed"
NOT_DEPLOYED = "not in the inventory, not deployed yet"
IN_MANAGEMENT_CLUSTER = "in the management cluster"

_Slot = tuple[ObjectKey, str]
"""What a resource is in a cluster: its key, and whether it went there or to the management cluster."""


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
        self._modified: dict[_Slot, str] = {}
        self.found = Found()

    def run(self) -> None:
        """Modified resources first, since a change explains what the inventory alone would misread."""
        for profile in self._pairs.by_cluster.get(self._cluster, ()):
            changes = self._pairs.changes(profile, self._cluster)
            for change in changes.documents:
                if change.before is not None and change.after is not None and not change.equal:
                    self._take_document(profile, change)
            self._take_opaque(profile, RESOURCES, changes.opaque)
            self._take_opaque(profile, KUSTOMIZE, changes.kustomizations)
            self._take_patched(profile)
        self._take_moved()
        for slot in sorted(self._old.keys() - self._new.keys()):
            if slot not in self._modified and not self._lost_by_failure(self._old[slot], self._after):
                self._add_row(slot, Action.DELETED)
                self._add_text(self._old[slot], self._before)
        for slot in sorted(self._new.keys() - self._old.keys()):
            if slot not in self._modified and not self._lost_by_failure(self._new[slot], self._before):
                self._add_row(slot, Action.ADDED)
                self._add_text(self._new[slot], self._after)
        for slot, message in sorted(self._modified.items()):
            self._add_row(slot, Action.MODIFIED, message)

    # Modified -------------------------------------------------------------------------------------------------

    def _take_document(self, profile: ObjectKey, change: DocumentChange) -> None:
        """A document differs: which resource is that, and what does the inventory say of it?"""
        deployment = _deployment(local=change.local)
        fitting = [slot for slot in self._all if slot[1] == deployment and change.fits(slot[0])]
        slots = [slot for slot in fitting if self._deploys(profile, slot)]
        if not fitting and change.former is None and self._is_expected(profile):
            # Deployed by nobody, so nobody else deploys it instead: it is on its way.
            key = change.identity.place()
            slots = [] if "{{" in key.name + key.namespace else [(key, deployment)]
        for slot in slots:
            self._take(profile, slot, change)

    def _deploys(self, profile: ObjectKey, slot: _Slot) -> bool:
        """Whether a resource came from this profile; one that moved between profiles is compared by itself."""
        entries = [entries[slot] for entries in (self._old, self._new) if slot in entries]
        return all(entry.profile == profile and entry.feature == RESOURCES for entry in entries)

    def _take(self, profile: ObjectKey, slot: _Slot, change: DocumentChange) -> None:
        self._modified[slot] = self._message(profile, slot, change)
        self.found.causes |= {profile, *change.sources}
        if not change.secret and not change.reread:
            self.found.texts.add(TextPair(object_title(slot[0]), change.before, change.after))

    def _take_moved(self) -> None:
        """Resources that another profile deploys now: what that one deploys may differ."""
        moved: dict[tuple[ObjectKey, ObjectKey], list[_Slot]] = {}
        for slot in sorted(self._old.keys() & self._new.keys()):
            old, new = self._old[slot], self._new[slot]
            if old.profile != new.profile and old.feature == new.feature == RESOURCES:
                moved.setdefault((old.profile, new.profile), []).append(slot)
        for (former, profile), slots in moved.items():
            for change in self._pairs.between(former, profile, self._cluster).documents:
                if change.before is None or change.after is None or change.equal:
                    continue
                for slot in slots:
                    if slot[1] == _deployment(local=change.local) and change.fits(slot[0]):
                        self._take(profile, slot, change)

    def _message(self, profile: ObjectKey, slot: _Slot, change: DocumentChange) -> str:
        shown = change.isolated and not change.secret and not change.reread
        look = SEE_RAW_DIFF if shown else _see(change.sources)
        failed = self._after.failed(profile, self._cluster, RESOURCES)
        if slot not in self._new:
            return f"{DEPLOYMENT_FAILED if failed else NOT_DEPLOYED}; {look}"
        return look + self._state(profile, RESOURCES)

    def _state(self, profile: ObjectKey, feature: str) -> str:
        """What must be said when the configuration differs but Sveltos has not carried it out."""
        if self._after.failed(profile, self._cluster, feature):
            return " (deployment failed)"
        hashes = [side.feature(profile, self._cluster, feature).get("hash") for side in (self._before, self._after)]
        return " (not applied yet)" if hashes[0] and hashes[0] == hashes[1] else ""

    def _is_expected(self, profile: ObjectKey) -> bool:
        """Whether Sveltos is about to deploy a profile that the inventory does not list: not on a dry run."""
        document = self._after.get(profile) or {}
        dry_run = (document.get("spec") or {}).get("syncMode") == "DryRun"
        return not dry_run and self._after.summary(profile, self._cluster) is not None

    def _take_opaque(self, profile: ObjectKey, feature: str, sources: Iterable[ObjectKey]) -> None:
        """Sources changed in which no document can be told apart: by elimination, what no other document explains."""
        changed = frozenset(sources)
        if not changed:
            return
        candidates = [
            slot
            for slot, entry in self._all.items()
            if entry.profile == profile and entry.feature == feature and slot not in self._modified
        ]
        if any(self._all[slot].owner is not None for slot in candidates):
            candidates = [slot for slot in candidates if self._all[slot].owner in changed]
        elif feature == RESOURCES:
            content = self._pairs.content(self._after, profile, self._cluster)
            candidates = [slot for slot in candidates if not content.explains(slot[0], local=slot[1] == LOCAL)]
        # A resource that came or went may be the whole change.
        certain = len(candidates) == 1
        for slot in candidates:
            if slot in self._old and slot in self._new:
                look = _see(changed) if certain else f"may have changed, compare {_names(changed)}"
                self._modified[slot] = look + self._state(profile, feature)
                self.found.causes |= {profile, *changed}

    def _take_patched(self, profile: ObjectKey) -> None:
        """Patches of a profile changed: what they select may have changed though its document did not."""
        changed = self._pairs.patches(profile, self._cluster)
        for slot in sorted(self._old.keys() & self._new.keys()):
            sources = frozenset(patch.source for patch in changed if patch.selects(slot[0]))
            if sources and self._new[slot].profile == profile and slot not in self._modified:
                state = self._state(profile, self._new[slot].feature)
                self._modified[slot] = f"patched otherwise, compare {_names(sources)}{state}"
                self.found.causes |= {profile, *sources}

    # Added and deleted ----------------------------------------------------------------------------------------

    def _lost_by_failure(self, entry: DeployedResource, lacking: Side) -> bool:
        """Whether the side that lacks an entry lacks it only because a deployment failed there.

        Then the resource runs on, unless its document is not configured on that side either. Sources that cannot be
        read leave the benefit of the doubt, but only to the profile that deployed it on the other side, and only where
        nothing tells that it came from one that can be read.
        """
        if lacking.failed(entry.profile, self._cluster, entry.feature):
            if entry.feature != RESOURCES:
                return True
            local = entry.deployment_type == LOCAL
            content = self._pairs.content(lacking, entry.profile, self._cluster)
            if content.explains(_key(entry), local=local):
                return True
            having = self._before if lacking is self._after else self._after
            known = self._pairs.content(having, entry.profile, self._cluster).explains(_key(entry), local=local)
            if not content.complete and not known:
                return True
        return any(
            self._pairs.content(lacking, profile, self._cluster).explains(
                _key(entry), local=entry.deployment_type == LOCAL
            )
            for profile in lacking.failing(self._cluster, RESOURCES)
            if profile != entry.profile
        )

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
        document = content.find(_key(entry), local=entry.deployment_type == LOCAL)
        if document is not None and not document.secret:
            before, after = (document.content, None) if side is self._before else (None, document.content)
            self.found.texts.add(TextPair(object_title(_key(entry)), before, after))


def _key(entry: DeployedResource) -> ObjectKey:
    return ObjectKey(entry.kind, entry.namespace, entry.name)


def _slot(entry: DeployedResource) -> _Slot:
    return _key(entry), entry.deployment_type


def _deployment(*, local: bool) -> str:
    return LOCAL if local else REMOTE


def _see(sources: Iterable[ObjectKey]) -> str:
    return f"To see diff compare {_names(sources)}"


def _names(sources: Iterable[ObjectKey]) -> str:
    return ", ".join(short_name(source) for source in sorted(sources))
