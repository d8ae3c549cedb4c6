"""Audit logs as API servers, log shippers and clouds write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gitsnap.kube.audit_documents import split_documents
from gitsnap.kube.audit_events import AuditDecoder, AuditLineError
from gitsnap.kube.audit_writes import AuditWrite

_RECEIVED, _COMPLETED = "2026-11-30T05:00:00.000000Z", "2026-11-30T05:00:01.500000Z"


def _event(**changes: Any) -> dict[str, Any]:
    """An event of a patch of the ConfigMap default/database, with some fields replaced."""
    metadata = {"name": "database", "namespace": "default", "uid": "uid-1", "resourceVersion": "12"}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "id-1",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/configmaps/database",
        "verb": "patch",
        "user": {"username": "alice", "groups": ["system:authenticated"], "extra": {"key": ["value"]}},
        "objectRef": {"resource": "configmaps", "namespace": "default", "name": "database", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "responseObject": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata},
        "requestReceivedTimestamp": _RECEIVED,
        "stageTimestamp": _COMPLETED,
        **changes,
    }


def _decode(*documents: Any) -> list[AuditWrite]:
    decoder = AuditDecoder(lambda _group, _namespace, _name: True)
    for document in documents:
        decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return decoder.writes()


def test_a_write_has_author_object_version_and_times() -> None:
    """These fields are needed to find a name."""
    assert _decode(_event()) == [
        AuditWrite(
            group="",
            resource="configmaps",
            namespace="default",
            name="database",
            subresource="",
            verb="patch",
            author="alice",
            received=datetime(2026, 11, 30, 5, tzinfo=UTC),
            completed=datetime(2026, 11, 30, 5, 0, 1, 500000, tzinfo=UTC),
            kind="ConfigMap",
            uid="uid-1",
            version="12",
        )
    ]


_LINE = json.dumps(_event())
_LISTED = {name: value for name, value in _event().items() if name not in ("kind", "apiVersion")}
"""An API server writes no kind and no version into the items of an EventList."""

_WRAPPED: dict[str, Any] = {
    "EventList of a webhook": {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [_LISTED]},
    "EventList with whole events": {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [_event()]},
    "a list": [_event()],
    "fluent-bit": {"log": _LINE, "stream": "stdout"},
    "filebeat": {"@timestamp": _RECEIVED, "message": _LINE},
    "journald": {"MESSAGE": _LINE},
    "AKS": {"records": [{"category": "kube-audit", "properties": {"log": _LINE}}]},
    "CloudWatch": {"events": [{"timestamp": 1, "message": _LINE}]},
    "a record of CRI": f"{_RECEIVED} stdout F {_LINE}".encode(),
    "a line with spaces": f"  {_LINE}\r\n".encode(),
}


@pytest.mark.parametrize("form", _WRAPPED)
def test_wrapped_events_are_read(form: str) -> None:
    """Log shippers and clouds put an event into an envelope."""
    assert _decode(_WRAPPED[form]) == _decode(_event())


_IGNORED: dict[str, dict[str, Any]] = {
    "a read": {"verb": "get"},
    "a watch": {"verb": "watch"},
    "a refused write": {"responseStatus": {"code": 403}},
    "a conflict": {"responseStatus": {"code": 409}},
    "a dry run": {"requestURI": "/api/v1/namespaces/default/configmaps/database?dryRun=All"},
    "an encoded dry run": {"requestURI": "/api/v1/namespaces/default/configmaps/database?dry%52un=All"},
    "a dry run in a body": {"verb": "delete", "requestObject": {"dryRun": ["All"]}},
    "an update without effect": {
        "verb": "update",
        "objectRef": {
            "resource": "configmaps",
            "namespace": "default",
            "name": "database",
            "apiVersion": "v1",
            "resourceVersion": "12",
        },
    },
    "a request that is about no object": {"objectRef": None},
}


@pytest.mark.parametrize("case", _IGNORED)
def test_requests_that_wrote_nothing_are_left_out(case: str) -> None:
    """They must not name an author, and must not make another author uncertain."""
    assert _decode(_event(**_IGNORED[case])) == []


def test_a_request_that_may_have_failed_is_uncertain() -> None:
    """The request timed out, or the log has no response."""
    timeout = _event(responseStatus={"code": 504}, responseObject=None)
    opened = _event(stage="RequestReceived", auditID="id-2", responseStatus=None, responseObject=None)

    assert [write.certain for write in _decode(timeout, opened)] == [False, False]
    assert [write.certain for write in _decode(opened, _event(auditID="id-2"))] == [True]


def test_deletions_have_the_uid_of_the_deleted_object() -> None:
    """The response to a deletion is a Status. The response to a deletion of a collection has the deleted objects."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Success",
        "details": {"name": "database", "uid": "uid-1"},
    }
    deleted = _decode(_event(verb="delete", responseObject=status))
    items = [{"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"}} for name in "ab"]
    collection = _decode(
        _event(
            verb="deletecollection",
            objectRef={"resource": "configmaps", "namespace": "default", "apiVersion": "v1"},
            responseObject={"kind": "ConfigMapList", "items": items},
        )
    )

    assert [(write.uid, write.deletes, write.version) for write in deleted] == [("uid-1", True, "")]
    assert [(write.name, write.uid) for write in collection] == [("a", "uid-a"), ("b", "uid-b")]


def test_a_generated_name_is_that_of_the_answer() -> None:
    """A request with generateName has no name."""
    (write,) = _decode(
        _event(
            verb="create",
            objectRef={"resource": "configmaps", "namespace": "default", "apiVersion": "v1"},
            responseStatus={"code": 201},
        )
    )
    assert (write.name, write.created) == ("database", True)


_USERS = [
    ({"username": "alice"}, None, "alice"),
    ({"username": "system:serviceaccount:flux-system:kustomize-controller"}, None, "flux-system/kustomize-controller"),
    ({"username": "flux-system/kustomize-controller"}, None, "user:flux-system/kustomize-controller"),
    ({"username": "alice"}, {"username": "admin"}, "alice as admin"),
    ({"username": "dev", "extra": {"arn": ["arn:aws:iam::1:user/al"]}}, None, "arn:aws:iam::1:user/al as dev"),
    ({"username": ""}, None, ""),
    ({"username": "x\u0000\u202e<a>"}, None, "x\u0000\u202e<a>"),
]


@pytest.mark.parametrize(("user", "impersonated", "name"), _USERS)
def test_the_name_of_the_user(user: dict[str, Any], impersonated: dict[str, Any] | None, name: str) -> None:
    """No user can pass for a service account, and an impersonating user is named first."""
    assert _decode(_event(user=user, impersonatedUser=impersonated))[0].author == name


_GOOGLE = {
    "protoPayload": {
        "serviceName": "k8s.io",
        "methodName": "io.k8s.core.v1.configmaps.patch",
        "resourceName": "core/v1/namespaces/default/configmaps/database",
        "authenticationInfo": {"principalEmail": "alice@example.com"},
        "status": {"code": 0},
        "response": {"kind": "ConfigMap", "metadata": {"name": "database", "uid": "uid-1", "resourceVersion": "12"}},
    },
    "operation": {"id": "id-1", "first": True, "last": True},
    "timestamp": "2026-11-30T05:00:01.123456789Z",
}


def test_an_entry_of_cloud_audit_logs_is_a_write() -> None:
    """GKE has another form, with nanoseconds."""
    (write,) = _decode(_GOOGLE)
    assert (write.author, write.uid, write.version, write.name) == ("alice@example.com", "uid-1", "12", "database")
    assert write.completed == datetime(2026, 11, 30, 5, 0, 1, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "it is not JSON, or it was cut off"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"', "it is not JSON, or it was cut off"),
        (b"no log", "it is not JSON, or it was cut off"),
        (b'{"a":"password"}', "it is not an audit event"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', "it has no time or no user"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":5}', "a field has another type: $.verb"),
        (b'"text"', "it is not an audit event"),
        (b"[" * 100_000, "it is not JSON, or it was cut off"),
        (b'{"log":{"log":{"log":{"log":{"log":{}}}}}}', "it is not an audit event"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"}', "it has no time or no user"),
        (b"\xff\xfe{", "it is not JSON, or it was cut off"),
    ],
)
def test_a_line_that_is_no_event_is_reported(line: bytes, reason: str) -> None:
    """The reason quotes no part of the line, which may have a value of a Secret."""
    with pytest.raises(AuditLineError) as raised:
        _decode(line)
    assert str(raised.value) == reason


def test_elements_that_are_no_events_do_not_hide_the_others() -> None:
    """The list has one bad element."""
    decoder = AuditDecoder(lambda _group, _namespace, _name: True)
    with pytest.raises(AuditLineError, match="1 of its 2 elements"):
        decoder.feed(json.dumps([{"a": 1}, _event()]).encode())
    assert len(decoder.writes()) == 1


@pytest.mark.parametrize("bad", [{"a": 1}, 1, "x", None, [], {"user": 1}, {**_LISTED, "stageTimestamp": "x"}])
def test_a_bad_item_of_an_event_list_does_not_hide_the_others(bad: object) -> None:
    """The item may be any value."""
    decoder = AuditDecoder(lambda _group, _namespace, _name: True)
    with pytest.raises(AuditLineError, match="1 of its 3 elements"):
        decoder.feed(
            json.dumps(
                {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [_LISTED, bad, _LISTED]}
            ).encode()
        )
    assert len(decoder.writes()) == 2


def test_the_answered_writes_are_taken_once() -> None:
    """A receiver runs for months, so the decoder forgets the writes that were taken."""
    decoder = AuditDecoder(lambda _group, _namespace, _name: True)
    decoder.feed(json.dumps(_event()).encode())
    decoder.feed(json.dumps({**_event(), "auditID": "open", "stage": "RequestReceived"}).encode())
    assert len(decoder.take_answered()) == 1
    assert decoder.take_answered() == decoder.writes() == []


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        (b'{"a": 1}', 1),
        (b'{"a": 1}\n', 1),
        (b'{\n"a": 1\n}\n', 1),
        (b'[{"a": 1},\n{"b": 2}]', 1),
        (b'{"a": 1}\n{"b": 2}', 2),
        (b'{"a": 1}\r\n\r\n{"b": 2}\n', 2),
        (b'{"a": 1}\nno json\n', 2),
        (b"", 0),
        (b"\n \n", 0),
        (b"a=b&c=d", 0),
        (b"12", 0),
        (b'"text"', 0),
        (b'{"a": ', 0),
        (b"[" * 100_000, 0),
        (b"\xff\xfe", 0),
    ],
)
def test_a_text_is_split_into_its_documents(content: bytes, documents: int) -> None:
    """A text is one document, or has one a line. A text that does not begin with a document has none."""
    assert len(split_documents(content)) == documents


def test_only_wanted_writes_are_kept() -> None:
    """Other writes are only counted as events, which show the time of the log."""
    decoder = AuditDecoder(lambda group, namespace, name: (group, namespace, name) == ("apps", "default", "web"))
    decoder.feed(json.dumps(_event()).encode())

    assert decoder.writes() == []
    assert decoder.events == 1
    assert decoder.first == datetime(2026, 11, 30, 5, tzinfo=UTC)
