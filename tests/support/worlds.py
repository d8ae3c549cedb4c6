"""Worlds in plain words, and an oracle: what each cluster has before and after, compared as two maps.

A world says which resources and releases each cluster gets. It knows no references, documents or inventories, and this
module must not import what it is to judge: the comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import O, W

T = ClusterRef(kinds.CAPI_CLUSTER, W.namespace, W.name)
"""Of the same name as another cluster, and of another type."""
CLUSTERS = (W, O, T)
PROFILE = "n"
"""A Profile in the namespace ``default``, of the same name as the ClusterProfile ``p``."""
PROFILES = ("p", "q", PROFILE)
PROFILE_NAMESPACE = "default"
SHARED, OWN, NAMED, MADE, TWIN, HIDDEN = "shared", "own", "named", "made", "twin", "hidden"
SOURCES = (SHARED, OWN, NAMED, MADE, TWIN, HIDDEN)
"""One ConfigMap for all; one in each cluster's namespace; one by the cluster's name; a template; one with documents of
the same names as the first, while one of the two goes to the management cluster; one Secret for all."""
FROM_LABEL = "a"
"""The document of a template in which the cluster's label stands."""
READING, FETCHING = "reading", "fetching"
RELEASES = (READING, FETCHING)
"""One with the cluster's label in its values; one with values from a ConfigMap in each cluster's namespace."""

Slot = tuple[str, str]
"""Where a resource goes, and its name."""
Rows = Counter[tuple[str, str, str]]
"""Cluster, name and action; a name may be there twice, once in the management cluster. Of a release that is modified,
the action says what of it."""


@dataclass(frozen=True)
class Deployed:
    """What a cluster has of a resource: a number that is written in it, and the label that a template put there."""

    port: int
    label: str
    source: str = field(compare=False)
    document: str = field(compare=False)


@dataclass(frozen=True)
class Chart:
    """What a profile asks for of a release."""

    version: int
    chart: str
    value: int


@dataclass(frozen=True)
class Installed:
    """What a cluster has of a release: what was asked for, and the values that came from elsewhere."""

    asked: Chart
    label: str
    fetched: int

    @property
    def values(self) -> tuple[int, str, int]:
        """All values."""
        return self.asked.value, self.label, self.fetched

    def differs_in(self, other: Installed) -> str:
        """What is said first of a change, ``""`` where there is none."""
        if self.asked.version != other.asked.version:
            return "version"
        if self.asked.chart != other.asked.chart:
            return "chart"
        return "values" if self.values != other.values else ""


@dataclass
class World:
    """What is configured and, all of it, deployed."""

    env: dict[ClusterRef, str]
    """The label that profiles select by."""
    zone: dict[ClusterRef, str]
    """The label that templates read."""
    selects: dict[str, str]
    """Profile -> the value of the label."""
    owner: dict[str, str]
    """Source or release -> the profile that refers to it, ``""`` for none."""
    ports: dict[tuple[str, str], dict[str, int]]
    """Source and its variant (the namespace or name that it is about) -> document -> its content."""
    charts: dict[str, Chart]
    """Release -> what is asked for."""
    values: dict[str, int]
    """Namespace -> the value in its ConfigMap with values."""

    renamed: frozenset[str] = frozenset()
    """Sources that have another name; it is of no consequence."""
    elsewhere: frozenset[str] = frozenset()
    """Documents that stand in a second ConfigMap beside their own."""
    second: dict[str, str] = field(default_factory=dict)
    """Source -> the profile that refers to its second ConfigMap, where it is not the owner."""
    absent: frozenset[str] = frozenset()
    """Profiles that do not exist."""
    swapped: bool = False
    """Whether it is SHARED that goes to the management cluster, and not TWIN."""

    def matches(self, one: ClusterRef, name: str) -> bool:
        """Whether a profile selects a cluster."""
        if name == PROFILE and one.namespace != PROFILE_NAMESPACE:
            return False
        return name not in self.absent and self.env[one] == self.selects[name]

    def is_local(self, source: str) -> bool:
        """Whether the documents of a source go to the management cluster."""
        return source == (SHARED if self.swapped else TWIN)

    def second_owner(self, source: str) -> str:
        """The profile that refers to the second ConfigMap of a source."""
        return self.second.get(source) or self.owner[source]

    def asks_for(self, one: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """What a profile deploys to a cluster that it matches."""
        found = {}
        for source in SOURCES if name not in self.absent else ():
            for document, port in self.ports.get((source, variant_for(name, source, one)), {}).items():
                is_second = source != HIDDEN and document in self.elsewhere
                if name == (self.second_owner(source) if is_second else self.owner[source]):
                    slot = "Local" if self.is_local(source) else "Remote", resource_name(source, document)
                    label = self.zone[one] if (source, document) == (MADE, FROM_LABEL) else ""
                    found[slot] = Deployed(port, label, source, document)
        return found

    def deployed(self, one: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """What a profile deploys to a cluster."""
        return self.asks_for(one, name) if self.matches(one, name) else {}

    def resources(self, one: ClusterRef) -> dict[Slot, Deployed]:
        """Everything that a cluster has."""
        return {slot: content for owner in PROFILES for slot, content in self.deployed(one, owner).items()}

    def installs(self, one: ClusterRef, name: str) -> dict[str, Installed]:
        """The releases that a profile asks for, as they are in a cluster that it matches."""
        return {
            release: Installed(
                self.charts[release],
                self.zone[one] if release == READING else "",
                self.values[one.namespace] if release == FETCHING else 0,
            )
            for release in RELEASES
            if name not in self.absent and self.owner[release] == name
        }

    def installed(self, one: ClusterRef, name: str) -> dict[str, Installed]:
        """The releases that a profile put into a cluster."""
        return self.installs(one, name) if self.matches(one, name) else {}

    def releases(self, one: ClusterRef) -> dict[str, Installed]:
        """All releases that a cluster has."""
        return {release: what for owner in PROFILES for release, what in self.installed(one, owner).items()}


def resource_name(source: str, document: str) -> str:
    """What a document calls the resource."""
    return f"{SHARED if source == TWIN else source}-{document}"


def variant_of(source: str, one: ClusterRef) -> str:
    """The namespace or name of a cluster that a source is about."""
    return {OWN: one.namespace, NAMED: one.name}.get(source, "")


def variant_for(name: str, source: str, one: ClusterRef) -> str:
    """Which variant of a source a profile means: a Profile sees only its own namespace."""
    return PROFILE_NAMESPACE if (name, source) == (PROFILE, OWN) else variant_of(source, one)


# The oracle ---------------------------------------------------------------------------------------------------------


def expected(before: World, after: World) -> Rows:
    """The rows, by looking at both maps of each cluster."""
    rows: Rows = Counter()
    for one in CLUSTERS:
        old, new = before.resources(one), after.resources(one)
        for slot in old.keys() | new.keys():
            if slot not in new:
                rows[str(one), slot[1], "deleted"] += 1
            elif slot not in old:
                rows[str(one), slot[1], "added"] += 1
            elif old[slot] != new[slot]:
                rows[str(one), slot[1], "modified"] += 1
    return rows + _of_releases(before, after, Installed.differs_in)


def _of_releases(before: World, after: World, differ: Callable[[Installed, Installed], str]) -> Rows:
    rows: Rows = Counter()
    for one in CLUSTERS:
        old, new = before.releases(one), after.releases(one)
        for release in old.keys() | new.keys():
            if release not in new:
                rows[str(one), release, "deleted"] += 1
            elif release not in old:
                rows[str(one), release, "added"] += 1
            elif what := differ(old[release], new[release]):
                rows[str(one), release, f"modified {what}"] += 1
    return rows


def expected_while_stopped(before: World, after: World) -> Rows:
    """The rows while nobody carries out ``after``: what the clusters have, and are to have in another form.

    What a profile is to deploy that matched a cluster, or that is new and is to match it.
    """
    rows: Rows = Counter()
    for one in CLUSTERS:
        matching = [name for name in PROFILES if (after if name in before.absent else before).matches(one, name)]
        asked = {slot: content for owner in matching for slot, content in after.asks_for(one, owner).items()}
        for slot, content in before.resources(one).items():
            if asked.get(slot, content) != content:
                rows[str(one), slot[1], "modified"] += 1
        wanted = {release: what for owner in matching for release, what in after.installs(one, owner).items()}
        for release, what in before.releases(one).items():
            if difference := what.differs_in(wanted.get(release, what)):
                rows[str(one), release, f"modified {difference}"] += 1
    return rows


def expected_when_carried_out(before: World, after: World, *, hashed: bool) -> Rows:
    """The rows when Sveltos does at last what was configured all the time: only what it lists and reports moves on.

    ``hashed``: whether it reports hashes of values.
    """

    def differ(old: Installed, new: Installed) -> str:
        if old.asked.version != new.asked.version:
            return "version"
        return "values" if hashed and old.values != new.values else ""

    resources: Rows = Counter({row: count for row, count in expected(before, after).items() if row[1] not in RELEASES})
    return comings_and_goings(resources) + _of_releases(before, after, differ)


def comings_and_goings(rows: Rows) -> Rows:
    """The rows of what came and went."""
    return Counter({row: count for row, count in rows.items() if not row[2].startswith("modified")})


def readable(rows: Rows) -> Rows:
    """The rows of resources whose documents are in the archive, and of releases."""
    return Counter({row: count for row, count in rows.items() if not row[1].startswith(HIDDEN)})
