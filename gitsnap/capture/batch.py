"""What lists bring, as the files of a tree: each object normalized, distilled, sealed, stored, and learnt from.

A batch counts only when its whole list was read. An object that cannot be taken is noted in its batch, so that it does
not keep all others out of the sample. This module must not read a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple, TypeVar

from gitsnap import format as archive_format
from gitsnap.capture.context import Knowledge, Lesson
from gitsnap.capture.unchanged import Unchanged, version_of
from gitsnap.core.errors import InputError
from gitsnap.core.model import Area, BlobId, IncompleteReason, JsonObject, ObjectKey, ResourceSelector
from gitsnap.secrets.sealing import Sealer, Store
from gitsnap.sveltos import field_types, generated, inventory, kinds
from gitsnap.sveltos.generated import Origin
from gitsnap.sveltos.normalize import last_manager, normalize, terminating

_UNEXPECTED = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
"""What an object leads to whose fields have other types than its kind says, and what a defect of gitsnap leads to."""

_T = TypeVar("_T")


class Failure(NamedTuple):
    """Why an object could not be taken."""

    reason: IncompleteReason
    words: str
    """For people; no value of the object is quoted."""


def _no_files() -> dict[Area, dict[str, BlobId]]:
    return {area: {} for area in Area}


@dataclass(slots=True)
class Batch:
    """Files by area and path, who wrote the objects last, what was learnt, and what is not a user's."""

    files: dict[Area, dict[str, BlobId]] = field(default_factory=_no_files)
    managers: dict[str, str] = field(default_factory=dict)
    """Path below ``configuration/`` -> field manager."""
    versions: dict[str, str] = field(default_factory=dict)
    """Path below an area -> version of the object, for the next capture."""
    lessons: list[Lesson] = field(default_factory=list)
    generated: dict[ObjectKey, Origin] = field(default_factory=dict)
    """Objects left out because a controller generated them, and which."""
    failed: dict[ObjectKey, Failure] = field(default_factory=dict)
    """Objects that could not be taken."""

    def merge(self, other: Batch) -> None:
        """Take over the files of another batch; its lessons are for the caller."""
        for area, files in other.files.items():
            self.files[area].update(files)
        self.managers.update(other.managers)
        self.generated.update(other.generated)

    def fail(self, key: ObjectKey, failure: Failure) -> None:
        """Note an object that cannot be taken, and forget what was taken of it."""
        self.failed[key] = failure
        try:
            path = archive_format.path_of(key)
        except ValueError:  # a name that no path can hold
            return
        for files in self.files.values():
            files.pop(path, None)
        self.managers.pop(path, None)
        self.versions.pop(path, None)


@dataclass(frozen=True, slots=True)
class KeptAnyway:
    """Generated objects that a sample holds all the same."""

    keys: frozenset[ObjectKey]
    """Objects that a rollback is to write, whoever made them."""
    selectors: tuple[ResourceSelector, ...]
    """Entries of the policy for kinds that are captured anyway: they add the objects that a controller owns."""

    def holds(self, key: ObjectKey, origin: Origin) -> bool:
        """Whether an object is kept although something generated it."""
        return origin in generated.INCLUDABLE and any(selector.covers(key) for selector in self.selectors)


class Converter:
    """Turns objects as a server gives them into the files of a batch."""

    def __init__(
        self,
        knowledge: Knowledge,
        sealer: Sealer,
        store: Store,
        unchanged: Unchanged,
        *,
        kept: KeptAnyway,
        strict: bool,
    ) -> None:
        """``strict``: an object that cannot be taken is an error, since it stands in a file that can be mended."""
        self._knowledge = knowledge
        self._sealer = sealer
        self._store = store
        self._unchanged = unchanged
        self._kept = kept
        self._strict = strict

    def take(self, batch: Batch, raw: JsonObject, *, whole: bool = True) -> bool:
        """One object: what is configuration, what is inventory, what is learnt from it.

        False for one of which more is needed than its metadata, where that is all there is (not ``whole``).
        An object that cannot be taken is noted in the batch, and counts as one that needs no more. Raises InputError
        naming it where this is ``strict``.
        """
        taken = self._guarded(raw, lambda: self._take(batch, raw, whole=whole))
        if isinstance(taken, Failure):
            batch.fail(ObjectKey.of(raw), taken)
            return True
        return taken

    def study(self, document: JsonObject) -> Lesson | None:
        """What an object teaches that is not kept; nothing where it cannot be read."""
        lesson = self._guarded(document, lambda: self._knowledge.study(document))
        return None if isinstance(lesson, Failure) else lesson

    def _guarded(self, raw: JsonObject, work: Callable[[], _T]) -> _T | Failure:
        """Do something with one object. Errors that are not about an object, such as a full disk, pass."""
        try:
            return work()
        except InputError as error:
            failure = Failure(IncompleteReason.UNARCHIVABLE, error.message)
            if self._strict:
                raise InputError(f"{ObjectKey.of(raw)}: {error.message}", hint=error.hint) from error
        except RecursionError as error:
            failure = Failure(IncompleteReason.UNARCHIVABLE, "it is nested too deeply")
            if self._strict:
                raise InputError(f"{ObjectKey.of(raw)}: {failure.words}") from error
        except _UNEXPECTED as error:
            problem = field_types.problem_of(raw)
            failure = Failure(IncompleteReason.MALFORMED, problem) if problem else _defect(error)
            if self._strict and problem:
                raise InputError(
                    f"{ObjectKey.of(raw)} does not have the form of its kind: {problem}",
                    hint="An API server would refuse this object. Correct it, or remove it from the folder.",
                ) from error
            if self._strict:
                raise
        return failure

    def _take(self, batch: Batch, raw: JsonObject, *, whole: bool) -> bool:
        if terminating(raw):
            return True
        key = ObjectKey.of(raw)
        path = archive_format.path_of(key)
        version = version_of(raw, self._knowledge.controller_labels)
        files = self._unchanged.files(path, version)
        for area, blob in files.items():
            batch.files[area][path] = blob
        if not files:
            if self._leaves_out(batch, key, raw):
                if batch.generated[key] in generated.INCLUDABLE:
                    self._learn(batch, raw)
                return True
            if not whole:
                return False
            self._look_at(batch, key, path, raw)
        batch.versions[path] = version
        self._learn(batch, raw)
        return True

    def _learn(self, batch: Batch, raw: JsonObject) -> None:
        """What the object teaches: an object that is left out refers to objects of users, and matches clusters."""
        lesson = self._knowledge.study(raw)
        if lesson is not None:
            batch.lessons.append(lesson)

    def _leaves_out(self, batch: Batch, key: ObjectKey, raw: JsonObject) -> bool:
        """Whether an object is no user's; says so in the batch. Of all kinds but Secret its metadata tells."""
        if key.kind in kinds.INVENTORY_KINDS or key in self._kept.keys:
            return False
        origin = generated.reason(raw)
        if origin is None or self._kept.holds(key, origin):
            return False
        batch.generated[key] = origin
        return True

    def _look_at(self, batch: Batch, key: ObjectKey, path: str, raw: JsonObject) -> None:
        """Write what is configuration and what is inventory."""
        owned = self._knowledge.controller_labels
        if key.kind not in kinds.INVENTORY_KINDS:
            document = normalize(raw, controller_labels=owned)
            self._put(batch, path, document)
            batch.managers[path] = sys.intern(last_manager(raw))  # a few names, of ten thousand objects
        distilled = inventory.distill(raw, controller_labels=owned)
        if distilled is not None:
            batch.files[Area.INVENTORY][path] = self._store(archive_format.encode(distilled))

    def _put(self, batch: Batch, path: str, document: JsonObject) -> None:
        archived = self._sealer.archived(document)
        blob = batch.files[Area.CONFIGURATION][path] = self._store(archive_format.encode(archived))
        sealed = self._sealer.sealed(document, path=path, masked=archived, blob=blob)
        if sealed is not None:
            batch.files[Area.SEALED][path] = sealed


def _defect(error: Exception) -> Failure:
    """Without the words of the exception: they may be a value of a Secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace is not None else None
    where = f" in {PurePath(code.co_filename).name}, {code.co_name}" if code is not None else ""
    words = f"a defect of gitsnap, not of the object: {type(error).__name__}{where}; please report it"
    return Failure(IncompleteReason.DEFECT, words)
