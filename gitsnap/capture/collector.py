"""Reads a cluster and collects the files of a sample: kind by kind, at one resource version.

Each kind is read into a batch that counts only if its list was read to the end. A list that fails half-way is not
mistaken for deletions: its kind is carried forward from the previous sample (docs/FORMAT.md). This module must not
write to an archive: contents are stored by ``store``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gitsnap.capture.archiver import Archiver
from gitsnap.capture.batch import Batch, Failure
from gitsnap.capture.context import CaptureContext, ReferencedObjects, unresolved_documents
from gitsnap.capture.list_reader import ListReader, Pages
from gitsnap.capture.lists_ahead import ListsAhead
from gitsnap.capture.pinned_list import Lister, VersionExpiredError
from gitsnap.capture.policy_resources import selected_pages, selectors_by_kind
from gitsnap.capture.referenced import ReferencedReader
from gitsnap.capture.substitutes import Substitutes
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import AccessDeniedError, ClusterError, ClusterUnreachableError, GitsnapError
from gitsnap.core.model import (
    Area,
    BlobId,
    Consistency,
    IncompleteKind,
    IncompleteReason,
    Kind,
    ObjectKey,
    ResourceSelector,
    ResourceType,
    TreeInfo,
)
from gitsnap.core.objects import KubeObject
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.format import UNRESOLVED_FILE, WRAPPED_KEY_FILE, encode, path_of
from gitsnap.secrets.sealing import Sealer, Store
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import Inclusions, Origin
from gitsnap.sveltos.references import ADD_ON_TYPE, Reference, Unresolved, UnresolvedReason

Progress = Callable[[str, int], None]
"""Called with the kind that was read and the number of objects collected so far."""

READING_SECONDS = 600.0
"""Time limit for reading a cluster. A list that is not read to its end by then counts as failed."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The files of a sample, and its metadata."""

    info: TreeInfo
    files: Mapping[Area, Mapping[str, BlobId]]
    managers: Mapping[str, str]
    """Path below ``configuration/`` -> field manager that wrote the object last."""
    incomplete: tuple[IncompleteKind, ...]
    unresolved: tuple[Unresolved, ...]
    consistency: Consistency
    generated: Mapping[ObjectKey, Origin]
    """Objects that are left out because a controller generated them, sorted."""
    not_served: tuple[Kind, ...]
    """Kinds that the policy adds and the server does not serve, sorted."""
    not_matched: tuple[ResourceSelector, ...]
    """Entries of the policy's resources whose namespaces, labels or names match no object, sorted."""
    serves_any: bool
    """Whether the server serves a kind that was listed."""
    problems: Mapping[ObjectKey, str]
    """Messages about single objects that could not be archived, sorted."""
    context: CaptureContext
    """The clusters, sets and labels that the facts about objects depend on."""


def collect(
    cluster: Cluster,
    info: TreeInfo,
    *,
    keeper: SecretsKeeper | None,
    previous: Tree | None,
    store: Store,
    unchanged: Unchanged,
    progress: Progress,
    also: Collection[ObjectKey] = (),
    pause: Callable[[float], None] = time.sleep,
) -> Collected:
    """Read all objects that ``info`` asks for.

    ``previous``: the tree of the newest sample; kinds that cannot be read are carried forward from it.
    ``unchanged``: the cache of objects that did not change since. ``also``: objects to include even if no object refers
    to them, or a controller generated them.

    Raises SecretsError if Secrets cannot be kept in the mode of ``info``, and ClusterUnreachableError if the server
    never answers: a sample of carried kinds alone would be no record of the cluster.
    """
    for exact in (True, False):
        lister = Lister(cluster, exact=exact, pause=pause)
        collector = _Collector(
            cluster,
            lister,
            info,
            keeper=keeper,
            previous=previous,
            store=store,
            unchanged=unchanged,
            also=frozenset(also),
        )
        try:
            return collector.run(progress)
        except VersionExpiredError:
            continue
    raise ClusterError("the API server kept dropping lists while they were read", hint="Try again later.")


class _Collector:
    """One attempt to read all kinds."""

    def __init__(
        self,
        cluster: Cluster,
        lister: Lister,
        info: TreeInfo,
        *,
        keeper: SecretsKeeper | None,
        previous: Tree | None,
        store: Store,
        unchanged: Unchanged,
        also: frozenset[ObjectKey],
    ) -> None:
        self._also = also
        self._cluster = cluster
        self._lister = lister
        self._info = info
        self._store = store
        self._unchanged = unchanged
        self._sealer = Sealer(info.secrets, keeper, previous=previous, store=store)
        self._context = CaptureContext()
        self._archiver = Archiver(
            self._context,
            self._sealer,
            store,
            unchanged,
            inclusions=Inclusions(also, tuple(entry for entry in info.resources if entry.kind in kinds.USER_KINDS)),
            strict=not cluster.info().keeps_versions,  # files that users edit, rather than a server
        )
        self._reader = ListReader(lister, self._archiver, unchanged)
        self._lists_ahead = ListsAhead(cluster, lister, self._reader, unchanged)
        self._unresolved: list[Unresolved] = []
        self._sample = Batch()
        """The batches that were read to their end."""
        self._substitutes = Substitutes(info, previous, self._sample.files, store)
        self._problems: dict[ObjectKey, str] = {}
        self._answered = False
        self._not_served: list[Kind] = []
        self._not_matched: list[ResourceSelector] = []
        self._serves_any = False

    def run(self, progress: Progress) -> Collected:
        """Read the listed kinds in their order of dependency, then the objects that they refer to."""
        listed = [kind for kind in kinds.reading_order(self._info.kinds) if kind in kinds.LISTED_KINDS]
        for position, kind in enumerate(listed):
            self._read_kind(kind, ahead=listed[position:])
            progress(kind.name, self._count)
        added = [entry for entry in self._info.resources if entry.kind not in kinds.LISTED_KINDS]
        for kind, selectors in selectors_by_kind(added).items():
            self._read_kind(kind, selectors)
            progress(kind.name, self._count)
        self._context.add_dependent_clusters()
        self._read_controllers()
        self._unresolved += self._context.unresolvable()
        for kind, referenced in self._referenced_objects().items():
            if kind in kinds.LISTED_KINDS:
                self._check_targets(referenced)
            else:
                self._read_referenced(kind, referenced)
                progress(kind.name, self._count)
        self._add_extra_files()
        self._context.forget_references()
        return Collected(
            info=self._info,
            files={area: dict(sorted(files.items())) for area, files in self._sample.files.items()},
            managers=self._sample.managers,
            incomplete=self._substitutes.incomplete,
            unresolved=tuple(sorted(set(self._unresolved))),
            consistency=self._lister.consistency,
            generated=dict(sorted(self._sample.generated.items())),
            not_served=tuple(self._not_served),
            not_matched=tuple(self._not_matched),
            serves_any=self._serves_any,
            problems=dict(sorted(self._problems.items())),
            context=self._context,
        )

    def _referenced_objects(self) -> Mapping[Kind, ReferencedObjects]:
        """The targets of references by kind, with the objects that are included without a reference."""
        by_kind = {kind: dict(referenced) for kind, referenced in self._context.referenced_objects().items()}
        for key in sorted(self._also):
            if key.kind not in kinds.LISTED_KINDS:
                by_kind.setdefault(key.kind, {}).setdefault(key, [])
        return dict(sorted(by_kind.items()))

    @property
    def _count(self) -> int:
        return len(self._sample.files[Area.CONFIGURATION])

    # Kinds that are listed completely ---------------------------------------------------------------------------------

    def _read_kind(self, kind: Kind, selectors: Sequence[ResourceSelector] = (), *, ahead: Sequence[Kind] = ()) -> None:
        """Read the objects of a kind, or those that match the ``selectors`` of the policy.

        ``ahead``: this kind and those that are read next.
        """
        discovered = False
        try:
            resource = self._cluster.resource_type(kind)
            discovered = True
            self._lists_ahead.request(ahead)
            if resource is not None:
                matched: set[ResourceSelector] = set()
                self._add(self._reader.read(resource, self._pages(resource, selectors, matched)))
                self._serves_any = True
                self._not_matched += [entry for entry in selectors if entry.is_narrow and entry not in matched]
            elif selectors:
                self._not_served.append(kind)
            self._answered = True
        except VersionExpiredError:
            raise
        except (AccessDeniedError, ClusterError) as error:
            for obj in self._substitutes.carry_kind(kind, self._reason(error, discovered=discovered)):
                self._add_facts(obj)

    def _pages(
        self, resource: ResourceType, selectors: Sequence[ResourceSelector], matched: set[ResourceSelector]
    ) -> Pages:
        if selectors:
            return partial(selected_pages, self._cluster, self._lister, resource, selectors, matched=matched)
        return partial(self._lister.pages, resource)

    def _add(self, batch: Batch) -> None:
        """Add a batch to the sample; substitutes stand in for the objects that could not be archived."""
        self._sample.merge(batch)
        self._unchanged.record(batch.versions)
        for facts in batch.facts:
            self._context.add(facts)
        self._substitute_objects(batch.failed)

    def _add_facts(self, obj: KubeObject) -> None:
        """Add the facts about an object that is not part of a batch."""
        facts = self._archiver.facts_of(obj)
        if facts is not None:
            self._context.add(facts)

    def _read_controllers(self) -> None:
        """Read the Deployments of Sveltos: some of their flags name ConfigMaps. They are not archived."""
        try:
            if not any(self._cluster.resource_type(kind) for kind in kinds.PROFILE_KINDS):
                return
            resource = self._cluster.resource_type(kinds.DEPLOYMENT)
            if resource is None:
                return
            for page in self._lister.pages(resource, namespace=kinds.SVELTOS_NAMESPACE):
                for obj in page.objects:
                    self._add_facts(obj)
        except VersionExpiredError:
            raise
        except (AccessDeniedError, ClusterError):
            by = ObjectKey(kinds.NAMESPACE, "", kinds.SVELTOS_NAMESPACE)
            target = ObjectKey(kinds.DEPLOYMENT, kinds.SVELTOS_NAMESPACE, kinds.ADDON_CONTROLLER)
            self._unresolved.append(Unresolved(by, target, UnresolvedReason.FORBIDDEN))

    # Objects that others refer to -------------------------------------------------------------------------------------

    def _check_targets(self, referenced: ReferencedObjects) -> None:
        """Record the references to objects of a listed kind that do not exist."""
        present = self._sample.files[Area.CONFIGURATION]
        for key, references in referenced.items():
            if self._substitutes.is_missing(key):
                continue  # the object may exist; the sample records its kind or the object as incomplete
            if path_of(key) not in present:
                self._record(references, UnresolvedReason.OMITTED if key in self._sample.generated else None)

    def _read_referenced(self, kind: Kind, referenced: ReferencedObjects) -> None:
        omitted = kind in kinds.NOT_CONFIGURATION or (kind in kinds.CAPTURED_KINDS and kind not in self._info.kinds)
        if omitted:
            for references in referenced.values():
                self._record(references, UnresolvedReason.OMITTED)
            return
        try:
            resource = self._cluster.resource_type(kind)
        except (AccessDeniedError, ClusterError) as error:
            self._substitutes.carry_referenced(kind, list(referenced), self._reason(error, discovered=False))
            return
        if resource is None:
            if not kind.group:
                raise ClusterError(f"the API server does not serve {kind}", hint="Is this a Kubernetes API server?")
            for references in referenced.values():
                self._record(references)
            return
        self._read_named(resource, self._not_yet_read(resource, referenced))

    def _read_named(self, resource: ResourceType, referenced: ReferencedObjects) -> None:
        sizes = self._unchanged.list_sizes(resource.kind)
        reader = ReferencedReader(
            self._lister, self._reader, resource, self._add, sizes, has_copy=self._unchanged.has_copy
        )
        failed: set[ObjectKey] = set()
        for error, keys in reader.read(referenced):
            failed.update(keys)
            reason = self._reason(error)
            if reader.types:
                self._substitute_objects(dict.fromkeys(keys, Failure(reason, error.message)))
            else:
                self._substitutes.carry_referenced(resource.kind, keys, reason)
        for key, references in referenced.items():
            if key not in failed:
                self._check_target(key, references, reader.types)

    def _not_yet_read(self, resource: ResourceType, referenced: ReferencedObjects) -> ReferencedObjects:
        """The referenced objects that are not in the sample yet. Secrets are always read: their type is checked."""
        if not resource.namespaced:
            referenced = _cluster_scoped(referenced)
        if resource.kind == kinds.SECRET:
            return referenced
        present = self._sample.files[Area.CONFIGURATION]
        return {key: references for key, references in referenced.items() if path_of(key) not in present}

    def _check_target(self, key: ObjectKey, references: Iterable[Reference], types: Mapping[ObjectKey, object]) -> None:
        """Record references whose target does not exist, is left out, or has the wrong type.

        ``types``: the objects that exist -> their ``type``.
        """
        if key not in types:
            self._record(references)
        elif key in self._sample.generated:
            self._record(references, UnresolvedReason.OMITTED)
        elif key.kind == kinds.SECRET and types[key] != ADD_ON_TYPE:
            typed = (reference for reference in references if reference.secret_type_required)
            self._record(typed, UnresolvedReason.WRONG_TYPE)

    def _record(self, references: Iterable[Reference], reason: UnresolvedReason | None = None) -> None:
        """Record references as unresolved. Without a reason: their target does not exist."""
        self._unresolved += [reference.as_unresolved(reason) for reference in references]

    # Failures ---------------------------------------------------------------------------------------------------------

    def _reason(self, error: GitsnapError, *, discovered: bool = True) -> IncompleteReason:
        """The code of a failure. Raises ``error`` itself if the server has never answered."""
        if isinstance(error, AccessDeniedError):
            return IncompleteReason.FORBIDDEN
        if isinstance(error, ClusterUnreachableError):
            if not self._answered:
                raise error
            return IncompleteReason.UNREACHABLE if discovered else IncompleteReason.DISCOVERY_FAILED
        return IncompleteReason.BAD_ANSWER

    def _substitute_objects(self, failed: Mapping[ObjectKey, Failure]) -> None:
        for key, failure in failed.items():
            carried = self._substitutes.carry_object(key, failure.reason)
            if carried is not None:
                self._add_facts(carried)
            self._problems[key] = failure.message

    def _add_extra_files(self) -> None:
        if self._sealer.encrypts:
            self._sample.files[Area.SEALED][WRAPPED_KEY_FILE] = self._sealer.wrapped_key()
        if self._unresolved:
            document = {"unresolved": unresolved_documents(self._unresolved)}
            self._sample.files[Area.INVENTORY][UNRESOLVED_FILE] = self._store(encode(document))


def _cluster_scoped(referenced: ReferencedObjects) -> ReferencedObjects:
    """The targets without a namespace: Sveltos ignores the namespace of a reference to a cluster-scoped kind."""
    result: dict[ObjectKey, list[Reference]] = {}
    for key, references in referenced.items():
        target = ObjectKey(key.kind, "", key.name)
        result.setdefault(target, []).extend(replace(reference, target=target) for reference in references)
    return result
