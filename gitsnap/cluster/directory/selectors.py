"""Label and field selectors of list requests, evaluated on JSON objects: a folder has no server that does it."""

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
    """Whether an object's labels match. Raises RejectedError for a text that is no selector."""
    try:
        requirements = parse_requirements(selector)
    except ValueError:
        raise RejectedError(f"{selector!r} is no label selector") from None

    def matches(document: JsonObject) -> bool:
        labels = (document.get("metadata") or {}).get("labels") or {}
        return matches_all(requirements, labels)

    return matches


def field_matcher(selector: str, *, supported: Collection[str]) -> Matcher:
    """Whether the fields named by their dotted paths have the values asked for.

    Raises RejectedError for a text that is no selector, and for fields other than the supported ones.
    """
    terms: list[tuple[list[str], bool, str]] = []
    for part in selector.split(","):
        match = _EQUALITY.match(part.strip())
        if match is None:
            raise RejectedError(f"{selector!r} is no field selector")
        if match[1] not in supported:
            raise RejectedError(f"field label not supported: {match[1]}")
        terms.append((match[1].split("."), match[2] != "!=", match[3]))

    def matches(document: JsonObject) -> bool:
        return all((_field(document, path) == value) is wanted for path, wanted, value in terms)

    return matches


def _field(document: Any, path: list[str]) -> str:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return "" if document is None else str(document)
