"""Requests as views receive them, and the answers of views. Views do not know HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.web.documents import Document, Documents

MOST_LINES = 1_500
"""The largest number of lines of an object or of one diff in a page."""
LINE_LENGTH = 400
"""The largest number of characters of a line in a page."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The names and the query of an address."""

    names: tuple[str, ...]
    """The segments of the path after the name of the archive and of the page."""
    query: Mapping[str, str]
    documents: Documents


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and its JSON form."""

    template: str
    heading: str
    document: Callable[[], Document]
    """Returns the JSON form."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values of the template, besides the heading and the archive."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to the address that has the answer."""

    address: str
