"""Which lists a capture requests before it reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gitsnap.capture.list_reader import ListReader
from gitsnap.capture.lists_ahead import ListsAhead
from gitsnap.capture.pinned_list import AHEAD, Lister
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import ClusterUnreachableError
from gitsnap.core.model import Kind, ResourceType, SecretsInfo, SecretsMode, TreeInfo
from gitsnap.core.ports import Cluster
from gitsnap.sveltos.kinds import CONFIG_MAP, SECRET
from gitsnap.sveltos.references import ADD_ON_TYPE
from tests.support.previous_tree import PreviousTree

INFO = TreeInfo("hourly", "hourly", (CONFIG_MAP,), SecretsInfo(SecretsMode.REDACT))
KINDS = [Kind("a", f"A{number}") for number in range(8)]


@dataclass
class _Capture:
    """The parts of a capture that ListsAhead uses. The group ``broken`` cannot be discovered."""

    can_prefetch: bool = True
    requested: list[tuple[str, str]] = field(default_factory=list)
    """The kind and the field selector of each list."""
    discovered: list[str] = field(default_factory=list)

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """See ports.Cluster."""
        self.discovered.append(kind.group)
        if kind.group == "broken":
            raise ClusterUnreachableError("no answer")
        return ResourceType(kind, "v1", kind.name.lower(), namespaced=True) if kind.name != "A1" else None

    def prefetch(self, resource: ResourceType, *, field_selector: str) -> None:
        """See ListReader."""
        self.requested.append((resource.kind.name, field_selector))


def _unchanged(lists: dict[str, Any] | None) -> Unchanged:
    """The cache of a capture, with the sizes of lists; None for the first capture."""
    if lists is None:
        return Unchanged(INFO, cache=None, previous=None, now=1000)
    first = Unchanged(INFO, cache=None, previous=None, now=1000)
    for kind, was_read in lists.items():
        first.list_sizes(Kind.parse(kind)).was_read = was_read
    return Unchanged(INFO, cache=first.result(), previous=PreviousTree(INFO, {}), now=1000)


def _ahead(capture: _Capture, unchanged: Unchanged) -> ListsAhead:
    return ListsAhead(cast("Cluster", capture), cast("Lister", capture), cast("ListReader", capture), unchanged)


def test_each_list_is_requested_once() -> None:
    """At most AHEAD lists are requested, beginning with the current kind. A kind that is not served has no list."""
    capture = _Capture()
    ahead = _ahead(capture, _unchanged({}))
    ahead.request(KINDS[:])
    assert [name for name, _ in capture.requested] == ["A0", "A2", "A3"]
    assert len(capture.discovered) == AHEAD
    ahead.request(KINDS[1:])
    ahead.request(KINDS[6:])
    assert [name for name, _ in capture.requested] == ["A0", "A2", "A3", "A4", "A6", "A7"]


def test_a_first_capture_requests_fewer_lists() -> None:
    """Pages of whole objects need much memory."""
    capture = _Capture()
    _ahead(capture, _unchanged(None)).request(KINDS[4:])
    assert [name for name, _ in capture.requested] == ["A5"]
    _ahead(capture, _unchanged(None)).request([KINDS[5], Kind("b", "B")])
    assert [name for name, _ in capture.requested] == ["A5"]


def test_nothing_is_requested_before_the_capture_has_a_resource_version() -> None:
    """The lists are requested when the resource version is known."""
    capture = _Capture(can_prefetch=False)
    ahead = _ahead(capture, _unchanged({"ConfigMap": True}))
    ahead.request(KINDS[:1])
    assert capture.requested == []
    capture.can_prefetch = True
    ahead.request(KINDS[:1])
    assert capture.requested == [("ConfigMap", ""), ("A0", "")]


@pytest.mark.parametrize("was_read", [True, False])
def test_the_lists_of_referenced_objects(*, was_read: bool) -> None:
    """They are requested if the last capture read them. A list of Secrets selects the type of Sveltos."""
    capture = _Capture()
    unchanged = _unchanged({"ConfigMap": True, "Secret": was_read})
    _ahead(capture, unchanged).request([])
    secrets = [("Secret", f"type={ADD_ON_TYPE}")] if was_read else []
    assert capture.requested == [("ConfigMap", ""), *secrets]
    assert not unchanged.list_sizes(CONFIG_MAP).was_read  # this capture has not read the list yet
    assert not unchanged.list_sizes(SECRET).was_read


def test_a_group_that_cannot_be_discovered() -> None:
    """Requesting ahead raises no error, and tries the discovery of the group once, not once for each kind."""
    capture = _Capture()
    _ahead(capture, _unchanged({})).request([Kind("broken", "B"), Kind("broken", "C"), KINDS[0]])
    assert capture.requested == [("A0", "")]
    assert capture.discovered == ["broken", "a"]
