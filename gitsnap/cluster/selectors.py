"""Label and field selectors in the text form of the Kubernetes API, evaluated on JSON objects.

For the directory cluster, where no server does it. This module must not know which fields a server can select by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gitsnap.errors import RejectedError
from gitsnap.model import JsonObject

_SET_BASED = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)\Z")
_EQUALITY = re.compile(r"([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)\Z")
_EXISTS = re.compile(r"(!?)([^\s=!(),]+)\Z")
_COMMA_OUTSIDE = re.compile(r",(?![^(]*\))")


def label_matcher(selector: str) -> Callable[[JsonObject], bool]:
    """Whether an object's labels match. Raises RejectedError for a selector that is no selector."""
    requirements = [_requirement(part.strip()) for part in _COMMA_OUTSIDE.split(selector) if part.strip()]

    def matches(document: JsonObject) -> bool:
        labels = (document.get("metadata") or {}).get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def _requirement(text: str) -> Callable[[Mapping[str, Any]], bool]:
    if match := _SET_BASED.match(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: key not in labels or labels[key] not in values
    if match := _EQUALITY.match(text):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: key in labels and labels[key] == value
    if match := _EXISTS.match(text):
        absent, key = match.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise RejectedError(f"{text!r} is no label selector")


def field_matcher(selector: str) -> Callable[[JsonObject], bool]:
    """Whether the fields named by their dotted paths have the values asked for."""
    terms: list[tuple[list[str], bool, str]] = []
    for part in selector.split(","):
        match = _EQUALITY.match(part.strip())
        if match is None:
            raise RejectedError(f"{part!r} is no field selector")
        terms.append((match[1].split("."), match[2] != "!=", match[3]))

    def matches(document: JsonObject) -> bool:
        return all((_field(document, path) == value) is wanted for path, wanted, value in terms)

    return matches


def _field(document: Any, path: list[str]) -> str:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return "" if document is None else str(document)
