"""The change log of managed clusters: what each sample changed in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from gitsnap.core.model import Sample
from gitsnap.core.ports import Tree
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import Comparison
from gitsnap.history.changelog import is_within
from gitsnap.sveltos.filters import Filters


def cluster_changes(
    samples: Sequence[Sample],
    read_tree: Callable[[Sample], Tree],
    filters: Filters,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[tuple[Sample, Comparison]]:
    """Yield the samples with changes that pass the filters, newest first, each compared with the sample before it.

    ``samples`` are oldest first. ``since`` and ``until`` limit the time of the newer sample.
    """
    for before, after in zip(reversed(samples[:-1]), reversed(samples[1:]), strict=True):
        if before.commit == after.commit or not is_within(after.time, since, until):
            continue
        comparison = compare(read_tree(before), read_tree(after), filters=filters, texts=False)
        if comparison:
            yield after, comparison
