"""Plans of random configurations: a plan names every lost match, and writes nothing outside the selection.

The tests execute each rollback on a cluster in memory. A simulated Sveltos reacts to each write before the next write.
``test_live_properties`` tests lags.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.errors import ClusterUnreachableError, GitsnapError, RejectedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import StoppedError, apply, try_on_server
from gitsnap.rollback.plan import Options, SampleState, Selection, make_plan, resolve
from gitsnap.rollback.plan.uncertainty import CHOOSING
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import max_replicas, sets_of
from gitsnap.sveltos.normalize import normalize
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import alive, custom, live_state, sample_state, select
from tests.support.sveltos.matches import Matches, Pair
from tests.support.sveltos.selector_strategies import CLUSTER_REFS, CLUSTERS, LABEL_MAPS, NAMESPACES, SELECTORS

_CLUSTER_COUNT = 4
_PAUSED = "profile.projectsveltos.io/paused"
_SAMPLE_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def _spec(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({"clusterSelector": SELECTORS}, optional={"clusterRefs": CLUSTER_REFS, **fields})


_limits = st.sampled_from((0, 1, 2, 9, 9))
_set_references = st.lists(st.sampled_from(("s", "t")), max_size=2, unique=True)
_annotations = st.sampled_from([{}, {}, {}, {_PAUSED: "true"}])


@st.composite
def configurations(draw: st.DrawFn) -> list[JsonObject]:
    """A management cluster: two clusters in each of two namespaces, sets, and profiles of both kinds."""
    objects = [
        custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels=draw(LABEL_MAPS))
        for namespace in NAMESPACES
        for name in CLUSTERS
    ]
    objects += [
        custom(kinds.CLUSTER_SET, name, {**draw(_spec()), "maxReplicas": draw(_limits)})
        for name in draw(_some("s", "t"))
    ]
    objects += [
        custom(kinds.SET, name, {**draw(_spec()), "maxReplicas": draw(_limits)}, "one")
        for name in draw(_some("s", "t"))
    ]
    for name in draw(_some("p", "q", "r")):
        spec = draw(_spec(setRefs=_set_references, tier=st.integers(1, 3)))
        objects.append(custom(kinds.CLUSTER_PROFILE, name, spec, annotations=draw(_annotations)))
    for name in draw(_some("p", "q")):
        spec = draw(_spec(setRefs=_set_references))
        objects.append(custom(kinds.PROFILE, name, spec, "one", annotations=draw(_annotations)))
    return objects


def _some(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True)


selections = st.one_of(
    st.just(Selection()),
    st.builds(
        lambda keys: Selection(keys=tuple(keys)),
        st.lists(
            st.one_of(
                st.builds(lambda name: ObjectKey(kinds.CLUSTER_PROFILE, "", name), st.sampled_from(("p", "q", "r"))),
                st.builds(lambda name: ObjectKey(kinds.PROFILE, "one", name), st.sampled_from(("p", "q"))),
                st.builds(lambda name: ObjectKey(kinds.CLUSTER_SET, "", name), st.sampled_from(("s", "t"))),
                st.builds(lambda name: ObjectKey(kinds.SET, "one", name), st.sampled_from(("s", "t"))),
                st.builds(
                    lambda namespace, name: ObjectKey(kinds.SVELTOS_CLUSTER, namespace, name),
                    st.sampled_from(NAMESPACES),
                    st.sampled_from(("east", "west")),
                ),
            ),
            min_size=1,
            unique=True,
        ),
    ),
)
_settings = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class _Story:
    """A sample, a later live state, and the plan that rolls the live state back to the sample."""

    def __init__(
        self,
        sample: list[JsonObject],
        live: list[JsonObject],
        selection: Selection,
        *,
        sets_first: bool = True,
        **options: Any,
    ) -> None:
        self.cluster = MemoryCluster.of(alive(document, creationTimestamp="2026-06-01T00:00:00Z") for document in live)
        self.sveltos = Matches(self.cluster.objects, sets_first=sets_first)
        self.sveltos.act()
        self.first = self.sveltos.deployed
        state = sample_state(sample)
        self.selected = resolve(selection, state.keys)
        self.sample_keys = state.keys
        state = _with_time(state)
        before = live_state(copy.deepcopy(list(self.cluster.objects.values())))
        self.plan = make_plan(
            select(state, before, selection, prune=options.get("prune", False)),
            before,
            selection,
            Options(allow_withdraw=True, skip_refused=True, **options),
        )
        self.start = copy.deepcopy(self.cluster.objects)
        self.cluster.after_write = self._after_write

    def _after_write(self, _verb: str, _key: ObjectKey) -> None:
        self.sveltos.act()

    @property
    def unnamed(self) -> set[Pair]:
        """The lost pairs (profile, cluster) that no line of the plan names.

        An ``uncertain`` line about the choice of a set always names its pairs. An ``uncertain`` line about a lagging
        set names its pairs only if sets lag. A pair that the rollback itself created may be lost if such a set selects
        the cluster.
        """
        named = {(line.profile, line.cluster.key) for line in self.plan.withdrawals}
        uncertain = {
            doubt.key for doubt in self.plan.uncertainties if not self.sveltos.sets_first or doubt.reason == CHOOSING
        }
        unnamed = {pair for pair in self.sveltos.lost - named if pair[0] not in uncertain}
        return {pair for pair in unnamed if pair in self.first or not self._by_sets(pair[0])}

    def _by_sets(self, profile: ObjectKey) -> bool:
        """Whether a set that lags, or that may have to choose, selects clusters of the profile, now or at the start."""
        used = {key for document in self._versions(profile) for key in sets_of(document)}
        limits = {max_replicas(document) for key in used for document in self._versions(key)}
        return bool(used) and (not self.sveltos.sets_first or any(0 < limit < _CLUSTER_COUNT for limit in limits))

    def _versions(self, key: ObjectKey) -> list[JsonObject]:
        return [objects[key] for objects in (self.start, self.cluster.objects) if key in objects]


def _with_time(state: SampleState) -> SampleState:
    return replace(state, time=_SAMPLE_TIME, scope=frozenset(kinds.CAPTURED_KINDS))


@_settings
@given(configurations(), configurations(), selections, st.integers(0, 1), st.integers(0, 1))
def test_a_plan_names_every_lost_pair(
    sample: list[JsonObject], live: list[JsonObject], selection: Selection, prune: int, sets_lag: int
) -> None:
    """After each write, a line of the plan names every pair that Sveltos withdraws."""
    story = _Story(sample, live, selection, sets_first=not sets_lag, prune=bool(prune), max_delete=100)

    apply(story.cluster, try_on_server(story.cluster, story.plan))

    assert not story.unnamed


@_settings
@given(configurations(), configurations(), selections, st.integers(0, 1))
def test_nothing_outside_the_selection_is_written(
    sample: list[JsonObject], live: list[JsonObject], selection: Selection, prune: int
) -> None:
    """Each object outside the selection stays unchanged, including its resource version."""
    story = _Story(sample, live, selection, prune=bool(prune), max_delete=100)

    apply(story.cluster, try_on_server(story.cluster, story.plan))

    surplus = {key for key in story.start.keys() - story.sample_keys if selection.everything or key in selection.keys}
    surplus = surplus if prune else set()
    touched = {key for _, key in story.cluster.writes}
    assert touched <= story.selected | surplus
    for key in story.start.keys() - story.selected - surplus:
        assert {**story.cluster.objects[key], "status": None} == {**story.start[key], "status": None}


@_settings
@given(configurations(), configurations(), selections)
def test_selected_objects_equal_the_sample(
    sample: list[JsonObject], live: list[JsonObject], selection: Selection
) -> None:
    """After a rollback each selected object equals the sample, unless the plan refuses the object by name."""
    story = _Story(sample, live, selection)
    plan = try_on_server(story.cluster, story.plan)
    wanted = {ObjectKey.of(document): normalize(document) for document in sample}

    apply(story.cluster, plan)

    refused = {step.key for step in plan.refused}
    for key in story.selected - refused:
        found = normalize(story.cluster.objects[key])
        assert found["metadata"].get("labels") == wanted[key]["metadata"].get("labels")
        assert found["metadata"].get("annotations") == wanted[key]["metadata"].get("annotations")
        if key.kind not in kinds.CLUSTER_KINDS:
            assert found["spec"] == wanted[key]["spec"]


@_settings
@given(configurations(), configurations(), selections, st.integers(0, 12), st.integers(0, 1), st.integers(0, 1))
def test_a_failure_at_any_write_loses_no_unnamed_pair(
    sample: list[JsonObject],
    live: list[JsonObject],
    selection: Selection,
    position: int,
    answered: int,
    sets_lag: int,
) -> None:
    """A rollback that stops names exactly the profiles that it still holds. It releases all other profiles."""
    story = _Story(sample, live, selection, sets_first=not sets_lag)
    if not story.plan.writes:
        apply(story.cluster, story.plan)
        assert _contents(story.cluster.objects) == _contents(story.start)
        return
    _fail_at(story, position % len(story.plan.writes), before=bool(answered))

    failure = _failure(story)

    if isinstance(failure, StoppedError):
        held = set(failure.report.held)
    else:
        held = set()
        assert _contents(story.cluster.objects) == _contents(story.start)
    assert not story.unnamed
    assert _held(story.cluster) == held


@_settings
@given(configurations(), configurations(), selections, st.integers(0, 12), st.integers(0, 1))
def test_atomic_reverts_after_any_failure(
    sample: list[JsonObject], live: list[JsonObject], selection: Selection, position: int, answered: int
) -> None:
    """With `--atomic`, a failure at any write restores the configuration, and no profile is held."""
    story = _Story(sample, live, selection, prune=True, max_delete=100)
    if not story.plan.writes:
        apply(story.cluster, story.plan)
        assert _contents(story.cluster.objects) == _contents(story.start)
        return
    _fail_at(story, position % len(story.plan.writes), before=bool(answered))

    failure = _failure(story, atomic=True)

    assert not isinstance(failure, StoppedError), failure
    assert _contents(story.cluster.objects) == _contents(story.start)
    assert not _held(story.cluster)
    assert not story.unnamed & story.first  # Reverting may remove pairs that the rollback itself created.


def _failure(story: _Story, *, atomic: bool = False) -> GitsnapError:
    """The error with which the execution of the plan ends."""
    with pytest.raises(GitsnapError) as caught:
        apply(story.cluster, story.plan, atomic=atomic)
    return caught.value


def _fail_at(story: _Story, position: int, *, before: bool) -> None:
    """Refuse the write at this position, or execute the write and lose its response."""
    count = {"writes": 0}
    watch: Callable[[str, ObjectKey], None] = story.cluster.after_write

    def refuse(_verb: str, key: ObjectKey) -> None:
        count["writes"] += 1
        if before and count["writes"] == position + 1:
            raise RejectedError(f"{key} is refused")

    def lose(verb: str, key: ObjectKey) -> None:
        watch(verb, key)
        if not before and count["writes"] == position + 1:
            raise ClusterUnreachableError("the connection broke")

    story.cluster.before_write = refuse
    story.cluster.after_write = lose


def _contents(objects: dict[ObjectKey, JsonObject]) -> dict[ObjectKey, JsonObject]:
    return {key: normalize(document) for key, document in objects.items()}


def _held(cluster: MemoryCluster) -> set[ObjectKey]:
    return {
        key
        for key, document in cluster.objects.items()
        if (document["metadata"].get("annotations") or {}).get(_PAUSED) == "gitsnap-rollback"
    }
