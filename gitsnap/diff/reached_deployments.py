"""Finds the deployments that a change can reach, without reading the profiles and sources that it cannot reach.

A change reaches a deployment through the profile, through an object that the profile refers to for this cluster, or
through the cluster itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property

from gitsnap.core.model import ObjectKey
from gitsnap.diff.changed_objects import ChangedObjects
from gitsnap.diff.deployment_references import DeploymentReferences
from gitsnap.sveltos import kinds
from gitsnap.sveltos.documents import RENDERED_ANNOTATIONS
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.name_matcher import NameMatcher
from gitsnap.sveltos.normalize import RULES
from gitsnap.sveltos.target_search import TargetSearch, WrittenNames
from gitsnap.sveltos.tree_view import TreeView

DEPLOYING_KINDS = kinds.PROFILE_KINDS | kinds.PRODUCER_KINDS

_ACTION = b"{{"
_ANY_CLUSTER = ClusterRef(kinds.SVELTOS_CLUSTER, "", "")
"""Stands for all clusters in references that do not depend on the cluster."""

_MARKS = tuple(mark.encode() for mark in RENDERED_ANNOTATIONS)


class ReachedDeployments:
    """The deployments of two trees that a change can reach."""

    def __init__(self, changed: ChangedObjects, references: DeploymentReferences) -> None:
        self._changed = changed
        self._references = references
        self._sides = changed.sides
        self._after = changed.after

    @cached_property
    def profiles(self) -> list[ObjectKey]:
        """Profiles and producers that changed, or that may refer to an object that changed; sorted."""
        keys = self._changed.by_key.keys() | self._changed.moved_sources
        names = {key.name for key in keys if key.kind not in DEPLOYING_KINDS | kinds.CLUSTER_KINDS}
        profiles = {key for key in self._changed.by_key if key.kind in DEPLOYING_KINDS}
        if names:
            named, targets = NameMatcher(names), TargetSearch(keys)
            paths = (
                path for kind in DEPLOYING_KINDS - self._changed.excluded_kinds for path in self._after.paths(kind)
            )
            for path in paths:
                key, content = self._after.key_at(path), self._after.content_at(path)
                if key is None or not self._may_refer(path, content, key.namespace, targets):
                    continue
                if _ACTION in content or named.matches(content):
                    profiles.add(key)
        return sorted(profiles)

    def _may_refer(self, path: str, content: bytes, namespace: str, targets: TargetSearch) -> bool:
        """Return whether an object may refer to one of the targets. Objects that differ count as well."""
        is_same = len({side.configuration.get(path) for side in self._sides}) == 1
        return not (is_same and self._is_current) or targets.may_refer(content, namespace)

    @cached_property
    def _is_current(self) -> bool:
        """Whether the objects of both sides are normalized by the current rules."""
        return all(side.info.rules == RULES for side in self._sides)

    @cached_property
    def by_cluster(self) -> Mapping[ClusterRef, list[ObjectKey]]:
        """The deployments of both sides that a change may reach: cluster -> profiles, sorted."""
        by_cluster: dict[ClusterRef, list[ObjectKey]] = {}
        profiles, templated = frozenset(self.profiles), self._templated_profiles
        for profile in sorted(profiles | templated.keys()):
            clusters = set(templated.get(profile, ()))
            if profile in profiles:
                clusters |= self._reached_clusters(profile)
            for cluster in clusters:
                by_cluster.setdefault(cluster, []).append(profile)
        return by_cluster

    def _reached_clusters(self, profile: ObjectKey) -> AbstractSet[ClusterRef]:
        """Return the clusters for which a profile, or an object that it refers to, changed."""
        if not all(side.holds(profile) for side in self._sides):
            return frozenset()
        if profile in self._changed.by_key:
            return self._clusters_of_both(profile)
        if self._references.depend_on_clusters(profile):
            clusters = self._clusters_of_both(profile)
            return {cluster for cluster in clusters if self._refers_to_change(profile, cluster)}
        return self._clusters_of_both(profile) if self._refers_to_change(profile, _ANY_CLUSTER) else frozenset()

    def _refers_to_change(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        changed, moved = self._changed.by_key, self._changed.moved_sources
        return any(
            reference.target in changed or reference.target in moved
            for side in self._sides
            for reference in self._references.of(side, profile, cluster)
        )

    def referred_by_profiles(self) -> frozenset[ObjectKey]:
        """Return the changed objects to which a profile of the newer side refers on every cluster."""
        return frozenset(
            reference.target
            for profile in self.profiles
            if profile.kind in kinds.PROFILE_KINDS and not self._references.depend_on_clusters(profile)
            for reference in self._references.of(self._after, profile, _ANY_CLUSTER)
            if reference.target in self._changed.by_key
        )

    def _clusters_of_both(self, profile: ObjectKey) -> frozenset[ClusterRef]:
        before, after = (clusters_of(side, profile) for side in self._sides)
        return before & after

    # Templates --------------------------------------------------------------------------------------------------------

    @cached_property
    def _templated_profiles(self) -> Mapping[ObjectKey, frozenset[ClusterRef]]:
        """Profiles that a changed cluster may affect, because they are templates or name sources that are templates.

        Each has the changed clusters to which it is deployed in both trees.
        """
        changed, templated = self._changed.clusters, dict[ObjectKey, frozenset[ClusterRef]]()
        if not changed:
            return {}
        candidates: list[tuple[ObjectKey, bytes]] = []
        for kind in sorted(DEPLOYING_KINDS - self._changed.excluded_kinds):
            for path in self._after.paths(kind):
                key = self._after.key_at(path)
                if key is None or not all(
                    side.holds(key) and _may_be_deployed(side, key, changed) for side in self._sides
                ):
                    continue
                candidates.append((key, self._after.content_at(path)))
        plain = [(key, content) for key, content in candidates if _ACTION not in content]
        rendered = TargetSearch(self._rendered_sources(plain) if plain else ())
        # Reports of Sveltos are long, so they are decoded only for the profiles that are left.
        for key, content in candidates:
            if _ACTION in content or rendered.may_refer(content, key.namespace):
                clusters = changed.intersection(*(deployed_among(side, key, changed) for side in self._sides))
                if clusters:
                    templated[key] = clusters
        return templated

    def _rendered_sources(self, profiles: Iterable[tuple[ObjectKey, bytes]]) -> Iterator[ObjectKey]:
        """Yield the sources that are templates and that one of the profiles may name.

        ``profiles``: their keys and contents.
        """
        names = WrittenNames(self._changed.clusters)
        for key, content in profiles:
            names.add(content, key.namespace)
        for kind in kinds.REFERENCED_KINDS - self._changed.excluded_kinds:
            for path in self._after.paths_in(kind, names.namespaces):
                if not names.may_name(path):
                    continue
                content = self._after.content_at(path)
                source = self._after.key_at(path) if any(mark in content for mark in _MARKS) else None
                if source is not None:
                    yield source


def clusters_of(side: TreeView, profile: ObjectKey) -> frozenset[ClusterRef]:
    """Return the clusters that a profile, or the profiles generated from a producer, deploy to."""
    if profile.kind in kinds.PROFILE_KINDS:
        return side.reported_clusters(profile)
    document = side.get(profile)
    return frozenset() if document is None else side.target_clusters(document) | side.destination_clusters(document)


def _may_be_deployed(side: TreeView, profile: ObjectKey, clusters: frozenset[ClusterRef]) -> bool:
    """Return whether ``deployed_among`` may have a result, as far as a search for names can tell."""
    return profile.kind not in kinds.PROFILE_KINDS or side.may_report(profile, clusters)


def deployed_among(side: TreeView, profile: ObjectKey, clusters: frozenset[ClusterRef]) -> frozenset[ClusterRef]:
    """Return the clusters of ``clusters_of`` that are in ``clusters``. This usually reads fewer files."""
    if profile.kind in kinds.PROFILE_KINDS:
        return side.reported_among(profile, clusters)
    document = side.get(profile)
    if document is None:
        return frozenset()
    selection = side.select_among(document, clusters)
    return clusters & (selection.clusters | side.reported_clusters(profile) | side.destination_clusters(document))
