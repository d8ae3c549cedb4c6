"""Label selectors of Kubernetes: their text form, ``matchExpressions``, and whether they match an object's labels.

The API server takes the text form in lists, kubectl as ``-l``, and Sveltos kept it in ``clusterSelector`` until its API
became v1beta1. The grammar is that of ``k8s.io/apimachinery/pkg/labels``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_KEY = r"([A-Za-z0-9](?:[A-Za-z0-9./_-]*[A-Za-z0-9])?)"
_VALUE = r"([A-Za-z0-9._-]*)"
_SET_BASED = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([A-Za-z0-9._,\s-]*)\)\Z")
_EQUALITY = re.compile(rf"{_KEY}\s*(==|=|!=)\s*{_VALUE}\Z")
_NUMBER = re.compile(rf"{_KEY}\s*([<>])\s*(-?\d+)\Z")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}\Z")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_OPERATORS = {"in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}


def parse_requirements(text: str) -> list[dict[str, Any]]:
    """The requirements of a selector such as ``env=fv,tier in (a, b),!old``, as ``matchExpressions`` holds them.

    Raises ValueError with the requirement that cannot be read.
    """
    return [_requirement(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text)]


def matches_all(requirements: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement; no requirement matches all labels, as in Kubernetes."""
    return all(requirement_matches(requirement, labels) for requirement in requirements)


def requirement_matches(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels meet one requirement of ``matchExpressions``. Gt and Lt exist in the text form only."""
    key, values = str(requirement.get("key", "")), requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            return _is_beyond(labels.get(key), operator, values)
        case _:
            return False


def _requirement(text: str) -> dict[str, Any]:
    if match := _SET_BASED.match(text):
        key, operator, listed = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value.strip() for value in listed.split(",")]}
    if match := _EQUALITY.match(text) or _NUMBER.match(text):
        key, operator, value = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value]}
    if match := _EXISTS.match(text):
        negated, key = match.groups()
        return {"key": key, "operator": "DoesNotExist" if negated else "Exists"}
    raise ValueError(text)


def _is_beyond(value: Any, operator: str, bounds: Sequence[Any]) -> bool:
    try:
        number, bound = int(str(value)), int(bounds[0])
    except (ValueError, TypeError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
