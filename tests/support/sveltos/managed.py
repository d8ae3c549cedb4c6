"""Managed clusters: what runs there, who put it there, and every addition, change and deletion with its moment.

They outlive the controller: ``dump`` and ``load`` keep them while the simulator's process is down.
This module must not decide what is deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gitsnap.core.model import Kind, ObjectKey

WITHDRAWN, STALE = "withdrawn", "no longer asked for"
"""Why something is deleted: its profile stopped matching, or brings less."""

RELEASE = "HelmRelease"
"""Stands in ``Slot.kind`` for a Helm release."""


@dataclass(frozen=True, order=True)
class Slot:
    """A resource or a release in one cluster."""

    kind: str
    """``Service``, ``Deployment.apps``, or RELEASE."""
    namespace: str
    name: str
    local: bool = False
    """Whether it is in the management cluster, on behalf of the managed one."""

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}{' (Local)' if self.local else ''}"


@dataclass(frozen=True)
class Deployed:
    """What is in a slot, and why."""

    content: str
    feature: str
    owner: ObjectKey | None
    """The profile, None of what Sveltos left behind (``LeavePolicies``)."""
    tier: int = 100
    source: ObjectKey | None = None
    """The ConfigMap or Secret that it was deployed from."""
    source_tier: int = 100


@dataclass(frozen=True)
class Happening:
    """One line of the log of the managed clusters."""

    time: float
    cluster: ObjectKey
    change: str
    """``ADDED``, ``MODIFIED``, ``DELETED``, or ``LEFT`` where only the mark of Sveltos was taken off."""
    slot: Slot
    owner: ObjectKey | None
    why: str = ""
    """Of a deletion: WITHDRAWN or STALE, ``""`` where that is not known."""

    def __str__(self) -> str:
        owner = f"{self.owner.kind.name} {self.owner.name}" if self.owner else "nobody"
        where = f"{self.cluster.namespace}/{self.cluster.name}"
        return f"{self.time:9.3f} {where} {self.change} {self.slot} of {owner} {self.why}".rstrip()


@dataclass
class ManagedClusters:
    """All of them."""

    clock: Callable[[], float]
    running: dict[ObjectKey, dict[Slot, Deployed]] = field(default_factory=dict)
    log: list[Happening] = field(default_factory=list)
    on_change: Callable[[Happening], None] = lambda _happening: None

    def of(self, cluster: ObjectKey) -> dict[Slot, Deployed]:
        """What runs in a cluster."""
        return self.running.setdefault(cluster, {})

    def put(self, cluster: ObjectKey, slot: Slot, deployed: Deployed) -> None:
        """Create or update; nothing is logged where the content is the same."""
        old = self.of(cluster).get(slot)
        self.of(cluster)[slot] = deployed
        if old is None or old.content != deployed.content:
            self._note(cluster, "ADDED" if old is None else "MODIFIED", slot, deployed.owner)

    def remove(self, cluster: ObjectKey, slot: Slot, why: str) -> None:
        """Delete."""
        self._note(cluster, "DELETED", slot, self.of(cluster).pop(slot).owner, why)

    def leave(self, cluster: ObjectKey, slot: Slot) -> None:
        """Take the marks of Sveltos off a resource that stays."""
        old = self.of(cluster)[slot]
        self.of(cluster)[slot] = replace(old, owner=None, source=None)
        self._note(cluster, "LEFT", slot, old.owner)

    def owned(self, cluster: ObjectKey, profile: ObjectKey, feature: str) -> list[Slot]:
        """The slots that a profile filled by one feature, sorted."""
        return sorted(slot for slot, one in self.of(cluster).items() if one.owner == profile and one.feature == feature)

    def _note(self, cluster: ObjectKey, change: str, slot: Slot, owner: ObjectKey | None, why: str = "") -> None:
        happening = Happening(self.clock(), cluster, change, slot, owner, why)
        self.log.append(happening)
        self.on_change(happening)

    def dump(self) -> list[Any]:
        """Everything that runs, as JSON."""
        return [
            {
                "cluster": key_text(cluster), "slot": asdict(slot), "content": one.content, "feature": one.feature,
                "owner": key_text(one.owner), "tier": one.tier, "source": key_text(one.source),
                "source_tier": one.source_tier,
            }
            for cluster, slots in self.running.items()
            for slot, one in slots.items()
        ]  # fmt: skip

    def load(self, entries: Iterable[Any]) -> None:
        """What ``dump`` gave."""
        for entry in entries:
            cluster = key_of(entry["cluster"])
            if cluster is None:
                raise ValueError("an entry without a cluster")
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
