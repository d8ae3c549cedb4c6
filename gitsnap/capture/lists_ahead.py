"""Requests the first pages of the lists of a capture before they are read, so that the server works meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from gitsnap.capture.list_reader import ListReader
from gitsnap.capture.pinned_list import AHEAD, Lister
from gitsnap.capture.referenced import type_selector
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import AccessDeniedError, ClusterError
from gitsnap.core.model import Kind
from gitsnap.core.ports import Cluster
from gitsnap.sveltos import kinds


class ListsAhead:
    """The lists of whole kinds that a capture requests ahead."""

    def __init__(self, cluster: Cluster, lister: Lister, reader: ListReader, unchanged: Unchanged) -> None:
        self._cluster = cluster
        self._lister = lister
        self._reader = reader
        self._unchanged = unchanged
        self._referenced = _expected(unchanged)
        self._requested: set[Kind] = set()
        self._undiscovered: set[str] = set()
        """Groups whose discovery failed. Discovery is tried once more when a kind of the group is read."""

    def request(self, following: Sequence[Kind]) -> None:
        """Request the lists that are read next, if they are not requested yet.

        ``following``: the kind that is read now, and the kinds after it. The lists of referenced objects are requested
        first: they are read last and are often the longest.
        """
        if not self._lister.can_prefetch:
            return
        for kind in (*self._referenced, *self._next(following)):
            if kind in self._requested or kind.group in self._undiscovered:
                continue
            self._requested.add(kind)
            try:
                resource = self._cluster.resource_type(kind)
            except (AccessDeniedError, ClusterError):
                self._undiscovered.add(kind.group)
                continue
            if resource is not None:
                self._reader.prefetch(resource, field_selector=type_selector(kind))

    def _next(self, following: Sequence[Kind]) -> Sequence[Kind]:
        """The kinds to request. Pages of whole objects are large: then only the next kind, if it has the same group."""
        if self._unchanged.is_usable:
            return following[:AHEAD]
        return [kind for kind in following[1:2] if kind.group == following[0].group]


def _expected(unchanged: Unchanged) -> list[Kind]:
    """The kinds of referenced objects whose list of all namespaces the last capture read, and this one probably reads.

    Resets ``was_read`` of all kinds for this capture.
    """
    known = {kind: unchanged.list_sizes(kind) for kind in sorted(kinds.REFERENCED_KINDS)}
    expected = [kind for kind, sizes in known.items() if sizes.was_read]
    for sizes in known.values():
        sizes.was_read = False
    return expected if unchanged.is_usable else []
