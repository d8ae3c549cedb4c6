"""Managed clusters: their resources, the owner of each resource, and a log of additions, changes and deletions.

They outlive the controller: ``dump`` and ``load`` preserve them while the simulator's process is down.
This module must not decide what is deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gitsnap.core.model import Kind, ObjectKey

WITHDRAWN, STALE = "withdrawn", "no longer asked for"
"""The cause of a deletion: the profile no longer matches, or it no longer contains the resource."""

RELEASE = "HelmRelease"
"""The value of ``Slot.kind`` for a Helm release."""


@dataclass(frozen=True, order=True)
class Slot:
    """A resource or a release in a cluster."""

    kind: str
    """``Service``, ``Deployment.apps``, or RELEASE."""
    namespace: str
    name: str
    local: bool = False
    """Whether it is in the management cluster, on behalf of the managed cluster."""

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}{' (Local)' if self.local else ''}"


@dataclass(frozen=True)
class Deployed:
    """The content of a slot, and its origin."""

    content: str
    feature: str
    owner: ObjectKey | None
    """The profile. None for a resource that Sveltos left behind (``LeavePolicies``)."""
    tier: int = 100
    source: ObjectKey | None = None
    """The ConfigMap or Secret that it was deployed from."""
    source_tier: int = 100


@dataclass(frozen=True)
class Happening:
    """A line of the log of the managed clusters."""

    time: float
    cluster: ObjectKey
    change: str
    """``ADDED``, ``MODIFIED``, ``DELETED``, or ``LEFT`` if only the marks of Sveltos were removed."""
    slot: Slot
    owner: ObjectKey | None
    why: str = ""
    """The cause of a deletion: WITHDRAWN or STALE, ``""`` if it is unknown."""

    def __str__(self) -> str:
        owner = f"{self.owner.kind.name} {self.owner.name}" if self.owner else "nobody"
        where = f"{self.cluster.namespace}/{self.cluster.name}"
        return f"{self.time:9.3f} {where} {self.change} {self.slot} of {owner} {self.why}".rstrip()


@dataclass
class ManagedClusters:
    """The managed clusters, with a log of their changes."""

    clock: Callable[[], float]
    running: dict[ObjectKey, dict[Slot, Deployed]] = field(default_factory=dict)
    log: list[Happening] = field(default_factory=list)
    on_change: Callable[[Happening], None] = lambda _happening: None

    def of(self, cluster: ObjectKey) -> dict[Slot, Deployed]:
        """The resources and releases that run in a cluster."""
        return self.running.setdefault(cluster, {})

    def put(self, cluster: ObjectKey, slot: Slot, deployed: Deployed) -> None:
        """Create or update a resource. Equal content is not logged."""
        old = self.of(cluster).get(slot)
        self.of(cluster)[slot] = deployed
        if old is None or old.content != deployed.content:
            self._note(cluster, "ADDED" if old is None else "MODIFIED", slot, deployed.owner)

    def remove(self, cluster: ObjectKey, slot: Slot, why: str) -> None:
        """Delete a resource."""
        self._note(cluster, "DELETED", slot, self.of(cluster).pop(slot).owner, why)

    def leave(self, cluster: ObjectKey, slot: Slot) -> None:
        """Remove the marks of Sveltos from a resource and keep the resource."""
        old = self.of(cluster)[slot]
        self.of(cluster)[slot] = replace(old, owner=None, source=None)
        self._note(cluster, "LEFT", slot, old.owner)

    def owned(self, cluster: ObjectKey, profile: ObjectKey, feature: str) -> list[Slot]:
        """The slots of a feature of a profile, sorted."""
        return sorted(
            slot
            for slot, deployed in self.of(cluster).items()
            if deployed.owner == profile and deployed.feature == feature
        )

    def _note(self, cluster: ObjectKey, change: str, slot: Slot, owner: ObjectKey | None, why: str = "") -> None:
        happening = Happening(self.clock(), cluster, change, slot, owner, why)
        self.log.append(happening)
        self.on_change(happening)

    def dump(self) -> list[Any]:
        """The resources of all clusters, as JSON."""
        return [
            {
                "cluster": key_text(cluster), "slot": asdict(slot), "content": deployed.content,
                "feature": deployed.feature, "owner": key_text(deployed.owner), "tier": deployed.tier,
                "source": key_text(deployed.source), "source_tier": deployed.source_tier,
            }
            for cluster, slots in self.running.items()
            for slot, deployed in slots.items()
        ]  # fmt: skip

    def load(self, entries: Iterable[Any]) -> None:
        """Load the entries that ``dump`` returned."""
        for entry in entries:
            cluster = key_of(entry["cluster"])
            if cluster is None:
                raise ValueError("an entry has no cluster")
            self.of(cluster)[Slot(**entry["slot"])] = Deployed(
                entry["content"],
                entry["feature"],
                key_of(entry["owner"]),
                entry["tier"],
                key_of(entry["source"]),
                entry["source_tier"],
            )


def key_text(key: ObjectKey | None) -> list[str] | None:
    """A key as JSON."""
    return None if key is None else [key.kind.group, key.kind.name, key.namespace, key.name]


def key_of(entry: list[str] | None) -> ObjectKey | None:
    """The inverse of ``key_text``."""
    return None if entry is None else ObjectKey(Kind(entry[0], entry[1]), entry[2], entry[3])
