"""Plans with profiles that other profiles name in ``dependsOn``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan import Plan, Selection
from gitsnap.sveltos import kinds
from tests.support.plans import alive, custom, live_state, plan_of, sample_state

_PROFILES = [(kinds.CLUSTER_PROFILE, ""), (kinds.PROFILE, "fleet")]
_WEST = ObjectKey(kinds.SVELTOS_CLUSTER, "fleet", "west")
_RELABELLING = Selection(keys=(_WEST,))


def _west(ring: str) -> JsonObject:
    return custom(kinds.SVELTOS_CLUSTER, "west", {}, "fleet", labels={"ring": ring})


def _dependent(kind: Kind, namespace: str, *rings: str) -> JsonObject:
    """A profile for clusters of these rings that depends on ``base``."""
    expression = {"key": "ring", "operator": "In", "values": [*rings]}
    spec = {"clusterSelector": {"matchExpressions": [expression]}, "dependsOn": ["base"]}
    return custom(kind, "dependent", spec, namespace)


def _base(kind: Kind, namespace: str) -> JsonObject:
    """A profile whose own selector matches no cluster."""
    return custom(kind, "base", {"clusterSelector": {"matchLabels": {"ring": "none"}}}, namespace)


def _withdrawn(plan: Plan) -> list[tuple[Kind, str, str]]:
    return [(line.profile.kind, line.profile.namespace, line.profile.name) for line in plan.withdrawals]


@pytest.mark.parametrize(("kind", "namespace"), _PROFILES)
@pytest.mark.parametrize("namesake", [None, *_PROFILES, (kinds.PROFILE, "other")])
def test_only_a_profile_of_the_same_kind_and_namespace_is_a_prerequisite(
    kind: Kind, namespace: str, namesake: tuple[Kind, str] | None
) -> None:
    """The dependent stops matching ``west``. ``base`` is withdrawn with it only if it is its prerequisite."""
    others = [_base(*namesake)] if namesake else []
    plan = plan_of([_west("2")], [_west("1"), _dependent(kind, namespace, "1"), *others], _RELABELLING)
    prerequisites = [(kind, namespace, "base")] if namesake == (kind, namespace) else []
    assert _withdrawn(plan) == [*prerequisites, (kind, namespace, "dependent")]


@pytest.mark.parametrize(("kind", "namespace"), _PROFILES)
@pytest.mark.parametrize("rings", [["1"], ["1", "2"]], ids=["starts to match", "matches throughout"])
@pytest.mark.parametrize("namesake", [None, *_PROFILES, (kinds.PROFILE, "other")])
def test_a_prerequisite_that_does_not_exist_is_not_withdrawn(
    kind: Kind, namespace: str, rings: list[str], namesake: tuple[Kind, str] | None
) -> None:
    """The dependent matches ``west`` after the rollback. If ``base`` exists, it is deployed there and stays."""
    others = [_base(*namesake)] if namesake else []
    plan = plan_of([_west("1")], [_west("2"), _dependent(kind, namespace, *rings), *others], _RELABELLING)
    assert [step.key for step in plan.writes] == [_WEST]
    assert _withdrawn(plan) == []


@pytest.mark.parametrize(("kind", "namespace"), _PROFILES)
def test_a_prerequisite_is_deleted_before_its_dependent_starts_to_match(kind: Kind, namespace: str) -> None:
    """In this order, Sveltos never deploys the prerequisite to the cluster."""
    dependent, base = _dependent(kind, namespace, "1"), _base(kind, namespace)
    scope = frozenset(kinds.CAPTURED_KINDS)
    sample = replace(sample_state([_west("1"), dependent]), time=datetime(2023, 8, 26, 5, tzinfo=UTC), scope=scope)
    live = live_state([_west("2"), dependent, alive(base, creationTimestamp="2023-08-26T06:00:00Z")])
    plan = plan_of(sample, live, Selection(keys=(_WEST, ObjectKey.of(base))), prune=True)
    assert [step.key for step in plan.writes] == [ObjectKey.of(base), _WEST]
    assert _withdrawn(plan) == []
