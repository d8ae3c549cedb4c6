"""The comparison of two trees: finds what differs, asks each part for its rows, filters and sorts.

This module must not know fields of objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.diff.changes import CANNOT_TELL, Change, changed_objects, not_comparable, unlike_fields
from gitsnap.diff.deployments import deployment_rows
from gitsnap.diff.management import management_rows, management_texts
from gitsnap.diff.pairs import Pairs
from gitsnap.diff.releases import clusters_with_changed_values, compare_releases
from gitsnap.diff.resources import compare_resources
from gitsnap.diff.rows import Comparison, DiffRow, Filters, TextPair
from gitsnap.diff.sides import Contents, Side
from gitsnap.format import kind_folder
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef

_Entries = tuple[list[DeployedResource], list[DeployedRelease]]


def compared(before: Tree, after: Tree, filters: Filters) -> Comparison:
    """What differs between two configurations (gitsnap.diff.compare)."""
    contents = Contents()
    blank = unlike_fields(before.info.secrets, after.info.secrets)
    old, new = Side(before, contents, blank=blank), Side(after, contents, blank=blank)
    unclear = not_comparable(old, new)
    excluded = frozenset(one.kind for one in unclear if one.reason != CANNOT_TELL and not one.name)
    changes = changed_objects(old, new, excluded)
    managed = _Managed(old, new, changes, excluded)
    managed.run(filters)
    wanted = [change for change in changes if _wanted(change.key, filters, managed.causes)]

    def texts() -> tuple[TextPair, ...]:
        objects = management_texts(wanted, managed.texts)
        return (*sorted(managed.texts, key=_text_order), *sorted(objects, key=_text_order))

    return Comparison(
        rows=tuple(sorted(managed.rows)),
        management=tuple(sorted(management_rows(old, new, wanted))),
        not_comparable=tuple(unclear),
        make_texts=texts,
    )


def _text_order(pair: TextPair) -> tuple[str, str, str]:
    return pair.title, pair.before or "", pair.after or ""


def _wanted(key: ObjectKey, filters: Filters, causes: Iterable[ObjectKey]) -> bool:
    """Whether an object passes the filters; with clusters named, only they and what changed something on them do."""
    if not filters.wants_object(key):
        return False
    if not filters.clusters:
        return True
    if key.kind in kinds.CLUSTER_KINDS:
        return filters.wants_cluster(ClusterRef(key.kind, key.namespace, key.name))
    return key in causes


class _Managed:
    """The first table: everything that changed in managed clusters."""

    def __init__(self, before: Side, after: Side, changes: list[Change], excluded: frozenset[Kind]) -> None:
        self._before = before
        self._after = after
        self._excluded = excluded
        self._pairs = Pairs(before, after, changes, excluded)
        self.rows: list[DiffRow] = []
        self.texts: set[TextPair] = set()
        self.causes: set[ObjectKey] = set()

    def run(self, filters: Filters) -> None:
        """Look at each cluster that a change may have reached, and that the filters want."""
        for cluster in sorted(self._clusters()):
            if filters.wants_cluster(cluster):
                self._compare(cluster)
        for cluster, profile, row in deployment_rows(self._before, self._after, self._pairs, self._summaries()):
            if filters.wants_cluster(cluster):
                self.rows.append(row)
                self.causes.add(profile)

    def _summaries(self) -> list[str]:
        """Paths of the ClusterSummaries that differ."""
        return [] if kinds.CLUSTER_SUMMARY in self._excluded else self._reported(kinds.CLUSTER_SUMMARY)

    def _reported(self, kind: Kind) -> list[str]:
        """Paths below ``inventory/`` of objects of a kind about which something else is reported."""
        return [path for path in self._pairs.reported if path.split("/", 2)[1:2] == [kind_folder(kind)]]

    def _clusters(self) -> set[ClusterRef]:
        found = {*self._pairs.by_cluster, *self._pairs.departed_from}
        for path in self._reported(kinds.CLUSTER_CONFIGURATION):
            document = self._after.reported_at(path) or self._before.reported_at(path)
            if document is not None:
                found.add(inventory.cluster_of(document))
        summaries = self._summaries()
        found.update(clusters_with_changed_values(self._before, self._after, summaries))
        found.update(self._failing(summaries))
        return found

    def _failing(self, summaries: Iterable[str]) -> Iterator[ClusterRef]:
        """The clusters in which a deployment failed, which may keep resources out of the inventory."""
        for path in summaries:
            for side in (self._before, self._after):
                blob = side.inventory.get(path)
                if blob is not None and b"status: Failed" in side.tree.read(blob):
                    yield inventory.cluster_of(side.reported_at(path) or {})

    def _compare(self, cluster: ClusterRef) -> None:
        old, new = self._entries(self._before, cluster), self._entries(self._after, cluster)
        report = _report_of(cluster)
        unclear = self._before.incomplete_objects | self._after.incomplete_objects
        if kinds.CLUSTER_CONFIGURATION in self._excluded or report in unclear:
            # What one side could not read must not look deleted: take what the other one lists for both.
            old = new = (old[0] or new[0], old[1] or new[1])
        resources = compare_resources(self._before, self._after, self._pairs, cluster, (old[0], new[0]))
        releases = compare_releases(
            self._before, self._after, self._pairs, cluster, (old[1], new[1]), [*old[0], *new[0]]
        )
        self.rows += [*resources.rows, *releases.rows]
        self.texts |= resources.texts | releases.texts
        self.causes |= resources.causes | releases.causes

    @staticmethod
    def _entries(side: Side, cluster: ClusterRef) -> _Entries:
        """What the inventory of one side lists for a cluster."""
        document = side.reported(_report_of(cluster))
        listed = inventory.deployed(document) if document else []
        return (
            [entry for entry in listed if isinstance(entry, DeployedResource)],
            [entry for entry in listed if isinstance(entry, DeployedRelease)],
        )


def _report_of(cluster: ClusterRef) -> ObjectKey:
    """The ClusterConfiguration of a cluster."""
    return ObjectKey(kinds.CLUSTER_CONFIGURATION, cluster.namespace, f"{cluster.type}--{cluster.name}")
