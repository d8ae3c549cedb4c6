"""Label and field selectors in the text form of the Kubernetes API, evaluated on JSON objects.

For the directory cluster, where no server does it. This module must not know which fields a server can select by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from gitsnap.errors import RejectedError
from gitsnap.model import JsonObject
from gitsnap.sveltos.matching import expression_matches
from gitsnap.sveltos.selector_text import expressions

Matcher = Callable[[JsonObject], bool]

_EQUALITY = re.compile(r"([^\s=!<>(),]+)\s*(==|=|!=)\s*([^\s=!<>(),]*)\Z")


def label_matcher(selector: str) -> Matcher:
    """Whether an object's labels match. Raises RejectedError for a text that is no selector."""
    try:
        terms = expressions(selector)
    except ValueError:
        raise RejectedError(f"{selector!r} is no label selector") from None

    def matches(document: JsonObject) -> bool:
        labels = (document.get("metadata") or {}).get("labels") or {}
        return all(expression_matches(term, labels) for term in terms)

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
