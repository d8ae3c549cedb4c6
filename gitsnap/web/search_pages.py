"""The page of a search."""

from __future__ import annotations

from gitsnap.core.errors import UsageError
from gitsnap.history.changelog import ObjectPattern, newest_kinds
from gitsnap.history.search import check_searched
from gitsnap.history.search import search as find_matches
from gitsnap.web.answers import Asked, Page
from gitsnap.web.documents import Document
from gitsnap.web.site import SiteArchive

_MOST_MATCHES = 300
_LONGEST = 200
_LONGEST_NAME = 1_000
"""Proposals for a name that never existed take time that grows with its length."""


def search(archive: SiteArchive, asked: Asked) -> Page:
    """Return when a value appeared and disappeared. Raises UsageError, NotFoundError."""
    text, kind, field = (asked.query.get(name, "").strip() for name in ("q", "kind", "field"))
    if len(text) > _LONGEST:
        raise UsageError(f"a search has at most {_LONGEST} characters")
    if max(len(kind), len(field)) > _LONGEST_NAME:
        raise UsageError(f"the names of an object and of a field have at most {_LONGEST_NAME} characters")
    samples = archive.samples()
    matches = []
    if text and samples:
        pattern = ObjectPattern.parse(kind, newest_kinds(archive)) if kind else ObjectPattern()  # type: ignore[arg-type]
        matches = find_matches(archive, text, pattern, field=field, sensitive=archive.listed.hidden)
        if not matches:
            newest = archive.tree(samples[-1])
            check_searched(archive, newest, pattern, field=field, sensitive=archive.listed.hidden)
    newest_first = matches[::-1]
    values = {
        "q": text,
        "kind": kind,
        "field": field,
        "matches": newest_first[:_MOST_MATCHES],
        "total": len(matches),
        "left_out": max(len(matches) - _MOST_MATCHES, 0),
        "samples": len(samples),
        "since": samples[0] if samples else None,
    }

    def document() -> Document:
        if not text:
            raise UsageError("the value to search for is empty", hint="Name it with ?q=")
        return asked.documents.search_document(matches)

    return Page("search.html", "Search", document, values)
