"""Lists at one resource version, and lists that are prefetched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, cast

import pytest

from gitsnap.capture.pinned_list import Lister, VersionExpiredError
from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.cluster.api.connection import Connection, ConnectionSettings
from gitsnap.core.errors import AccessDeniedError, BehindError, GoneError
from gitsnap.core.model import Consistency, Kind, ResourceType
from gitsnap.core.ports import Cluster, Page

ONE = ResourceType(Kind("", "One"), "v1", "ones", namespaced=True)
TWO = ResourceType(Kind("", "Two"), "v1", "twos", namespaced=True)


@dataclass
class _Cluster:
    """Requests each list when ``list`` is called, as the Kubernetes API does. The answers are scripted."""

    errors: dict[str, list[Exception]] = field(default_factory=dict)
    """Plural -> the errors of its next lists, raised when their first page is read."""
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    """Plural, resource version and ``metadata_only`` of every list."""

    def list(
        self, resource: ResourceType, *, resource_version: str, metadata_only: bool, **_places: str
    ) -> Iterator[Page]:
        """See ports.Cluster."""
        self.asked.append((resource.plural, resource_version, metadata_only))
        errors = self.errors.get(resource.plural)
        return self._pages(errors.pop(0) if errors else None)

    def _pages(self, error: Exception | None) -> Iterator[Page]:
        if error is not None:
            raise error
        yield Page([], "7")


def _lister(cluster: _Cluster, *, exact: bool = True) -> Lister:
    return Lister(cast("Cluster", cluster), exact=exact, pause=lambda _seconds: None)


def test_nothing_is_prefetched_before_the_capture_has_a_resource_version() -> None:
    """The list would be read as it is now, not at the version of the first list."""
    cluster = _Cluster()
    lister = _lister(cluster)

    lister.prefetch(TWO, metadata_only=False)
    assert cluster.asked == []
    list(lister.pages(ONE))
    lister.prefetch(TWO, metadata_only=False)

    assert cluster.asked == [("ones", "", False), ("twos", "7", False)]


def test_a_prefetched_list_is_requested_once() -> None:
    """Its pages are those of the request under way. Other arguments mean another list."""
    cluster = _Cluster()
    lister = _lister(cluster)
    list(lister.pages(ONE))

    lister.prefetch(TWO, metadata_only=True)
    list(lister.pages(TWO, metadata_only=True))
    assert cluster.asked[1:] == [("twos", "7", True)]
    lister.prefetch(TWO, namespace="a", metadata_only=True)
    list(lister.pages(TWO, namespace="b", metadata_only=True))
    list(lister.pages(TWO, namespace="a", metadata_only=False))

    assert cluster.asked[2:] == [("twos", "7", True), ("twos", "7", True), ("twos", "7", False)]


def test_the_next_list_is_prefetched_before_the_current_one_is_read() -> None:
    """Neither list is requested twice."""
    cluster = _Cluster()
    lister = _lister(cluster)
    list(lister.pages(ONE))
    places = ["a", "b", "c"]

    lister.prefetch(TWO, namespace="a", metadata_only=False)
    for place, following in zip_longest(places, places[1:]):
        if following:
            lister.prefetch(TWO, namespace=following, metadata_only=False)
        list(lister.pages(TWO, namespace=place))

    assert cluster.asked[1:] == [("twos", "7", False)] * 3


@pytest.mark.parametrize("error", [AccessDeniedError("no"), GoneError("gone")])
def test_the_error_of_a_prefetched_list_is_raised_when_it_is_read(error: Exception) -> None:
    """Not earlier: the list that is read in between is not affected."""
    cluster = _Cluster({"twos": [error] * 20})
    lister = _lister(cluster)
    list(lister.pages(ONE))

    lister.prefetch(TWO, metadata_only=False)
    list(lister.pages(ONE))

    with pytest.raises(AccessDeniedError if isinstance(error, AccessDeniedError) else VersionExpiredError):
        list(lister.pages(TWO))


def test_a_prefetched_list_that_is_behind_is_requested_again() -> None:
    """As any other list: at the resource version for some time, then as it is now."""
    cluster = _Cluster({"twos": [BehindError("wait")] * 2})
    lister = _lister(cluster)
    list(lister.pages(ONE))

    lister.prefetch(TWO, metadata_only=False)
    list(lister.pages(TWO))

    assert cluster.asked[1:] == [("twos", "7", False)] * 3
    assert lister.consistency is Consistency.EXACT


class _Answering(KubernetesCluster):
    """A server that answers with empty lists, and signals each request."""

    def __init__(self) -> None:
        connection = Connection(ConnectionSettings("https://127.0.0.1:1"))
        super().__init__(connection, known_kinds={}, identity=Identity("c", "u"))
        self._transport._send = self._answer  # type: ignore[assignment,method-assign]
        self.asked = threading.Event()

    def _answer(self, *_arguments: Any) -> tuple[int, Mapping[str, str], bytes]:
        self.asked.set()
        return 200, {}, json.dumps({"metadata": {"resourceVersion": "7"}, "items": []}).encode()


def test_the_kubernetes_api_requests_a_list_at_once() -> None:
    """The first page is requested before it is read."""
    cluster = _Answering()

    pages = cluster.list(ONE)

    assert cluster.asked.wait(timeout=60)
    assert [(page.items, page.resource_version) for page in pages] == [([], "7")]
