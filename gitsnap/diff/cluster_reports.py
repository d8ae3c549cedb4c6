"""The resources and releases that the inventories of two trees list for one managed cluster.

A report of Sveltos is long and usually equal in both trees, so it is decoded only if a change needs its entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from gitsnap.core.model import ObjectKey
from gitsnap.format import path_of
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView

Entry = DeployedResource | DeployedRelease


class ClusterReport:
    """The entries of a ClusterConfiguration. They are read when they are first used."""

    def __init__(self, read: Callable[[], Iterable[Entry]], content: bytes | None = None) -> None:
        """``content``: the YAML of the report, which is searched before the entries are read; None if unknown."""
        self._read = read
        self._content = content

    @cached_property
    def _entries(self) -> list[Entry]:
        return list(self._read())

    @property
    def resources(self) -> list[DeployedResource]:
        """The resources, in the order of the report."""
        return [entry for entry in self._entries if isinstance(entry, DeployedResource)]

    @property
    def releases(self) -> list[DeployedRelease]:
        """The Helm releases, in the order of the report."""
        entries = self._entries if self._may_contain("charts") else ()  # the field of the releases
        return [entry for entry in entries if isinstance(entry, DeployedRelease)]

    def may_list(self, profile: ObjectKey) -> bool:
        """Return whether the report may list entries of a profile: False if the report does not contain its name."""
        return self._may_contain(profile.name)

    def _may_contain(self, text: str) -> bool:
        """Return whether the report may contain a text without special characters. YAML may write it with escapes."""
        return self._content is None or text.encode() in self._content or b"\\" in self._content


def report_key(cluster: ClusterRef) -> ObjectKey:
    """Return the key of the ClusterConfiguration of a cluster."""
    return ObjectKey(kinds.CLUSTER_CONFIGURATION, cluster.namespace, f"{cluster.type}--{cluster.name}")


def read_reports(before: TreeView, after: TreeView, key: ObjectKey) -> tuple[ClusterReport, ClusterReport]:
    """Return the reports of two trees with a key: the same object twice if the reports are equal."""
    path = path_of(key)
    old = _report(before, path)
    return old, old if before.report_id(path) == after.report_id(path) else _report(after, path)


def common_report(old: ClusterReport, new: ClusterReport) -> ClusterReport:
    """Return one report for both trees: the resources and the releases of the newer one if the older has none."""
    return ClusterReport(lambda: [*(old.resources or new.resources), *(old.releases or new.releases)])


def _report(side: TreeView, path: str) -> ClusterReport:
    def read() -> list[Entry]:
        document = side.reported_at(path)
        return inventory.deployed(document) if document else []

    return ClusterReport(read, side.report_content(path))
