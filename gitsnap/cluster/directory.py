"""A folder of YAML files as a small cluster: for a demo, for a dump on a laptop (``--from-dir``), for fast tests.

It behaves as an API server would: resource versions and conflicts, dry run, immutable fields, status as a subresource,
``stringData`` merged into ``data``. What no folder can know it does not pretend: there are no schemas and no RBAC.
This module must not parse or write YAML; ``files`` does.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitsnap.cluster.files import ObjectFile, find_files, new_file_for, stamp, strip_to_json, write_atomically
from gitsnap.cluster.selectors import field_matcher, label_matcher
from gitsnap.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InputError,
    KindNotInstalledError,
    NotFoundError,
    RejectedError,
)
from gitsnap.model import ClusterInfo, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.ports import Page
from gitsnap.sveltos.kinds import BY_KIND

PAGE_SIZE = 500
STATE_FILE = ".gitsnap-cluster.json"
_LOCK_FILE = ".gitsnap-cluster.lock"
_NAMESPACE = Kind("", "Namespace")
_CONFIG_MAP = Kind("", "ConfigMap")
_SECRET = Kind("", "Secret")
_KUBE_SYSTEM = ObjectKey(_NAMESPACE, "", "kube-system")
_UNKNOWN_CLUSTER = "directory"


@dataclass(slots=True)
class _Held:
    """An object and the file it lies in."""

    document: JsonObject
    file: ObjectFile


class DirectoryCluster:
    """The objects in a folder of YAML and JSON files (ports.Cluster)."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of YAML files", hint="Name one with --from-dir.")
        self._folder = folder
        self._objects: dict[ObjectKey, _Held] = {}
        for path in find_files(folder):
            self._load(ObjectFile(path))
        self._version = max([self._saved_version(), *self._numbers()])

    def info(self) -> ClusterInfo:
        """The uid of kube-system where the folder has that namespace; otherwise one that all such folders share."""
        held = self._objects.get(_KUBE_SYSTEM)
        uid = str(held.document["metadata"]["uid"]) if held else _UNKNOWN_CLUSTER
        return ClusterInfo(uid=uid, server=str(self._folder), context="directory", version="")

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """Sveltos' kinds are always served; another kind is when an object of it is in the folder."""
        row = BY_KIND.get(kind)
        present = next((held.document for key, held in self._objects.items() if key.kind == kind), None)
        if present is not None:
            version = str(present["apiVersion"]).rpartition("/")[2]
            if row is None:
                namespaced = any(key.namespace for key in self._objects if key.kind == kind)
                return ResourceType(kind, version, f"{kind.name.lower()}s", namespaced)
            return ResourceType(kind, version, row.plural, row.namespaced)
        return ResourceType(kind, row.versions[0], row.plural, row.namespaced) if row else None

    # Reading ----------------------------------------------------------------------------------------------------------

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> Iterator[Page]:
        """Pages by namespace and name. Only the present version can be asked for: a folder has no past."""
        if resource_version and resource_version != str(self._version):
            raise GoneError(f"{self._folder} has no state at version {resource_version}, only at {self._version}")
        matchers = [label_matcher(label_selector)] if label_selector else []
        if field_selector:
            matchers.append(field_matcher(field_selector))
        found = [
            strip_to_json(held.document)
            for key, held in sorted(self._objects.items(), key=lambda pair: pair[0])
            if key.kind == resource.kind
            and (not namespace or key.namespace == namespace)
            and all(matches(held.document) for matches in matchers)
        ]
        for start in range(0, len(found), PAGE_SIZE) or (0,):
            yield Page(found[start : start + PAGE_SIZE], str(self._version))

    def get(self, key: ObjectKey) -> JsonObject:
        """One object."""
        document: JsonObject = strip_to_json(self._find(key).document)
        return document

    # Writing ----------------------------------------------------------------------------------------------------------

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create, in a new file unless the object's former file is known."""
        key = ObjectKey.of(document)
        with self._writing(key):
            if key in self._objects:
                raise AlreadyExistsError(f"{key} already exists in {self._folder}")
            self._check_namespace(key)
            new = self._stored(document, key)
            new.pop("status", None)
            new["metadata"]["uid"] = str(uuid.uuid4())
            return self._commit(key, new, ObjectFile(new_file_for(self._folder, key)), dry_run=dry_run)

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace; uid and resource version must be the present ones."""
        key = ObjectKey.of(document)
        with self._writing(key):
            held = self._find(key)
            _check_preconditions(key, held.document, document.get("metadata") or {}, must_have_version=True)
            new = self._stored(document, key)
            new["metadata"]["uid"] = held.document["metadata"]["uid"]
            _keep_status(key, held.document, new)
            _check_immutable(key, held.document, new)
            return self._commit(key, new, held.file, dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """JSON merge patch."""
        with self._writing(key):
            held = self._find(key)
            _check_preconditions(key, held.document, patch.get("metadata") or {}, must_have_version=False)
            new = self._stored(_merge(strip_to_json(held.document), patch), key)
            new["metadata"]["uid"] = held.document["metadata"]["uid"]
            _keep_status(key, held.document, new)
            _check_immutable(key, held.document, new)
            return self._commit(key, new, held.file, dry_run=dry_run)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete at once: a folder has nobody who would work off finalizers."""
        with self._writing(key):
            held = self._find(key)
            wanted = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
            _check_preconditions(key, held.document, wanted, must_have_version=False)
            if not dry_run:
                self._raise_version()
                held.file.put(key, None)
                held.file.save()
                del self._objects[key]

    # Keeping ----------------------------------------------------------------------------------------------------------

    def _load(self, file: ObjectFile) -> None:
        for document in file.documents:
            for position, raw in enumerate(document.objects):
                key = ObjectKey.of(raw)
                if not key.name:
                    raise InputError(f"{file.path}: an object of kind {key.kind} has no metadata.name")
                row = BY_KIND.get(key.kind)
                if row is not None and row.namespaced and not key.namespace:
                    raise InputError(f"{file.path}: {key} has no metadata.namespace")
                if key in self._objects:
                    raise InputError(f"{key} stands in two files: {self._objects[key].file.path} and {file.path}")
                document.objects[position] = self._completed(raw, key)
                self._objects[key] = _Held(document.objects[position], file)

    @staticmethod
    def _completed(raw: JsonObject, key: ObjectKey) -> JsonObject:
        """What a server would have added: uid and resource version, here made from the object itself."""
        document = {**raw, "metadata": dict(raw["metadata"])}
        if key.kind == _SECRET:
            _merge_string_data(document)
        metadata = document["metadata"]
        if "resourceVersion" not in metadata:
            content = json.dumps(document, sort_keys=True).encode()
            metadata["resourceVersion"] = f"c{hashlib.sha256(content).hexdigest()[:16]}"
        metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, str(key))))
        return document

    def _stored(self, document: JsonObject, key: ObjectKey) -> JsonObject:
        if not key.name or not key.kind.name:
            raise RejectedError(f"an object without kind or name cannot be written: {key}")
        if self.resource_type(key.kind) is None:
            raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
        new: JsonObject = strip_to_json(document)
        if key.kind == _SECRET:
            _merge_string_data(new)
        return new

    def _commit(self, key: ObjectKey, new: JsonObject, file: ObjectFile, *, dry_run: bool) -> JsonObject:
        before = self._objects.get(key)
        version = new["metadata"].get("resourceVersion")
        if before is not None and {**new["metadata"], "resourceVersion": ""} == {
            **before.document["metadata"],
            "resourceVersion": "",
        }:
            new["metadata"]["resourceVersion"] = before.document["metadata"]["resourceVersion"]
            if new == before.document:
                return _copy(new)  # as on a server, a write that changes nothing makes no new version
        if dry_run:
            new["metadata"]["resourceVersion"] = version or str(self._version)
            return _copy(new)
        new["metadata"]["resourceVersion"] = self._raise_version()
        file.put(key, new)
        file.save()
        self._objects[key] = _Held(new, file)
        return _copy(new)

    def _find(self, key: ObjectKey) -> _Held:
        held = self._objects.get(key)
        if held is None:
            if self.resource_type(key.kind) is None:
                raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
            raise NotFoundError(f"{key} is not in {self._folder}")
        return held

    def _check_namespace(self, key: ObjectKey) -> None:
        """A dump often lacks namespaces; where it has any, an object needs one of them, as on a server."""
        namespaces = {one.name for one in self._objects if one.kind == _NAMESPACE}
        if key.namespace and namespaces and key.namespace not in namespaces:
            raise NotFoundError(f"the namespace {key.namespace} does not exist in {self._folder}")

    @contextlib.contextmanager
    def _writing(self, key: ObjectKey) -> Iterator[None]:
        """One writer at a time; what another process wrote meanwhile is read again first."""
        if not os.access(self._folder, os.W_OK):
            raise AccessDeniedError(f"{self._folder} is not writable for this user")
        with (self._folder / _LOCK_FILE).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh(key)
            yield

    def _refresh(self, key: ObjectKey) -> None:
        held = self._objects.get(key)
        path = held.file.path if held else new_file_for(self._folder, key)
        if held is not None and stamp(path) == held.file.stamp:
            return
        for known in [one for one, its in self._objects.items() if its.file.path == path]:
            del self._objects[known]
        self._load(ObjectFile(path))
        self._version = max([self._version, self._saved_version(), *self._numbers()])

    def _raise_version(self) -> str:
        self._version = max(self._version, self._saved_version()) + 1
        write_atomically(self._folder / STATE_FILE, json.dumps({"resourceVersion": self._version}).encode())
        return str(self._version)

    def _saved_version(self) -> int:
        try:
            return int(json.loads((self._folder / STATE_FILE).read_bytes())["resourceVersion"])
        except (OSError, ValueError, KeyError, TypeError):
            return 1

    def _numbers(self) -> Iterator[int]:
        for held in self._objects.values():
            version = str(held.document["metadata"]["resourceVersion"])
            if version.isdecimal():
                yield int(version)


def _copy(document: JsonObject) -> JsonObject:
    """A copy that the caller may change."""
    copy: JsonObject = strip_to_json(document)
    return copy


def _check_preconditions(key: ObjectKey, live: JsonObject, wanted: JsonObject, *, must_have_version: bool) -> None:
    metadata = live["metadata"]
    if wanted.get("uid") and wanted["uid"] != metadata["uid"]:
        raise ConflictError(f"{key} was deleted and created again meanwhile")
    version = wanted.get("resourceVersion")
    if must_have_version and not version:
        raise RejectedError(f"{key}: metadata.resourceVersion must be given for an update")
    if version and version != metadata["resourceVersion"]:
        raise ConflictError(f"{key} was changed by somebody else meanwhile")


def _check_immutable(key: ObjectKey, old: JsonObject, new: JsonObject) -> None:
    """Rules of core kinds: the type of a Secret, and everything in an immutable ConfigMap or Secret."""
    if key.kind == _SECRET and (old.get("type") or "Opaque") != (new.get("type") or "Opaque"):
        raise RejectedError(f"{key}: type: field is immutable")
    if key.kind in (_CONFIG_MAP, _SECRET) and old.get("immutable") is True:
        for field in ("data", "binaryData", "immutable"):
            if old.get(field) != new.get(field):
                raise RejectedError(f"{key}: {field}: field is immutable when `immutable` is set")


def _keep_status(key: ObjectKey, old: JsonObject, new: JsonObject) -> None:
    """Where status is a subresource, an ordinary write does not touch it."""
    row = BY_KIND.get(key.kind)
    if row is None or row.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]


def _merge_string_data(secret: JsonObject) -> None:
    text = secret.pop("stringData", None)
    if text:
        encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result
