"""The fields of a source, and of a reference to it, that decide what is deployed.

The labels of a ConfigMap, the tier of a reference and the interval of a GitRepository are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import same_json
from gitsnap.format import load_document
from gitsnap.sveltos import documents, kinds, kustomize_archives
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.template_context import TemplateContext

_TARGET_FIELDS = ("kind", "namespace", "name")
_OTHER_FIELDS = frozenset({"optional", "tier", "force", "skipNamespaceCreation", "deploymentType", "remoteURL"})
"""Fields of a reference that do not select a part of the source. The URL is part of the source itself."""

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
"""Fields of a Flux source that decide what it contains."""


def same_content(before: JsonObject, after: JsonObject) -> bool:
    """Return whether two versions of a ConfigMap, Secret or Flux source deploy the same content."""
    old, new = (_content(document) for document in (before, after))
    return same_json(old, new) and documents.subresources_of(before) == documents.subresources_of(after)


def _content(document: JsonObject) -> list[Any]:
    if Kind.of(document) in kinds.SOURCE_KINDS:
        spec = document.get("spec") or {}
        return [spec.get(field) for field in _SOURCE_CONTENT]
    unpacked = kustomize_archives.with_files(document)
    return [
        unpacked.get("data") or {},
        unpacked.get("binaryData") or {},
        documents.is_rendered(document),
        documents.is_program(document),
    ]


def same_values(before: str, after: str) -> bool:
    """Return whether Helm reads the same values from two texts, regardless of comments, order of keys and quoting.

    Helm reads an empty text as no values.
    """
    if before == after:
        return True
    if "{{" in before + after:  # a template action may be where YAML has no value, such as in a comment
        return False
    try:
        old, new = (load_document(text, "values of a chart") for text in (before, after))
    except InputError:
        return False
    return same_json({} if old is None else old, {} if new is None else new)


def settings_differ(
    before: JsonObject | None, after: JsonObject | None, contexts: tuple[TemplateContext, TemplateContext], path: str
) -> bool:
    """Return whether two versions of a profile select different content from a source that both refer to.

    Examples are another path in a repository and another target namespace of a kustomization. A profile that replaced
    its URL differs, too. References to ConfigMaps and Secrets have no such settings: their documents are compared.
    ``path``: the path of the references below the field of the add-ons, such as ``policyRefs[]``.
    """
    old = _settings_by_source(before, contexts[0], path)
    new = _settings_by_source(after, contexts[1], path)
    if any(old[source] != new[source] for source in old.keys() & new.keys()):
        return True
    old_urls, new_urls = ({source[-1] for source in side if source[-1]} for side in (old, new))
    return bool(old_urls and new_urls and old_urls != new_urls)


def settings_are_templates(profile: JsonObject | None, path: str) -> bool:
    """Return whether the settings that ``settings_differ`` compares may differ from cluster to cluster."""
    prefix = ADD_ONS_AT.get(Kind.of(profile or {}))
    return any("{{" in repr(entry) for entry in values_at(profile or {}, f"{prefix}.{path}"))


def _settings_by_source(
    profile: JsonObject | None, context: TemplateContext, path: str
) -> Mapping[tuple[str, ...], list[str]]:
    """Return the settings of each reference by source: kind, namespace, name and URL."""
    by_source: dict[tuple[str, ...], list[str]] = {}
    prefix = ADD_ONS_AT.get(Kind.of(profile or {}))
    for entry in values_at(without_defaults(profile or {}), f"{prefix}.{path}"):
        if isinstance(entry, dict):
            url = _evaluated(str((entry.get("remoteURL") or {}).get("url") or ""), context)
            source = (*(str(entry.get(field, "")) for field in _TARGET_FIELDS), url)
            by_source.setdefault(source, []).append(_settings(entry, context))
    return {source: sorted(settings) for source, settings in by_source.items()}


def _settings(entry: Mapping[str, Any], context: TemplateContext) -> str:
    fields = {
        field: _evaluated(value, context) if isinstance(value, str) else value
        for field, value in entry.items()
        if field not in _OTHER_FIELDS and field not in _TARGET_FIELDS
    }
    return repr(sorted(fields.items()))


def _evaluated(text: str, context: TemplateContext) -> str:
    """Return a path or URL for one cluster, or the template itself if only Sveltos can evaluate it."""
    evaluated = context.evaluate(text)
    return text if evaluated is None else evaluated
