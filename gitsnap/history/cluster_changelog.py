"""The change log of managed clusters: what each sample and each change between samples changed in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from gitsnap.core.ports import Tree
from gitsnap.core.states import State
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import Comparison
from gitsnap.history.changelog import is_within
from gitsnap.sveltos.filters import Filters


def cluster_changes(
    states: Iterable[State],
    read_tree: Callable[[State], Tree],
    filters: Filters,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[tuple[State, Comparison]]:
    """Yield the samples and the changes with differences that pass the filters, newest first.

    Each is compared with the state before it. ``states`` are newest first. ``since`` and ``until`` limit the time of
    the newer state.
    """
    for after, before in pairwise(states):
        if before.commit == after.commit or not is_within(after.time, since, until):
            continue
        comparison = compare(read_tree(before), read_tree(after), filters=filters, texts=False)
        if comparison:
            yield after, comparison
