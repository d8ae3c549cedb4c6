"""A tree, read lazily: its objects, the references between them, and the reports of Sveltos at the time of the capture.

Files are decoded on first use. Two views can share a cache, which decodes each content once. The bytes of a file are
searched for names before the file is decoded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, SensitiveField, TreeInfo
from gitsnap.format import UNRESOLVED_FILE, key_of, kind_folder, path_of
from gitsnap.format.archived import with_report
from gitsnap.format.masking import blanked
from gitsnap.format.tree_files import PathsByKind
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.matching import (
    ClusterIndex,
    ClusterRef,
    Dependents,
    Selection,
    observed_clusters,
    selects,
    sets_of,
)
from gitsnap.sveltos.name_matcher import NameMatcher
from gitsnap.sveltos.normalize import RULES, normalize
from gitsnap.sveltos.references import UnresolvedReason, references

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

_ACTION = b"{{"
_CLUSTER_TYPE = re.compile("-(?=(?:capi|sveltos)-)")


class TreeView:
    """The objects of one tree and the facts about them."""

    def __init__(
        self, tree: Tree, cache: ContentCache | None = None, *, blanked_fields: tuple[SensitiveField, ...] = ()
    ) -> None:
        """``cache`` may be shared with the view of another tree. The values of ``blanked_fields`` are left out."""
        self.tree = tree
        self._blanked_fields = {
            kind: [field for field in blanked_fields if field.kind == kind]
            for kind in {field.kind for field in blanked_fields}
        }
        self.configuration: Mapping[str, BlobId] = tree.files(Area.CONFIGURATION)
        self.inventory: Mapping[str, BlobId] = tree.files(Area.INVENTORY)
        self._configuration_by_kind = PathsByKind(self.configuration)
        self._inventory_by_kind = PathsByKind(self.inventory)
        self._cache = ContentCache() if cache is None else cache
        self._matched_clusters: dict[ObjectKey, frozenset[ClusterRef]] = {}
        self._reported_clusters: dict[ObjectKey, frozenset[ClusterRef]] = {}
        self._labels_among: dict[frozenset[ClusterRef], ClusterIndex] = {}
        self._name_matchers: dict[frozenset[ClusterRef], NameMatcher] = {}
        self._failing: dict[tuple[ClusterRef, str], list[ObjectKey]] = {}

    @property
    def info(self) -> TreeInfo:
        """The metadata of the tree."""
        return self.tree.info

    def object_at(self, path: str) -> JsonObject | None:
        """Return the object at a path below ``configuration/``, by the current normalization rules; None if absent."""
        blob = self.configuration.get(path)
        if blob is None:
            return None
        document: JsonObject = self._cache.decode(self.tree, blob, f"{Area.CONFIGURATION}/{path}")
        document = document if self.info.rules == RULES else normalize(document)
        return blanked(document, self._blanked_fields.get(Kind.of(document), ())) if self._blanked_fields else document

    def get(self, key: ObjectKey) -> JsonObject | None:
        """Return the object with a key, None if absent."""
        return self.object_at(path_of(key))

    def holds(self, key: ObjectKey) -> bool:
        """Return whether the configuration contains an object."""
        return path_of(key) in self.configuration

    def content_ids(self, key: ObjectKey) -> tuple[str, str]:
        """Return the content ids of an object in the configuration and in the inventory, ``""`` if absent there."""
        path = path_of(key)
        return self.configuration.get(path, ""), self.inventory.get(path, "")

    def key_at(self, path: str) -> ObjectKey | None:
        """Return the key of the object at a path below ``configuration/``, None if absent."""
        key = key_of(path)
        if key is None and (document := self.object_at(path)) is not None:
            key = ObjectKey.of(document)
        return key if path in self.configuration else None

    def content_at(self, path: str) -> bytes:
        """Return the bytes at a path below ``configuration/``, ``b""`` if absent."""
        blob = self.configuration.get(path)
        return b"" if blob is None else self._cache.read(self.tree, blob)

    def reported(self, key: ObjectKey) -> JsonObject | None:
        """Return the inventory entry of an object, None if absent."""
        return self.reported_at(path_of(key))

    def reported_at(self, path: str) -> JsonObject | None:
        """Return the document at a path below ``inventory/``, None if absent."""
        blob = self.inventory.get(path)
        document: JsonObject | None = (
            None if blob is None else self._cache.decode(self.tree, blob, f"{Area.INVENTORY}/{path}")
        )
        return document

    def with_status_at(self, path: str) -> JsonObject | None:
        """Return the object at a path below ``configuration/``, with its status and the labels of controllers."""
        document, reported = self.object_at(path), self.reported_at(path)
        return document if document is None or reported is None else with_report(document, reported)

    def report_id(self, path: str) -> str:
        """Return the content id at a path below ``inventory/``, ``""`` if absent."""
        return self.inventory.get(path, "")

    def report_content(self, path: str) -> bytes:
        """Return the bytes at a path below ``inventory/``, ``b""`` if absent."""
        blob = self.inventory.get(path)
        return b"" if blob is None else self.tree.read(blob)

    def unresolved_reason(self, key: ObjectKey) -> UnresolvedReason | None:
        """Return why a reference to an object was not resolved by the capture, None if no such reference is known."""
        return self._unresolved.get(key)

    @cached_property
    def _unresolved(self) -> dict[ObjectKey, UnresolvedReason]:
        document = self.reported_at(UNRESOLVED_FILE) or {}
        return {
            ObjectKey(
                Kind.parse(str(entry["kind"])), str(entry.get("namespace") or ""), str(entry["name"])
            ): UnresolvedReason(entry["reason"])
            for entry in document.get("unresolved") or ()
        }

    # Objects of a kind ----------------------------------------------------------------------------------------

    def paths(self, kind: Kind) -> list[str]:
        """Return the paths below ``configuration/`` of the objects of a kind, sorted."""
        return self._configuration_by_kind.paths(kind)

    def paths_in(self, kind: Kind, namespaces: Container[str]) -> Iterator[str]:
        """Yield the paths of the objects of a kind in some namespaces, and in all namespaces with an encoded name."""
        return self._configuration_by_kind.iterate(kind, namespaces)

    def paths_naming(self, kind: Kind, names: Iterable[str]) -> Iterator[str]:
        """Return the paths of the objects of a kind that contain one of the names, or a template action."""
        if paths := self.paths(kind):
            matcher = NameMatcher(names)
            for path in paths:
                content = self.content_at(path)
                if _ACTION in content or matcher.matches(content):
                    yield path

    # Clusters -------------------------------------------------------------------------------------------------

    @cached_property
    def _summary_paths(self) -> Mapping[str, list[str]]:
        """The paths of ClusterSummaries by each part of the name that may precede the type of the cluster."""
        by_prefix: dict[str, list[str]] = defaultdict(list)
        for path in self._inventory_by_kind.paths(kinds.CLUSTER_SUMMARY):
            name = path.rpartition("/")[2]
            for match in _CLUSTER_TYPE.finditer(name):
                by_prefix[name[: match.start()]].append(path)
        return by_prefix

    def reported_clusters(self, profile: ObjectKey) -> frozenset[ClusterRef]:
        """Return the clusters that a profile matches by the reports of Sveltos: its status and its ClusterSummaries."""
        if profile not in self._reported_clusters:
            self._reported_clusters[profile] = self._read_reported_clusters(profile)
        return self._reported_clusters[profile]

    def reported_among(self, profile: ObjectKey, clusters: frozenset[ClusterRef]) -> frozenset[ClusterRef]:
        """Return the reported clusters that are in ``clusters``. Reports that name none of them are not decoded."""
        if not self.may_report(profile, clusters):
            return frozenset()
        return clusters & self.reported_clusters(profile)

    def may_report(self, profile: ObjectKey, clusters: frozenset[ClusterRef]) -> bool:
        """Return whether the reports about a profile contain the name of one of the clusters. Nothing is decoded."""
        if profile in self._reported_clusters:
            return not clusters.isdisjoint(self._reported_clusters[profile])
        if clusters not in self._name_matchers:
            self._name_matchers[clusters] = NameMatcher(cluster.name for cluster in clusters)
        if self._name_matchers[clusters].matches(self.report_content(path_of(profile))):
            return True
        paths = self._summary_paths.get(_summary_prefix(profile), ())
        return any("%" in path or any(cluster.name in path for cluster in clusters) for path in paths)

    def _read_reported_clusters(self, profile: ObjectKey) -> frozenset[ClusterRef]:
        reported = self.reported(profile)
        clusters = set(observed_clusters(reported)) if reported else set()
        known_paths = {path_of(summary_key(profile, cluster)) for cluster in clusters}
        for path in self._summary_paths.get(_summary_prefix(profile), ()):
            if path not in known_paths:
                summary = self.reported_at(path)
                # The name of another profile may have the same prefix, so the labels decide.
                if summary is not None and inventory.profile_of(summary) == profile:
                    clusters.add(inventory.cluster_of(summary))
        return frozenset(clusters)

    def target_clusters(self, document: JsonObject) -> frozenset[ClusterRef]:
        """Return the clusters that an object matches, by its status and by its selectors.

        A profile that other profiles depend on is also deployed to their clusters. The first call reads all clusters.
        """
        key = ObjectKey.of(document)
        if key.kind not in kinds.PROFILE_KINDS:
            return self._own_clusters(key)
        return self.dependents.deployed_on(key, self._own_clusters)

    def _own_clusters(self, key: ObjectKey) -> frozenset[ClusterRef]:
        """Return the clusters that an object matches itself, without the clusters of profiles that depend on it."""
        if key not in self._matched_clusters:
            document = self.get(key)
            selected = frozenset[ClusterRef]()
            if document is not None:
                selected = selects(document, self.cluster_labels, self.sets).clusters
            self._matched_clusters[key] = self.reported_clusters(key) | selected
        return self._matched_clusters[key]

    @cached_property
    def dependents(self) -> Dependents:
        """The dependencies between profiles."""
        paths = (path for kind in sorted(kinds.PROFILE_KINDS) for path in self.paths(kind))
        depending = (self.object_at(path) for path in paths if b"dependsOn" in self.content_at(path))
        return Dependents(document for document in depending if document is not None)

    def destination_clusters(self, document: JsonObject) -> frozenset[ClusterRef]:
        """Return the clusters that an EventTrigger deploys to, which are not always the clusters that it matches."""
        reported = self.reported(ObjectKey.of(document)) or {}
        entries = (reported.get("status") or {}).get("destinationMatchingClusterRefs") or ()
        return frozenset(ClusterRef.of_reference(reference) for reference in entries)

    def select_among(
        self, document: JsonObject, clusters: frozenset[ClusterRef], labels: TreeView | None = None
    ) -> Selection:
        """Return the clusters among ``clusters`` that an object selects by its rules.

        ``labels``: the tree with the labels of the clusters, this tree by default. The status of sets does not apply to
        labels of another tree. Only an object that names sets needs the labels of all clusters.
        """
        side = self if labels is None else labels
        named = sets_of(document)
        if named and any(key in self.sets for key in named):
            outdated = () if labels is None else self.sets.keys()
            selection = selects(document, side.cluster_labels, self.sets, outdated=outdated)
            return Selection(selection.clusters & clusters, selection.certain)
        return selects(document, side.labels_among(clusters))

    def labels_among(self, clusters: frozenset[ClusterRef]) -> ClusterIndex:
        """Return the clusters of ``clusters`` that the tree has, with their labels."""
        if clusters not in self._labels_among:
            index = self._labels_among[clusters] = ClusterIndex()
            for cluster in clusters:
                labels = self.labels_of(cluster)
                if labels is not None:
                    index.add(cluster, labels)
        return self._labels_among[clusters]

    def labels_of(self, cluster: ClusterRef) -> Mapping[str, str] | None:
        """Return the labels of a managed cluster, including those that classifiers set. None if it is absent."""
        document = self.get(cluster.key)
        return None if document is None else self._labels(cluster.key, document)

    def _labels(self, key: ObjectKey, document: JsonObject) -> Mapping[str, str]:
        return {**(document["metadata"].get("labels") or {}), **self._controller_labels(key)}

    def _controller_labels(self, cluster: ObjectKey) -> Mapping[str, str]:
        """Return the labels of a cluster that classifiers set, which are in the inventory."""
        return ((self.reported(cluster) or {}).get("metadata") or {}).get("labels") or {}

    @cached_property
    def cluster_labels(self) -> ClusterIndex:
        """All managed clusters with their labels."""
        index = ClusterIndex()
        for document in self._documents(kinds.CLUSTER_KINDS):
            index.add(ClusterRef.of(document), self._labels(ObjectKey.of(document), document))
        return index

    @cached_property
    def sets(self) -> dict[ObjectKey, JsonObject]:
        """Sets and ClusterSets with their status."""
        sets = {}
        for document in self._documents({kinds.SET, kinds.CLUSTER_SET}):
            key = ObjectKey.of(document)
            status = (self.reported(key) or {}).get("status") or {}
            sets[key] = {**document, "status": status}
        return sets

    def _documents(self, of_kinds: Iterable[Kind]) -> Iterator[JsonObject]:
        for kind in sorted(of_kinds):
            for path in self.paths(kind):
                document = self.object_at(path)
                if document is not None:
                    yield document

    # References -----------------------------------------------------------------------------------------------

    def reference_targets(self, document: JsonObject) -> set[ObjectKey]:
        """Return the objects that an object refers to, for all clusters that it matches."""
        return {
            reference.target
            for reference in references(document, self.target_clusters(document), self.cluster_object)
            if reference.unresolved is None
        }

    def cluster_object(self, cluster: ClusterRef) -> JsonObject | None:
        """Return a managed cluster as templates see it, with the labels that classifiers set."""
        document = self.get(cluster.key)
        if document is None:
            return None
        return template_view(document, more_labels=self._controller_labels(cluster.key))

    # Deployments ----------------------------------------------------------------------------------------------

    @cached_property
    def splits_streams(self) -> bool:
        """Whether Sveltos was older than 1.0: it splits documents differently, and its inventory names owners."""
        paths = self._inventory_by_kind.iterate(kinds.CLUSTER_CONFIGURATION)
        documents = (document for path in paths if (document := self.reported_at(path)) is not None)
        entries = (entry for document in documents for entry in inventory.deployed(document))
        first = next((entry for entry in entries if isinstance(entry, inventory.DeployedResource)), None)
        return first is not None and first.owner is not None

    def summary(self, profile: ObjectKey, cluster: ClusterRef) -> JsonObject | None:
        """Return the ClusterSummary of a profile on a cluster, as the inventory contains it."""
        return self.reported(summary_key(profile, cluster))

    def feature_summary(self, profile: ObjectKey, cluster: ClusterRef, feature: str) -> Mapping[str, Any]:
        """Return ``{featureID, status, hash}`` of a feature of a profile on a cluster, empty if not reported."""
        summary = self.summary(profile, cluster) or {}
        entries = (summary.get("status") or {}).get("featureSummaries") or ()
        return next((entry for entry in entries if entry.get("featureID") == feature), {})

    def has_failed(self, profile: ObjectKey, cluster: ClusterRef, feature: str) -> bool:
        """Return whether a deployment failed. The inventory then lists only what was deployed before the failure."""
        return str(self.feature_summary(profile, cluster, feature).get("status", "")).startswith("Failed")

    def failing_profiles(self, cluster: ClusterRef, feature: str) -> list[ObjectKey]:
        """Return the profiles whose deployment of a feature to a cluster failed, sorted."""
        if (cluster, feature) not in self._failing:
            self._failing[cluster, feature] = sorted(self._find_failing(cluster, feature))
        return self._failing[cluster, feature]

    def _find_failing(self, cluster: ClusterRef, feature: str) -> set[ObjectKey]:
        if not self._summary_paths_by_folder:
            return set()
        end = f"-{cluster.type}-{cluster.name}.yaml"
        folder = f"{cluster.namespace}/{kind_folder(kinds.CLUSTER_SUMMARY)}/"
        failing = set()
        for path in self._summary_paths_by_folder.get(folder, ()):
            if not path.endswith(end) or b"status: Failed" not in self.tree.read(self.inventory[path]):
                continue
            # The name of another cluster may have the same suffix, so the summary decides.
            summary = self.reported_at(path)
            profile = inventory.profile_of(summary) if summary else None
            if (
                summary
                and profile
                and inventory.cluster_of(summary) == cluster
                and self.has_failed(profile, cluster, feature)
            ):
                failing.add(profile)
        return failing

    @cached_property
    def _summary_paths_by_folder(self) -> Mapping[str, list[str]]:
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in self._inventory_by_kind.paths(kinds.CLUSTER_SUMMARY):
            by_folder[path.rpartition("/")[0] + "/"].append(path)
        return by_folder


def summary_key(profile: ObjectKey, cluster: ClusterRef) -> ObjectKey:
    """Return the key of the ClusterSummary of a profile on a cluster."""
    return ObjectKey(
        kinds.CLUSTER_SUMMARY, cluster.namespace, f"{_summary_prefix(profile)}-{cluster.type}-{cluster.name}"
    )


def _summary_prefix(profile: ObjectKey) -> str:
    return f"p--{profile.name}" if profile.kind == kinds.PROFILE else profile.name
