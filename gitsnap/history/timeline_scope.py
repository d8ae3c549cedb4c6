"""Limits the comparison of two samples to profiles and objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitsnap.core.model import ObjectKey, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Tree
from gitsnap.diff.raw_diff import TextPair, object_texts
from gitsnap.diff.rows import Comparison, DiffRow, kind_of_type, object_title
from gitsnap.diff.shown_objects import shown_versions
from gitsnap.history.timeline import Scope
from gitsnap.sveltos import kinds
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.tree_view import TreeView


class ScopeFilter:
    """Reduces comparisons to the profiles and the objects of a scope. The scope's clusters are filtered elsewhere."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._cache = ContentCache()

    def narrow(
        self, comparison: Comparison, before: Tree, after: Tree, left_out: Iterable[SensitiveField]
    ) -> Comparison:
        """Return the rows and texts about the scope; all of them for a scope without profiles and objects.

        ``left_out``: fields whose values are not shown. Raises ArchiveError.
        """
        if not self._scope.profiles and not self._scope.objects:
            return comparison
        fields = tuple(left_out)
        sides = [TreeView(tree, self._cache, blanked_fields=fields) for tree in (before, after)]
        keys = set(self._scope.objects)
        clusters: set[str] = set()
        for profile in self._scope.profiles:
            keys |= {profile, *_references(sides, profile)}
            clusters |= _clusters(comparison, sides, profile)
        management = tuple(row for row in comparison.management if row.key in keys)
        return replace(
            comparison,
            rows=tuple(
                row for row in comparison.rows if row.cluster in clusters or profile_of(row) in self._scope.profiles
            ),
            management=management,
            not_comparable=tuple(entry for entry in comparison.not_comparable if _concerns(entry.subject, keys)),
            texts=tuple(_text(sides, row.key) for row in management),
            reached=tuple(pair for pair in comparison.reached if pair[1] in self._scope.profiles),
        )


def profile_of(row: DiffRow) -> ObjectKey | None:
    """Return the profile of a row about a whole deployment, None for a row about a resource or a release."""
    kind = kind_of_type(row.resource_type)
    return ObjectKey(kind, row.namespace, row.name) if kind in kinds.PROFILE_KINDS else None


def _references(sides: Iterable[TreeView], profile: ObjectKey) -> set[ObjectKey]:
    documents = ((side, side.get(profile)) for side in sides)
    return {key for side, document in documents if document for key in side.reference_targets(document)}


def _clusters(comparison: Comparison, sides: Iterable[TreeView], profile: ObjectKey) -> set[str]:
    """Return the managed clusters in which the change may have come through the profile.

    These are the clusters that the change reaches through the profile, and those that only one side matches. If the
    profile itself changed, these are all clusters that it matches.
    """
    matched = []
    documents = []
    for side in sides:
        document = side.get(profile)
        documents.append(document)
        clusters = side.target_clusters(document) | side.reported_clusters(profile) if document else ()
        matched.append({str(cluster) for cluster in clusters})
    reached = {cluster for cluster, reached_profile in comparison.reached if reached_profile == profile}
    if not same_json(*documents):
        return reached | matched[0] | matched[1]
    return reached | (matched[0] ^ matched[1])


def _concerns(subject: str, keys: Iterable[ObjectKey]) -> bool:
    return any(subject in (str(key), str(key.kind)) for key in keys)


def _text(sides: Iterable[TreeView], key: ObjectKey) -> TextPair:
    return object_texts(object_title(key), *shown_versions(*(side.get(key) for side in sides)))
