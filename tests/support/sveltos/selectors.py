"""Label selectors, and the few template expressions in the configurations of the tests.

The rules follow the documentation of Kubernetes and Sveltos, independent of ``gitsnap.sveltos.matching``: a wrong rule
of gitsnap must show as a difference. This module must not import from gitsnap's rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitsnap.core.model import JsonObject

_FIELD = re.compile(r"\{\{-?\s*\.Cluster\.metadata\.(name|namespace|labels\.[A-Za-z0-9_]+)\s*-?\}\}")


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels. An empty selector selects nothing."""
    selector = selector or {}
    wanted, terms = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not wanted and not terms:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(_fits(term, labels) for term in terms)


def _fits(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    present, value = term["key"] in labels, labels.get(term["key"])
    fits = {
        "In": present and value in (term.get("values") or ()),
        "NotIn": not present or value not in (term.get("values") or ()),
        "Exists": present,
        "DoesNotExist": not present,
    }
    return fits[str(term["operator"])]


def rendered(text: str, cluster: JsonObject) -> str:
    """A text with the fields of a cluster filled in. Raises KeyError for a missing label."""
    metadata = cluster["metadata"]

    def value(match: re.Match[str]) -> str:
        field, _, label = match[1].partition(".")
        return str((metadata.get("labels") or {})[label] if label else metadata[field])

    return _FIELD.sub(value, text)
