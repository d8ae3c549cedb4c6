"""Lists at one instant: every list of a capture is asked for at the resource version of the first one.

That works across kinds on a kube-apiserver but is no contract of the Kubernetes API, so each answer is checked,
and what could not be had at that version is read as it is now and said so (``Consistency.PER_KIND``).
This module must not look into the objects that it passes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gitsnap.core.errors import BehindError, GoneError
from gitsnap.core.model import Consistency, ResourceType
from gitsnap.core.ports import Cluster, Page

RETRY_SECONDS = 5.0
"""For how long a version that the server does not have (yet) is asked for again, summed over one capture.

What the server takes to say so counts: of a kind whose conversion webhook is dead, it says so after three seconds.
"""

PAUSE_SECONDS = 0.5


class InstantLostError(GoneError):
    """The instant that the capture began with can no longer be read; start again, without asking for one."""


class _List(NamedTuple):
    """What a list is asked for with."""

    resource: ResourceType
    namespace: str
    label_selector: str
    field_selector: str
    version: str
    metadata_only: bool


class Lister:
    """Pages of lists, all at the instant of the first list as long as ``exact`` holds.

    ``pause`` waits for the given number of seconds.
    """

    def __init__(self, cluster: Cluster, *, exact: bool, pause: Callable[[float], None]) -> None:
        self._cluster = cluster
        self._exact = exact
        self._pause = pause
        self._patience = RETRY_SECONDS
        self._version = ""
        self._begun: dict[_List, Iterator[Page]] = {}
        self.consistency = Consistency.EXACT if exact else Consistency.PER_KIND

    def begin(
        self, resource: ResourceType, *, namespace: str = "", field_selector: str = "", metadata_only: bool
    ) -> None:
        """Have the first page of a list fetched that ``pages`` will be asked for next, with the same arguments.

        Whatever keeps it away, ``pages`` says. Nothing is begun before the capture has its instant.
        """
        if self._version or not self._exact:
            wanted = _List(resource, namespace, "", field_selector, self._version, metadata_only)
            self._begun[wanted] = self._list(wanted)

    def _list(self, wanted: _List) -> Iterator[Page]:
        return self._cluster.list(
            wanted.resource,
            namespace=wanted.namespace,
            label_selector=wanted.label_selector,
            field_selector=wanted.field_selector,
            resource_version=wanted.version,
            metadata_only=wanted.metadata_only,
        )

    def pages(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """The pages of one list.

        Raises InstantLostError when the capture's instant is gone. Without an instant, GoneError means that the
        list's own continuation was lost: the caller drops what it has of this list and asks again. A list that the
        server is too far behind with is read as it is, while the others stay at the instant.
        """

        def ask(version: str) -> Iterator[Page]:
            """The list from its beginning, at a resource version, or as it is now."""
            wanted = _List(resource, namespace, label_selector, field_selector, version, metadata_only)
            return self._begun.pop(wanted, None) or self._list(wanted)

        try:
            page, rest = self._first(ask, self._version)
        except BehindError:
            page, rest = self._first(ask, "")
        yield self._checked(page)
        try:
            for page in rest:
                yield self._checked(page)
        except GoneError as error:
            raise self._lost(error) from error

    def _first(self, ask: Callable[[str], Iterator[Page]], version: str) -> tuple[Page, Iterator[Page]]:
        """The first page and the rest, asked for until patience ends: the server may only be behind (504)."""
        while True:
            asked = time.monotonic()
            pages = ask(version)
            try:
                return next(pages), pages
            except GoneError as error:
                self._patience -= time.monotonic() - asked
                if version and self._patience > 0:
                    self._pause(PAUSE_SECONDS)
                    self._patience -= PAUSE_SECONDS
                elif version and isinstance(error, BehindError):
                    raise
                else:
                    raise self._lost(error) from error

    def _lost(self, error: GoneError) -> GoneError:
        return InstantLostError(error.message) if self._exact else error

    def _checked(self, page: Page) -> Page:
        if self._exact:
            if not self._version:
                self._version = page.resource_version
            elif page.resource_version != self._version:
                self.consistency = Consistency.PER_KIND
        return page
