"""Searches the YAML of an object for references to some objects, without decoding the YAML.

The search may find a reference where there is none. It never misses a reference that ``references`` resolves by a name
in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitsnap.core.model import ObjectKey
from gitsnap.format.constants import CLUSTER_SCOPED, EXTENSION
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.name_matcher import NameMatcher, words_of

_PAIR = re.compile(
    rb"^(?P<before_name> *(?:- )*)name: (?P<name>[a-z0-9.-]+)\n"
    rb"(?P<before_namespace> *)namespace: (?P<namespace>[a-z0-9.-]+)$",
    re.MULTILINE,
)
"""A name with a namespace. Both are fields of one mapping if they start in the same column."""
_ACTION, _MERGE_KEY = b"{{", b"<<"
_VALUES = re.compile(rb"^( *)values: (?:\"(?:[^\"\\\n]|\\.)*\"$|\|[^\n]*(?:\n\1  [^\n]*|\n(?=\n))*)", re.MULTILINE)
"""The values of a chart, as the YAML emitter writes them. They are often templates, and never name an object."""


class TargetSearch:
    """Searches for a fixed set of objects."""

    def __init__(self, targets: Iterable[ObjectKey]) -> None:
        self._namespaces: dict[bytes, set[bytes]] = {}
        """Name -> the namespaces of the objects with this name."""
        names = set()
        for target in targets:
            names.add(target.name)
            self._namespaces.setdefault(target.name.encode(), set()).add(target.namespace.encode())
        self._names = NameMatcher(names)

    def may_refer(self, content: bytes, namespace: str) -> bool:
        """Return whether an object may refer to one of the targets.

        ``content``: the YAML of the object. ``namespace``: its namespace, which replaces the written namespace in some
        fields.
        """
        if _MERGE_KEY in content or (_ACTION in content and _ACTION in _VALUES.sub(b"", content)):
            return True
        implied = _implied_namespaces(namespace)
        return any(self._may_be_target(content, start, name, implied) for start, name in self._names.find(content))

    def _may_be_target(self, content: bytes, start: int, name: bytes, implied: frozenset[bytes]) -> bool:
        """Return whether the name at a position may name a target: no other namespace is written beside the name."""
        pair = _PAIR.match(content, content.rfind(b"\n", 0, start) + 1)
        if pair is None or pair.start("name") != start or not _is_one_mapping(pair):
            return True
        return not self._namespaces[name].isdisjoint({pair["namespace"], *implied})


class WrittenNames:
    """The names in the YAML of some objects, to find the objects to which these may refer.

    The search may find too many objects. It finds every object that ``references`` resolves by a name in the text for
    one of the given clusters.
    """

    def __init__(self, clusters: Iterable[ClusterRef]) -> None:
        self.namespaces = {cluster.namespace for cluster in clusters}
        """The namespaces of all objects that may be named, and others. A name without a namespace may be that of an
        object in the namespace of the cluster (rule R)."""
        self._namespaces: dict[str, set[str]] = {}
        """Name -> the namespaces that are written beside the name, or that may replace the written namespaces."""
        self._anywhere: set[str] = set()
        """The words without a namespace."""

    def add(self, content: bytes, namespace: str) -> None:
        """Add the names in the YAML of an object in a namespace."""
        implied = {name.decode() for name in _implied_namespaces(namespace)}

        def without_pair(pair: re.Match[bytes]) -> bytes:
            if not _is_one_mapping(pair):
                return pair[0]
            written = pair["namespace"].decode()
            self._namespaces.setdefault(pair["name"].decode(), set()).update(implied, (written,))
            self.namespaces.add(written)
            return b""

        words = {word.decode() for word in words_of(_PAIR.sub(without_pair, content))}
        self._anywhere |= words
        self.namespaces |= words | implied  # a text such as ``namespace/name`` has both as words

    def may_name(self, path: str) -> bool:
        """Return whether the object at a path below ``configuration/`` may be named."""
        if "%" in path:  # the path is encoded
            return True
        namespace, _, file_name = path.partition("/")
        name = file_name.rpartition("/")[2].removesuffix(EXTENSION)
        in_namespace = "" if namespace == CLUSTER_SCOPED else namespace
        return name in self._anywhere or in_namespace in self._namespaces.get(name, ())


def _implied_namespaces(namespace: str) -> frozenset[bytes]:
    """Return the namespaces that can apply besides the written namespace, for an object in ``namespace``.

    ``""`` is the namespace of a cluster-scoped target.
    """
    return frozenset((b"", namespace.encode(), kinds.SVELTOS_NAMESPACE.encode()))


def _is_one_mapping(pair: re.Match[bytes]) -> bool:
    """Return whether name and namespace are fields of one mapping."""
    return len(pair["before_name"]) == len(pair["before_namespace"])
