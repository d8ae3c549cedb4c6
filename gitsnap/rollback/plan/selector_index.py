"""Which selecting objects a step can affect: an index from labels and sets to the objects that read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.match_states import (
    SELECTING_KINDS,
    SET_KINDS,
    State,
    StepChange,
    frozen,
    labels_of,
    labels_read,
    matching_rules,
    selectors,
)
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, selects, sets_of
from gitsnap.sveltos.pausing import is_paused

_ABSENT = object()
_ANY_VALUE = object()
_PRESENCE = object()
"""Entries beside the values of a label: for requirements that any change, or the presence of the label, may affect."""


@dataclass(frozen=True, slots=True)
class Relabelling:
    """The objects whose evaluation a label change of one cluster may affect."""

    selecting: frozenset[ObjectKey]
    """Objects with a selector that the change affects. See ``SelectorIndex.relabelling``."""
    sets: frozenset[ObjectKey]
    """The sets whose selectors read a changed label."""


@dataclass(slots=True)
class _Rules:
    """The rules of one version of an object, with the results for clusters that were evaluated."""

    document: JsonObject
    sets: tuple[ObjectKey, ...]
    labels: tuple[str, ...]
    """The label keys that the selectors read."""
    results: dict[Any, bool] = field(default_factory=dict)

    def match(self, cluster: ClusterRef, labels: Mapping[str, str]) -> bool:
        """Whether the selectors and ``clusterRefs`` match a registered cluster."""
        spec = self.document.get("spec") or {}
        name = cluster if spec.get("clusterRefs") else cluster.namespace
        situation = (name, *(labels.get(key, _ABSENT) for key in self.labels))
        try:
            known = self.results.get(situation)
        except TypeError:  # a folder of files may have a label value of any type
            return bool(selects(self.document, {cluster: labels}).clusters)
        if known is None:
            known = self.results[situation] = bool(selects(self.document, {cluster: labels}).clusters)
        return known


class SelectorIndex:
    """An index over several states of the same objects, and the changes between these states."""

    def __init__(self, *states: State) -> None:
        self._states = states
        self._selecting_by_label: dict[str, set[ObjectKey]] = {}
        self._selecting_by_value: dict[tuple[str, object], set[ObjectKey]] = {}
        self._users_of_set: dict[ObjectKey, set[ObjectKey]] = {}
        self._sets_by_label: dict[str, set[ObjectKey]] = {}
        self._affected: dict[frozenset[str], frozenset[ObjectKey]] = {}
        self._relabellings: dict[ObjectKey, Relabelling] = {}
        self._always_evaluated: dict[str, frozenset[ObjectKey]] = {}
        self._rules: dict[int, _Rules] = {}
        for state in states:
            for key, document in state.selecting.items():
                for label in labels_read(document):
                    self._selecting_by_label.setdefault(label, set()).add(key)
                for entry in _values_read(document):
                    self._selecting_by_value.setdefault(entry, set()).add(key)
                for set_key in sets_of(document):
                    self._users_of_set.setdefault(set_key, set()).add(key)
            for key, document in state.sets.items():
                for label in labels_read(document):
                    self._sets_by_label.setdefault(label, set()).add(key)

    def of_label(self, label: str) -> frozenset[ObjectKey]:
        """The selecting objects whose own selectors, or whose sets' selectors, read a label."""
        through_sets = (self._users_of_set.get(set_key, ()) for set_key in self._sets_by_label.get(label, ()))
        return frozenset(self._selecting_by_label.get(label, ())).union(*through_sets)

    def users(self, set_key: ObjectKey) -> Collection[ObjectKey]:
        """The selecting objects that refer to a set."""
        return self._users_of_set.get(set_key, ())

    def affected_by(self, change: StepChange) -> frozenset[ObjectKey]:
        """The selecting objects whose matches a step may change, including their prerequisites."""
        if change.key.kind not in kinds.CLUSTER_KINDS:
            return self._with_prerequisites(change, self._directly_affected_by(change))
        labels = change.labels
        if labels not in self._affected:
            direct = frozenset[ObjectKey]().union(*map(self.of_label, labels))
            self._affected[labels] = self._with_prerequisites(change, direct)
        return self._affected[labels]

    def _with_prerequisites(self, change: StepChange, direct: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
        if change.before is not None and change.after is not None and not is_paused(change.after):
            direct = direct.union(*(state.former_prerequisites(change.key) for state in self._states))
        return direct.union(*(state.dependents.prerequisites(key) for state in self._states for key in direct))

    def _directly_affected_by(self, change: StepChange) -> frozenset[ObjectKey]:
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            if change.before is None or change.after is None:
                return frozenset({change.key})
            before, after = matching_rules(change.before), matching_rules(change.after)
            same = same_json(before, after) and not frozen(change.before)
            return frozenset() if same else frozenset({change.key})
        if kind in SET_KINDS:
            return frozenset(self._users_of_set.get(change.key, ()))
        return frozenset()

    # Single clusters --------------------------------------------------------------------------------------------------

    def relabelling(self, change: StepChange) -> Relabelling:
        """The objects to evaluate after a label change of a cluster.

        A change from ``ring=1`` to ``ring=2`` does not affect a selector for ``ring=3``. An object with such selectors
        only is left out, except if its add-ons also depend on a status: on a set, or on a profile that is paused or in
        DryRun.
        """
        if change.key not in self._relabellings:
            labels, cluster_is_new = change.labels, change.before is None or change.after is None
            before, after = labels_of(change.before or {}), labels_of(change.after or {})
            selecting = set[ObjectKey]()
            for label in labels:
                reading = self._selecting_by_label.get(label, set())
                affected = self._affected_by_value(label, before.get(label, _ABSENT), after.get(label, _ABSENT))
                if cluster_is_new or affected is None:
                    selecting |= reading
                else:
                    selecting |= affected | self._always_evaluated_by(label)
            sets = frozenset(key for label in labels for key in self._sets_by_label.get(label, ()))
            self._relabellings[change.key] = Relabelling(frozenset(selecting), sets)
        return self._relabellings[change.key]

    def _affected_by_value(self, label: str, before: object, after: object) -> set[ObjectKey] | None:
        """The objects with a requirement that a new value of a label may affect; None if a value is malformed."""
        if not all(value is _ABSENT or isinstance(value, str) for value in (before, after)):
            return None
        entries = [before, after, _ANY_VALUE, *([_PRESENCE] if _ABSENT in (before, after) else [])]
        return set[ObjectKey]().union(*(self._selecting_by_value.get((label, entry), ()) for entry in entries))

    def _always_evaluated_by(self, label: str) -> frozenset[ObjectKey]:
        """The readers of a label whose add-ons also depend on a status, directly or through ``dependsOn``."""
        if label not in self._always_evaluated:
            reading = self._selecting_by_label.get(label, ())
            self._always_evaluated[label] = frozenset(
                key for key in reading if any(map(self._depends_on_status, self._related(key)))
            )
        return self._always_evaluated[label]

    def _related(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """An object, its dependents and its prerequisites in all states."""
        graphs = [state.dependents for state in self._states]
        return frozenset({key}).union(*(graph.of(key) | graph.prerequisites(key) for graph in graphs))

    def _depends_on_status(self, key: ObjectKey) -> bool:
        for state in self._states:
            document = state.selecting.get(key)
            if document is not None and (sets_of(document) or frozen(document)):
                return True
        return any(state.deployed_on(key) != state.matches(key) for state in self._states)

    def match_directly(self, document: JsonObject, cluster: ClusterRef, labels: Mapping[str, str]) -> bool:
        """Whether the selectors and ``clusterRefs`` of an object match a registered cluster with these labels."""
        return self._rules_of(document).match(cluster, labels)

    def reads(self, document: JsonObject, labels: Collection[str]) -> bool:
        """Whether the selectors of an object read any of these label keys."""
        return any(label in labels for label in self._rules_of(document).labels)

    def sets_of(self, document: JsonObject) -> tuple[ObjectKey, ...]:
        """The sets that an object names."""
        return self._rules_of(document).sets

    def _rules_of(self, document: JsonObject) -> _Rules:
        rules = self._rules.get(id(document))
        if rules is None:
            # _Rules keeps the document, so that no other document gets its id.
            rules = _Rules(document, sets_of(document), tuple(sorted(labels_read(document))))
            self._rules[id(document)] = rules
        return rules


def _values_read(document: JsonObject) -> Iterable[tuple[str, object]]:
    """The labels that the selectors of an object read, each with a value, _PRESENCE or _ANY_VALUE."""
    for selector in selectors(document):
        yield from (selector.get("matchLabels") or {}).items()
        for requirement in selector.get("matchExpressions") or ():
            key = str(requirement.get("key", ""))
            match requirement.get("operator"):
                case "In" | "NotIn":
                    yield from ((key, value) for value in requirement.get("values") or () if isinstance(value, str))
                case "Exists" | "DoesNotExist":
                    yield key, _PRESENCE
                case _:
                    yield key, _ANY_VALUE
