"""The kinds that a folder of YAML files serves: known kinds, kinds of Kubernetes itself, and kinds found in the folder.

A server serves a kind even without an object of the kind. A folder needs a table of kinds: otherwise the last object of
a kind could not be created again after it was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.cluster.known_kinds import KnownKinds, preferred_version
from gitsnap.core.model import JsonObject, Kind, ResourceType
from gitsnap.kube.api_resources import API_RESOURCES


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A kind as the folder serves it."""

    resource: ResourceType
    status: bool
    """Whether status is a subresource: then ordinary writes leave it alone."""


_BUILT_IN = {kind: ServedKind(row.resource, row.status) for kind, row in API_RESOURCES.items()}


class KindTable:
    """The kinds that a folder can serve."""

    def __init__(self, known_kinds: KnownKinds) -> None:
        self._known_kinds = known_kinds

    def well_known(self, kind: Kind) -> ServedKind | None:
        """A kind that the caller knows, in its preferred version, or a kind of Kubernetes itself; None for others."""
        known = self._known_kinds.get(kind)
        if known is not None:
            return ServedKind(ResourceType(kind, known.versions[0], known.plural, known.namespaced), known.status)
        return _BUILT_IN.get(kind)

    def of_definition(self, definition: JsonObject) -> ServedKind | None:
        """The kind that a CustomResourceDefinition defines; None where required fields are missing."""
        spec = definition.get("spec") or {}
        names = spec.get("names") or {}
        versions = {
            str(version.get("name")): version for version in spec.get("versions") or () if version.get("served")
        }
        kind = Kind(str(spec.get("group") or ""), str(names.get("kind") or ""))
        version = preferred_version(kind, versions, self._known_kinds)
        if not kind.group or not kind.name or not names.get("plural") or version is None:
            return None
        status = "status" in (versions[version].get("subresources") or {})
        return ServedKind(ResourceType(kind, version, str(names["plural"]), spec.get("scope") == "Namespaced"), status)

    def of_objects(self, kind: Kind, objects: Iterable[JsonObject]) -> ServedKind | None:
        """The form in which the objects of a folder show their kind; None without any object.

        Scope and plural are those of a well-known kind. For others they are guessed from the objects and the name.
        """
        versions: dict[str, None] = {}
        namespaced = False
        for document in objects:
            versions[str(document["apiVersion"]).rpartition("/")[2]] = None
            namespaced = namespaced or bool(document["metadata"].get("namespace"))
        version = preferred_version(kind, versions, self._known_kinds)
        if version is None:
            return None
        known = self.well_known(kind)
        if known is not None:
            return ServedKind(
                ResourceType(kind, version, known.resource.plural, known.resource.namespaced), known.status
            )
        return ServedKind(ResourceType(kind, version, f"{kind.name.lower()}s", namespaced), status=True)
