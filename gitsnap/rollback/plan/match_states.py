"""The management cluster before a plan and after it, as far as it decides which profiles match which clusters.

A rollback leads through as many moments as it has steps: ``simulation`` has those in between. This module must not
decide about orders, and never changes a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    SELECTOR_PATHS,
    ClusterRef,
    Dependents,
    LabelIndex,
    label_selector,
    observed,
    prerequisites_of,
    selects,
    sets_of,
)
from gitsnap.sveltos.pausing import paused

SELECTING_KINDS = kinds.PROFILE_KINDS | {kinds.CLUSTER_PROMOTION, kinds.EVENT_TRIGGER, kinds.ROLE_REQUEST}
"""Kinds of which something is removed from a cluster that stops matching."""

SET_KINDS = frozenset({kinds.CLUSTER_SET, kinds.SET})
CLASSIFIER_KINDS = frozenset({kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER})
CONCERNED_KINDS = SELECTING_KINDS | SET_KINDS | CLASSIFIER_KINDS | kinds.CLUSTER_KINDS
"""Kinds that decide which clusters match; to judge a change of one of them, all objects of all of them are needed."""

Row = frozenset[ClusterRef]
"""The clusters that one object matches."""

Rows = Mapping[ObjectKey, Row]


@dataclass(frozen=True, slots=True)
class Change:
    """One step, as far as matching goes: an object as it is live, and as it will be."""

    key: ObjectKey
    before: JsonObject | None
    """None for an object that is created."""
    after: JsonObject | None
    """None for an object that is deleted."""

    @property
    def cluster(self) -> ClusterRef:
        """The managed cluster that a step relabels."""
        return ClusterRef(self.key.kind, self.key.namespace, self.key.name)

    @property
    def labels(self) -> frozenset[str]:
        """The label keys whose values a step changes."""
        before, after = labels_of(self.before or {}), labels_of(self.after or {})
        return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


@dataclass(frozen=True, slots=True)
class State:
    """The management cluster at one moment; never changed in place."""

    labels: LabelIndex
    sets: Mapping[ObjectKey, JsonObject]
    selecting: Mapping[ObjectKey, JsonObject]
    moved: frozenset[ObjectKey]
    """Sets whose status is out of date: a step changed them, or a label that their selectors read."""
    stands: Rows
    """For profiles in DryRun: the clusters that have a ClusterSummary of theirs, matching or not."""
    dependents: Dependents
    _own: dict[ObjectKey, Row] = field(default_factory=dict)
    _paused: list[Row] = field(default_factory=list)

    @classmethod
    def of(
        cls, documents: Iterable[JsonObject], changes: Sequence[Change] = (), *, stands: Rows | None = None
    ) -> State:
        """The state that live objects make, once some changes are written."""
        found: dict[ObjectKey, JsonObject | None] = {ObjectKey.of(document): document for document in documents}
        found |= {change.key: change.after for change in changes if change.key.kind in CONCERNED_KINDS}
        labels, sets, selecting = LabelIndex(), dict[ObjectKey, JsonObject](), dict[ObjectKey, JsonObject]()
        for key, document in found.items():
            if document is None:
                continue
            if key.kind in kinds.CLUSTER_KINDS:
                labels.add(ClusterRef.of(document), labels_of(document))
            elif key.kind in SET_KINDS:
                sets[key] = document
            elif key.kind in SELECTING_KINDS:
                selecting[key] = document
        changed = {label for change in changes if change.key.kind in kinds.CLUSTER_KINDS for label in change.labels}
        moved = {change.key for change in changes if change.key.kind in SET_KINDS}
        moved |= {key for key, document in sets.items() if not changed.isdisjoint(labels_read(document))}
        return cls(labels, sets, selecting, frozenset(moved), stands or {}, Dependents(selecting.values()))

    def own(self, key: ObjectKey) -> Row:
        """The clusters that an object matches by its own rules; none while it does not exist."""
        if key not in self._own:
            document = self.selecting.get(key)
            self._own[key] = frozenset() if document is None else self._selects(document)
        return self._own[key]

    def _selects(self, document: JsonObject) -> Row:
        return selects(document, self.labels, self.sets, moved=self.moved).clusters

    def row(self, key: ObjectKey) -> Row:
        """The clusters that an object matches: a profile also those of the profiles that depend on it."""
        if key not in self.selecting:
            return frozenset()
        return self.dependents.deployed_on(key, self.own)

    def standing(self, key: ObjectKey) -> Row:
        """The clusters that an object has its add-ons on.

        Sveltos looks at a paused profile again only when it is no longer paused, and withdraws nothing for a profile in
        DryRun: both stand where they were deployed, whether that still matches or not. So does a prerequisite on the
        clusters of a paused profile that named it when it was paused; its own status has these.
        """
        row, document = self.row(key), self.selecting.get(key)
        if document is None:
            return row
        known = observed(document) & self.labels.keys()
        row |= known if paused(document) else known & self._paused_on()
        return row | (self.stands.get(key, frozenset()) & self.labels.keys())

    def _paused_on(self) -> Row:
        """The clusters of all paused profiles."""
        if not self._paused:
            paused_on = (observed(document) for document in self.selecting.values() if paused(document))
            self._paused.append(frozenset[ClusterRef]().union(*paused_on))
        return self._paused[0]

    def certain(self, key: ObjectKey) -> bool:
        """Whether ``row`` is what Sveltos will say."""
        documents = [self.selecting.get(one) for one in (key, *self.dependents.of(key))]
        return all(
            selects(document, self.labels, self.sets, moved=self.moved).certain for document in documents if document
        )


class Readers:
    """What reads what, over an object as it is and as it will be: which rows a step can change."""

    def __init__(self, *states: State) -> None:
        self._states = states
        self._readers: dict[str, set[ObjectKey]] = {}
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        self._set_readers: dict[str, set[ObjectKey]] = {}
        for state in states:
            for key, document in state.selecting.items():
                for label in labels_read(document):
                    self._readers.setdefault(label, set()).add(key)
                for used in sets_of(document):
                    self._users.setdefault(used, set()).add(key)
            for key, document in state.sets.items():
                for label in labels_read(document):
                    self._set_readers.setdefault(label, set()).add(key)

    def of_label(self, label: str) -> frozenset[ObjectKey]:
        """The selecting objects whose selectors, or whose sets' selectors, look at a label."""
        found = set(self._readers.get(label, ()))
        return frozenset(found.union(*(self._users.get(used, ()) for used in self.sets_of_label(label))))

    def selecting_by(self, label: str) -> Iterable[ObjectKey]:
        """The selecting objects whose own selectors look at a label."""
        return self._readers.get(label, ())

    def sets_of_label(self, label: str) -> Iterable[ObjectKey]:
        """The sets whose selectors look at a label."""
        return self._set_readers.get(label, ())

    def users(self, used: ObjectKey) -> Iterable[ObjectKey]:
        """The selecting objects that name a set."""
        return self._users.get(used, ())

    def concerned(self, change: Change) -> frozenset[ObjectKey]:
        """The selecting objects whose matches may change with a step, prerequisites of these included."""
        direct = self._concerned(change)
        return direct.union(*(state.dependents.prerequisites(key) for state in self._states for key in direct))

    def _concerned(self, change: Change) -> frozenset[ObjectKey]:
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            if change.before is None or change.after is None:
                return frozenset({change.key})
            same = same_json(_rules(change.before), _rules(change.after)) and not frozen(change.before)
            return frozenset() if same else frozenset({change.key})
        if kind in SET_KINDS:
            return frozenset(self._users.get(change.key, ()))
        if kind in kinds.CLUSTER_KINDS:
            return frozenset(key for label in change.labels for key in self.of_label(label))
        return frozenset()


def mode_of(document: JsonObject | None) -> str:
    """The ``syncMode`` of a profile."""
    return str(((document or {}).get("spec") or {}).get("syncMode") or "Continuous")


def frozen(document: JsonObject) -> bool:
    """Whether Sveltos withdraws nothing for a profile that stops matching: it is paused, or in DryRun."""
    return paused(document) or (Kind.of(document) in kinds.PROFILE_KINDS and mode_of(document) == "DryRun")


def leaves(document: JsonObject | None, *, live: JsonObject | None = None) -> bool:
    """Whether what a profile deployed stays on a cluster that stops matching.

    ``live`` is the profile before the plan. Under ``syncMode: OneTime`` Sveltos does not update the ClusterSummary, and
    that one decides: with the stopMatchingBehavior from before.
    """
    kept = live if live is not None and mode_of(document) == "OneTime" else document
    return all(_behavior(one) == "LeavePolicies" for one in (document, kept))


def _behavior(document: JsonObject | None) -> str:
    return str(((document or {}).get("spec") or {}).get("stopMatchingBehavior") or "")


def labels_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an object."""
    return (document.get("metadata") or {}).get("labels") or {}


def templated(document: JsonObject) -> bool:
    """Whether a selector is a template, which only Sveltos can fill in."""
    return any("{{" in str(selector) for selector in _selectors(document))


def _selectors(document: JsonObject) -> list[Any]:
    spec = document.get("spec") or {}
    return [selector for path in SELECTOR_PATHS.get(Kind.of(document), ()) for selector in values_at(spec, path)]


def _rules(document: JsonObject) -> tuple[Any, ...]:
    """All of an object that decides which clusters it, or its prerequisites, match."""
    spec = document.get("spec") or {}
    named = spec.get("clusterRefs"), spec.get("setRefs"), spec.get("clusterSetRefs")
    return _selectors(document), *named, sorted(prerequisites_of(document)), frozen(document), leaves(document)


def labels_read(document: JsonObject) -> set[str]:
    """The label keys that an object's selectors look at."""
    found: set[str] = set()
    for written in _selectors(document):
        selector = label_selector(written) or {}
        found |= (selector.get("matchLabels") or {}).keys()
        found |= {str(term.get("key", "")) for term in selector.get("matchExpressions") or ()}
    return found
