"""The resources that the inventories of two trees list for one managed cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos.inventory import LOCAL, REMOTE, DeployedResource
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
    """The entries of both inventories by slot."""

    def __init__(self, old: Iterable[DeployedResource], new: Iterable[DeployedResource]) -> None:
        """The inventories are often one list: a report that did not change is decoded once."""
        self.are_same = old is new
        self.old = {Slot(entry.key, entry.deployment_type): entry for entry in old}
        self.new = self.old if self.are_same else {Slot(entry.key, entry.deployment_type): entry for entry in new}
        self.all = self.old if self.are_same else {**self.old, **self.new}

    @cached_property
    def in_both(self) -> list[Slot]:
        """The slots that both inventories list, sorted."""
        return sorted(self.old if self.are_same else self.old.keys() & self.new.keys())

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


def deployment_type(*, local: bool) -> str:
    """Return the deployment type as the inventory writes it."""
    return LOCAL if local else REMOTE
