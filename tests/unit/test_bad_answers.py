"""Invalid responses of an API server cause an error or a kind that is carried forward, never a crash."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitsnap import capture
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster.api.responses import Request, error_of
from gitsnap.cluster.api.watch import watch_events
from gitsnap.core.errors import ClusterError, GitsnapError
from gitsnap.core.model import (
    IncompleteKind,
    IncompleteReason,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
    Trigger,
)
from gitsnap.sveltos import kinds
from tests.support.scripted_server import TYPES, ScriptedServer, document

_CONFIG_MAP = Kind("", "ConfigMap")
_OBJECTS = (
    document("ClusterProfile", "p", spec={"policyRefs": []}),
    document(
        "Cluster",
        "c",
        spec={"paused": False},
    ),
    document("ConfigMap", "shop", data={"a": "1"}),
)
_OBJECTS[1]["metadata"] |= {
    "labels": {"env": "fv"},
    "annotations": {"a": "b"},
    "finalizers": ["f"],
    "ownerReferences": [{"kind": "X"}],
    "managedFields": [{"manager": "kubectl"}],
    "creationTimestamp": "2026-01-01T00:00:00Z",
}
_WRONG: tuple[Any, ...] = ({}, [], "text", 7, True, None, [7], [{}], {"a": 7}, [[]])


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path within a JSON value, including the value itself."""
    yield place
    for step, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _places(inner, (*place, step))


def _with(value: Any, place: tuple[str | int, ...], wrong: Any) -> Any:
    if not place:
        return wrong
    changed = copy.deepcopy(value)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = wrong
    return changed


def _without(value: Any, place: tuple[str | int, ...]) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    del inner[place[-1]]
    return changed


def _info(branch: str) -> TreeInfo:
    captured = (kinds.CLUSTER_PROFILE, kinds.CAPI_CLUSTER)
    return TreeInfo("p", branch, captured, SecretsInfo(SecretsMode.OMIT), (ResourceSelector(_CONFIG_MAP),))


def _take(archive: GitArchive, server: ScriptedServer) -> capture.CaptureResult:
    number = len(archive.samples())
    request = capture.Request(
        _info(archive.branch), None, datetime(2026, 1, 1, second=number % 60, tzinfo=UTC), Trigger.MANUAL
    )
    return capture.capture(server, archive, request)


@pytest.mark.parametrize("path", sorted(ScriptedServer(_OBJECTS).paths()))
@pytest.mark.slow
def test_no_answer_makes_a_capture_crash(path: str) -> None:
    """Each part of each response has another type or is absent: the result is an error or an incomplete sample."""
    answer = json.loads(ScriptedServer(_OBJECTS).paths()[path])
    wrong_answers = [_with(answer, place, wrong) for place in _places(answer) for wrong in _WRONG]
    wrong_answers += [_without(answer, place) for place in _places(answer) if place]
    for wrong in wrong_answers:
        server = ScriptedServer(_OBJECTS)
        server.replaced[path] = json.dumps(wrong)
        incomplete: tuple[IncompleteKind, ...] = ()
        with contextlib.suppress(GitsnapError):
            server.info()
            incomplete = capture.live_tree(server, _info("p"), keeper=None).incomplete
        assert IncompleteReason.DEFECT not in {entry.reason for entry in incomplete}, wrong


@pytest.mark.parametrize("item", [7, "text", None, [], {}, {"metadata": []}, {"metadata": {"name": 7}}])
def test_a_list_with_an_item_that_is_no_object(tmp_path: Path, item: Any) -> None:
    """The kind is carried forward, and the others are read."""
    archive = create_archive(tmp_path, "p")
    _take(archive, ScriptedServer(_OBJECTS))
    server = ScriptedServer(_OBJECTS)
    path = "/apis/cluster.x-k8s.io/v1beta2/clusters"
    answer = json.loads(server.paths()[path])
    answer["items"].append(item)
    server.replaced[path] = json.dumps(answer)

    sample = _take(archive, server).recorded.sample

    [lacking] = sample.metadata.incomplete
    assert (lacking.kind, lacking.key, lacking.reason) == (kinds.CAPI_CLUSTER, None, "bad-answer")
    assert (lacking.substitute, sample.metadata.objects) == ("carried", len(_OBJECTS))


@pytest.mark.parametrize("answer", ["{}", "[]", '{"metadata": {}}', '{"metadata": {"uid": 7}}', "null", "<html>"])
def test_a_cluster_that_does_not_say_which_one_it_is(answer: str) -> None:
    """A sample must name its cluster."""
    server = ScriptedServer(_OBJECTS)
    server.replaced["/api/v1/namespaces/kube-system"] = answer
    with pytest.raises(ClusterError, match="kube-system") as caught:
        server.info()
    assert "Is this a Kubernetes API server" in caught.value.hint


@pytest.mark.parametrize("answer", ["{}", '{"metadata": 7}', '{"metadata": {"name": ""}}', "[]"])
def test_a_read_and_a_write_answer_with_an_object(answer: str) -> None:
    """A rollback continues with the object of the response."""
    server = ScriptedServer(_OBJECTS)
    key = ObjectKey(_CONFIG_MAP, "default", "shop")
    for path in ("/api/v1/configmaps", "/api/v1/configmaps/shop", "/api/v1/shop"):
        server.replaced[path] = answer
    with pytest.raises(ClusterError):
        server.get(key)
    with pytest.raises(ClusterError):
        server.update(_OBJECTS[2])
    with pytest.raises(ClusterError):
        server.create(_OBJECTS[2])


@pytest.mark.parametrize("wrong", _WRONG)
@pytest.mark.parametrize("field", ["details", "causes", "reason", "message", "cause"])
def test_a_refusal_of_any_form_is_an_error(field: str, wrong: Any) -> None:
    """A proxy may send no Status, or an incomplete one."""
    details: Any = {"name": "x", "causes": [{"field": "spec", "reason": "r"}]}
    status: dict[str, Any] = {"kind": "Status", "reason": "Invalid", "message": "m", "details": details}
    if field == "cause":
        details["causes"] = [wrong]
    elif field == "causes":
        details["causes"] = wrong
    else:
        status[field] = wrong
    for code in (400, 401, 403, 404, 409, 410, 422, 429, 500, 504):
        for confidential in (False, True):
            request = Request("read x", "server", confidential=confidential)
            assert isinstance(error_of(code, json.dumps(status).encode(), request), GitsnapError)
    assert isinstance(error_of(500, b"[" * 100_000, Request("read x", "server")), GitsnapError)


class _Stream:
    def __init__(self, *lines: str) -> None:
        self._lines = [f"{line}\n".encode() for line in lines]

    def read1(self, _size: int) -> bytes:
        """As urllib3's."""
        return self._lines.pop(0) if self._lines else b""

    def close(self) -> None:
        """As urllib3's."""


@pytest.mark.parametrize("wrong", _WRONG)
@pytest.mark.parametrize(
    "place",
    [
        (), ("type",), ("object",), ("object", "metadata"),
        ("object", "metadata", "name"), ("object", "metadata", "resourceVersion"),
    ],
)  # fmt: skip
def test_an_event_of_any_form_is_an_event_or_an_error(place: tuple[str, ...], wrong: Any) -> None:
    """An invalid event must not look like a defect of gitsnap."""
    for change in ("ADDED", "BOOKMARK", "ERROR"):
        event = {"type": change, "object": {"code": 410, "metadata": {"name": "x", "resourceVersion": "7"}}}
        stream = _Stream(json.dumps(_with(event, place, wrong)))
        try:
            events = list(watch_events(stream, TYPES[0], Request("watch", "server")))
        except GitsnapError:
            continue
        assert [type(event.document["metadata"]["resourceVersion"]) for event in events] == [str]
