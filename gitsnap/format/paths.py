"""Where an object lies in the archive: ``<namespace or _cluster>/<Kind>[.<group>]/<name>.yaml`` below an area.

Two different objects never share a path, on any file system: one that folds case, forbids device names or cuts long
names included. The path is only an index: what an object is, its content says.
This module must not touch a file system.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format.constants import CLUSTER_SCOPED, EXTENSION

_LONGEST_COMPONENT = 255
_HASH_DIGITS = 32
_UNSAFE = re.compile(r"[^a-z0-9.-]")
_UNSAFE_IN_KIND = re.compile(r"[^A-Za-z0-9.-]")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)")


def path_of(key: ObjectKey) -> str:
    """The path of an object below an area's folder."""
    namespace = _namespace_folder(key.namespace) if key.namespace else CLUSTER_SCOPED
    return f"{namespace}/{kind_folder(key.kind)}/{file_of(key.name)}"


def file_of(name: str) -> str:
    """The last part of an object's path, which hangs on its name alone."""
    return _component(name, EXTENSION)


def key_of(path: str) -> ObjectKey | None:
    """The inverse of ``path_of``; None where the path does not tell, and the key must be read from the content."""
    parts = path.split("/")
    if len(parts) != 3 or "%" in path or not parts[2].endswith(EXTENSION):
        return None
    namespace = "" if parts[0] == CLUSTER_SCOPED else parts[0]
    return ObjectKey(Kind.parse(parts[1]), namespace, parts[2].removesuffix(EXTENSION))


@lru_cache(maxsize=1024)
def kind_folder(kind: Kind) -> str:
    """``ConfigMap``, ``ClusterProfile.config.projectsveltos.io``.

    A kind keeps its capitals, since people look for it; a name that differs from another kind of the same group only in
    its capitals cannot be (the API server refuses such a CRD: their plurals would collide).
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
    """No ``.``, ``..``, ``.git`` or other hidden name, no trailing dot, no device name of Windows."""
    if component.startswith(".") or _DEVICE.match(component.lower()):
        component = f"%{ord(component[0]):02X}{component[1:]}"
    if component.endswith("."):
        component = f"{component[:-1]}%2E"
    return component


def _fitted(component: str, extension: str) -> str:
    """At most 255 bytes: the end of what is too long gives way to a hash, after a ``%~`` that no encoding produces."""
    if len(component) <= _LONGEST_COMPONENT:
        return component
    digest = hashlib.sha256(component.encode()).hexdigest()[:_HASH_DIGITS]
    tail = f"%~{digest}{extension}"
    return component[: _LONGEST_COMPONENT - len(tail)] + tail
