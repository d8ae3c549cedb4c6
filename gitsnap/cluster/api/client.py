"""The Kubernetes API as a cluster: raw JSON, no typed models.

Rules: Kubernetes API concepts (resource versions, pagination, dry run, field validation).
This module must not interpret objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from kubernetes import client

from gitsnap.cluster.api.responses import Request, error_of
from gitsnap.cluster.api.shapes import api_object, bad_answer, check_items, mapping, mappings, text
from gitsnap.cluster.api.transport import JSON, Transport
from gitsnap.cluster.api.transport_errors import WATCH_READ_SECONDS
from gitsnap.cluster.api.urls import list_path, object_path
from gitsnap.cluster.api.watch import watch_events
from gitsnap.cluster.known_kinds import KnownKinds, preferred_version
from gitsnap.cluster.semantics import refuse_version, require_identity
from gitsnap.core.errors import KindNotInstalledError, NotFoundError
from gitsnap.core.model import FIELD_MANAGER, ClusterInfo, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Page, WatchEvent

PAGE_SIZE = 500
_MOST_AHEAD = 2
"""Requests under way at a time while lists are read: the next page, and the first one of the list behind it."""

_MERGE_PATCH = "application/merge-patch+json"
_METADATA_LIST = "PartialObjectMetadataList"
_METADATA_JSON = f"application/json;as={_METADATA_LIST};g=meta.k8s.io;v=v1,{JSON}"
"""What to accept for a list of metadata (Kubernetes API concepts); a server that makes none sends whole objects."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which context is used, and who gitsnap acts as with it."""

    context: str
    user: str = ""
    """For messages and records: ``admin``, or ``admin as jane (groups devs)``."""
    headers: tuple[tuple[str, str], ...] = ()
    """What is sent with every request: impersonation. A name may come more than once."""


class KubernetesCluster:
    """One API server (ports.Cluster)."""

    def __init__(self, api: client.ApiClient, *, known_kinds: KnownKinds, identity: Identity, proxy: str = "") -> None:
        """``proxy``: the proxy of the connection, for messages, without credentials."""
        self._known_kinds = known_kinds
        self._transport = Transport(api, headers=identity.headers, proxy=proxy)
        self._identity = identity
        self._server = self._transport.server
        self._types: dict[Kind, ResourceType | None] = {}
        self._groups: dict[str, dict[str, dict[str, ResourceType]]] = {}
        self._info: ClusterInfo | None = None
        self._hushed = {Kind("", "Secret")}
        self._ahead = ThreadPoolExecutor(_MOST_AHEAD, thread_name_prefix="page")

    def info(self) -> ClusterInfo:
        """Which cluster this is; asked once."""
        if self._info is None:
            what = "read the namespace kube-system"
            namespace = self._transport.json("GET", "/api/v1/namespaces/kube-system", what)
            request = self._transport.request(what)
            uid = mapping(namespace.get("metadata"), request, "metadata").get("uid")
            version = self._transport.json("GET", "/version", "read the server's version").get("gitVersion")
            self._info = ClusterInfo(
                uid=text(uid, request, "metadata.uid"),
                server=self._server,
                context=self._identity.context,
                version=version if isinstance(version, str) else "",
                user=self._identity.user,
            )
        return self._info

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """See ports.Cluster; an answer whose bytes come one by one may take READ_SECONDS more."""
        return self._transport.within(seconds)

    # Discovery --------------------------------------------------------------------------------------------------------

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The served form of a kind, None if its group or the kind itself is not there."""
        if kind not in self._types:
            by_version = self._served(kind.group)
            versions = [version for version, kinds in by_version.items() if kind.name in kinds]
            chosen = preferred_version(kind, versions, self._known_kinds)
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
        what = f"discover the group {group}"
        try:
            answer = self._transport.json("GET", f"/apis/{group}", what)
        except NotFoundError:
            return []
        request = self._transport.request(what)
        preferred = mapping(answer.get("preferredVersion"), request, "preferredVersion").get("version")
        listed = mappings(answer.get("versions"), request, "versions")
        versions = [text(entry.get("version"), request, "versions[].version") for entry in listed]
        return sorted(versions, key=lambda version: (version != preferred, versions.index(version)))

    def _resources(self, group: str, version: str, path: str) -> dict[str, ResourceType]:
        what = f"discover {group or 'core'}/{version}"
        try:
            answer = self._transport.json("GET", path, what)
        except NotFoundError:
            return {}  # its CRD was removed between the two questions
        request, found = self._transport.request(what), {}
        for entry in mappings(answer.get("resources"), request, "resources"):
            plural, kind = (text(entry.get(field), request, f"resources[].{field}") for field in ("name", "kind"))
            if "/" not in plural:
                found[kind] = ResourceType(Kind(group, kind), version, plural, bool(entry.get("namespaced")))
        return found

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
        accept = _METADATA_JSON if metadata_only else JSON
        ask = partial(self._transport.json, "GET", path, what, accept=accept, shortens=True)

        def fetch(**further: str) -> Future[JsonObject]:
            """Have a page fetched."""
            return self._ahead.submit(ask, query={**query, **further})

        return self._pages(resource, self._transport.request(what), fetch, fetch(**at))

    def _pages(
        self,
        resource: ResourceType,
        request: Request,
        fetch: Callable[..., Future[JsonObject]],
        coming: Future[JsonObject],
    ) -> Iterator[Page]:
        """The page that is coming and those behind it, each of which is fetched while the one before is worked on."""
        while True:
            answer = coming.result()
            metadata = mapping(answer.get("metadata"), request, "metadata")
            items, version = self._items(answer, resource, request), str(metadata.get("resourceVersion", ""))
            page = Page(items, version, whole=answer.get("kind") != _METADATA_LIST)
            more = metadata.get("continue")
            if more:  # a continued list stays at the version that its first page was read at
                coming = fetch(**{"continue": str(more)})
            yield page
            if not more:
                return

    @staticmethod
    def _items(answer: JsonObject, resource: ResourceType, request: Request) -> Sequence[JsonObject]:
        """The objects of a list, each with its version and kind: typed lists leave them out, metadata has its own."""
        items = answer.get("items")
        if items is None and "items" in answer:
            return []  # how a list of metadata says that there is nothing
        if not isinstance(items, list):
            raise bad_answer(request, "the answer is no list")
        check_items(items, request)
        for item in items:
            item["apiVersion"] = resource.api_version
            item["kind"] = resource.kind.name
        return items

    def get(self, key: ObjectKey) -> JsonObject:
        """One object as it is now."""
        what = f"read {key}"
        answer = self._transport.json("GET", self._object_path(key), what, confidential=key.kind in self._hushed)
        return api_object(answer, self._transport.request(what))

    def watch(self, resource: ResourceType, *, resource_version: str, seconds: int) -> Iterator[WatchEvent]:
        """Events after a resource version; the server ends the watch after ``seconds``. See ports.ControlPlane."""
        request = self._transport.request(f"watch {resource.plural}")
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        answer = self._transport.open(
            "GET",
            list_path(resource, ""),
            request,
            query=query,
            headers={"Accept": JSON},
            read_seconds=WATCH_READ_SECONDS,
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
        confidential = key.kind in self._hushed
        self._transport.json("DELETE", self._object_path(key), f"delete {key}", body=body, confidential=confidential)

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
        content_type: str = JSON,
    ) -> JsonObject:
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        confidential = kind in self._hushed
        answer = self._transport.json(
            method, path, what, query=query, body=body, content_type=content_type, confidential=confidential
        )
        return api_object(answer, self._transport.request(what))

    def _object_path(self, key: ObjectKey) -> str:
        return object_path(self._require(key.kind), key)
