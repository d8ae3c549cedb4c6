"""The defects of the old Sveltos tool's rollback, each as a test on the real API server.

Numbers are those of the list of defects that gitsnap was designed from; 7 and 11 to 17 are about capture and diff.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import ConflictError, GitsnapError
from gitsnap.core.model import JsonObject, ObjectKey, Sample
from gitsnap.rollback.plan import Action, Plan, Selection
from gitsnap.sveltos import kinds
from tests.support.adapters import connect
from tests.support.plans import changed, custom, with_metadata
from tests.support.rollbacks import Story, delete, put
from tests.testbed.apiserver import ApiServer

DATABASE: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "database",
        "namespace": "default",
        "labels": {"app": "redis"},
        "annotations": {"projectsveltos.io/template": "ok"},
    },
    "data": {"database.yaml": "a: 1\n"},
}
WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
REQUEST = custom(
    kinds.ROLE_REQUEST,
    "access",
    {
        "serviceAccountName": "eng",
        "serviceAccountNamespace": "default",
        "roleRefs": [{"kind": "ConfigMap", "name": "database", "namespace": "default"}],
        "clusterSelector": {"matchLabels": {"env": "fv"}},
    },
)


def _profile(name: str, **metadata: Any) -> JsonObject:
    references = [{"kind": "ConfigMap", "name": "database", "namespace": "default"}]
    spec = {"clusterSelector": {"matchLabels": {"env": "fv"}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, name, spec, **metadata)


@pytest.fixture
def story(api: ApiServer, tmp_path: Path) -> Story:
    """The real API server with an archive."""
    return Story(tmp_path, connect(kubeconfig=str(api.kubeconfig())))


def test_defect_05_rolerequest_is_rolled_back_by_its_own_kind(story: Story) -> None:
    """The old tool wrote a RoleRequest as a Classifier. gitsnap updates the RoleRequest and no Classifier."""
    classifier = custom(kinds.CLASSIFIER, "access", {"classifierLabels": [{"key": "a", "value": "b"}]})
    for document in (DATABASE, WEST, REQUEST, classifier):
        put(story.cluster, document)
    first = story.capture()
    put(story.cluster, {**REQUEST, "spec": {**REQUEST["spec"], "serviceAccountName": "other"}})
    untouched = story.cluster.get(ObjectKey.of(classifier))

    done = story.roll_back(first, Selection(rolerequests=("access",)))

    assert [str(step.key) for step in done.applied] == ["RoleRequest.lib.projectsveltos.io access"]
    assert story.cluster.get(ObjectKey.of(REQUEST))["spec"]["serviceAccountName"] == "eng"
    assert story.cluster.get(ObjectKey.of(classifier)) == untouched


def test_defect_06_a_profile_is_selected_by_its_name_and_nothing_else_is_touched(story: Story) -> None:
    """The old tool never matched `--profile X`, and rolled back all objects of the other kinds."""
    profile = custom(kinds.PROFILE, "base", {"clusterSelector": {"matchLabels": {"env": "fv"}}}, "default")
    for document in (DATABASE, WEST, profile, _profile("guestbook")):
        put(story.cluster, document)
    first = story.capture()
    put(story.cluster, {**profile, "spec": {**profile["spec"], "tier": 50}})
    others = [changed(DATABASE, data={"x": "y"}), with_metadata(WEST, labels={"env": "fv", "team": "x"})]
    others.append({**_profile("guestbook"), "spec": {**_profile("guestbook")["spec"], "tier": 50}})
    untouched = [put(story.cluster, document) for document in others]

    done = story.roll_back(first, Selection(profiles=("base",)))

    assert [str(step.key) for step in done.applied] == ["Profile.config.projectsveltos.io default/base"]
    assert story.cluster.get(ObjectKey.of(profile))["spec"]["tier"] == 100
    assert [story.cluster.get(ObjectKey.of(document)) for document in others] == untouched


def test_defect_08_labels_annotations_and_type_are_restored(story: Story) -> None:
    """`projectsveltos.io/template` changes the meaning of data, and labels of profiles decide about tenancy."""
    profile = _profile("guestbook", labels={"team": "a"}, annotations={"note": "kept"})
    secret: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "password", "namespace": "default", "labels": {"app": "redis"}},
        "type": "addons.projectsveltos.io/cluster-profile",
        "data": {"password": "YQ=="},
    }
    profile["spec"]["policyRefs"].append({"kind": "Secret", "name": "password", "namespace": "default"})
    for document in (DATABASE, WEST, secret, profile):
        put(story.cluster, document)
    first = story.capture()
    put(story.cluster, with_metadata(DATABASE, labels={}, annotations={}))
    put(story.cluster, with_metadata(profile, labels={"team": "b"}, annotations={}))
    delete(story.cluster, secret)
    put(story.cluster, with_metadata({**secret, "type": "Opaque"}, labels={}))

    done = story.roll_back(first, recreate=True)

    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)
    live = story.cluster.get(ObjectKey.of(secret))
    assert (live["type"], live["metadata"]["labels"]) == (secret["type"], {"app": "redis"})
    assert story.cluster.get(ObjectKey.of(DATABASE))["metadata"]["annotations"] == {"projectsveltos.io/template": "ok"}


def test_defect_09_what_is_created_has_no_stale_owner_or_finalizer(story: Story) -> None:
    """With a stale owner the garbage collector deletes a restored object. Finalizers belong to controllers."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}
    profile = _profile("guestbook", ownerReferences=[owner], finalizers=["clusterprofilefinalizer.projectsveltos.io"])
    for document in (with_metadata(DATABASE, ownerReferences=[owner]), WEST, profile):
        put(story.cluster, document)
    first = story.capture()
    delete(story.cluster, DATABASE)
    put(story.cluster, with_metadata(profile, finalizers=[]))
    delete(story.cluster, profile)

    done = story.roll_back(first)

    assert [step.action for step in done.applied] == [Action.CREATE, Action.CREATE]
    for document in (DATABASE, profile):
        metadata = story.cluster.get(ObjectKey.of(document))["metadata"]
        assert "ownerReferences" not in metadata
        assert "finalizers" not in metadata


def test_defect_09_live_owners_and_finalizers_stay(story: Story) -> None:
    """An update of an existing object keeps its owners and finalizers."""
    for document in (DATABASE, WEST, _profile("guestbook")):
        put(story.cluster, document)
    first = story.capture()
    finalizers = ["clusterprofilefinalizer.projectsveltos.io"]
    live = _profile("guestbook", finalizers=finalizers, labels={"new": "x"})
    put(story.cluster, live)

    story.roll_back(first)

    metadata = story.cluster.get(ObjectKey.of(live))["metadata"]
    assert metadata["finalizers"] == finalizers
    assert "labels" not in metadata


def test_defect_10_a_cluster_gets_its_labels_back_and_nothing_else(story: Story) -> None:
    """Unknown fields, the spec, the label of Sveltos and the label of a classifier keep their live values."""
    capi = custom(kinds.CAPI_CLUSTER, "east", {}, "default", labels={"env": "fv"})
    capi["spec"] = {"clusterNetwork": {"services": {"cidrBlocks": ["10.0.0.0/24"]}}, "paused": False}
    classifier = custom(kinds.CLASSIFIER, "c", {"classifierLabels": [{"key": "gpu", "value": "yes"}]})
    for document in (capi, classifier):
        put(story.cluster, document)
    first = story.capture()
    labels = {"env": "prod", "gpu": "yes", "projectsveltos.io/k8s-version": "v1.31", "team": "x"}
    live = put(story.cluster, {**with_metadata(capi, labels=labels), "spec": {**capi["spec"], "paused": True}})

    done = story.roll_back(first)

    after = story.cluster.get(ObjectKey.of(capi))
    assert [step.changed for step in done.applied] == [("metadata.labels.env", "metadata.labels.team")]
    assert after["metadata"]["labels"] == {"env": "fv", "gpu": "yes", "projectsveltos.io/k8s-version": "v1.31"}
    assert after["spec"] == live["spec"]


# Other writers ----------------------------------------------------------------------------------------------------


def test_a_plan_does_not_overwrite_another_writer(story: Story, api: ApiServer) -> None:
    """A thread counts up in an object between plan and apply. The result is a conflict, and the last count stays."""
    first, key = _counted(story)
    plan = story.plan(first)
    writer = _Counter(api, key)

    with writer:
        refused = _outcome(story, plan)

    assert isinstance(refused, ConflictError)
    assert writer.count > 0
    assert story.cluster.get(key)["data"] == {"count": str(writer.count)}
    assert story.roll_back(first).applied
    assert story.cluster.get(key)["data"] == DATABASE["data"]


def test_a_rollback_overwrites_only_the_count_of_its_plan(story: Story, api: ApiServer) -> None:
    """Plans are carried out while a thread writes. A successful plan replaces only the count that it had read."""
    first, key = _counted(story)
    writer = _Counter(api, key)
    replaced: list[str] = []

    with writer:
        for pause in (0.0, 0.0, 0.05, 0.2, 0.3):
            writer.pause = pause
            plan = story.plan(first)
            seen = [step.live["data"]["count"] for step in plan.writes if step.live and "count" in step.live["data"]]
            if seen and _outcome(story, plan) is None:
                replaced += seen

    assert writer.overwritten[: len(replaced)] == replaced


def _counted(story: Story) -> tuple[Sample, ObjectKey]:
    for document in (DATABASE, WEST, _profile("guestbook")):
        put(story.cluster, document)
    first = story.capture()
    put(story.cluster, changed(DATABASE, data={"count": "0"}))
    return first, ObjectKey.of(DATABASE)


def _outcome(story: Story, plan: Plan) -> GitsnapError | None:
    """Carry out a plan, and return its error or None."""
    try:
        story.apply(plan)
    except GitsnapError as error:
        return error
    return None


class _Counter:
    """Another writer that counts up in a ConfigMap, and records which of its counts were replaced.

    The writer reads, increments, and writes with the version that it read, as a well-behaved controller does.
    """

    def __init__(self, api: ApiServer, key: ObjectKey) -> None:
        self.count = 0
        self.pause = 0.0
        self.overwritten: list[str] = []
        self._noted = -1
        self._cluster = connect(kubeconfig=str(api.kubeconfig()))
        self._key = key
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def __enter__(self) -> None:
        self._thread.start()
        self._begun.wait(10)

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(self.pause):
            live = self._look()
            live["data"] = {"count": str(self.count + 1)}
            try:
                self._cluster.update(live)
            except ConflictError:
                continue
            self.count += 1
            self._begun.set()
        self._look()  # records the last replaced count

    def _look(self) -> JsonObject:
        """Read the object, and record the current count if another writer replaced it."""
        live = self._cluster.get(self._key)
        if "count" not in live["data"] and self._noted != self.count:
            self._noted = self.count
            self.overwritten.append(str(self.count))
        return live
