"""The objects that decide which profiles match which clusters, in the states before and after a plan.

``simulation`` has the states between two steps. No document is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.kube.label_selectors import read_selector
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import (
    ClusterIndex,
    ClusterRef,
    Dependents,
    observed_clusters,
    prerequisites_of,
    selectors_of,
    selects,
)
from gitsnap.sveltos.pausing import is_paused

SELECTING_KINDS = kinds.PROFILE_KINDS | {kinds.CLUSTER_PROMOTION, kinds.EVENT_TRIGGER, kinds.ROLE_REQUEST}
"""Kinds whose objects select clusters, and lose something on a cluster that stops matching."""

SET_KINDS = frozenset({kinds.CLUSTER_SET, kinds.SET})
CLASSIFIER_KINDS = frozenset({kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER})
MATCHING_KINDS = SELECTING_KINDS | SET_KINDS | CLASSIFIER_KINDS | kinds.CLUSTER_KINDS
"""Kinds that decide which clusters match. To evaluate a change of one object, all objects of these kinds are needed."""

Matches = frozenset[ClusterRef]
"""The clusters that one object matches, or on which it has deployed add-ons."""

MatchesByObject = Mapping[ObjectKey, Matches]


@dataclass(frozen=True, slots=True)
class StepChange:
    """An object before and after its step."""

    key: ObjectKey
    before: JsonObject | None
    """The live object, None if the step creates it."""
    after: JsonObject | None
    """None if the step deletes the object."""

    @property
    def cluster(self) -> ClusterRef:
        """The managed cluster, for a step that relabels a cluster."""
        return ClusterRef(self.key.kind, self.key.namespace, self.key.name)

    @property
    def labels(self) -> frozenset[str]:
        """The label keys whose values the step changes."""
        before, after = labels_of(self.before or {}), labels_of(self.after or {})
        return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


@dataclass(frozen=True, slots=True)
class State:
    """The management cluster at one moment. A state is never changed in place."""

    labels: ClusterIndex
    sets: Mapping[ObjectKey, JsonObject]
    selecting: Mapping[ObjectKey, JsonObject]
    outdated: frozenset[ObjectKey]
    """Sets with an outdated status: a step changed the set, or a label that its selector reads."""
    summary_clusters: MatchesByObject
    """For each profile in DryRun: the clusters that have a ClusterSummary of the profile, matching or not."""
    dependents: Dependents
    _own: dict[ObjectKey, Matches] = field(default_factory=dict)
    _paused: list[Matches] = field(default_factory=list)
    _remaining: list[Mapping[ClusterRef, set[ObjectKey]]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        documents: Iterable[JsonObject],
        changes: Sequence[StepChange] = (),
        *,
        summary_clusters: MatchesByObject | None = None,
    ) -> State:
        """The state of the live ``documents`` after the ``changes`` are written."""
        objects: dict[ObjectKey, JsonObject | None] = {ObjectKey.of(document): document for document in documents}
        objects |= {change.key: change.after for change in changes if change.key.kind in MATCHING_KINDS}
        labels, sets, selecting = ClusterIndex(), dict[ObjectKey, JsonObject](), dict[ObjectKey, JsonObject]()
        for key, document in objects.items():
            if document is None:
                continue
            if key.kind in kinds.CLUSTER_KINDS:
                labels.add(ClusterRef.of(document), labels_of(document))
            elif key.kind in SET_KINDS:
                sets[key] = document
            elif key.kind in SELECTING_KINDS:
                selecting[key] = document
        changed = {label for change in changes if change.key.kind in kinds.CLUSTER_KINDS for label in change.labels}
        outdated = {change.key for change in changes if change.key.kind in SET_KINDS}
        outdated |= {key for key, document in sets.items() if not changed.isdisjoint(labels_read(document))}
        return cls(labels, sets, selecting, frozenset(outdated), summary_clusters or {}, Dependents(selecting.values()))

    def own(self, key: ObjectKey) -> Matches:
        """The clusters that an object matches by its own selectors and sets; empty if it does not exist."""
        if key not in self._own:
            document = self.selecting.get(key)
            self._own[key] = frozenset() if document is None else self._selects(document)
        return self._own[key]

    def _selects(self, document: JsonObject) -> Matches:
        return selects(document, self.labels, self.sets, outdated=self.outdated).clusters

    def matches(self, key: ObjectKey) -> Matches:
        """The clusters that an object matches: ``own``, and the clusters of the profiles that depend on it."""
        if key not in self.selecting:
            return frozenset()
        return self.dependents.deployed_on(key, self.own)

    def deployed_on(self, key: ObjectKey) -> Matches:
        """The clusters on which an object has deployed add-ons.

        Sveltos evaluates a paused profile only when the pause ends, and withdraws nothing for a profile in DryRun: the
        add-ons of both stay on clusters that no longer match. The add-ons of a prerequisite stay on the clusters of a
        paused profile that depended on it when it was paused. The status of the prerequisite names these clusters.
        """
        matches, document = self.matches(key), self.selecting.get(key)
        if document is None:
            return matches
        reported = observed_clusters(document) & self.labels.keys()
        matches |= reported if is_paused(document) else reported & self._paused_on()
        return matches | (self.summary_clusters.get(key, frozenset()) & self.labels.keys())

    def _paused_on(self) -> Matches:
        """The clusters that the status of any paused profile names."""
        if not self._paused:
            paused_on = (observed_clusters(document) for document in self.selecting.values() if is_paused(document))
            self._paused.append(frozenset[ClusterRef]().union(*paused_on))
        return self._paused[0]

    def former_prerequisites(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The profiles that may keep add-ons on clusters only because of ``key``; empty if ``key`` is not paused.

        They do not match these clusters, and the paused profile may have depended on them when it was paused. The
        status of both names the clusters.
        """
        document = self.selecting.get(key)
        if document is None or not is_paused(document):
            return frozenset()
        if not self._remaining:
            self._remaining.append(self._remaining_profiles())
        return frozenset[ObjectKey]().union(
            *(self._remaining[0].get(cluster, ()) for cluster in observed_clusters(document))
        )

    def _remaining_profiles(self) -> Mapping[ClusterRef, set[ObjectKey]]:
        """By cluster: the profiles that are not paused and have add-ons there only because of a paused profile."""
        profiles: dict[ClusterRef, set[ObjectKey]] = {}
        for key, document in self.selecting.items():
            if key.kind in kinds.PROFILE_KINDS and not frozen(document):
                for cluster in (observed_clusters(document) & self._paused_on()) - self.matches(key):
                    profiles.setdefault(cluster, set()).add(key)
        return profiles

    def certain(self, key: ObjectKey) -> bool:
        """Whether Sveltos will certainly evaluate to ``matches(key)``."""
        documents = [self.selecting.get(profile) for profile in (key, *self.dependents.of(key))]
        return all(
            selects(document, self.labels, self.sets, outdated=self.outdated).certain
            for document in documents
            if document
        )


def mode_of(document: JsonObject | None) -> str:
    """The ``syncMode`` of a profile; ``Continuous`` by default."""
    return str(((document or {}).get("spec") or {}).get("syncMode") or "Continuous")


def frozen(document: JsonObject) -> bool:
    """Whether Sveltos withdraws nothing when a profile stops matching: the profile is paused or in DryRun."""
    return is_paused(document) or (Kind.of(document) in kinds.PROFILE_KINDS and mode_of(document) == "DryRun")


def leaves(document: JsonObject | None, *, live: JsonObject | None = None) -> bool:
    """Whether the add-ons of a profile stay on a cluster that stops matching.

    ``live`` is the profile before the plan. In ``syncMode: OneTime`` Sveltos does not update the ClusterSummary, whose
    former stopMatchingBehavior decides.
    """
    deciding = live if live is not None and mode_of(document) == "OneTime" else document
    return all(_behavior(profile) == "LeavePolicies" for profile in (document, deciding))


def _behavior(document: JsonObject | None) -> str:
    return str(((document or {}).get("spec") or {}).get("stopMatchingBehavior") or "")


def labels_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an object; empty if it has none."""
    return (document.get("metadata") or {}).get("labels") or {}


def templated(document: JsonObject) -> bool:
    """Whether a selector is a template, which only Sveltos can evaluate."""
    return any("{{" in str(selector) for selector in selectors_of(document))


def selectors(document: JsonObject) -> list[Mapping[str, Any]]:
    """The selectors of an object, without those that Sveltos cannot parse."""
    parsed = map(read_selector, selectors_of(document))
    return [selector for selector in parsed if selector is not None]


def matching_rules(document: JsonObject) -> tuple[Any, ...]:
    """The parts of an object that decide which clusters the object, or its prerequisites, match."""
    spec = document.get("spec") or {}
    named = spec.get("clusterRefs"), spec.get("setRefs"), spec.get("clusterSetRefs")
    return selectors_of(document), *named, sorted(prerequisites_of(document)), frozen(document), leaves(document)


def labels_read(document: JsonObject) -> set[str]:
    """The label keys that an object's selectors read."""
    labels: set[str] = set()
    for selector in selectors(document):
        labels |= (selector.get("matchLabels") or {}).keys()
        labels |= {str(term.get("key", "")) for term in selector.get("matchExpressions") or ()}
    return labels
