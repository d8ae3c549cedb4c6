"""From the cluster to files: what a sample holds, read at one instant, kind by kind and page by page.

Each kind is read into a batch of its own that counts only when the whole list was read: a list that failed half-way is
never mistaken for a deletion, its kind is carried forward from the previous sample instead (docs/FORMAT.md).
This module must not write to an archive or know that there is one: contents go through ``store``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from gitsnap import format as archive_format
from gitsnap.capture.knowledge import Knowledge, Lesson, unresolved_documents
from gitsnap.capture.listing import InstantLostError, Lister
from gitsnap.capture.previous import carried_documents, carries, files_of_kind
from gitsnap.capture.referenced import Found, ReferencedReader
from gitsnap.capture.sealing import WRAPPED_KEY, Sealer, Store
from gitsnap.errors import AccessDeniedError, ClusterError, ClusterUnreachableError, GitsnapError, GoneError
from gitsnap.model import (
    Area,
    BlobId,
    Consistency,
    IncompleteKind,
    IncompleteReason,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceType,
    Substitute,
    TreeInfo,
)
from gitsnap.normalize import last_manager, normalize, terminating
from gitsnap.ports import Cluster, SecretsKeeper, Tree
from gitsnap.sveltos import generated, inventory, kinds
from gitsnap.sveltos.references import ADD_ON_TYPE, Reference, Unresolved, UnresolvedReason

Progress = Callable[[str, int], None]
"""Called with what is being read and the number of objects kept so far."""

UNRESOLVED_FILE = "unresolved.yaml"
"""Path below ``inventory/`` of the references that could not be followed."""

_LIST_ATTEMPTS = 3


@dataclass(slots=True)
class Batch:
    """What one list brings."""

    files: dict[Area, dict[str, BlobId]] = field(default_factory=lambda: {area: {} for area in Area})
    managers: dict[str, str] = field(default_factory=dict)
    lessons: list[Lesson] = field(default_factory=list)
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """What a capture found: the files of a tree, and what must be said about them."""

    info: TreeInfo
    files: Mapping[Area, Mapping[str, BlobId]]
    managers: Mapping[str, str]
    """Path from the root of the tree -> field manager that wrote the object last."""
    incomplete: tuple[IncompleteKind, ...]
    unresolved: tuple[Unresolved, ...]
    consistency: Consistency
    skipped: int
    """Objects left out because a controller generated them."""


def collect(
    cluster: Cluster,
    info: TreeInfo,
    *,
    keeper: SecretsKeeper | None,
    previous: Tree | None,
    store: Store,
    progress: Progress,
    also: Collection[ObjectKey] = (),
    pause: Callable[[float], None] = time.sleep,
) -> Collected:
    """Read everything that ``info`` asks for.

    ``previous`` is the newest sample's tree: kinds that cannot be read are carried forward from it. ``also`` are
    objects that are kept even if nothing refers to them or a controller generated them.
    Raises SecretsError when Secrets cannot be kept in the mode asked for, ClusterUnreachableError when the server
    does not answer at all: a sample of nothing but carried kinds would only pretend that somebody had looked.
    """
    for exact in (True, False):
        lister = Lister(cluster, exact=exact, pause=pause)
        collector = _Collector(cluster, lister, info, keeper=keeper, previous=previous, store=store, also=also)
        try:
            return collector.run(progress)
        except InstantLostError:
            continue
    raise ClusterError("the API server kept dropping lists while they were read", hint="Try again later.")


class _Collector:
    """One pass over all kinds."""

    def __init__(
        self,
        cluster: Cluster,
        lister: Lister,
        info: TreeInfo,
        *,
        keeper: SecretsKeeper | None,
        previous: Tree | None,
        store: Store,
        also: Collection[ObjectKey],
    ) -> None:
        self._also = frozenset(also)
        self._cluster = cluster
        self._lister = lister
        self._info = info
        self._previous = previous
        self._store = store
        self._sealer = Sealer(info.secrets, keeper, previous=previous, store=store)
        self._knowledge = Knowledge()
        self._incomplete: dict[Kind, IncompleteKind] = {}
        self._unresolved: list[Unresolved] = []
        self._files: dict[Area, dict[str, BlobId]] = {area: {} for area in Area}
        self._managers: dict[str, str] = {}
        self._skipped = 0
        self._answered = False

    def run(self, progress: Progress) -> Collected:
        """Listed kinds first, in an order in which each finds what it needs; then what they refer to."""
        for kind in kinds.reading_order(self._info.kinds):
            if kind not in kinds.REFERENCED_KINDS:
                self._read_kind(kind)
                progress(kind.name, len(self._files[Area.CONFIGURATION]))
        self._unresolved += self._knowledge.unresolvable()
        for kind in sorted(kinds.REFERENCED_KINDS):
            self._read_referenced(kind)
            progress(kind.name, len(self._files[Area.CONFIGURATION]))
        self._add_extras()
        return Collected(
            info=self._info,
            files={area: dict(sorted(files.items())) for area, files in self._files.items()},
            managers=self._managers,
            incomplete=tuple(sorted(self._incomplete.values())),
            unresolved=tuple(sorted(set(self._unresolved))),
            consistency=self._lister.consistency,
            skipped=self._skipped,
        )

    # Kinds that are listed whole --------------------------------------------------------------------------------------

    def _read_kind(self, kind: Kind) -> None:
        try:
            resource = self._cluster.resource_type(kind)
            if resource is not None:
                self._merge(self._read_list(resource))
            self._answered = True
        except InstantLostError:
            raise
        except (AccessDeniedError, ClusterError) as error:
            self._substitute(kind, self._reason(error))

    def _read_list(self, resource: ResourceType) -> Batch:
        for _ in range(_LIST_ATTEMPTS):
            batch = Batch()
            try:
                for page in self._lister.pages(resource):
                    for raw in page.items:
                        self._take(batch, raw)
            except InstantLostError:
                raise
            except GoneError:
                continue
            return batch
        raise GoneError(f"the list of {resource.plural} was cut off {_LIST_ATTEMPTS} times")

    def _take(self, batch: Batch, raw: JsonObject) -> None:
        """One object as the server gave it: what is configuration, what is inventory, what is learnt from it."""
        if terminating(raw):
            return
        key = ObjectKey.of(raw)
        path = archive_format.path_of(key)
        owned = self._knowledge.controller_labels
        if key.kind not in kinds.INVENTORY_KINDS:
            if generated.reason(raw) is not None and key not in self._also:
                batch.skipped += 1
                return
            self._put(batch, path, raw, normalize(raw, controller_labels=owned))
        distilled = inventory.distill(raw, controller_labels=owned)
        if distilled is not None:
            batch.files[Area.INVENTORY][path] = self._store(archive_format.encode(distilled))
        lesson = self._knowledge.study(raw)
        if lesson is not None:
            batch.lessons.append(lesson)

    def _put(self, batch: Batch, path: str, raw: JsonObject, document: JsonObject) -> BlobId:
        blob = self._store(archive_format.encode(document))
        batch.files[Area.CONFIGURATION][path] = blob
        batch.managers[f"{Area.CONFIGURATION}/{path}"] = last_manager(raw)
        return blob

    def _merge(self, batch: Batch) -> None:
        for area, files in batch.files.items():
            self._files[area].update(files)
        self._managers.update(batch.managers)
        self._skipped += batch.skipped
        for lesson in batch.lessons:
            self._knowledge.learn(lesson)

    # Objects that others refer to -------------------------------------------------------------------------------------

    def _read_referenced(self, kind: Kind) -> None:
        wanted = {key: list[Reference]() for key in sorted(self._also) if key.kind == kind}
        wanted |= self._knowledge.wanted(kind)
        if kind not in self._info.kinds:
            reason = UnresolvedReason.OMITTED
            self._unresolved += [one.as_unresolved(reason) for found in wanted.values() for one in found]
            return
        if not wanted:
            return
        try:
            resource = self._cluster.resource_type(kind)
        except (AccessDeniedError, ClusterError) as error:
            self._carry_wanted(kind, list(wanted), self._reason(error))
            return
        if resource is None:
            raise ClusterError(f"the API server does not serve {kind}", hint="Is this a Kubernetes API server?")
        found = ReferencedReader(self._lister, resource).read(list(wanted))
        batch = Batch()
        for raw in found.objects:
            self._take_referenced(batch, raw)
        self._merge(batch)
        for failure, keys in found.failures:
            self._carry_wanted(kind, keys, self._reason(failure))
        self._note_unresolved(kind, wanted, found)

    def _note_unresolved(self, kind: Kind, wanted: Mapping[ObjectKey, list[Reference]], found: Found) -> None:
        failed = {key for _, keys in found.failures for key in keys}
        types = {ObjectKey.of(raw): raw.get("type") for raw in found.objects if not terminating(raw)}
        for key, references in wanted.items():
            if key in failed:
                continue
            if key not in types:
                self._unresolved += [one.as_unresolved(UnresolvedReason.NOT_FOUND) for one in references]
            elif kind == kinds.SECRET and types[key] != ADD_ON_TYPE:
                wrong = UnresolvedReason.WRONG_TYPE
                self._unresolved += [one.as_unresolved(wrong) for one in references if one.secret_type_required]

    def _take_referenced(self, batch: Batch, raw: JsonObject) -> None:
        if terminating(raw):
            return
        key = ObjectKey.of(raw)
        if generated.reason(raw) is not None and key not in self._also:
            batch.skipped += 1
            return
        document = normalize(raw)
        path = archive_format.path_of(key)
        if key.kind != kinds.SECRET:
            self._put(batch, path, raw, document)
            return
        archived = self._sealer.archived(document)
        blob = self._put(batch, path, raw, archived)
        if self._sealer.encrypts:
            batch.files[Area.SEALED][path] = self._sealer.sealed(document, path=path, masked=archived, blob=blob)

    # What could not be read -------------------------------------------------------------------------------------------

    def _reason(self, error: GitsnapError) -> IncompleteReason:
        """The code for a failure. Raises the failure itself when the server never answered anything."""
        if isinstance(error, AccessDeniedError):
            return IncompleteReason.FORBIDDEN
        if isinstance(error, ClusterUnreachableError):
            if not self._answered:
                raise error
            return IncompleteReason.UNREACHABLE
        return IncompleteReason.BAD_ANSWER

    def _substitute(self, kind: Kind, reason: IncompleteReason) -> None:
        """Carry a kind forward from the previous sample, and learn from its objects as if they had been read."""
        previous = self._previous
        if previous is None or not carries(previous, kind):
            self._incomplete[kind] = IncompleteKind(kind, Substitute.MISSING, reason)
            return
        self._incomplete[kind] = IncompleteKind(kind, Substitute.CARRIED, reason)
        for area, path, blob in files_of_kind(previous, kind):
            self._files[area][path] = self._store(previous.read(blob))
        for document in carried_documents(previous, kind):
            lesson = self._knowledge.study(document)
            if lesson is not None:
                self._knowledge.learn(lesson)

    def _carry_wanted(self, kind: Kind, keys: list[ObjectKey], reason: IncompleteReason) -> None:
        """Carry single objects forward; the kind is *missing* when the previous sample does not have them all."""
        previous = self._previous
        substitute = Substitute.CARRIED
        for key in keys:
            path = archive_format.path_of(key)
            held = previous is not None and path in previous.files(Area.CONFIGURATION)
            if previous is None or not held:
                substitute = Substitute.MISSING
                continue
            for area in (Area.CONFIGURATION, Area.SEALED):
                blob = previous.files(area).get(path)
                if blob is not None:
                    self._files[area][path] = self._store(previous.read(blob))
        before = self._incomplete.get(kind)
        if before is not None and before.substitute is Substitute.MISSING:
            substitute = Substitute.MISSING
        self._incomplete[kind] = IncompleteKind(kind, substitute, reason)

    def _add_extras(self) -> None:
        if self._sealer.encrypts:
            self._files[Area.SEALED][WRAPPED_KEY] = self._sealer.wrapped_key()
        if self._unresolved:
            document = {"unresolved": unresolved_documents(self._unresolved)}
            self._files[Area.INVENTORY][UNRESOLVED_FILE] = self._store(archive_format.encode(document))
