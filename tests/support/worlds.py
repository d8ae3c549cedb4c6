"""Models of configured clusters, and an oracle that compares two models cluster by cluster, as two maps.

A world says which resources and releases each cluster gets. It has no references, documents or inventories. This
module must not import the comparison, because the tests judge the comparison by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import O, W

T = ClusterRef(kinds.CAPI_CLUSTER, W.namespace, W.name)
"""A cluster with the name of ``W`` and another type."""
CLUSTERS = (W, O, T)
PROFILE = "n"
"""A Profile in the namespace ``default`` that has the same name as the ClusterProfile ``p``."""
PROFILES = ("p", "q", PROFILE)
PROFILE_NAMESPACE = "default"
SHARED, OWN, NAMED, MADE, TWIN, HIDDEN = "shared", "own", "named", "made", "twin", "hidden"
SOURCES = (SHARED, OWN, NAMED, MADE, TWIN, HIDDEN)
"""Sources of documents: a ConfigMap for all clusters; a ConfigMap in each cluster's namespace; a ConfigMap per cluster
name; a template; a ConfigMap whose documents have the names of SHARED's documents (SHARED or TWIN goes to the
management cluster); a Secret for all clusters."""
FROM_LABEL = "a"
"""The document of a template that contains the cluster's label."""
READING, FETCHING = "reading", "fetching"
RELEASES = (READING, FETCHING)
"""A release with the cluster's label in its values; a release with values from a ConfigMap of the cluster."""

Slot = tuple[str, str]
"""The deployment type of a resource, and its name."""
Rows = Counter[tuple[str, str, str]]
"""Counts of (cluster, name, action). A name may occur twice, once for the management cluster. The action of a modified
release also says what differs: the version, the chart or the values."""


@dataclass(frozen=True)
class Deployed:
    """The content of a resource in a cluster: a number, and the label that a template filled in."""

    port: int
    label: str
    source: str = field(compare=False)
    document: str = field(compare=False)


@dataclass(frozen=True)
class Chart:
    """A release as a profile configures it."""

    version: int
    chart: str
    value: int


@dataclass(frozen=True)
class Installed:
    """A release in a cluster: its configuration, and the values from the cluster's label and from a ConfigMap."""

    asked: Chart
    label: str
    fetched: int

    @property
    def values(self) -> tuple[int, str, int]:
        """All values."""
        return self.asked.value, self.label, self.fetched

    def differs_in(self, other: Installed) -> str:
        """The first difference that a row reports, ``""`` if the releases are equal."""
        if self.asked.version != other.asked.version:
            return "version"
        if self.asked.chart != other.asked.chart:
            return "chart"
        return "values" if self.values != other.values else ""


@dataclass
class World:
    """A configuration that is completely deployed."""

    env: dict[ClusterRef, str]
    """The label that profiles select by."""
    zone: dict[ClusterRef, str]
    """The label that templates read."""
    selects: dict[str, str]
    """Profile -> the value of ``env`` that the profile selects."""
    owner: dict[str, str]
    """Source or release -> the profile that refers to it, ``""`` for none."""
    ports: dict[tuple[str, str], dict[str, int]]
    """Source and its variant (a cluster namespace or a cluster name) -> document -> its content."""
    charts: dict[str, Chart]
    """Release -> its configuration."""
    values: dict[str, int]
    """Namespace -> the value in its ConfigMap with values."""

    renamed: frozenset[str] = frozenset()
    """Sources whose object has another name. The rows do not depend on the name."""
    elsewhere: frozenset[str] = frozenset()
    """Documents that are in a second ConfigMap of their source."""
    second: dict[str, str] = field(default_factory=dict)
    """Source -> the profile that refers to its second ConfigMap, if this is not the owner."""
    absent: frozenset[str] = frozenset()
    """Profiles that do not exist."""
    swapped: bool = False
    """Whether SHARED goes to the management cluster instead of TWIN."""

    def matches(self, cluster: ClusterRef, name: str) -> bool:
        """Whether a profile selects a cluster."""
        if name == PROFILE and cluster.namespace != PROFILE_NAMESPACE:
            return False
        return name not in self.absent and self.env[cluster] == self.selects[name]

    def is_local(self, source: str) -> bool:
        """Whether the documents of a source go to the management cluster."""
        return source == (SHARED if self.swapped else TWIN)

    def second_owner(self, source: str) -> str:
        """The profile that refers to the second ConfigMap of a source."""
        return self.second.get(source) or self.owner[source]

    def asks_for(self, cluster: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """The resources that a profile deploys to a cluster, provided that the profile matches the cluster."""
        found = {}
        for source in SOURCES if name not in self.absent else ():
            for document, port in self.ports.get((source, variant_for(name, source, cluster)), {}).items():
                is_second = source != HIDDEN and document in self.elsewhere
                if name == (self.second_owner(source) if is_second else self.owner[source]):
                    slot = "Local" if self.is_local(source) else "Remote", resource_name(source, document)
                    label = self.zone[cluster] if (source, document) == (MADE, FROM_LABEL) else ""
                    found[slot] = Deployed(port, label, source, document)
        return found

    def deployed(self, cluster: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """The resources that a profile deploys to a cluster."""
        return self.asks_for(cluster, name) if self.matches(cluster, name) else {}

    def resources(self, cluster: ClusterRef) -> dict[Slot, Deployed]:
        """All resources that a cluster has."""
        return {slot: content for owner in PROFILES for slot, content in self.deployed(cluster, owner).items()}

    def installs(self, cluster: ClusterRef, name: str) -> dict[str, Installed]:
        """The releases that a profile installs in a cluster, provided that the profile matches the cluster."""
        return {
            release: Installed(
                self.charts[release],
                self.zone[cluster] if release == READING else "",
                self.values[cluster.namespace] if release == FETCHING else 0,
            )
            for release in RELEASES
            if name not in self.absent and self.owner[release] == name
        }

    def installed(self, cluster: ClusterRef, name: str) -> dict[str, Installed]:
        """The releases that a profile installs in a cluster."""
        return self.installs(cluster, name) if self.matches(cluster, name) else {}

    def releases(self, cluster: ClusterRef) -> dict[str, Installed]:
        """All releases that a cluster has."""
        return {release: what for owner in PROFILES for release, what in self.installed(cluster, owner).items()}


def resource_name(source: str, document: str) -> str:
    """The name of the resource in a document."""
    return f"{SHARED if source == TWIN else source}-{document}"


def variant_of(source: str, cluster: ClusterRef) -> str:
    """The variant of a source for a cluster: the cluster's namespace, its name, or ``""``."""
    return {OWN: cluster.namespace, NAMED: cluster.name}.get(source, "")


def variant_for(name: str, source: str, cluster: ClusterRef) -> str:
    """The variant of a source that a profile refers to. A Profile refers only to its own namespace."""
    return PROFILE_NAMESPACE if (name, source) == (PROFILE, OWN) else variant_of(source, cluster)


# The oracle ---------------------------------------------------------------------------------------------------------


def expected(before: World, after: World) -> Rows:
    """The rows of a comparison, from both maps of each cluster."""
    rows: Rows = Counter()
    for cluster in CLUSTERS:
        old, new = before.resources(cluster), after.resources(cluster)
        for slot in old.keys() | new.keys():
            if slot not in new:
                rows[str(cluster), slot[1], "deleted"] += 1
            elif slot not in old:
                rows[str(cluster), slot[1], "added"] += 1
            elif old[slot] != new[slot]:
                rows[str(cluster), slot[1], "modified"] += 1
    return rows + _of_releases(before, after, Installed.differs_in)


def _of_releases(before: World, after: World, differ: Callable[[Installed, Installed], str]) -> Rows:
    rows: Rows = Counter()
    for cluster in CLUSTERS:
        old, new = before.releases(cluster), after.releases(cluster)
        for release in old.keys() | new.keys():
            if release not in new:
                rows[str(cluster), release, "deleted"] += 1
            elif release not in old:
                rows[str(cluster), release, "added"] += 1
            elif what := differ(old[release], new[release]):
                rows[str(cluster), release, f"modified {what}"] += 1
    return rows


def expected_while_stopped(before: World, after: World) -> Rows:
    """The rows while Sveltos is stopped and does not deploy ``after``: deployed resources whose source has changed.

    A profile counts if it matched the cluster before, or if it is new and will match the cluster.
    """
    rows: Rows = Counter()
    for cluster in CLUSTERS:
        matching = [name for name in PROFILES if (after if name in before.absent else before).matches(cluster, name)]
        asked = {slot: content for owner in matching for slot, content in after.asks_for(cluster, owner).items()}
        for slot, content in before.resources(cluster).items():
            if asked.get(slot, content) != content:
                rows[str(cluster), slot[1], "modified"] += 1
        wanted = {release: what for owner in matching for release, what in after.installs(cluster, owner).items()}
        for release, what in before.releases(cluster).items():
            if difference := what.differs_in(wanted.get(release, what)):
                rows[str(cluster), release, f"modified {difference}"] += 1
    return rows


def expected_when_carried_out(before: World, after: World, *, hashed: bool) -> Rows:
    """The rows when Sveltos deploys a configuration that did not change: only the inventory and the status change.

    ``hashed``: whether Sveltos reports hashes of values.
    """

    def differ(old: Installed, new: Installed) -> str:
        if old.asked.version != new.asked.version:
            return "version"
        return "values" if hashed and old.values != new.values else ""

    resources: Rows = Counter({row: count for row, count in expected(before, after).items() if row[1] not in RELEASES})
    return comings_and_goings(resources) + _of_releases(before, after, differ)


def comings_and_goings(rows: Rows) -> Rows:
    """The rows of added and deleted resources and releases."""
    return Counter({row: count for row, count in rows.items() if not row[2].startswith("modified")})


def readable(rows: Rows) -> Rows:
    """The rows of resources whose documents are in the archive, and of releases."""
    return Counter({row: count for row, count in rows.items() if not row[1].startswith(HIDDEN)})
