"""Rollbacks of each kind that users write: the object is changed, relabelled or deleted, and restored to the same tree.

The tests use the real API server, because its schemas, defaults and rules can change a restored object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan import Action
from gitsnap.sveltos import kinds
from tests.support.adapters import connect
from tests.support.plans import custom, with_metadata
from tests.support.rollbacks import Story, delete, put
from tests.testbed.apiserver import ApiServer

_SELECTOR: dict[str, Any] = {"matchLabels": {"env": "fv"}}
_LUA = "function evaluate() return {} end"
_SERVICES = {"group": "", "version": "v1", "kind": "Service"}
_DELIVERY = [{"name": "d", "type": "Slack", "secretRef": {"namespace": "default", "name": "slack"}}]

SPECS: list[tuple[Kind, JsonObject, JsonObject]] = [
    (kinds.CLUSTER_PROFILE, {"clusterSelector": _SELECTOR}, {"clusterSelector": _SELECTOR, "tier": 50}),
    (kinds.PROFILE, {"clusterSelector": _SELECTOR}, {"clusterSelector": _SELECTOR, "syncMode": "OneTime"}),
    (kinds.CLUSTER_SET, {"clusterSelector": _SELECTOR, "maxReplicas": 1}, {"clusterSelector": _SELECTOR}),
    (kinds.SET, {"clusterSelector": _SELECTOR}, {"clusterSelector": _SELECTOR, "maxReplicas": 2}),
    (
        kinds.CLASSIFIER,
        {"classifierLabels": [{"key": "gpu", "value": "yes"}]},
        {"classifierLabels": [{"key": "gpu", "value": "no"}]},
    ),
    (
        kinds.MANAGEMENT_CLUSTER_CLASSIFIER,
        {"classifierLabels": [{"key": "zone", "value": "a"}], "matchResources": [_SERVICES], "classificationLua": _LUA},
        {"classifierLabels": [{"key": "zone", "value": "b"}], "matchResources": [_SERVICES], "classificationLua": _LUA},
    ),
    (
        kinds.ROLE_REQUEST,
        {"serviceAccountName": "a", "serviceAccountNamespace": "default", "roleRefs": [], "clusterSelector": _SELECTOR},
        {"serviceAccountName": "b", "serviceAccountNamespace": "default", "roleRefs": [], "clusterSelector": _SELECTOR},
    ),
    (
        kinds.EVENT_SOURCE,
        {"resourceSelectors": [_SERVICES]},
        {"resourceSelectors": [_SERVICES], "collectResources": True},
    ),
    (
        kinds.EVENT_TRIGGER,
        {"eventSourceName": "e", "oneForEvent": True, "sourceClusterSelector": _SELECTOR},
        {"eventSourceName": "other", "oneForEvent": True, "sourceClusterSelector": _SELECTOR},
    ),
    (
        kinds.HEALTH_CHECK,
        {"resourceSelectors": [_SERVICES], "evaluateHealth": _LUA},
        {"resourceSelectors": [_SERVICES], "evaluateHealth": _LUA, "collectResources": True},
    ),
    (
        kinds.CLUSTER_HEALTH_CHECK,
        {
            "clusterSelector": _SELECTOR,
            "livenessChecks": [{"name": "a", "type": "Addons"}],
            "notifications": [{"name": "n", "type": "KubernetesEvent"}],
        },
        {
            "clusterSelector": _SELECTOR,
            "livenessChecks": [{"name": "b", "type": "Addons"}],
            "notifications": [{"name": "n", "type": "KubernetesEvent"}],
        },
    ),
    (
        kinds.TECHSUPPORT,
        {"deliveryMethods": _DELIVERY, "schedulingConfig": {"schedule": "0 1 * * *"}},
        {"deliveryMethods": _DELIVERY, "schedulingConfig": {"schedule": "0 2 * * *"}},
    ),
    (
        kinds.DEBUGGING_CONFIGURATION,
        {"configuration": [{"component": "Classifier", "logLevel": "LogLevelInfo"}]},
        {"configuration": [{"component": "Classifier", "logLevel": "LogLevelDebug"}]},
    ),
]
_NAMES = [kind.name for kind, _, _ in SPECS]


@pytest.fixture(params=["api", "old_api"])
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Story:
    """The real API server with an archive, for each version of the definitions."""
    server: ApiServer = request.getfixturevalue(request.param)
    return Story(tmp_path, connect(kubeconfig=str(server.kubeconfig())))


def _object(kind: Kind, spec: JsonObject, **metadata: Any) -> JsonObject:
    namespace = "default" if kinds.BY_KIND[kind].namespaced else ""
    return custom(kind, "one", spec, namespace, labels={"team": "a"}, annotations={"note": "x"}, **metadata)


@pytest.mark.parametrize(("kind", "before", "after"), SPECS, ids=_NAMES)
def test_changed_and_rolled_back(story: Story, kind: Kind, before: JsonObject, after: JsonObject) -> None:
    """Spec, labels and annotations are restored, and defaults of the server are no difference."""
    original = _object(kind, before)
    put(story.cluster, original)
    first = story.capture()
    put(story.cluster, with_metadata({**original, "spec": after}, labels={"team": "b"}, annotations={}))
    changed = story.capture()

    done = story.roll_back(first, allow_withdraw=True)
    assert done.after is not None
    assert [step.action for step in done.applied if step.key.kind == kind] == [Action.UPDATE]
    assert story.configuration(done.after) == story.configuration(first)
    undone = story.undo(allow_withdraw=True)
    assert undone.after is not None
    assert story.configuration(undone.after) == story.configuration(changed)


@pytest.mark.parametrize(("kind", "before", "after"), SPECS, ids=_NAMES)
def test_deleted_and_rolled_back(story: Story, kind: Kind, before: JsonObject, after: JsonObject) -> None:
    """A deleted object is recreated with its configuration, and an undo deletes it again."""
    del after
    original = _object(kind, before)
    put(story.cluster, original)
    first = story.capture()
    delete(story.cluster, original)

    done = story.roll_back(first)
    assert done.after is not None
    assert story.configuration(done.after) == story.configuration(first)
    undone = story.undo(allow_withdraw=True)
    assert undone.after is not None
    assert story.configuration(undone.after) == {}


def test_a_promotion_is_restored_without_its_approval(story: Story) -> None:
    """An approval is an event, so the live approval stays and the approval of the sample is ignored."""
    original = custom(kinds.CLUSTER_PROMOTION, "one", _promotion("50", approved=True))
    put(story.cluster, original)
    first = story.capture()
    put(story.cluster, custom(kinds.CLUSTER_PROMOTION, "one", _promotion("60", approved=False)))

    story.roll_back(first, allow_withdraw=True)

    spec = story.cluster.get(ObjectKey.of(original))["spec"]
    assert spec["profileSpec"]["tier"] == 50
    assert spec["stages"][0]["trigger"]["manual"]["approved"] is False


def _promotion(tier: str, *, approved: bool) -> JsonObject:
    stage = {"name": "qa", "clusterSelector": _SELECTOR, "trigger": {"manual": {"approved": approved}}}
    return {"profileSpec": {"tier": int(tier)}, "stages": [stage]}
