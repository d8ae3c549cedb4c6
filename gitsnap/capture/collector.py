"""From the cluster to files: what a sample holds, read at one instant, kind by kind and page by page.

Each kind is read into a batch of its own that counts only when the whole list was read: a list that failed half-way is
never mistaken for a deletion, its kind is carried forward from the previous sample instead (docs/FORMAT.md).
This module must not write to an archive or know that there is one: contents go through ``store``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from gitsnap import format as archive_format
from gitsnap.capture.batch import Batch, Converter, Failure, KeptAnyway
from gitsnap.capture.context import Knowledge, unresolved_documents
from gitsnap.capture.list_reader import ListReader, Pages
from gitsnap.capture.pinned_list import InstantLostError, Lister
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
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    ResourceType,
    TreeInfo,
)
from gitsnap.core.ports import Cluster, Page, SecretsKeeper, Tree
from gitsnap.secrets.sealing import WRAPPED_KEY, Sealer, Store
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import Origin
from gitsnap.sveltos.normalize import terminating
from gitsnap.sveltos.references import ADD_ON_TYPE, Reference, Unresolved, UnresolvedReason

Progress = Callable[[str, int], None]
"""Called with what is being read and the number of objects kept so far."""

UNRESOLVED_FILE = "unresolved.yaml"
"""Path below ``inventory/`` of the references that could not be followed."""

READING_SECONDS = 600.0
"""For how long a cluster is read at the most; what is not read by then counts as a list that failed."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a capture found: the files of a tree, and what must be said about them."""

    info: TreeInfo
    files: Mapping[Area, Mapping[str, BlobId]]
    managers: Mapping[str, str]
    """Path below ``configuration/`` -> field manager that wrote the object last."""
    incomplete: tuple[IncompleteKind, ...]
    unresolved: tuple[Unresolved, ...]
    consistency: Consistency
    generated: Mapping[ObjectKey, Origin]
    """Objects left out because a controller generated them, sorted."""
    not_served: tuple[Kind, ...]
    """Kinds that the policy adds and the server does not know, sorted."""
    problems: Mapping[ObjectKey, str]
    """Why single objects could not be taken, in words, sorted."""


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
    """Read everything that ``info`` asks for.

    ``previous`` is the newest sample's tree: kinds that cannot be read are carried forward from it; ``unchanged`` knows
    which objects are still as they are there. ``also`` are objects that are kept even if nothing refers to them or a
    controller generated them.
    Raises SecretsError when Secrets cannot be kept in the mode asked for, ClusterUnreachableError when the server
    does not answer at all: a sample of nothing but carried kinds would only pretend that somebody had looked.
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
        unchanged: Unchanged,
        also: frozenset[ObjectKey],
    ) -> None:
        self._also = also
        self._cluster = cluster
        self._lister = lister
        self._info = info
        self._previous = previous
        self._store = store
        self._unchanged = unchanged
        self._sealer = Sealer(info.secrets, keeper, previous=previous, store=store)
        self._knowledge = Knowledge()
        strict = not cluster.info().keeps_versions  # files that people edit, rather than a server
        kept = KeptAnyway(also, tuple(entry for entry in info.resources if entry.kind in kinds.USER_KINDS))
        self._converter = Converter(self._knowledge, self._sealer, store, unchanged, kept=kept, strict=strict)
        self._reader = ListReader(lister, self._converter, unchanged)
        self._unresolved: list[Unresolved] = []
        self._kept = Batch()
        self._substitutes = Substitutes(info, previous, self._kept.files, store)
        self._problems: dict[ObjectKey, str] = {}
        self._answered = False
        self._not_served: list[Kind] = []

    def run(self, progress: Progress) -> Collected:
        """Listed kinds first, in an order in which each finds what it needs; then what they refer to."""
        listed = [kind for kind in kinds.reading_order(self._info.kinds) if kind in kinds.LISTED_KINDS]
        for kind, following in zip_longest(listed, listed[1:]):
            self._read_kind(kind, following=following)
            progress(kind.name, self._count)
        added = [entry for entry in self._info.resources if entry.kind not in kinds.LISTED_KINDS]
        for kind, selectors in selectors_by_kind(added).items():
            self._read_kind(kind, selectors)
            progress(kind.name, self._count)
        self._knowledge.follow_dependents()
        self._read_controllers()
        self._unresolved += self._knowledge.unresolvable()
        for kind, wanted in self._wanted().items():
            if kind in kinds.LISTED_KINDS:
                self._look_up(wanted)
            else:
                self._read_referenced(kind, wanted)
                progress(kind.name, self._count)
        self._add_extras()
        return Collected(
            info=self._info,
            files={area: dict(sorted(files.items())) for area, files in self._kept.files.items()},
            managers=self._kept.managers,
            incomplete=self._substitutes.incomplete,
            unresolved=tuple(sorted(set(self._unresolved))),
            consistency=self._lister.consistency,
            generated=dict(sorted(self._kept.generated.items())),
            not_served=tuple(self._not_served),
            problems=dict(sorted(self._problems.items())),
        )

    def _wanted(self) -> Mapping[Kind, Mapping[ObjectKey, list[Reference]]]:
        """What something refers to, and what is wanted whether or not anything does."""
        wanted = {kind: dict(found) for kind, found in self._knowledge.wanted().items()}
        for key in sorted(self._also):
            if key.kind not in kinds.LISTED_KINDS:
                wanted.setdefault(key.kind, {}).setdefault(key, [])
        return dict(sorted(wanted.items()))

    @property
    def _count(self) -> int:
        return len(self._kept.files[Area.CONFIGURATION])

    # Kinds that are listed whole --------------------------------------------------------------------------------------

    def _read_kind(
        self, kind: Kind, selectors: Sequence[ResourceSelector] = (), *, following: Kind | None = None
    ) -> None:
        """All objects of a kind, or those that the selectors of a kind which the policy adds mean.

        ``following`` is read next.
        """
        discovered = False
        try:
            resource = self._cluster.resource_type(kind)
            discovered = True
            if following is not None and following.group == kind.group:  # of which the cluster knows what it serves
                self._begin(following)
            if resource is not None:
                self._merge(self._reader.read(resource, self._pages(resource, selectors)))
            elif selectors:
                self._not_served.append(kind)
            self._answered = True
        except InstantLostError:
            raise
        except (AccessDeniedError, ClusterError) as error:
            self._substitute(kind, self._reason(error, discovered=discovered))

    def _begin(self, kind: Kind) -> None:
        resource = self._cluster.resource_type(kind)
        if resource is not None:
            self._reader.begin(resource)

    def _pages(self, resource: ResourceType, selectors: Sequence[ResourceSelector]) -> Pages:
        def pages(*, metadata_only: bool) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
            if selectors:
                return selected_pages(self._cluster, self._lister, resource, selectors, metadata_only=metadata_only)
            listed = self._lister.pages(resource, metadata_only=metadata_only)
            return ((page, page.items) for page in listed)

        return pages

    def _merge(self, batch: Batch) -> None:
        self._kept.merge(batch)
        self._unchanged.note(batch.versions)
        for lesson in batch.lessons:
            self._knowledge.learn(lesson)
        self._substitute_objects(batch.failed)

    def _read_controllers(self) -> None:
        """Sveltos' own Deployments: flags of theirs name ConfigMaps. They are read for that alone, and not archived."""
        try:
            if not any(self._cluster.resource_type(kind) for kind in kinds.PROFILE_KINDS):
                return
            resource = self._cluster.resource_type(kinds.DEPLOYMENT)
            if resource is None:
                return
            for page in self._lister.pages(resource, namespace=kinds.SVELTOS_NAMESPACE):
                for raw in page.items:
                    lesson = self._converter.study(raw)
                    if lesson is not None:
                        self._knowledge.learn(lesson)
        except InstantLostError:
            raise
        except (AccessDeniedError, ClusterError):
            by = ObjectKey(kinds.NAMESPACE, "", kinds.SVELTOS_NAMESPACE)
            target = ObjectKey(kinds.DEPLOYMENT, kinds.SVELTOS_NAMESPACE, kinds.ADDON_CONTROLLER)
            self._unresolved.append(Unresolved(by, target, UnresolvedReason.FORBIDDEN))

    # Objects that others refer to -------------------------------------------------------------------------------------

    def _look_up(self, wanted: Mapping[ObjectKey, list[Reference]]) -> None:
        """References to a kind that was listed whole: which of them lead nowhere?"""
        present = self._kept.files[Area.CONFIGURATION]
        for key, found in wanted.items():
            if self._substitutes.misses(key):
                continue  # the sample says so of the kind, or of the object: whether it exists is not known
            if archive_format.path_of(key) not in present:
                self._note(found, UnresolvedReason.OMITTED if key in self._kept.generated else None)

    def _read_referenced(self, kind: Kind, wanted: Mapping[ObjectKey, list[Reference]]) -> None:
        omitted = kind in kinds.NOT_CONFIGURATION or (kind in kinds.CAPTURED_KINDS and kind not in self._info.kinds)
        if omitted:
            for found in wanted.values():
                self._note(found, UnresolvedReason.OMITTED)
            return
        try:
            resource = self._cluster.resource_type(kind)
        except (AccessDeniedError, ClusterError) as error:
            self._substitutes.all_named(kind, list(wanted), self._reason(error, discovered=False))
            return
        if resource is None:
            if not kind.group:
                raise ClusterError(f"the API server does not serve {kind}", hint="Is this a Kubernetes API server?")
            for found in wanted.values():
                self._note(found)
            return
        self._read_named(kind, resource, self._unread(resource, wanted))

    def _read_named(self, kind: Kind, resource: ResourceType, wanted: Mapping[ObjectKey, list[Reference]]) -> None:
        types: dict[ObjectKey, object] = {}

        def receive(pages: Pages) -> None:
            """Take what one read brought: kept only if it is read to its end, else it is asked for again."""
            found: dict[ObjectKey, object] = {}

            def watched(*, metadata_only: bool) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
                found.clear()
                for page, objects in pages(metadata_only=metadata_only):
                    found.update((ObjectKey.of(raw), raw.get("type")) for raw in objects if not terminating(raw))
                    yield page, objects

            self._merge(self._reader.read_once(resource, watched))
            types.update(found)

        failures = ReferencedReader(self._lister, self._reader, resource, receive).read(list(wanted))
        for failure, keys in failures:
            reason = self._reason(failure)
            if types:
                self._substitute_objects(dict.fromkeys(keys, Failure(reason, failure.message)))
            else:
                self._substitutes.all_named(kind, keys, reason)
        failed = {key for _, keys in failures for key in keys}
        self._note_unresolved({key: found for key, found in wanted.items() if key not in failed}, types)

    def _unread(
        self, resource: ResourceType, wanted: Mapping[ObjectKey, list[Reference]]
    ) -> Mapping[ObjectKey, list[Reference]]:
        """What a list of the kinds that the policy adds has not brought already."""
        if not resource.namespaced:
            wanted = _cluster_scoped(wanted)
        if resource.kind == kinds.SECRET:
            return wanted  # their type has to be looked at
        present = self._kept.files[Area.CONFIGURATION]
        return {key: found for key, found in wanted.items() if archive_format.path_of(key) not in present}

    def _note_unresolved(self, asked: Mapping[ObjectKey, list[Reference]], types: Mapping[ObjectKey, object]) -> None:
        """Which references lead nowhere, or to something of no use. ``types``: of the objects that are there."""
        for key, references in asked.items():
            if key not in types:
                self._note(references)
            elif key in self._kept.generated:
                self._note(references, UnresolvedReason.OMITTED)
            elif key.kind == kinds.SECRET and types[key] != ADD_ON_TYPE:
                self._note([one for one in references if one.secret_type_required], UnresolvedReason.WRONG_TYPE)

    def _note(self, references: Iterable[Reference], reason: UnresolvedReason | None = None) -> None:
        """Record references as unresolved; without a reason, because their target does not exist."""
        self._unresolved += [one.as_unresolved(reason) for one in references]

    # What could not be read -------------------------------------------------------------------------------------------

    def _reason(self, error: GitsnapError, *, discovered: bool = True) -> IncompleteReason:
        """The code for a failure. Raises the failure itself when the server never answered anything."""
        if isinstance(error, AccessDeniedError):
            return IncompleteReason.FORBIDDEN
        if isinstance(error, ClusterUnreachableError):
            if not self._answered:
                raise error
            return IncompleteReason.UNREACHABLE if discovered else IncompleteReason.DISCOVERY_FAILED
        return IncompleteReason.BAD_ANSWER

    def _substitute(self, kind: Kind, reason: IncompleteReason) -> None:
        """Carry a kind forward from the previous sample, and learn from its objects as if they had been read."""
        for document in self._substitutes.of_kind(kind, reason):
            lesson = self._converter.study(document)
            if lesson is not None:
                self._knowledge.learn(lesson)

    def _substitute_objects(self, failed: Mapping[ObjectKey, Failure]) -> None:
        """The same for single objects that could not be taken."""
        for key, failure in failed.items():
            for document in self._substitutes.of_object(key, failure.reason):
                lesson = self._converter.study(document)
                if lesson is not None:
                    self._knowledge.learn(lesson)
            self._problems[key] = failure.words

    def _add_extras(self) -> None:
        if self._sealer.encrypts:
            self._kept.files[Area.SEALED][WRAPPED_KEY] = self._sealer.wrapped_key()
        if self._unresolved:
            document = {"unresolved": unresolved_documents(self._unresolved)}
            self._kept.files[Area.INVENTORY][UNRESOLVED_FILE] = self._store(archive_format.encode(document))


def _cluster_scoped(wanted: Mapping[ObjectKey, list[Reference]]) -> dict[ObjectKey, list[Reference]]:
    """The same objects without the namespace that a reference to a cluster-scoped kind may give and Sveltos ignores."""
    found: dict[ObjectKey, list[Reference]] = {}
    for key, references in wanted.items():
        place = ObjectKey(key.kind, "", key.name)
        found.setdefault(place, []).extend(replace(one, target=place) for one in references)
    return found
