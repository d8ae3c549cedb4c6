"""A folder of YAML files as a small cluster: for the demo, for a dump on a laptop (``--from-dir``), and for fast tests.

The folder behaves as an API server: resource versions, conflicts, dry run, immutable fields, status as a subresource,
``stringData`` merged into ``data``. There are no schemas, no RBAC and no controllers, so finalizers are ignored.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitsnap.cluster.directory.object_files import ORDINARY_MODE, ObjectFile, find_files, stamp
from gitsnap.cluster.directory.selectors import field_matcher, label_matcher
from gitsnap.cluster.directory.served_kinds import KindTable, ServedKind
from gitsnap.cluster.directory.string_fields import find_mismatch, with_empty_strings
from gitsnap.cluster.known_kinds import KnownKinds
from gitsnap.cluster.semantics import (
    check_immutable,
    check_preconditions,
    copy_json,
    merge_patch,
    refuse_version,
    require_identity,
    with_status_of,
    with_string_data,
)
from gitsnap.core.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    GoneError,
    InputError,
    KindNotInstalledError,
    NotFoundError,
    RejectedError,
    StorageError,
)
from gitsnap.core.files import replace_file, why_not_writable
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.objects import same_json
from gitsnap.core.ports import ClusterInfo, Page
from gitsnap.format import path_of
from gitsnap.kube.api_resources import CUSTOM_RESOURCE_DEFINITION

PAGE_SIZE = 500
STATE_FILE = ".gitsnap-cluster.json"
"""Holds the highest resource version that was assigned; the first write creates it."""

UNKNOWN_CLUSTER = "directory"
"""The identity of every folder without a kube-system namespace."""

_NAMESPACE = Kind("", "Namespace")
_SECRET = Kind("", "Secret")
_KUBE_SYSTEM = ObjectKey(_NAMESPACE, "", "kube-system")


@dataclass(frozen=True, slots=True)
class _StoredObject:
    """An object as an API server would return it, and its file. The document is replaced, never changed."""

    document: JsonObject
    file: ObjectFile


class DirectoryCluster:
    """The objects in a folder of YAML and JSON files (ports.Cluster).

    Writes of other gitsnap processes are visible at once. A change with an editor is visible when the object is read or
    written by name, or when the folder is opened again.
    """

    def __init__(self, folder: Path, *, known_kinds: KnownKinds, read_only: bool = False, uid: str = "") -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder", hint="Name a folder of YAML files with --from-dir.")
        self._folder = folder
        self._kind_table = KindTable(known_kinds)
        self._read_only = read_only
        self._uid = uid
        self._files: dict[Path, ObjectFile] = {}
        self._kinds: dict[Kind, dict[ObjectKey, _StoredObject]] = {}
        self._served: dict[Kind, ServedKind] = {}
        self._version = 0
        self._state_stamp: tuple[int, int, int] | None = None
        self._read_all()

    def reading_within(self, seconds: float) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 - see below
        """See ports.Cluster. A folder needs no time limit."""
        return contextlib.nullcontext()

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """See ports.Cluster. Errors of a folder never quote a value."""

    def info(self) -> ClusterInfo:
        """The identity: the uid of kube-system, otherwise ``uid``, otherwise ``UNKNOWN_CLUSTER``."""
        kube_system = self._kinds.get(_NAMESPACE, {}).get(_KUBE_SYSTEM)
        uid = str(kube_system.document["metadata"]["uid"]) if kube_system else self._uid or UNKNOWN_CLUSTER
        folder = str(self._folder)
        objects = sum(map(len, self._kinds.values()))
        return ClusterInfo(uid, folder, "directory", version="", keeps_versions=False, is_folder=True, objects=objects)

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The served form of a kind, None if it is not served.

        Known kinds and kinds of Kubernetes itself are always served, others if the folder has an object or a
        CustomResourceDefinition of them.
        """
        served = self._serving(kind)
        return served.resource if served else None

    # Reading ----------------------------------------------------------------------------------------------------------

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,  # noqa: ARG002 - whole objects cost nothing here
    ) -> Iterator[Page]:
        """Pages sorted by namespace and name. Raises GoneError for any resource version but the current one."""
        self._refresh(None)
        version = str(self._version)
        if resource_version and resource_version != version:
            raise GoneError(f"{self._folder} has no state at version {resource_version}, only at {version}")
        matchers = [label_matcher(label_selector)] if label_selector else []
        if field_selector:
            supported = {"metadata.name", "metadata.namespace", *(["type"] if resource.kind == _SECRET else [])}
            matchers.append(field_matcher(field_selector, supported=supported))
        documents = [
            stored.document
            for key, stored in sorted(self._kinds.get(resource.kind, {}).items(), key=lambda pair: pair[0])
            if (not namespace or key.namespace == namespace) and all(matches(stored.document) for matches in matchers)
        ]
        for start in range(0, len(documents), PAGE_SIZE) or (0,):
            yield Page([copy_json(document) for document in documents[start : start + PAGE_SIZE]], version)

    def get(self, key: ObjectKey) -> JsonObject:
        """Read one object."""
        self._refresh(key)
        document: JsonObject = copy_json(self._find(key).document)
        return document

    # Writing ----------------------------------------------------------------------------------------------------------

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create an object, in a file of its own unless a file has the path already."""
        key = ObjectKey.of(document)
        with self._writing(key):
            served = self._require(key)
            if key in self._kinds.get(key.kind, {}):
                raise AlreadyExistsError(f"{key} already exists in {self._folder}")
            refuse_version(key, document["metadata"])
            self._check_namespace(key)
            new = _accepted(document)
            new = with_status_of(None, new) if served.status else new
            new["metadata"] |= {"uid": str(uuid.uuid4()), "resourceVersion": str(self._version)}
            path = self._folder / path_of(key)
            return self._commit(key, new, self._files.get(path) or ObjectFile(path), dry_run=dry_run)

    def update(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; its uid and resource version are preconditions."""
        key = ObjectKey.of(document)
        with self._writing(key):
            live = self._find(key)
            require_identity(key, document["metadata"])
            return self._replace(key, live, document, dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Apply a JSON merge patch to an object."""
        with self._writing(key):
            live = self._find(key)
            check_preconditions(key, live.document, patch.get("metadata") or {})
            return self._replace(key, live, merge_patch(live.document, patch), dry_run=dry_run)

    def _replace(self, key: ObjectKey, live: _StoredObject, document: JsonObject, *, dry_run: bool) -> JsonObject:
        check_preconditions(key, live.document, document["metadata"])
        new = _accepted(document)
        if self._require(key).status:
            new = with_status_of(live.document, new)
        new["metadata"] |= {field: live.document["metadata"][field] for field in ("uid", "resourceVersion")}
        check_immutable(key, live.document, new)
        if same_json(new, live.document):
            return new  # as on a server, a write without a change keeps the resource version
        return self._commit(key, new, live.file, dry_run=dry_run)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete an object at once; finalizers are ignored."""
        with self._writing(key):
            live = self._find(key)
            check_preconditions(key, live.document, {"uid": uid, "resourceVersion": resource_version})
            if not dry_run:
                self._serving(key.kind)  # remembers the kind, so that the object can be created again
                live.file.put(key, None)
                del self._kinds[key.kind][key]
                self._raise_version()

    def _commit(self, key: ObjectKey, new: JsonObject, file: ObjectFile, *, dry_run: bool) -> JsonObject:
        if not dry_run:
            new["metadata"]["resourceVersion"] = str(self._version + 1)
            file.put(key, new)
            self._files[file.path] = file
            self._kinds.setdefault(key.kind, {})[key] = _StoredObject(new, file)
            self._raise_version()
        copy: JsonObject = copy_json(new)
        return copy

    # Lookup -----------------------------------------------------------------------------------------------------------

    def _find(self, key: ObjectKey) -> _StoredObject:
        stored = self._kinds.get(key.kind, {}).get(key)
        if stored is None:
            if self._serving(key.kind) is None:
                raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
            raise NotFoundError(f"{key} is not in {self._folder}")
        return stored

    def _require(self, key: ObjectKey) -> ServedKind:
        served = self._serving(key.kind)
        if served is None:
            raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
        if not key.name or bool(key.namespace) is not served.resource.namespaced:
            required = "a name" if not key.name else "a namespace" if served.resource.namespaced else "no namespace"
            raise RejectedError(f"an object of kind {key.kind} must have {required}: {key}")
        return served

    def _serving(self, kind: Kind) -> ServedKind | None:
        """The served form of a kind, None if it is not served. A kind stays served after its last object is deleted."""
        if kind not in self._served:
            table = self._kind_table
            definitions = self._kinds.get(CUSTOM_RESOURCE_DEFINITION, {}).values()
            defined = (table.of_definition(stored.document) for stored in definitions)
            served = (
                table.of_objects(kind, (stored.document for stored in self._kinds.get(kind, {}).values()))
                or table.well_known(kind)
                or next((served for served in defined if served and served.resource.kind == kind), None)
            )
            if served is None:
                return None
            self._served[kind] = served
        return self._served[kind]

    def _check_namespace(self, key: ObjectKey) -> None:
        """Check that the namespace of a new object exists. A dump without any namespace is not checked."""
        namespaces = {namespace.name for namespace in self._kinds.get(_NAMESPACE, {})}
        if key.namespace and namespaces and key.namespace not in namespaces:
            raise NotFoundError(f"the namespace {key.namespace} does not exist in {self._folder}")

    # Files ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, key: ObjectKey) -> Iterator[None]:
        """Lock the folder for one writer, and read the changes of other writers first."""
        reason = "is not writable for this user" if self._read_only else why_not_writable(self._folder)
        if reason:
            raise AccessDeniedError(f"{self._folder} {reason}")
        try:
            descriptor = os.open(self._folder, os.O_RDONLY)
        except OSError as error:
            raise AccessDeniedError(f"cannot open {self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._refresh(key)
            yield
        finally:
            os.close(descriptor)

    def _refresh(self, key: ObjectKey | None) -> None:
        """Read the folder again if it changed: gitsnap changes the state file, an editor only the file of ``key``."""
        changed = stamp(self._folder / STATE_FILE) != self._state_stamp
        if key is not None and not changed:
            stored = self._kinds.get(key.kind, {}).get(key)
            path = stored.file.path if stored else self._folder / path_of(key)
            file = self._files.get(path)
            changed = stamp(path) != (file.stamp if file else None)
        if changed:
            self._read_all()

    def _read_all(self) -> None:
        """Read new and changed files, and keep the objects of the others."""
        former = {key: stored for kind in self._kinds.values() for key, stored in kind.items()}
        state_stamp = stamp(self._folder / STATE_FILE)
        files, kinds = self._files, self._kinds
        self._files, self._kinds = {}, {}
        try:
            for path in find_files(self._folder):
                file = files.get(path)
                self._load(file if file and file.stamp == stamp(path) else ObjectFile(path), former)
        except BaseException:  # also Ctrl-C: objects that are not read yet would look deleted
            self._files, self._kinds = files, kinds
            raise
        numbers = (
            stored.document["metadata"]["resourceVersion"] for kind in self._kinds.values() for stored in kind.values()
        )
        self._version = max([1, self._version, self._saved_version(), *(int(n) for n in numbers if n.isdecimal())])
        self._state_stamp = state_stamp

    def _load(self, file: ObjectFile, former: dict[ObjectKey, _StoredObject]) -> None:
        self._files[file.path] = file
        for raw in file.objects:
            key = ObjectKey.of(raw) if isinstance(raw.get("metadata"), dict) else ObjectKey(Kind.of(raw), "", "")
            self._check_key(file.path, key)
            objects = self._kinds.setdefault(key.kind, {})
            if key in objects:
                other = objects[key].file.path
                places = f"twice in {file.path}" if other == file.path else f"in two files: {other} and {file.path}"
                raise InputError(f"{key} is defined {places}")
            known = former.get(key)
            if known is None or known.file is not file:  # a new or changed file
                known = _StoredObject(_completed(raw, key, known.document if known else None), file)
            objects[key] = known

    def _check_key(self, path: Path, key: ObjectKey) -> None:
        row = self._kind_table.well_known(key.kind)
        if not key.name:
            raise InputError(f"{path}: an object of kind {key.kind} has no metadata.name")
        if row is not None and row.resource.namespaced and not key.namespace:
            raise InputError(f"{path}: {key} has no metadata.namespace")
        if row is not None and not row.resource.namespaced and key.namespace:
            raise InputError(f"{path}: {key} has a metadata.namespace, but its kind is cluster-scoped")

    def _raise_version(self) -> None:
        """Write a new version to the state file, after the object: a reader that sees the version finds the object."""
        self._version += 1
        path = self._folder / STATE_FILE
        try:
            content = json.dumps({"resourceVersion": self._version}).encode() + b"\n"
            replace_file(path, content, mode=ORDINARY_MODE, keep_mode=True, durable=True)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from None
        self._state_stamp = stamp(path)

    def _saved_version(self) -> int:
        path = self._folder / STATE_FILE
        try:
            return int(json.loads(path.read_bytes())["resourceVersion"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{path} is damaged", hint="Delete it: the next write creates it again.") from None


def _accepted(document: JsonObject) -> JsonObject:
    """A copy of a document that a caller sent, completed as by an API server. Raises RejectedError."""
    mismatch = find_mismatch(document)
    if mismatch is not None:
        raise RejectedError(f"{ObjectKey.of(document)}: {mismatch}")
    new: JsonObject = copy_json(with_string_data(with_empty_strings(document)))
    if Kind.of(new) == _SECRET:
        new.setdefault("type", "Opaque")
    return new


def _completed(raw: JsonObject, key: ObjectKey, former: JsonObject | None) -> JsonObject:
    """An object of a file with the fields that an API server adds. Its content determines uid and resource version.

    A dump that was edited still has the old resource version. The changed content then gets another one, so that a
    write which was planned on the old content is a conflict. ``former``: the object as it was read before.
    """
    document = with_string_data(with_empty_strings({**raw, "metadata": dict(raw["metadata"])}))
    if key.kind == _SECRET:
        document.setdefault("type", "Opaque")
    metadata = document["metadata"]
    metadata["uid"] = str(metadata.get("uid") or uuid.uuid5(uuid.NAMESPACE_URL, str(key)))
    metadata["resourceVersion"] = str(metadata.get("resourceVersion") or _version_of_content(document))
    if former is not None:
        known_version = former["metadata"]["resourceVersion"]
        if same_json(metadata["resourceVersion"], known_version) and not same_json(document, former):
            metadata["resourceVersion"] = _version_of_content(document)
        elif same_json({**document, "metadata": {**metadata, "resourceVersion": known_version}}, former):
            metadata["resourceVersion"] = known_version
    return document


def _version_of_content(document: JsonObject) -> str:
    return f"c{hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]}"
