"""Archives one object: leaves it out, or normalizes, distills, masks and encodes it. Reads no cluster."""

from __future__ import annotations

import sys
from pathlib import PurePath

from gitsnap.capture.batch import Archived, Batch, Failure
from gitsnap.capture.context import CaptureContext, Facts
from gitsnap.capture.unchanged import Unchanged, version_of, version_of_head
from gitsnap.core.errors import InputError
from gitsnap.core.model import Area, IncompleteReason, ResourceType
from gitsnap.core.objects import KubeObject, ObjectHead
from gitsnap.format import encode, path_of
from gitsnap.secrets.sealing import Sealer, Store
from gitsnap.sveltos import field_types, generated, inventory, kinds
from gitsnap.sveltos.generated import Inclusions
from gitsnap.sveltos.normalize import last_manager, normalize

_UNEXPECTED = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
"""Errors that follow from a field of the wrong type, or from a defect of gitsnap."""

OBJECT_ERRORS = (InputError, RecursionError, *_UNEXPECTED)
"""Errors about one object. Others, such as a full disk, end the capture."""


class Archiver:
    """Converts objects of a cluster into the files of a batch."""

    def __init__(
        self,
        context: CaptureContext,
        sealer: Sealer,
        store: Store,
        unchanged: Unchanged,
        *,
        inclusions: Inclusions,
        strict: bool,
    ) -> None:
        """``strict``: an object that cannot be archived is an error, because users can correct its file."""
        self._context = context
        self._sealer = sealer
        self._store = store
        self._unchanged = unchanged
        self._inclusions = inclusions
        self._strict = strict

    def add(self, batch: Batch, obj: KubeObject, *, whole: bool = True) -> bool:
        """Archive an object into a batch. An object that cannot be archived is recorded there as failed.

        Returns False if ``obj`` is not ``whole``, but metadata only, and its other fields are needed.
        Raises InputError naming the object if the archiver is strict.
        """
        try:
            archived = self._archive(obj, whole=whole)
        except OBJECT_ERRORS as error:
            batch.fail(obj.key, self._failure(obj, error))
            return True
        if archived is not None:
            batch.add(archived)
        return archived is not None

    def add_unchanged(self, batch: Batch, resource: ResourceType, head: ObjectHead) -> bool:
        """Add the files of an object without facts, if the object has not changed since the previous capture.

        Returns False if the object must be archived with ``add``.
        """
        if head.is_terminating or self._context.needs(head.key.kind):
            return False
        try:
            path = path_of(head.key)
        except ValueError:  # no path can represent the name
            return False
        version = version_of_head(head, resource)
        files = self._unchanged.files(path, version)
        if files:
            batch.add_files(path, files, version)
        return bool(files)

    def facts_of(self, obj: KubeObject) -> Facts | None:
        """The facts about an object that is not archived now; None if the object is malformed."""
        try:
            return self._context.facts_of(obj)
        except OBJECT_ERRORS as error:
            self._failure(obj, error)
            return None

    def _archive(self, obj: KubeObject, *, whole: bool) -> Archived | None:
        """Left out? -> normalize -> mask -> encode, and distill -> encode. None if more than the metadata is needed."""
        if obj.is_terminating:
            return Archived(obj.key)
        labels = self._context.controller_labels
        path, version, manager = path_of(obj.key), version_of(obj, labels), ""
        files = self._unchanged.files(path, version)
        if not files:
            origin = self._inclusions.origin_if_left_out(obj)
            if origin is not None:  # the object may still match clusters and refer to objects of users
                facts = self._context.facts_of(obj) if origin in generated.INCLUDABLE else None
                return Archived(obj.key, origin=origin, facts=facts)
            if not whole:
                return None
            if obj.kind not in kinds.INVENTORY_KINDS:
                manager = sys.intern(last_manager(obj))  # thousands of objects have the same few managers
                files |= self._sealer.store_object(normalize(obj.raw, controller_labels=labels), path)
            if (distilled := inventory.distill(obj, controller_labels=labels)) is not None:
                files[Area.INVENTORY] = self._store(encode(distilled))
        return Archived(obj.key, path, files, manager, version, self._context.facts_of(obj))

    def _failure(self, obj: KubeObject, error: Exception) -> Failure:
        """The failure for the error that is being handled. A strict archiver raises an error for users instead."""
        if isinstance(error, InputError):
            if self._strict:
                raise InputError(f"{obj.key}: {error.message}", hint=error.hint) from error
            return Failure(IncompleteReason.UNARCHIVABLE, error.message)
        if isinstance(error, RecursionError):
            if self._strict:
                raise InputError(f"{obj.key}: it is nested too deeply") from error
            return Failure(IncompleteReason.UNARCHIVABLE, "it is nested too deeply")
        problem = field_types.type_problem(obj.raw)
        if self._strict and problem:
            raise InputError(
                f"{obj.key} does not have the form of its kind: {problem}",
                hint="An API server would refuse this object. Correct it, or remove it from the folder.",
            ) from error
        if self._strict:
            raise error
        return Failure(IncompleteReason.MALFORMED, problem) if problem else _defect(error)


def _defect(error: Exception) -> Failure:
    """The place of the error, without its message: that may be a value of a Secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace is not None else None
    where = f" in {PurePath(code.co_filename).name}, {code.co_name}" if code is not None else ""
    message = f"a defect of gitsnap, not of the object: {type(error).__name__}{where}; please report it"
    return Failure(IncompleteReason.DEFECT, message)
