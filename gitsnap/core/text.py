"""Counts and keys of objects in messages."""

from __future__ import annotations

from collections.abc import Sequence

from gitsnap.core.model import ObjectKey


def plural(count: int, noun: str) -> str:
    """``1 sample``, ``2 samples``, ``2 matches``; ``noun`` is the singular."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural_noun(noun)}"


def plural_noun(noun: str) -> str:
    """``samples``, ``matches``, ``policies``, ``keys``."""
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def join_names(names: Sequence[str], *, most: int) -> str:
    """Return the first ``most`` names and the number of the others: ``a, b, c and 2 more``."""
    joined = ", ".join(names[:most])
    return f"{joined} and {len(names) - most} more" if len(names) > most else joined


def describe(key: ObjectKey) -> str:
    """``ClusterProfile guestbook``, ``ConfigMap default/database``: without the group of the kind."""
    return f"{key.kind.name} {key.namespaced_name}"
