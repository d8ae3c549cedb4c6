"""Searches the YAML of an object for references to some objects, without decoding the YAML.

The search may find a reference where there is none. It never misses a reference that ``references`` resolves by a name
in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.name_matcher import NameMatcher

_PAIR = re.compile(rb"^( *(?:- )*)name: ([a-z0-9.-]+)\n( *)namespace: ([a-z0-9.-]+)$", re.MULTILINE)
"""A name with a namespace. Both are fields of one mapping if they start in the same column."""
_TEMPLATE_OR_MERGE_KEY = re.compile(rb"\{\{|<<")


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
        if _TEMPLATE_OR_MERGE_KEY.search(content):
            return True
        # These namespaces can apply besides the written namespace: "" is that of a cluster-scoped target.
        implied = {b"", namespace.encode(), kinds.SVELTOS_NAMESPACE.encode()}

        def without_other_targets(pair: re.Match[bytes]) -> bytes:
            before_name, name, before_namespace, written = pair.groups()
            is_other = self._namespaces.get(name, set()).isdisjoint({written, *implied})
            return b"" if is_other and len(before_name) == len(before_namespace) else pair[0]

        return self._names.matches(_PAIR.sub(without_other_targets, content))
