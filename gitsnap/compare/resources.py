"""Rows for the resources that profiles put into one managed cluster.

Added and deleted goes by the inventory, modified by the source documents; an entry that the inventory lacks because a
deployment failed is neither. Times and order mean nothing. This module must not know Helm releases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gitsnap.compare.pairs import Pairs
from gitsnap.compare.sides import Side
from gitsnap.compare.sources import DocumentChange
from gitsnap.compare.values import (
    SEE_RAW_DIFF,
    Action,
    DiffRow,
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


@dataclass(slots=True)
class Found:
    """Rows, the texts behind them, and the objects that brought them about."""

    rows: list[DiffRow] = field(default_factory=list)
    texts: set[TextPair] = field(default_factory=set)
    causes: set[ObjectKey] = field(default_factory=set)


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
        for slot in sorted(self._old.keys() - self._new.keys()):
            if slot not in self._modified and not self._lost_by_failure(self._old[slot], self._after):
                self._add_row(slot, Action.DELETED)
        for slot in sorted(self._new.keys() - self._old.keys()):
            if slot not in self._modified and not self._lost_by_failure(self._new[slot], self._before):
                self._add_row(slot, Action.ADDED)
        for slot, message in sorted(self._modified.items()):
            self._add_row(slot, Action.MODIFIED, message)

    # Modified -------------------------------------------------------------------------------------------------

    def _take_document(self, profile: ObjectKey, change: DocumentChange) -> None:
        """A document differs: which resource is that, and what does the inventory say of it?"""
        slots = [
            slot
            for slot, entry in self._all.items()
            if slot[1] == _deployment(local=change.local)
            and entry.profile == profile
            and entry.feature == RESOURCES
            and change.identity.fits(slot[0])
        ]
        if not slots and self._is_expected(profile) and "{{" not in change.identity.name + change.identity.namespace:
            slots = [(change.identity.place(), _deployment(local=change.local))]
        for slot in slots:
            self._modified[slot] = self._message(profile, slot, change)
            self.found.causes |= {profile, *change.sources}
            if not change.secret:
                self.found.texts.add(TextPair(object_title(slot[0]), change.before, change.after))

    def _message(self, profile: ObjectKey, slot: _Slot, change: DocumentChange) -> str:
        look = SEE_RAW_DIFF if change.isolated and not change.secret else _see(change.sources)
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
            for slot, entry in self._new.items()
            if entry.profile == profile and entry.feature == feature and slot not in self._modified
        ]
        if feature == RESOURCES:
            described = self._pairs.described(self._after, profile, self._cluster)
            candidates = [slot for slot in candidates if not described.explains(slot[0], local=slot[1] == LOCAL)]
        certain = len(candidates) == 1
        for slot in candidates:
            look = _see(changed) if certain else f"may have changed, compare {_names(changed)}"
            self._modified[slot] = look + self._state(profile, feature)
            self.found.causes |= {profile, *changed}

    # Added and deleted ----------------------------------------------------------------------------------------

    def _lost_by_failure(self, entry: DeployedResource, lacking: Side) -> bool:
        """Whether the side that lacks an entry lacks it only because the deployment of its profile failed there.

        Then the resource runs on, unless its document is not configured on that side either. Sources that cannot be
        read leave the benefit of the doubt.
        """
        if not lacking.failed(entry.profile, self._cluster, entry.feature):
            return False
        if entry.feature != RESOURCES:
            return True
        described = self._pairs.described(lacking, entry.profile, self._cluster)
        return not described.complete or described.explains(_key(entry), local=entry.deployment_type == LOCAL)

    def _add_row(self, slot: _Slot, action: Action, message: str = "") -> None:
        key, deployment = slot
        if not message and deployment == LOCAL:
            message = IN_MANAGEMENT_CLUSTER
        if slot in self._all:
            self.found.causes.add(self._all[slot].profile)
        row = DiffRow(str(self._cluster), resource_type(key.kind), key.namespace, key.name, action, message)
        self.found.rows.append(row)


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
