"""Decodes audit logs of Kubernetes API servers: events of audit.k8s.io, as servers, log shippers and clouds write them.

An ``AuditDecoder`` takes one line or document after the other, and collects the wanted writes. The decoder does no I/O.
Sources: the reference of audit.k8s.io/v1, and the exports of EKS, AKS and GKE that docs/AUTHORS.md describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace

from gitsnap.kube.audit_writes import WRITING_VERBS, AuditWrite
from gitsnap.kube.google_audit import GoogleEntry, read_google_entry
from gitsnap.kube.user_names import author_name

_API = "audit.k8s.io/v1"
_DEEPEST = 4
"""The largest number of nested envelopes: a list of records, a record, its message, a list of events."""
_LONGEST_PREFIX = 200
"""Bytes before the JSON of a line: the time and the stream that CRI and CloudWatch write."""
_ENVELOPES = (
    "log", "message", "@message", "MESSAGE", "line", "event", "properties", "jsonPayload", "log_s", "records", "events",
    "logEvents", "items",
)  # fmt: skip
"""The fields in which shippers and clouds put a line, an event, or a list of events."""

_NOT_JSON = "it is not JSON, or it was cut off"
_NO_EVENT = "it is not an audit event"

Wanted = Callable[[str, str, str], bool]
"""Whether the writes of an object are wanted. Arguments: API group, namespace, and name (``""`` for any name)."""


class AuditLineError(Exception):
    """A line or a document that is not an audit event. The text is the reason. It quotes no part of the line."""


class _User(msgspec.Struct, gc=False):
    username: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str] | None] | None = None


class _Reference(msgspec.Struct, gc=False, rename="camel"):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_group: str = ""
    subresource: str = ""
    resource_version: str = ""


class _Status(msgspec.Struct, gc=False):
    code: int = 0


class _Event(msgspec.Struct, gc=False, rename="camel"):
    """The fields of an event that are needed. Other fields are skipped without decoding."""

    api_version: str = ""
    kind: str = ""
    audit_id: str = msgspec.field(name="auditID", default="")
    stage: str = ""
    request_uri: str = msgspec.field(name="requestURI", default="")
    verb: str = ""
    user: _User | None = None
    impersonated_user: _User | None = None
    object_ref: _Reference | None = None
    response_status: _Status | None = None
    request_object: msgspec.Raw = msgspec.Raw()
    response_object: msgspec.Raw = msgspec.Raw()
    request_received_timestamp: datetime | None = None
    stage_timestamp: datetime | None = None
    items: msgspec.Raw = msgspec.Raw()


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Details(msgspec.Struct, gc=False):
    uid: str = ""


class _Answer(msgspec.Struct, gc=False):
    """The object in a response: the written object, a list of deleted objects, or a Status."""

    kind: str = ""
    metadata: _Metadata | None = None
    details: _Details | None = None
    items: list[_Answer] | None = None


class _Options(msgspec.Struct, gc=False, rename="camel"):
    """DeleteOptions, or an Eviction that contains them."""

    dry_run: list[str] | None = None
    delete_options: _Options | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_options = msgspec.json.Decoder(_Options).decode


class AuditDecoder:
    """Decodes the lines of one or more logs of one cluster."""

    def __init__(self, wanted: Wanted, *, digest: Callable[[bytes], str] = lambda _document: "") -> None:
        """Collect the wanted writes.

        ``digest``: a digest of the configuration in an object (JSON), for ``AuditWrite.content``; ``""`` if unknown.
        """
        self._wanted = wanted
        self._digest = digest
        self._writes: list[AuditWrite] = []
        self._open: dict[str, AuditWrite] = {}
        """Id of a request -> its write, for requests whose response has not been read yet."""
        self._answered: set[str] = set()
        self.events = 0
        """The number of events, reads included."""
        self.first: datetime | None = None
        """The time of the earliest event."""
        self.last: datetime | None = None

    def writes(self) -> list[AuditWrite]:
        """The wanted writes, in the order of the log. A request without a response is not certain."""
        unanswered = [write for identity, write in self._open.items() if identity not in self._answered]
        return [*self._writes, *unanswered]

    def take_answered(self) -> list[AuditWrite]:
        """Remove and return the wanted writes that were answered. Requests without an answer are forgotten."""
        writes, self._writes = self._writes, []
        self._open.clear()
        self._answered.clear()
        return writes

    def feed(self, content: bytes) -> None:
        """Decode a line, or a whole document. Raises AuditLineError. Blank lines are ignored."""
        self._feed(content, _DEEPEST)

    def _feed(self, content: bytes, depth: int) -> None:
        try:
            event = _decode_event(content)
        except msgspec.ValidationError as error:
            if content.lstrip()[:1] in (b"{", b"["):
                self._open_envelope(content, depth, reason=f"a field has another type: {_place(error)}")
            else:  # a prefix that begins with a number, such as a time, or a text
                self._feed_rest(content, depth, reason=_NO_EVENT)
            return
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self._feed_rest(content, depth)
            return
        if not event.api_version.startswith(_API):
            self._open_envelope(content, depth, reason=_NO_EVENT)
        elif event.kind == "EventList":
            self._feed_all(bytes(event.items), depth, are_events=True)
        elif event.kind == "Event":
            self._add(event)
        else:
            raise AuditLineError(_NO_EVENT)

    def _feed_rest(self, content: bytes, depth: int, *, reason: str = _NOT_JSON) -> None:
        """Decode a line without its prefix: the time and the stream that container runtimes and CloudWatch write."""
        start = content.find(b"{", 0, _LONGEST_PREFIX)
        if not content.strip():
            return
        if start < 1 or content[:start].strip(b" \t\r\n") in (b"", b"[") or depth == 0:
            raise AuditLineError(reason)
        self._feed(content[start:], 0)

    def _open_envelope(self, content: bytes, depth: int, *, reason: str) -> None:
        if content.lstrip()[:1] == b"[":
            self._feed_all(content, depth)
            return
        try:
            fields = _decode_fields(content)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise AuditLineError(reason) from None
        if "protoPayload" in fields:
            self._add_google(content)
            return
        inner = next((bytes(fields[name]) for name in _ENVELOPES if name in fields), b"")
        if not inner or depth == 0:
            raise AuditLineError(reason)
        if inner[:1] == b'"':
            self._feed(_decode_text(inner).encode(), depth - 1)
        elif inner[:1] == b"[":
            self._feed_all(inner, depth - 1)
        else:
            self._feed(inner, depth - 1)

    def _feed_all(self, content: bytes, depth: int, *, are_events: bool = False) -> None:
        """Decode the elements of a list. An element that is not an event does not hide the others.

        ``are_events``: the list is an EventList. An API server writes neither kind nor version into its items.
        """
        if depth == 0:
            raise AuditLineError(_NO_EVENT)
        try:
            elements = _decode_list(content)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise AuditLineError(_NOT_JSON) from None
        failures = []
        for element in elements:
            try:
                if are_events:
                    self._add(_decode_event(element))
                else:
                    self._feed(bytes(element), depth - 1)
            except AuditLineError as error:
                failures.append(str(error))
            except msgspec.ValidationError as error:
                failures.append(f"a field has another type: {_place(error)}")
        if failures:
            raise AuditLineError(f"{len(failures)} of its {len(elements)} elements: {failures[0]}")

    # Events of audit.k8s.io -------------------------------------------------------------------------------------------

    def _add(self, event: _Event) -> None:
        received, completed = event.request_received_timestamp, event.stage_timestamp
        if received is None or completed is None or event.user is None:
            raise AuditLineError("it has no time or no user")
        self._count(received, completed)
        reference = event.object_ref
        if event.verb not in WRITING_VERBS or reference is None:
            return
        if reference.resource == "namespaces" and not reference.api_group:
            reference.namespace = ""  # events name a Namespace as its own namespace
        if not self._wanted(reference.api_group, reference.namespace, reference.name):
            return
        code = event.response_status.code if event.response_status is not None else 0
        if 300 <= code < 499 and code != 408 or _is_dry_run(event):  # noqa: RUF021 - the formatter keeps no parentheses
            self._answered.add(event.audit_id)
            return
        user, impersonated = event.user, event.impersonated_user
        write = AuditWrite(
            group=reference.api_group,
            resource=reference.resource,
            namespace=reference.namespace,
            name=reference.name,
            subresource=reference.subresource,
            verb=event.verb,
            author=author_name(
                user.username,
                impersonated=impersonated.username if impersonated is not None else "",
                extra=user.extra,
            ),
            received=received,
            completed=completed,
            uid=reference.uid,
            created=code == 201 and not reference.subresource,
            certain=event.stage == "ResponseComplete" and 200 <= code < 300,
        )
        if event.stage in ("RequestReceived", "ResponseStarted"):
            self._open[event.audit_id] = write
            return
        self._answered.add(event.audit_id)
        answered = self._with_answer(write, bytes(event.response_object)) if write.certain else [write]
        # An update whose response has the replaced version changed nothing.
        self._writes += [
            write for write in answered if not write.version or write.version != reference.resource_version
        ]

    def _count(self, first: datetime, last: datetime) -> None:
        self.events += 1
        if self.first is None or first < self.first:
            self.first = first
        if self.last is None or last > self.last:
            self.last = last

    def _with_answer(self, write: AuditWrite, content: bytes) -> Iterator[AuditWrite]:
        """Complete a write from its response. The response to a deletion of a collection lists the deleted objects."""
        try:
            answer = _decode_answer(content) if content else _Answer()
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            answer = _Answer()  # a text in place of the object, which was too large for the log of the cloud
        if answer.items is not None and write.verb == "deletecollection":
            for item in answer.items:
                metadata = item.metadata or _Metadata()
                yield replace(write, name=metadata.name, namespace=metadata.namespace, uid=metadata.uid)
        elif answer.kind == "Status":
            yield replace(write, uid=answer.details.uid if answer.details is not None else write.uid)
        elif answer.metadata is not None and answer.metadata.uid:
            metadata = answer.metadata
            yield replace(
                write,
                name=write.name or metadata.name,
                namespace=write.namespace or metadata.namespace,
                kind="" if write.subresource else answer.kind,
                uid=metadata.uid,
                version=metadata.resource_version,
                content="" if write.subresource or write.deletes else self._digest(content),
            )
        else:
            yield write

    # Entries of Google's Cloud Audit Logs -----------------------------------------------------------------------------

    def _add_google(self, content: bytes) -> None:
        try:
            document: dict[str, Any] = msgspec.json.decode(content)
            entry = read_google_entry(document)
            time = datetime.fromisoformat(_microseconds(str(document.get("timestamp") or ""))).astimezone(UTC)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise AuditLineError(_NOT_JSON) from error
        except ValueError as error:
            raise AuditLineError("it has no time, or names no Kubernetes resource") from error
        if entry is None:
            raise AuditLineError("it is not about a Kubernetes API server (serviceName is not k8s.io)")
        self._count(time, time)
        if entry.verb not in WRITING_VERBS or not self._wanted(entry.group, entry.namespace, entry.name):
            return
        if not entry.answered:
            self._open.setdefault(entry.operation, _google_write(entry, time, certain=False))
            return
        self._answered.add(entry.operation)
        if not entry.succeeded and entry.certain:
            return
        write = _google_write(entry, time, certain=entry.succeeded)
        answer = document["protoPayload"].get("response")
        content = msgspec.json.encode(answer) if isinstance(answer, dict) else b""
        self._writes += self._with_answer(write, content) if write.certain else [write]


def _google_write(entry: GoogleEntry, time: datetime, *, certain: bool) -> AuditWrite:
    return AuditWrite(
        group=entry.group,
        resource=entry.resource,
        namespace=entry.namespace,
        name=entry.name,
        subresource=entry.subresource,
        verb=entry.verb,
        author=author_name(entry.username),
        received=time,
        completed=time,
        created=entry.verb == "create" and not entry.subresource,
        certain=certain,
    )


def _is_dry_run(event: _Event) -> bool:
    """Whether a request asked for a dry run: in its query, or in the body of a deletion."""
    query = event.request_uri.partition("?")[2]
    may_ask = "dryRun" in query or "%" in query  # parsing takes longer than the rest of most events
    if may_ask and any(key == "dryRun" for key, _ in parse_qsl(query, keep_blank_values=True)):
        return True
    content = bytes(event.request_object)
    has_options = event.verb.startswith("delete") or (event.object_ref is not None and event.object_ref.subresource)
    if not content or not has_options:
        return False
    try:
        options = _decode_options(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    inner = options.delete_options
    return bool(options.dry_run or (inner is not None and inner.dry_run))


def _microseconds(text: str) -> str:
    """A time with at most six digits after the point, as ``datetime.fromisoformat`` requires."""
    head, dot, fraction = text.partition(".")
    digits = fraction.rstrip("Z")
    return f"{head}.{digits[:6]}+00:00" if dot and digits.isdigit() else text


def _place(error: msgspec.ValidationError) -> str:
    """The path of a value of the wrong type: ``$.objectRef.name``. The text of msgspec quotes no values of the line."""
    return str(error).rpartition(" at ")[2].strip("`") or "$"
