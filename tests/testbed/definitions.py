"""The CustomResourceDefinitions of the test servers: published definitions if they are available, else permissive.

A permissive definition accepts any field, and has the status subresource if the kind has one.
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
"""The Sveltos releases whose definitions are available."""


def definitions(shared: Path | None, era: str = NEW_ERA) -> list[dict[str, Any]]:
    """Return a definition for each kind of gitsnap's table except core kinds, and all other published definitions."""
    result = _published(shared, era) if shared is not None else []
    names = {definition["metadata"]["name"] for definition in result}
    for row in KINDS:
        if row.kind.group and f"{row.plural}.{row.kind.group}" not in names:
            result.append(
                permissive(
                    row.kind.group,
                    row.kind.name,
                    row.plural,
                    namespaced=row.namespaced,
                    versions=row.versions,
                    status=row.status,
                )
            )
    return result


def _published(shared: Path, era: str) -> list[dict[str, Any]]:
    files = [file for folder in (era, "other") for file in sorted((shared / "crds" / folder).glob("*.yaml"))]
    documents = (document for file in files for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader))
    return [document for document in documents if document and document["kind"] == "CustomResourceDefinition"]


def permissive(
    group: str,
    kind: str,
    plural: str,
    *,
    namespaced: bool,
    versions: Iterable[str] = ("v1",),
    status: bool = True,
) -> dict[str, Any]:
    """Return a definition that accepts every object of the kind. The first version is the storage version."""
    schema = {"type": "object", "properties": {"spec": _ANY_FIELDS, "status": _ANY_FIELDS, "data": _ANY_FIELDS}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups below k8s.io and x-k8s.io are protected: the server requires an approval annotation.
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
