"""A plan equals that of a plain evaluation.

The plain evaluation examines every reader of a changed label after each step, and orders all changes together. The
simulation of each step, which both evaluations use, is compared with the state of all objects.
GITSNAP_ORDER_CASES sets another number of cases.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan import Plan, Selection, ordering
from gitsnap.rollback.plan.impact import _Impact
from gitsnap.rollback.plan.independent_changes import merge_orders
from gitsnap.rollback.plan.match_states import State, StepChange, labels_read
from gitsnap.rollback.plan.selector_index import Relabelling, SelectorIndex
from gitsnap.rollback.plan.simulation import Simulation
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, selects
from tests.support.plans import custom, plan_of

CASES = int(os.environ.get("GITSNAP_ORDER_CASES", "150"))
_CLUSTERS = [("one", "east"), ("one", "west"), ("two", "east"), ("two", "west"), ("two", "south")]
_PAUSED = "profile.projectsveltos.io/paused"
_VALUES = st.sampled_from(["1", "2", "3"])
_KEYS = st.sampled_from(["ring", "wave"])
_LABELS = st.dictionaries(_KEYS, _VALUES)
_REQUIREMENTS = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        _KEYS,
        st.sampled_from(["In", "NotIn"]),
        st.lists(_VALUES, min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, _KEYS, st.sampled_from(["Exists", "DoesNotExist"])
    ),
)
_SELECTORS = st.one_of(
    st.builds(lambda key, value: {"matchLabels": {key: value}}, _KEYS, _VALUES),
    st.builds(
        lambda labels, terms: {"matchLabels": labels, "matchExpressions": terms},
        _LABELS,
        st.lists(_REQUIREMENTS, max_size=2),
    ),
    st.sampled_from(["ring=1", "wave>1", "ring!=2,wave", "wave={{ .x }}"]),
)
_REFERENCES = st.lists(
    st.sampled_from(_CLUSTERS).map(
        lambda cluster: {
            "apiVersion": "lib.projectsveltos.io/v1beta1",
            "kind": "SveltosCluster",
            "namespace": cluster[0],
            "name": cluster[1],
        }
    ),
    max_size=3,
    unique_by=str,
)
_RARE = st.sampled_from([False, False, False, True])


@st.composite
def _configurations(draw: st.DrawFn) -> list[JsonObject]:
    """Clusters, sets, and profiles with sets, prerequisites, pauses and all modes; with the status of each."""
    objects = [
        custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels=draw(_LABELS))
        for namespace, name in _CLUSTERS
        if not draw(_RARE)
    ]
    for name in ("s", "t"):
        if draw(_RARE):
            spec = {"clusterSelector": draw(_SELECTORS), "maxReplicas": draw(st.sampled_from([0, 1, 2, 9]))}
            status = {"selectedClusterRefs": draw(_REFERENCES)}
            objects.append(custom(kinds.CLUSTER_SET, name, spec) | {"status": status})
    for name in ("p", "q", "r"):
        namespace, kind = ("one", kinds.PROFILE) if draw(_RARE) else ("", kinds.CLUSTER_PROFILE)
        spec = {"clusterSelector": draw(_SELECTORS)}
        if draw(_RARE):
            spec["clusterSetRefs" if kind == kinds.CLUSTER_PROFILE else "setRefs"] = ["s"]
        if draw(_RARE):
            spec["clusterRefs"] = draw(_REFERENCES)
        if draw(_RARE):
            spec["dependsOn"] = [draw(st.sampled_from(["p", "q", "r"]))]
        if draw(_RARE):
            spec["syncMode"] = draw(st.sampled_from(["DryRun", "OneTime"]))
        if draw(_RARE):
            spec["stopMatchingBehavior"] = "LeavePolicies"
        annotations = {_PAUSED: "true"} if draw(_RARE) else {}
        profile = custom(kind, name, spec, namespace, annotations=annotations)
        objects.append(
            profile | {"status": {"matchingClusters": draw(_REFERENCES)}} if draw(st.booleans()) else profile
        )
    return objects


class _PlainIndex(SelectorIndex):
    """Evaluates every object that reads a changed label, and keeps no results."""

    def relabelling(self, change: StepChange) -> Relabelling:
        """The objects that read a changed label."""
        objects = [
            (key, not change.labels.isdisjoint(labels_read(document)), key in state.sets)
            for state in self._states
            for key, document in (*state.selecting.items(), *state.sets.items())
        ]
        return Relabelling(
            frozenset(key for key, reads, is_set in objects if reads and not is_set),
            frozenset(key for key, reads, is_set in objects if reads and is_set),
        )

    def match_directly(self, document: JsonObject, cluster: ClusterRef, labels: Mapping[str, str]) -> bool:
        """The selectors and ``clusterRefs`` of a document, evaluated for one cluster."""
        return bool(selects(document, {cluster: labels}).clusters)


def _in_one_group(changes: Sequence[StepChange], index: SelectorIndex, states: Sequence[State]) -> list[int]:
    del index, states
    return [0] * len(changes)


def _all_selecting(impact: Any, cluster: ClusterRef) -> frozenset[ObjectKey]:
    del cluster
    return frozenset(impact._start.selecting.keys() | impact._end.selecting.keys())


_MISSING_PREREQUISITE = [
    custom(
        kinds.CLUSTER_PROFILE,
        "q",
        {"clusterSelector": {"matchExpressions": [{"key": "ring", "operator": "Exists"}]}, "dependsOn": ["r"]},
    ),
    custom(kinds.PROFILE, "r", {"clusterSelector": {"matchLabels": {"ring": "1"}}}, "one"),
]
"""A profile, and a namesake of its prerequisite: a prerequisite has the kind of the profile that depends on it."""


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(_configurations(), _configurations(), st.integers(0, 1))
@example(
    [custom(kinds.SVELTOS_CLUSTER, "west", {}, "two", labels={"ring": "1"})],
    [custom(kinds.SVELTOS_CLUSTER, "west", {}, "two", labels={"ring": "2"}), *_MISSING_PREREQUISITE],
    1,
)
def test_a_plan_is_that_of_a_plain_evaluation(sample: list[JsonObject], live: list[JsonObject], selected: int) -> None:
    """Steps with effects and waits, holds, withdrawals and uncertainties are equal, and name existing objects only."""
    keys = tuple(ObjectKey.of(document) for document in sample[: len(sample) // 2 or 1])
    selection = Selection(keys=keys) if selected and sample else Selection()

    def planned() -> Plan:
        return plan_of(sample, live, selection, prune=not selected)

    indexed = planned()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gitsnap.rollback.plan.ordering.SelectorIndex", _PlainIndex)
        patch.setattr("gitsnap.rollback.plan.impact.SelectorIndex", _PlainIndex)
        patch.setattr(ordering, "group_changes", _in_one_group)
        patch.setattr(_Impact, "_moved_on", _all_selecting)
        plain = planned()
    assert indexed == plain
    named = {line.profile for line in indexed.withdrawals} | {effect.by for s in indexed.steps for effect in s.effects}
    assert named <= {ObjectKey.of(document) for document in (*sample, *live)}


def _evaluated_at_once(documents: list[JsonObject]) -> list[JsonObject]:
    """The objects without pauses and DryRun, because of which Sveltos does not follow each step."""
    changed = []
    for document in documents:
        metadata = {field: value for field, value in document["metadata"].items() if field != "annotations"}
        spec = {field: value for field, value in document["spec"].items() if field != "syncMode"}
        changed.append({**document, "metadata": metadata, "spec": spec})
    return changed


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_configurations().map(_evaluated_at_once), _configurations().map(_evaluated_at_once), st.randoms())
@example(
    [custom(kinds.SVELTOS_CLUSTER, "west", {}, "two", labels={"ring": "1"}), *_MISSING_PREREQUISITE],
    [custom(kinds.SVELTOS_CLUSTER, "west", {}, "two", labels={"ring": "2"}), *_MISSING_PREREQUISITE],
    Random(1),
)
def test_each_step_leads_to_the_state_that_is_evaluated_from_all_objects(
    sample: list[JsonObject], live: list[JsonObject], random: Random
) -> None:
    """The simulation updates the clusters of each object step by step, also of objects that do not exist."""
    before = {ObjectKey.of(document): document for document in live}
    after = {ObjectKey.of(document): document for document in sample}
    changes = [
        StepChange(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if key.kind not in kinds.CLUSTER_KINDS or key in before.keys() & after.keys()  # a rollback only relabels these
    ]
    random.shuffle(changes)
    start, end = State.of(live), State.of(live, changes)
    profiles = start.selecting.keys() | end.selecting.keys()
    tracked = profiles.union(*(state.dependents.prerequisites(key) for state in (start, end) for key in profiles))
    simulation = Simulation(start, end, SelectorIndex(start, end), tracked)

    def matches_after(number: int) -> dict[ObjectKey, frozenset[ClusterRef]]:
        state = State.of(live, changes[:number])
        return {key: state.matches(key) for key in tracked}

    for number, change in enumerate(changes):
        simulation.apply(change)
        simulation.revert()
        assert simulation.deployed == matches_after(number)
        simulation.apply(change)
        assert simulation.deployed == matches_after(number + 1)


@given(st.lists(st.lists(st.integers(), unique=True), max_size=4))
def test_orders_are_merged_by_the_smallest_next_position(orders: list[list[int]]) -> None:
    """A plain merge compares the first remaining positions of all orders."""
    remaining, merged = [list(order) for order in orders if order], []
    while remaining:
        first = min(remaining, key=lambda order: order[0])
        merged.append(first.pop(0))
        remaining = [order for order in remaining if order]
    assert merge_orders(orders) == merged
