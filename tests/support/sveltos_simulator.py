"""Sveltos as far as matching goes, written anew from its documentation: it acts after every single write.

Independent of ``gitsnap.sveltos.matching``, so that a rule that gitsnap has wrong shows as a lost match.
This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.model import JsonObject, ObjectKey

Pair = tuple[ObjectKey, ObjectKey]
"""A profile and a cluster."""

_PAUSED = "profile.projectsveltos.io/paused"


@dataclass
class Simulator:
    """Keeps what each profile has deployed where, and every pair that it lost."""

    objects: Mapping[ObjectKey, JsonObject]
    deployed: dict[ObjectKey, set[ObjectKey]] = field(default_factory=dict)
    lost: set[Pair] = field(default_factory=set)

    def act(self) -> None:
        """What Sveltos does after a write."""
        profiles = {key for key in self.objects if key.kind.name in ("ClusterProfile", "Profile")}
        for key in profiles | self.deployed.keys():
            if key in profiles and _PAUSED in (self.objects[key]["metadata"].get("annotations") or {}):
                continue
            now = self._matching(key) if key in profiles else set()
            self.lost |= {(key, cluster) for cluster in self.deployed.get(key, set()) - now}
            self.deployed[key] = now

    def _matching(self, key: ObjectKey) -> set[ObjectKey]:
        spec = self.objects[key]["spec"]
        namespace = key.namespace
        found = self._selected(spec, namespace)
        set_kind = "Set" if key.kind.name == "Profile" else "ClusterSet"
        for other, document in self.objects.items():
            if other.kind.name == set_kind and other.namespace == namespace and other.name in spec.get("setRefs", ()):
                found |= self._selected(document["spec"], namespace)
        return found

    def _selected(self, spec: JsonObject, namespace: str) -> set[ObjectKey]:
        clusters = {
            key: document["metadata"].get("labels") or {}
            for key, document in self.objects.items()
            if key.kind.name == "SveltosCluster" and namespace in ("", key.namespace)
        }
        named = {(namespace or one.get("namespace"), one["name"]) for one in spec.get("clusterRefs", ())}
        selector = spec.get("clusterSelector") or {}
        return {
            key for key, labels in clusters.items() if (key.namespace, key.name) in named or _selects(selector, labels)
        }


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted, terms = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not wanted and not terms:
        return False
    for key, value in wanted.items():
        if labels.get(key) != value:
            return False
    for term in terms:
        present, value = term["key"] in labels, labels.get(term["key"])
        fits = {
            "In": present and value in term.get("values", ()),
            "NotIn": not present or value not in term.get("values", ()),
            "Exists": present,
            "DoesNotExist": not present,
        }
        if not fits[term["operator"]]:
            return False
    return True
