"""Rollback and undo with a real archive, on the real API server and on a folder of YAML files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import BlobId, JsonObject, Kind, ObjectKey, Trigger
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.rollback import past_rollbacks, unfinished
from gitsnap.rollback.plan import Action, Selection, step_diff
from gitsnap.sveltos import kinds
from tests.support.adapters import connect, open_directory
from tests.support.plans import changed, custom, with_metadata
from tests.support.rollbacks import Story, delete, put

DATABASE: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "database", "namespace": "default", "labels": {"app": "redis"}},
    "data": {"database.yaml": "a: 1\n"},
}
FRONTEND = {**DATABASE, "metadata": {"name": "frontend", "namespace": "default"}, "data": {"frontend.yaml": "b: 1\n"}}
PASSWORD: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "password", "namespace": "default"},
    "type": "addons.projectsveltos.io/cluster-profile",
    "data": {"password": "Y29ycmVjdC1ob3JzZQ=="},
}
WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})


def _profile(*names: str, env: str = "fv", **metadata: Any) -> JsonObject:
    references = [
        {"kind": kind, "name": name, "namespace": "default"}
        for kind, name in (("Secret" if name == "password" else "ConfigMap", name) for name in names)
    ]
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, "guestbook", spec, **metadata)


@pytest.fixture(params=["folder", "server"])
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Story:
    """A cluster with an archive."""
    if request.param == "server":
        api = request.getfixturevalue("api")
        return Story(tmp_path, connect(kubeconfig=str(api.kubeconfig())))
    (tmp_path / "cluster").mkdir()
    return Story(tmp_path, open_directory(tmp_path / "cluster"))


def _deploy(story: Story) -> None:
    for document in (WEST, _profile("database", "password"), DATABASE, PASSWORD):
        put(story.cluster, document)


def test_undo_restores_the_configuration(story: Story) -> None:
    """Updated, created and relabelled objects are as before. An undo of the undo rolls back again."""
    _deploy(story)
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={"database.yaml": "a: 2\n", "more": "x"}))
    put(story.cluster, changed(PASSWORD, data={"password": "YmF0dGVyeS1zdGFwbGU="}))
    put(story.cluster, _profile("database", "password", labels={"team": "x"}))
    before = story.capture()

    done = story.roll_back(first)
    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)
    undone = story.undo()
    assert undone.after is not None
    assert story.configuration(undone.after) == story.configuration(before)
    again = story.undo()
    assert again.after is not None
    assert story.configuration(again.after) == story.configuration(first)


def test_the_plan_shows_the_lines_that_the_rollback_writes(story: Story) -> None:
    """The lines are the diff between the cluster before and after the rollback; those of an undo are the reverse."""
    _deploy(story)
    extra = custom(kinds.CLUSTER_PROFILE, "extra", {"clusterSelector": {"matchLabels": {"env": "none"}}})
    put(story.cluster, extra)
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={"database.yaml": "a: 2\nb: 3\n"}))
    put(story.cluster, changed(PASSWORD, data={"password": "YmF0dGVyeS1zdGFwbGU="}))
    put(story.cluster, with_metadata(WEST, labels={"env": "fv", "tier": "1"}))
    delete(story.cluster, extra)
    before = story.capture()

    plan = story.plan(first)
    lines = {diff.title: _signed(diff) for step in plan.writes if (diff := step_diff(step, plan))}
    done = story.roll_back(first)
    undoing = story.plan_undo()

    assert lines["/ConfigMap default/database"] == ["-    a: 2", "-    b: 3", "+    a: 1"]
    assert lines["/Secret default/password"] == [
        '-  password: "(not shown, before)"',
        '+  password: "(not shown, after)"',
    ]
    assert lines["lib.projectsveltos.io/SveltosCluster default/west"] == ['-    tier: "1"']
    assert done.after is not None
    now, then = (story.configuration(sample) for sample in (done.after, before))
    written = [path for path in now.keys() | then.keys() if now.get(path) != then.get(path)]
    assert len(written) == len(lines) == 4
    (path,) = now.keys() - then.keys()
    created = story.archive.tree(done.after).read(BlobId(now[path])).decode().splitlines()
    assert lines["config.projectsveltos.io/ClusterProfile extra"] == [f"+{line}" for line in created]
    back = {diff.title: _signed(diff) for step in undoing.writes if (diff := step_diff(step, undoing))}
    assert back["/ConfigMap default/database"] == ["-    a: 1", "+    a: 2", "+    b: 3"]
    assert back["config.projectsveltos.io/ClusterProfile extra"] == [f"-{line}" for line in created]


def _signed(diff: RawDiff) -> list[str]:
    """Return the removed and added lines of a diff."""
    return [line for line in diff.text.split("\n")[2:] if line[:1] in ("-", "+")]


def test_undo_writes_only_objects_of_the_rollback(story: Story) -> None:
    """Later changes of other objects stay."""
    _deploy(story)
    put(story.cluster, FRONTEND)
    put(story.cluster, _profile("database", "frontend"))
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={"database.yaml": "a: 2\n"}))
    put(story.cluster, changed(FRONTEND, data={"frontend.yaml": "b: 2\n"}))
    story.roll_back(first, Selection(resources=("configmap/database",)))
    put(story.cluster, changed(FRONTEND, data={"frontend.yaml": "b: 3\n"}))

    plan = story.plan_undo()
    story.apply(plan)

    assert [str(step.key) for step in plan.writes] == ["ConfigMap default/database"]
    assert story.cluster.get(ObjectKey.of(FRONTEND))["data"] == {"frontend.yaml": "b: 3\n"}
    assert story.cluster.get(ObjectKey.of(DATABASE))["data"] == {"database.yaml": "a: 2\n"}


def test_the_sample_before_has_objects_without_references(story: Story) -> None:
    """An undo needs each overwritten object in the sample before, even if nothing refers to the object."""
    _deploy(story)
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={"database.yaml": "precious: 1\n"}))
    put(story.cluster, changed(PASSWORD, data={"password": "YmF0dGVyeS1zdGFwbGU="}))
    put(story.cluster, _profile("elsewhere"))

    story.roll_back(first)
    story.undo()

    assert story.cluster.get(ObjectKey.of(DATABASE))["data"] == {"database.yaml": "precious: 1\n"}
    assert story.cluster.get(ObjectKey.of(PASSWORD))["data"] == {"password": "YmF0dGVyeS1zdGFwbGU="}


def test_undo_deletes_what_the_rollback_created(story: Story) -> None:
    """Objects that did not exist before the rollback do not exist after its undo."""
    _deploy(story)
    first = story.capture()
    delete(story.cluster, DATABASE)
    delete(story.cluster, PASSWORD)
    done = story.roll_back(first)

    plan = story.plan_undo()
    assert [(step.action, step.key.name) for step in plan.writes] == [
        (Action.DELETE, "database"),
        (Action.DELETE, "password"),
    ]
    story.apply(plan)

    assert len(done.applied) == 2
    for document in (DATABASE, PASSWORD):
        with pytest.raises(NotFoundError):
            story.cluster.get(ObjectKey.of(document))


def test_undo_does_not_delete_a_changed_object(story: Story) -> None:
    """A created object that changed after the rollback is refused, so the change is not lost."""
    _deploy(story)
    first = story.capture()
    delete(story.cluster, DATABASE)
    story.roll_back(first)
    put(story.cluster, changed(DATABASE, data={"database.yaml": "mine: 1\n"}))

    plan = story.plan_undo()

    (step,) = plan.refused
    assert "changed since" in step.reason
    assert step.changed == ("data.database.yaml",)


def test_prune_and_its_undo(story: Story) -> None:
    """Objects created after the sample are deleted, and the undo restores them completely."""
    _deploy(story)
    first = story.capture()
    event = custom(
        kinds.EVENT_SOURCE,
        "late",
        {"resourceSelectors": [{"group": "", "version": "v1", "kind": "Service"}]},
        creationTimestamp="2099-01-01T00:00:00Z",
        annotations={"note": "mine"},
    )
    put(story.cluster, event)
    before = story.capture()

    plan = story.plan(first, prune=True)
    assert [(step.action, step.key.name) for step in plan.writes] == [(Action.DELETE, "late")]
    done = story.apply(plan)
    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)
    undone = story.undo()
    assert undone.after is not None
    assert story.configuration(undone.after) == story.configuration(before)


def test_recreate_and_its_undo(story: Story) -> None:
    """A Secret of another type and an immutable ConfigMap are recreated, in both directions."""
    _deploy(story)
    first = story.capture()
    delete(story.cluster, PASSWORD)
    put(story.cluster, changed(PASSWORD, type="Opaque", data={"other": "eA=="}))
    put(story.cluster, changed(DATABASE, data={"database.yaml": "x: 1\n"}, immutable=True))
    before = story.capture()

    assert len(story.plan(first).refused) == 2
    done = story.roll_back(first, recreate=True)
    assert [step.action for step in done.applied] == [Action.RECREATE, Action.RECREATE]
    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)
    undone = story.undo()
    assert undone.after is not None
    assert story.configuration(undone.after) == story.configuration(before)


def test_a_label_and_a_selector_that_changed_together(story: Story) -> None:
    """The profile is paused only during the two writes."""
    _deploy(story)
    first = story.capture()
    put(story.cluster, with_metadata(WEST, labels={"env": "prod"}))
    put(story.cluster, _profile("database", env="prod"))

    done = story.roll_back(first)

    assert [step.action for step in done.applied] == [Action.HOLD, Action.UPDATE, Action.UPDATE]
    profile = story.cluster.get(ObjectKey.of(_profile()))
    assert "annotations" not in profile["metadata"]
    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)


def test_the_samples_record_the_rollback(story: Story) -> None:
    """The tags have plan, target, objects, command and user, and the rollback counts as finished."""
    _deploy(story)
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={}))

    done = story.roll_back(first)

    (past,) = past_rollbacks(story.archive.samples())
    assert done.before is not None
    assert past.before.tag == done.before.tag
    assert past.before.metadata.trigger is Trigger.BEFORE_ROLLBACK
    assert past.record.target == first.tag
    assert past.record.objects == (("update", ObjectKey.of(DATABASE)),)
    assert past.record.user == "tester"
    assert past.record.command == "rollback --sample x"
    assert len(past.record.plan) == 64
    assert past.result == "done"
    assert unfinished(story.archive.samples()) is None


# On the real server only ------------------------------------------------------------------------------------------


@pytest.fixture
def server(api: Any, tmp_path: Path) -> Story:
    """The real API server with an archive."""
    return Story(tmp_path, connect(kubeconfig=str(api.kubeconfig())))


def test_a_missing_namespace_is_created(server: Story, new_namespace: Callable[[], str], api: Any) -> None:
    """With `--create-namespaces` the namespace is created first. An undo does not delete the namespace."""
    namespace = new_namespace()
    document = with_metadata(DATABASE, namespace=namespace)
    put(server.cluster, WEST)
    reference = {"kind": "ConfigMap", "name": "database", "namespace": namespace}
    spec = {"clusterSelector": {"matchLabels": {"env": "fv"}}, "policyRefs": [reference]}
    put(server.cluster, custom(kinds.CLUSTER_PROFILE, "guestbook", spec))
    put(server.cluster, document)
    first = server.capture()
    _remove_namespace(server, api, document, namespace)

    refused = server.plan(first)
    done = server.roll_back(first, create_namespaces=True)
    undo = server.plan_undo()

    assert [step.reason for step in refused.refused] == [
        f"the namespace {namespace} does not exist (--create-namespaces creates it)"
    ]
    assert [str(step.key) for step in done.applied] == [f"Namespace {namespace}", f"ConfigMap {namespace}/database"]
    assert [str(step.key) for step in undo.writes] == [f"ConfigMap {namespace}/database"]
    assert [str(entry.key) for entry in undo.retained] == [f"Namespace {namespace}"]


def _remove_namespace(server: Story, api: Any, document: JsonObject, namespace: str) -> None:
    delete(server.cluster, document)
    live = server.cluster.get(ObjectKey(Kind("", "Namespace"), "", namespace))
    api.ask("DELETE", f"/api/v1/namespaces/{namespace}")
    del live["metadata"]["resourceVersion"]
    live["spec"]["finalizers"] = []  # no controller manager finishes the deletion here
    api.ask("PUT", f"/api/v1/namespaces/{namespace}/finalize", live)


def test_all_refusals_are_listed_at_once(server: Story, new_namespace: Callable[[], str], api: Any) -> None:
    """A CEL rule, an immutable ConfigMap, the type of a Secret and a quota are listed, and nothing is written."""
    full = new_namespace()
    over_quota = with_metadata(FRONTEND, namespace=full)
    reference = {"kind": "ConfigMap", "name": "frontend", "namespace": full}
    put(server.cluster, custom(kinds.CLUSTER_PROFILE, "crowded", {"policyRefs": [reference]}))
    put(server.cluster, over_quota)
    trigger = custom(
        kinds.EVENT_TRIGGER,
        "t",
        {"eventSourceName": "e", "oneForEvent": True, "sourceClusterSelector": {"matchLabels": {"a": "b"}}},
    )
    _deploy(server)
    put(server.cluster, trigger)
    first = server.capture()
    delete(server.cluster, trigger)
    put(server.cluster, {**trigger, "spec": {**trigger["spec"], "oneForEvent": False}})
    delete(server.cluster, PASSWORD)
    put(server.cluster, changed(PASSWORD, type="Opaque"))
    put(server.cluster, changed(DATABASE, data={"x": "y"}, immutable=True))
    delete(server.cluster, over_quota)
    _fill(api, full)
    versions = _versions(server, trigger, PASSWORD, DATABASE)

    plan = server.plan(first)

    refusals = {step.key.name: step.refusal for step in plan.refused}
    assert "oneForEvent" in refusals["t"]
    assert "its type is Opaque" in refusals["password"]
    assert "it is immutable" in refusals["database"]
    assert "exceeded quota" in refusals["frontend"]
    assert plan.blocked
    assert _versions(server, trigger, PASSWORD, DATABASE) == versions


def _fill(api: Any, namespace: str) -> None:
    """Create a quota that allows no more ConfigMaps, with the status that a controller writes."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    quota = api.ask("POST", path, {"metadata": {"name": "full"}, "spec": {"hard": {"count/configmaps": "0"}}})
    quota["status"] = {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}
    api.ask("PUT", f"{path}/full/status", quota)


def _versions(story: Story, *documents: JsonObject) -> list[str]:
    return [story.cluster.get(ObjectKey.of(document))["metadata"]["resourceVersion"] for document in documents]
