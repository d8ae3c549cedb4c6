"""The dry run of a plan: the result of each step, and the consequences for the other steps."""

from __future__ import annotations

import pytest

from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError, GitsnapError, RejectedError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import try_on_server
from gitsnap.rollback.plan import Action, Outcome, Step
from gitsnap.sveltos import kinds
from tests.support.followers import config_map
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import changed, custom, live_state, plan_of, step_of


class _Strict(MemoryCluster):
    """Rejects updates of some objects."""

    says: dict[str, GitsnapError]

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        if document["metadata"]["name"] in self.says:
            raise self.says[document["metadata"]["name"]]
        return super().update(document, dry_run=dry_run)


def _tried(says: dict[str, GitsnapError]) -> list[Step]:
    before = [config_map(name, "1") for name in ("a", "b", "c")]
    live = [config_map(name, "2") for name in ("a", "b", "c")]
    cluster = _Strict.of(live)
    assert isinstance(cluster, _Strict)
    cluster.says = says
    plan = try_on_server(cluster, plan_of(before, live_state(list(cluster.objects.values()))))
    assert not cluster.writes
    return sorted(plan.steps, key=lambda step: step.key)


def test_all_problems_are_listed() -> None:
    """All steps are tried, so all problems are reported."""
    steps = _tried({"a": RejectedError("the schema says no"), "c": AccessDeniedError("exceeded quota")})
    assert [step.refusal for step in steps] == ["the schema says no", "", "exceeded quota"]
    assert steps[1].dry_run is not None
    assert steps[1].dry_run.outcome is Outcome.OK


def test_a_webhook_that_refuses_dry_runs_does_not_block() -> None:
    """A step that cannot be tried is reported as not tried."""
    (step, *_) = _tried({"a": RejectedError("admission webhook x does not support dry run")})
    assert step.dry_run is not None
    assert step.dry_run.outcome is Outcome.NOT_TRIED
    assert step.writes


def test_a_webhook_that_does_not_answer_is_a_problem_of_its_step() -> None:
    """The server itself works: the other steps are tried."""
    error = ClusterUnreachableError('Internal error occurred: failed calling webhook "x"')
    (first, second, _) = _tried({"a": error})
    assert first.failed
    assert not second.failed


def test_a_server_that_does_not_answer_ends_the_dry_run() -> None:
    """The outcome of every step is unknown then."""
    with pytest.raises(ClusterUnreachableError):
        _tried({"b": ClusterUnreachableError("connection refused")})


def test_steps_that_need_a_failed_step_fail_too() -> None:
    """An object in a namespace that cannot be created fails as well."""

    class NoNamespaces(MemoryCluster):
        def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
            if document["kind"] == "Namespace":
                raise AccessDeniedError("no namespaces")
            return super().create(document, dry_run=dry_run)

    plan = plan_of([config_map("a", "1")], live_state([]), missing_namespaces=["default"], create_namespaces=True)
    tried = try_on_server(NoNamespaces(), plan)
    assert [step.refusal for step in tried.refused] == [
        "no namespaces",
        "it needs Namespace default, which cannot be created",
    ]


def test_only_defaults_that_differ_are_no_change() -> None:
    """An old sample lacks the defaults of newer CRDs: the result of the dry run equals the live object."""
    spec = {"clusterSelector": {"matchLabels": {"a": "b"}}}
    live = custom(kinds.CLUSTER_PROFILE, "p", {**spec, "continueOnError": False})

    class Filling(MemoryCluster):
        def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
            filled = {"continueOnError": False, **document["spec"]}
            return super().update(changed(document, spec=filled), dry_run=dry_run)

    cluster = Filling.of([live])
    plan = plan_of([custom(kinds.CLUSTER_PROFILE, "p", spec)], live_state(list(cluster.objects.values())))
    assert step_of(plan, "p").action is Action.UPDATE

    tried = try_on_server(cluster, plan)

    assert step_of(tried, "p").action is Action.UNCHANGED
    assert cluster.get(ObjectKey.of(live))["spec"] == live["spec"]
