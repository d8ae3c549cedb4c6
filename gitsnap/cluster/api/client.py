"""The Kubernetes API as a cluster: raw JSON, no typed models.

Rules: Kubernetes API concepts (resource versions, pagination, dry run, field validation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gitsnap.cluster.api.connection import Connection
from gitsnap.cluster.api.list_pages import METADATA_JSON, ListPage, PageRequests, read_page
from gitsnap.cluster.api.responses import Request, error_of
from gitsnap.cluster.api.shapes import api_object, mapping, mappings, text
from gitsnap.cluster.api.transport import JSON, Transport
from gitsnap.cluster.api.transport_errors import WATCH_READ_SECONDS, connection_errors
from gitsnap.cluster.api.urls import list_path, object_path
from gitsnap.cluster.api.watch import watch_events
from gitsnap.cluster.known_kinds import KnownKinds, preferred_version
from gitsnap.cluster.semantics import refuse_version, require_identity
from gitsnap.core.errors import KindNotInstalledError, NotFoundError
from gitsnap.core.model import FIELD_MANAGER, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import ClusterInfo, Page, WatchEvent

PAGE_SIZE = 500
_MOST_AHEAD = 4
"""List requests at a time: the next pages of a list, and the first pages of the next lists."""

_METADATA_PAGES = 8
"""Pages of a list of metadata that are requested or kept before they are used, at most 0.6 MB each. The next page of
whole objects is requested when a page is used."""

_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Identity:
    """The context of a kubeconfig, and the user that gitsnap acts as."""

    context: str
    user: str = ""
    """For messages and records: ``admin``, or ``admin as jane (groups devs)``."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of impersonation, sent with every request. Names may repeat."""


class KubernetesCluster:
    """One API server (ports.Cluster)."""

    def __init__(self, connection: Connection, *, known_kinds: KnownKinds, identity: Identity, proxy: str = "") -> None:
        """``proxy``: the proxy of the connection, for messages, without credentials."""
        self._known_kinds = known_kinds
        self._transport = Transport(connection, headers=identity.headers, proxy=proxy)
        self._identity = identity
        self._server = self._transport.server
        self._types: dict[Kind, ResourceType | None] = {}
        self._groups: dict[str, dict[str, dict[str, ResourceType]]] = {}
        self._info: ClusterInfo | None = None
        self._confidential = {Kind("", "Secret")}
        self._ahead = ThreadPoolExecutor(_MOST_AHEAD, thread_name_prefix="page")

    def info(self) -> ClusterInfo:
        """The identity of the cluster; requested once."""
        info = self._info  # another thread may refresh meanwhile
        if info is None:
            action = "read the namespace kube-system"
            namespace = self._transport.json("GET", "/api/v1/namespaces/kube-system", action)
            request = self._transport.request(action)
            uid = mapping(namespace.get("metadata"), request, "metadata").get("uid")
            version = self._transport.json("GET", "/version", "read the server's version").get("gitVersion")
            self._info = info = ClusterInfo(
                uid=text(uid, request, "metadata.uid"),
                server=self._server,
                context=self._identity.context,
                version=version if isinstance(version, str) else "",
                user=self._identity.user,
            )
        return info

    def refresh(self) -> None:
        """See ports.Watchable."""
        self._info, self._types, self._groups = None, {}, {}

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """See ports.Cluster. The last response may take READ_SECONDS longer if it arrives byte by byte."""
        return self._transport.within(seconds)

    # Discovery --------------------------------------------------------------------------------------------------------

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The served form of a kind; None where the server does not serve it."""
        types = self._types
        if kind not in types:
            by_version = self._served(kind.group)
            versions = [served for served, kinds in by_version.items() if kind.name in kinds]
            version = preferred_version(kind, versions, self._known_kinds)
            types[kind] = by_version[version][kind.name] if version is not None else None
        return types[kind]

    def _served(self, group: str) -> dict[str, dict[str, ResourceType]]:
        """The resources of a group by version and name of the kind; the server's preferred version comes first."""
        groups = self._groups
        if group not in groups:
            if not group:
                groups[group] = {"v1": self._resources("", "v1", "/api/v1")}
            else:
                groups[group] = {
                    version: self._resources(group, version, f"/apis/{group}/{version}")
                    for version in self._versions(group)
                }
        return groups[group]

    def _versions(self, group: str) -> list[str]:
        action = f"discover the group {group}"
        try:
            answer = self._transport.json("GET", f"/apis/{group}", action)
        except NotFoundError:
            return []
        request = self._transport.request(action)
        preferred = mapping(answer.get("preferredVersion"), request, "preferredVersion").get("version")
        listed = mappings(answer.get("versions"), request, "versions")
        versions = [text(entry.get("version"), request, "versions[].version") for entry in listed]
        return sorted(versions, key=lambda version: (version != preferred, versions.index(version)))

    def _resources(self, group: str, version: str, path: str) -> dict[str, ResourceType]:
        action = f"discover {group or 'core'}/{version}"
        try:
            answer = self._transport.json("GET", path, action)
        except NotFoundError:
            return {}  # its CRD was removed between the two requests
        request, resources = self._transport.request(action), {}
        for entry in mappings(answer.get("resources"), request, "resources"):
            plural, kind = (text(entry.get(field), request, f"resources[].{field}") for field in ("name", "kind"))
            if "/" not in plural:
                resources[kind] = ResourceType(Kind(group, kind), version, plural, bool(entry.get("namespaced")))
        return resources

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
        """Pages of at most 500 objects. Each page is requested while the caller uses the pages before."""
        path = list_path(resource, namespace)
        query = {"limit": str(PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        at = {"resourceVersion": resource_version, "resourceVersionMatch": "Exact"} if resource_version else {}
        action = f"list {resource.plural}{f' in the namespace {namespace}' if namespace else ''}"
        request = self._transport.request(action)
        accept = METADATA_JSON if metadata_only else JSON

        def read(further: Mapping[str, str]) -> ListPage:
            content = self._transport.content("GET", path, request, query={**query, **further}, accept=accept)
            return read_page(content, resource, request, metadata_only=metadata_only)

        most = _METADATA_PAGES if metadata_only else 1
        return PageRequests(read, self._ahead, request, query=at, most=most).pages()

    def get(self, key: ObjectKey) -> JsonObject:
        """Read one object."""
        action = f"read {key}"
        answer = self._transport.json(
            "GET", self._object_path(key), action, confidential=key.kind in self._confidential
        )
        return api_object(answer, self._transport.request(action))

    def watch(
        self,
        resource: ResourceType,
        *,
        resource_version: str,
        seconds: int,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Iterator[WatchEvent]:
        """See ports.Watchable. The server ends the watch after ``seconds``."""
        request = self._transport.request(f"watch {resource.plural}")
        path = list_path(resource, namespace)
        query = {
            "resourceVersion": resource_version,
            **({"labelSelector": label_selector} if label_selector else {}),
            **({"fieldSelector": field_selector} if field_selector else {}),
        }
        self._check_version(path, query, request)
        query |= {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        answer = self._transport.open(
            "GET", path, request, query=query, headers={"Accept": JSON}, read_seconds=WATCH_READ_SECONDS
        )
        if answer.status != 200:
            raise error_of(answer.status, answer.read() or b"", request)
        yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": resource_version}})  # the watch is open
        yield from watch_events(answer, resource, request)

    def _check_version(self, path: str, query: Mapping[str, str], request: Request) -> None:
        """Raise BehindError if the server does not have the resource version of a watch yet.

        After a cluster was restored from a backup, its versions are lower. The server does not refuse a watch from a
        version that it does not have: it omits all events up to this version. It refuses such a list.
        """
        headers = {"Accept": METADATA_JSON}
        answer = self._transport.open("GET", path, request, query={**query, "limit": "1"}, headers=headers)
        with connection_errors(request, is_write=False):
            content = answer.read() or b""
        if answer.status != 200:
            raise error_of(int(answer.status), content, request)

    # Writing ----------------------------------------------------------------------------------------------------------

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create an object, with strict field validation."""
        key = ObjectKey.of(document)
        refuse_version(key, document.get("metadata") or {})  # the server answers with an internal error
        path = list_path(self._require(key.kind), key.namespace)
        return self._write("POST", path, f"create {key}", document, key.kind, dry_run=dry_run)

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; its uid and resource version are preconditions."""
        key = ObjectKey.of(document)
        require_identity(key, document.get("metadata") or {})
        return self._write("PUT", self._object_path(key), f"update {key}", document, key.kind, dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Apply a JSON merge patch to an object."""
        path = self._object_path(key)
        return self._write("PATCH", path, f"patch {key}", patch, key.kind, dry_run=dry_run, content_type=_MERGE_PATCH)

    def patch_status(self, key: ObjectKey, patch: JsonObject) -> JsonObject:
        """Apply a JSON merge patch to the status subresource."""
        path = f"{self._object_path(key)}/status"
        action = f"patch the status of {key}"
        return self._write("PATCH", path, action, patch, key.kind, dry_run=False, content_type=_MERGE_PATCH)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete an object; its uid and resource version are preconditions."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        body: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if dry_run:
            body["dryRun"] = ["All"]
        confidential = key.kind in self._confidential
        self._transport.json("DELETE", self._object_path(key), f"delete {key}", body=body, confidential=confidential)

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """Treat these kinds as confidential: errors about them have only the reason and names of fields."""
        self._confidential.update(kinds)

    def _write(
        self,
        method: str,
        path: str,
        action: str,
        body: JsonObject,
        kind: Kind,
        *,
        dry_run: bool,
        content_type: str = JSON,
    ) -> JsonObject:
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        confidential = kind in self._confidential
        answer = self._transport.json(
            method, path, action, query=query, body=body, content_type=content_type, confidential=confidential
        )
        return api_object(answer, self._transport.request(action))

    def _object_path(self, key: ObjectKey) -> str:
        return object_path(self._require(key.kind), key)
