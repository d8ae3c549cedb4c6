"""Label and field selectors in the text form of the Kubernetes API, evaluated on JSON objects.

For the directory cluster, where no server does it. This module must not know which fields a server can select by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gitsnap.errors import RejectedError
from gitsnap.model import JsonObject

Matcher = Callable[[JsonObject], bool]

_KEY = r"([^\s=!<>(),]+)"
_SET_BASED = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([^()]*)\)\Z")
_EQUALITY = re.compile(rf"{_KEY}\s*(==|=|!=)\s*([^\s=!<>(),]*)\Z")
_NUMBER = re.compile(rf"{_KEY}\s*([<>])\s*(-?\d+)\Z")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}\Z")
_COMMA_OUTSIDE = re.compile(r",(?![^(]*\))")


def label_matcher(selector: str) -> Matcher:
    """Whether an object's labels match. Raises RejectedError for a text that is no selector."""
    requirements = [_requirement(part.strip(), selector) for part in _COMMA_OUTSIDE.split(selector)]

    def matches(document: JsonObject) -> bool:
        labels = (document.get("metadata") or {}).get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def _requirement(text: str, selector: str) -> Callable[[Mapping[str, Any]], bool]:
    """One term. An absent label satisfies ``!=`` and ``notin``, as on a server."""
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
    if match := _NUMBER.match(text):
        key, operator, bound = match[1], match[2], int(match[3])
        return lambda labels: _is_beyond(labels.get(key), operator, bound)
    if match := _EXISTS.match(text):
        absent, key = match.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise RejectedError(f"{selector!r} is no label selector")


def _is_beyond(value: Any, operator: str, bound: int) -> bool:
    try:
        number = int(str(value))
    except ValueError:
        return False
    return number > bound if operator == ">" else number < bound


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
