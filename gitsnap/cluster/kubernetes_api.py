"""The Kubernetes API as a cluster: raw JSON over the official client's connection, no typed models.

Reads are tried again when the server is busy; writes only where it said that it did nothing (429), since one that timed
out may have been carried out.
Rules: Kubernetes API concepts (resource versions, pagination, dry run, field validation).
This module must not interpret objects.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

import urllib3
from kubernetes import client
from kubernetes.client.rest import RESTResponse

from gitsnap.cluster.allowance import Allowance
from gitsnap.cluster.answers import Request, error_of
from gitsnap.cluster.failures import (
    CONNECT_SECONDS,
    OUTAGE_SECONDS,
    READ_SECONDS,
    WATCH_READ_SECONDS,
    ConnectionLostError,
    connection_errors,
    pause,
)
from gitsnap.cluster.semantics import refuse_version, require_identity
from gitsnap.cluster.urls import list_path, object_path
from gitsnap.cluster.watching import watch_events
from gitsnap.errors import (
    ClusterError,
    ClusterUnreachableError,
    KindNotInstalledError,
    NotFoundError,
)
from gitsnap.model import FIELD_MANAGER, ClusterInfo, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.ports import Page, WatchEvent
from gitsnap.sveltos.kinds import preferred_version

PAGE_SIZE = 500
_MOST_AHEAD = 2
"""Requests under way at a time while lists are read: the next page, and the first one of the list behind it."""

_ATTEMPTS = 4
_REFUSED = frozenset({429})
"""What the server answers before it does anything."""

_BUSY = _REFUSED | {500, 502, 503}
_MOST_AT_ONCE = 1 << 20
"""Bytes of an answer."""

_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_METADATA_LIST = "PartialObjectMetadataList"
_METADATA_JSON = f"application/json;as={_METADATA_LIST};g=meta.k8s.io;v=v1,{_JSON}"
"""What to accept for a list of metadata (Kubernetes API concepts); a server that makes none sends whole objects."""


class KubernetesCluster:
    """One API server (ports.Cluster)."""

    def __init__(self, api: client.ApiClient, *, context: str, user: str) -> None:
        self._api = api
        self._context = context
        self._user = user
        self._server = str(api.configuration.host)
        self._types: dict[Kind, ResourceType | None] = {}
        self._groups: dict[str, dict[str, dict[str, ResourceType]]] = {}
        self._info: ClusterInfo | None = None
        self._hushed = {Kind("", "Secret")}
        self._answered = False
        self._outage = OUTAGE_SECONDS
        self._allowance = Allowance()
        self._ahead = ThreadPoolExecutor(_MOST_AHEAD, thread_name_prefix="page")
        if not api.configuration.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def info(self) -> ClusterInfo:
        """Which cluster this is; asked once."""
        if self._info is None:
            namespace = self._json("GET", "/api/v1/namespaces/kube-system", "read the namespace kube-system")
            version = self._json("GET", "/version", "read the server's version")
            self._info = ClusterInfo(
                uid=str(namespace["metadata"]["uid"]),
                server=self._server,
                context=self._context,
                version=str(version.get("gitVersion", "")),
                user=self._user,
            )
        return self._info

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """See ports.Cluster; an answer whose bytes come one by one may take READ_SECONDS more."""
        return self._allowance.within(seconds)

    # Discovery --------------------------------------------------------------------------------------------------------

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The served form of a kind, None if its group or the kind itself is not there."""
        if kind not in self._types:
            by_version = self._served(kind.group)
            versions = [version for version, kinds in by_version.items() if kind.name in kinds]
            chosen = preferred_version(kind, versions)
            self._types[kind] = by_version[chosen][kind.name] if chosen is not None else None
        return self._types[kind]

    def _served(self, group: str) -> dict[str, dict[str, ResourceType]]:
        """Version -> name of kind -> resource, the server's preferred version first."""
        if group not in self._groups:
            if not group:
                self._groups[group] = {"v1": self._resources("", "v1", "/api/v1")}
            else:
                self._groups[group] = {
                    version: self._resources(group, version, f"/apis/{group}/{version}")
                    for version in self._versions(group)
                }
        return self._groups[group]

    def _versions(self, group: str) -> list[str]:
        try:
            answer = self._json("GET", f"/apis/{group}", f"discover the group {group}")
        except NotFoundError:
            return []
        preferred = str((answer.get("preferredVersion") or {}).get("version", ""))
        versions = [str(one["version"]) for one in answer.get("versions") or ()]
        return sorted(versions, key=lambda version: (version != preferred, versions.index(version)))

    def _resources(self, group: str, version: str, path: str) -> dict[str, ResourceType]:
        try:
            answer = self._json("GET", path, f"discover {group or 'core'}/{version}")
        except NotFoundError:
            return {}  # its CRD was removed between the two questions
        return {
            str(one["kind"]): ResourceType(
                Kind(group, str(one["kind"])), version, str(one["name"]), bool(one["namespaced"])
            )
            for one in answer.get("resources") or ()
            if "/" not in one["name"]
        }

    def _require(self, kind: Kind) -> ResourceType:
        resource = self.resource_type(kind)
        if resource is None:
            raise KindNotInstalledError(f"{self._server} does not serve {kind}: its CRD is not installed")
        return resource

    # Reading ----------------------------------------------------------------------------------------------------------

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """Pages of at most 500 objects; the first is fetched at once, and the next while one is worked on."""
        path = list_path(resource, namespace)
        query = {"limit": str(PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        at = {"resourceVersion": resource_version, "resourceVersionMatch": "Exact"} if resource_version else {}
        what = f"list {resource.plural}{f' in the namespace {namespace}' if namespace else ''}"
        ask = partial(self._json, "GET", path, what, accept=_METADATA_JSON if metadata_only else _JSON)

        def fetch(**further: str) -> Future[JsonObject]:
            """Have a page fetched."""
            return self._ahead.submit(ask, query={**query, **further})

        return self._pages(resource, what, fetch, fetch(**at))

    def _pages(
        self, resource: ResourceType, what: str, fetch: Callable[..., Future[JsonObject]], coming: Future[JsonObject]
    ) -> Iterator[Page]:
        """The page that is coming and those behind it, each of which is fetched while the one before is worked on."""
        while True:
            answer = coming.result()
            metadata = answer.get("metadata") or {}
            items, version = self._items(answer, resource, what), str(metadata.get("resourceVersion", ""))
            page = Page(items, version, whole=answer.get("kind") != _METADATA_LIST)
            more = metadata.get("continue")
            if more:  # a continued list stays at the version that its first page was read at
                coming = fetch(**{"continue": str(more)})
            yield page
            if not more:
                return

    def _items(self, answer: JsonObject, resource: ResourceType, what: str) -> Sequence[JsonObject]:
        """The objects of a list, each with its version and kind: typed lists leave them out, metadata has its own."""
        items = answer.get("items")
        if items is None and "items" in answer:
            return []  # how a list of metadata says that there is nothing
        if not isinstance(items, list):
            raise ClusterError(f"{self._server}: cannot {what}: the answer is no list")
        for item in items:
            item["apiVersion"] = resource.api_version
            item["kind"] = resource.kind.name
        return items

    def get(self, key: ObjectKey) -> JsonObject:
        """One object as it is now."""
        return self._json("GET", self._object_path(key), f"read {key}", confidential=key.kind in self._hushed)

    def watch(self, resource: ResourceType, *, resource_version: str, seconds: int) -> Iterator[WatchEvent]:
        """Events after a resource version; the server ends the watch after ``seconds``. See ports.ControlPlane."""
        request = Request(f"watch {resource.plural}", self._server)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        headers = {"Accept": _JSON}
        answer = self._open(
            "GET", list_path(resource, ""), query, None, headers, request, read_seconds=WATCH_READ_SECONDS
        )
        if answer.status != 200:
            raise error_of(int(answer.status), answer.read() or b"", request)
        yield from watch_events(answer.response, resource, request)

    # Writing ----------------------------------------------------------------------------------------------------------

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create, with strict field validation."""
        key = ObjectKey.of(document)
        refuse_version(key, document.get("metadata") or {})  # the server calls it an internal error
        path = list_path(self._require(key.kind), key.namespace)
        return self._write("POST", path, f"create {key}", document, key.kind, dry_run=dry_run)

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace, with the live uid and resource version as preconditions."""
        key = ObjectKey.of(document)
        require_identity(key, document.get("metadata") or {})
        return self._write("PUT", self._object_path(key), f"update {key}", document, key.kind, dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """JSON merge patch."""
        path = self._object_path(key)
        return self._write("PATCH", path, f"patch {key}", patch, key.kind, dry_run=dry_run, content_type=_MERGE_PATCH)

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> JsonObject:
        """JSON merge patch of the status subresource."""
        path = f"{self._object_path(key)}/status"
        what = f"patch the status of {key}"
        return self._write("PATCH", path, what, patch, key.kind, dry_run=False, content_type=_MERGE_PATCH)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete with preconditions."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        body: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if dry_run:
            body["dryRun"] = ["All"]
        self._json("DELETE", self._object_path(key), f"delete {key}", body=body, confidential=key.kind in self._hushed)

    def hush(self, kinds: Iterable[Kind]) -> None:
        """Of rejections that concern these kinds, only reasons and names of fields are passed on."""
        self._hushed.update(kinds)

    def _write(
        self,
        method: str,
        path: str,
        what: str,
        body: JsonObject,
        kind: Kind,
        *,
        dry_run: bool,
        content_type: str = _JSON,
    ) -> JsonObject:
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        confidential = kind in self._hushed
        return self._json(
            method, path, what, query=query, body=body, content_type=content_type, confidential=confidential
        )

    # Requests ---------------------------------------------------------------------------------------------------------

    def _object_path(self, key: ObjectKey) -> str:
        return object_path(self._require(key.kind), key)

    def _json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        confidential: bool = False,
    ) -> JsonObject:
        """The JSON object of an answer; raises the error that the answer stands for."""
        request = Request(what, self._server, confidential=confidential)
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        reading = method == "GET"
        lost = busy = 0
        while True:
            try:
                status, answered, content = self._send(method, path, query or {}, body, headers, request)
            except ConnectionLostError:
                if not reading or not self._waits_out(lost):
                    raise
                lost += 1
                continue
            self._answered = True
            if busy + 1 == _ATTEMPTS or status not in (_BUSY if reading else _REFUSED):
                break
            time.sleep(self._allowance.of(pause(answered, busy), request))
            busy += 1
        if not 200 <= status < 300:
            raise error_of(status, content, request)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise ClusterError(f"{self._server}: cannot {what}: the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise ClusterError(f"{self._server}: cannot {what}: the answer is no JSON object")
        return answer

    def _waits_out(self, lost: int) -> bool:
        """Whether a read whose connection was lost so many times before is sent again; waits for that.

        At once the first time, since it may have been an idle connection. Then only a server that was there before is
        waited for, and over all requests no longer than a restart takes.
        """
        if lost == 0:
            return True
        seconds = pause({}, lost - 1)
        if not self._answered or seconds > self._outage:
            return False
        self._outage -= seconds
        time.sleep(seconds)
        return True

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        headers: Mapping[str, str],
        request: Request,
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            answer = self._open(method, path, query, body, headers, request)
            with connection_errors(request, is_write=method != "GET"), answer.response as response:
                return int(answer.status), dict(answer.getheaders() or {}), self._whole(response, request)
        except ClusterUnreachableError:
            self._allowance.check(request)  # where no time is left, that is what kept the answer away
            raise

    def _whole(self, response: urllib3.BaseHTTPResponse, request: Request) -> bytes:
        """The body of an answer, as it comes: a server that sends byte after byte is never silent, and never done."""
        parts = []
        while part := response.read1(_MOST_AT_ONCE):
            parts.append(part)
            self._allowance.check(request)
        return b"".join(parts)

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        headers: Mapping[str, str],
        request: Request,
        *,
        read_seconds: float | None = None,
    ) -> RESTResponse:
        """The answer with its body still to be read."""
        with connection_errors(request, is_write=method != "GET"):
            parameters = self._api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list(query.items()),
                header_params=dict(headers),
                body=body,
                auth_settings=["BearerToken"],
            )
            limits = tuple(self._allowance.of(one, request) for one in (CONNECT_SECONDS, read_seconds or READ_SECONDS))
            return self._api.call_api(*parameters, _request_timeout=limits)
