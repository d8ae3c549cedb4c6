"""The two trees of a comparison, read lazily: what a side knows of an object, a profile, a cluster.

A content id means the same bytes on both sides, so each content is decoded once. Most files are equal on both sides
and never read; files that may name something are first searched as bytes. This module must not compare.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, SensitiveField, TreeInfo
from gitsnap.core.ports import Tree
from gitsnap.diff.name_matcher import Names
from gitsnap.diff.tree_files import ByKind
from gitsnap.format import decode, decode_object, kind_folder, path_of
from gitsnap.format.masking import blanked
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, Dependents, LabelIndex, Selection, observed, selects
from gitsnap.sveltos.normalize import RULES, normalize
from gitsnap.sveltos.references import Reference, UnresolvedReason, references

UNRESOLVED_FILE = "unresolved.yaml"
_ACTION = b"{{"
_CLUSTER_TYPE = re.compile("-(?=(?:capi|sveltos)-)")


class Contents:
    """Decoded contents of both sides, by content id."""

    def __init__(self) -> None:
        self._decoded: dict[BlobId, Any] = {}

    def decode(self, tree: Tree, blob: BlobId, source: str) -> Any:
        """The value behind an id, ``source`` is a path that has it. Raises ArchiveError where there is no object."""
        if blob not in self._decoded:
            read = decode if source.endswith(f"/{UNRESOLVED_FILE}") else decode_object
            self._decoded[blob] = read(tree.read(blob), source)
        return self._decoded[blob]


class Side:
    """One tree, with what a comparison asks of it."""

    def __init__(self, tree: Tree, contents: Contents, *, blank: tuple[SensitiveField, ...] = ()) -> None:
        """``blank``: fields whose values cannot be compared with those of the other side."""
        self.tree = tree
        self._blank = {kind: [one for one in blank if one.kind == kind] for kind in {one.kind for one in blank}}
        self.configuration: Mapping[str, BlobId] = tree.files(Area.CONFIGURATION)
        self.inventory: Mapping[str, BlobId] = tree.files(Area.INVENTORY)
        self._configuration_by_kind = ByKind(self.configuration)
        self._inventory_by_kind = ByKind(self.inventory)
        self._contents = contents
        self._selected: dict[ObjectKey, frozenset[ClusterRef]] = {}
        self._failing: dict[tuple[ClusterRef, str], list[ObjectKey]] = {}

    @property
    def info(self) -> TreeInfo:
        """What the tree says of itself."""
        return self.tree.info

    @cached_property
    def incomplete(self) -> frozenset[Kind]:
        """Kinds that this side could not read."""
        return frozenset(one.kind for one in self.tree.incomplete if one.key is None)

    @cached_property
    def incomplete_objects(self) -> frozenset[ObjectKey]:
        """Single objects that this side could not take."""
        return frozenset(one.key for one in self.tree.incomplete if one.key is not None)

    def at(self, path: str) -> JsonObject | None:
        """The object at a path below ``configuration/``, brought to the newest rules; None where there is none."""
        blob = self.configuration.get(path)
        if blob is None:
            return None
        document: JsonObject = self._contents.decode(self.tree, blob, f"{Area.CONFIGURATION}/{path}")
        document = document if self.info.rules == RULES else normalize(document)
        return blanked(document, self._blank.get(Kind.of(document), ())) if self._blank else document

    def get(self, key: ObjectKey) -> JsonObject | None:
        """The object with a key, None where this side does not have it."""
        return self.at(path_of(key))

    def blob(self, key: ObjectKey) -> BlobId | None:
        """The content id of the object with a key."""
        return self.configuration.get(path_of(key))

    def state(self, key: ObjectKey) -> tuple[str, ...]:
        """The ids of all that is archived of an object: itself, and what Sveltos or Flux reports about it."""
        path = path_of(key)
        return self.configuration.get(path, ""), self.inventory.get(path, "")

    def raw(self, path: str) -> bytes:
        """The bytes at a path below ``configuration/``, ``b""`` where there are none."""
        blob = self.configuration.get(path)
        return b"" if blob is None else self.tree.read(blob)

    def reported(self, key: ObjectKey) -> JsonObject | None:
        """What the inventory says about an object, None where it says nothing."""
        return self.reported_at(path_of(key))

    def reported_at(self, path: str) -> JsonObject | None:
        """What stands at a path below ``inventory/``."""
        blob = self.inventory.get(path)
        document: JsonObject | None = (
            None if blob is None else self._contents.decode(self.tree, blob, f"{Area.INVENTORY}/{path}")
        )
        return document

    def lacks(self, key: ObjectKey) -> UnresolvedReason | None:
        """Why a reference to an object could not be followed when the sample was taken, None where none was tried."""
        return self._unresolved.get(key)

    @cached_property
    def _unresolved(self) -> dict[ObjectKey, UnresolvedReason]:
        listed = self.reported_at(UNRESOLVED_FILE) or {}
        return {
            ObjectKey(
                Kind.parse(str(entry["kind"])), str(entry.get("namespace") or ""), str(entry["name"])
            ): UnresolvedReason(entry["reason"])
            for entry in listed.get("unresolved") or ()
        }

    # Objects of a kind ----------------------------------------------------------------------------------------

    def paths(self, kind: Kind) -> list[str]:
        """Paths below ``configuration/`` of the objects of a kind, sorted."""
        return self._configuration_by_kind.paths(kind)

    def naming(self, kind: Kind, names: Iterable[str]) -> Iterator[str]:
        """Paths of the objects of a kind whose text holds one of the names, or a template that may make one."""
        if paths := self.paths(kind):
            named = Names(names)
            for path in paths:
                content = self.raw(path)
                if _ACTION in content or named.stand_in(content):
                    yield path

    # Clusters -------------------------------------------------------------------------------------------------

    @cached_property
    def _summaries(self) -> Mapping[str, list[str]]:
        """What a ClusterSummary's name may begin with, up to the type of its cluster -> paths."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._inventory_by_kind.paths(kinds.CLUSTER_SUMMARY):
            name = path.rpartition("/")[2]
            for match in _CLUSTER_TYPE.finditer(name):
                found[name[: match.start()]].append(path)
        return found

    def clusters_of(self, profile: ObjectKey) -> frozenset[ClusterRef]:
        """The clusters that a profile matched, going by what Sveltos reported: its status, and its ClusterSummaries."""
        reported = self.reported(profile)
        found = set(observed(reported)) if reported else set()
        known = {path_of(summary_key(profile, cluster)) for cluster in found}
        for path in self._summaries.get(_summary_prefix(profile), ()):
            if path not in known:
                summary = self.reported_at(path)
                # A profile's name may begin like another's: the labels decide.
                if summary is not None and inventory.profile_of(summary) == profile:
                    found.add(inventory.cluster_of(summary))
        return frozenset(found)

    def matching(self, document: JsonObject) -> frozenset[ClusterRef]:
        """The clusters that an object works on, by status and by the rules; reads every cluster when first asked.

        A profile that others depend on is deployed on the clusters of these as well.
        """
        key = ObjectKey.of(document)
        if key.kind not in kinds.PROFILE_KINDS:
            return self._matched(key)
        return self._dependents.deployed_on(key, self._matched)

    def _matched(self, key: ObjectKey) -> frozenset[ClusterRef]:
        """The clusters that an object matches itself."""
        if key not in self._selected:
            document = self.get(key)
            selected = self._selection(document).clusters if document is not None else frozenset[ClusterRef]()
            self._selected[key] = self.clusters_of(key) | selected
        return self._selected[key]

    @cached_property
    def _dependents(self) -> Dependents:
        """Which profiles depend on which."""
        paths = (path for kind in sorted(kinds.PROFILE_KINDS) for path in self.paths(kind))
        naming = (self.at(path) for path in paths if b"dependsOn" in self.raw(path))
        return Dependents(document for document in naming if document is not None)

    def destinations(self, document: JsonObject) -> frozenset[ClusterRef]:
        """The clusters that Sveltos deploys to for an object though it matches others: those of an EventTrigger."""
        reported = self.reported(ObjectKey.of(document)) or {}
        listed = (reported.get("status") or {}).get("destinationMatchingClusterRefs") or ()
        return frozenset(ClusterRef.of_reference(reference) for reference in listed)

    def _selection(self, document: JsonObject) -> Selection:
        return selects(document, self.cluster_labels, self._sets)

    def selected(self, clusters: LabelIndex | None = None) -> Iterator[tuple[ObjectKey, frozenset[ClusterRef]]]:
        """What the profiles select by their own rules, by key; left out where Sveltos chooses.

        ``clusters``: labels other than those of this side. The status of the sets says nothing about these.
        """
        labels = self.cluster_labels if clusters is None else clusters
        moved = () if clusters is None else self._sets.keys()
        for document in self._documents(kinds.PROFILE_KINDS):
            selection = selects(document, labels, self._sets, moved=moved)
            if selection.certain:
                yield ObjectKey.of(document), selection.clusters

    @cached_property
    def cluster_labels(self) -> LabelIndex:
        """Every managed cluster with its labels, those of classifiers included."""
        labels = LabelIndex()
        for document in self._documents(kinds.CLUSTER_KINDS):
            owned = ((self.reported(ObjectKey.of(document)) or {}).get("metadata") or {}).get("labels") or {}
            labels.add(ClusterRef.of(document), {**(document["metadata"].get("labels") or {}), **owned})
        return labels

    @cached_property
    def _sets(self) -> dict[ObjectKey, JsonObject]:
        sets = {}
        for document in self._documents({kinds.SET, kinds.CLUSTER_SET}):
            key = ObjectKey.of(document)
            status = (self.reported(key) or {}).get("status") or {}
            sets[key] = {**document, "status": status}
        return sets

    def _documents(self, of_kinds: Iterable[Kind]) -> Iterator[JsonObject]:
        for kind in sorted(of_kinds):
            for path in self.paths(kind):
                document = self.at(path)
                if document is not None:
                    yield document

    def targets(self, document: JsonObject) -> set[ObjectKey]:
        """Everything that an object refers to, for all clusters that it matches."""
        return {
            reference.target
            for reference in references(document, self.matching(document), self.cluster_object)
            if reference.unresolved is None
        }

    @cached_property
    def splits_streams(self) -> bool:
        """Whether Sveltos is one before 1.0, which splits documents otherwise; its inventory names owners."""
        folder = f"/{kind_folder(kinds.CLUSTER_CONFIGURATION)}/"
        paths = (path for path in self.inventory if folder in path)
        documents = (document for path in paths if (document := self.reported_at(path)) is not None)
        entries = (entry for document in documents for entry in inventory.deployed(document))
        first = next((entry for entry in entries if isinstance(entry, inventory.DeployedResource)), None)
        return first is not None and first.owner is not None

    # What Sveltos did -----------------------------------------------------------------------------------------

    def summary(self, profile: ObjectKey, cluster: ClusterRef) -> JsonObject | None:
        """The distilled ClusterSummary of a profile on a cluster."""
        return self.reported(summary_key(profile, cluster))

    def feature(self, profile: ObjectKey, cluster: ClusterRef, feature: str) -> Mapping[str, Any]:
        """``{featureID, status, hash}`` of a feature, empty where nothing is reported."""
        summary = self.summary(profile, cluster) or {}
        listed = (summary.get("status") or {}).get("featureSummaries") or ()
        return next((entry for entry in listed if entry.get("featureID") == feature), {})

    def failed(self, profile: ObjectKey, cluster: ClusterRef, feature: str) -> bool:
        """Whether the deployment of a feature failed: then the inventory lists only what came before the failure."""
        return str(self.feature(profile, cluster, feature).get("status", "")).startswith("Failed")

    def cluster_object(self, cluster: ClusterRef) -> JsonObject | None:
        """What templates see of a managed cluster; the labels of controllers are in the inventory."""
        key = ObjectKey(cluster.kind, cluster.namespace, cluster.name)
        document = self.get(key)
        if document is None:
            return None
        controllers = ((self.reported(key) or {}).get("metadata") or {}).get("labels")
        return template_view(document, more_labels=controllers)

    def failing(self, cluster: ClusterRef, feature: str) -> list[ObjectKey]:
        """The profiles whose deployment of a feature to a cluster failed, sorted."""
        if (cluster, feature) not in self._failing:
            self._failing[cluster, feature] = sorted(self._find_failing(cluster, feature))
        return self._failing[cluster, feature]

    def _find_failing(self, cluster: ClusterRef, feature: str) -> set[ObjectKey]:
        end = f"-{cluster.type}-{cluster.name}.yaml"
        folder = f"{cluster.namespace}/{kind_folder(kinds.CLUSTER_SUMMARY)}/"
        found = set()
        for path in self._summaries_by_folder.get(folder, ()):
            if not path.endswith(end) or b"status: Failed" not in self.tree.read(self.inventory[path]):
                continue
            # A cluster's name may end like another's: the summary decides.
            summary = self.reported_at(path)
            profile = inventory.profile_of(summary) if summary else None
            if (
                summary
                and profile
                and inventory.cluster_of(summary) == cluster
                and self.failed(profile, cluster, feature)
            ):
                found.add(profile)
        return found

    @cached_property
    def _summaries_by_folder(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._inventory_by_kind.paths(kinds.CLUSTER_SUMMARY):
            found[path.rpartition("/")[0] + "/"].append(path)
        return found

    def references(self, document: JsonObject | None, cluster: ClusterRef) -> list[Reference]:
        """What an object refers to for one cluster, references that cannot be resolved left out."""
        if document is None:
            return []
        return [
            reference
            for reference in references(document, (cluster,), self.cluster_object)
            if reference.unresolved is None
        ]


def summary_key(profile: ObjectKey, cluster: ClusterRef) -> ObjectKey:
    """The key of the ClusterSummary that carries out a profile on a cluster."""
    return ObjectKey(
        kinds.CLUSTER_SUMMARY, cluster.namespace, f"{_summary_prefix(profile)}-{cluster.type}-{cluster.name}"
    )


def _summary_prefix(profile: ObjectKey) -> str:
    return f"p--{profile.name}" if profile.kind == kinds.PROFILE else profile.name
