"""Lists at one instant: every list of a capture is asked for at the resource version of the first one.

That works across kinds on a kube-apiserver but is no contract of the Kubernetes API, so each answer is checked,
and what could not be had at that version is read as it is now and said so (``Consistency.PER_KIND``).
This module must not look into the objects that it passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gitsnap.errors import GoneError
from gitsnap.model import Consistency, ResourceType
from gitsnap.ports import Cluster, Page

RETRY_SECONDS = 5.0
"""For how long a version that the server does not have (yet) is asked for again, summed over one capture."""

PAUSE_SECONDS = 0.5


class InstantLostError(GoneError):
    """The instant that the capture began with can no longer be read; start again, without asking for one."""


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
        self.consistency = Consistency.EXACT if exact else Consistency.PER_KIND

    def pages(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Iterator[Page]:
        """The pages of one list.

        Raises InstantLostError when the capture's instant is gone. Without an instant, GoneError means that the
        list's own continuation was lost: the caller drops what it has of this list and asks again.
        """

        def ask() -> Iterator[Page]:
            """The list from its beginning, at the instant of the capture where it has one."""
            return self._cluster.list(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                resource_version=self._version,
            )

        page, rest = self._first(ask)
        yield self._checked(page)
        try:
            for page in rest:
                yield self._checked(page)
        except GoneError as error:
            raise self._lost(error) from error

    def _first(self, ask: Callable[[], Iterator[Page]]) -> tuple[Page, Iterator[Page]]:
        """The first page and the rest, asked for until patience ends: the server may only be behind (504)."""
        while True:
            pages = ask()
            try:
                return next(pages), pages
            except GoneError as error:
                if not self._version or self._patience <= 0:
                    raise self._lost(error) from error
                self._pause(PAUSE_SECONDS)
                self._patience -= PAUSE_SECONDS

    def _lost(self, error: GoneError) -> GoneError:
        return InstantLostError(error.message) if self._exact else error

    def _checked(self, page: Page) -> Page:
        if self._exact:
            if not self._version:
                self._version = page.resource_version
            elif page.resource_version != self._version:
                self.consistency = Consistency.PER_KIND
        return page
