"""What a profile asks of its sources, and what it takes from one: the part of an object that decides what is deployed.

Labels of a ConfigMap, the tier of a reference or the interval of a Git repository deploy nothing else.
This module must not know which clusters are concerned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import same_json
from gitsnap.diff.template_context import Filling
from gitsnap.format import load_document
from gitsnap.sveltos import documents, kinds, kustomize_archives
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.reference_paths import ADD_ONS_AT

_WHERE = ("kind", "namespace", "name")
_HOW_IT_IS_APPLIED = frozenset({"optional", "tier", "force", "skipNamespaceCreation", "deploymentType", "remoteURL"})
"""Fields of a reference that change nothing of what comes from the source; the URL is part of where that is."""

_SOURCE_CONTENT = (
    "url",
    "ref",
    "ignore",
    "include",
    "sparseCheckout",
    "recurseSubmodules",
    "layerSelector",
    "provider",
    "bucketName",
    "endpoint",
    "region",
    "prefix",
)
"""Fields of a Flux source that say what it holds."""


def same_content(before: JsonObject, after: JsonObject) -> bool:
    """Whether the same is deployed of two states of a ConfigMap or Secret, or a Flux source holds the same."""
    old, new = (_content(document) for document in (before, after))
    return same_json(old, new) and documents.subresources_of(before) == documents.subresources_of(after)


def _content(document: JsonObject) -> list[Any]:
    if Kind.of(document) in kinds.SOURCE_KINDS:
        spec = document.get("spec") or {}
        return [spec.get(field) for field in _SOURCE_CONTENT]
    listed = kustomize_archives.listed(document)
    return [
        listed.get("data") or {},
        listed.get("binaryData") or {},
        documents.is_rendered(document),
        documents.is_program(document),
    ]


def same_values(before: str, after: str) -> bool:
    """Whether Helm reads the same values in two texts: comments, the order of keys and most quoting aside.

    Helm reads an empty text as no values.
    """
    if before == after:
        return True
    if "{{" in before + after:  # an action of a template may stand where YAML has none to see, such as in a comment
        return False
    try:
        old, new = (load_document(text, "values of a chart") for text in (before, after))
    except InputError:
        return False
    return same_json({} if old is None else old, {} if new is None else new)


_Asking = tuple[JsonObject | None, Filling]
"""A profile, and what its templates are filled in with."""


def asked_otherwise(before: _Asking, after: _Asking, path: str) -> bool:
    """Whether something else is asked of a source that a profile kept, or of a URL.

    That is another path in a repository, another target namespace of a kustomization; of a ConfigMap or Secret, whose
    documents are compared, nothing.
    """
    old, new = _asked(*before, path), _asked(*after, path)
    if any(old[kept] != new[kept] for kept in old.keys() & new.keys()):
        return True
    urls = [{where[-1] for where in side if where[-1]} for side in (old, new)]
    return bool(urls[0] and urls[1] and urls[0] != urls[1])


def _asked(profile: JsonObject | None, filling: Filling, path: str) -> Mapping[tuple[str, ...], list[str]]:
    """Source -> what is asked of it, once for each reference to it."""
    found: dict[tuple[str, ...], list[str]] = {}
    place = ADD_ONS_AT.get(Kind.of(profile or {}))
    for entry in values_at(without_defaults(profile or {}), f"{place}.{path}"):
        if isinstance(entry, dict):
            url = _filled(str((entry.get("remoteURL") or {}).get("url") or ""), filling)
            where = (*(str(entry.get(field, "")) for field in _WHERE), url)
            found.setdefault(where, []).append(_how(entry, filling))
    return {where: sorted(listed) for where, listed in found.items()}


def _how(entry: Mapping[str, Any], filling: Filling) -> str:
    fields = {
        field: _filled(value, filling) if isinstance(value, str) else value
        for field, value in entry.items()
        if field not in _HOW_IT_IS_APPLIED and field not in _WHERE
    }
    return repr(sorted(fields.items()))


def _filled(text: str, filling: Filling) -> str:
    """A path or an address for one cluster, the template itself where only Sveltos can tell."""
    carried_out = filling.carry_out(text)
    return text if carried_out is None else carried_out
