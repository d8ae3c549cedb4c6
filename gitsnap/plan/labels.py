"""Label selectors in the text form of kubectl, to narrow a selection: ``env=fv,tier in (a, b),!old``.

This module must not know which objects are selected.
"""

from __future__ import annotations

import re
from typing import Any

from gitsnap.errors import UsageError
from gitsnap.model import JsonObject
from gitsnap.sveltos.matching import selector_matches

_KEY = r"([A-Za-z0-9](?:[A-Za-z0-9./_-]*[A-Za-z0-9])?)"
_SET_BASED = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([^()]*)\)\Z")
_EQUALITY = re.compile(rf"{_KEY}\s*(==|=|!=)\s*([A-Za-z0-9._-]*)\Z")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}\Z")
_COMMA_OUTSIDE = re.compile(r",(?![^(]*\))")


def labels_match(text: str, document: JsonObject) -> bool:
    """Whether an object's labels fit the selector; the empty one fits everything. Raises UsageError."""
    if not text.strip():
        return True
    expressions = [_expression(part.strip(), text) for part in _COMMA_OUTSIDE.split(text)]
    labels = (document.get("metadata") or {}).get("labels") or {}
    return selector_matches({"matchExpressions": expressions}, labels)


def _expression(part: str, text: str) -> dict[str, Any]:
    if match := _SET_BASED.match(part):
        values = [value.strip() for value in match[3].split(",")]
        return {"key": match[1], "operator": "In" if match[2] == "in" else "NotIn", "values": values}
    if match := _EQUALITY.match(part):
        return {"key": match[1], "operator": "NotIn" if match[2] == "!=" else "In", "values": [match[3]]}
    if match := _EXISTS.match(part):
        return {"key": match[2], "operator": "DoesNotExist" if match[1] else "Exists"}
    raise UsageError(f"--selector {text}: {part!r} is no requirement on labels", hint="Write it as for kubectl -l.")
