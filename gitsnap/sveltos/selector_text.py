"""Label selectors in the text form of the Kubernetes API: ``env=fv,tier in (a, b)``, taken apart into expressions.

Lists take them as parameters, and Sveltos kept them in ``clusterSelector`` until its API became v1beta1.
This module must not evaluate anything.
"""

from __future__ import annotations

import re
from typing import Any

_KEY = r"([^\s=!<>(),]+)"
_SET_BASED = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([^()]*)\)\Z")
_EQUALITY = re.compile(rf"{_KEY}\s*(==|=|!=)\s*([^\s=!<>(),]*)\Z")
_NUMBER = re.compile(rf"{_KEY}\s*([<>])\s*(-?\d+)\Z")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}\Z")
_COMMA_OUTSIDE = re.compile(r",(?![^(]*\))")
_OPERATORS = {"in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}


def expressions(text: str) -> list[dict[str, Any]]:
    """The terms, all of which must fit, as ``matchExpressions`` has them. Raises ValueError for no selector."""
    return [_expression(part.strip()) for part in _COMMA_OUTSIDE.split(text)]


def _expression(term: str) -> dict[str, Any]:
    if match := _SET_BASED.match(term):
        key, operator, listed = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value.strip() for value in listed.split(",")]}
    if match := _EQUALITY.match(term) or _NUMBER.match(term):
        key, operator, value = match.groups()
        return {"key": key, "operator": _OPERATORS[operator], "values": [value]}
    if match := _EXISTS.match(term):
        absent, key = match.groups()
        return {"key": key, "operator": "DoesNotExist" if absent else "Exists"}
    raise ValueError(f"{term!r} is no term of a label selector")
