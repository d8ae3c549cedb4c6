"""Label selectors of Kubernetes: reads both of their forms, and matches labels.

A selector is a mapping with ``matchLabels`` and ``matchExpressions``, or a text such as ``env=prod``. The API server
accepts the text form in list requests and kubectl in ``-l``. Sveltos' API v1alpha1 has the text form in
``clusterSelector``. The grammar is that of ``k8s.io/apimachinery/pkg/labels``.
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
    """The requirements of a selector such as ``env=fv,tier in (a, b),!old``, in the form of ``matchExpressions``.

    Raises ValueError with the text of the first requirement that cannot be parsed.
    """
    return [_parse_requirement(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text)]


def read_selector(value: Any) -> Mapping[str, Any] | None:
    """The value of a selector field in the form of a mapping; None if the value is not a selector in either form."""
    if isinstance(value, str):
        try:
            return {"matchExpressions": parse_requirements(value)} if value else {}
        except ValueError:
            return None
    if not isinstance(value, dict):
        return None
    labels, requirements = value.get("matchLabels") or {}, value.get("matchExpressions") or []
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        return None
    if not isinstance(requirements, list) or not all(map(_is_requirement, requirements)):
        return None
    return value


def _is_requirement(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("values") or [], list)


def is_empty(selector: Mapping[str, Any]) -> bool:
    """Whether a selector has no terms."""
    return not (selector.get("matchLabels") or selector.get("matchExpressions"))


def matches_all(requirements: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement. An empty list matches all labels, as in Kubernetes."""
    return all(requirement_matches(requirement, labels) for requirement in requirements)


def selector_matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels match a selector with ``matchLabels`` and ``matchExpressions``. An empty selector matches all."""
    required = selector.get("matchLabels") or {}
    requirements = selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in required.items()) and matches_all(requirements, labels)


def requirement_matches(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels meet one requirement of ``matchExpressions``. Gt and Lt come from the text form only."""
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
            return is_beyond(labels.get(key), operator, values)
        case _:
            return False


def _parse_requirement(text: str) -> dict[str, Any]:
    if match := _SET_BASED.match(text):
        key, operator, values = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value.strip() for value in values.split(",")]}
    if match := _EQUALITY.match(text) or _NUMBER.match(text):
        key, operator, value = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value]}
    if match := _EXISTS.match(text):
        negated, key = match.groups()
        return {"key": key, "operator": "DoesNotExist" if negated else "Exists"}
    raise ValueError(text)


def is_beyond(value: Any, operator: str, bounds: Sequence[Any]) -> bool:
    """Whether a label value is a number beyond the bound of a Gt or Lt requirement."""
    try:
        number, bound = int(str(value)), int(bounds[0])
    except (ValueError, TypeError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
