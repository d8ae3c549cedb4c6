"""Compares a path that a user wrote with the paths of fields, and proposes similar paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gitsnap.core.suggestions import closest
from gitsnap.core.text import join_names
from gitsnap.history.fields import plain_path

_STEP = re.compile(r'\.?[^.\[]+|\["[^"]*"\]|\[[^\]]*\]')
_SEPARATOR = re.compile(r"[.\[]")
_MOST = 5
_MOST_COMPARED = 2_000
"""The comparison of names takes a millisecond for about twenty names."""


def begins_with(path: str, beginning: str) -> bool:
    """Return whether a path begins with some text. Both may write a name as ``["a.yaml"]`` or as ``.a.yaml``."""
    return plain_path(path).startswith(plain_path(beginning))


def propose_fields(written: str, paths: Iterable[str], *, none: str) -> str:
    """Return a sentence with the fields that are similar to a path, or with the fields nearest above it.

    ``paths``: the paths of fields that have values. The fields above them are proposed, too. ``none``: the sentence to
    return if there are no paths.
    """
    prefixes = {plain_path(prefix): prefix for path in paths for prefix in _prefixes(path)}
    if not prefixes:
        return none
    wanted = plain_path(written)
    ending = sorted((plain for plain in prefixes if plain.endswith(f".{wanted}")), key=len)
    depth = len(_SEPARATOR.findall(wanted))
    of_depth = sorted(plain for plain in prefixes if len(_SEPARATOR.findall(plain)) == depth)
    similar = dict.fromkeys([*ending, *closest(wanted, of_depth[:_MOST_COMPARED])])
    if similar:
        return f"The nearest names: {', '.join(prefixes[plain] for plain in list(similar)[:_MOST])}."
    return f"Existing names: {join_names(_below(wanted, prefixes), most=_MOST)}."


def _below(wanted: str, prefixes: dict[str, str]) -> list[str]:
    """Return the fields below the longest beginning of a path that exists, sorted."""
    steps = _STEP.findall(wanted)
    for count in range(max(len(steps) - 1, 0), -1, -1):
        above = "".join(steps[:count])
        below = [shown for plain, shown in sorted(prefixes.items()) if _is_child(plain, above)]
        if below:
            return below
    return sorted(prefixes.values())


def _is_child(plain: str, above: str) -> bool:
    rest = plain.removeprefix(above)
    starts = plain.startswith(above) and (not above or rest[:1] in (".", "["))
    return bool(rest) and starts and len(_SEPARATOR.findall(rest)) == bool(above)


def _prefixes(path: str) -> Iterator[str]:
    """Yield the path of each field above a field, and its own path."""
    position = 0
    for step in _STEP.finditer(path):
        position = step.end()
        yield path[:position]
    if position != len(path):  # a hostile name with other brackets
        yield path
