"""Keys and counts as people say them.

This module must not know what a plan is.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitsnap.core.model import ObjectKey


def in_words(key: ObjectKey) -> str:
    """``ClusterProfile guestbook``, ``ConfigMap default/database``."""
    return f"{key.kind.name} {key.namespace}/{key.name}" if key.namespace else f"{key.kind.name} {key.name}"


def counted(number: int, noun: str) -> str:
    """``1 object``, ``2 matches``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("ch") else f"{number} {noun}s"


def join_names(names: Sequence[str], *, most: int) -> str:
    """Return the first ``most`` names and the number of the others: ``a, b, c and 2 more``."""
    joined = ", ".join(names[:most])
    return f"{joined} and {len(names) - most} more" if len(names) > most else joined
