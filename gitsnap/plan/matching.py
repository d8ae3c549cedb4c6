"""The management cluster at one moment, as far as it decides which profiles match which clusters.

A rollback leads through as many moments as it has steps; ``arranging`` looks for the order in which none of them loses
a match. This module must not decide about orders, and never changes a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    SELECTOR_PATHS,
    ClusterRef,
    LabelIndex,
    label_selector,
    observed,
    selects,
    sets_of,
    values_at,
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


@dataclass(frozen=True, slots=True)
class State:
    """The management cluster at one moment; never changed in place."""

    labels: LabelIndex
    sets: Mapping[ObjectKey, JsonObject]
    selecting: Mapping[ObjectKey, JsonObject]
    moved: frozenset[ObjectKey] = frozenset()
    """Sets whose status is out of date: a step changed them, or a label that their selectors read."""

    @classmethod
    def of(cls, documents: Iterable[JsonObject]) -> State:
        """The state that these live objects make."""
        labels, sets, selecting = LabelIndex(), {}, {}
        for document in documents:
            key = ObjectKey.of(document)
            if key.kind in kinds.CLUSTER_KINDS:
                labels.add(ClusterRef.of(document), labels_of(document))
            elif key.kind in SET_KINDS:
                sets[key] = document
            elif key.kind in SELECTING_KINDS:
                selecting[key] = document
        return cls(labels, sets, selecting)

    def after(self, change: Change) -> State:
        """The state that a step leads to."""
        key, document = change.key, change.after
        if key.kind in kinds.CLUSTER_KINDS and document is not None:
            relabelled = self.labels.relabelled(ClusterRef.of(document), labels_of(document))
            return replace(self, labels=relabelled, moved=self.moved | self._reading(change))
        if key.kind in SET_KINDS:
            return replace(self, sets=_with(self.sets, key, document), moved=self.moved | {key})
        if key.kind in SELECTING_KINDS:
            return replace(self, selecting=_with(self.selecting, key, document))
        return self

    def _reading(self, change: Change) -> frozenset[ObjectKey]:
        """The sets that look at a label which a step changes."""
        labels = _differing(labels_of(change.before or {}), labels_of(change.after or {}))
        return frozenset(key for key, document in self.sets.items() if not labels.isdisjoint(_labels_read(document)))

    def row(self, key: ObjectKey) -> Row:
        """The clusters that an object matches; none while it does not exist."""
        document = self.selecting.get(key)
        return frozenset() if document is None else selects(document, self.labels, self.sets, moved=self.moved).clusters

    def standing(self, key: ObjectKey) -> Row:
        """The clusters that an object has its add-ons on: of a paused profile also those it matched when it was paused.

        Sveltos looks at a paused profile again only when it is no longer paused.
        """
        row, document = self.row(key), self.selecting.get(key)
        if document is None or not paused(document):
            return row
        return row | (observed(document) & self.labels.keys())

    def certain(self, key: ObjectKey) -> bool:
        """Whether ``row`` is what Sveltos will say."""
        document = self.selecting.get(key)
        return document is None or selects(document, self.labels, self.sets, moved=self.moved).certain


def _with(objects: Mapping[ObjectKey, JsonObject], key: ObjectKey, document: JsonObject | None) -> dict[Any, Any]:
    result = {**objects, key: document}
    if document is None:
        del result[key]
    return result


class Readers:
    """What reads what, over an object as it is and as it will be: which rows a step can change."""

    def __init__(self, *states: State) -> None:
        self._readers: dict[str, set[ObjectKey]] = {}
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        for state in states:
            for key, document in state.selecting.items():
                used = set(sets_of(document))
                for one in used:
                    self._users.setdefault(one, set()).add(key)
                sources = [document, *(state.sets[one] for one in used if one in state.sets)]
                for label in {label for source in sources for label in _labels_read(source)}:
                    self._readers.setdefault(label, set()).add(key)

    def of_label(self, label: str) -> frozenset[ObjectKey]:
        """The selecting objects whose selectors, or whose sets' selectors, look at a label."""
        return frozenset(self._readers.get(label, ()))

    def concerned(self, change: Change) -> frozenset[ObjectKey]:
        """The selecting objects whose matches may change with a step."""
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            if change.before is None or change.after is None:
                return frozenset({change.key})
            same = _rules(change.before) == _rules(change.after) and not paused(change.before)
            return frozenset() if same else frozenset({change.key})
        if kind in SET_KINDS:
            return frozenset(self._users.get(change.key, ()))
        if kind in kinds.CLUSTER_KINDS:
            labels = _differing(labels_of(change.before or {}), labels_of(change.after or {}))
            return frozenset(key for label in labels for key in self._readers.get(label, ()))
        return frozenset()


def rows_after(state: State, rows: Rows, change: Change, concerned: Iterable[ObjectKey]) -> Rows:
    """The rows that a change leads to, of the objects it concerns; ``state`` is the one after it."""
    found = {}
    for key in concerned:
        document = state.selecting.get(key)
        if document is None or change.key.kind not in kinds.CLUSTER_KINDS or sets_of(document):
            found[key] = state.row(key)
        else:  # one cluster's labels changed: only its place in the row is new
            cluster = ClusterRef.of(change.after or {})
            matches = selects(document, {cluster: state.labels[cluster]}).clusters
            found[key] = rows[key] - {cluster} | matches
    return found


def labels_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an object."""
    return (document.get("metadata") or {}).get("labels") or {}


def templated(document: JsonObject) -> bool:
    """Whether a selector is a template, which only Sveltos can fill in."""
    return any("{{" in str(selector) for selector in _selectors(document))


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _selectors(document: JsonObject) -> list[Any]:
    spec = document.get("spec") or {}
    return [selector for path in SELECTOR_PATHS.get(Kind.of(document), ()) for selector in values_at(spec, path)]


def _rules(document: JsonObject) -> tuple[Any, ...]:
    """All of an object that decides which clusters it matches."""
    spec = document.get("spec") or {}
    return _selectors(document), spec.get("clusterRefs"), spec.get("setRefs"), spec.get("clusterSetRefs")


def _labels_read(document: JsonObject) -> set[str]:
    """The label keys that an object's selectors look at."""
    found: set[str] = set()
    for written in _selectors(document):
        selector = label_selector(written) or {}
        found |= set(selector.get("matchLabels") or ())
        found |= {str(one.get("key", "")) for one in selector.get("matchExpressions") or ()}
    return found
