"""``gitsnap.yaml``: what a reader needs to know to interpret a tree (docs/FORMAT.md).

This module must not know git.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.model import Kind, ResourceSelector, SecretsInfo, SecretsMode, SensitiveField, TreeInfo
from gitsnap.format.constants import FEATURES, FORMAT, SENSITIVE_FIELDS
from gitsnap.format.masking import steps_of
from gitsnap.format.yaml.emitter import encode
from gitsnap.format.yaml.reader import decode


def tree_info_to_bytes(info: TreeInfo) -> bytes:
    """The content of ``gitsnap.yaml``."""
    secrets: dict[str, Any] = {"mode": str(info.secrets.mode)}
    if info.secrets.fingerprint_key:
        secrets["fingerprintKey"] = info.secrets.fingerprint_key
    if info.secrets.recipients:
        secrets["recipients"] = sorted(info.secrets.recipients)
    if info.secrets.sensitive_fields:
        secrets["sensitiveFields"] = [
            {"kind": str(one.kind), "path": one.path} for one in sorted(info.secrets.sensitive_fields)
        ]
    return encode(
        {
            "format": info.format,
            "rules": info.rules,
            "policy": info.policy,
            "branch": info.branch,
            "requires": [SENSITIVE_FIELDS] if info.secrets.sensitive_fields else [],
            "scope": {
                "kinds": sorted(str(kind) for kind in info.kinds),
                "resources": [_resource_document(one) for one in info.resources],
            },
            "secrets": secrets,
        }
    )


def _resource_document(selector: ResourceSelector) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": str(selector.kind)}
    if selector.namespaces:
        document["namespaces"] = sorted(selector.namespaces)
    if selector.label_selector:
        document["labelSelector"] = selector.label_selector
    if selector.exclude_namespaces:
        document["excludeNamespaces"] = sorted(selector.exclude_namespaces)
    if selector.exclude_names:
        document["excludeNames"] = sorted(selector.exclude_names)
    return document


def tree_info_from_bytes(data: bytes) -> TreeInfo:
    """The inverse of ``tree_info_to_bytes``. Unknown keys are ignored unless ``requires`` names them.

    Raises ArchiveError when the tree needs a newer gitsnap, or when the file is not valid.
    """
    try:
        document = decode(data)
        version = document["format"]
        if version > FORMAT:
            raise ArchiveError(
                f"the tree is of archive format {version}; this gitsnap reads up to format {FORMAT}",
                hint="Use a newer gitsnap.",
            )
        unknown = sorted(set(document.get("requires") or ()) - FEATURES)
        if unknown:
            raise ArchiveError(
                f"the tree needs features that this gitsnap does not know: {', '.join(map(str, unknown))}",
                hint="Use a newer gitsnap.",
            )
        secrets, scope = document["secrets"], document["scope"]
        return TreeInfo(
            policy=_text(document["policy"]),
            branch=_text(document["branch"]),
            kinds=tuple(sorted(Kind.parse(kind) for kind in scope["kinds"])),
            resources=tuple(
                ResourceSelector(
                    Kind.parse(one["kind"]),
                    tuple(one.get("namespaces", ())),
                    one.get("labelSelector", ""),
                    tuple(one.get("excludeNamespaces", ())),
                    tuple(one.get("excludeNames", ())),
                )
                for one in scope.get("resources") or ()
            ),
            secrets=_secrets_info(secrets),
            rules=document["rules"],
            format=version,
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"gitsnap.yaml of the tree is not valid: {error}") from None


def branch_in_tree_info(data: bytes) -> str | None:
    """The branch that a ``gitsnap.yaml`` of any format version names, None where it names none."""
    try:
        branch = decode(data)["branch"]
    except (InputError, KeyError, TypeError):
        return None
    return branch if isinstance(branch, str) and branch else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _secrets_info(secrets: Mapping[str, Any]) -> SecretsInfo:
    listed = secrets.get("sensitiveFields") or ()
    fields = sorted(SensitiveField(Kind.parse(one["kind"]), one["path"]) for one in listed)
    for one in fields:
        steps_of(one.path)
    return SecretsInfo(
        SecretsMode(secrets["mode"]),
        secrets.get("fingerprintKey", ""),
        tuple(secrets.get("recipients", ())),
        tuple(fields),
    )
