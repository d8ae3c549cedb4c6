"""Deployments: pairs of a profile and a managed cluster. Finds the deployments that a change can reach.

A change reaches a deployment through the profile, through an object that the profile refers to for this cluster, or
through the cluster itself. Profiles that Sveltos generates are not archived. Their producer, a ClusterPromotion or an
EventTrigger, stands for them.
This module must not know inventories or rows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.diff.changed_objects import ChangedObjects
from gitsnap.diff.deployment_references import DeploymentReferences
from gitsnap.diff.document_changes import DocumentChange, SourceChanges, compare_sources
from gitsnap.diff.mode_changes import lifted_block
from gitsnap.diff.patches import Patch, changed_patches
from gitsnap.diff.reached_deployments import ReachedDeployments, clusters_of
from gitsnap.diff.source_settings import settings_are_templates, settings_differ
from gitsnap.sveltos import kinds
from gitsnap.sveltos.documents import is_rendered
from gitsnap.sveltos.inventory import DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import Reference, UnresolvedReason
from gitsnap.sveltos.source_documents import SourceDocument, SourceText, read_documents, texts_of
from gitsnap.sveltos.template_context import CLUSTER, NO_CONTEXT, TemplateContext, TemplateInput
from gitsnap.sveltos.tree_view import TreeView

POLICY = "policyRefs[]"
KUSTOMIZATION = "kustomizationRefs[]"
TEMPLATE_INPUT = "templateResourceRefs[].resource"

_SourceState = tuple[ObjectKey, tuple[str, str], bool]
"""A source in one tree: its key, its content ids, and whether it is deployed to the management cluster."""


@dataclass(frozen=True, slots=True)
class DeploymentChanges:
    """The changes in what one profile deploys to one cluster."""

    documents: tuple[DocumentChange, ...] = ()
    opaque: frozenset[ObjectKey] = frozenset()
    """Sources of ``policyRefs`` with a change in a document that cannot be identified."""
    kustomizations: frozenset[ObjectKey] = frozenset()
    """Changed sources of ``kustomizationRefs`` and of their values."""


@dataclass(frozen=True, slots=True)
class Content:
    """The documents of a deployment in one tree."""

    documents: tuple[SourceDocument, ...]
    unreadable: frozenset[ObjectKey]
    """Sources whose documents are unknown: the archive does not contain them, or Sveltos refuses them."""

    def explains(self, key: ObjectKey, *, local: bool, besides: Container[ObjectKey] = ()) -> bool:
        """Return whether a deployed resource may come from a document of a source that is not in ``besides``."""
        return any(document.explains(key, local=local) for document in self.documents if document.source not in besides)

    def find(self, key: ObjectKey, *, local: bool) -> SourceDocument | None:
        """Return the document that a deployed resource comes from, None if there is none."""
        return next((document for document in self.documents if document.explains(key, local=local)), None)


class Deployments:
    """The deployments of two trees. Documents that are the same for all clusters are compared once."""

    def __init__(self, changed: ChangedObjects) -> None:
        self.changed = changed
        self.before = changed.before
        self.after = changed.after
        self.sides = changed.sides
        self._source_changes: dict[
            tuple[frozenset[_SourceState], frozenset[_SourceState], TemplateContext, TemplateContext], SourceChanges
        ] = {}
        self._documents: dict[
            tuple[_SourceState, TemplateContext], tuple[list[SourceDocument], frozenset[ObjectKey]]
        ] = {}
        self._references = DeploymentReferences(changed)
        self._reached = ReachedDeployments(changed, self._references)
        self._contents: dict[tuple[bool, ObjectKey, ClusterRef], Content] = {}
        self._common_changes: dict[ObjectKey, DeploymentChanges | None] = {}
        """The changes of profiles whose changes are the same for all clusters, None for other profiles."""
        self._lifted_blocks: dict[ObjectKey, str] = {}
        self._changed_patches: dict[tuple[ObjectKey, ClusterRef | None], tuple[Patch, ...]] = {}

    # Which deployments a change can reach ---------------------------------------------------------------------

    @property
    def by_cluster(self) -> Mapping[ClusterRef, list[ObjectKey]]:
        """The deployments of both sides that a change may reach: cluster -> profiles, sorted."""
        return self._reached.by_cluster

    def referred_by_profiles(self) -> frozenset[ObjectKey]:
        """Return the changed objects to which a profile of the newer side refers on every cluster."""
        return self._reached.referred_by_profiles()

    @cached_property
    def deleted_profiles(self) -> frozenset[ObjectKey]:
        """Profiles that only the older side has."""
        return frozenset(
            change.key
            for change in self.changed.by_key.values()
            if change.after is None and change.key.kind in kinds.PROFILE_KINDS
        )

    @cached_property
    def clusters_of_deleted_profiles(self) -> frozenset[ClusterRef]:
        """The clusters of the deleted profiles, which keep their add-ons until Sveltos removes them."""
        return frozenset(
            cluster for profile in self.deleted_profiles for cluster in self.before.reported_clusters(profile)
        )

    def new_profiles(self, cluster: ClusterRef) -> list[ObjectKey]:
        """Return the profiles that only the newer side has and that match a cluster there, sorted."""
        return [
            profile
            for profile, document in self._new_profiles.items()
            if cluster in self.after.target_clusters(document)
        ]

    @cached_property
    def _new_profiles(self) -> Mapping[ObjectKey, JsonObject]:
        """Profiles that only the newer side has, sorted."""
        new = (profile for profile in self._reached.profiles if not self.before.holds(profile))
        return {profile: document for profile in new if (document := self.after.get(profile)) is not None}

    # Generated profiles ---------------------------------------------------------------------------------------

    def is_generated(self, profile: ObjectKey) -> bool:
        """Return whether Sveltos generated a profile: such profiles are in neither configuration."""
        return not any(side.holds(profile) for side in self.sides)

    def is_deployed_by(self, entry: DeployedResource, profile: ObjectKey) -> bool:
        """Return whether a profile deployed a resource. For a producer: whether a generated profile did."""
        if profile.kind in kinds.PROFILE_KINDS:
            return entry.profile == profile
        return self.is_generated(entry.profile)

    def producers(self, cluster: ClusterRef) -> Iterator[ObjectKey]:
        """Return the producers that both sides have and that deploy to a cluster there; in order."""
        for kind in sorted(kinds.PRODUCER_KINDS - self.changed.excluded_kinds):
            for path in self.after.paths(kind):
                producer = ObjectKey.of(self.after.object_at(path) or {})
                if all(cluster in clusters_of(side, producer) for side in self.sides):
                    yield producer

    # Changes of a deployment ----------------------------------------------------------------------------------

    def changes(self, profile: ObjectKey, cluster: ClusterRef) -> DeploymentChanges:
        """Return the changes in what a profile deploys to a cluster."""
        if profile not in self._common_changes:
            is_common = not self._depends_on_cluster(profile, cluster)
            self._common_changes[profile] = self._find_changes(profile, cluster) if is_common else None
        common = self._common_changes[profile]
        return self._find_changes(profile, cluster) if common is None else common

    def _depends_on_cluster(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        """Return whether ``changes`` may depend on the cluster: by references, templates in sources, or settings."""
        if self._references.depend_on_clusters(profile):
            return True
        return any(
            settings_are_templates(side.get(profile), path)
            or any(
                is_rendered(side.get(reference.target) or {})
                for reference in _at_path(self._references.of(side, profile, cluster), POLICY)
            )
            for side in self.sides
            for path in (POLICY, KUSTOMIZATION)
        )

    def _find_changes(self, profile: ObjectKey, cluster: ClusterRef) -> DeploymentChanges:
        sources = self.compare_profiles(profile, profile, cluster)
        old, new = (side.get(profile) for side in self.sides)
        contexts = (
            self.template_context(self.before, profile, cluster),
            self.template_context(self.after, profile, cluster),
        )
        old_targets, new_targets = (
            _targets_below(self._references.of(side, profile, cluster), KUSTOMIZATION) for side in self.sides
        )
        kustomizations = {target for target in old_targets & new_targets if self.changed.content_changed(target)}
        if settings_differ(old, new, contexts, KUSTOMIZATION):
            kustomizations.add(profile)
        opaque = sources.opaque | ({profile} if settings_differ(old, new, contexts, POLICY) else set())
        return DeploymentChanges(sources.documents, opaque, frozenset(kustomizations))

    def compare_profiles(self, former: ObjectKey, profile: ObjectKey, cluster: ClusterRef) -> SourceChanges:
        """Compare what one profile deployed to a cluster before with what another profile deploys there now."""
        old = self._references.of(self.before, former, cluster)
        new = self._references.of(self.after, profile, cluster)
        contexts = _context(self.before, cluster, old), _context(self.after, cluster, new)
        return self._compare_policies(_at_path(old, POLICY), _at_path(new, POLICY), contexts)

    def _compare_policies(
        self, old: list[Reference], new: list[Reference], contexts: tuple[TemplateContext, TemplateContext]
    ) -> SourceChanges:
        """Compare the sources that changed, appeared or disappeared, and the templates that evaluate differently."""
        old_states = frozenset(_source_state(self.before, reference) for reference in old)
        new_states = frozenset(_source_state(self.after, reference) for reference in new)
        context_changed = contexts[0] != contexts[1]
        if old_states == new_states and not context_changed:
            return SourceChanges()
        touched = old_states ^ new_states
        if context_changed:
            for side, references in ((self.before, old), (self.after, new)):
                touched |= {
                    _source_state(side, reference)
                    for reference in references
                    if is_rendered(side.get(reference.target) or {})
                }
        old_texts, old_unreadable = _read(self.before, old, touched)
        new_texts, new_unreadable = _read(self.after, new, touched)
        if not any(text.rendered for text in old_texts + new_texts):
            contexts = NO_CONTEXT, NO_CONTEXT
        slot = (old_states & touched, new_states & touched, *contexts)
        if slot not in self._source_changes:
            self._source_changes[slot] = compare_sources(old_texts, new_texts, contexts)
        compared = self._source_changes[slot]
        kept = {reference.target for reference in old} & {reference.target for reference in new}
        unreadable = {
            target for target in (old_unreadable | new_unreadable) & kept if self.changed.content_changed(target)
        }
        return SourceChanges(compared.documents, compared.opaque | unreadable)

    def changed_patches(self, profile: ObjectKey, cluster: ClusterRef) -> tuple[Patch, ...]:
        """Return the patches of a deployment that only one side has."""
        slot = profile, cluster if self._references.depend_on_clusters(profile) else None
        if slot not in self._changed_patches:
            self._changed_patches[slot] = changed_patches(
                (side, side.get(profile), self._references.of(side, profile, cluster)) for side in self.sides
            )
        return self._changed_patches[slot]

    def lifted_block(self, profile: ObjectKey) -> str:
        """Return the block that kept a profile from deploying before, see ``mode_changes.lifted_block``."""
        if profile not in self._lifted_blocks:
            self._lifted_blocks[profile] = lifted_block(self.before, self.after, profile)
        return self._lifted_blocks[profile]

    # One side of a deployment ---------------------------------------------------------------------------------

    def template_context(self, side: TreeView, profile: ObjectKey, cluster: ClusterRef) -> TemplateContext:
        """Return the context in which the templates of a profile are evaluated for a cluster."""
        return _context(side, cluster, self._references.of(side, profile, cluster))

    def content(self, side: TreeView, profile: ObjectKey, cluster: ClusterRef) -> Content:
        """Return the documents that a profile deploys to a cluster on one side."""
        deployment = side is self.before, profile, cluster
        if deployment not in self._contents:
            self._contents[deployment] = self._read_content(side, profile, cluster)
        return self._contents[deployment]

    def _read_content(self, side: TreeView, profile: ObjectKey, cluster: ClusterRef) -> Content:
        documents: list[SourceDocument] = []
        # The archive does not contain what a generated profile deploys.
        unreadable = set() if side.holds(profile) else {profile}
        references = self._references.of(side, profile, cluster)
        context = _context(side, cluster, references)
        for reference in _at_path(references, POLICY):
            texts = _texts(side, reference)
            # If a required source is missing, Sveltos deploys nothing of the profile and withdraws nothing.
            if texts is None or not (reference.optional or side.holds(reference.target)):
                unreadable.add(reference.target)
                continue
            slot = (_source_state(side, reference), context if any(text.evaluated for text in texts) else NO_CONTEXT)
            if slot not in self._documents:
                self._documents[slot] = read_documents(texts, context)
            documents += self._documents[slot][0]
            unreadable |= self._documents[slot][1]
        return Content(tuple(documents), frozenset(unreadable))

    def lacks_required_source(self, profile: ObjectKey, cluster: ClusterRef) -> bool:
        """Return whether a required source of a profile did not exist when the newer side was captured."""
        return any(
            self.after.unresolved_reason(reference.target) is UnresolvedReason.NOT_FOUND
            for reference in _at_path(self._references.of(self.after, profile, cluster), POLICY)
            if not reference.optional
        )


def _context(side: TreeView, cluster: ClusterRef, references: Iterable[Reference]) -> TemplateContext:
    inputs = {TemplateInput(CLUSTER, cluster.key, side.content_ids(cluster.key))}
    for reference in _at_path(references, TEMPLATE_INPUT):
        inputs.add(TemplateInput(reference.identifier, reference.target, side.content_ids(reference.target)))
    return TemplateContext(cluster, frozenset(inputs), side.cluster_object)


def _read(
    side: TreeView, references: list[Reference], states: frozenset[_SourceState]
) -> tuple[list[SourceText], set[ObjectKey]]:
    """Return the texts of the sources in some states, and the sources whose texts are not in the archive."""
    texts: list[SourceText] = []
    unreadable: set[ObjectKey] = set()
    for reference in references:
        if _source_state(side, reference) in states:
            source_texts = _texts(side, reference)
            if source_texts is None:
                unreadable.add(reference.target)
            else:
                texts += source_texts
    return texts, unreadable


def _source_state(side: TreeView, reference: Reference) -> _SourceState:
    return reference.target, side.content_ids(reference.target), reference.local


def _texts(side: TreeView, reference: Reference) -> list[SourceText] | None:
    """Return the texts that a reference deploys, None if they are not in the archive, as for a Flux source."""
    document = side.get(reference.target)
    if reference.target.kind in kinds.SOURCE_KINDS:
        return None
    return [] if document is None else texts_of(document, local=reference.local, as_stream=side.splits_streams)


def _at_path(references: Iterable[Reference], path: str) -> list[Reference]:
    """Return the references at a path below the field of the add-ons."""
    return [reference for reference in references if reference.path == f"{ADD_ONS_AT.get(reference.by.kind)}.{path}"]


def _targets_below(references: Iterable[Reference], path: str) -> set[ObjectKey]:
    """Return the targets of the references at a path below the field of the add-ons, or below that path."""
    return {
        reference.target
        for reference in references
        if reference.path.startswith(f"{ADD_ONS_AT.get(reference.by.kind)}.{path}")
    }
