"""A folder of YAML files as a small cluster: for a demo, for a dump on a laptop (``--from-dir``), for fast tests.

It behaves as an API server would: resource versions and conflicts, dry run, immutable fields, status as a subresource,
``stringData`` merged into ``data``. What no folder can know it does not pretend: there are no schemas and no RBAC, and
nobody works off finalizers. This module must not parse or write YAML; ``files`` does.
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

from gitsnap.cluster.directory.files import ObjectFile, find_files, stamp, write_atomically
from gitsnap.cluster.directory.selectors import field_matcher, label_matcher
from gitsnap.cluster.directory.served_kinds import DEFINITION, KindTable, ServedKind
from gitsnap.cluster.directory.text_fields import misfit, with_empty_texts
from gitsnap.cluster.known_kinds import KnownKinds
from gitsnap.cluster.semantics import (
    check_preconditions,
    check_unchangeable,
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
from gitsnap.core.model import ClusterInfo, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Page
from gitsnap.format import path_of

PAGE_SIZE = 500
STATE_FILE = ".gitsnap-cluster.json"
"""Holds the highest resource version given out; made by the first write."""

UNKNOWN_CLUSTER = "directory"
"""The identity of a folder without a kube-system namespace; all such folders share it."""

_NAMESPACE = Kind("", "Namespace")
_SECRET = Kind("", "Secret")
_KUBE_SYSTEM = ObjectKey(_NAMESPACE, "", "kube-system")


@dataclass(frozen=True, slots=True)
class _Held:
    """An object as a server would show it, and the file it lies in. The document is replaced, never changed."""

    document: JsonObject
    file: ObjectFile


class DirectoryCluster:
    """The objects in a folder of YAML and JSON files (ports.Cluster).

    What other processes of gitsnap write shows at once. What a person changes with an editor shows when the object is
    read or written by its name, or when the folder is opened again.
    """

    def __init__(self, folder: Path, *, known_kinds: KnownKinds, read_only: bool = False, uid: str = "") -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of YAML files", hint="Name one with --from-dir.")
        self._folder = folder
        self._kind_table = KindTable(known_kinds)
        self._read_only = read_only
        self._uid = uid
        self._files: dict[Path, ObjectFile] = {}
        self._kinds: dict[Kind, dict[ObjectKey, _Held]] = {}
        self._served: dict[Kind, ServedKind] = {}
        self._version = 0
        self._state_stamp: tuple[int, int, int] | None = None
        self._read_all()

    def reading_within(self, seconds: float) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 - see below
        """See ports.Cluster; a folder keeps nobody waiting."""
        return contextlib.nullcontext()

    def hush(self, kinds: Iterable[Kind]) -> None:
        """Nothing to do: no error of a folder quotes a value."""

    def info(self) -> ClusterInfo:
        """The uid of kube-system where the folder has that namespace; otherwise one that all such folders share."""
        held = self._kinds.get(_NAMESPACE, {}).get(_KUBE_SYSTEM)
        uid = str(held.document["metadata"]["uid"]) if held else self._uid or UNKNOWN_CLUSTER
        folder = str(self._folder)
        return ClusterInfo(uid, folder, "directory", version="", keeps_versions=False, is_folder=True)

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """The kinds of Sveltos and of Kubernetes itself are always served, others if the folder shows them.

        It shows a kind by an object of it or by its CustomResourceDefinition.
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
        """Pages by namespace and name. Only the present version can be asked for: a folder has no past."""
        self._take_in_changes(None)
        version = str(self._version)
        if resource_version and resource_version != version:
            raise GoneError(f"{self._folder} has no state at version {resource_version}, only at {version}")
        matchers = [label_matcher(label_selector)] if label_selector else []
        if field_selector:
            supported = {"metadata.name", "metadata.namespace", *(["type"] if resource.kind == _SECRET else [])}
            matchers.append(field_matcher(field_selector, supported=supported))
        found = [
            held.document
            for key, held in sorted(self._kinds.get(resource.kind, {}).items(), key=lambda pair: pair[0])
            if (not namespace or key.namespace == namespace) and all(matches(held.document) for matches in matchers)
        ]
        for start in range(0, len(found), PAGE_SIZE) or (0,):
            yield Page([copy_json(one) for one in found[start : start + PAGE_SIZE]], version)

    def get(self, key: ObjectKey) -> JsonObject:
        """One object."""
        self._take_in_changes(key)
        document: JsonObject = copy_json(self._find(key).document)
        return document

    # Writing ----------------------------------------------------------------------------------------------------------

    def create(self, document: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create, in a file of its own unless there is one at that place."""
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
        """Replace; uid and resource version must be the present ones."""
        key = ObjectKey.of(document)
        with self._writing(key):
            live = self._find(key)
            require_identity(key, document["metadata"])
            return self._replace(key, live, document, dry_run=dry_run)

    def patch(self, key: ObjectKey, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """JSON merge patch."""
        with self._writing(key):
            live = self._find(key)
            check_preconditions(key, live.document, patch.get("metadata") or {})
            return self._replace(key, live, merge_patch(live.document, patch), dry_run=dry_run)

    def _replace(self, key: ObjectKey, live: _Held, document: JsonObject, *, dry_run: bool) -> JsonObject:
        check_preconditions(key, live.document, document["metadata"])
        new = _accepted(document)
        if self._require(key).status:
            new = with_status_of(live.document, new)
        new["metadata"] |= {field: live.document["metadata"][field] for field in ("uid", "resourceVersion")}
        check_unchangeable(key, live.document, new)
        if same_json(new, live.document):
            return new  # as on a server, a write that changes nothing makes no new version
        return self._commit(key, new, live.file, dry_run=dry_run)

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str = "", dry_run: bool = False) -> None:
        """Delete at once: a folder has nobody who would work off finalizers."""
        with self._writing(key):
            live = self._find(key)
            check_preconditions(key, live.document, {"uid": uid, "resourceVersion": resource_version})
            if not dry_run:
                self._serving(key.kind)  # remembers the kind: an object of it may come back
                live.file.put(key, None)
                del self._kinds[key.kind][key]
                self._raise_version()

    def _commit(self, key: ObjectKey, new: JsonObject, file: ObjectFile, *, dry_run: bool) -> JsonObject:
        if not dry_run:
            new["metadata"]["resourceVersion"] = str(self._version + 1)
            file.put(key, new)
            self._files[file.path] = file
            self._kinds.setdefault(key.kind, {})[key] = _Held(new, file)
            self._raise_version()
        copy: JsonObject = copy_json(new)
        return copy

    # Looking up -------------------------------------------------------------------------------------------------------

    def _find(self, key: ObjectKey) -> _Held:
        held = self._kinds.get(key.kind, {}).get(key)
        if held is None:
            if self._serving(key.kind) is None:
                raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
            raise NotFoundError(f"{key} is not in {self._folder}")
        return held

    def _require(self, key: ObjectKey) -> ServedKind:
        served = self._serving(key.kind)
        if served is None:
            raise KindNotInstalledError(f"{self._folder} has no kind {key.kind}")
        if not key.name or bool(key.namespace) is not served.resource.namespaced:
            what = "a name" if not key.name else "a namespace" if served.resource.namespaced else "no namespace"
            raise RejectedError(f"an object of kind {key.kind} needs {what}: {key}")
        return served

    def _serving(self, kind: Kind) -> ServedKind | None:
        """How a kind is served; what has been served once stays so, though its last object may go."""
        if kind not in self._served:
            table = self._kind_table
            defined = (table.of_definition(held.document) for held in self._kinds.get(DEFINITION, {}).values())
            served = (
                table.of_objects(kind, (held.document for held in self._kinds.get(kind, {}).values()))
                or table.well_known(kind)
                or next((served for served in defined if served and served.resource.kind == kind), None)
            )
            if served is None:
                return None
            self._served[kind] = served
        return self._served[kind]

    def _check_namespace(self, key: ObjectKey) -> None:
        """A dump often lacks namespaces; where it has any, an object needs one of them, as on a server."""
        namespaces = {one.name for one in self._kinds.get(_NAMESPACE, {})}
        if key.namespace and namespaces and key.namespace not in namespaces:
            raise NotFoundError(f"the namespace {key.namespace} does not exist in {self._folder}")

    # Keeping ----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, key: ObjectKey) -> Iterator[None]:
        """One writer at a time, by a lock on the folder itself; what others have written is taken in first."""
        if self._read_only or not os.access(self._folder, os.W_OK):
            raise AccessDeniedError(f"{self._folder} is not writable for this user")
        try:
            descriptor = os.open(self._folder, os.O_RDONLY)
        except OSError as error:
            raise AccessDeniedError(f"cannot open {self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._take_in_changes(key)
            yield
        finally:
            os.close(descriptor)

    def _take_in_changes(self, key: ObjectKey | None) -> None:
        """Every writer touches the state file last; a person with an editor touches only the file of the object."""
        changed = stamp(self._folder / STATE_FILE) != self._state_stamp
        if key is not None and not changed:
            held = self._kinds.get(key.kind, {}).get(key)
            path = held.file.path if held else self._folder / path_of(key)
            file = self._files.get(path)
            changed = stamp(path) != (file.stamp if file else None)
        if changed:
            self._read_all()

    def _read_all(self) -> None:
        """Read the files that are new or have changed; the objects of the others are kept."""
        former = {key: held for kind in self._kinds.values() for key, held in kind.items()}
        state_stamp = stamp(self._folder / STATE_FILE)
        files, kinds = self._files, self._kinds
        self._files, self._kinds = {}, {}
        try:
            for path in find_files(self._folder):
                file = files.get(path)
                self._load(file if file and file.stamp == stamp(path) else ObjectFile(path), former)
        except BaseException:
            self._files, self._kinds = files, kinds
            raise
        numbers = (
            held.document["metadata"]["resourceVersion"] for kind in self._kinds.values() for held in kind.values()
        )
        self._version = max([1, self._version, self._saved_version(), *(int(n) for n in numbers if n.isdecimal())])
        self._state_stamp = state_stamp

    def _load(self, file: ObjectFile, former: dict[ObjectKey, _Held]) -> None:
        self._files[file.path] = file
        for raw in file.objects:
            key = ObjectKey.of(raw) if isinstance(raw.get("metadata"), dict) else ObjectKey(Kind.of(raw), "", "")
            self._check_key(file.path, key)
            objects = self._kinds.setdefault(key.kind, {})
            if key in objects:
                other = objects[key].file.path
                places = f"twice in {file.path}" if other == file.path else f"in two files: {other} and {file.path}"
                raise InputError(f"{key} stands {places}")
            held = former.get(key)
            kept = held is not None and held.file is file
            objects[key] = held if held and kept else _Held(_completed(raw, key, held.document if held else None), file)

    def _check_key(self, path: Path, key: ObjectKey) -> None:
        row = self._kind_table.well_known(key.kind)
        if not key.name:
            raise InputError(f"{path}: an object of kind {key.kind} has no metadata.name")
        if row is not None and row.resource.namespaced and not key.namespace:
            raise InputError(f"{path}: {key} has no metadata.namespace")
        if row is not None and not row.resource.namespaced and key.namespace:
            raise InputError(f"{path}: {key} has a metadata.namespace, but its kind is cluster-scoped")

    def _raise_version(self) -> None:
        """After the object is written: whoever sees the new state file finds the object too."""
        self._version += 1
        path = self._folder / STATE_FILE
        try:
            write_atomically(path, json.dumps({"resourceVersion": self._version}).encode() + b"\n")
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
            raise InputError(f"{path} is damaged", hint="Delete it: the next write makes it anew.") from None


def _accepted(document: JsonObject) -> JsonObject:
    """A copy of what a caller sent, with what a server fills in on the way. Raises RejectedError."""
    wrong = misfit(document)
    if wrong is not None:
        raise RejectedError(f"{ObjectKey.of(document)}: {wrong}")
    new: JsonObject = copy_json(with_string_data(with_empty_texts(document)))
    if Kind.of(new) == _SECRET:
        new.setdefault("type", "Opaque")
    return new


def _completed(raw: JsonObject, key: ObjectKey, former: JsonObject | None) -> JsonObject:
    """What a server would have added to an object of a file: uid and resource version, here made from the object.

    Somebody who edits a dump leaves the old resource version in it: then the new content makes one, so that a write
    which was planned on the old content is a conflict.
    """
    document = with_string_data(with_empty_texts({**raw, "metadata": dict(raw["metadata"])}))
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
