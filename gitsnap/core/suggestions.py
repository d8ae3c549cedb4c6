"""What may have been meant by a name that nothing has: the last line of an error about it.

This module must not import anything of gitsnap.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST = 5


def nearest(text: str, names: Iterable[str], *, none: str) -> str:
    """A sentence that proposes the names most like a text, else the first few; ``none`` where there is no name."""
    pool = sorted(set(names))
    by_lower = {name.lower(): name for name in pool}
    close = difflib.get_close_matches(text.lower(), by_lower, n=_MOST, cutoff=0.5)
    if close:
        return f"The nearest names: {', '.join(by_lower[name] for name in close)}."
    if not pool:
        return none
    more = f" and {len(pool) - _MOST} more" if len(pool) > _MOST else ""
    return f"The names there are: {', '.join(pool[:_MOST])}{more}."
