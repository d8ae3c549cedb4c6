"""The documents of objects that a plan does not write. Such an object deploys the same before and after the plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.deployed_content import KUSTOMIZATIONS, POLICIES, Objects
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease, DeployedResource
from gitsnap.sveltos.references import Reference, UnresolvedReason
from gitsnap.sveltos.source_documents import SourceDocument


@dataclass(frozen=True, slots=True)
class KeptContent:
    """The content that a cluster gets before and after a plan, besides a difference that other clusters share."""

    documents: tuple[SourceDocument, ...] = ()
    releases: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of each Helm release."""

    def explains(self, entry: DeployedResource | DeployedRelease) -> bool:
        """Whether a deployed resource or release stays because of these documents and releases."""
        if isinstance(entry, DeployedRelease):
            return (entry.namespace, entry.name) in self.releases
        local = entry.deployment_type == LOCAL
        return entry.feature != "Kustomize" and any(
            document.explains(entry.key, local=local) for document in self.documents
        )


class SourceKey(NamedTuple):
    """The parts of a reference that decide what is deployed."""

    target: ObjectKey | None
    """None for all objects that do not exist."""
    path: str
    local: bool
    optional: bool
    unresolved: UnresolvedReason | None
    secret_type_required: bool


class UnwrittenSources:
    """The objects that profiles refer to and that a plan does not write. Each of them is read once."""

    def __init__(self, objects: Objects, written: Collection[ObjectKey]) -> None:
        self._objects = objects
        self._written = written
        self._documents: dict[SourceKey, tuple[SourceDocument, ...] | None] = {}

    def documents(self, reference: Reference) -> tuple[SourceDocument, ...] | None:
        """The documents that a reference deploys before and after the plan.

        None if the plan writes the target, if the documents are unknown or opaque, or if the reference makes the
        deployment fail.
        """
        key = _key(reference)
        if key not in self._documents:
            self._documents[key] = self._read(reference)
        return self._documents[key]

    def sharing_key(self, reference: Reference) -> SourceKey:
        """The parts of a reference that decide what is deployed. All objects that do not exist have one key."""
        if (
            reference.path != KUSTOMIZATIONS
            and reference.target not in self._written
            and self._objects.knows(reference.target)
            and self._objects.get(reference.target) is None
        ):
            return _key(reference)._replace(target=None)
        return _key(reference)

    def _read(self, reference: Reference) -> tuple[SourceDocument, ...] | None:
        if (
            reference.path == KUSTOMIZATIONS
            or reference.target in self._written
            or not (reference.optional or self._objects.serves(reference))
        ):
            return None
        if reference.path != POLICIES:
            return ()
        if not self._objects.knows(reference.target):
            return None
        source = self._objects.source(reference)
        if source is None:
            return ()
        documents, opaque = source.content
        if opaque or source.is_invalid:
            return None
        return documents if self._objects.serves(reference) else ()


def _key(reference: Reference) -> SourceKey:
    return SourceKey(
        reference.target,
        reference.path,
        reference.local,
        reference.optional,
        reference.unresolved,
        reference.secret_type_required,
    )
