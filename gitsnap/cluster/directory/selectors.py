"""Label and field selectors of list requests, evaluated on JSON objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from gitsnap.core.errors import RejectedError
from gitsnap.core.model import JsonObject
from gitsnap.kube.label_selectors import matches_all, parse_requirements

Matcher = Callable[[JsonObject], bool]

_EQUALITY = re.compile(r"([^\s=!<>(),]+)\s*(==|=|!=)\s*([^\s=!<>(),]*)\Z")


def label_matcher(selector: str) -> Matcher:
    """A function that returns whether the labels of an object match. Raises RejectedError for an invalid selector."""
    try:
        requirements = parse_requirements(selector)
    except ValueError:
        raise RejectedError(f"{selector!r} is not a label selector") from None

    def matches(document: JsonObject) -> bool:
        labels = (document.get("metadata") or {}).get("labels") or {}
        return matches_all(requirements, labels)

    return matches


def field_matcher(selector: str, *, supported: Collection[str]) -> Matcher:
    """A function that returns whether the fields of an object match; fields are dotted paths.

    Raises RejectedError for an invalid selector, and for fields that are not ``supported``.
    """
    terms: list[tuple[list[str], bool, str]] = []
    for part in selector.split(","):
        match = _EQUALITY.match(part.strip())
        if match is None:
            raise RejectedError(f"{selector!r} is not a field selector")
        if match[1] not in supported:
            raise RejectedError(f"field label not supported: {match[1]}")
        terms.append((match[1].split("."), match[2] != "!=", match[3]))

    def matches(document: JsonObject) -> bool:
        return all((_field(document, path) == value) is equal for path, equal, value in terms)

    return matches


def _field(document: Any, path: list[str]) -> str:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return "" if document is None else str(document)
