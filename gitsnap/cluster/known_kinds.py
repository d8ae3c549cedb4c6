"""The kinds that a caller knows: which API version to prefer, and how a server serves them.

A cluster is opened with a table of such kinds. Adapters know no product's kinds by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from gitsnap.core.model import Kind


class KnownKind(Protocol):
    """How an API server serves a kind."""

    @property
    def versions(self) -> tuple[str, ...]:
        """API versions that the caller understands, the preferred one first; at least one."""

    @property
    def plural(self) -> str:
        """The name in URLs, for example ``clusterprofiles``."""

    @property
    def namespaced(self) -> bool:
        """Whether objects of the kind have a namespace."""

    @property
    def status(self) -> bool:
        """Whether ``status`` is a subresource."""


KnownKinds = Mapping[Kind, KnownKind]


def preferred_version(kind: Kind, served: Iterable[str], known_kinds: KnownKinds) -> str | None:
    """The API version of a kind to use, from those that a server serves.

    The first version of ``known_kinds`` that is served, otherwise the first served version; None where none is served.
    """
    offered = list(served)
    known = known_kinds.get(kind)
    understood = [version for version in known.versions if version in offered] if known is not None else []
    return next(iter(understood + offered), None)
