"""``gitsnap.yaml``: the settings that a reader needs to interpret a tree (docs/FORMAT.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
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
            {"kind": str(field.kind), "path": field.path} for field in sorted(info.secrets.sensitive_fields)
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
                "resources": [_resource_document(selector) for selector in info.resources],
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


@lru_cache(maxsize=16)
def tree_info_from_bytes(data: bytes) -> TreeInfo:
    """The inverse of ``tree_info_to_bytes``. Unknown keys are ignored. Cached: successive samples have equal files.

    Raises ArchiveError if the tree has a newer format, if ``requires`` names an unknown feature, or if the file is not
    valid.
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
            resources=tuple(map(_resource_selector, scope.get("resources") or ())),
            secrets=_secrets_info(secrets),
            rules=document["rules"],
            format=version,
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"gitsnap.yaml of the tree is not valid: {error}") from None


def _resource_selector(document: Mapping[str, Any]) -> ResourceSelector:
    return ResourceSelector(
        Kind.parse(document["kind"]),
        tuple(document.get("namespaces", ())),
        document.get("labelSelector", ""),
        tuple(document.get("excludeNamespaces", ())),
        tuple(document.get("excludeNames", ())),
    )


def branch_in_tree_info(data: bytes) -> str | None:
    """The branch in a ``gitsnap.yaml`` of any format version, None if there is none."""
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
    entries = secrets.get("sensitiveFields") or ()
    fields = sorted(SensitiveField(Kind.parse(entry["kind"]), entry["path"]) for entry in entries)
    for field in fields:
        steps_of(field.path)  # raises InputError for an invalid path
    return SecretsInfo(
        SecretsMode(secrets["mode"]),
        secrets.get("fingerprintKey", ""),
        tuple(secrets.get("recipients", ())),
        tuple(fields),
    )
