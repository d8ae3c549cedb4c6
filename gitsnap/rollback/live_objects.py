"""The live objects that a plan needs: whole kinds where many are selected or matches must be judged, else one by one.

What the sample holds exactly as it is live is counted and dropped. Secrets are never listed whole.
This module must not write, and must not judge what it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gitsnap.core.errors import AccessDeniedError, GoneError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Cluster, Page
from gitsnap.rollback.deployed_state import read_summaries
from gitsnap.rollback.plan import CONCERNED_KINDS, LiveState, Selection
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, mode_of
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.normalize import terminating
from gitsnap.sveltos.references import ADD_ON_TYPE

FEW = 8
"""Up to this many objects of one kind (and namespace) are read one by one."""

_LIST_ATTEMPTS = 3


@dataclass(slots=True)
class LiveReader:
    """Reads for one plan."""

    cluster: Cluster
    sample: SampleObjects
    selected: frozenset[ObjectKey]
    same: set[ObjectKey] = field(default_factory=set)
    """Selected objects that are live exactly as the sample has them."""
    _objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    _types: dict[Kind, ResourceType] = field(default_factory=dict)
    _controller_labels: frozenset[str] = frozenset()
    _whole: set[Kind] = field(default_factory=set)
    _unread: set[Kind] = field(default_factory=set)

    def read(self, selection: Selection, scope: Iterable[Kind]) -> LiveState:
        """Everything that the plan needs. ``scope`` are the kinds that the sample was to hold.

        Raises the cluster's errors: what cannot be read cannot be planned.
        """
        selected_kinds = {key.kind for key in self.selected}
        judged = CONCERNED_KINDS if selected_kinds & CONCERNED_KINDS else frozenset[Kind]()
        told = CONCERNED_KINDS - judged if any(map(_is_referred_to, selected_kinds)) else frozenset[Kind]()
        if selected_kinds & kinds.CLUSTER_KINDS:
            self._controller_labels = self.sample.classifier_labels
        covered = {kind for kind in scope if selection.covers_kind(kind) and restore.restorable(kind)}
        for kind in kinds.reading_order((judged | told | covered | selected_kinds) - kinds.REFERENCED_KINDS):
            if kind in told:
                self._read_for_reach(kind)
            else:
                self._read_kind(kind, judged=kind in judged, covered=kind in covered)
        for kind in sorted(kinds.REFERENCED_KINDS & selected_kinds):
            self._read_referenced(kind)
        return LiveState(
            cluster=self.cluster.info(),
            objects=self._objects,
            served=self._types,
            missing_namespaces=self._missing_namespaces(),
            controller_labels=self._controller_labels,
            whole=frozenset(self._whole),
            unread=frozenset(self._unread),
            summaries=read_summaries(self.cluster, self._in_dry_run()),
        )

    def _in_dry_run(self) -> frozenset[ObjectKey]:
        """The profiles for which Sveltos withdraws nothing until they leave DryRun: more stands than matches."""
        return frozenset(
            key for key, raw in self._objects.items() if key.kind in kinds.PROFILE_KINDS and mode_of(raw) == "DryRun"
        )

    # Kinds ----------------------------------------------------------------------------------------------------

    def _read_kind(self, kind: Kind, *, judged: bool, covered: bool) -> None:
        resource = self._type(kind)
        if resource is None:
            return
        wanted = [key for key in self.selected if key.kind == kind]
        if not judged and not covered and len(wanted) <= FEW:
            self._get(wanted)
            return
        try:
            for raw in self._list(resource):
                self._take(raw, always=judged)
        except AccessDeniedError:
            if judged or wanted:
                raise
            return  # it would only have been counted
        self._whole.add(kind)

    def _read_for_reach(self, kind: Kind) -> None:
        """What tells which clusters content is deployed to: said where it can be, and no reason to stop."""
        try:
            self._read_kind(kind, judged=True, covered=False)
        except AccessDeniedError:
            self._unread.add(kind)

    def _read_referenced(self, kind: Kind) -> None:
        """ConfigMaps by namespace, Secrets by Sveltos' own type; what that does not bring, and few, one by one."""
        resource = self._type(kind)
        if resource is None:
            return
        by_namespace: dict[str, list[ObjectKey]] = defaultdict(list)
        for key in sorted(self.selected):
            if key.kind == kind:
                by_namespace[key.namespace].append(key)
        field_selector = f"type={ADD_ON_TYPE}" if kind == kinds.SECRET else ""
        for namespace, keys in by_namespace.items():
            if len(keys) > FEW:
                for raw in self._list(resource, namespace=namespace, field_selector=field_selector):
                    self._take(raw, always=False)
            known = self.same.union(self._objects)
            if len(keys) <= FEW or kind == kinds.SECRET:
                self._get([key for key in keys if key not in known])

    def _type(self, kind: Kind) -> ResourceType | None:
        resource = self.cluster.resource_type(kind)
        if resource is not None:
            self._types[kind] = resource
        return resource

    # Objects --------------------------------------------------------------------------------------------------

    def _list(self, resource: ResourceType, *, namespace: str = "", field_selector: str = "") -> Sequence[JsonObject]:
        """A whole list; begun again when the server drops it half-way."""
        for _ in range(_LIST_ATTEMPTS - 1):
            try:
                return list(_items(self.cluster.list(resource, namespace=namespace, field_selector=field_selector)))
            except GoneError:
                continue
        return list(_items(self.cluster.list(resource, namespace=namespace, field_selector=field_selector)))

    def _get(self, keys: Iterable[ObjectKey]) -> None:
        for key in sorted(keys):
            try:
                raw = self.cluster.get(key)
            except NotFoundError:
                continue
            self._take(raw, always=False)

    def _take(self, raw: JsonObject, *, always: bool) -> None:
        """Keep what differs from the sample, and, with ``always``, what matches are judged by."""
        key = ObjectKey.of(raw)
        if key.kind in CLASSIFIER_KINDS:
            self._controller_labels |= inventory.classifier_labels(raw)
        if self._is_same(key, raw):
            self.same.add(key)
            if not always:
                return
        elif key not in self.selected and key.kind in kinds.REFERENCED_KINDS:
            return
        self._objects[key] = raw

    def _is_same(self, key: ObjectKey, raw: JsonObject) -> bool:
        """Whether the sample has a selected object exactly as it is. One that is being deleted is about to be gone."""
        if key not in self.selected or terminating(raw):
            return False
        return self.sample.holds(raw, controller_labels=self._controller_labels)

    def _missing_namespaces(self) -> frozenset[str]:
        """Namespaces that objects would have to be created in and that are known not to exist."""
        found = self.same.union(self._objects)
        inhabited = {key.namespace for key in found}
        asked = sorted({key.namespace for key in self.selected - found if key.namespace} - inhabited)
        if not asked or self.cluster.resource_type(kinds.NAMESPACE) is None:
            return frozenset()
        return frozenset(name for name in asked if self._is_missing(name))

    def _is_missing(self, namespace: str) -> bool:
        try:
            self.cluster.get(ObjectKey(kinds.NAMESPACE, "", namespace))
        except NotFoundError:
            return True
        except AccessDeniedError:
            return False  # not everybody may read namespaces; the server's dry run will tell
        return False


def _is_referred_to(kind: Kind) -> bool:
    """Whether objects of a kind are what others deploy, rather than what matches clusters."""
    return kind in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS | {kinds.EVENT_SOURCE}


def _items(pages: Iterable[Page]) -> Iterator[JsonObject]:
    for page in pages:
        yield from page.items


def read_live(
    cluster: Cluster,
    sample: SampleObjects,
    selected: Collection[ObjectKey],
    selection: Selection,
    scope: Iterable[Kind],
) -> tuple[LiveState, frozenset[ObjectKey]]:
    """The live state, and the selected objects that are as the sample has them."""
    reader = LiveReader(cluster, sample, frozenset(selected))
    live = reader.read(selection, scope)
    return live, frozenset(reader.same)
