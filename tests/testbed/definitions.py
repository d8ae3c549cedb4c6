"""The CustomResourceDefinitions that the test servers get: published ones where they are at hand, else permissive ones.

Permissive means: the kind is served, with status as a subresource where it is one, and any field is accepted.
This module must not talk to a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from gitsnap.sveltos.kinds import KINDS

_ANY_FIELDS = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


NEW_ERA, OLD_ERA = "sveltos-v1.14", "sveltos-v0.57"
"""The releases whose definitions are at hand."""


def definitions(shared: Path | None, era: str = NEW_ERA) -> list[dict[str, Any]]:
    """One definition for each kind of gitsnap's table that is no core kind, and whatever else is published."""
    found = _published(shared, era) if shared is not None else []
    names = {one["metadata"]["name"] for one in found}
    for row in KINDS:
        if row.kind.group and f"{row.plural}.{row.kind.group}" not in names:
            found.append(
                permissive(
                    row.kind.group,
                    row.kind.name,
                    row.plural,
                    namespaced=row.namespaced,
                    versions=row.versions,
                    status=row.status,
                )
            )
    return found


def _published(shared: Path, era: str) -> list[dict[str, Any]]:
    files = [file for folder in (era, "other") for file in sorted((shared / "crds" / folder).glob("*.yaml"))]
    documents = (one for file in files for one in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader))
    return [one for one in documents if one and one["kind"] == "CustomResourceDefinition"]


def permissive(
    group: str,
    kind: str,
    plural: str,
    *,
    namespaced: bool,
    versions: Iterable[str] = ("v1",),
    status: bool = True,
) -> dict[str, Any]:
    """A definition that accepts every object of the kind; the first version is the stored one."""
    schema = {"type": "object", "properties": {"spec": _ANY_FIELDS, "status": _ANY_FIELDS, "data": _ANY_FIELDS}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups below k8s.io and x-k8s.io are protected: the server wants to hear who approved the kind.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": position == 0,
                    "schema": {"openAPIV3Schema": schema},
                    **({"subresources": {"status": {}}} if status else {}),
                }
                for position, version in enumerate(versions)
            ],
        },
    }
