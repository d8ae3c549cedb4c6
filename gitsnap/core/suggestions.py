"""Suggestions for a name that does not exist: the last line of an error message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST = 5


def nearest(text: str, names: Iterable[str], *, none: str) -> str:
    """A sentence with the names most like ``text``, or with the first names if none is; ``none`` without any names."""
    candidates = sorted(set(names))
    by_lower_case = {name.lower(): name for name in candidates}
    close = difflib.get_close_matches(text.lower(), by_lower_case, n=_MOST, cutoff=0.5)
    if close:
        return f"The nearest names: {', '.join(by_lower_case[name] for name in close)}."
    if not candidates:
        return none
    more = f" and {len(candidates) - _MOST} more" if len(candidates) > _MOST else ""
    return f"The names there are: {', '.join(candidates[:_MOST])}{more}."
