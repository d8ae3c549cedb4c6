"""The resources that the inventories of two trees list for one managed cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from gitsnap.core.model import ObjectKey
from gitsnap.diff.cluster_reports import ClusterReport
from gitsnap.sveltos.inventory import LOCAL, REMOTE, DeployedResource
from gitsnap.sveltos.kinds import PROFILE_KINDS
from gitsnap.sveltos.source_documents import SourceDocument


class Slot(NamedTuple):
    """A resource by key and deployment type: in the managed cluster, or in the management cluster."""

    key: ObjectKey
    deployment_type: str

    @classmethod
    def of_document(cls, document: SourceDocument) -> Slot:
        """Return the slot that a document is deployed to, if its name is not a template."""
        return cls(document.identity.key(), deployment_type(local=document.local))

    @property
    def local(self) -> bool:
        """Whether the resource is in the management cluster."""
        return self.deployment_type == LOCAL

    @property
    def is_template(self) -> bool:
        """Whether only Sveltos can tell the name or namespace."""
        return "{{" in self.key.name + self.key.namespace


class ResourceEntries:
    """The entries of both inventories by slot. They are read when they are first used."""

    def __init__(self, old: ClusterReport, new: ClusterReport) -> None:
        """``old`` and ``new`` are the same object if the report did not change. It is then decoded at most once."""
        self.are_same = old is new
        self._reports = old, new

    def may_list(self, profile: ObjectKey) -> bool:
        """Return whether an inventory may list entries of a profile, or of the generated profiles of a producer."""
        return profile.kind not in PROFILE_KINDS or any(report.may_list(profile) for report in self._reports)

    @cached_property
    def old(self) -> Mapping[Slot, DeployedResource]:
        """The entries of the older inventory."""
        return _by_slot(self._reports[0])

    @cached_property
    def new(self) -> Mapping[Slot, DeployedResource]:
        """The entries of the newer inventory."""
        return self.old if self.are_same else _by_slot(self._reports[1])

    @cached_property
    def all(self) -> Mapping[Slot, DeployedResource]:
        """The entries of both inventories. A slot in both inventories has the newer entry."""
        return self.old if self.are_same else {**self.old, **self.new}

    @cached_property
    def in_both(self) -> list[Slot]:
        """The slots that both inventories list, sorted."""
        return sorted(self.old if self.are_same else self.old.keys() & self.new.keys())

    @property
    def only_old(self) -> list[Slot]:
        """The slots that only the older inventory lists, sorted."""
        return [] if self.are_same else sorted(self.old.keys() - self.new.keys())

    @property
    def only_new(self) -> list[Slot]:
        """The slots that only the newer inventory lists, sorted."""
        return [] if self.are_same else sorted(self.new.keys() - self.old.keys())

    def other_profiles(self) -> Iterator[Slot]:
        """Yield the slots that one inventory lacks, or that the inventories list for different profiles."""
        if not self.are_same:
            for slot in self.all:
                if slot not in self.old or slot not in self.new or self.old[slot].profile != self.new[slot].profile:
                    yield slot

    @cached_property
    def by_name(self) -> Mapping[str, list[Slot]]:
        """All slots by the name of the resource."""
        by_name: dict[str, list[Slot]] = defaultdict(list)
        for slot in self.all:
            by_name[slot.key.name].append(slot)
        return by_name

    def of(self, slot: Slot) -> list[DeployedResource]:
        """Return the entries of a slot, the older one first."""
        return [entries[slot] for entries in (self.old, self.new) if slot in entries]


def _by_slot(report: ClusterReport) -> Mapping[Slot, DeployedResource]:
    return {Slot(entry.key, entry.deployment_type): entry for entry in report.resources}


def deployment_type(*, local: bool) -> str:
    """Return the deployment type as the inventory writes it."""
    return LOCAL if local else REMOTE
