"""Lines about the objects that changed in a sample: names only, never values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gitsnap.core.escapes import one_line
from gitsnap.core.model import ObjectKey
from gitsnap.render.terminal_text import shortened

_MOST = 10
_SIGNS = {"deleted": "-", "modified": "~", "added": "+"}
"""The sign of each action. Lines are in this order, so that many new objects do not hide a deletion."""


def changed_lines(changed: Iterable[tuple[str, ObjectKey]], *, more: str) -> list[str]:
    """Return a line for each of the first changed objects, and a line with the number of the others.

    ``changed``: pairs of an action (``added``, ``modified``, ``deleted``) and an object. ``more``: the command that
    shows all changes.
    """
    order = list(_SIGNS)
    ordered = sorted(changed, key=lambda change: order.index(change[0]))
    lines = [f"  {_SIGNS[action]} {_name(key)}" for action, key in ordered[:_MOST]]
    return [*lines, f"  and {len(ordered) - _MOST} more: {more}"] if len(ordered) > _MOST else lines


def kind_lines(keys: Iterable[ObjectKey]) -> list[str]:
    """Return a line for each kind with the number of its objects: ``  12 ConfigMap``."""
    counts = Counter(key.kind for key in keys)
    names = Counter(kind.name for kind in counts)
    width = max((len(str(count)) for count in counts.values()), default=0)
    return [
        f"  {count:>{width}} {_safe(kind.name if names[kind.name] == 1 else str(kind))}"
        for kind, count in sorted(counts.items())
    ]


def _name(key: ObjectKey) -> str:
    """Return the object as options take it: ``ConfigMap/default/database``."""
    parts: Sequence[str] = (key.kind.name, key.namespace, key.name)
    return _safe("/".join(filter(None, parts)))


def _safe(text: str) -> str:
    return shortened(one_line(text))
