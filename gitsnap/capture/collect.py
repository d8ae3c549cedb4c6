"""From the cluster to files: what a sample holds, read at one instant, kind by kind and page by page.

Each kind is read into a batch of its own that counts only when the whole list was read: a list that failed half-way is
never mistaken for a deletion, its kind is carried forward from the previous sample instead (docs/FORMAT.md).
This module must not write to an archive or know that there is one: contents go through ``store``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gitsnap import format as archive_format
from gitsnap.capture.knowledge import Knowledge
from gitsnap.capture.listing import InstantLostError, Lister
from gitsnap.capture.referenced import ReferencedReader
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
    SecretsMode,
    Substitute,
    TreeInfo,
)
from gitsnap.normalize import last_manager, normalize, terminating
from gitsnap.ports import Cluster, SecretsKeeper, Tree
from gitsnap.sveltos import generated, inventory, kinds
from gitsnap.sveltos.references import Unresolved

Progress = Callable[[str, int], None]
"""Called with what is being read and the number of objects read so far."""

LIST_ATTEMPTS = 3
"""How often a list is begun again after the server dropped its continuation."""


@dataclass(slots=True)
class Batch:
    """What one kind brings: files, and what was learnt about clusters, sets and references."""

    files: dict[Area, dict[str, BlobId]] = field(default_factory=lambda: {area: {} for area in Area})
    managers: dict[str, str] = field(default_factory=dict)
    learnt: list[JsonObject] = field(default_factory=list)
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
    pause: Callable[[float], None] = time.sleep,
) -> Collected:
    """Read everything that ``info`` asks for.

    ``previous`` is the newest sample's tree: kinds that cannot be read are carried forward from it.
    Raises SecretsError when Secrets cannot be kept in the mode asked for, and the cluster's errors when not even
    the first kind can be reached.
    """
    for exact in (True, False):
        lister = Lister(cluster, exact=exact, pause=pause)
        try:
            return _Collector(cluster, lister, info, keeper=keeper, previous=previous, store=store).run(progress)
        except InstantLostError:
            continue
    raise ClusterError("the API server kept dropping lists while they were read")


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
    ) -> None:
        self._cluster = cluster
        self._lister = lister
        self._info = info
        self._previous = previous
        self._store = store
        self._sealer = Sealer(info.secrets, keeper, previous=previous, store=store)
        self._knowledge = Knowledge()
        self._incomplete: dict[Kind, IncompleteKind] = {}
        self._files: dict[Area, dict[str, BlobId]] = {area: {} for area in Area}
        self._managers: dict[str, str] = {}
        self._skipped = 0

    def run(self, progress: Progress) -> Collected:
        """Listed kinds first, in an order in which each finds what it needs; then what they refer to."""
        listed = [kind for kind in kinds.reading_order(self._info.kinds) if kind not in kinds.REFERENCED_KINDS]
        for kind in listed:
            self._read_kind(kind)
            progress(kind.name, self._count())
        references = self._knowledge.references()
        unresolved = list(references.unresolved)
        for kind in sorted(kinds.REFERENCED_KINDS):
            wanted = references.targets(kind)
            if kind in self._info.kinds:
                unresolved += self._read_referenced(kind, wanted)
                progress(kind.name, self._count())
            else:
                unresolved += references.omitted(kind)
        self._write_extras(unresolved)
        return Collected(
            info=self._info,
            files={area: dict(sorted(files.items())) for area, files in self._files.items()},
            managers=self._managers,
            incomplete=tuple(sorted(self._incomplete.values())),
            unresolved=tuple(sorted(unresolved)),
            consistency=self._lister.consistency,
            skipped=self._skipped,
        )

    # Listed kinds ---------------------------------------------------------------------------------------------

    def _read_kind(self, kind: Kind) -> None:
        try:
            resource = self._cluster.resource_type(kind)
        except GitsnapError as error:
            self._substitute(kind, _reason(error, IncompleteReason.DISCOVERY_FAILED))
            return
        if resource is None:
            return
        try:
            self._merge(self._read_list(resource))
        except InstantLostError:
            raise
        except (AccessDeniedError, ClusterError) as error:
            self._substitute(kind, _reason(error, IncompleteReason.BAD_ANSWER))

    def _read_list(self, resource: ResourceType) -> Batch:
        for attempt in range(LIST_ATTEMPTS):
            batch = Batch()
            try:
                for page in self._lister.pages(resource):
                    for raw in page.items:
                        self._take(batch, raw)
            except InstantLostError:
                raise
            except GoneError:
                if attempt + 1 == LIST_ATTEMPTS:
                    raise
            else:
                return batch
        raise AssertionError("unreachable")

    def _take(self, batch: Batch, raw: JsonObject) -> None:
        """One object as the server gave it: what is configuration, what is inventory, what is learnt from it."""
        kind = Kind.of(raw)
        if terminating(raw):
            return
        path = archive_format.path_of(ObjectKey.of(raw))
        if kind not in kinds.INVENTORY_KINDS:
            if generated.reason(raw) is not None:
                batch.skipped += 1
                return
            document = normalize(raw, controller_labels=self._knowledge.controller_labels)
            batch.files[Area.CONFIGURATION][path] = self._store(archive_format.encode(document))
            batch.managers[f"{Area.CONFIGURATION}/{path}"] = last_manager(raw)
        distilled = inventory.distill(raw, controller_labels=self._knowledge.controller_labels)
        if distilled is not None:
            batch.files[Area.INVENTORY][path] = self._store(archive_format.encode(distilled))
        if Knowledge.concerns(kind):
            batch.learnt.append(raw)

    def _merge(self, batch: Batch) -> None:
        for area, files in batch.files.items():
            self._files[area].update(files)
        self._managers.update(batch.managers)
        self._skipped += batch.skipped
        for document in batch.learnt:
            self._knowledge.learn(document)

    # What could not be read -----------------------------------------------------------------------------------

    def _substitute(self, kind: Kind, reason: IncompleteReason) -> None:
        """Carry a kind forward from the previous sample; learn from its objects as if they had been read."""
        previous = self._previous
        covered = previous is not None and kind in previous.info.kinds and not _is_missing(previous, kind)
        substitute = Substitute.CARRIED if covered else Substitute.MISSING
        self._incomplete[kind] = IncompleteKind(kind, substitute, reason)
        if previous is None or not covered:
            return
        folder = archive_format.kind_folder(kind)
        for area in Area:
            for path, blob in previous.files(area).items():
                if path.split("/")[1:2] == [folder]:
                    self._carry(previous, area, path, blob)
        if Knowledge.concerns(kind):
            for document in _documents(previous, kind):
                self._knowledge.learn(document)

    def _carry(self, previous: Tree, area: Area, path: str, blob: BlobId) -> None:
        self._files[area][path] = self._store(previous.read(blob))
