"""The decision about one object, and the reason of each refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gitsnap.core.model import IncompleteKind, IncompleteReason, JsonObject, ObjectKey, Substitute
from gitsnap.core.objects import changed_fields
from gitsnap.rollback.plan import Action, Plan, SampleState, Selection, Unrestorable
from gitsnap.sveltos import kinds
from tests.support.plans import (
    alive,
    changed,
    custom,
    live_state,
    only_step,
    plan_of,
    sample_state,
    step_of,
    with_metadata,
)

DATABASE: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "database", "namespace": "default", "labels": {"app": "redis"}},
    "data": {"database.yaml": "a: 1\n"},
}
PASSWORD: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "password", "namespace": "default"},
    "type": "addons.projectsveltos.io/cluster-profile",
    "data": {"password": "b25l"},
}
GUESTBOOK = custom(kinds.CLUSTER_PROFILE, "guestbook", {"clusterSelector": {"matchLabels": {"env": "fv"}}})
WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _sample(*objects: JsonObject) -> SampleState:
    return replace(sample_state(objects), time=_NOON, scope=frozenset(kinds.CAPTURED_KINDS))


# What is done -----------------------------------------------------------------------------------------------------


def test_an_equal_object_is_unchanged() -> None:
    """Server fields, status and finalizers are not compared."""
    live = {**alive(GUESTBOOK, finalizers=["clusterprofilefinalizer.projectsveltos.io"]), "status": {"x": 1}}
    assert only_step(plan_of([GUESTBOOK], [live])).action is Action.UNCHANGED


def test_a_changed_object_is_updated_and_its_fields_are_named() -> None:
    """The step names the differing fields, key by key, and carries uid and resource version as preconditions."""
    live = alive(changed(DATABASE, data={"database.yaml": "a: 2\n", "more": "x"}), version="7")
    step = only_step(plan_of([DATABASE], [live]))
    assert step.action is Action.UPDATE
    assert step.changed == ("data.database.yaml", "data.more")
    assert (step.uid, step.resource_version) == (live["metadata"]["uid"], "7")


def test_a_missing_object_is_created() -> None:
    """An object of the sample that does not exist is created."""
    step = only_step(plan_of([DATABASE], live_state([])))
    assert (step.action, step.api_version) == (Action.CREATE, "v1")


def test_an_object_that_the_sample_lacks_gets_no_step() -> None:
    """Nothing is deleted without --prune; the plan lists the object and the option that deletes it."""
    event = alive(custom(kinds.EVENT_SOURCE, "e", {}), creationTimestamp="2026-01-02T00:00:00Z")
    plan = plan_of(_sample(DATABASE), [DATABASE, event])
    assert [step.key.name for step in plan.steps] == ["database"]
    assert [(retained.key.name, retained.reason) for retained in plan.retained] == [
        ("e", "created after the sample; --prune deletes it")
    ]


def test_labels_of_a_cluster_are_a_patch_of_the_users_keys() -> None:
    """Labels that Sveltos or a classifier owns stay as they are live."""
    classifier = custom(kinds.CLASSIFIER, "c", {"classifierLabels": [{"key": "sveltos-agent", "value": "present"}]})
    live = with_metadata(
        WEST, labels={"env": "prod", "sveltos-agent": "present", "projectsveltos.io/k8s-version": "v1.30"}
    )
    step = step_of(plan_of([WEST, classifier], [live, classifier]), "west")
    assert step.changed == ("metadata.labels.env",)


def test_a_hold_in_a_sample_is_not_restored() -> None:
    """A sample that was taken while a rollback held a profile does not pause the profile again."""
    held = with_metadata(GUESTBOOK, annotations={"profile.projectsveltos.io/paused": "gitsnap-rollback"})
    assert only_step(plan_of([held], [GUESTBOOK])).action is Action.UNCHANGED
    step = only_step(plan_of([held], [held]))
    assert step.changed == ("metadata.annotations.profile.projectsveltos.io/paused",)


# What is refused --------------------------------------------------------------------------------------------------

_OWNED: list[tuple[dict[str, Any], str]] = [
    ({"labels": {"argocd.argoproj.io/instance": "apps"}}, "owned by Argo CD"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "owned by Flux"),
    ({"annotations": {"meta.helm.sh/release-name": "apps"}}, "owned by Helm"),
    ({"managedFields": [{"manager": "argocd-controller", "operation": "Apply"}]}, "owned by Argo CD"),
    ({"ownerReferences": [{"kind": "Deployment", "name": "d", "controller": True}]}, "owned by a controller"),
    (
        {"annotations": {"projectsveltos.io/owner-name": "base", "projectsveltos.io/owner-kind": "ClusterProfile"}},
        "roll back that profile instead",
    ),
]


@pytest.mark.parametrize(("metadata", "said"), _OWNED, ids=[said for _, said in _OWNED])
def test_an_object_of_another_owner_is_refused_until_forced(metadata: dict[str, Any], said: str) -> None:
    """An object of Argo CD, Flux, Helm, a controller or another profile is refused unless `--force-owned` is given."""
    live = with_metadata(alive(changed(DATABASE, data={})), **metadata)
    refused = plan_of([DATABASE], [live])
    forced = plan_of([DATABASE], [live], force_owned=True)
    assert only_step(refused).action is Action.REFUSE
    assert said in only_step(refused).reason
    assert "--force-owned" in only_step(refused).reason
    assert refused.blocked
    assert only_step(forced).action is Action.UPDATE


def test_an_object_of_an_event_trigger_is_refused_even_when_forced() -> None:
    """Recreating a generated profile does harm, so no option overrides the refusal."""
    live = with_metadata(
        alive(changed(GUESTBOOK, spec={})), labels={"eventtrigger.lib.projectsveltos.io/eventtriggername": "e"}
    )
    step = only_step(plan_of([GUESTBOOK], [live], force_owned=True))
    assert (step.action, step.reason) == (Action.REFUSE, "generated by an EventTrigger")


def test_a_cluster_that_is_gone_is_not_created() -> None:
    """A sample has only the labels and annotations of a cluster."""
    step = only_step(plan_of([WEST], live_state([])))
    assert step.action is Action.REFUSE
    assert "no longer registered" in step.reason


def test_a_kind_that_is_not_installed_is_refused() -> None:
    """An object whose CRD is not installed cannot be created."""
    live = live_state([])
    served = {kind: resource for kind, resource in live.served.items() if kind != kinds.CLUSTER_PROFILE}
    step = only_step(plan_of([GUESTBOOK], replace(live, served=served)))
    assert "is not installed" in step.reason


def test_an_object_being_deleted_is_never_unchanged() -> None:
    """SVELTOS.md 10.12: a deleted profile exists for 10 to 30 seconds, equal to the sample, before it is gone."""
    profile = custom(kinds.CLUSTER_PROFILE, "p", {"syncMode": "DryRun"})
    step = only_step(plan_of([profile], [alive(profile, deletionTimestamp="2026-01-01T00:00:00Z")]))
    assert step.action is Action.REFUSE
    assert "no longer in syncMode DryRun" in step.reason


def test_prune_lists_objects_being_deleted() -> None:
    """An object that is being deleted is listed with that reason, and gets no step."""
    (stay,) = _pruned(_young(_EVENT, deletionTimestamp="2026-01-01T13:00:00Z")).retained
    assert stay.reason == "it is being deleted"


def test_an_object_that_is_being_deleted_is_refused() -> None:
    """An object that is being deleted would disappear after an update as well."""
    live = alive(changed(DATABASE, data={}), deletionTimestamp="2026-01-01T00:00:00Z")
    assert "it is being deleted: wait until it is gone" in only_step(plan_of([DATABASE], [live])).reason


@pytest.mark.parametrize("substitute", list(Substitute))
def test_a_kind_that_the_sample_could_not_read_is_refused(substitute: Substitute) -> None:
    """An object that was carried forward says nothing about the time of the sample."""
    incomplete = (IncompleteKind(kinds.CONFIG_MAP, substitute, IncompleteReason.FORBIDDEN),)
    step = only_step(plan_of(sample_state([DATABASE], incomplete=incomplete), [changed(DATABASE, data={})]))
    assert step.action is Action.REFUSE
    assert "could not read ConfigMap (forbidden)" in step.reason


def test_a_secret_without_values_is_refused_with_the_fields_that_differ() -> None:
    """Mode redact, or a lost key: the archive gives the reason, the fingerprints give the changed fields."""
    state = sample_state([PASSWORD])
    key = ObjectKey.of(PASSWORD)
    state = replace(state, unrestorable={key: Unrestorable("no values (mode redact)", ("data.password",))})
    step = only_step(plan_of(state, [changed(PASSWORD, data={"password": "dHdv"})]))
    assert (step.action, step.reason, step.changed) == (Action.REFUSE, "no values (mode redact)", ("data.password",))
    gone = only_step(plan_of(state, live_state([])))
    assert (gone.action, gone.reason) == (Action.REFUSE, "no values (mode redact)")


def test_a_refusal_blocks_until_it_is_skipped() -> None:
    """An object that cannot be rolled back blocks the plan; `--skip-refused` leaves it out."""
    live = [alive(changed(DATABASE, data={}), deletionTimestamp="2026-01-01T00:00:00Z"), changed(PASSWORD, data={})]
    plan = plan_of([DATABASE, PASSWORD], live)
    skipping = plan_of([DATABASE, PASSWORD], live, skip_refused=True)
    assert "1 object cannot be rolled back" in plan.blocked[0]
    assert not skipping.blocked
    assert [step.key.name for step in skipping.writes] == ["password"]


# Recreation and namespaces ----------------------------------------------------------------------------------------

_IMMUTABLE = {**DATABASE, "immutable": True, "data": {"other": "x"}}
_OTHER_TYPE = {**PASSWORD, "type": "Opaque"}


@pytest.mark.parametrize(("archived", "live"), [(DATABASE, _IMMUTABLE), (PASSWORD, _OTHER_TYPE)])
def test_immutable_objects_are_recreated_only_with_the_option(archived: JsonObject, live: JsonObject) -> None:
    """The type of a Secret, the data of an immutable object: refused, with the option that recreates the object."""
    refused = only_step(plan_of([archived], [live]))
    recreated = only_step(plan_of([archived], [live], recreate=True))
    assert refused.action is Action.REFUSE
    assert "(--recreate does)" in refused.reason
    assert recreated.action is Action.RECREATE
    assert "by recreating" in recreated.reason


def test_labels_of_an_immutable_object_need_no_recreation() -> None:
    """The labels of an immutable object can be updated."""
    live = with_metadata({**DATABASE, "immutable": True}, labels={})
    assert only_step(plan_of([{**DATABASE, "immutable": True}], [live])).action is Action.UPDATE


def test_an_object_with_finalizers_is_not_recreated() -> None:
    """An object with finalizers may still exist when it is to be created again, and finalizers are never removed."""
    live = alive(_OTHER_TYPE, finalizers=["example.com/keep"])
    step = only_step(plan_of([PASSWORD], [live], recreate=True))
    assert step.action is Action.REFUSE
    assert "finalizers" in step.reason


def test_a_missing_namespace_is_created_only_with_the_option() -> None:
    """Refused without the option. With the option, the namespace comes first, and the object's step needs it."""
    refused = only_step(plan_of([DATABASE], live_state([]), missing_namespaces=["default"]))
    plan = plan_of([DATABASE], live_state([]), missing_namespaces=["default"], create_namespaces=True)
    assert refused.reason == "the namespace default does not exist (--create-namespaces creates it)"
    assert [str(step.key) for step in plan.writes] == ["Namespace default", "ConfigMap default/database"]
    assert plan.writes[1].needs == (plan.writes[0].key,)


def test_no_namespace_is_created_for_refused_objects() -> None:
    """A namespace in which no object would be created is not created."""
    state = sample_state([WEST])
    plan = plan_of(state, live_state([]), missing_namespaces=["default"], create_namespaces=True)
    assert [step.action for step in plan.steps] == [Action.REFUSE]


# Prune ------------------------------------------------------------------------------------------------------------


def _pruned(
    *live: JsonObject, selection: Selection | None = None, sample: SampleState | None = None, **options: Any
) -> Plan:
    return plan_of(sample or _sample(), list(live), selection, prune=True, **options)


def _young(document: JsonObject, **metadata: Any) -> JsonObject:
    return alive(document, creationTimestamp="2026-01-01T12:00:01Z", **metadata)


_EVENT = custom(kinds.EVENT_SOURCE, "e", {})


def test_prune_deletes_objects_newer_than_the_sample() -> None:
    """A deletion has the uid and resource version as preconditions."""
    step = only_step(_pruned(_young(_EVENT)))
    assert (step.action, step.reason) == (Action.DELETE, "created after the sample")
    assert step.uid
    assert step.resource_version == "1"


def _foreign_sample() -> SampleState:
    return replace(_sample(), scope=frozenset(kinds.CAPTURED_KINDS) - {kinds.EVENT_SOURCE})


def _incomplete_sample() -> SampleState:
    incomplete = (IncompleteKind(kinds.EVENT_SOURCE, Substitute.MISSING, IncompleteReason.FORBIDDEN),)
    return replace(_sample(), incomplete=incomplete)


@pytest.mark.parametrize(
    ("live", "sample", "said"),
    [
        (alive(_EVENT, creationTimestamp="2026-01-01T12:00:00Z"), _sample(), "not younger"),
        (alive(_EVENT, creationTimestamp="2025-01-01T12:00:00Z"), _sample(), "not younger"),
        (alive(_EVENT), _sample(), "creation time is unknown"),
        (_young(_EVENT), _foreign_sample(), "outside the scope"),
        (_young(_EVENT), _incomplete_sample(), "could not read"),
        (_young(_EVENT, labels={"argocd.argoproj.io/instance": "a"}), _sample(), "owned by Argo CD"),
        (_young(WEST), _sample(), "never deleted"),
        (_young(GUESTBOOK), _sample(), "only when it is named"),
    ],
    ids=["same-second", "older", "no-time", "out-of-scope", "incomplete", "owned", "cluster", "profile"],
)
def test_prune_never_deletes(live: JsonObject, sample: SampleState, said: str) -> None:
    """Each object that is left alone is listed with its reason."""
    plan = _pruned(live, sample=sample)
    assert not plan.writes
    (stay,) = plan.retained
    assert said in stay.reason


@pytest.mark.parametrize(
    "live",
    [
        _young(DATABASE),
        _young(PASSWORD),
        _young(_EVENT, ownerReferences=[{"kind": "X", "name": "x", "controller": True}]),
    ],
    ids=["ConfigMap", "Secret", "generated"],
)
def test_objects_that_prune_does_not_list(live: JsonObject) -> None:
    """A referenced object may have existed at the time of the sample; a user does not delete generated objects."""
    plan = _pruned(live)
    assert not plan.steps
    assert not plan.retained


def test_prune_of_a_named_profile_counts_its_withdrawals() -> None:
    """A profile is deleted only by name, and each cluster that loses add-ons has a withdraw line."""
    profile = _young(GUESTBOOK)
    plan = _pruned(profile, alive(WEST), selection=Selection(clusterprofiles=("guestbook",)), sample=_sample(WEST))
    assert [(step.action, step.key.name) for step in plan.writes] == [(Action.DELETE, "guestbook")]
    assert [str(withdrawal.cluster) for withdrawal in plan.withdrawals] == ["default/sveltos--west"]
    assert any("--allow-withdraw" in reason for reason in plan.blocked)


def test_prune_has_a_limit() -> None:
    """More deletions than `--max-delete` block the plan."""
    events = [_young(custom(kinds.EVENT_SOURCE, f"e{number}", {})) for number in range(3)]
    assert not _pruned(*events, max_delete=3).blocked
    assert "3 objects would be deleted; --max-delete allows 2" in _pruned(*events, max_delete=2).blocked


# Changed fields ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ("a.b",)),
        ({"a": 1}, {}, ("a",)),
        ({"data": {"x": "1", "y": "2"}}, {}, ("data.x", "data.y")),
        ({"l": [1, 2]}, {"l": [1, 3]}, ("l[1]",)),
        ({"l": [1, 2]}, {"l": [1]}, ("l",)),
        ({"a": True}, {"a": 1}, ("a",)),
        ({"a": None}, {"a": {}}, ("a",)),
    ],
)
def test_changed_fields(before: JsonObject, after: JsonObject, expected: tuple[str, ...]) -> None:
    """Paths have the notation that users know; a list of another length is one field."""
    assert changed_fields(before, after) == expected
