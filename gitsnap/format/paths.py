"""Paths of objects in the archive: ``<namespace or _cluster>/<Kind>[.<group>]/<name>.yaml`` below an area.

Two objects never share a path, even on a file system that folds case, reserves device names or limits the length of
names. A path is only an index: the identity of an object is in its content.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from urllib.parse import unquote

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format.constants import CLUSTER_SCOPED, EXTENSION

_LONGEST_COMPONENT = 255
_HASH_DIGITS = 32
_UNSAFE = re.compile(r"[^a-z0-9.-]")
_UNSAFE_IN_KIND = re.compile(r"[^A-Za-z0-9.-]")
_PLAIN = re.compile(r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z))[a-z0-9-][a-z0-9.-]{0,249}\Z")
"""A name that needs no encoding, like those of most objects. ``_component`` does not change such a name."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)")


def path_of(key: ObjectKey) -> str:
    """The path of an object below an area's folder."""
    namespace = _namespace_folder(key.namespace) if key.namespace else CLUSTER_SCOPED
    return f"{namespace}/{kind_folder(key.kind)}/{file_of(key.name)}"


def file_of(name: str) -> str:
    """The file name of an object, which depends on the object's name alone."""
    return name + EXTENSION if _PLAIN.match(name) else _component(name, EXTENSION)


def key_of(path: str) -> ObjectKey | None:
    """The inverse of ``path_of``. None for a path with encoded characters: the key must be read from the content."""
    parts = path.split("/")
    if len(parts) != 3 or "%" in path or not parts[2].endswith(EXTENSION):
        return None
    namespace = "" if parts[0] == CLUSTER_SCOPED else parts[0]
    return ObjectKey(Kind.parse(parts[1]), namespace, parts[2].removesuffix(EXTENSION))


def shown_key(path: str) -> ObjectKey | None:
    """The key of an object below an area's folder, for messages. The key is exact unless the name has over 255 bytes.

    None for the path of a file that gitsnap did not write.
    """
    parts = path.removesuffix(EXTENSION).split("/")
    if len(parts) != 3:
        return None
    namespace, kind, name = map(unquote, parts)
    return ObjectKey(Kind.parse(kind), "" if namespace == CLUSTER_SCOPED else namespace, name)


@lru_cache(maxsize=1024)
def kind_folder(kind: Kind) -> str:
    """``ConfigMap``, ``ClusterProfile.config.projectsveltos.io``.

    The kind keeps its capitals for readers. Two kinds of a group never differ in capitals alone: the API server refuses
    a CRD whose plural exists.
    """
    group = f".{kind.group}" if kind.group else ""
    return _fitted(_guarded(_UNSAFE_IN_KIND.sub(_percent, f"{kind.name}{group}")), "")


@lru_cache(maxsize=1024)
def _namespace_folder(namespace: str) -> str:
    return _component(namespace, "")


def _component(name: str, extension: str) -> str:
    return _fitted(_guarded(_UNSAFE.sub(_percent, name) + extension), extension)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _guarded(component: str) -> str:
    """Encode one character of a hidden name (``.``, ``..``, ``.git``), a Windows device name, or a trailing dot."""
    if component.startswith(".") or _DEVICE.match(component.lower()):
        component = f"%{ord(component[0]):02X}{component[1:]}"
    if component.endswith("."):
        component = f"{component[:-1]}%2E"
    return component


def _fitted(component: str, extension: str) -> str:
    """At most 255 bytes. A hash replaces the end of a longer name, after ``%~``, which the encoding never produces."""
    if len(component) <= _LONGEST_COMPONENT:
        return component
    digest = hashlib.sha256(component.encode()).hexdigest()[:_HASH_DIGITS]
    tail = f"%~{digest}{extension}"
    return component[: _LONGEST_COMPONENT - len(tail)] + tail
