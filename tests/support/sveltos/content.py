"""The desired content of a ClusterSummary: documents of its references, charts and kustomizations, in order.

This module must not know what runs in which cluster.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos import summaries
from tests.support.sveltos.managed import RELEASE, Deployed, Slot
from tests.support.sveltos.manager import Manager
from tests.support.sveltos.selectors import rendered

FEATURES = {"Resources": "policyRefs", "Helm": "helmCharts", "Kustomize": "kustomizationRefs"}
"""Feature -> its field of the spec."""

_SECRET_TYPE = "addons.projectsveltos.io/cluster-profile"
_CLUSTER_SCOPED = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"})
_TEMPLATE = "projectsveltos.io/template"


class FailedError(Exception):
    """A deployment that fails and is not retried before its fingerprint changes."""


@dataclass(frozen=True)
class Reference:
    """A reference, resolved for a cluster."""

    key: ObjectKey
    optional: bool
    tier: int
    local: bool


def references(summary: JsonObject, field: str, cluster: JsonObject) -> list[Reference]:
    """The ConfigMaps and Secrets of a list of references, local first. Raises KeyError for a missing label."""
    found = []
    for entry in summaries.spec_of(summary).get(field) or ():
        if entry.get("kind") not in ("ConfigMap", "Secret"):
            continue
        namespace = rendered(entry.get("namespace") or "", cluster) or cluster["metadata"]["namespace"]
        kind = kinds.CONFIG_MAP if entry["kind"] == "ConfigMap" else kinds.SECRET
        key = ObjectKey(kind, namespace, rendered(entry["name"], cluster))
        local = entry.get("deploymentType") == "Local"
        found.append(Reference(key, bool(entry.get("optional")), int(entry.get("tier") or 100), local))
    return sorted(found, key=lambda reference: not reference.local)


def mentioned(summary: JsonObject, cluster: JsonObject) -> set[ObjectKey]:
    """The objects whose changes make Sveltos reconcile a ClusterSummary."""
    found = set()
    for field in ("policyRefs", "kustomizationRefs"):
        try:
            found |= {reference.key for reference in references(summary, field, cluster)}
        except KeyError:
            continue
    for chart in summaries.spec_of(summary).get("helmCharts") or ():
        found |= {key for key, _ in _values_from(chart, cluster)}
    return found


def fingerprint(manager: Manager, summary: JsonObject, feature: str, cluster: JsonObject) -> str:
    """The hash by which Sveltos detects a change: of the mode, of the references and of their contents."""
    spec = summaries.spec_of(summary)
    parts: list[Any] = [spec.get("syncMode") or "Continuous", spec.get("tier"), spec.get(FEATURES[feature])]
    for key in sorted(mentioned(summary, cluster)) if feature != "Helm" else sorted(_chart_sources(spec, cluster)):
        document = source(manager, key)
        if document is not None:
            annotations = document["metadata"].get("annotations") or {}
            parts.append([str(key), document.get("data"), document.get("binaryData"), _TEMPLATE in annotations])
    return base64.b64encode(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()).decode()


def source(manager: Manager, key: ObjectKey) -> JsonObject | None:
    """A ConfigMap, or a Secret of the type of Sveltos. Sveltos does not cache Secrets of other types."""
    document = manager.get(key)
    if document is not None and key.kind == kinds.SECRET and document.get("type") != _SECRET_TYPE:
        return None
    return document


def desired(
    manager: Manager, summary: JsonObject, feature: str, cluster: JsonObject
) -> Iterator[tuple[Slot, Deployed]]:
    """Yield the resources or releases to deploy. Raises FailedError at the first source that is missing or invalid."""
    profile, spec = summaries.profile_of(summary), summaries.spec_of(summary)
    tier = int(spec.get("tier") or 100)
    if feature == "Helm":
        for chart in spec.get("helmCharts") or ():
            yield _release(manager, chart, cluster, profile, tier)
        return
    for reference in _resolved(summary, FEATURES[feature], cluster):
        document = source(manager, reference.key)
        if document is None:
            if reference.optional:
                continue
            raise FailedError(
                f"Referenced resource: {reference.key.kind.name} {reference.key.namespace}/{reference.key.name}"
                " does not exist"
            )
        for slot, content in _documents(document, feature, cluster, local=reference.local):
            yield slot, Deployed(content, feature, profile, tier, reference.key, reference.tier)


def _resolved(summary: JsonObject, field: str, cluster: JsonObject) -> list[Reference]:
    try:
        return references(summary, field, cluster)
    except KeyError as error:
        raise FailedError(f"template: the cluster has no label {error}") from None


def _documents(document: JsonObject, feature: str, cluster: JsonObject, *, local: bool) -> Iterator[tuple[Slot, str]]:
    data = document.get("data") or {}
    if feature == "Kustomize":
        content = json.dumps([data, document.get("binaryData")], sort_keys=True)
        yield Slot("ConfigMap", "kustomized", document["metadata"]["name"], local), content
        return
    annotations = document["metadata"].get("annotations") or {}
    for key in sorted(data):
        text = data[key] if document["kind"] == "ConfigMap" else base64.b64decode(data[key]).decode()
        if _TEMPLATE in annotations:
            try:
                text = rendered(text, cluster)
            except KeyError as error:
                raise FailedError(f"template: the cluster has no label {error}") from None
        for parsed in _parsed(document, text):
            yield _slot(parsed, local=local), json.dumps(parsed, sort_keys=True)


def _parsed(document: JsonObject, text: str) -> list[Any]:
    try:
        found = [document for document in yaml.safe_load_all(text) if document]
        if all(
            isinstance(document, dict) and document.get("kind") and (document.get("metadata") or {}).get("name")
            for document in found
        ):
            return found
    except yaml.YAMLError:
        pass
    raise FailedError(f"failed to parse {ObjectKey.of(document)}")


def _slot(document: JsonObject, *, local: bool) -> Slot:
    group = document.get("apiVersion", "v1").rpartition("/")[0]
    kind = f"{document['kind']}.{group}" if group else document["kind"]
    metadata = document["metadata"]
    namespace = "" if document["kind"] in _CLUSTER_SCOPED else metadata.get("namespace") or "default"
    return Slot(kind, namespace, metadata["name"], local)


# Charts ---------------------------------------------------------------------------------------------------------------


def _values_from(chart: JsonObject, cluster: JsonObject) -> list[tuple[ObjectKey, bool]]:
    found = []
    for entry in chart.get("valuesFrom") or ():
        kind = kinds.CONFIG_MAP if entry["kind"] == "ConfigMap" else kinds.SECRET
        namespace = entry.get("namespace") or cluster["metadata"]["namespace"]
        found.append((ObjectKey(kind, namespace, entry["name"]), bool(entry.get("optional"))))
    return found


def _chart_sources(spec: JsonObject, cluster: JsonObject) -> set[ObjectKey]:
    return {key for chart in spec.get("helmCharts") or () for key, _ in _values_from(chart, cluster)}


def _release(
    manager: Manager, chart: JsonObject, cluster: JsonObject, profile: ObjectKey, tier: int
) -> tuple[Slot, Deployed]:
    values = [chart.get("values")]
    for key, optional in _values_from(chart, cluster):
        document = source(manager, key)
        if document is None and not optional:
            raise FailedError(f"Referenced resource: {key.kind.name} {key.namespace}/{key.name} does not exist")
        values.append((document or {}).get("data"))
    content = f"{chart['chartVersion']} {chart['repositoryURL']} {json.dumps(values, sort_keys=True)}"
    slot = Slot(RELEASE, chart["releaseNamespace"], chart["releaseName"])
    return slot, Deployed(content, "Helm", profile, tier)
