"""Reads the live objects that a plan needs.

Many objects of a kind, and all kinds that determine matches, are read with a list; few objects one by one. Objects
that are live exactly as in the sample are dropped, and only their keys are kept. Secrets are only listed with the type
of Sveltos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gitsnap.core.errors import AccessDeniedError, GoneError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Cluster, Page
from gitsnap.rollback.deployed_state import FEW, read_summary_clusters
from gitsnap.rollback.plan import MATCHING_KINDS, LiveState, Selection
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, mode_of
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.normalize import terminating
from gitsnap.sveltos.references import ADD_ON_TYPE

_LIST_ATTEMPTS = 3


def read_live(
    cluster: Cluster, objects: SampleObjects, selected: Collection[ObjectKey], selection: Selection
) -> LiveState:
    """The live objects that a plan needs. Raises the cluster's errors if such an object cannot be read."""
    cluster.redact_errors_for(field.kind for field in objects.tree.info.secrets.sensitive_fields)
    return _LiveReader(cluster, objects, frozenset(selected)).read_for_plan(selection)


def read_objects(
    cluster: Cluster, objects: SampleObjects, keys: Collection[ObjectKey]
) -> tuple[dict[ObjectKey, JsonObject], frozenset[ObjectKey], frozenset[ObjectKey]]:
    """Read some objects of the sample, and no other objects.

    Returns the live objects that differ, the keys of the objects that are exactly as in the sample, and the keys of the
    objects that this user may not read. Objects that do not exist are left out.
    """
    reader = _LiveReader(cluster, objects, frozenset(keys))
    denied = reader.read_selected()
    return reader.documents, frozenset(reader.unchanged), frozenset(key for key in keys if key.kind in denied)


@dataclass(slots=True)
class _LiveReader:
    """Reads the live objects of one plan."""

    cluster: Cluster
    sample: SampleObjects
    selected: frozenset[ObjectKey]
    unchanged: set[ObjectKey] = field(default_factory=set)
    _objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    _types: dict[Kind, ResourceType] = field(default_factory=dict)
    _controller_labels: frozenset[str] = frozenset()
    _whole: set[Kind] = field(default_factory=set)
    _unread: set[Kind] = field(default_factory=set)

    def read_for_plan(self, selection: Selection) -> LiveState:
        """Read the live objects that a plan for the selection needs. Raises the errors of the cluster."""
        selected_kinds = {key.kind for key in self.selected}
        matching = MATCHING_KINDS if selected_kinds & MATCHING_KINDS else frozenset[Kind]()
        informative = MATCHING_KINDS - matching if any(map(_is_referred_to, selected_kinds)) else frozenset[Kind]()
        if selected_kinds & kinds.CLUSTER_KINDS:
            self._controller_labels = self.sample.classifier_labels
        scope = self.sample.tree.info.kinds
        covered = {kind for kind in scope if selection.covers_kind(kind) and restore.restorable(kind)}
        for kind in kinds.reading_order((matching | informative | covered | selected_kinds) - kinds.REFERENCED_KINDS):
            if kind in informative:
                self._read_if_allowed(kind)
            else:
                self._read_kind(kind, matching=kind in matching, covered=kind in covered)
        for kind in sorted(kinds.REFERENCED_KINDS & selected_kinds):
            self._read_referenced(kind)
        return LiveState(
            cluster=self.cluster.info(),
            objects=self._objects,
            unchanged=frozenset(self.unchanged),
            served=self._types,
            missing_namespaces=self._missing_namespaces(),
            controller_labels=self._controller_labels,
            whole=frozenset(self._whole),
            unread=frozenset(self._unread),
            summary_clusters=read_summary_clusters(self.cluster, self._profiles_in_dry_run()),
        )

    @property
    def documents(self) -> dict[ObjectKey, JsonObject]:
        """The selected objects that differ from the sample."""
        return {key: raw for key, raw in self._objects.items() if key in self.selected}

    def read_selected(self) -> frozenset[Kind]:
        """Read the selected objects only. Returns the kinds that this user may not read."""
        denied = set()
        for kind in kinds.reading_order({key.kind for key in self.selected}):
            try:
                if kind in kinds.REFERENCED_KINDS:
                    self._read_referenced(kind)
                else:
                    self._read_kind(kind, matching=False, covered=False)
            except AccessDeniedError:
                denied.add(kind)
        return frozenset(denied)

    def _profiles_in_dry_run(self) -> frozenset[ObjectKey]:
        """Sveltos withdraws nothing for these profiles, so their add-ons may be on clusters that no longer match."""
        return frozenset(
            key for key, raw in self._objects.items() if key.kind in kinds.PROFILE_KINDS and mode_of(raw) == "DryRun"
        )

    # Kinds ----------------------------------------------------------------------------------------------------

    def _read_kind(self, kind: Kind, *, matching: bool, covered: bool) -> None:
        """Read the objects of a kind.

        ``matching``: all objects determine matches. ``covered``: the selection includes all objects.
        """
        resource = self._type(kind)
        if resource is None:
            return
        keys = [key for key in self.selected if key.kind == kind]
        if not matching and not covered and len(keys) <= FEW:
            self._get(keys)
            return
        try:
            for raw in self._list(resource):
                self._keep(raw, even_if_unchanged=matching)
        except AccessDeniedError:
            if matching or keys:
                raise
            return  # the objects would only have been counted
        self._whole.add(kind)

    def _read_if_allowed(self, kind: Kind) -> None:
        """Read a kind that shows on which clusters content is deployed. The plan can be made without it."""
        try:
            self._read_kind(kind, matching=True, covered=False)
        except AccessDeniedError:
            self._unread.add(kind)

    def _read_referenced(self, kind: Kind) -> None:
        """Read ConfigMaps by namespace, Secrets by Sveltos' own type; few objects and other Secrets one by one."""
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
                    self._keep(raw, even_if_unchanged=False)
            known = self.unchanged.union(self._objects)
            if len(keys) <= FEW or kind == kinds.SECRET:
                self._get([key for key in keys if key not in known])

    def _type(self, kind: Kind) -> ResourceType | None:
        resource = self.cluster.resource_type(kind)
        if resource is not None:
            self._types[kind] = resource
        return resource

    # Objects --------------------------------------------------------------------------------------------------

    def _list(self, resource: ResourceType, *, namespace: str = "", field_selector: str = "") -> Sequence[JsonObject]:
        """All objects of a list. The list is started again if the server drops it between two pages."""
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
            self._keep(raw, even_if_unchanged=False)

    def _keep(self, raw: JsonObject, *, even_if_unchanged: bool) -> None:
        """Record an object, and keep its document if it differs from the sample or determines matches."""
        key = ObjectKey.of(raw)
        if key.kind in CLASSIFIER_KINDS:
            self._controller_labels |= inventory.classifier_labels(raw)
        if self._is_unchanged(key, raw):
            self.unchanged.add(key)
            if not even_if_unchanged:
                return
        elif key not in self.selected and key.kind in kinds.REFERENCED_KINDS:
            return
        self._objects[key] = raw

    def _is_unchanged(self, key: ObjectKey, raw: JsonObject) -> bool:
        """Whether a selected object is live exactly as in the sample, and is not being deleted."""
        if key not in self.selected or terminating(raw):
            return False
        return self.sample.contains(raw, controller_labels=self._controller_labels)

    def _missing_namespaces(self) -> frozenset[str]:
        """The namespaces of selected objects without a live object that do not exist."""
        live = self.unchanged.union(self._objects)
        existing = {key.namespace for key in live}
        unknown = sorted({key.namespace for key in self.selected - live if key.namespace} - existing)
        if not unknown or self.cluster.resource_type(kinds.NAMESPACE) is None:
            return frozenset()
        return frozenset(name for name in unknown if self._is_missing(name))

    def _is_missing(self, namespace: str) -> bool:
        try:
            self.cluster.get(ObjectKey(kinds.NAMESPACE, "", namespace))
        except NotFoundError:
            return True
        except AccessDeniedError:
            return False  # many roles may not read namespaces; the dry run detects a missing namespace
        return False


def _is_referred_to(kind: Kind) -> bool:
    """Whether profiles refer to objects of a kind."""
    return kind in kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS | {kinds.EVENT_SOURCE}


def _items(pages: Iterable[Page]) -> Iterator[JsonObject]:
    for page in pages:
        yield from page.items
