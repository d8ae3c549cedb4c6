"""Suggestions for a name that does not exist: the last line of an error message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST = 5


def nearest(text: str, names: Iterable[str], *, none: str) -> str:
    """A sentence with the names that are similar to ``text``, or with the first names if no name is similar.

    ``none``: the sentence to return if ``names`` is empty.
    """
    candidates = sorted(set(names))
    close = closest(text, candidates)
    if close:
        return f"The nearest names: {', '.join(close)}."
    if not candidates:
        return none
    more = f" and {len(candidates) - _MOST} more" if len(candidates) > _MOST else ""
    return f"Existing names: {', '.join(candidates[:_MOST])}{more}."


def closest(text: str, names: Iterable[str]) -> list[str]:
    """The names that are similar to ``text``, the most similar one first; at most five."""
    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(text.lower(), by_lower_case, n=_MOST, cutoff=0.5)
    return [by_lower_case[name] for name in close]
