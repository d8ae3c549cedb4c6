"""The archived objects of one list.

A batch counts only if its whole list was read. An object that cannot be archived is recorded in its batch, so that it
does not keep the other objects out of the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gitsnap.capture.context import Facts
from gitsnap.core.model import Area, BlobId, IncompleteReason, ObjectKey
from gitsnap.format import path_of
from gitsnap.sveltos.generated import Origin


class Failure(NamedTuple):
    """Why an object could not be archived."""

    reason: IncompleteReason
    message: str
    """For users. Quotes no value of the object."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What a sample keeps of one object. An object that is being deleted has neither files nor facts."""

    key: ObjectKey
    path: str = ""
    """Path below each area's folder."""
    files: Mapping[Area, BlobId] = field(default_factory=dict)
    manager: str = ""
    """The field manager that wrote the object last; ``""`` if unknown, or if the object is unchanged."""
    version: str = ""
    """See ``unchanged.version_of``."""
    facts: Facts | None = None
    origin: Origin | None = None
    """Why the object is left out: a controller generated it."""


def _no_files() -> dict[Area, dict[str, BlobId]]:
    return {area: {} for area in Area}


@dataclass(slots=True)
class Batch:
    """The archived objects of one list."""

    files: dict[Area, dict[str, BlobId]] = field(default_factory=_no_files)
    """Path below each area's folder -> blob."""
    managers: dict[str, str] = field(default_factory=dict)
    """Path below ``configuration/`` -> field manager that wrote the object last."""
    versions: dict[str, str] = field(default_factory=dict)
    """Path -> version of the object, for the next capture."""
    facts: list[Facts] = field(default_factory=list)
    generated: dict[ObjectKey, Origin] = field(default_factory=dict)
    """Objects that are left out because a controller generated them."""
    failed: dict[ObjectKey, Failure] = field(default_factory=dict)
    """Objects that could not be archived."""

    def add(self, archived: Archived) -> None:
        """Add one object."""
        if archived.facts is not None:
            self.facts.append(archived.facts)
        if archived.origin is not None:
            self.generated[archived.key] = archived.origin
        if archived.manager:
            self.managers[archived.path] = archived.manager
        if archived.path:
            self.add_files(archived.path, archived.files, archived.version)

    def add_files(self, path: str, files: Mapping[Area, BlobId], version: str) -> None:
        """Add the files of an object. ``version``: see ``unchanged.version_of``."""
        for area, blob in files.items():
            self.files[area][path] = blob
        self.versions[path] = version

    def fail(self, key: ObjectKey, failure: Failure) -> None:
        """Record an object that cannot be archived, and drop the files of an earlier copy in the same list."""
        self.failed[key] = failure
        try:
            path = path_of(key)
        except ValueError:  # no path can hold the name
            return
        for files in self.files.values():
            files.pop(path, None)
        self.managers.pop(path, None)
        self.versions.pop(path, None)

    def merge(self, other: Batch) -> None:
        """Add the files and the left-out objects of another batch. Its facts, versions and failures are not added."""
        for area, files in other.files.items():
            self.files[area].update(files)
        self.managers.update(other.managers)
        self.generated.update(other.generated)
